// Recovery, damage and full disks, on a disk in memory that a test can bend.
#include "log/recovery.h"

#include <gtest/gtest.h>

#include <future>

#include "env/faulty_file.h"
#include "log/inspect.h"
#include "log/log_impl.h"

namespace tidemark::log {
namespace {

using format::kFirstLsn;
using std::chrono::milliseconds;

class RecoveryTest : public testing::Test {
 protected:
  RecoveryTest() {
    options_.folder = "log";
    options_.segment_size = 2000;
    options_.background_threads = false;
    options_.on_notice = [](std::string_view) {};
    options_.on_fatal = [this](std::string_view what) { fatal_ = what; };
  }

  absl::Status TryOpen() {
    log_.reset();
    auto log = LogImpl::Open(fs_, Clock::System(), options_, &report_);
    if (!log.ok()) return log.status();
    log_ = std::move(*log);
    timestamp_ = std::max(timestamp_, report_.last_timestamp.micros);
    return absl::OkStatus();
  }

  Lsn Append(std::string_view payload) {
    const absl::Status reserved = log_->Reserve(payload.size());
    EXPECT_TRUE(reserved.ok()) << reserved;
    return log_->Append(Timestamp{++timestamp_}, payload);
  }

  // Records of 100 bytes, `synced` of them durable and seen to be so by the ones after.
  void Fill(int synced, int unsynced = 0) {
    for (int i = 0; i < synced; ++i) lsns_.push_back(Append(std::string(60, 's')));
    ASSERT_TRUE(log_->SyncTo(log_->appended()).ok());
    for (int i = 0; i < unsynced; ++i) lsns_.push_back(Append(std::string(60, 'u')));
    log_->Write();
  }

  void Die() {
    fs_.ProcessDeath();
    log_.reset();
    fs_.Restart();
  }

  void Flip(Lsn at) {
    const auto segments = *ListSegments(fs_, "log");
    size_t i = segments.size() - 1;
    while (segments[i].id.base > at) --i;
    auto file = *fs_.Open(segments[i].path, FileSystem::Mode::kReadWrite);
    const uint64_t offset = format::kSegmentHeaderSize + (at - segments[i].id.base);
    char byte = 0;
    ASSERT_EQ(*file->Read(offset, 1, &byte), 1u);
    byte = static_cast<char>(byte ^ 0x40);
    ASSERT_TRUE(file->Write(offset, {&byte, 1}).ok());
  }

  size_t Count() {
    auto cursor = *log_->OpenCursor(log_->oldest(), ReadLimit::kDurable);
    size_t count = 0;
    while (cursor->Next(milliseconds(0)).ok()) ++count;
    EXPECT_EQ(cursor->position(), log_->durable());
    return count;
  }

  FaultyFileSystem fs_;
  LogOptions options_;
  RecoveryReport report_;
  std::unique_ptr<LogImpl> log_;
  std::vector<Lsn> lsns_;
  std::string fatal_;
  uint64_t timestamp_ = 0;
};

TEST_F(RecoveryTest, ATornTailIsCutSavedAndReported) {
  ASSERT_TRUE(TryOpen().ok());
  Fill(5, 3);
  Die();
  Flip(lsns_[6] + 50);
  ASSERT_TRUE(TryOpen().ok());
  EXPECT_EQ(report_.torn_at, lsns_[6]);
  EXPECT_EQ(report_.end, lsns_[6]);
  EXPECT_EQ(report_.torn_bytes, 200u);
  EXPECT_EQ(ReadWholeFile(fs_, report_.saved_to)->size(), 200u);
  EXPECT_EQ(Count(), 6u);
  // Nothing of the cut tail comes back, and the next start finds nothing to cut.
  Append("after");
  ASSERT_TRUE(log_->SyncTo(log_->appended()).ok());
  Die();
  ASSERT_TRUE(TryOpen().ok());
  EXPECT_EQ(report_.torn_bytes, 0u);
  EXPECT_EQ(Count(), 7u);
}

TEST_F(RecoveryTest, DamageBelowWhatWasDurableIsRefusedWithFileAndOffset) {
  ASSERT_TRUE(TryOpen().ok());
  Fill(5, 3);
  Die();
  Flip(lsns_[2] + 50);
  const absl::Status status = TryOpen();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.message().find("00000001-0000000000001000.log, byte offset 264"), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("tidemark wal cut log --at 4296"), absl::string_view::npos) << status;
}

TEST_F(RecoveryTest, AfterACleanStopTheLeasesFileKnowsWhatWasDurable) {
  ASSERT_TRUE(TryOpen().ok());
  Fill(5);
  log_.reset();
  Flip(lsns_[4] + 50);
  EXPECT_TRUE(absl::IsDataLoss(TryOpen()));
}

TEST_F(RecoveryTest, DamageInAnOlderSegmentIsFoundByTheCursor) {
  ASSERT_TRUE(TryOpen().ok());
  Fill(100);
  Fill(1);
  log_.reset();
  Flip(lsns_[10] + 50);
  ASSERT_TRUE(TryOpen().ok());
  auto cursor = *log_->OpenCursor(kFirstLsn, ReadLimit::kDurable);
  absl::Status status;
  while (status.ok()) status = cursor->Next(milliseconds(0)).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_EQ(cursor->position(), lsns_[10]);
  const auto summary = Inspect(fs_, "log", {}, [](const InspectedRecord&) {});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_TRUE(absl::IsDataLoss(summary->verdict));
  EXPECT_EQ(summary->end, lsns_[10]);
  EXPECT_NE(status.message().find("byte offset 1064"), absl::string_view::npos) << status;
}

TEST_F(RecoveryTest, AMissingSegmentIsNamed) {
  ASSERT_TRUE(TryOpen().ok());
  Fill(100);
  Fill(1);
  log_.reset();
  const auto segments = *ListSegments(fs_, "log");
  ASSERT_GE(segments.size(), 4u);
  ASSERT_TRUE(fs_.Remove(segments[1].path).ok());
  const absl::Status status = TryOpen();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.message().find("lacks a segment: between " + segments[0].path + " and " + segments[2].path),
            absl::string_view::npos)
      << status;
}

