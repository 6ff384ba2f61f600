#include "types/set.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>

#include "types/pages.h"

namespace tidemark::types {
namespace {

constexpr size_t kPageRows = 512;

// Visits every member in pages, so that the visitor may read other rows; it returns false to stop.
absl::Status VisitInPages(Keyspace& keyspace, const Key& set,
                          absl::FunctionRef<absl::StatusOr<bool>(std::string_view member)> visit) {
  if (!set) return absl::OkStatus();
  uint64_t cursor = 0;
  do {
    TM_ASSIGN_OR_RETURN(const MemberPage page, ReadMemberPage(keyspace, set.collection, cursor, kPageRows,
                                                              [](std::string_view) { return true; }));
    for (const MemberPage::Member& member : page.members) {
      TM_ASSIGN_OR_RETURN(const bool more, visit(member.name));
      if (!more) return absl::OkStatus();
    }
    cursor = page.next;
  } while (cursor != 0);
  return absl::OkStatus();
}

absl::StatusOr<bool> Has(Keyspace& keyspace, const Key& set, std::string_view member) {
  if (!set) return false;
  TM_ASSIGN_OR_RETURN(const kv::Value row, keyspace.GetMemberRow(set.collection, member));
  return static_cast<bool>(row);
}

bool SameSet(const Key& a, const Key& b) { return a && b && a.collection == b.collection; }

// How many looks it takes at most to ask every other set for every member of the first.
uint64_t LooksByMember(std::span<const Key> sets) { return sets[0].count * (sets.size() - 1); }

absl::Status DifferenceByMember(Keyspace& keyspace, std::span<const Key> sets, SetVisitor visit) {
  return VisitInPages(keyspace, sets[0], [&](std::string_view member) -> absl::StatusOr<bool> {
    for (const Key& other : sets.subspan(1)) {
      TM_ASSIGN_OR_RETURN(const bool has, Has(keyspace, other, member));
      if (has) return true;
    }
    return visit(member);
  });
}

absl::Status DifferenceInMemory(Keyspace& keyspace, std::span<const Key> sets, SetVisitor visit) {
  absl::flat_hash_set<std::string> left;
  TM_RETURN_IF_ERROR(VisitInPages(keyspace, sets[0], [&](std::string_view member) {
    left.insert(std::string(member));
    return true;
  }));
  for (const Key& other : sets.subspan(1)) {
    TM_RETURN_IF_ERROR(VisitInPages(keyspace, other, [&](std::string_view member) {
      left.erase(ToAbsl(member));
      return !left.empty();
    }));
  }
  for (const std::string& member : left) {
    if (!visit(member)) break;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Set> Set::Find(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(name, Type::kSet));
  return Set(keyspace, std::move(key));
}

absl::StatusOr<Set> Set::Lookup(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Lookup(name, Type::kSet));
  return Set(keyspace, std::move(key));
}

absl::StatusOr<bool> Set::Contains(std::string_view member) {
  TM_ASSIGN_OR_RETURN(const kv::Value found, Get(member));
  return static_cast<bool>(found);
}

absl::StatusOr<bool> Set::Add(std::string_view member) {
  TM_ASSIGN_OR_RETURN(const bool has, Contains(member));
  if (!has) Put(member, {}, false);
  return !has;
}

void PutSet(Keyspace& keyspace, Key* key, std::span<const std::string> members) {
  const kv::CollectionId collection = keyspace.txn().NewCollectionId();
  for (const std::string& member : members) keyspace.PutMember(collection, member, {});
  keyspace.PutCollection(key, Type::kSet, collection, members.size(), 0);
}

absl::Status VisitIntersection(Keyspace& keyspace, std::vector<Key> sets, SetVisitor visit) {
  std::sort(sets.begin(), sets.end(), [](const Key& a, const Key& b) { return a.count < b.count; });
  return VisitInPages(keyspace, sets[0], [&](std::string_view member) -> absl::StatusOr<bool> {
    for (size_t i = 1; i < sets.size(); ++i) {
      if (SameSet(sets[i], sets[0])) continue;
      TM_ASSIGN_OR_RETURN(const bool has, Has(keyspace, sets[i], member));
      if (!has) return true;
    }
    return visit(member);
  });
}

absl::Status VisitUnion(Keyspace& keyspace, std::span<const Key> sets, SetVisitor visit) {
  if (sets.size() == 1) return VisitInPages(keyspace, sets[0], visit);
  absl::flat_hash_set<std::string> seen;
  bool more = true;
  for (const Key& set : sets) {
    TM_RETURN_IF_ERROR(VisitInPages(keyspace, set, [&](std::string_view member) {
      if (seen.insert(std::string(member)).second) more = visit(member);
      return more;
    }));
    if (!more) break;
  }
  return absl::OkStatus();
}

absl::Status VisitDifference(Keyspace& keyspace, std::span<const Key> sets, SetVisitor visit) {
  uint64_t members_of_others = 0;
  for (const Key& other : sets.subspan(1)) {
    if (SameSet(other, sets[0])) return absl::OkStatus();
    members_of_others += other.count;
  }
  return LooksByMember(sets) <= sets[0].count + members_of_others ? DifferenceByMember(keyspace, sets, visit)
                                                                  : DifferenceInMemory(keyspace, sets, visit);
}

}  // namespace tidemark::types
