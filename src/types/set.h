// Sets: one member row without a value a member, the number of members in the key row; and what sets make together.
//
// Not thread-safe: all of this lives within one transaction, on its thread.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "types/member_collection.h"

namespace tidemark::types {

// One set in one transaction.
class Set : public MemberCollection {
 public:
  // WrongType() for another type.
  static absl::StatusOr<Set> Find(Keyspace& keyspace, std::string_view name);
  // As Find, counted as Keyspace::Lookup counts.
  static absl::StatusOr<Set> Lookup(Keyspace& keyspace, std::string_view name);

  absl::StatusOr<bool> Contains(std::string_view member);
  // True when the member is new.
  absl::StatusOr<bool> Add(std::string_view member);

 private:
  Set(Keyspace& keyspace, Key key) : MemberCollection(keyspace, Type::kSet, std::move(key)) {}
};

// Gives `key` a set of `members`, all different, in place of whatever it holds; none: the key goes.
void PutSet(Keyspace& keyspace, Key* key, std::span<const std::string> members);

// The following call `visit` once for each member of the result, in no order, until it returns false. `sets` are as
// found in this transaction, at least one; an absent key is an empty set. Memory: a page of members at a time, beside
// what is said below.
using SetVisitor = absl::FunctionRef<bool(std::string_view member)>;

// Members of all sets: reads the smallest whole and looks its members up in the others.
absl::Status VisitIntersection(Keyspace& keyspace, std::vector<Key> sets, SetVisitor visit);
// Members of any set. Holds the whole result in memory when there is more than one set.
absl::Status VisitUnion(Keyspace& keyspace, std::span<const Key> sets, SetVisitor visit);
// Members of the first set that none of the others has: looks them up there, or, when the others have fewer members
// together than that takes looks, reads them all and holds the first set in memory.
absl::Status VisitDifference(Keyspace& keyspace, std::span<const Key> sets, SetVisitor visit);

}  // namespace tidemark::types
