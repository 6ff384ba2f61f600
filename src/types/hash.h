// Hashes: one member row a field, the number of fields in the key row.
//
// Not thread-safe: all of this lives within one transaction, on its thread.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "types/keyspace.h"

namespace tidemark::types {

// One hash in one transaction. Fields change one by one; Commit writes the key row once for all of them.
class Hash {
 public:
  // An absent key is an empty hash that the first field brings into being. WrongType() for another type.
  static absl::StatusOr<Hash> Find(Keyspace& keyspace, std::string_view name);
  // As Find, counted as Keyspace::Lookup counts.
  static absl::StatusOr<Hash> Lookup(Keyspace& keyspace, std::string_view name);

  const Key& key() const { return key_; }
  uint64_t size() const { return size_; }

  // The field's row (its value: Keyspace::MemberBytes), null when there is no such field.
  absl::StatusOr<kv::Value> Get(std::string_view field);
  // True when the field is new.
  absl::StatusOr<bool> Set(std::string_view field, std::string_view value);
  // As Set, for who has looked already: `existed` as Get found it in this transaction.
  void Put(std::string_view field, std::string_view value, bool existed);
  // True when there was such a field.
  absl::StatusOr<bool> Delete(std::string_view field);

  // Call once, after the last change. Without fields left, the key goes.
  void Commit();

 private:
  static Hash Of(Keyspace& keyspace, Key key);
  Hash(Keyspace& keyspace, Key key) : keyspace_(&keyspace), key_(std::move(key)), size_(key_.count) {}

  Keyspace* keyspace_;
  Key key_;
  uint64_t size_;
  kv::CollectionId collection_;  // the key's own, or a new one once there is a field
  bool changed_ = false;
};

struct HashField {
  std::string name;
  std::string value;
};

// Fields of `hash` chosen at random: with `repeat` `count` draws, each from all fields; else `count` different ones,
// all of them when there are no more. Reads at most about 32 times as many rows as it returns.
//
// Small hashes, and large requests, read every field and choose exactly evenly. Otherwise a draw takes a random point
// in the order of members and one of the next 32: a field's chance is then proportional to the gaps before it in a
// hash's order, which evens out over 32 of them to within about a fifth.
absl::StatusOr<std::vector<HashField>> RandomFields(Keyspace& keyspace, const Key& hash, uint64_t count, bool repeat,
                                                    std::mt19937_64& random);

}  // namespace tidemark::types
