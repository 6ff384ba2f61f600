// RDB of version 10 (Redis 7.0), written piece by piece: whole files, and payloads as DUMP returns them. Collections
// are written in the plain encodings, which every Redis reads; what is held is what was not flushed yet, and of a
// stream one node of entries and what one group keeps.
//
// Not thread-safe. Errors are those of the flush, and of values that RDB cannot hold.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/rdb_value.h"

namespace tidemark::format {

void AppendRdbLength(uint64_t length, std::string* out);
// Integers of up to 32 bits are written as such; nothing is compressed.
void AppendRdbString(std::string_view bytes, std::string* out);

// Takes what was written, in order.
using RdbFlush = std::function<absl::Status(std::string_view bytes)>;

// One value after the other, as a sink: type, the key if there is one, then the value.
class RdbValueWriter : public RdbSink {
 public:
  // Without `flush` everything stays in bytes().
  explicit RdbValueWriter(RdbFlush flush = nullptr) : flush_(std::move(flush)) {}

  // Stands between the type and the value of what comes next; files have a key there, payloads nothing.
  void SetKey(std::string_view key) {
    has_key_ = true;
    key_.assign(key);
  }

  // `count` is needed, and has to be right: End fails when it was not.
  absl::Status Begin(RdbKind kind, std::optional<uint64_t> count) override;
  absl::Status String(std::string_view bytes) override;
  absl::Status Element(std::string_view element) override;
  absl::Status Member(std::string_view member) override;
  absl::Status Scored(std::string_view member, double score) override;
  // INVALID_ARGUMENT for a field with a time to live: version 10 has none.
  absl::Status Field(std::string_view field, std::string_view value, uint64_t expire_ms) override;
  absl::Status Entry(const RdbStreamId& id, std::span<const std::string> fields) override;
  absl::Status State(const RdbStreamState& state) override;
  absl::Status Group(const RdbGroup& group) override;
  absl::Status Consumer(const RdbConsumer& consumer) override;
  absl::Status Pending(const RdbPending& pending) override;
  absl::Status End() override;

  // Bytes not flushed yet.
  std::string& bytes() { return out_; }
  // Makes a payload of bytes(): version and checksum behind the value. Without a flush.
  void FinishPayload();
  // Flushes what there is, if it is much, or in any case.
  absl::Status Spill(bool all = false);
  uint64_t crc() const { return crc_; }

 private:
  absl::Status Counted();
  absl::Status EndNode();
  absl::Status EndGroup();

  RdbFlush flush_;
  std::string out_;
  uint64_t crc_ = 0;
  bool has_key_ = false;
  std::string key_;
  RdbKind kind_ = RdbKind::kString;
  uint64_t expected_ = 0;
  uint64_t written_ = 0;

  // Of a stream.
  RdbStreamId master_;
  std::vector<std::string> master_fields_;
  std::string node_;
  uint64_t node_entries_ = 0;
  uint64_t node_items_ = 0;
  uint64_t groups_expected_ = 0;
  uint64_t groups_written_ = 0;
  bool in_group_ = false;
  struct Delivered {
    RdbStreamId id;
    int64_t ms;
    uint64_t count;
  };
  std::vector<Delivered> pending_;
  std::string consumers_;
  uint64_t consumer_count_ = 0;
  std::string consumer_head_;
  std::string consumer_ids_;
  uint64_t consumer_pending_ = 0;
  void EndConsumer();
};

// A whole file.
class RdbFileWriter {
 public:
  explicit RdbFileWriter(RdbFlush flush) : value_(std::move(flush)) {}

  // In this order: Begin, then Function as often as needed, then databases with their keys, then Finish.
  // `now_seconds`: Unix time, said in the file.
  absl::Status Begin(std::string_view program_version, uint64_t now_seconds);
  absl::Status Function(std::string_view code);
  // `keys`, `expires`: hints for the reader's tables.
  absl::Status Database(uint64_t number, uint64_t keys, uint64_t expires);
  // The value is then given to value(). `expire_ms` 0: never.
  absl::Status Key(std::string_view name, uint64_t expire_ms);
  RdbSink* value() { return &value_; }
  // End mark and checksum; flushes.
  absl::Status Finish();

 private:
  void Aux(std::string_view name, std::string_view value);

  RdbValueWriter value_;
};

}  // namespace tidemark::format
