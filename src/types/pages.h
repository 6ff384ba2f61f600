// Pages for SCAN, HSCAN and whatever else walks a large range a piece at a time without holding anything in between.
//
// The cursor is a place in the order of hashes (KeyOrder, MemberOrder): the next row not yet visited. Rows of equal
// order are never split between two pages, so a row that is there from the first page to the last is returned exactly
// once, whatever is inserted or removed meanwhile. Cursor 0 is the beginning, and as the answer, the end.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "types/keyspace.h"

namespace tidemark::types {

struct KeyPage {
  std::vector<std::string> names;
  uint64_t next = 0;
};
// Looks at `count` ≥ 1 key rows from `cursor` on, or more where that many are of one order, and returns the names of
// those that are alive and `wanted`. A page may be empty though more follow.
absl::StatusOr<KeyPage> ReadKeyPage(Keyspace& keyspace, uint64_t cursor, size_t count,
                                    absl::FunctionRef<bool(const Key&)> wanted);

struct MemberPage {
  struct Member {
    std::string name;
    std::string value;
  };
  std::vector<Member> members;
  uint64_t next = 0;
};
absl::StatusOr<MemberPage> ReadMemberPage(Keyspace& keyspace, const kv::CollectionId& collection, uint64_t cursor,
                                          size_t count, absl::FunctionRef<bool(std::string_view member)> wanted);

}  // namespace tidemark::types
