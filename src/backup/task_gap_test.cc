// What a user may not lose, or be told, when the chain of log in the archive breaks or has no base yet.
#include <gmock/gmock.h>

#include "backup/backup_testing.h"
#include "backup/task_row.h"

namespace tidemark::backup {
namespace {

using objstore::MemoryStore;
using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr Lsn kOrigin = format::kFirstLsn;

TEST_F(BackupTest, AGapIsNamedAndANewBaseComesByItself) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  const Lsn before = Status().checkpoint;
  ASSERT_TRUE(manager_->Pause("t", "maintenance", std::chrono::seconds(1)).ok());
  WaitUntil([&] { return Status().cause.find("not held") != std::string::npos; }, "the lease let go");
  ForgetLog();
  ASSERT_GT(engine_->log().oldest(), before);
  ASSERT_TRUE(manager_->Resume("t").ok());
  WaitUntil([&] { return Status().gaps == 1 && Status().state == TaskState::kNormal; }, "a new base");
  EXPECT_EQ(CountObjects("base/"), 1u);
  Set("b", "2");
  ASSERT_TRUE(Flush().success);
  const Lsn base = Load(place().bucket).bases.front().name.lsn;
  const Lsn end = engine_->last_end();
  EXPECT_TRUE(ArchivedBytes(place().bucket, base, end) == LogBytes(base, end));
}

// Every moment between the last flush and a base that overtook it can be restored only with the log between them.
TEST_F(BackupTest, ABaseThatOvertookTheLogDoesNotMakeAReconnectSkipIt) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  const Lsn before = Status().checkpoint;
  SetMany(20, 100);
  ASSERT_TRUE(manager_->TakeBase("t").ok());
  WaitUntil([&] { return CountObjects("base/") == 1; }, "the base");
  ASSERT_GT(Load(place().bucket).bases.front().name.lsn, before);
  ASSERT_TRUE(manager_->Pause("t", "maintenance", std::chrono::seconds(0)).ok());
  ASSERT_TRUE(manager_->Resume("t").ok());
  FlushOutcome outcome = Flush();
  ASSERT_TRUE(outcome.success) << outcome.error;
  const Lsn end = engine_->last_end();
  EXPECT_TRUE(ArchivedBytes(place().bucket, kOrigin, end) == LogBytes(kOrigin, end));
  EXPECT_EQ(Status().gaps, 0u);

  // As after kill -9 between a manifest and the next flush.
  SetMany(20, 100);
  WaitUntil([&] { return manager_->TakeBase("t").ok(); }, "the end of the first base's upkeep");
  WaitUntil([&] { return CountObjects("base/") == 2; }, "the second base");
  manager_.reset();
  OpenManager();
  outcome = Flush();
  ASSERT_TRUE(outcome.success) << outcome.error;
  const Lsn later = engine_->last_end();
  EXPECT_TRUE(ArchivedBytes(place().bucket, kOrigin, later) == LogBytes(kOrigin, later));
  EXPECT_EQ(Status().gaps, 0u);
}

TEST_F(BackupTest, ABaseBeyondLogThatIsGoneLeadsOnAndTheGapIsCounted) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  SetMany(20, 64 << 10);
  ASSERT_TRUE(manager_->TakeBase("t").ok());
  WaitUntil([&] { return CountObjects("base/") == 1; }, "the base");
  const Lsn base = Load(place().bucket).bases.front().name.lsn;
  manager_.reset();
  ASSERT_TRUE(engine_->log().TakeLease({.name = LeaseName("t"), .position = base}).ok());
  ForgetLog();
  OpenManager();
  WaitUntil([&] { return Status().state == TaskState::kNormal; }, "the task back");
  EXPECT_EQ(Status().gaps, 1u);
  ASSERT_TRUE(Flush().success);
  const Lsn end = engine_->last_end();
  EXPECT_TRUE(ArchivedBytes(place().bucket, base, end) == LogBytes(base, end));
  EXPECT_EQ(CountObjects("base/"), 1u);
}

