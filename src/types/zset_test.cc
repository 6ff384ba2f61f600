// Sorted sets against std::set through random changes: order, ranks, ranges, and that index, rows and counts agree.
#include "types/zset.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "types/testing.h"

namespace tidemark::types {
namespace {

using testing::MemoryTxn;

constexpr DbIndex kDb = {0};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class ZsetTest : public ::testing::Test {
 protected:
  using Ordered = std::set<std::pair<double, std::string>>;

  Zset Find(Keyspace& keys, std::string_view name = "z") {
    absl::StatusOr<Zset> zset = Zset::Find(keys, name);
    TM_CHECK(zset.ok(), "{}", Message(zset.status()));
    return *std::move(zset);
  }
  // One statement with `change` between Find and Commit.
  template <typename Change>
  void Do(Change change, std::string_view name = "z") {
    txn_.Begin(true);
    Keyspace keys(txn_, kDb);
    Zset zset = Find(keys, name);
    change(zset);
    const absl::Status committed = zset.Commit();
    ASSERT_TRUE(committed.ok()) << Message(committed);
    txn_.Commit();
  }
  void Put(Zset& zset, const std::string& member, double score) {
    const auto former = zset.Score(member);
    ASSERT_TRUE(former.ok());
    const absl::Status put = zset.Put(member, score, *former);
    ASSERT_TRUE(put.ok()) << Message(put);
    if (*former) ordered_.erase({**former, member});
    ordered_.emplace(score, member);
    scores_[member] = score;
  }
  void Remove(Zset& zset, const std::string& member) {
    const auto found = scores_.find(member);
    if (found == scores_.end()) return;
    const absl::Status removed = zset.Remove(member, found->second);
    ASSERT_TRUE(removed.ok()) << Message(removed);
    ordered_.erase({found->second, member});
    scores_.erase(found);
  }
  std::vector<std::pair<double, std::string>> Read(Zset& zset, const ScoreRange& range, bool backward, uint64_t skip,
                                                   uint64_t limit) {
    std::vector<std::pair<double, std::string>> read;
    const absl::Status visited = zset.Visit(range, backward, skip, limit, [&](std::string_view member, double score) {
      read.emplace_back(score, member);
      return true;
    });
    EXPECT_TRUE(visited.ok()) << Message(visited);
    return read;
  }
  std::vector<std::pair<double, std::string>> Expected(const ScoreRange& range, bool backward, uint64_t skip,
                                                       uint64_t limit) {
    std::vector<std::pair<double, std::string>> inside;
    for (const auto& [score, member] : ordered_) {
      const std::string order = ScoreOrder(score, member);
      if (order >= range.begin && (!range.end || order < *range.end)) inside.emplace_back(score, member);
    }
    if (backward) std::reverse(inside.begin(), inside.end());
    inside.erase(inside.begin(), inside.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(skip, inside.size())));
    if (inside.size() > limit) inside.resize(limit);
    return inside;
  }
  // Everything that can be asked of the set, at a few places.
  void ExpectModel(std::mt19937_64& random) {
    txn_.Begin(false);
    Keyspace keys(txn_, kDb);
    Zset zset = Find(keys);
    ASSERT_EQ(zset.size(), ordered_.size());
    const absl::Status sound = zset.Verify();
    ASSERT_TRUE(sound.ok()) << Message(sound);
    const auto place = [&] {
      const uint64_t at = random() % (ordered_.size() + 1);
      const auto found = std::next(ordered_.begin(), static_cast<ptrdiff_t>(at));
      return found == ordered_.end() ? ScoreBegin(1e9) : ScoreOrder(found->first, found->second);
    };
    for (int i = 0; i < 8; ++i) {
      const std::string order = place();
      uint64_t before = 0;
      for (const auto& [score, member] : ordered_) before += ScoreOrder(score, member) < order ? 1 : 0;
      const auto counted = zset.CountBefore(order);
      ASSERT_TRUE(counted.ok()) << Message(counted.status());
      EXPECT_EQ(*counted, before);
      ScoreRange range{place(), place()};
      if (random() % 4 == 0) range.begin.clear();
      if (random() % 4 == 0) range.end.reset();
      const uint64_t skip = random() % (ordered_.size() + 2);
      const uint64_t limit = random() % 4 == 0 ? Zset::kNoLimit : random() % 20;
      const bool backward = random() % 2 == 0;
      EXPECT_EQ(Read(zset, range, backward, skip, limit), Expected(range, backward, skip, limit));
      const auto count = zset.Count(range);
      ASSERT_TRUE(count.ok());
      EXPECT_EQ(*count, Expected(range, false, 0, Zset::kNoLimit).size());
    }
  }
  size_t IndexRows() const {
    size_t rows = 0;
    for (const auto& [row, value] : txn_.rows()) {
      const auto parts = ParseOrderedRow(row);
      rows += parts && parts->kind == OrderedKind::kIndex ? 1 : 0;
    }
    return rows;
  }

