// What an archive was told to be closed stays closed, whatever happens to the disk and the wall clock.
#include "engine/clock_floor.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "engine/engine.h"
#include "engine/identity.h"
#include "env/faulty_file.h"
#include "types/keyspace.h"

namespace tidemark::engine {
namespace {

constexpr Timestamp At(uint64_t seconds) { return Timestamp{1'700'000'000'000'000 + seconds * 1'000'000}; }

class ClockFloorTest : public testing::Test {
 protected:
  ClockFloorTest() {
    EXPECT_TRUE(fs_.CreateFolder("data").ok());
    Open();
  }
  void Open() {
    auto opened = ClockFloor::Open(fs_, "data");
    ASSERT_TRUE(opened.ok()) << opened.status();
    floor_ = *std::move(opened);
  }
  void PowerLoss(uint64_t seed) {
    fs_.PowerLoss(seed);
    floor_.reset();
    fs_.Restart();
    Open();
  }

  FaultyFileSystem fs_;
  std::unique_ptr<ClockFloor> floor_;
};

TEST_F(ClockFloorTest, APromiseOutlivesAPowerLossAtAnyMoment) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Timestamp moment = At(seed * 7);
    ASSERT_TRUE(floor_->Promise(moment).ok());
    // One that was not kept may be forgotten, not so the one before.
    if (seed % 3 == 0) {
      fs_.FailSync(1);
      EXPECT_FALSE(floor_->Promise(At(seed * 7 + 5)).ok());
    }
    PowerLoss(seed);
    ASSERT_GE(floor_->floor(), moment) << "seed " << seed;
    ASSERT_FALSE(floor_->was_damaged());
  }
}

TEST_F(ClockFloorTest, ManyPromisesCostOneWrite) {
  EXPECT_EQ(floor_->floor(), Timestamp{});
  ASSERT_TRUE(floor_->Promise(At(0)).ok());
  const uint64_t syncs = fs_.syncs();
  for (uint64_t micros = 0; micros <= ClockFloor::kStepMicros; micros += 1000) {
    ASSERT_TRUE(floor_->Promise(Timestamp{At(0).micros + micros}).ok());
  }
  EXPECT_EQ(fs_.syncs(), syncs);
  ASSERT_TRUE(floor_->Promise(At(10)).ok());
  EXPECT_EQ(fs_.syncs(), syncs + 1);
}

TEST_F(ClockFloorTest, ACleanStopTakesBackWhatWasWrittenAhead) {
  ASSERT_TRUE(floor_->Promise(At(0)).ok());
  ASSERT_TRUE(floor_->Promise(At(10)).ok());
  ASSERT_TRUE(floor_->Settle(At(11)).ok());
  Open();
  EXPECT_EQ(floor_->floor(), At(11));
  ASSERT_TRUE(floor_->Settle(At(20)).ok()) << "nothing to take back";
  EXPECT_EQ(floor_->floor(), At(11));
}

TEST_F(ClockFloorTest, WhatCannotBeReadIsTold) {
  ASSERT_TRUE(ReplaceWholeFile(fs_, "data", "clock.floor", std::string(1024, 'x')).ok());
  Open();
  EXPECT_TRUE(floor_->was_damaged());
  EXPECT_EQ(floor_->floor(), Timestamp{});
  ASSERT_TRUE(floor_->Promise(At(1)).ok());
  Open();
  EXPECT_FALSE(floor_->was_damaged());
  EXPECT_GE(floor_->floor(), At(1));
}

// The wall clock of a machine that an operator sets.
class SetClock final : public Clock {
 public:
  uint64_t WallMicros() override { return System().WallMicros() + offset_micros; }
  uint64_t MonotonicMicros() override { return System().MonotonicMicros(); }
  uint64_t offset_micros = 0;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    char name[] = "/tmp/tidemark-clock-XXXXXX";
    options_.folder = mkdtemp(name);
    options_.store.dirty_bytes = 1 << 20;
    options_.store.hot_bytes = 8 << 20;
    options_.store.block_cache_bytes = 4 << 20;
    options_.sweeping = false;
    Start();
  }
  ~ServerTest() override {
    engine_.reset();
    std::filesystem::remove_all(options_.folder);
  }
  void Start() {
    engine_.reset();
    auto opened = Engine::Open(FileSystem::Posix(), clock_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
  }

  SetClock clock_;
  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(ServerTest, AfterARestartWithTheClockSetBackNothingFallsIntoWhatWasClosed) {
  const uint64_t hour = 3'600'000'000;
  for (const uint64_t back : {uint64_t{5'000'000}, hour}) {
    SCOPED_TRACE(back);
    clock_.offset_micros = 10 * hour;
    Start();
    const auto closed = engine_->Closed();
    ASSERT_TRUE(closed.ok()) << closed.status();
    engine_.reset();  // as when the process is killed
    clock_.offset_micros -= back;
    Start();
    EXPECT_GT(engine_->clock().Next(), closed->closed);
    EXPECT_LT(engine_->clock().Now().micros, closed->closed.micros + 60'000'000) << "and time goes on from there";
    clock_.offset_micros = 10 * hour;
  }
}

TEST_F(ServerTest, ACleanStopLeavesTheClockWhereItWas) {
  const auto closed = engine_->Closed();
  ASSERT_TRUE(closed.ok()) << closed.status();
  ASSERT_TRUE(engine_->Close().ok());
  const Timestamp last = engine_->clock().Now();
  Start();
  EXPECT_GT(engine_->clock().Next(), closed->closed);
  EXPECT_LT(engine_->clock().Now().micros,
            last.micros + ClockFloor::kStepMicros / 2 + (clock_.WallMicros() - last.micros));
}

}  // namespace
}  // namespace tidemark::engine