TEST_F(RecoveryTest, CutGoesOnAfterDamage) {
  ASSERT_TRUE(TryOpen().ok());
  Fill(100);
  Fill(1);
  log_.reset();
  Flip(lsns_[10] + 50);
  EXPECT_TRUE(absl::IsInvalidArgument(Cut(fs_, Clock::System(), "log", lsns_[9] + 1).status()));
  EXPECT_TRUE(absl::IsOutOfRange(Cut(fs_, Clock::System(), "log", Lsn{1 << 30}).status()));
  const auto cut = Cut(fs_, Clock::System(), "log", lsns_[10]);
  ASSERT_TRUE(cut.ok()) << cut.status();
  EXPECT_GT(cut->bytes, 8000u);
  ASSERT_TRUE(TryOpen().ok());
  EXPECT_EQ(report_.torn_bytes, 0u);
  EXPECT_EQ(Count(), 10u);
}

TEST_F(RecoveryTest, AFullDiskRefusesAndHealsByItself) {
  ASSERT_TRUE(TryOpen().ok());
  fs_.SetCapacity(fs_.used_bytes());
  absl::Status status;
  int fitted = 0;
  for (; status.ok(); ++fitted) {
    status = log_->Reserve(60);
    if (status.ok()) log_->Append(Timestamp{++timestamp_}, std::string(60, 'x'));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(log_->stats().disk_full);
  // What was accepted has its room: it can be written, synced and read.
  ASSERT_TRUE(log_->SyncTo(log_->appended()).ok());
  EXPECT_EQ(Count(), static_cast<size_t>(fitted - 1));
  fs_.SetCapacity(FaultyFileSystem::kUnlimited);
  Append("again");
  EXPECT_FALSE(log_->stats().disk_full);
  ASSERT_TRUE(log_->SyncTo(log_->appended()).ok());
}

TEST_F(RecoveryTest, TheThreadsFindRoomAgainByThemselves) {
  std::promise<void> full;
  std::promise<void> room;
  options_.background_threads = true;
  options_.on_notice = [&](std::string_view text) {
    if (text.find("no room for the next log segment") != std::string_view::npos) full.set_value();
    if (text.find("there is room again") != std::string_view::npos) room.set_value();
  };
  fs_.SetCapacity(2500);
  ASSERT_TRUE(TryOpen().ok());
  full.get_future().wait();
  EXPECT_TRUE(log_->stats().disk_full);
  while (log_->Reserve(60).ok()) log_->Append(Timestamp{++timestamp_}, std::string(60, 'x'));
  EXPECT_TRUE(absl::IsResourceExhausted(log_->Reserve(60)));
  fs_.SetCapacity(FaultyFileSystem::kUnlimited);
  room.get_future().wait();
  Append("again");
  EXPECT_TRUE(log_->SyncTo(log_->appended()).ok());
  EXPECT_FALSE(log_->stats().disk_full);
  log_.reset();
}

TEST_F(RecoveryTest, AFailedSyncStopsTheProcessAndIsNotTriedAgain) {
  ASSERT_TRUE(TryOpen().ok());
  Fill(2);
  const Lsn durable = log_->durable();
  Append("lost");
  log_->Write();
  fs_.FailSync(1);
  EXPECT_FALSE(log_->SyncTo(log_->appended()).ok());
  EXPECT_NE(fatal_.find("cannot sync log/00000001-0000000000001000.log"), std::string::npos) << fatal_;
  const uint64_t syncs = fs_.syncs();
  EXPECT_FALSE(log_->SyncTo(log_->appended()).ok());
  EXPECT_EQ(fs_.syncs(), syncs);
  EXPECT_EQ(log_->durable(), durable);
}

TEST_F(RecoveryTest, AFailedWriteStopsTheProcess) {
  ASSERT_TRUE(TryOpen().ok());
  Append("x");
  fs_.FailWrite(1);
  log_->Write();
  EXPECT_NE(fatal_.find("cannot write"), std::string::npos) << fatal_;
  EXPECT_EQ(log_->written(), kFirstLsn);
}

TEST_F(RecoveryTest, ADamagedLeasesFileIsNamed) {
  ASSERT_TRUE(TryOpen().ok());
  log_.reset();
  auto file = *fs_.Open("log/leases", FileSystem::Mode::kReadWrite);
  ASSERT_TRUE(file->Write(9, "x").ok());
  const absl::Status status = TryOpen();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_NE(status.message().find("log/leases"), absl::string_view::npos) << status;
}

TEST_F(RecoveryTest, InspectShowsRecordsAndWhereItBreaks) {
  ASSERT_TRUE(TryOpen().ok());
  Fill(5, 2);
  Die();
  Flip(lsns_[3] + 50);
  std::vector<InspectedRecord> seen;
  const auto summary = Inspect(fs_, "log", {}, [&](const InspectedRecord& record) { seen.push_back(record); });
  ASSERT_TRUE(summary.ok()) << summary.status();
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[2].header.lsn, lsns_[2]);
  EXPECT_TRUE(seen[2].follows);
  EXPECT_TRUE(absl::IsDataLoss(summary->verdict)) << summary->verdict;
}

}  // namespace
}  // namespace tidemark::log
