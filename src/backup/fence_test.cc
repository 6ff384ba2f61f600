// What a server may not do to an archive that another has taken over, or that another of the same identity writes.
#include <gmock/gmock.h>

#include <atomic>

#include "backup/backup_testing.h"

namespace tidemark::backup {
namespace {

using objstore::MemoryStore;
using std::chrono::milliseconds;
using testing::HasSubstr;

TEST_F(BackupTest, AnotherWritersObjectIsNotTakenForOurs) {
  Start();
  ASSERT_TRUE(Flush().success);
  Set("a", "1");
  place().SetHook([this](MemoryStore::Operation operation, std::string_view key) {
    const auto name = format::ParseLogObjectKey(key);
    if (operation != MemoryStore::Operation::kPut || !name) return absl::OkStatus();
    archive::Origin stranger{.timeline = name->timeline};
    stranger.cluster_id.fill(0xee);
    archive::LogObjectWriter writer({}, stranger, name->first, 0);
    place().bucket->Set(key, writer.Finish(name->closed_timestamp)->bytes);
    return absl::OkStatus();
  });
  const FlushOutcome outcome = Flush();
  EXPECT_FALSE(outcome.success);
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Status().state, TaskState::kFenced);
  EXPECT_THAT(Status().cause, HasSubstr("somebody else"));
}

TEST_F(BackupTest, ANewerTimelineEndsEveryYes) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  place().bucket->Set(format::TimelineKey(Timeline{2}),
                      archive::EncodeTimeline({.timeline = Timeline{2}, .parent = Timeline{1}, .reason = "promotion"}));
  Set("b", "2");
  const FlushOutcome outcome = Flush();
  EXPECT_FALSE(outcome.success);
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(outcome.error)), HasSubstr("timeline 2"));
  EXPECT_EQ(Status().state, TaskState::kFenced);
  Restart();
  WaitUntil([&] { return Status().state == TaskState::kFenced; }, "fenced after a restart too");
  EXPECT_FALSE(Flush().success);
}

// All that is asked for is in the archive already, on a timeline that was left.
TEST_F(BackupTest, ANewerTimelineEndsAlsoTheYesThatNeedsNoFlush) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  ASSERT_TRUE(Flush().success);
  PutSuccessor();
  const FlushOutcome outcome = Flush();
  EXPECT_FALSE(outcome.success) << "a server that was replaced says yes";
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(outcome.error)), HasSubstr("timeline 2"));
  EXPECT_EQ(Status().state, TaskState::kFenced);
}

TEST_F(BackupTest, AThousandYesThatNeedNoFlushCostTwoSmallRequests) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  WaitUntil([&] { return Status().state == TaskState::kNormal; }, "the base");
  std::atomic<int> requests{0};
  gate_.Close();
  place().SetHook([&](MemoryStore::Operation operation, std::string_view key) {
    EXPECT_EQ(operation, MemoryStore::Operation::kList);
    EXPECT_EQ(key, "timelines/");
    ++requests;
    gate_.Pass();
    return absl::OkStatus();
  });
  std::atomic<int> yes{0};
  std::atomic<int> answers{0};
  const auto answered = [&](std::vector<FlushOutcome> outcomes) {
    yes += outcomes.front().success ? 1 : 0;
    ++answers;
  };
  ASSERT_TRUE(manager_->Flush({}, answered).ok());
  gate_.AwaitWaiter();
  for (int i = 1; i < 1000; ++i) ASSERT_TRUE(manager_->Flush({}, answered).ok());
  gate_.Open();
  WaitUntil([&] { return answers == 1000; }, "all answers");
  EXPECT_EQ(yes, 1000);
  EXPECT_EQ(requests, 2);
  place().SetHook(nullptr);
}

// Nobody knows whether it was replaced: no yes, and no for good either.
TEST_F(BackupTest, WithoutALookThereIsNoYesAndTheNextOneHeals) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  place().SetOutage(absl::UnavailableError("connection refused"));
  FlushRequest impatient;
  impatient.timeout = milliseconds(30);
  FlushOutcome outcome = Flush(impatient);
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(Message(outcome.error)), HasSubstr("connection refused"));
  place().SetOutage(absl::PermissionDeniedError("the access key has expired"));
  outcome = Flush();
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Status().state, TaskState::kErroring);
  place().SetOutage(absl::OkStatus());
  EXPECT_TRUE(Flush().success);
  EXPECT_EQ(Status().state, TaskState::kNormal);
}

TEST_F(BackupTest, AnotherClustersArchiveIsRefusedAndBothAreNamed) {
  archive::Identity other;
  other.cluster_id.fill(0xab);
  place().bucket->Set(format::kArchiveIdentityName, archive::EncodeIdentity(other));
  const absl::Status status = manager_->Start(Config());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(status)), HasSubstr(IdToHex(other.cluster_id)));
  EXPECT_THAT(std::string(Message(status)), HasSubstr(IdToHex(manager_->identity().cluster_id)));
  EXPECT_TRUE(manager_->Status().empty());
  EXPECT_EQ(place().bucket->size(), 1u);
}