TEST_F(BackupTest, ACappedHoldIsLetGoKnowinglyAndHeals) {
  TaskConfig config = Config();
  config.flush_interval = milliseconds(20);
  config.hold_bytes = 1 << 20;
  Start(config);
  ASSERT_TRUE(Flush().success);
  const Lsn before = Status().checkpoint;
  place().SetOutage(absl::UnavailableError("connection refused"));
  SetMany(40, 64 << 10);
  WaitUntil(
      [&] {
        ForgetLog();
        return engine_->log().oldest() > before;
      },
      "the log let go");
  WaitUntil([&] { return Status().state == TaskState::kGap; }, "the state says so");
  EXPECT_THAT(Status().cause, HasSubstr("cap"));
  const FlushOutcome outcome = Flush();
  EXPECT_FALSE(outcome.success);
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kFailedPrecondition);
  place().SetOutage(absl::OkStatus());
  WaitUntil([&] { return Status().state == TaskState::kNormal; }, "a new base");
  EXPECT_EQ(Status().gaps, 1u);
  EXPECT_TRUE(Flush().success);
}

TEST_F(BackupTest, WithoutItsFirstBaseAFlushSaysNoAndHowFarTheBaseIs) {
  ForgetLog();
  gate_.Close();
  place().SetHook([this](MemoryStore::Operation, std::string_view key) {
    if (key.starts_with("files/")) gate_.Pass();
    return absl::OkStatus();
  });
  Start();
  gate_.AwaitWaiter();
  Set("a", "1");
  const FlushOutcome no = Flush();
  EXPECT_FALSE(no.success);
  EXPECT_EQ(no.error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(no.error)), HasSubstr("% uploaded"));
  EXPECT_EQ(no.flushed, engine_->last_end());
  EXPECT_EQ(Status().state, TaskState::kStarting);
  EXPECT_GE(Status().base_progress, 0);
  FlushRequest durable;
  durable.durable_only = true;
  EXPECT_TRUE(Flush(durable).success);
  gate_.Open();
  WaitUntil([&] { return Status().restorable; }, "the base");
  EXPECT_TRUE(Flush().success);
  EXPECT_EQ(CountObjects("base/"), 1u);
  EXPECT_EQ(Status().gaps, 0u);
}

// An archive that holds nothing yet is no RPO of 0 and no checkpoint, however quiet the server is.
TEST_F(BackupTest, BeforeTheFirstBaseIsThereNothingIsPromised) {
  ForgetLog();
  gate_.Close();
  place().SetHook([this](MemoryStore::Operation, std::string_view key) {
    if (key.starts_with("files/")) gate_.Pass();
    return absl::OkStatus();
  });
  Start();
  gate_.AwaitWaiter();
  WaitUntil([&] { return Status().base_progress >= 0; }, "the base on its way");
  FlushRequest durable;
  durable.durable_only = true;
  EXPECT_EQ(Status().checkpoint, Lsn{});
  durable.target = engine_->last_end();
  const FlushOutcome no = Flush(durable);
  EXPECT_FALSE(no.success) << "neither a manifest nor log is there";
  EXPECT_EQ(no.error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(no.error)), HasSubstr("% uploaded"));
  EXPECT_GT(no.rpo_micros, 0u);
  EXPECT_GT(Status().rpo_micros, 0u);
  EXPECT_EQ(Status().checkpoint_time, Timestamp{});
  gate_.Open();
  WaitUntil([&] { return Status().restorable; }, "the base");
  EXPECT_TRUE(Flush(durable).success);
  EXPECT_GT(Status().checkpoint_time, Timestamp{});
}

