// One value as Redis's RDB files, DUMP and RESTORE have it: of every type and in every encoding that Redis up to 7.4
// and Valkey 9 write, read as the same few calls of a sink; and written as Redis 7.0 reads it. A value may be of any
// size: neither reader nor writer holds more of it than one packed node, except the pending entries of one consumer
// group.
//
// A DUMP payload is (source: Redis 7.0 src/cluster.c createDumpPayload):
//   1 byte   type (rdb_types.h), then the value as in a file
//   2 bytes  RDB version, little-endian
//   8 bytes  CRC-64 of all before (polynomial of Jones, reflected), little-endian
//
// Pure functions over bytes. Input may be anything: it is never trusted, and memory is bounded by what the input really
// holds. What cannot be seen in one pass is for the sink to check: whether a member stands twice.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "format/rdb_input.h"
#include "format/rdb_types.h"

namespace tidemark::format {

enum class RdbKind : uint8_t { kString, kList, kSet, kZset, kHash, kStream };
// As the TYPE command names it.
std::string_view RdbKindName(RdbKind kind);

struct RdbStreamId {
  uint64_t ms = 0;
  uint64_t sequence = 0;
  auto operator<=>(const RdbStreamId&) const = default;
  std::string text() const { return fmt::format("{}-{}", ms, sequence); }
};

// What a stream keeps beside its entries.
struct RdbStreamState {
  uint64_t length = 0;
  RdbStreamId last;
  RdbStreamId first;
  RdbStreamId max_deleted;
  uint64_t entries_added = 0;
  uint64_t groups = 0;  // so many come; not to be trusted
};

struct RdbGroup {
  std::string_view name;
  RdbStreamId last;
  // kUnknown: Redis knew that it does not know; kNotKept: written before Redis 7.0, which kept no such number.
  static constexpr int64_t kUnknown = -1;
  static constexpr int64_t kNotKept = -2;
  int64_t entries_read = kUnknown;
};

struct RdbConsumer {
  std::string_view name;
  int64_t seen_ms = 0;
  int64_t active_ms = -1;  // -1: never, or not known
};

// An entry that was delivered to a consumer and not acknowledged.
struct RdbPending {
  RdbStreamId id;
  int64_t delivered_ms = 0;
  uint64_t deliveries = 0;
};

// Gets a value in one pass: Begin, then what its kind has, then End. Views last for the call only. An error ends the
// reading and is what the reader returns.
class RdbSink {
 public:
  virtual ~RdbSink() = default;
  // `count` is how many elements are claimed to come; nullopt when the encoding does not tell. Not to be trusted.
  virtual absl::Status Begin(RdbKind kind, std::optional<uint64_t> count) = 0;
  virtual absl::Status String(std::string_view bytes) = 0;
  virtual absl::Status Element(std::string_view element) = 0;
  virtual absl::Status Member(std::string_view member) = 0;
  virtual absl::Status Scored(std::string_view member, double score) = 0;
  // `expire_ms` 0: never. Time to live of a single field, in files of Redis 7.4 and Valkey 9.
  virtual absl::Status Field(std::string_view field, std::string_view value, uint64_t expire_ms) = 0;
  // Entries in order of their ids; `fields` are names and values in turn.
  virtual absl::Status Entry(const RdbStreamId& id, std::span<const std::string> fields) = 0;
  // After the entries; then each group, its consumers, and each one's pending entries.
  virtual absl::Status State(const RdbStreamState& state) = 0;
  virtual absl::Status Group(const RdbGroup& group) = 0;
  virtual absl::Status Consumer(const RdbConsumer& consumer) = 0;
  virtual absl::Status Pending(const RdbPending& pending) = 0;
  virtual absl::Status End() = 0;
};

// A sink that takes no notice; base for those that look at a part.
class RdbNullSink : public RdbSink {
 public:
  absl::Status Begin(RdbKind, std::optional<uint64_t>) override { return absl::OkStatus(); }
  absl::Status String(std::string_view) override { return absl::OkStatus(); }
  absl::Status Element(std::string_view) override { return absl::OkStatus(); }
  absl::Status Member(std::string_view) override { return absl::OkStatus(); }
  absl::Status Scored(std::string_view, double) override { return absl::OkStatus(); }
  absl::Status Field(std::string_view, std::string_view, uint64_t) override { return absl::OkStatus(); }
  absl::Status Entry(const RdbStreamId&, std::span<const std::string>) override { return absl::OkStatus(); }
  absl::Status State(const RdbStreamState&) override { return absl::OkStatus(); }
  absl::Status Group(const RdbGroup&) override { return absl::OkStatus(); }
  absl::Status Consumer(const RdbConsumer&) override { return absl::OkStatus(); }
  absl::Status Pending(const RdbPending&) override { return absl::OkStatus(); }
  absl::Status End() override { return absl::OkStatus(); }
};

// Is `type` that of a module's value? Those are skipped (SkipRdbModule) and never given to a sink.
bool IsRdbModule(uint8_t type);

// Reads the value that follows its type byte. `version` is that of the file or payload, which decides what type 22 is.
// UNIMPLEMENTED for a type that is unknown or a module's; INVALID_ARGUMENT when the value is malformed; DATA_LOSS when
// the input ends within it; what the sink returns.
absl::Status ReadRdbValue(uint8_t type, uint16_t version, RdbInput* in, RdbSink* sink);

// Skips a module's value after its type byte, and gives the name of the module's type. UNIMPLEMENTED for the form
// before Redis 4.0, which only the module itself can read.
absl::StatusOr<std::string> SkipRdbModule(uint8_t type, RdbInput* in);
// Skips what modules keep beside keys, after its opcode; gives the name, too.
absl::StatusOr<std::string> SkipRdbModuleAux(RdbInput* in);

// A whole payload of DUMP. DATA_LOSS when version or checksum are wrong; else as ReadRdbValue.
absl::Status ReadRdbPayload(std::string_view payload, RdbSink* sink);
// Payload without version and checksum, read as of the version that is written here.
absl::Status ReadRdbBody(std::string_view body, RdbSink* sink);

}  // namespace tidemark::format