// A copy of the data directory that went on by itself, or a log that lost its end.
TEST_F(BackupTest, AnArchiveThatHasMoreThanTheLogIsNotOverwritten) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  manager_.reset();
  const Lsn end = engine_->last_end();
  archive::Origin ours{.timeline = Timeline{1}};
  archive::LogObjectWriter writer({}, ours, end, 0);
  format::LogObjectName name = writer.Finish(Timestamp{1ull << 60})->name;
  name.end = end + 1000;
  place().bucket->Set(format::LogObjectKey(name), "what another has written");
  OpenManager();
  WaitUntil([&] { return Status().state == TaskState::kFenced || Status().state == TaskState::kErroring; },
            "a refusal");
  Set("b", "2");
  EXPECT_FALSE(Flush().success);
}

// The successor's restore points are not for the predecessor to delete.
TEST_F(BackupTest, ATaskWithASuccessorDeletesNothing) {
  Start();
  for (const char* key : {"a", "b"}) {
    Set(key, "1");
    ASSERT_TRUE(Flush().success);
    const size_t bases = CountObjects("base/");
    ASSERT_TRUE(manager_->TakeBase("t").ok());
    WaitUntil([&] { return CountObjects("base/") > bases && Status().base_progress < 0; }, "a base");
  }
  Set("c", "1");
  ASSERT_TRUE(Flush().success);
  const auto plan = manager_->Truncate("t", Status().checkpoint_time, /*dry_run=*/true);
  ASSERT_TRUE(plan.ok() && plan->bases.size() == 1) << plan.status();
  PutSuccessor();
  const size_t objects = place().bucket->size();
  const auto refused = manager_->Truncate("t", Status().checkpoint_time, /*dry_run=*/false);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(refused.status())), HasSubstr("timeline 2"));
  EXPECT_EQ(place().bucket->size(), objects);
}

TEST_F(BackupTest, ATaskWithASuccessorCompletesNoBase) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  gate_.Close();
  place().SetHook([this](MemoryStore::Operation, std::string_view key) {
    if (key.starts_with("files/")) gate_.Pass();
    return absl::OkStatus();
  });
  ASSERT_TRUE(manager_->TakeBase("t").ok());
  gate_.AwaitWaiter();
  PutSuccessor();
  gate_.Open();
  WaitUntil([&] { return Status().failures > 0 || CountObjects("base/") > 0; }, "the end of the upload");
  EXPECT_EQ(CountObjects("base/"), 0u);
  EXPECT_THAT(Status().cause, HasSubstr("timeline 2"));
}

// Not even a part of it: a fenced task leaves the archive alone.
TEST_F(BackupTest, AFencedTasksBaseIsBrokenOff) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  gate_.Close();
  place().SetHook([this](MemoryStore::Operation, std::string_view key) {
    if (key.starts_with("files/")) gate_.Pass();
    return absl::OkStatus();
  });
  ASSERT_TRUE(manager_->TakeBase("t").ok());
  gate_.AwaitWaiter();
  PutSuccessor();
  Set("b", "1");
  EXPECT_FALSE(Flush().success);
  ASSERT_EQ(Status().state, TaskState::kFenced);
  gate_.Open();
  WaitUntil([&] { return Status().base_progress < 0 || CountObjects("base/") > 0; }, "the end of the upload");
  EXPECT_EQ(CountObjects("base/"), 0u);
  EXPECT_LE(CountObjects("files/"), 4u);
}

// The server of a copied data directory is of the same timeline by number and id; it goes on from the same place.
TEST_F(BackupTest, ATwinThatWritesBesideUsEndsEveryYes) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  const std::string key = PutTwinsObject(Status().checkpoint, "another value");
  SetMany(3, 10);
  const Lsn before = Status().checkpoint;
  const FlushOutcome outcome = Flush();
  EXPECT_FALSE(outcome.success);
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(outcome.error)), HasSubstr(key));
  EXPECT_EQ(Status().state, TaskState::kFenced);
  EXPECT_EQ(Status().checkpoint, before);
}

TEST_F(BackupTest, ATwinIsSeenWhileTheLogIsIdle) {
  options_.timings.closed_every = milliseconds(5);
  manager_.reset();
  OpenManager();
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  const std::string key = PutTwinsObject(Status().checkpoint, "another value");
  WaitUntil([&] { return Status().state == TaskState::kFenced; }, "fenced");
  EXPECT_THAT(Status().cause, HasSubstr(key));
}

}  // namespace
}  // namespace tidemark::backup
