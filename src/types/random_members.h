// Members chosen at random from a collection of member rows: what HRANDFIELD, SRANDMEMBER, SPOP and ZRANDMEMBER answer.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/status.h"
#include "types/keyspace.h"

namespace tidemark::types {

struct RandomMember {
  std::string name;
  std::string value;
};

// Members of `collection` chosen at random: with `repeat` `count` draws, each from all members; else `count` different
// ones, all of them when there are no more. Reads at most about 32 times as many rows as it returns.
//
// Small collections, and large requests, read every member and choose exactly evenly. Otherwise a draw takes a random
// point in the order of members and one of the next 32: a member's chance is then proportional to the gaps before it in
// that order, which evens out over 32 of them to within about a fifth.
absl::StatusOr<std::vector<RandomMember>> RandomMembers(Keyspace& keyspace, const Key& collection, uint64_t count,
                                                        bool repeat, std::mt19937_64& random);

}  // namespace tidemark::types
