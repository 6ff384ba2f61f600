// Where a task goes on must be where a restore would get to: over forks, not over holes, and never on what another
// wrote.
#include "backup/archive_claim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive/archive_testing.h"
#include "objstore/memory_store.h"

namespace tidemark::backup {
namespace {

using archive::TestId;
using archive::TestLog;
using testing::HasSubstr;

class ArchiveClaimTest : public testing::Test {
 protected:
  static engine::Identity Us(uint32_t timeline = 1, uint32_t parent = 0, Lsn fork = {}) {
    return {.cluster_id = TestId(0xc1),
            .timeline = Timeline{timeline},
            .timeline_id = TestId(static_cast<uint8_t>(timeline)),
            .parent = Timeline{parent},
            .fork = fork,
            .fork_timestamp = {},
            .created_micros = 1,
            .reason = "test"};
  }
  void Claim(const engine::Identity& identity) {
    const absl::Status status = ClaimArchive(store_, identity, 1);
    ASSERT_TRUE(status.ok()) << status;
  }
  // An object of `records` records; its name.
  format::LogObjectName Put(TestLog* log, int records) {
    const auto object = archive::TestObject(log, std::vector<std::string>(static_cast<size_t>(records), "payload"));
    EXPECT_TRUE(
        store_.Put(format::LogObjectKey(object.name), object.bytes, objstore::PutCondition::kMustNotExist).ok());
    return object.name;
  }
  void PutBase(Timeline timeline, Lsn lsn, Timestamp timestamp) {
    bucket_->Set(format::BaseKey({.timeline = timeline, .lsn = lsn, .timestamp = timestamp}), "{}");
  }
  archive::Catalog Load() {
    auto catalog = archive::Catalog::Load(store_, false);
    TM_CHECK(catalog.ok(), "{}", Message(catalog.status()));
    return *std::move(catalog);
  }
  absl::StatusOr<ArchivePosition> Find(const engine::Identity& identity) {
    return FindPosition(store_, Load(), identity);
  }

