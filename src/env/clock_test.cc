#include "env/clock.h"

#include <gtest/gtest.h>

namespace tidemark {
namespace {

class ManualClock final : public Clock {
 public:
  uint64_t WallMicros() override { return wall; }
  uint64_t MonotonicMicros() override { return monotonic; }
  void Pass(uint64_t micros) { wall += micros, monotonic += micros; }

  uint64_t wall = 1'000'000'000'000'000;
  uint64_t monotonic = 5'000'000;
};

constexpr uint64_t kYear = 365ull * 24 * 3600 * 1'000'000;

TEST(HybridClock, EveryTimestampIsGreaterThanTheLast) {
  ManualClock clock;
  HybridClock hybrid(clock, Timestamp{0});
  const Timestamp first = hybrid.Next();
  const Timestamp second = hybrid.Next();
  EXPECT_GT(second, first);
  clock.Pass(1000);
  clock.wall -= 1'000'000;
  EXPECT_GT(hybrid.Next(), second);
}

TEST(HybridClock, NoRecordIsAsOldAsATimeThatWasReadBefore) {
  ManualClock clock;
  HybridClock hybrid(clock, Timestamp{0});
  clock.Pass(5000);
  const Timestamp read = hybrid.Now();
  EXPECT_GT(hybrid.Next(), read);
  clock.Pass(1000);
  const Timestamp later = hybrid.Now();
  clock.Pass(1000);
  clock.wall -= 1'000'000;
  EXPECT_GT(hybrid.Next(), later);
}

TEST(HybridClock, BetweenReadingsOfTheWallClockTimeGoesOn) {
  ManualClock clock;
  HybridClock hybrid(clock, Timestamp{0});
  const uint64_t before = hybrid.Next().micros;
  clock.Pass(10);
  EXPECT_EQ(hybrid.Next().micros, before + 10);
}

TEST(HybridClock, StartsAboveWhatTheLogHolds) {
  ManualClock clock;
  HybridClock hybrid(clock, Timestamp{clock.wall + 500});
  EXPECT_EQ(hybrid.Next().micros, clock.wall + 501);
}

TEST(HybridClock, AWallClockAYearAheadIsNotFollowedAndRaisesTheAlarm) {
  ManualClock clock;
  HybridClock hybrid(clock, Timestamp{0});
  const uint64_t before = hybrid.Next().micros;
  clock.Pass(1000);
  clock.wall += kYear;
  EXPECT_EQ(hybrid.Next().micros, before + 1000);
  EXPECT_EQ(hybrid.alarm_micros(), static_cast<int64_t>(kYear));
  clock.Pass(1000);
  EXPECT_EQ(hybrid.Next().micros, before + 2000);
  clock.wall -= kYear;
  clock.Pass(1000);
  EXPECT_EQ(hybrid.Next().micros, before + 3000);
  EXPECT_EQ(hybrid.alarm_micros(), 0);
}

TEST(HybridClock, AClockSetBackWhileTheServerWasDownDoesNotStopTime) {
  ManualClock clock;
  HybridClock hybrid(clock, Timestamp{clock.wall + kYear});
  clock.Pass(5000);
  EXPECT_EQ(hybrid.Now().micros, clock.wall + kYear);
  EXPECT_EQ(hybrid.alarm_micros(), -static_cast<int64_t>(kYear));
}

TEST(HybridClock, ASmallStepIsAdopted) {
  ManualClock clock;
  HybridClock hybrid(clock, Timestamp{0});
  const uint64_t before = hybrid.Next().micros;
  clock.Pass(1000);
  clock.wall += 2'000'000;
  EXPECT_EQ(hybrid.Next().micros, before + 2'001'000);
  EXPECT_EQ(hybrid.alarm_micros(), 0);
}

}  // namespace
}  // namespace tidemark
