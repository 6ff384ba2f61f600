// What a force flush, a restart and a failing store may not do to a user: say yes without the data being there, lose
// the place, or write into somebody else's archive.
#include <gmock/gmock.h>

#include <atomic>

#include "backup/backup_testing.h"
#include "backup/task_row.h"
#include "log/peek.h"

namespace tidemark::backup {
namespace {

using objstore::MemoryStore;
using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr Lsn kOrigin = format::kFirstLsn;

TEST_F(BackupTest, AYesMeansThatTheArchiveHasEveryRecord) {
  Start();
  SetMany(100, 100);
  const Lsn end = engine_->last_end();
  const FlushOutcome outcome = Flush();
  const auto copy = place().bucket->Copy();
  ASSERT_TRUE(outcome.success) << outcome.error;
  EXPECT_EQ(outcome.target, end);
  EXPECT_GE(outcome.flushed, end);
  EXPECT_EQ(outcome.objects, 1u);
  EXPECT_EQ(outcome.rpo_micros, 0u);
  EXPECT_TRUE(ArchivedBytes(copy, kOrigin, end) == LogBytes(kOrigin, end));
  EXPECT_EQ(Status().state, TaskState::kNormal);
  EXPECT_TRUE(Status().restorable);
}

TEST_F(BackupTest, AskingAgainIsFree) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  const size_t objects = CountObjects("log/");
  const uint64_t flushes = Status().flushes;
  ASSERT_TRUE(Flush().success);
  EXPECT_EQ(CountObjects("log/"), objects);
  EXPECT_EQ(Status().flushes, flushes);
}

TEST_F(BackupTest, TimedFlushesKeepTheRpoShortAndItIsZeroOnceAllIsThere) {
  TaskConfig config = Config();
  config.flush_interval = milliseconds(20);
  Start(config);
  Set("a", "1");
  WaitUntil([&] { return Status().rpo_micros == 0 && Status().checkpoint == engine_->last_end(); }, "a timed flush");
  place().SetOutage(absl::UnavailableError("reset"));
  Set("b", "2");
  WaitUntil([&] { return Status().rpo_micros > 50'000; }, "an RPO that grows");
  EXPECT_GT(Status().lag_bytes, 0u);
  place().SetOutage(absl::OkStatus());
  WaitUntil([&] { return Status().rpo_micros == 0; }, "the RPO back at zero");
}

TEST_F(BackupTest, ASizeThatIsReachedDoesNotWaitForTheInterval) {
  TaskConfig config = Config();
  config.flush_bytes = 64 << 10;
  Start(config);
  ASSERT_TRUE(Flush().success);
  SetMany(100, 4 << 10);
  WaitUntil([&] { return Status().lag_bytes < config.flush_bytes; }, "a flush by size");
  for (const auto& [timeline, entries] : Load(place().bucket).log) {
    for (const archive::LogEntry& entry : entries) {
      EXPECT_LE(entry.name.end - entry.name.first, config.flush_bytes);
    }
  }
}

TEST_F(BackupTest, ARestartFindsItsPlaceByListing) {
  Start();
  SetMany(50, 100);
  ASSERT_TRUE(Flush().success);
  const size_t objects = CountObjects("log/");
  const Lsn checkpoint = Status().checkpoint;
  Restart();
  WaitUntil([&] { return Status().state == TaskState::kNormal; }, "the task back");
  EXPECT_EQ(Status().checkpoint, checkpoint);
  EXPECT_EQ(CountObjects("log/"), objects);
  Set("more", "1");
  ASSERT_TRUE(Flush().success);
  const Lsn end = engine_->last_end();
  EXPECT_TRUE(ArchivedBytes(place().bucket, kOrigin, end) == LogBytes(kOrigin, end));
}

TEST_F(BackupTest, ACallThatComesBeforeTheArchiveWasReadWaitsForIt) {
  Start();
  Set("a", "1");
  gate_.Close();
  manager_.reset();
  place().SetHook([this](MemoryStore::Operation operation, std::string_view) {
    if (operation == MemoryStore::Operation::kProbe) gate_.Pass();
    return absl::OkStatus();
  });
  OpenManager();
  gate_.AwaitWaiter();
  std::atomic<int> answers{0};
  std::atomic<bool> success{false};
  ASSERT_TRUE(manager_
                  ->Flush({},
                          [&](const std::vector<FlushOutcome>& outcomes) {
                            success = outcomes.front().success;
                            ++answers;
                          })
                  .ok());
  FlushRequest impatient;
  impatient.timeout = milliseconds(10);
  const FlushOutcome late = Flush(impatient);
  EXPECT_EQ(late.error.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(answers, 0);
  gate_.Open();
  WaitUntil([&] { return answers == 1; }, "the early caller's answer");
  EXPECT_TRUE(success);
}

// The objects are there, but the process died before it had counted them.
TEST_F(BackupTest, WhatWasUploadedBeforeAKillIsNotUploadedAgain) {
  Start();
  ASSERT_TRUE(Flush().success);
  const Lsn checkpoint = Status().checkpoint;
  SetMany(20, 100);
  place().SetHook([this](MemoryStore::Operation operation, std::string_view key) {
    const bool fence_check = operation == MemoryStore::Operation::kList && key.starts_with("timelines/");
    return fence_check ? absl::UnavailableError("killed here") : absl::OkStatus();
  });
  FlushRequest request;
  request.timeout = milliseconds(50);
  EXPECT_FALSE(Flush(request).success);
  EXPECT_EQ(Status().checkpoint, checkpoint) << "counted without knowing that nobody has taken over";
  place().SetHook(nullptr);
  const size_t objects = CountObjects("log/");
  manager_.reset();
  OpenManager();
  ASSERT_TRUE(Flush().success);
  EXPECT_EQ(CountObjects("log/"), objects);
}

TEST_F(BackupTest, AnOutageIsRiddenOutAndCaughtUpByItself) {
  TaskConfig config = Config();
  config.flush_interval = milliseconds(20);
  config.flush_bytes = 64 << 10;
  Start(config);
  ASSERT_TRUE(Flush().success);
  place().SetOutage(absl::UnavailableError("connection refused"));
  SetMany(100, 4 << 10);
  const Lsn end = engine_->last_end();
  FlushRequest request;
  request.timeout = milliseconds(100);
  const FlushOutcome outcome = Flush(request);
  EXPECT_FALSE(outcome.success);
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(Message(outcome.error)), HasSubstr("connection refused"));
  EXPECT_LT(outcome.flushed, end);
  EXPECT_GT(outcome.rpo_micros, 0u);
  EXPECT_EQ(Status().state, TaskState::kErroring);
  EXPECT_THAT(Status().cause, HasSubstr("connection refused"));
  place().SetOutage(absl::OkStatus());
  WaitUntil([&] { return Status().checkpoint >= end; }, "catching up");
  EXPECT_EQ(Status().state, TaskState::kNormal);
  EXPECT_TRUE(ArchivedBytes(place().bucket, kOrigin, end) == LogBytes(kOrigin, end));
}

TEST_F(BackupTest, AWaiterOutlastsAPassingFailure) {
  Start();
  Set("a", "1");
  FailPuts(3, "log/", absl::ResourceExhaustedError("slow down"));
  EXPECT_TRUE(Flush().success);
  EXPECT_EQ(Status().state, TaskState::kNormal);
}

TEST_F(BackupTest, ALastingFailureIsToldAtOnceWithItsCauseAndHeals) {
  TaskConfig config = Config();
  config.flush_interval = milliseconds(20);
  Start(config);
  ASSERT_TRUE(Flush().success);
  place().SetOutage(absl::PermissionDeniedError("credentials expired"));
  Set("a", "1");
  const FlushOutcome outcome = Flush();
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(Message(outcome.error)), HasSubstr("credentials expired"));
  EXPECT_LT(outcome.waited_micros, 20'000'000u);
  place().SetOutage(absl::OkStatus());
  WaitUntil([&] { return Status().state == TaskState::kNormal && Status().lag_bytes == 0; }, "healing");
}

TEST_F(BackupTest, AnAnswerThatGotLostIsNoConflict) {
  Start();
  MemoryStore::Faults faults;
  faults.seed = 7;
  faults.lost_answer = 300;
  place().SetFaults(faults);
  for (int i = 0; i < 20; ++i) {
    Set("k", std::to_string(i));
    const FlushOutcome outcome = Flush();
    ASSERT_TRUE(outcome.success) << outcome.error;
  }
  const Lsn end = engine_->last_end();
  EXPECT_TRUE(ArchivedBytes(place().bucket, kOrigin, end) == LogBytes(kOrigin, end));
}

// A clock that was set back while the server was down.
TEST_F(BackupTest, ARestartGivesNoTimestampThatTheArchiveHasClosed) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  const Timestamp before = engine_->clock().Now();
  const Timestamp closed{before.micros + 3'600'000'000};
  const Lsn end = engine_->last_end();
  archive::LogObjectWriter writer({}, Origin(), end, LastArchivedCrc());
  const auto published = writer.Finish(closed);
  ASSERT_TRUE(published.ok());
  place().bucket->Set(format::LogObjectKey(published->name), published->bytes);
  Restart();
  WaitUntil([&] { return Status().state == TaskState::kNormal; }, "the task back");
  ASSERT_EQ(Status().checkpoint_time, closed);
  Set("b", "2");
  const auto record = log::PeekRecord(engine_->log(), end);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_GT(record->timestamp, closed);
}

TEST_F(BackupTest, TwoTasksAnswerEachForItself) {
  Start(Config("a", "memory:a"));
  Start(Config("b", "memory:b"));
  EXPECT_FALSE(manager_->Start(Config("c", "memory:a")).ok()) << "two tasks in one place";
  EXPECT_EQ(manager_->Start(Config("a", "memory:c")).code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(Flush().success);
  At("memory:b").SetOutage(absl::PermissionDeniedError("wrong key"));
  Set("x", "1");
  auto outcomes = manager_->FlushAndWait({});
  ASSERT_TRUE(outcomes.ok());
  ASSERT_EQ(outcomes->size(), 2u);
  EXPECT_TRUE((*outcomes)[0].success);
  EXPECT_FALSE((*outcomes)[1].success);
  EXPECT_EQ((*outcomes)[1].task, "b");
  FlushRequest one;
  one.tasks = {"a"};
  EXPECT_TRUE(Flush(one).success);
  one.tasks = {"nobody"};
  EXPECT_EQ(manager_->FlushAndWait(one).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BackupTest, AThousandCallersShareTwoFlushes) {
  Start();
  ASSERT_TRUE(Flush().success);
  const uint64_t before = Status().flushes;
  HoldLogPuts();
  std::atomic<int> yes{0};
  for (int i = 0; i < 1000; ++i) {
    if (i % 10 == 0) Set("k" + std::to_string(i), "v");
    ASSERT_TRUE(manager_
                    ->Flush({},
                            [&](const std::vector<FlushOutcome>& outcomes) {
                              if (outcomes.front().success) ++yes;
                            })
                    .ok());
  }
  gate_.AwaitWaiter();
  gate_.Open();
  WaitUntil([&] { return yes == 1000; }, "all answers");
  EXPECT_LE(Status().flushes, before + 2);
}

TEST_F(BackupTest, ADeadlineEndsTheWaitThoughTheStoreHangs) {
  Start();
  ASSERT_TRUE(Flush().success);
  HoldLogPuts();
  Set("a", "1");
  FlushRequest request;
  request.timeout = milliseconds(20);
  const FlushOutcome outcome = Flush(request);
  EXPECT_EQ(outcome.error.code(), absl::StatusCode::kDeadlineExceeded);
  const Lsn end = engine_->last_end();
  gate_.Open();
  WaitUntil([&] { return Status().checkpoint >= end; }, "the flush going on");
}

TEST_F(BackupTest, ACancelledCallHearsNothing) {
  Start();
  ASSERT_TRUE(Flush().success);
  HoldLogPuts();
  Set("a", "1");
  std::atomic<bool> heard{false};
  const auto id = manager_->Flush({}, [&](const std::vector<FlushOutcome>&) { heard = true; });
  ASSERT_TRUE(id.ok());
  gate_.AwaitWaiter();
  manager_->CancelFlush(*id);
  gate_.Open();
  EXPECT_TRUE(Flush().success);
  EXPECT_FALSE(heard);
}

TEST_F(BackupTest, TheWatchdogSeesACheckpointThatStandsStill) {
  options_.timings.stall_min = milliseconds(50);
  manager_.reset();
  OpenManager();
  TaskConfig config = Config();
  config.flush_interval = milliseconds(10);
  Start(config);
  ASSERT_TRUE(Flush().success);
  WaitUntil([&] { return !Status().stalled; }, "no stall");
  HoldLogPuts();
  Set("a", "1");
  WaitUntil([&] { return Status().stalled; }, "the watchdog");
  gate_.Open();
  WaitUntil([&] { return !Status().stalled; }, "the end of the stall");
}

TEST_F(BackupTest, AnIdleLogsClosedTimestampIsArchivedAndTheOldOnesGo) {
  options_.timings.closed_every = milliseconds(10);
  manager_.reset();
  OpenManager();
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  const Timestamp first = Status().checkpoint_time;
  const Timestamp now = engine_->clock().Now();
  WaitUntil([&] { return Status().checkpoint_time > now; }, "a closed timestamp");
  const auto closed = [&] {
    const archive::Catalog catalog = Load(place().bucket);
    return catalog.Follow(Timeline{1}, kOrigin, Lsn{UINT64_MAX}).closed;
  };
  EXPECT_GT(closed(), first);
  const uint64_t objects = Status().objects;
  WaitUntil([&] { return Status().objects > objects + 5; }, "more of them");
  EXPECT_LE(CountObjects("log/"), 4u);
  Set("b", "1");
  ASSERT_TRUE(Flush().success);
  const Lsn end = engine_->last_end();
  EXPECT_TRUE(ArchivedBytes(place().bucket, kOrigin, end) == LogBytes(kOrigin, end));
}

TEST_F(BackupTest, AStoreThatCannotBeReachedDoesNotKeepTheServerFromStarting) {
  Start();
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  place().SetOutage(absl::UnavailableError("no route to host"));
  Restart();
  WaitUntil([&] { return Status().state == TaskState::kErroring; }, "the state says so");
  EXPECT_THAT(Status().cause, HasSubstr("no route to host"));
  Set("b", "1");
  EXPECT_GT(Status().lag_bytes, 0u);
  place().SetOutage(absl::OkStatus());
  EXPECT_TRUE(Flush().success);
}

TEST_F(BackupTest, ACleanStopFlushesAndSaysWhatIsLeft) {
  Start();
  Set("a", "1");
  const Lsn end = engine_->last_end();
  std::vector<std::string> lines = manager_->Shutdown(std::chrono::seconds(30));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("nothing would be lost"));
  EXPECT_TRUE(ArchivedBytes(place().bucket, kOrigin, end) == LogBytes(kOrigin, end));

  manager_.reset();
  OpenManager();
  WaitUntil([&] { return Status().state == TaskState::kNormal; }, "the task back");
  place().SetOutage(absl::UnavailableError("connection refused"));
  Set("b", "1");
  lines = manager_->Shutdown(milliseconds(50));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("RPO"));
}

TEST_F(BackupTest, EventsTellOfEveryStepForward) {
  Start();
  std::atomic<uint64_t> flushed{0};
  const uint64_t id = manager_->Subscribe([&](const FlushEvent& event) {
    EXPECT_GE(event.flushed.value, flushed.load());
    flushed = event.flushed.value;
  });
  Set("a", "1");
  ASSERT_TRUE(Flush().success);
  const Lsn end = engine_->last_end();
  WaitUntil([&] { return flushed >= end.value; }, "an event");
  manager_->Unsubscribe(id);
  Set("b", "1");
  ASSERT_TRUE(Flush().success);
  WaitUntil([&] { return Status().checkpoint == engine_->last_end(); }, "the flush");
  EXPECT_EQ(flushed, end.value);
}

TEST_F(BackupTest, SmallObjectsAreMergedAndTheArchiveStaysWhole) {
  options_.timings.merge_every = milliseconds(5);
  options_.timings.merge.at_least = 4;
  options_.timings.merge.grace_micros = 0;
  manager_.reset();
  OpenManager();
  Start();
  for (int i = 0; i < 40; ++i) {
    Set("k" + std::to_string(i), "v");
    ASSERT_TRUE(Flush().success);
  }
  WaitUntil([&] { return Status().merged_objects > 0 && Status().deleted_objects > 0; }, "merging");
  EXPECT_LT(CountObjects("log/"), 40u);
  const Lsn end = engine_->last_end();
  EXPECT_TRUE(ArchivedBytes(place().bucket->Copy(), kOrigin, end) == LogBytes(kOrigin, end));
}

// Promise 5, under writers, callers and a store that fails, throttles and loses answers.
TEST_F(BackupTest, EveryYesIsTrueOfACopyOfTheArchive) {
  TaskConfig config = Config();
  config.flush_interval = milliseconds(15);
  config.flush_bytes = 64 << 10;
  Start(config);
  MemoryStore::Faults faults;
  faults.seed = 11;
  faults.unavailable = 50;
  faults.throttled = 20;
  faults.lost_answer = 50;
  place().SetFaults(faults);
  std::atomic<bool> stop{false};
  std::jthread writer([&] {
    for (int i = 0; !stop; ++i) {
      ASSERT_TRUE(TrySet("w" + std::to_string(i % 1000), std::string(static_cast<size_t>(i) % 700, 'x')).ok());
      while (!stop && Status().lag_bytes > 1 << 20) std::this_thread::yield();
    }
  });
  struct Yes {
    Lsn target;
    std::shared_ptr<objstore::MemoryBucket> copy;
  };
  std::vector<Yes> all;
  for (int i = 0; i < 25; ++i) {
    Set("marker", std::to_string(i));
    const Lsn acknowledged = engine_->last_end();
    const FlushOutcome outcome = Flush();
    EXPECT_TRUE(outcome.success) << outcome.error;
    EXPECT_GE(outcome.target, acknowledged);
    if (outcome.success) all.push_back({outcome.target, place().bucket->Copy()});
  }
  stop = true;
  writer.join();
  const std::string log = LogBytes(kOrigin, engine_->last_end());
  for (const Yes& yes : all) {
    EXPECT_TRUE(ArchivedBytes(yes.copy, kOrigin, yes.target) == log.substr(0, yes.target - kOrigin));
  }
}

}  // namespace
}  // namespace tidemark::backup
