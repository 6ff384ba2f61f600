// Time, behind a seam that tests replace, and the hybrid clock that stamps every record.
#pragma once

#include <cstdint>

#include "base/mutex.h"
#include "base/types.h"

namespace tidemark {

// Source of time. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Microseconds since 1970 as the machine believes; may jump either way.
  virtual uint64_t WallMicros() = 0;
  // Microseconds since an arbitrary start; never goes back.
  virtual uint64_t MonotonicMicros() = 0;

  static Clock& System();
};

// Hybrid-logical clock (Kulkarni et al., 2014), for one writer: timestamps are strictly increasing and follow
// the wall clock, bounded against the monotonic clock. A wall clock that has moved against the monotonic one by more
// than `kMaxStepMicros` since the last reading is not followed: time goes on by the monotonic clock and `alarm()` tells
// by how much the wall clock is off, until it has come back. Smaller steps forward are adopted, steps back are waited
// out. The wall clock is read once a millisecond at most; in between the monotonic clock carries it on. Thread-safe.
class HybridClock {
 public:
  static constexpr uint64_t kMaxStepMicros = 10'000'000;
  static constexpr uint64_t kReadWallEveryMicros = 1'000;

  // `floor`: no timestamp at or below it is ever given out (the newest timestamp found in the log).
  HybridClock(Clock& clock, Timestamp floor);

  // The timestamp for the next record: greater than every one given out before.
  Timestamp Next();
  // The time now, without claiming it for a record: at least the last given out, and less than every one to come.
  Timestamp Now();
  // Never give out `floor` or anything below it again (a record of another node was applied).
  void RaiseFloor(Timestamp floor);
  // Microseconds that the wall clock is ahead (+) or behind (-) of the time kept here; 0 while it is followed.
  int64_t alarm_micros();

 private:
  uint64_t Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FollowWall(uint64_t monotonic) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  Mutex mutex_;
  uint64_t last_wall_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_monotonic_ ABSL_GUARDED_BY(mutex_);
  // What is added to the wall clock while it is not followed.
  int64_t correction_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_given_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark
