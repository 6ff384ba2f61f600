// What starting, pausing, stopping and restarting do to a task's lease, its row and its callers.
#include <gmock/gmock.h>

#include <atomic>

#include "backup/backup_testing.h"
#include "backup/task_row.h"

namespace tidemark::backup {
namespace {

using testing::HasSubstr;

constexpr Lsn kOrigin = format::kFirstLsn;

TEST_F(BackupTest, APausedTaskSaysNoAndHoldsItsLog) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  const Lsn before = Status().checkpoint;
  ASSERT_TRUE(manager_->Pause("t", "moving house", std::chrono::seconds(0)).ok());
  const FlushOutcome outcome = Flush();
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(outcome.error)), HasSubstr("moving house"));
  Restart();
  EXPECT_EQ(Status().state, TaskState::kPaused) << "a pause survives a restart";
  SetMany(40, 64 << 10);
  auto lsn = engine_->SnapshotAs("persist");
  ASSERT_TRUE(lsn.ok() && engine_->log().RaiseLease("engine", *lsn).ok() && engine_->log().Purge().ok());
  EXPECT_LE(engine_->log().oldest(), before);
  ASSERT_TRUE(manager_->Resume("t").ok());
  EXPECT_TRUE(Flush().success);
  EXPECT_EQ(Status().gaps, 0u);
}

TEST_F(BackupTest, AnotherPauseDoesNotHideThatTheLogIsNotHeld) {
  Start();
  ASSERT_TRUE(Flush().success);
  ASSERT_TRUE(manager_->Pause("t", "maintenance", std::chrono::seconds(1)).ok());
  WaitUntil([&] { return Status().cause.find("not held") != std::string::npos; }, "the lease let go");
  ASSERT_TRUE(manager_->Pause("t", "more of it", std::chrono::seconds(0)).ok());
  EXPECT_THAT(Status().cause, HasSubstr("not held"));
  ASSERT_TRUE(manager_->Resume("t").ok());
  ASSERT_TRUE(Flush().success);
  ASSERT_TRUE(manager_->Pause("t", "again", std::chrono::seconds(0)).ok());
  EXPECT_EQ(Status().cause, "again");
}

TEST_F(BackupTest, AStoppedTaskAnswersReleasesItsLeaseAndKeepsItsObjects) {
  Start();
  ASSERT_TRUE(Flush().success);
  HoldLogPuts();
  Set("a", "1");
  std::atomic<bool> answered{false};
  FlushOutcome outcome;
  ASSERT_TRUE(manager_
                  ->Flush({},
                          [&](const std::vector<FlushOutcome>& outcomes) {
                            outcome = outcomes.front();
                            answered = true;
                          })
                  .ok());
  gate_.AwaitWaiter();
  std::jthread stopping([&] { EXPECT_TRUE(manager_->Stop("t").ok()); });
  WaitUntil([&] { return answered.load(); }, "an answer while the store hangs");
  EXPECT_FALSE(outcome.success);
  gate_.Open();
  stopping.join();
  EXPECT_TRUE(manager_->Status().empty());
  EXPECT_GT(CountObjects("log/"), 0u);
  for (const log::Lease& lease : engine_->log().Leases()) EXPECT_NE(lease.name, "archive:t");
  EXPECT_EQ(manager_->Flush({}, [](const std::vector<FlushOutcome>&) {}).status().code(), absl::StatusCode::kNotFound);
  Restart();
  EXPECT_TRUE(manager_->Status().empty());
}

TEST_F(BackupTest, AStoppedTaskStartedAgainGoesOnWhereItWas) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  ASSERT_TRUE(manager_->Stop("t").ok());
  Start();
  Set("b", "1");
  ASSERT_TRUE(Flush().success);
  const Lsn end = engine_->last_end();
  EXPECT_TRUE(ArchivedBytes(place().bucket, kOrigin, end) == LogBytes(kOrigin, end));
  EXPECT_EQ(CountObjects("base/"), 0u);
}

TEST_F(BackupTest, ALeaseThatOutlivedItsTaskIsReleased) {
  Set("a", "1");
  const log::Lease lease{.name = "archive:gone", .position = engine_->last_end()};
  ASSERT_TRUE(engine_->log().TakeLease(lease).ok());
  Start();
  ASSERT_TRUE(Flush().success);
  Restart();
  std::vector<std::string> names;
  for (const log::Lease& each : engine_->log().Leases()) names.push_back(each.name);
  EXPECT_THAT(names, testing::Not(testing::Contains("archive:gone")));
  EXPECT_THAT(names, testing::Contains("archive:t"));
}

