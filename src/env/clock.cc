#include "env/clock.h"

#include <time.h>

#include <algorithm>
#include <cstdlib>

namespace tidemark {
namespace {

uint64_t ReadMicros(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

class SystemClock final : public Clock {
 public:
  uint64_t WallMicros() override { return ReadMicros(CLOCK_REALTIME); }
  uint64_t MonotonicMicros() override { return ReadMicros(CLOCK_MONOTONIC); }
};

}  // namespace

Clock& Clock::System() {
  static SystemClock clock;
  return clock;
}

HybridClock::HybridClock(Clock& clock, Timestamp floor)
    : clock_(clock),
      last_wall_(clock.WallMicros()),
      last_monotonic_(clock.MonotonicMicros()),
      last_given_(floor.micros) {
  // A clock that was set back while the server was down: time goes on from where the log stands, rather than stand
  // still.
  if (floor.micros > last_wall_ + kMaxStepMicros) correction_ = static_cast<int64_t>(floor.micros - last_wall_);
}

uint64_t HybridClock::Read() {
  const uint64_t monotonic = clock_.MonotonicMicros();
  if (monotonic - last_monotonic_ >= kReadWallEveryMicros) FollowWall(monotonic);
  return static_cast<uint64_t>(static_cast<int64_t>(last_wall_ + (monotonic - last_monotonic_)) + correction_);
}

void HybridClock::FollowWall(uint64_t monotonic) {
  const uint64_t wall = clock_.WallMicros();
  const auto expected = static_cast<int64_t>(last_wall_ + (monotonic - last_monotonic_));
  const int64_t step = static_cast<int64_t>(wall) - expected;
  if (std::llabs(step) > static_cast<int64_t>(kMaxStepMicros)) correction_ -= step;
  // A wall clock that has come back to within the bound is followed again.
  if (std::llabs(correction_) <= static_cast<int64_t>(kMaxStepMicros)) correction_ = 0;
  last_wall_ = wall;
  last_monotonic_ = monotonic;
}

Timestamp HybridClock::Next() {
  const MutexLock lock(mutex_);
  last_given_ = std::max(Read(), last_given_ + 1);
  return Timestamp{last_given_};
}

Timestamp HybridClock::Now() {
  const MutexLock lock(mutex_);
  last_given_ = std::max(Read(), last_given_);
  return Timestamp{last_given_};
}

void HybridClock::RaiseFloor(Timestamp floor) {
  const MutexLock lock(mutex_);
  last_given_ = std::max(last_given_, floor.micros);
}

int64_t HybridClock::alarm_micros() {
  const MutexLock lock(mutex_);
  FollowWall(clock_.MonotonicMicros());
  return -correction_;
}

}  // namespace tidemark
