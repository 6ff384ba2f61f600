#include "types/hash.h"

namespace tidemark::types {

absl::StatusOr<Hash> Hash::Find(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(name, Type::kHash));
  return Hash(keyspace, std::move(key));
}

absl::StatusOr<Hash> Hash::Lookup(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Lookup(name, Type::kHash));
  return Hash(keyspace, std::move(key));
}

absl::StatusOr<bool> Hash::Set(std::string_view field, std::string_view value) {
  TM_ASSIGN_OR_RETURN(const kv::Value found, Get(field));
  const bool existed = static_cast<bool>(found);
  Put(field, value, existed);
  return !existed;
}

}  // namespace tidemark::types
