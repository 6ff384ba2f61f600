// Values as rows, and rows as values, in the form that RDB has them (format/rdb_value.h): what DUMP, RESTORE and
// exports share. A type is added here and nowhere else.
//
// Not thread-safe: lives within one transaction, on its thread.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "format/rdb_value.h"
#include "types/keyspace.h"
#include "types/stream_groups.h"
#include "types/zset.h"

namespace tidemark::types {

// Gives the value of `key`, as found in this transaction, to `sink`. Where it changes meanwhile (in a rehearsal, which
// sees every row at a moment of its own) this fails with kv::ColdRow(), and who comes again finds the rows in memory.
// Other errors are those of transaction and sink.
absl::Status VisitValue(Keyspace& keyspace, const Key& key, format::RdbSink* sink);

// A sink that gives a key the value that it is told, in place of whatever the key holds. What is left of it when Finish
// is not called goes with the transaction, which has to fail then.
class ValueRows final : public format::RdbSink {
 public:
  // `key` as found in this transaction. Both outlive it.
  ValueRows(Keyspace& keyspace, Key* key) : keyspace_(keyspace), key_(*key) {}

  absl::Status Begin(format::RdbKind kind, std::optional<uint64_t> count) override;
  absl::Status String(std::string_view bytes) override;
  absl::Status Element(std::string_view element) override;
  // INVALID_ARGUMENT for what stands twice or is too long for a row.
  absl::Status Member(std::string_view member) override;
  absl::Status Scored(std::string_view member, double score) override;
  absl::Status Field(std::string_view field, std::string_view value, uint64_t expire_ms) override;
  absl::Status Entry(const format::RdbStreamId& id, std::span<const std::string> fields) override;
  absl::Status State(const format::RdbStreamState& state) override;
  absl::Status Group(const format::RdbGroup& group) override;
  absl::Status Consumer(const format::RdbConsumer& consumer) override;
  absl::Status Pending(const format::RdbPending& pending) override;
  absl::Status End() override { return absl::OkStatus(); }

  // After End. `expire_ms` 0: for ever.
  absl::Status Finish(uint64_t expire_ms);

 private:
  absl::Status CheckMember(std::string_view member);
  absl::Status PutKey(uint64_t expire_ms);

  Keyspace& keyspace_;
  Key& key_;
  format::RdbKind kind_ = format::RdbKind::kString;
  std::string string_;
  kv::CollectionId collection_;
  uint64_t count_ = 0;
  absl::flat_hash_set<std::pair<uint64_t, uint64_t>> members_;  // WideHash of each
  std::optional<Zset> zset_;
  std::optional<Stream> stream_;
  std::optional<StreamGroup> group_;
  std::string consumer_;
};

}  // namespace tidemark::types
