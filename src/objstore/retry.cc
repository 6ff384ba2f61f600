#include "objstore/retry.h"

#include <algorithm>

namespace tidemark::objstore {

void Stopper::Stop() {
  const MutexLock lock(mutex_);
  stopped_.store(true, std::memory_order_release);
  changed_.SignalAll();
}

bool Stopper::Sleep(std::chrono::microseconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  const MutexLock lock(mutex_);
  while (!stopped()) {
    if (!changed_.WaitUntil(mutex_, deadline) && std::chrono::steady_clock::now() >= deadline) return !stopped();
  }
  return false;
}

std::chrono::microseconds BackoffTime(int attempt, bool throttled, std::chrono::seconds retry_after, uint64_t random) {
  constexpr uint64_t base = 100'000;
  constexpr uint64_t cap = 5'000'000;
  constexpr uint64_t throttled_floor = 200'000;
  const uint64_t most = std::min(cap, base << std::min(attempt - 1, 16));
  uint64_t micros = random % (most + 1);
  if (throttled) micros += throttled_floor;
  micros = std::max(micros, static_cast<uint64_t>(std::clamp<int64_t>(retry_after.count(), 0, 5)) * 1'000'000);
  return std::chrono::microseconds(std::min(micros, cap));
}

bool RateLimiter::Take(uint64_t bytes, Stopper& stopper) {
  if (rate_ == 0) return !stopper.stopped();
  std::chrono::steady_clock::time_point begin;
  const auto now = std::chrono::steady_clock::now();
  {
    const MutexLock lock(mutex_);
    begin = std::max(now, free_at_);
    free_at_ = begin + std::chrono::microseconds(
                           static_cast<int64_t>(static_cast<double>(bytes) * 1e6 / static_cast<double>(rate_)));
  }
  if (begin == now) return !stopper.stopped();
  return stopper.Sleep(std::chrono::duration_cast<std::chrono::microseconds>(begin - now));
}

}  // namespace tidemark::objstore
