// Waiting that can be called off, and how long to wait between attempts.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/mutex.h"
#include "base/status.h"

namespace tidemark::objstore {

// Ends the waits of all threads for good. Threads: any.
class Stopper {
 public:
  void Stop();
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }
  // False as soon as it is stopped.
  bool Sleep(std::chrono::microseconds time);

 private:
  std::atomic<bool> stopped_{false};
  Mutex mutex_;
  CondVar changed_;
};

// How long to wait before attempt `attempt` (1 is the first repetition): between nothing and 100 ms × 2^(attempt-1), at
// most 5 s, `random` deciding ("full jitter", Brooker, AWS Architecture Blog 2015). Where the store asked for less
// (`throttled`) at least 200 ms. `retry_after`, which the store named, is a lower bound, up to the 5 s.
std::chrono::microseconds BackoffTime(int attempt, bool throttled, std::chrono::seconds retry_after, uint64_t random);

// Lets through so many bytes a second over all threads, in the order of arrival. One a direction.
class RateLimiter {
 public:
  // 0: no limit.
  explicit RateLimiter(uint64_t bytes_a_second) : rate_(bytes_a_second) {}
  // Waits until what was let through before has had its time. False when `stopper` was stopped meanwhile.
  bool Take(uint64_t bytes, Stopper& stopper);

 private:
  const uint64_t rate_;
  Mutex mutex_;
  std::chrono::steady_clock::time_point free_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::objstore
