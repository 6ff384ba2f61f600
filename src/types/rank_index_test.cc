// The tree of counts with blocks and nodes so small that a few thousand rows split and merge all of it, against a plain
// set.
#include "types/rank_index.h"

#include <gtest/gtest.h>

#include <iterator>
#include <random>
#include <set>
#include <string>

#include "types/testing.h"

namespace tidemark::types {
namespace {

using testing::MemoryTxn;

constexpr RankIndex::Sizes kSmall{.block_max = 16, .node_max = 16};

class RankIndexTest : public ::testing::Test {
 protected:
  RankIndexTest() { txn_.Begin(true); }

  void Put(const std::string& order) {
    if (!rows_.insert(order).second) return;
    keys_.PutOrdered(kId, OrderedKind::kScore, order, {});
    const absl::Status inserted = index_.Inserted(order);
    ASSERT_TRUE(inserted.ok()) << Message(inserted);
  }
  void Remove(const std::string& order) {
    if (rows_.erase(order) == 0) return;
    keys_.DeleteOrdered(kId, OrderedKind::kScore, order);
    const absl::Status removed = index_.Removed(order);
    ASSERT_TRUE(removed.ok()) << Message(removed);
  }
  void Move(const std::string& from, const std::string& to) {
    if (!rows_.contains(from) || !rows_.insert(to).second) return;
    rows_.erase(from);
    keys_.DeleteOrdered(kId, OrderedKind::kScore, from);
    keys_.PutOrdered(kId, OrderedKind::kScore, to, {});
    const absl::Status moved = index_.Moved(from, to);
    ASSERT_TRUE(moved.ok()) << Message(moved);
  }
  uint64_t RankOf(const std::string& order) {
    return static_cast<uint64_t>(std::distance(rows_.begin(), rows_.lower_bound(order)));
  }
  void ExpectModel() {
    const absl::Status sound = index_.Verify();
    ASSERT_TRUE(sound.ok()) << Message(sound);
    for (int i = 0; i < 4 && !rows_.empty(); ++i) {
      const uint64_t rank = random_() % rows_.size();
      const std::string order = *std::next(rows_.begin(), static_cast<ptrdiff_t>(rank));
      const auto of = index_.BlockOf(order);
      const auto at = index_.BlockAt(rank);
      ASSERT_TRUE(of.ok() && at.ok());
      EXPECT_EQ(of->begin, at->begin);
      EXPECT_EQ(of->before, RankOf(of->begin));
      EXPECT_LE(of->begin, order);
    }
  }
  // Rows of the index; of the root, its directory too.
  size_t IndexRows() const {
    size_t rows = 0;
    for (const auto& [row, value] : txn_.rows()) {
      const auto parts = ParseOrderedRow(row);
      rows += parts && parts->kind == OrderedKind::kIndex ? 1 : 0;
    }
    return rows;
  }
  static std::string Number(uint64_t number) { return fmt::format("{:08}", number); }

  static constexpr kv::CollectionId kId{7, 1};
  MemoryTxn txn_;
  Keyspace keys_{txn_, DbIndex{0}};
  RankIndex index_{keys_, kId, {}, kSmall};
  std::set<std::string> rows_;
  std::mt19937_64 random_{11};
};

TEST_F(RankIndexTest, FollowsRandomChanges) {
  ASSERT_TRUE(index_.Build().ok());
  for (const unsigned remove_of_ten : {1, 6, 0, 9}) {
    for (int i = 0; i < 6000; ++i) {
      const std::string order = Number(random_() % 5000);
      if (random_() % 10 < remove_of_ten) {
        Remove(order);
      } else if (random_() % 4 == 0) {
        Move(order, Number(random_() % 5000));
      } else {
        Put(order);
      }
      if (i % 500 == 0) ExpectModel();
      if (HasFatalFailure()) return;
    }
    ExpectModel();
  }
}

TEST_F(RankIndexTest, GrowsAndShrinksAtEitherEnd) {
  ASSERT_TRUE(index_.Build().ok());
  for (uint64_t i = 0; i < 3000; ++i) {
    Put(Number(10'000 + i));
    Put(Number(10'000 - i));
  }
  ExpectModel();
  const size_t most = IndexRows();
  EXPECT_GT(most, 3000U * 2 / 16);
  for (uint64_t i = 0; i < 2990; ++i) {
    Remove(Number(7001 + i));
    if (i % 2 == 0) Remove(Number(10'000 + i));
  }
  ExpectModel();
  EXPECT_LT(IndexRows(), most * 2 / 3);
  while (!rows_.empty()) Remove(std::string(*rows_.begin()));
  ExpectModel();
  // Root, one node, one block: two directories, two counts.
  EXPECT_EQ(IndexRows(), 4U);
  ASSERT_TRUE(index_.Drop().ok());
  EXPECT_EQ(IndexRows(), 0U);
  EXPECT_FALSE(index_.exists());
  EXPECT_EQ(index_.extra(), "");
}

TEST_F(RankIndexTest, IsBuiltOverRowsThatStand) {
  for (uint64_t i = 0; i < 5000; ++i) {
    rows_.insert(Number(i));
    keys_.PutOrdered(kId, OrderedKind::kScore, Number(i), {});
  }
  ASSERT_TRUE(index_.Build().ok());
  ExpectModel();
  RankIndex again(keys_, kId, index_.extra(), kSmall);
  EXPECT_TRUE(again.exists());
  const auto block = again.BlockAt(4999);
  ASSERT_TRUE(block.ok());
  EXPECT_EQ(block->before, RankOf(block->begin));
  EXPECT_GT(block->before, 4980U);
}

// What cannot be told apart by few bytes is not cut, and stays right.
TEST_F(RankIndexTest, LongBeginningsAreNotCut) {
  ASSERT_TRUE(index_.Build().ok());
  const std::string beginning(200, 'p');
  for (uint64_t i = 0; i < 200; ++i) Put(beginning + Number(random_() % 1000));
  EXPECT_EQ(IndexRows(), 4U);
  ExpectModel();
  for (uint64_t i = 0; i < 200; ++i) Put(Number(random_() % 1000));
  EXPECT_GT(IndexRows(), 8U);
  ExpectModel();
}

}  // namespace
}  // namespace tidemark::types
