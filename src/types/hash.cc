#include "types/hash.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "types/pages.h"

namespace tidemark::types {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
// Rows from which one draw of RandomFields chooses.
constexpr size_t kDrawRows = 32;

uint64_t Below(uint64_t bound, std::mt19937_64& random) {
  return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random);
}

absl::Status CheckField(std::string_view field) {
  if (field.size() <= kMaxKeyBytes) return absl::OkStatus();
  return InvalidArgument("ERR field of {} bytes is longer than the limit of {} bytes", field.size(), kMaxKeyBytes);
}

absl::Status VisitAll(Keyspace& keyspace, const Key& hash,
                      const std::function<void(std::string_view field, std::string_view value)>& visit) {
  return keyspace.VisitMembers(hash.collection, 0, kNoLimit,
                               [&](std::string_view field, std::string_view value, uint32_t) {
                                 visit(field, value);
                                 return true;
                               });
}

// `count` different fields, evenly, in one pass without knowing how many there are: reservoir sampling (Vitter's
// algorithm R).
absl::StatusOr<std::vector<HashField>> Sample(Keyspace& keyspace, const Key& hash, uint64_t count,
                                              std::mt19937_64& random) {
  std::vector<HashField> chosen;
  uint64_t seen = 0;
  TM_RETURN_IF_ERROR(VisitAll(keyspace, hash, [&](std::string_view field, std::string_view value) {
    ++seen;
    if (chosen.size() < count) {
      chosen.push_back({std::string(field), std::string(value)});
    } else if (const uint64_t place = Below(seen, random); place < count) {
      chosen[place] = {std::string(field), std::string(value)};
    }
  }));
  return chosen;
}

// `count` draws from all fields in one pass: which ones is drawn before, in the order in which they will be met.
absl::StatusOr<std::vector<HashField>> DrawInOnePass(Keyspace& keyspace, const Key& hash, uint64_t count,
                                                     std::mt19937_64& random) {
  std::vector<uint64_t> places(count);
  for (uint64_t& place : places) place = Below(hash.count, random);
  std::sort(places.begin(), places.end());
  std::vector<HashField> drawn;
  drawn.reserve(count);
  auto next = places.begin();
  uint64_t place = 0;
  TM_RETURN_IF_ERROR(VisitAll(keyspace, hash, [&](std::string_view field, std::string_view value) {
    for (; next != places.end() && *next == place; ++next) drawn.push_back({std::string(field), std::string(value)});
    ++place;
  }));
  // A read outside the commit lock may find fewer fields than the key row said a moment before.
  for (const size_t met = drawn.size(); met > 0 && drawn.size() < count;) drawn.push_back(drawn[Below(met, random)]);
  std::shuffle(drawn.begin(), drawn.end(), random);
  return drawn;
}

// One draw without reading everything. nullopt when the hash has become empty.
absl::StatusOr<std::optional<HashField>> DrawNear(Keyspace& keyspace, const Key& hash, std::mt19937_64& random) {
  std::optional<HashField> drawn;
  size_t met = 0;
  const auto consider = [&](std::string_view field, std::string_view value, uint32_t) {
    if (Below(++met, random) == 0) drawn = {std::string(field), std::string(value)};
    return true;
  };
  const auto from = static_cast<uint32_t>(random());
  TM_RETURN_IF_ERROR(keyspace.VisitMembers(hash.collection, from, kDrawRows, consider));
  if (met < kDrawRows) TM_RETURN_IF_ERROR(keyspace.VisitMembers(hash.collection, 0, kDrawRows - met, consider));
  return drawn;
}

}  // namespace

Hash Hash::Of(Keyspace& keyspace, Key key) {
  Hash hash(keyspace, std::move(key));
  if (hash.key_) hash.collection_ = hash.key_.collection;
  return hash;
}

absl::StatusOr<Hash> Hash::Find(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(name, Type::kHash));
  return Of(keyspace, std::move(key));
}

absl::StatusOr<Hash> Hash::Lookup(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Lookup(name, Type::kHash));
  return Of(keyspace, std::move(key));
}

absl::StatusOr<kv::Value> Hash::Get(std::string_view field) {
  TM_RETURN_IF_ERROR(CheckField(field));
  if (size_ == 0) return kv::Value();
  return keyspace_->GetMemberRow(collection_, field);
}

absl::StatusOr<bool> Hash::Set(std::string_view field, std::string_view value) {
  TM_ASSIGN_OR_RETURN(const kv::Value found, Get(field));
  const bool existed = static_cast<bool>(found);
  Put(field, value, existed);
  return !existed;
}

void Hash::Put(std::string_view field, std::string_view value, bool existed) {
  if (collection_ == kv::CollectionId{}) collection_ = keyspace_->txn().NewCollectionId();
  keyspace_->PutMember(collection_, field, value);
  if (!existed) ++size_;
  changed_ = true;
}

absl::StatusOr<bool> Hash::Delete(std::string_view field) {
  TM_ASSIGN_OR_RETURN(const kv::Value found, Get(field));
  if (!found) return false;
  keyspace_->DeleteMember(collection_, field);
  --size_;
  changed_ = true;
  return true;
}

void Hash::Commit() {
  if (!changed_) return;
  if (size_ == key_.count) {
    keyspace_->txn().Touched(keyspace_->db(), key_.name);
  } else {
    keyspace_->PutCollection(&key_, Type::kHash, collection_, size_, key_.expire_ms);
  }
  changed_ = false;
}

absl::StatusOr<std::vector<HashField>> RandomFields(Keyspace& keyspace, const Key& hash, uint64_t count, bool repeat,
                                                    std::mt19937_64& random) {
  std::vector<HashField> fields;
  if (count == 0 || hash.count == 0) return fields;
  const bool read_all = count >= (hash.count + kDrawRows - 1) / kDrawRows;
  if (read_all) {
    return repeat ? DrawInOnePass(keyspace, hash, count, random) : Sample(keyspace, hash, count, random);
  }
  absl::flat_hash_set<std::string> names;
  // Fewer than one draw in 16 should repeat a field; where hashes are so uneven that more do, choose among all.
  for (uint64_t draws_left = count * 2 + kDrawRows; fields.size() < count; --draws_left) {
    if (draws_left == 0) return Sample(keyspace, hash, count, random);
    TM_ASSIGN_OR_RETURN(std::optional<HashField> field, DrawNear(keyspace, hash, random));
    if (!field) break;
    if (repeat || names.insert(field->name).second) fields.push_back(*std::move(field));
  }
  return fields;
}

}  // namespace tidemark::types