TEST_F(BackupTest, AfterAGapTheCheckpointStandsUntilTheNewBaseIsThere) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  const Timestamp before = Status().checkpoint_time;
  const Lsn before_lsn = Status().checkpoint;
  ASSERT_TRUE(manager_->Pause("t", "maintenance", std::chrono::seconds(1)).ok());
  WaitUntil([&] { return Status().cause.find("not held") != std::string::npos; }, "the lease let go");
  ForgetLog();
  gate_.Close();
  place().SetHook([this](MemoryStore::Operation, std::string_view key) {
    if (key.starts_with("files/")) gate_.Pass();
    return absl::OkStatus();
  });
  ASSERT_TRUE(manager_->Resume("t").ok());
  gate_.AwaitWaiter();
  WaitUntil([&] { return Status().state == TaskState::kGap; }, "the gap");
  FlushRequest durable;
  durable.durable_only = true;
  EXPECT_EQ(Status().checkpoint, before_lsn);
  durable.target = Lsn{Status().log_end.value - Status().lag_bytes};
  const FlushOutcome no = Flush(durable);
  EXPECT_FALSE(no.success);
  EXPECT_THAT(std::string(Message(no.error)), testing::Not(HasSubstr("everything up to")));
  EXPECT_GT(Status().rpo_micros, 0u);
  EXPECT_GE(Status().checkpoint_time, before);
  EXPECT_LT(Status().checkpoint_time, Timestamp{no.target_time.micros - 900'000}) << "as of before the pause";
  gate_.Open();
  WaitUntil([&] { return Status().restorable; }, "the new base");
  EXPECT_GT(Status().checkpoint_time, before);
}

TEST_F(BackupTest, ABaseThatCouldNotBeSentIsSentLater) {
  ForgetLog();
  FailPuts(5, "files/", absl::UnavailableError("reset"));
  Start();
  WaitUntil([&] { return Status().restorable; }, "the base");
  EXPECT_TRUE(Flush().success);
  EXPECT_EQ(Status().state, TaskState::kNormal);
}

// Disks and buckets rot. What nobody can read any more is sent again while the log still has it.
TEST_F(BackupTest, ADamagedLastObjectIsSentAgainWhileTheLogHasIt) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  Set("b", "2");
  ASSERT_TRUE(Flush().success);
  const Lsn end = engine_->last_end();
  const std::string damaged = Load(place().bucket).log.at(Timeline{1}).back().key;
  manager_.reset();
  ASSERT_TRUE(place().bucket->FlipBit(damaged, 9));
  OpenManager();
  WaitUntil([&] { return Status().state == TaskState::kNormal; }, "the task back");
  const FlushOutcome outcome = Flush();
  ASSERT_TRUE(outcome.success) << outcome.error;
  EXPECT_TRUE(ArchivedBytes(place().bucket->Copy(), kOrigin, end) == LogBytes(kOrigin, end));
  EXPECT_EQ(Status().gaps, 0u);
  EXPECT_EQ(CountObjects("damaged/" + damaged), 1u) << "what may still be read of it is kept";
  EXPECT_THAT(Trouble(), HasSubstr(damaged));
}

TEST_F(BackupTest, ADamagedLastObjectThatTheLogHasLetGoIsAGapAndANewBaseComesByItself) {
  Start();
  Set("before", "1");
  ASSERT_TRUE(Flush().success);  // an object of its own, so that the gap has two sides
  SetMany(100, 10'000);          // one object, over several segments
  ASSERT_TRUE(Flush().success);
  const archive::LogEntry last = Load(place().bucket).log.at(Timeline{1}).back();
  ForgetLog();
  ASSERT_GT(engine_->log().oldest(), last.name.first);
  gate_.Close();
  place().SetHook([this](MemoryStore::Operation, std::string_view key) {
    if (key.starts_with("base/")) gate_.Pass();
    return absl::OkStatus();
  });
  manager_.reset();
  ASSERT_TRUE(place().bucket->FlipBit(last.key, 9));
  OpenManager();
  WaitUntil([&] { return Status().state == TaskState::kGap; }, "the gap");
  EXPECT_THAT(Status().cause, HasSubstr(last.key));
  Set("b", "2");
  EXPECT_FALSE(Flush().success) << "a restore could not use it yet";
  gate_.Open();
  WaitUntil([&] { return Status().state == TaskState::kNormal; }, "the new base");
  EXPECT_EQ(Status().gaps, 1u);
  ASSERT_TRUE(Flush().success);
  const Lsn base = Load(place().bucket).bases.back().name.lsn;
  const Lsn end = engine_->last_end();
  EXPECT_TRUE(ArchivedBytes(place().bucket, base, end) == LogBytes(base, end));
  // A listing alone tells what is missing.
  const std::vector<archive::Gap> gaps = Load(place().bucket).Gaps(Timeline{1});
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps.front().from, last.name.first);
  place().SetHook(nullptr);
}