// A store restored from another cluster's archive has that cluster's rows.
TEST_F(BackupTest, AnotherClustersTaskIsLeftOff) {
  TaskRow row{.config = Config()};
  row.cluster_id.fill(0x77);
  ASSERT_TRUE(WriteTaskRow(*engine_, row).ok());
  Restart();
  EXPECT_TRUE(manager_->Status().empty());
  EXPECT_EQ(place().bucket->size(), 0u);
  EXPECT_THAT(Trouble(), HasSubstr("left off"));
}

TEST_F(BackupTest, ATaskIsKeptWithAllThatWasAskedFor) {
  TaskConfig config = Config();
  config.compression_level = 7;
  config.flush_bytes = 1 << 20;
  config.base_interval = std::chrono::seconds(3);
  config.hold_bytes = 1ull << 40;
  config.hold_time = std::chrono::hours(3);
  config.rate_limit = 12345;
  Start(config);
  Restart();
  const TaskConfig kept = Status().config;
  EXPECT_EQ(kept.compression_level, config.compression_level);
  EXPECT_EQ(kept.flush_interval, config.flush_interval);
  EXPECT_EQ(kept.flush_bytes, config.flush_bytes);
  EXPECT_EQ(kept.base_interval, config.base_interval);
  EXPECT_EQ(kept.hold_bytes, config.hold_bytes);
  EXPECT_EQ(kept.hold_time, config.hold_time);
  EXPECT_EQ(kept.rate_limit, config.rate_limit);
}

TEST_F(BackupTest, WhatMakesNoSenseIsRefusedByName) {
  for (const char* name : {"", "a b", "a/b", "a-b"}) {
    EXPECT_EQ(manager_->Start(Config(name)).code(), absl::StatusCode::kInvalidArgument) << name;
  }
  TaskConfig config = Config();
  config.flush_bytes = 1;
  EXPECT_EQ(manager_->Start(config).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(manager_->Stop("nobody").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(manager_->Pause("nobody", "", std::chrono::seconds(0)).code(), absl::StatusCode::kNotFound);
}

// The store takes the connection and never answers.
TEST_F(BackupTest, AStopDoesNotWaitForAStartWhoseStoreHangs) {
  gate_.Close();
  place().on_cancel = [this] { gate_.Open(); };
  place().SetHook([this](objstore::MemoryStore::Operation, std::string_view) {
    gate_.Pass();
    return absl::OkStatus();
  });
  absl::Status started;
  std::thread starter([&] { started = manager_->Start(Config()); });
  gate_.AwaitWaiter();
  manager_->CancelAll();
  starter.join();
  EXPECT_TRUE(absl::IsCancelled(started)) << started;
  EXPECT_TRUE(manager_->Status().empty());
  EXPECT_TRUE(absl::IsCancelled(manager_->Start(Config()))) << "too late";
}

TEST_F(BackupTest, AStopEndsTheWaitOfThoseWhomAHangingStoreHolds) {
  Start();
  Set("a", "1");
  place().SetHook([this](objstore::MemoryStore::Operation, std::string_view) {
    gate_.Pass();
    return absl::OkStatus();
  });
  gate_.Close();
  std::atomic<bool> answered{false};
  ASSERT_TRUE(manager_
                  ->Flush({},
                          [&](const std::vector<FlushOutcome>& outcomes) {
                            EXPECT_FALSE(outcomes.front().success);
                            answered = true;
                          })
                  .ok());
  manager_->CancelAll();
  EXPECT_TRUE(answered);
  gate_.Open();
}

// The lease says where the archive was when this server last ran. Nobody has looked since.
TEST_F(BackupTest, UntilTheArchiveWasLookedAtTheRpoIsNotZeroAndGrows) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  ASSERT_EQ(Status().rpo_micros, 0u);
  place().SetOutage(absl::UnavailableError("connection refused"));
  Restart();
  ASSERT_EQ(Status().lag_bytes, 0u);
  const uint64_t rpo = Status().rpo_micros;
  EXPECT_GT(rpo, 0u);
  EXPECT_FALSE(Status().restorable);
  WaitUntil([&] { return Status().rpo_micros > rpo + 1000; }, "an RPO that grows");
  place().SetOutage(absl::OkStatus());
  WaitUntil([&] { return Status().state == TaskState::kNormal; }, "the task back");
  EXPECT_EQ(Status().rpo_micros, 0u);
}

}  // namespace
}  // namespace tidemark::backup
