#include "types/random_members.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace tidemark::types {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
// Rows from which one draw of RandomMembers chooses.
constexpr size_t kDrawRows = 32;

uint64_t Below(uint64_t bound, std::mt19937_64& random) {
  return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random);
}

absl::Status VisitAll(Keyspace& keyspace, const Key& collection,
                      const std::function<void(std::string_view member, std::string_view value)>& visit) {
  return keyspace.VisitMembers(collection.collection, 0, kNoLimit,
                               [&](std::string_view member, std::string_view value, uint32_t) {
                                 visit(member, value);
                                 return true;
                               });
}

// `count` different members, evenly, in one pass without knowing how many there are: reservoir sampling (Vitter's
// algorithm R).
absl::StatusOr<std::vector<RandomMember>> Sample(Keyspace& keyspace, const Key& collection, uint64_t count,
                                                 std::mt19937_64& random) {
  std::vector<RandomMember> chosen;
  uint64_t seen = 0;
  TM_RETURN_IF_ERROR(VisitAll(keyspace, collection, [&](std::string_view member, std::string_view value) {
    ++seen;
    if (chosen.size() < count) {
      chosen.push_back({std::string(member), std::string(value)});
    } else if (const uint64_t place = Below(seen, random); place < count) {
      chosen[place] = {std::string(member), std::string(value)};
    }
  }));
  return chosen;
}

// `count` draws from all members in one pass: which ones is drawn before, in the order in which they will be met.
absl::StatusOr<std::vector<RandomMember>> DrawInOnePass(Keyspace& keyspace, const Key& collection, uint64_t count,
                                                        std::mt19937_64& random) {
  std::vector<uint64_t> places(count);
  for (uint64_t& place : places) place = Below(collection.count, random);
  std::sort(places.begin(), places.end());
  std::vector<RandomMember> drawn;
  drawn.reserve(count);
  auto next = places.begin();
  uint64_t place = 0;
  TM_RETURN_IF_ERROR(VisitAll(keyspace, collection, [&](std::string_view member, std::string_view value) {
    for (; next != places.end() && *next == place; ++next) drawn.push_back({std::string(member), std::string(value)});
    ++place;
  }));
  // A read outside the commit lock may find fewer members than the key row said a moment before.
  for (const size_t met = drawn.size(); met > 0 && drawn.size() < count;) drawn.push_back(drawn[Below(met, random)]);
  std::shuffle(drawn.begin(), drawn.end(), random);
  return drawn;
}

// One draw without reading everything. nullopt when the collection has become empty.
absl::StatusOr<std::optional<RandomMember>> DrawNear(Keyspace& keyspace, const Key& collection,
                                                     std::mt19937_64& random) {
  std::optional<RandomMember> drawn;
  size_t met = 0;
  const auto consider = [&](std::string_view member, std::string_view value, uint32_t) {
    if (Below(++met, random) == 0) drawn = {std::string(member), std::string(value)};
    return true;
  };
  const auto from = static_cast<uint32_t>(random());
  TM_RETURN_IF_ERROR(keyspace.VisitMembers(collection.collection, from, kDrawRows, consider));
  if (met < kDrawRows) TM_RETURN_IF_ERROR(keyspace.VisitMembers(collection.collection, 0, kDrawRows - met, consider));
  return drawn;
}

}  // namespace

absl::StatusOr<std::vector<RandomMember>> RandomMembers(Keyspace& keyspace, const Key& collection, uint64_t count,
                                                        bool repeat, std::mt19937_64& random) {
  std::vector<RandomMember> members;
  if (count == 0 || collection.count == 0) return members;
  const bool read_all = count >= (collection.count + kDrawRows - 1) / kDrawRows;
  if (read_all) {
    return repeat ? DrawInOnePass(keyspace, collection, count, random) : Sample(keyspace, collection, count, random);
  }
  absl::flat_hash_set<std::string> names;
  // Fewer than one draw in 16 should repeat a member; where the order is so uneven that more do, choose among all.
  for (uint64_t draws_left = count * 2 + kDrawRows; members.size() < count; --draws_left) {
    if (draws_left == 0) return Sample(keyspace, collection, count, random);
    TM_ASSIGN_OR_RETURN(std::optional<RandomMember> member, DrawNear(keyspace, collection, random));
    if (!member) break;
    if (repeat || names.insert(member->name).second) members.push_back(*std::move(member));
  }
  return members;
}

}  // namespace tidemark::types
