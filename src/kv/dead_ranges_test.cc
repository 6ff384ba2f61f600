#include "kv/dead_ranges.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

namespace tidemark::kv {
namespace {

TEST(DeadRanges, AgreesWithASetOfRowsAndUndoesInOrder) {
  std::mt19937 random(3);
  const auto letter = [&] { return std::string(1, static_cast<char>('a' + random() % 26)); };
  for (int round = 0; round < 300; ++round) {
    DeadRanges dead;
    std::vector<std::set<std::string>> states{{}};
    std::vector<DeadRanges::Change> changes;
    const auto check = [&] {
      for (char c = 'a'; c <= 'z'; ++c) {
        const std::string row(1, c);
        ASSERT_EQ(dead.Contains(row), states.back().contains(row)) << row;
      }
    };
    for (int i = 0; i < 8; ++i) {
      std::string begin = letter();
      std::string end = letter();
      if (begin == end) continue;
      if (end < begin) std::swap(begin, end);
      changes.push_back(dead.Add(begin, end));
      states.push_back(states.back());
      for (char c = begin[0]; c < end[0]; ++c) states.back().insert(std::string(1, c));
      check();
    }
    while (!changes.empty()) {
      dead.Undo(changes.back());
      changes.pop_back();
      states.pop_back();
      check();
    }
    EXPECT_TRUE(dead.empty());
  }
}

TEST(DeadRanges, CopiesOnlyWhatMeetsARange) {
  DeadRanges dead;
  dead.Add("b", "d");
  dead.Add("f", "h");
  dead.Add("k", "m");
  DeadRanges copy;
  dead.CopyOverlap("g", "k", &copy);
  EXPECT_EQ(copy.ranges().size(), 1u);
  EXPECT_TRUE(copy.Contains("g"));
}

}  // namespace
}  // namespace tidemark::kv
