// What following a Redis needs from outside: a connection, and somebody who knows Redis's commands. server/ makes the
// one of a socket, commands/ the other of its handlers; tests have their own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "replication/upstream.h"
#include "replication/wire.h"

namespace tidemark::replication {

// A connection to a Redis. One thread reads and writes; Cancel from any.
class ByteConnection {
 public:
  virtual ~ByteConnection() = default;
  // Up to `max` bytes; 0 when nothing came within `timeout`. UNAVAILABLE when the other side has ended it, CANCELLED
  // after Cancel.
  virtual absl::StatusOr<size_t> Read(char* to, size_t max, std::chrono::milliseconds timeout) = 0;
  virtual absl::Status Write(std::string_view bytes) = 0;
  // Ends it, now and for ever. Any thread.
  virtual void Cancel() = 0;
};

// Blocks for at most `timeout`.
using ConnectBytes = std::function<absl::StatusOr<std::unique_ptr<ByteConnection>>(const Endpoint& to,
                                                                                   std::chrono::milliseconds timeout)>;

// How far a Redis's stream has been applied: kept in the store, by the transaction that applies.
struct PsyncPosition {
  std::string id;       // replication id, 40 hexadecimal digits
  uint64_t offset = 0;  // of its stream: so many bytes are done
  uint64_t db = 0;      // database that the stream is in
  bool operator==(const PsyncPosition&) const = default;
};

struct PsyncCommand {
  uint64_t db = 0;
  std::vector<std::string> words;
  // What comes of it is of no weight: a function that does not load.
  bool optional = false;
};

// Runs the commands of a Redis's stream in this node's store. One thread at a time; blocks.
class CommandSink {
 public:
  virtual ~CommandSink() = default;
  // All of them in order, as one transaction that also makes `position` what Position gives (nullopt: nothing).
  // INVALID_ARGUMENT, and nothing has happened, when one of them fails: the stores would differ from there on.
  // UNAVAILABLE: the store has to catch up first.
  virtual absl::Status Apply(std::span<const PsyncCommand> commands, const std::optional<PsyncPosition>& position) = 0;
  virtual absl::StatusOr<std::optional<PsyncPosition>> Position() = 0;
};

}  // namespace tidemark::replication
