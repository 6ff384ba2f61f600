// A log that another node's records go into: byte for byte the same, or not at all.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "format/log_format.h"
#include "log/inspect.h"
#include "log/log.h"

namespace tidemark::log {
namespace {

class ReceivedTest : public testing::Test {
 protected:
  ReceivedTest() {
    folder_ = testing::TempDir() + "/received_test-" + std::to_string(getpid());
    std::filesystem::remove_all(folder_);
    primary_ = Open("primary", false);
    replica_ = Open("replica", true);
  }
  ~ReceivedTest() override {
    primary_.reset();
    replica_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::unique_ptr<Log> Open(const std::string& name, bool received) {
    LogOptions options;
    options.folder = folder_ + "/" + name;
    std::filesystem::create_directories(options.folder);
    options.segment_size = received ? 3000 : 4096;
    options.purge_interval = std::chrono::hours(1);
    options.received = received;
    options.on_notice = [](std::string_view) {};
    auto log = Log::Open(FileSystem::Posix(), Clock::System(), options, &report_);
    EXPECT_TRUE(log.ok()) << log.status();
    return log.ok() ? *std::move(log) : nullptr;
  }
  void Write(int records) {
    for (int i = 0; i < records; ++i) {
      const std::string payload(100 + i % 50, 'p');
      ASSERT_TRUE(primary_->Reserve(payload.size()).ok());
      primary_->Append(Timestamp{++timestamp_}, payload);
    }
    ASSERT_TRUE(primary_->SyncTo(primary_->appended()).ok());
  }
  // Everything from the replica's end on; the bytes of all of it.
  std::string Ship() {
    std::string all;
    auto cursor = primary_->OpenCursor(replica_->appended());
    EXPECT_TRUE(cursor.ok());
    while (true) {
      auto record = (*cursor)->Next(std::chrono::milliseconds(0));
      if (!record.ok()) break;
      const absl::Status status = replica_->AppendReceived(record->raw);
      EXPECT_TRUE(status.ok()) << status;
      all += record->raw;
    }
    EXPECT_TRUE(replica_->SyncTo(replica_->appended()).ok());
    return all;
  }
  std::string Bytes(Log& log) {
    std::string all;
    auto cursor = log.OpenCursor(log.oldest());
    EXPECT_TRUE(cursor.ok());
    for (auto record = (*cursor)->Next(std::chrono::milliseconds(0)); record.ok();
         record = (*cursor)->Next(std::chrono::milliseconds(0))) {
      all += record->raw;
    }
    return all;
  }

  std::string folder_;
  std::unique_ptr<Log> primary_;
  std::unique_ptr<Log> replica_;
  RecoveryReport report_;
  uint64_t timestamp_ = 0;
};

TEST_F(ReceivedTest, BytesAreTheSameOverSegmentsOfOtherSizesTimelinesAndRestarts) {
  Write(100);
  Ship();
  primary_->StartTimeline(Timeline{2});
  Write(50);
  Ship();
  EXPECT_EQ(replica_->timeline(), Timeline{2});
  replica_.reset();
  replica_ = Open("replica", true);
  EXPECT_EQ(report_.timeline, Timeline{2});
  Write(50);
  Ship();
  EXPECT_EQ(Bytes(*replica_), Bytes(*primary_));
  EXPECT_EQ(replica_->tail().crc, primary_->tail().crc);
}

TEST_F(ReceivedTest, ATimelineThatStartsBeforeAnyRecordSurvivesARestart) {
  primary_->StartTimeline(Timeline{3});
  Write(1);
  primary_.reset();
  primary_ = Open("primary", false);
  EXPECT_EQ(primary_->timeline(), Timeline{3});
  Write(1);
  EXPECT_EQ(Ship().size(), 2 * (format::kRecordHeaderSize + 100));
}

TEST_F(ReceivedTest, WhatDoesNotFollowIsRefusedAndChangesNothing) {
  Write(3);
  auto cursor = primary_->OpenCursor(primary_->oldest());
  ASSERT_TRUE(cursor.ok());
  const std::string first((*cursor)->Next(std::chrono::milliseconds(0))->raw);
  const std::string second((*cursor)->Next(std::chrono::milliseconds(0))->raw);
  EXPECT_TRUE(absl::IsDataLoss(replica_->AppendReceived(second)));
  std::string flipped = first;
  flipped.back() ^= 1;
  EXPECT_TRUE(absl::IsDataLoss(replica_->AppendReceived(flipped)));
  EXPECT_TRUE(absl::IsDataLoss(replica_->AppendReceived(first.substr(0, first.size() - 1))));
  EXPECT_TRUE(absl::IsDataLoss(replica_->AppendReceived(first + second)));
  EXPECT_TRUE(replica_->AppendReceived(first).ok());
  EXPECT_TRUE(absl::IsDataLoss(replica_->AppendReceived(first)));
  EXPECT_TRUE(replica_->AppendReceived(second).ok());
}

// The records say what their primary knew to be durable, which is more than what this disk has kept.
TEST_F(ReceivedTest, AHoleThatAPowerFailureLeavesIsCutThoughLaterRecordsCallItDurable) {
  for (int i = 0; i < 10; ++i) Write(1);
  Ship();
  replica_.reset();
  // The hole is in the last segment, before its last record.
  std::filesystem::path last;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/replica")) {
    if (entry.path().extension() == ".log") last = std::max(last, entry.path());
  }
  std::filesystem::remove(folder_ + "/replica/leases");
  {
    std::fstream file(last, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(format::kSegmentHeaderSize + 2 * (format::kRecordHeaderSize + 100));
    file << std::string(50, '\0');
  }
  replica_ = Open("replica", true);
  ASSERT_NE(replica_, nullptr);
  EXPECT_GT(report_.torn_bytes, 0u);
  EXPECT_LT(replica_->appended(), primary_->appended());
  Ship();
  EXPECT_EQ(Bytes(*replica_), Bytes(*primary_));
}

// What a former primary wrote after it had been replaced can be looked at record by record.
TEST_F(ReceivedTest, ATailThatWasSavedAsideCanBeInspected) {
  Write(10);
  const Lsn fork = primary_->appended();
  Write(5);
  primary_.reset();
  const auto cut = Cut(FileSystem::Posix(), Clock::System(), folder_ + "/primary", fork);
  ASSERT_TRUE(cut.ok()) << cut.status();
  ASSERT_FALSE(cut->saved_to.empty());
  std::vector<Lsn> shown;
  const auto summary = Inspect(FileSystem::Posix(), cut->saved_to, {}, [&](const InspectedRecord& record) {
    EXPECT_TRUE(record.follows);
    EXPECT_EQ(record.payload.find_first_not_of('p'), std::string_view::npos);
    shown.push_back(record.header.lsn);
  });
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_TRUE(summary->verdict.ok());
  EXPECT_TRUE(summary->torn.empty()) << summary->torn;
  ASSERT_EQ(shown.size(), 5u);
  EXPECT_EQ(shown.front(), fork);
}

}  // namespace
}  // namespace tidemark::log
