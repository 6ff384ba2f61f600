// WAIT counts who has the write now, not who once said so; and who has the word of a connection that is over has none.
#include "replication/replicas.h"

#include <gtest/gtest.h>

#include "replication/testing.h"

namespace tidemark::replication {
namespace {

using Waited = Replication::Waited;

class ReplicasTest : public testing::Test {
 protected:
  ~ReplicasTest() override { replicas_.EndWaits(); }

  uint64_t Connect(const std::string& id, bool loading = false) {
    return replicas_.Connected(id, {.host = "h", .port = 1}, loading, [this] { ++dropped_; });
  }
  static Ack Has(uint64_t written, uint64_t durable) {
    return {.written = Lsn{written}, .durable = Lsn{durable}, .applied = Lsn{written}};
  }
  uint64_t Wait(uint64_t target, size_t count, bool durably = false, bool local = false,
                std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) {
    return replicas_.Wait(
        Lsn{target}, count, durably, local, timeout,
        [this](const Waited& waited) {
          const MutexLock lock(mutex_);
          answers_.push_back(waited);
        },
        [this] { return Lsn{local_.load()}; });
  }
  std::vector<Waited> Answers() {
    const MutexLock lock(mutex_);
    return answers_;
  }

  Replicas replicas_{Clock::System()};
  std::atomic<uint64_t> local_{0};
  std::atomic<int> dropped_{0};
  Mutex mutex_;
  std::vector<Waited> answers_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(ReplicasTest, AWaitEndsWithTheReplicaThatMakesItEnough) {
  const uint64_t a = Connect("a");
  const uint64_t b = Connect("b");
  Wait(100, 2);
  replicas_.Acknowledged(a, Has(100, 0));
  replicas_.Acknowledged(b, Has(99, 99));
  EXPECT_TRUE(Answers().empty());
  replicas_.Acknowledged(b, Has(100, 99));
  ASSERT_EQ(Answers().size(), 1);
  EXPECT_EQ(Answers()[0].replicas, 2);
}

TEST_F(ReplicasTest, DurablyCountsWhatSurvivesAPowerFailureAndLocallyTheOwnLog) {
  const uint64_t a = Connect("a");
  Wait(100, 1, /*durably=*/true, /*local=*/true);
  replicas_.Acknowledged(a, Has(100, 99));
  replicas_.Acknowledged(a, Has(100, 100));
  EXPECT_TRUE(Answers().empty());
  local_ = 100;
  replicas_.LocalAdvanced();
  ASSERT_EQ(Answers().size(), 1);
  EXPECT_TRUE(Answers()[0].local);
}

TEST_F(ReplicasTest, ATimeOutAnEndAndACancelAnswerWithWhatThereIs) {
  const uint64_t a = Connect("a");
  replicas_.Acknowledged(a, Has(100, 100));
  Wait(100, 2, false, false, std::chrono::milliseconds(20));
  ASSERT_TRUE(Eventually([this] { return Answers().size() == 1; }));
  EXPECT_EQ(Answers()[0].replicas, 1);
  replicas_.CancelWait(Wait(200, 1));
  Wait(200, 1, false, false, std::chrono::milliseconds(INT64_MAX));
  replicas_.EndWaits();
  ASSERT_EQ(Answers().size(), 2);
  EXPECT_EQ(Answers()[1].replicas, 0);
}

TEST_F(ReplicasTest, WhatAReplicaSaidOverAFormerConnectionCountsNoMore) {
  const uint64_t before = Connect("a");
  replicas_.Acknowledged(before, Has(500, 500));
  const uint64_t now = Connect("a");  // it lost its disk, and begins anew
  EXPECT_EQ(dropped_, 1);
  Wait(100, 1);
  replicas_.Acknowledged(before, Has(500, 500));
  EXPECT_FALSE(replicas_.IsCurrent(before));
  EXPECT_TRUE(Answers().empty());
  replicas_.Disconnected(before);
  EXPECT_TRUE(replicas_.IsCurrent(now));
  replicas_.Acknowledged(now, Has(100, 0));
  EXPECT_EQ(Answers().size(), 1);
}

TEST_F(ReplicasTest, OneThatLoadsOrIsAwayIsNotCounted) {
  const uint64_t loading = Connect("a", /*loading=*/true);
  const uint64_t away = Connect("b");
  replicas_.Acknowledged(away, Has(100, 100));
  replicas_.Disconnected(away);
  Ack ack = Has(100, 100);
  ack.loading = true;
  replicas_.Acknowledged(loading, ack);
  EXPECT_EQ(replicas_.Within(std::chrono::seconds(10)), 0);
  Wait(100, 1);
  EXPECT_TRUE(Answers().empty());
  replicas_.Acknowledged(loading, Has(100, 100));
  EXPECT_EQ(Answers().size(), 1);
  EXPECT_EQ(replicas_.Within(std::chrono::seconds(10)), 1);
}

TEST_F(ReplicasTest, ASecondFullSyncSoonAfterTheFirstRaisesTheAlarm) {
  EXPECT_FALSE(replicas_.CountFullSync("a"));
  EXPECT_FALSE(replicas_.CountFullSync("b"));
  EXPECT_TRUE(replicas_.CountFullSync("a"));
  EXPECT_EQ(replicas_.counters().full_syncs, 3);
  EXPECT_EQ(replicas_.counters().repeated_full_syncs, 1);
}

}  // namespace
}  // namespace tidemark::replication