  MemoryTxn txn_;
  Ordered ordered_;
  std::map<std::string, double> scores_;
};

TEST_F(ZsetTest, BytesAreInTheOrderOfNumbers) {
  const double scores[] = {-kInfinity, -1.7e308,           -2,    -1.5,     -1e-310, 0, 1e-310, 0.5,
                           1,          1.0000000000000002, 3e300, kInfinity};
  for (size_t i = 1; i < std::size(scores); ++i) {
    EXPECT_LT(ScoreOrder(scores[i - 1], "z"), ScoreOrder(scores[i], "a"));
    EXPECT_LE(ScoreEnd(scores[i - 1]), ScoreBegin(scores[i]));
  }
  EXPECT_EQ(ScoreOrder(-0.0, "m"), ScoreOrder(0.0, "m"));
  EXPECT_LT(ScoreOrder(1, "a"), ScoreOrder(1, "ab"));
}

TEST_F(ZsetTest, ScoresComeBackAsTheyWere) {
  Do([&](Zset& zset) {
    for (const double score : {-kInfinity, -1e-310, 0.1, 1e300, kInfinity}) Put(zset, std::to_string(score), score);
    Put(zset, "minus zero", -0.0);
  });
  Keyspace keys(txn_, kDb);
  Zset zset = Find(keys);
  EXPECT_EQ(Read(zset, {}, false, 0, Zset::kNoLimit), Expected({}, false, 0, Zset::kNoLimit));
  EXPECT_FALSE(std::signbit(**zset.Score("minus zero")));
}

// Few different scores and many, members long and short, growing far and shrinking to nothing.
TEST_F(ZsetTest, FollowsAModelThroughRandomChanges) {
  for (const uint64_t seed : {1, 2, 3}) {
    std::mt19937_64 random(seed);
    const uint64_t members = seed == 1 ? 700 : 4000;
    const uint64_t scores = seed == 2 ? 1 : 5000;
    for (const int remove_of_ten : {2, 7, 1, 9, 10}) {
      for (uint64_t step = 0; step < members / 50; ++step) {
        Do([&](Zset& zset) {
          for (int i = 0; i < 60; ++i) {
            const std::string member = "member:" + std::to_string(random() % members);
            if (static_cast<int>(random() % 10) < remove_of_ten) {
              Remove(zset, member);
            } else {
              Put(zset, member, static_cast<double>(random() % scores) / 8 - 100);
            }
          }
        });
        if (step % 16 == 0) ExpectModel(random);
        if (HasFatalFailure()) return;
      }
    }
    Do([&](Zset& zset) {
      while (!scores_.empty()) Remove(zset, std::string(scores_.begin()->first));
    });
    Keyspace keys(txn_, kDb);
    EXPECT_FALSE(Find(keys).key());
  }
}

TEST_F(ZsetTest, SmallSetsHaveNoIndex) {
  Do([&](Zset& zset) {
    for (uint64_t i = 0; i < Zset::kPlainMax; ++i) Put(zset, std::to_string(i), 1);
  });
  EXPECT_EQ(IndexRows(), 0U);
  Do([&](Zset& zset) { Put(zset, "one more", 1); });
  EXPECT_GT(IndexRows(), 0U);
  Do([&](Zset& zset) {
    while (scores_.size() >= Zset::kIndexedMin) Remove(zset, std::string(scores_.begin()->first));
  });
  EXPECT_EQ(IndexRows(), 0U);
}

TEST_F(ZsetTest, LongMembersWithOneBeginningStayInOneBlock) {
  std::mt19937_64 random(3);
  const std::string beginning(300, 'p');
  Do([&](Zset& zset) {
    for (int i = 0; i < 1500; ++i) Put(zset, beginning + std::to_string(i), 0);
  });
  for (int i = 1500; i < 2100; ++i) {
    Do([&](Zset& zset) { Put(zset, beginning + std::to_string(i), 0); });
  }
  ExpectModel(random);
}

TEST_F(ZsetTest, ReplacingLeavesTheOldSetToTheSweeper) {
  Do([&](Zset& zset) {
    for (int i = 0; i < 600; ++i) Put(zset, std::to_string(i), i);
  });
  ordered_.clear();
  scores_.clear();
  txn_.Begin(true);
  Keyspace keys(txn_, kDb);
  absl::StatusOr<Key> key = keys.Find("z");
  ASSERT_TRUE(key.ok());
  Zset zset = Zset::Replacing(keys, *std::move(key));
  Put(zset, "a", 2);
  ASSERT_TRUE(zset.Commit().ok());
  txn_.Commit();
  std::mt19937_64 random(5);
  ExpectModel(random);
  size_t dead = 0;
  for (const auto& [row, value] : txn_.rows()) dead += ParseDeadRow(row) ? 1 : 0;
  EXPECT_EQ(dead, 1U);
}

TEST_F(ZsetTest, DamagedRowsAreNamed) {
  Do([&](Zset& zset) {
    for (int i = 0; i < 600; ++i) Put(zset, std::to_string(i), i);
  });
  for (const auto& [row, value] : MemoryTxn::Rows(txn_.rows())) {
    const auto parts = ParseOrderedRow(row);
    if (!parts || parts->kind != OrderedKind::kIndex) continue;
    txn_.Overwrite(row, "\x01garbage");
    txn_.Begin(false);
    Keyspace keys(txn_, kDb);
    Zset zset = Find(keys);
    const auto count = zset.CountBefore(ScoreBegin(599));
    EXPECT_FALSE(count.ok());
    EXPECT_TRUE(absl::IsDataLoss(count.status()));
    txn_.Overwrite(row, value.view());
  }
}

}  // namespace
}  // namespace tidemark::types
