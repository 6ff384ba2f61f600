// A number that one thread writes and any thread may read for display, where a moment's lag does no harm: reads and
// writes as a plain variable, without ordering and at a plain variable's price.
#pragma once

#include <atomic>

namespace tidemark {

// T is trivially copyable and fits a register.
template <typename T>
class Relaxed {
 public:
  Relaxed() : value_(T()) {}
  Relaxed(T value) : value_(value) {}  // NOLINT(google-explicit-constructor): stands in for a T
  Relaxed(const Relaxed&) = delete;
  Relaxed& operator=(const Relaxed& other) { return *this = other.load(); }
  Relaxed& operator=(T value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  T load() const { return value_.load(std::memory_order_relaxed); }
  operator T() const { return load(); }  // NOLINT(google-explicit-constructor): stands in for a T
  // For the one writing thread: not an atomic step.
  Relaxed& operator++() { return *this += T(1); }
  Relaxed& operator+=(T amount) { return *this = static_cast<T>(load() + amount); }

 private:
  std::atomic<T> value_;
  static_assert(std::atomic<T>::is_always_lock_free);
};

}  // namespace tidemark
