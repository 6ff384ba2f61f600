// Replies that are made a part at a time, so that one over ten million members needs no more memory than one over ten
// thousand. The handler makes the header, whose length it knows, and leaves a view of the rows (kv::RangeView) from
// which the parts follow as the client takes them. All of it is of the moment of the handler's transaction.
//
// Threads: a stream is used by one thread at a time; whoever owns the connection has the parts made on a worker, since
// they wait for the disk. It goes before the store does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "commands/command.h"
#include "kv/range_view.h"
#include "resp/writer.h"
#include "types/rows.h"

namespace tidemark::commands {

class ReplyStream {
 public:
  // From so many members on, a reply is streamed.
  static constexpr uint64_t kFromMembers = 1024;
  // A part is whole once it has so many bytes.
  static constexpr size_t kPartBytes = 256 << 10;

  // What a row is in the reply. DATA_LOSS for a damaged one.
  using WriteRow = std::function<absl::Status(std::string_view row, std::string_view value, resp::Writer& out)>;
  // `rows` has exactly `count` rows, as the header said.
  ReplyStream(std::unique_ptr<kv::RangeView> rows, uint64_t count, WriteRow write)
      : rows_(std::move(rows)), left_(count), write_(std::move(write)) {}

  // Appends the next part; its protocol is that of the header. False: it was the last. After an error the reply cannot
  // be completed, so the connection has to be closed.
  absl::StatusOr<bool> Next(resp::Writer& out);

 private:
  std::unique_ptr<kv::RangeView> rows_;
  uint64_t left_;
  WriteRow write_;
};

// Begins the reply of `count` rows between `begin` and `end`, each `write`'s one element (of a map: one pair), as a
// stream (client.deferred); false when it has to be made at once. Within the transaction that knows `count`.
absl::StatusOr<bool> StreamRows(Context& ctx, resp::Writer::Kind kind, const types::RowKey& begin,
                                const types::RowKey& end, uint64_t count, ReplyStream::WriteRow write);

}  // namespace tidemark::commands
