// Moments when the server was slow, by what it was doing: LATENCY's events, each with its last 160 spikes and its
// maximum.
//
// Any thread may call anything. Events are rare by nature; one mutex guards them all.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/container/btree_map.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"

namespace tidemark::commands {

class LatencyMonitor {
 public:
  static constexpr size_t kSamples = 160;  // Redis's LATENCY_TS_LEN

  struct Sample {
    uint64_t unix_seconds;
    uint64_t millis;
  };
  struct Event {
    std::deque<Sample> samples;  // oldest first
    uint64_t max_millis = 0;     // of all times
  };

  // latency-monitor-threshold in milliseconds; 0 turns the monitor off.
  void SetThreshold(uint64_t millis) { threshold_.store(millis, std::memory_order_relaxed); }
  bool Wants(uint64_t millis) const {
    const uint64_t threshold = threshold_.load(std::memory_order_relaxed);
    return threshold != 0 && millis >= threshold;
  }
  // Several spikes of one second are kept as the worst of them.
  void Add(std::string_view event, uint64_t millis, uint64_t unix_seconds) ABSL_LOCKS_EXCLUDED(mutex_);

  using Events = absl::btree_map<std::string, Event>;
  Events events() const ABSL_LOCKS_EXCLUDED(mutex_);
  // All events when `names` is empty. Returns how many there were.
  size_t Reset(const std::vector<std::string>& names) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::atomic<uint64_t> threshold_{0};
  mutable Mutex mutex_;
  Events events_ ABSL_GUARDED_BY(mutex_);
};

// LATENCY GRAPH's picture of one event: a column a spike, its height by its size, its age below.
std::string LatencyGraph(std::string_view name, const LatencyMonitor::Event& event, uint64_t now_seconds);
// LATENCY DOCTOR's report.
std::string LatencyReport(const LatencyMonitor::Events& events);

}  // namespace tidemark::commands
