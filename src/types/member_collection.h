// What hashes and sets have in common: a collection of member rows, each found by its name, and their number in the key
// row.
//
// Not thread-safe: all of this lives within one transaction, on its thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "types/keyspace.h"

namespace tidemark::types {

// One collection in one transaction. Members change one by one; Commit writes the key row once for all of them. An
// absent key is an empty collection that the first member brings into being.
class MemberCollection {
 public:
  const Key& key() const { return key_; }
  uint64_t size() const { return size_; }

  // The member's row (its value: Keyspace::MemberBytes), null when there is no such member.
  absl::StatusOr<kv::Value> Get(std::string_view member);
  // True when there was such a member.
  absl::StatusOr<bool> Delete(std::string_view member);

  // Call once, after the last change. Without members left, the key goes: then it returns true.
  bool Commit();

 protected:
  MemberCollection(Keyspace& keyspace, Type type, Key key)
      : keyspace_(&keyspace), type_(type), key_(std::move(key)), size_(key_.count) {
    if (key_) collection_ = key_.collection;
  }
  // `existed` as Get found it in this transaction.
  void Put(std::string_view member, std::string_view value, bool existed);

 private:
  Keyspace* keyspace_;
  Type type_;
  Key key_;
  uint64_t size_;
  kv::CollectionId collection_;  // the key's own, or a new one once there is a member
  bool changed_ = false;
};

}  // namespace tidemark::types
