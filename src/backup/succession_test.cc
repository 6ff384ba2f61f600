// A promoted node takes its predecessor's place in the archives without losing what was answered with a yes, and a
// replica finds there what its primary's log has let go.
#include "backup/succession.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backup/archive_claim.h"
#include "backup/backup_testing.h"
#include "format/log_format.h"

namespace tidemark::backup {
namespace {

constexpr Lsn kOrigin = format::kFirstLsn;

using objstore::MemoryStore;

class SuccessionTest : public BackupTest {
 protected:
  ~SuccessionTest() override {
    replica_.reset();
    std::filesystem::remove_all(folder_ + "-replica");
  }
  // The predecessor is gone; its archive stays. This engine stands for the replica that takes over.
  std::unique_ptr<Succession> Successor() { return Successor(*engine_); }
  std::unique_ptr<Succession> Successor(engine::Engine& engine) {
    return std::make_unique<Succession>(engine, FileSystem::Posix(), options_.open_store,
                                        [this](const std::string& line) { told_ += line + "\n"; });
  }
  // A replica that has received the log up to its end now.
  void MakeReplica() {
    engine::EngineOptions options = engine_options_;
    options.folder = folder_ + "-replica";
    options.log.received = true;
    options.sweeping = false;
    auto opened = engine::Engine::Open(FileSystem::Posix(), Clock::System(), options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    replica_ = *std::move(opened);
    const absl::Status applied = Apply(*replica_, LogBytes(kOrigin, engine_->last_end()));
    ASSERT_TRUE(applied.ok()) << applied;
  }
  static absl::Status Apply(engine::Engine& engine, std::string_view records) {
    while (!records.empty()) {
      TM_ASSIGN_OR_RETURN(const size_t done, engine.ApplyReceived(records));
      records.remove_prefix(done);
    }
    return absl::OkStatus();
  }
  absl::Status ApplyToReplica(std::string_view records) { return Apply(*replica_, records); }

  std::unique_ptr<engine::Engine> replica_;
  std::string told_;
};

TEST_F(SuccessionTest, TheFormerTimelineIsCompletedUpToTheForkAndItsWriterIsFenced) {
  Start();
  SetMany(20, 1000);
  ASSERT_TRUE(Flush().success);
  const engine::Identity former = manager_->identity();
  manager_.reset();
  SetMany(30, 1000);  // in the log of the successor, not in the archive
  ASSERT_TRUE(engine_->log().SyncTo(engine_->last_end()).ok());
  const log::Log::Tail tail = engine_->Tail();
  const engine::Identity next = engine::NextTimeline(former, Timeline{2}, tail.end, tail.timestamp, 1, "promotion");
  ASSERT_TRUE(Successor()->Announce(former, next, 1).ok()) << told_;
  MemoryStore store(place().bucket);
  EXPECT_TRUE(IsFenced(CheckFence(store, former.timeline)));
  const archive::Catalog catalog = Load(place().bucket);
  EXPECT_EQ(catalog.timelines.at(Timeline{2}).fork, tail.end);
  EXPECT_TRUE(ArchivedBytes(place().bucket, kOrigin, tail.end) == LogBytes(kOrigin, tail.end));
  // Once more changes nothing: a promotion that was cut off is begun again.
  EXPECT_TRUE(Successor()->Announce(former, next, 1).ok()) << told_;
}

TEST_F(SuccessionTest, WhatTheArchiveHasBeyondTheOwnLogIsAdopted) {
  Start();
  MakeReplica();
  SetMany(40, 1000);
  ASSERT_TRUE(Flush().success);  // answered with a yes, and the replica has nothing of it
  ASSERT_LT(replica_->last_end(), engine_->last_end());
  const auto adopted =
      Successor(*replica_)->Adopt([this](std::string_view records) { return ApplyToReplica(records); });
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_TRUE(adopted->any);
  EXPECT_EQ(adopted->newest, Timeline{1});
  EXPECT_EQ(replica_->last_end(), engine_->last_end());
  const auto again = Successor(*replica_)->Adopt([this](std::string_view records) { return ApplyToReplica(records); });
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->any);
}

TEST_F(SuccessionTest, AReplicaReadsFromTheArchiveWhatTheLogHasLetGo) {
  Start();
  MakeReplica();
  SetMany(100, 10'000);
  ASSERT_TRUE(Flush().success);
  ForgetLog();
  ASSERT_TRUE(Flush().success);
  const Lsn oldest = engine_->log().oldest();
  ASSERT_GT(oldest, replica_->last_end());
  const absl::Status read = Successor(*replica_)->Read(
      Timeline{1}, oldest, [this](std::string_view records) { return ApplyToReplica(records); });
  ASSERT_TRUE(read.ok()) << read;
  EXPECT_GE(replica_->last_end(), oldest);
  EXPECT_EQ(replica_->Tail().crc, engine_->Tail().crc);
}

TEST_F(SuccessionTest, AStoreThatDoesNotAnswerCostsNoMoreThanTheLimit) {
  Start();
  ASSERT_TRUE(Flush().success);
  manager_.reset();
  gate_.Close();
  place().SetHook([this](MemoryStore::Operation, std::string_view) {
    gate_.Pass();
    return absl::UnavailableError("the network is cut");
  });
  auto successor = Successor();
  successor->Limit(std::chrono::milliseconds(0));
  std::thread opener([this] { gate_.Open(); });
  const auto adopted = successor->Adopt([](std::string_view) { return absl::OkStatus(); });
  EXPECT_FALSE(adopted.ok());
  opener.join();
  place().SetHook(nullptr);
}

TEST_F(SuccessionTest, WithoutATaskThereIsNothingToTakeOver) {
  manager_.reset();
  auto successor = Successor();
  EXPECT_FALSE(successor->HasArchive());
  const auto adopted = successor->Adopt([](std::string_view) { return absl::OkStatus(); });
  ASSERT_TRUE(adopted.ok());
  EXPECT_FALSE(adopted->any);
  EXPECT_FALSE(
      successor->Read(Timeline{1}, engine_->last_end() + 1, [](std::string_view) { return absl::OkStatus(); }).ok());
}

}  // namespace
}  // namespace tidemark::backup