  const std::shared_ptr<objstore::MemoryBucket> bucket_ = std::make_shared<objstore::MemoryBucket>();
  objstore::MemoryStore store_{bucket_, "memory:test"};
};

TEST_F(ArchiveClaimTest, AnEmptyArchiveIsAtTheOrigin) {
  Claim(Us());
  const auto position = Find(Us());
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_TRUE(position->found);
  EXPECT_TRUE(position->at_origin);
  EXPECT_EQ(position->end, format::kFirstLsn);
}

TEST_F(ArchiveClaimTest, TheChainEndsAtTheFirstHole) {
  Claim(Us());
  TestLog log;
  Put(&log, 3);
  const Lsn whole = log.end();
  const uint32_t crc = log.crc();
  const format::LogObjectName lost = Put(&log, 3);
  Put(&log, 3);
  ASSERT_TRUE(bucket_->Erase(format::LogObjectKey(lost)));
  const auto position = Find(Us());
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_EQ(position->end, whole);
  EXPECT_EQ(position->last_crc, crc);
  EXPECT_FALSE(position->at_origin);
}

TEST_F(ArchiveClaimTest, ABaseBeyondTheHoleLeadsOn) {
  Claim(Us());
  TestLog log;
  Put(&log, 3);
  const format::LogObjectName lost = Put(&log, 3);
  const Timestamp base_time = log.timestamp();
  PutBase(Timeline{1}, log.end(), base_time);
  Put(&log, 3);
  ASSERT_TRUE(bucket_->Erase(format::LogObjectKey(lost)));
  const auto position = Find(Us());
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_EQ(position->end, log.end());
  EXPECT_EQ(position->restorable_from, base_time);
  EXPECT_EQ(position->last_base, base_time);
}

// A base that is complete before the log that leads to it: what lies between must not be skipped.
TEST_F(ArchiveClaimTest, ABaseAheadOfTheLogDoesNotHideWhereTheLogEnds) {
  Claim(Us());
  TestLog log;
  Put(&log, 3);
  const Lsn end = log.end();
  const uint32_t crc = log.crc();
  const Timestamp first = log.timestamp();
  Put(&log, 3);
  PutBase(Timeline{1}, log.end(), log.timestamp());
  ASSERT_TRUE(bucket_->Erase(Load().log.at(Timeline{1}).back().key));
  const auto position = Find(Us());
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_EQ(position->end, log.end());
  ASSERT_TRUE(position->bare_base);
  ASSERT_EQ(position->shorter.size(), 1u);
  EXPECT_EQ(position->shorter.front().end, end);
  EXPECT_EQ(position->shorter.front().last_crc, crc);
  EXPECT_LE(position->shorter.front().restorable_from, first);
  EXPECT_FALSE(position->shorter.front().bare_base);
}

TEST_F(ArchiveClaimTest, AnOriginThatWasTruncatedIsNotGoneBackTo) {
  Claim(Us());
  TestLog log;
  const format::LogObjectName old = Put(&log, 3);
  PutBase(Timeline{1}, log.end(), log.timestamp());
  Put(&log, 3);
  ASSERT_TRUE(bucket_->Erase(format::LogObjectKey(old)));
  const auto position = Find(Us());
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_EQ(position->end, log.end());
  EXPECT_TRUE(position->shorter.empty());
}

TEST_F(ArchiveClaimTest, ANewTimelineGoesOnAtItsForkAndOnlyWhereTheParentLeadsThere) {
  Claim(Us());
  TestLog log;
  Put(&log, 3);
  const format::LogObjectName second = Put(&log, 3);
  const Lsn fork = log.end();
  const uint32_t crc = log.crc();
  Put(&log, 3);  // what the parent wrote after the fork
  PutBase(Timeline{1}, log.end(), log.timestamp());
  const engine::Identity us = Us(2, 1, fork);
  Claim(us);
  auto position = Find(us);
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_TRUE(position->found);
  EXPECT_EQ(position->end, fork);
  EXPECT_EQ(position->last_base, Timestamp{}) << "a base of a future that was left";

  TestLog ours(Timeline{2}, fork, crc, log.timestamp().micros);
  Put(&ours, 2);
  position = Find(us);
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_EQ(position->end, ours.end());
  EXPECT_EQ(position->last_crc, ours.crc());

  ASSERT_TRUE(bucket_->Erase(format::LogObjectKey(second)));
  position = Find(us);
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_LT(position->end, fork);
  EXPECT_FALSE(position->found);
}

TEST_F(ArchiveClaimTest, ObjectsOfAnotherServerAtTheEndAreNotOurs) {
  Claim(Us());
  TestLog log;
  Put(&log, 3);
  engine::Identity other = Us();
  other.timeline_id = TestId(0x99);
  auto catalog = archive::Catalog::Load(store_, false);
  ASSERT_TRUE(catalog.ok());
  const auto position = FindPosition(store_, *catalog, other);
  EXPECT_TRUE(IsFenced(position.status())) << position.status();
  const absl::Status claim = ClaimArchive(store_, other, 1);
  EXPECT_TRUE(IsFenced(claim)) << claim;
  EXPECT_THAT(std::string(Message(claim)), HasSubstr("somebody else"));
}

TEST_F(ArchiveClaimTest, AClaimIsRepeatedWithoutHarmAndWorksWhenItsAnswerWasLost) {
  store_.LoseNextAnswer(objstore::MemoryStore::Operation::kPut);
  EXPECT_FALSE(ClaimArchive(store_, Us(), 1).ok());
  Claim(Us());
  Claim(Us());
  EXPECT_EQ(bucket_->size(), 2u);
}

TEST_F(ArchiveClaimTest, OnlyANewerTimelineFences) {
  Claim(Us());
  Claim(Us(2, 1, Lsn{5000}));
  EXPECT_TRUE(CheckFence(store_, Timeline{2}).ok());
  EXPECT_TRUE(IsFenced(CheckFence(store_, Timeline{1})));
  EXPECT_TRUE(IsFenced(ClaimArchive(store_, Us(), 1)));
}

TEST_F(ArchiveClaimTest, WhatALaterObjectClosesIsSuperseded) {
  Claim(Us());
  TestLog log;
  Put(&log, 2);
  const format::LogObjectName idle{.timeline = Timeline{1},
                                   .first = log.end(),
                                   .end = log.end(),
                                   .first_timestamp = log.timestamp(),
                                   .closed_timestamp = log.timestamp()};
  bucket_->Set(format::LogObjectKey(idle), "");
  Put(&log, 2);
  const auto position = Find(Us());
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_THAT(position->superseded, testing::ElementsAre(format::LogObjectKey(idle)));
}

}  // namespace
}  // namespace tidemark::backup
