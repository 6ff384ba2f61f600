// What a connection is to receive, in order, and how much of it may leave: under `appendfsync always` a reply waits
// until the log is durable up to the LSN that the reply may have seen. Knows no socket and no log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/types.h"
#include "resp/writer.h"

namespace tidemark::server {

// Used by one thread at a time. Invariant: sent ≤ released ≤ held ≤ end of the writer's bytes.
class OutputBuffer {
 public:
  // An empty buffer that has grown past this is given back.
  static constexpr size_t kKeep = 64 << 10;

  // Commands append here. Bytes in front of size() stay where they are until Sent.
  resp::Writer& writer() { return writer_; }
  // Everything not yet sent, held or not.
  size_t pending() const { return writer_.size() - sent_; }

  // What was appended since the last Hold may leave once the log is durable up to `needed`, and not before what stands
  // in front of it. Lsn{0}: needs nothing.
  void Hold(Lsn needed);
  // The log is durable up to here.
  void Release(Lsn durable);
  // Something waits for Release.
  bool holding() const { return !marks_.empty(); }

  // What may leave now. The view lasts until the next call that changes the buffer.
  std::string_view sendable() const { return std::string_view(writer_.buffer()).substr(sent_, released_ - sent_); }
  // The first `count` bytes of sendable() are gone.
  void Sent(size_t count);

 private:
  struct Mark {
    size_t end;  // offset in the writer's bytes
    Lsn needed;  // rises from mark to mark
  };

  resp::Writer writer_;
  size_t sent_ = 0;
  size_t released_ = 0;
  size_t held_ = 0;
  std::deque<Mark> marks_;
};

}  // namespace tidemark::server
