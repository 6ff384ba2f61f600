// Hashes: one member row a field, the number of fields in the key row.
//
// Not thread-safe: all of this lives within one transaction, on its thread.
#pragma once

#include <string_view>
#include <utility>

#include "base/status.h"
#include "types/member_collection.h"

namespace tidemark::types {

// One hash in one transaction; its members are its fields.
class Hash : public MemberCollection {
 public:
  // WrongType() for another type.
  static absl::StatusOr<Hash> Find(Keyspace& keyspace, std::string_view name);
  // As Find, counted as Keyspace::Lookup counts.
  static absl::StatusOr<Hash> Lookup(Keyspace& keyspace, std::string_view name);

  // True when the field is new.
  absl::StatusOr<bool> Set(std::string_view field, std::string_view value);
  // As Set, for who has looked already: `existed` as Get found it in this transaction.
  using MemberCollection::Put;

 private:
  Hash(Keyspace& keyspace, Key key) : MemberCollection(keyspace, Type::kHash, std::move(key)) {}
};

}  // namespace tidemark::types