TEST_F(BackupTest, ADamagedBaseThatNothingFollowsIsReplaced) {
  Start();
  SetMany(100, 10'000);
  ASSERT_TRUE(Flush().success);
  ASSERT_TRUE(manager_->TakeBase("t").ok());
  WaitUntil([&] { return CountObjects("base/") == 1 && Status().base_progress < 0; }, "a base");
  const std::string base = Load(place().bucket).bases.back().key;
  manager_.reset();
  const archive::Catalog catalog = Load(place().bucket);
  for (const archive::LogEntry& entry : catalog.log.at(Timeline{1})) place().bucket->Erase(entry.key);
  ASSERT_TRUE(place().bucket->FlipBit(base, 40));
  ForgetLog();
  OpenManager();
  WaitUntil([&] { return Status().state == TaskState::kNormal; }, "the new base");
  EXPECT_EQ(CountObjects("base/"), 1u);
  EXPECT_EQ(CountObjects("damaged/" + base), 1u);
  EXPECT_EQ(Status().gaps, 1u);
  EXPECT_TRUE(Flush().success);
}

// Not even a task that is in everybody's way may take it for a store that will be better in a moment.
TEST_F(BackupTest, DamagedDocumentsOfTheArchiveAreToldAtOnceByName) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  for (const std::string& key : {std::string(format::kArchiveIdentityName), format::TimelineKey(Timeline{1})}) {
    manager_.reset();
    const auto whole = place().bucket->objects().at(key).bytes;
    ASSERT_TRUE(place().bucket->FlipBit(key, 60));
    OpenManager();
    const FlushOutcome outcome = Flush();
    EXPECT_EQ(outcome.error.code(), absl::StatusCode::kFailedPrecondition) << outcome.error;
    EXPECT_THAT(std::string(Message(outcome.error)), HasSubstr(key));
    EXPECT_THAT(std::string(Message(outcome.error)), HasSubstr("damaged"));
    EXPECT_EQ(Status().state, TaskState::kErroring);
    place().bucket->Set(key, *whole);
    WaitUntil([&] { return Status().state == TaskState::kNormal; }, "the task back");
  }
}

TEST_F(BackupTest, ADamagedObjectDoesNotHoldBackTheMergingOfOthers) {
  options_.timings.merge.at_least = 4;
  options_.timings.merge.grace_micros = 0;
  manager_.reset();
  OpenManager();
  Start();
  const auto small = [&](const std::string& prefix) {
    for (int i = 0; i < 8; ++i) {
      Set(prefix + std::to_string(i), "v");
      ASSERT_TRUE(Flush().success);
    }
  };
  small("a");
  const std::string damaged = Load(place().bucket).log.at(Timeline{1})[3].key;
  // Larger than what is merged: what lies before it and after it are two runs.
  for (int i = 0; i < 100; ++i) Set("large", RandomBytes(2000));
  ASSERT_TRUE(Flush().success);
  const Lsn large = Status().checkpoint;
  small("b");
  ASSERT_TRUE(place().bucket->FlipBit(damaged, 200));
  manager_.reset();
  options_.timings.merge_every = milliseconds(5);
  options_.timings.merge.small_bytes = 20'000;
  OpenManager();
  WaitUntil([&] { return Status().merged_objects >= 8; }, "the later run merged");
  WaitUntil([&] { return Status().cause.find(damaged.substr(0, 12)) != std::string::npos; }, "the damage told");
  EXPECT_EQ(Status().state, TaskState::kErroring);
  const Lsn end = engine_->last_end();
  EXPECT_TRUE(ArchivedBytes(place().bucket->Copy(), large, end) == LogBytes(large, end));
}

}  // namespace
}  // namespace tidemark::backup
