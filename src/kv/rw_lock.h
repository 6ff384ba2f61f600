// A reader-writer lock that prefers writers: the engine's commits must not starve behind a stream of readers. So a
// thread that holds it shared must not take it shared again: a writer waiting in between would stop it for ever.
#pragma once

#include <pthread.h>
#include <time.h>

#include <atomic>

#include "base/check.h"

namespace tidemark::kv {

class RwLock {
 public:
  RwLock() {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    TM_CHECK(pthread_rwlock_init(&lock_, &attributes) == 0);
    pthread_rwlockattr_destroy(&attributes);
  }
  ~RwLock() { pthread_rwlock_destroy(&lock_); }
  RwLock(const RwLock&) = delete;
  RwLock& operator=(const RwLock&) = delete;

  // The names that std::unique_lock and std::shared_lock expect.
  void lock() { TM_CHECK(pthread_rwlock_wrlock(&lock_) == 0); }
  bool try_lock() { return pthread_rwlock_trywrlock(&lock_) == 0; }
  void unlock() { pthread_rwlock_unlock(&lock_); }
  void lock_shared() { TM_CHECK(pthread_rwlock_rdlock(&lock_) == 0); }
  bool try_lock_shared() { return pthread_rwlock_tryrdlock(&lock_) == 0; }
  void unlock_shared() { pthread_rwlock_unlock(&lock_); }

  // As lock and lock_shared, but false, a few milliseconds later, when `stop` is above zero while the lock cannot be
  // had.
  bool lock_unless(const std::atomic<int>& stop) {
    return TakeUnless(stop, pthread_rwlock_trywrlock, pthread_rwlock_timedwrlock);
  }
  bool lock_shared_unless(const std::atomic<int>& stop) {
    return TakeUnless(stop, pthread_rwlock_tryrdlock, pthread_rwlock_timedrdlock);
  }

 private:
  template <typename Try, typename Timed>
  bool TakeUnless(const std::atomic<int>& stop, Try take_now, Timed take_until) {
    constexpr long kWaitNanos = 2'000'000;
    constexpr long kSecondNanos = 1'000'000'000;
    if (take_now(&lock_) == 0) return true;
    while (stop.load(std::memory_order_acquire) <= 0) {
      timespec until;
      clock_gettime(CLOCK_REALTIME, &until);
      until.tv_nsec += kWaitNanos;
      until.tv_sec += until.tv_nsec / kSecondNanos;
      until.tv_nsec %= kSecondNanos;
      if (take_until(&lock_, &until) == 0) return true;
    }
    return false;
  }

  pthread_rwlock_t lock_;
};

}  // namespace tidemark::kv
