#include "log/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "format/log_format.h"

namespace tidemark::log {
namespace {

using std::chrono::milliseconds;

class LogTest : public testing::Test {
 protected:
  LogTest() {
    folder_ = testing::TempDir() + "/log_test-" + std::to_string(getpid()) + "-" +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    options_.folder = folder_;
    options_.segment_size = 4096;
    options_.retain_size = 0;
    options_.purge_interval = std::chrono::hours(1);
    options_.on_notice = [](std::string_view) {};
  }
  ~LogTest() override {
    log_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Open() {
    log_.reset();
    auto log = Log::Open(FileSystem::Posix(), Clock::System(), options_, &report_);
    ASSERT_TRUE(log.ok()) << log.status();
    log_ = std::move(*log);
    timestamp_ = std::max(timestamp_, report_.last_timestamp.micros);
  }

  Lsn Append(std::string_view payload) {
    const absl::Status reserved = log_->Reserve(payload.size());
    EXPECT_TRUE(reserved.ok()) << reserved;
    return log_->Append(Timestamp{++timestamp_}, payload);
  }

  std::vector<std::string> ReadFrom(Lsn from) {
    std::vector<std::string> payloads;
    auto cursor = log_->OpenCursor(from);
    EXPECT_TRUE(cursor.ok()) << cursor.status();
    while (true) {
      auto record = (*cursor)->Next(milliseconds(0));
      if (!record.ok()) {
        EXPECT_TRUE(absl::IsDeadlineExceeded(record.status())) << record.status();
        return payloads;
      }
      payloads.emplace_back(record->payload);
    }
  }

  std::string folder_;
  LogOptions options_;
  RecoveryReport report_;
  std::unique_ptr<Log> log_;
  uint64_t timestamp_ = 0;
};

TEST_F(LogTest, WhatWasSyncedIsReadBackAfterReopen) {
  Open();
  std::vector<std::string> written;
  // Over several segments, one record larger than a segment, one of nothing.
  for (int i = 0; i < 200; ++i) written.push_back(std::string(i, 'a' + i % 26));
  written.push_back(std::string(20000, 'L'));
  written.push_back("");
  for (const std::string& payload : written) Append(payload);
  ASSERT_TRUE(log_->SyncTo(log_->next_lsn()).ok());
  EXPECT_EQ(ReadFrom(format::kFirstLsn), written);
  const Lsn end = log_->next_lsn();

  Open();
  EXPECT_EQ(report_.end, end);
  EXPECT_EQ(report_.last_timestamp.micros, timestamp_);
  EXPECT_EQ(report_.torn_bytes, 0u);
  EXPECT_EQ(ReadFrom(format::kFirstLsn), written);
  Append("after");
  ASSERT_TRUE(log_->SyncTo(log_->next_lsn()).ok());
  EXPECT_EQ(ReadFrom(end), std::vector<std::string>{"after"});
}

TEST_F(LogTest, AFirstRecordLargerThanASegmentGetsRoom) {
  Open();
  Append(std::string(100'000, 'x'));
  Append("y");
  ASSERT_TRUE(log_->SyncTo(log_->next_lsn()).ok());
  Open();
  EXPECT_EQ(ReadFrom(format::kFirstLsn).size(), 2u);
}

TEST_F(LogTest, ACursorFollowsTheEndAndMakesTheSyncCome) {
  options_.durability = Durability::kNo;
  Open();
  auto cursor = *log_->OpenCursor(log_->next_lsn());
  std::thread reader([&] {
    for (int i = 0; i < 100; ++i) {
      auto record = cursor->Next(std::chrono::seconds(20));
      ASSERT_TRUE(record.ok()) << record.status();
      EXPECT_EQ(record->payload, std::to_string(i));
      EXPECT_LE(record->end, log_->durable());
    }
  });
  for (int i = 0; i < 100; ++i) {
    Append(std::to_string(i));
    log_->Write();
  }
  reader.join();
}

TEST_F(LogTest, SyncsForACursorDoNotFollowEachOtherWithoutAPause) {
  options_.durability = Durability::kNo;
  options_.segment_size = 1 << 20;  // its change asks for a sync, too
  Open();
  auto cursor = *log_->OpenCursor(log_->next_lsn());
  std::atomic<int> received{0};
  std::thread reader([&] {
    while (cursor->Next(std::chrono::seconds(20)).ok()) ++received;
  });
  const auto began = std::chrono::steady_clock::now();
  int written = 0;
  while (std::chrono::steady_clock::now() - began < milliseconds(300)) {
    Append("x");
    log_->Write();
    ++written;
    std::this_thread::yield();
  }
  const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
  const Log::Stats stats = log_->stats();
  log_->SyncTo(log_->next_lsn()).IgnoreError();
  while (received < written) std::this_thread::yield();
  cursor->Cancel();
  reader.join();
  const auto rotations = static_cast<int64_t>(log_->stats().segments);
  EXPECT_LE(static_cast<int64_t>(stats.syncs), took.count() / 20 + 1 + rotations);
  EXPECT_GE(stats.syncs, 1u);
}

TEST_F(LogTest, CancelAndCloseEndAWaitingCursor) {
  Open();
  auto cancelled = *log_->OpenCursor(log_->next_lsn());
  auto closed = *log_->OpenCursor(log_->next_lsn());
  std::thread first([&] { EXPECT_TRUE(absl::IsCancelled(cancelled->Next(milliseconds::max()).status())); });
  std::thread second([&] { EXPECT_TRUE(absl::IsCancelled(closed->Next(std::chrono::hours(1)).status())); });
  cancelled->Cancel();
  first.join();
  log_.reset();
  second.join();
}

TEST_F(LogTest, AlwaysSyncsOnRequestAndTellsTheListener) {
  options_.durability = Durability::kAlways;
  Open();
  std::atomic<uint64_t> told{0};
  log_->SetDurableListener([&](Lsn durable) {
    told = durable.value;
    told.notify_all();
  });
  Append("one");
  log_->Write();
  log_->RequestSync(log_->written());
  told.wait(0);
  EXPECT_EQ(told, log_->next_lsn().value);
}

TEST_F(LogTest, EverySecondSyncsByItself) {
  Open();
  auto began = std::chrono::steady_clock::now();
  std::atomic<uint64_t> told{0};
  log_->SetDurableListener([&](Lsn durable) {
    told = durable.value;
    told.notify_all();
  });
  Append("one");
  log_->Write();
  told.wait(0);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

TEST_F(LogTest, ASecondLogInTheSameFolderIsRefused) {
  Open();
  auto second = Log::Open(FileSystem::Posix(), Clock::System(), options_, nullptr);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

TEST_F(LogTest, PurgeKeepsWhatALeaseHolds) {
  Open();
  std::vector<Lsn> lsns;
  for (int i = 0; i < 100; ++i) lsns.push_back(Append(std::string(500, 'a')));
  ASSERT_TRUE(log_->SyncTo(log_->next_lsn()).ok());
  Lease lease{.name = "engine", .position = lsns[50]};
  ASSERT_TRUE(log_->TakeLease(lease).ok());
  auto freed = log_->Purge();
  ASSERT_TRUE(freed.ok()) << freed.status();
  EXPECT_GT(*freed, 0u);
  EXPECT_EQ(ReadFrom(lsns[50]).size(), 50u);
  EXPECT_TRUE(absl::IsOutOfRange(log_->OpenCursor(lsns[0]).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(log_->TakeLease({.name = "late", .position = lsns[0]})));

  Open();
  ASSERT_EQ(log_->Leases().size(), 1u);
  EXPECT_EQ(log_->Leases()[0].position, lsns[50]);
  ASSERT_TRUE(log_->RaiseLease("engine", log_->next_lsn()).ok());
  ASSERT_TRUE(log_->Purge().ok());
  EXPECT_EQ(log_->stats().segments, 1u);
  ASSERT_TRUE(log_->ReleaseLease("engine").ok());
  EXPECT_TRUE(absl::IsNotFound(log_->RaiseLease("engine", log_->next_lsn())));
}

TEST_F(LogTest, ALogMayContinueAnotherOnANewTimeline) {
  options_.start = LogStart{.timeline = Timeline{3}, .base = Lsn{777'000}, .previous_crc = 42, .last_timestamp = {}};
  Open();
  EXPECT_EQ(log_->next_lsn(), Lsn{777'000});
  EXPECT_EQ(log_->timeline(), Timeline{3});
  Append("first of the new timeline");
  log_->Write();
  ASSERT_TRUE(log_->SyncTo(log_->next_lsn()).ok());
  const Lsn end = log_->next_lsn();
  // The second time the segments speak.
  Open();
  EXPECT_EQ(log_->next_lsn(), end);
  EXPECT_EQ(log_->timeline(), Timeline{3});
  EXPECT_EQ(ReadFrom(Lsn{777'000}).size(), 1u);
}

TEST_F(LogTest, ManyWritersOfOneLockShareSyncs) {
  options_.durability = Durability::kAlways;
  options_.segment_size = 64 << 10;
  Open();
  std::mutex commit;
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        Lsn end;
        {
          const std::lock_guard lock(commit);
          Append(std::string(100, 'w'));
          end = log_->next_lsn();
        }
        log_->Write();
        ASSERT_TRUE(log_->SyncTo(end).ok());
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(ReadFrom(format::kFirstLsn).size(), 2000u);
  EXPECT_EQ(log_->durable(), log_->next_lsn());
}

}  // namespace
}  // namespace tidemark::log
