// A Redis's replication stream as batches to apply: cuts commands out of the bytes, follows SELECT, keeps MULTI … EXEC
// together, and knows at which offset of the stream each batch ends (source: Redis 7.0 src/replication.c, and
// https://redis.io/docs/reference/protocol-spec).
//
// Pure: bytes in, batches out; no threads, clock or socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "replication/psync_port.h"
#include "resp/parser.h"

namespace tidemark::replication {

// The primary's answer to PSYNC.
struct PsyncVerdict {
  enum class Kind : uint8_t {
    kFull,      // an RDB comes; the stream goes on from `offset`
    kContinue,  // the stream goes on where the position is; under `id`, if it is not empty
    kLater,     // it cannot serve now
    kRefused,   // it does not know PSYNC: no Redis
  } kind = Kind::kLater;
  std::string id;
  uint64_t offset = 0;
};
// INVALID_ARGUMENT for a line that is none of these.
absl::StatusOr<PsyncVerdict> ParsePsyncVerdict(std::string_view line);

// The line before an RDB: "$<bytes>", or "$EOF:<mark>", which then stands behind it.
struct RdbAnnouncement {
  std::optional<uint64_t> bytes;
  std::string mark;
};
absl::StatusOr<RdbAnnouncement> ParseRdbAnnouncement(std::string_view line);

class PsyncStream {
 public:
  // The stream goes on from `position`.
  explicit PsyncStream(PsyncPosition position)
      : position_(std::move(position)), read_(position_.offset), db_(position_.db) {}

  void Feed(std::string_view bytes) { buffer_.append(bytes); }
  // Takes whole commands into batch(), until there is none or enough of them. INVALID_ARGUMENT when the bytes are no
  // commands.
  absl::Status Take();

  // Commands of whole transactions, to be applied together; then Done.
  const std::vector<PsyncCommand>& batch() const { return batch_; }
  // The position when they are.
  const PsyncPosition& position() const { return position_; }
  void Done() {
    batch_.clear();
    batch_bytes_ = 0;
  }
  // Whether more of what was fed can be taken now.
  bool full() const { return batch_.size() >= kBatchCommands || batch_bytes_ >= kBatchBytes; }
  // The primary asks how far this side is. Cleared by reading it.
  bool TakeAckWish() { return std::exchange(ack_wanted_, false); }

  static constexpr size_t kBatchCommands = 128;
  static constexpr size_t kBatchBytes = 1u << 20;

 private:
  void TakeCommand(const std::vector<std::string_view>& words);

  PsyncPosition position_;
  uint64_t read_;  // offset of the first byte in buffer_
  uint64_t db_;    // where the next command goes
  std::string buffer_;
  resp::Parser parser_;
  resp::Request request_;
  std::vector<PsyncCommand> batch_;
  size_t batch_bytes_ = 0;
  bool in_multi_ = false;
  std::vector<PsyncCommand> transaction_;
  bool ack_wanted_ = false;
};

}  // namespace tidemark::replication
