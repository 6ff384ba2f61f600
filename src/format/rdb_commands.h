// A value of an RDB file as the commands that make it, in pieces: how a file of any size gets into a running server,
// this one or a Redis, without a value ever being held whole. The way in which Redis rewrites its append-only file
// (sources: Redis 7.0 src/aof.c rewriteAppendOnlyFileRio, rewriteStreamObject).
//
// What commands cannot say is lost, as it is there: pending entries of a stream whose entry is deleted, and when a
// consumer was last seen.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/rdb_value.h"

namespace tidemark::format {

// One command; the views last for the call.
using RdbEmit = std::function<absl::Status(std::span<const std::string_view> words)>;

class RdbCommands : public RdbSink {
 public:
  explicit RdbCommands(RdbEmit emit) : emit_(std::move(emit)) {}

  // Of the value that comes next. `expire_ms` counts if `has_expiry`.
  void SetKey(std::string_view name, bool has_expiry, uint64_t expire_ms);
  // Fields with times to live of their own become fields that stay. Else they are an INVALID_ARGUMENT.
  void DropFieldExpiries(bool drop) { drop_field_expiries_ = drop; }
  uint64_t dropped_field_expiries() const { return dropped_; }

  absl::Status Begin(RdbKind kind, std::optional<uint64_t> count) override;
  absl::Status String(std::string_view bytes) override;
  absl::Status Element(std::string_view element) override;
  absl::Status Member(std::string_view member) override;
  absl::Status Scored(std::string_view member, double score) override;
  absl::Status Field(std::string_view field, std::string_view value, uint64_t expire_ms) override;
  absl::Status Entry(const RdbStreamId& id, std::span<const std::string> fields) override;
  absl::Status State(const RdbStreamState& state) override;
  absl::Status Group(const RdbGroup& group) override;
  absl::Status Consumer(const RdbConsumer& consumer) override;
  absl::Status Pending(const RdbPending& pending) override;
  absl::Status End() override;

  // Words and bytes of one command, at most, unless a single element has more.
  static constexpr size_t kWordsMax = 512;
  static constexpr size_t kBytesMax = 256u << 10;

 private:
  absl::Status Emit(std::initializer_list<std::string_view> words);
  void Add(std::string_view word);
  absl::Status SendBatch();

  RdbEmit emit_;
  std::string key_;
  bool has_expiry_ = false;
  uint64_t expire_ms_ = 0;
  bool drop_field_expiries_ = false;
  uint64_t dropped_ = 0;

  RdbKind kind_ = RdbKind::kString;
  std::string_view verb_;
  std::vector<std::string> batch_;
  size_t batch_bytes_ = 0;
  std::string group_;
  std::string consumer_;
  bool any_entry_ = false;
};

}  // namespace tidemark::format
