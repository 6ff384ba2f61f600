// What a server may not do to an archive that another has taken over, or that another of the same identity writes.
#include <gmock/gmock.h>

#include <atomic>

#include "backup/backup_testing.h"

namespace tidemark::backup {
namespace {

using objstore::MemoryStore;
using std::chrono::milliseconds;
using testing::HasSubstr;

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

TEST_F(BackupTest, ATaskWithASuccessorMergesNothing) {
  options_.timings.merge_every = milliseconds(5);
  options_.timings.merge.at_least = 4;
  options_.timings.merge.grace_micros = 0;
  manager_.reset();
  OpenManager();
  std::atomic<bool> connecting{false};
  place().SetHook([&](MemoryStore::Operation operation, std::string_view key) {
    if (operation == MemoryStore::Operation::kPut && key == format::kArchiveIdentityName && connecting) gate_.Pass();
    const bool merging = operation == MemoryStore::Operation::kGet && key.starts_with("log/") && !connecting;
    return merging ? absl::UnavailableError("reset") : absl::OkStatus();
  });
  Start();
  for (int i = 0; i < 10; ++i) {
    Set("k", std::to_string(i));
    ASSERT_TRUE(Flush().success);
  }
  ASSERT_TRUE(manager_->Pause("t", "", std::chrono::seconds(0)).ok());
  PutSuccessor();
  gate_.Close();
  connecting = true;
  ASSERT_TRUE(manager_->Resume("t").ok());
  const auto refused = [&] { return Status().cause.find("timeline 2") != std::string::npos; };
  WaitUntil([&] { return refused() || Status().merged_objects > 0; }, "the next merge");
  EXPECT_EQ(Status().merged_objects, 0u);
  EXPECT_EQ(CountObjects("log/"), 10u);
  gate_.Open();
  WaitUntil([&] { return Status().state == TaskState::kFenced; }, "fenced");
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
