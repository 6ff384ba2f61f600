// How often each command ran, how long it took and how it failed: INFO commandstats, latencystats and errorstats,
// LATENCY HISTOGRAM.
//
// Every thread that runs commands counts in a block of its own, with plain loads and stores (relaxed, no locked
// instructions); readers add the blocks up. Sums are exact once the threads are quiet, and a command behind while they
// run.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/container/btree_map.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/relaxed.h"
#include "commands/command.h"

namespace tidemark::commands {

// Durations in buckets that are an eighth of a power of two wide: an error of at most 12.5 %, from 1 ns to 2 minutes.
struct LatencyBuckets {
  static constexpr size_t kSteps = 8;
  static constexpr size_t kCount = 35 * kSteps;
  static size_t Of(uint64_t nanos);
  // The largest duration that falls into `bucket`.
  static uint64_t UpperNanos(size_t bucket);
};

class CommandStats {
 public:
  CommandStats();
  ~CommandStats();

  // One call that ran. `nanos`: how long the handler took; `ok`: its reply was no error.
  void CountCall(const CommandSpec& spec, uint64_t nanos, bool ok);
  // A call that waited, was counted then, and has ended with an error.
  void CountLateFailure(const CommandSpec& spec);
  // What the call looked up for its client.
  void CountLookups(const types::Keyspace::Lookups& lookups);
  // One that was refused before it ran (arity, AUTH, MULTI, a full disk).
  void CountRejected(const CommandSpec& spec);
  // An error reply; counted by its first word.
  void CountError(std::string_view error_line) ABSL_LOCKS_EXCLUDED(mutex_);

  struct Sum {
    uint64_t calls = 0;
    uint64_t nanos = 0;
    uint64_t rejected = 0;
    uint64_t failed = 0;
    std::vector<uint64_t> buckets;  // empty when never called, else LatencyBuckets::kCount of them

    // The duration in ns that `percent` of the calls did not exceed.
    uint64_t Percentile(double percent) const;
  };
  Sum sum(size_t number) const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t calls() const ABSL_LOCKS_EXCLUDED(mutex_);
  types::Keyspace::Lookups lookups() const ABSL_LOCKS_EXCLUDED(mutex_);
  using Errors = absl::btree_map<std::string, uint64_t>;
  Errors errors() const ABSL_LOCKS_EXCLUDED(mutex_);
  // CONFIG RESETSTAT; LATENCY RESET leaves these alone.
  void Reset() ABSL_LOCKS_EXCLUDED(mutex_);

  // Commands a second since this was last asked, at least 100 ms ago; else the last answer.
  uint64_t PerSecond(uint64_t monotonic_ms) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Counters are the owning thread's; Reset remembers what to subtract rather than write another thread's counters.
  struct Counters {
    Relaxed<uint64_t> calls, nanos, rejected, failed;
    std::atomic<std::array<Relaxed<uint64_t>, LatencyBuckets::kCount>*> buckets{nullptr};
    ~Counters() { delete buckets.load(); }
  };
  struct Block {
    explicit Block(size_t commands) : counters(commands) {}
    std::vector<Counters> counters;
    Relaxed<uint64_t> hits, misses;
  };

  Block& Mine();
  Counters& Mine(const CommandSpec& spec);
  Block* NewBlock() ABSL_LOCKS_EXCLUDED(mutex_);
  Sum Total(size_t number) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  types::Keyspace::Lookups TotalLookups() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t instance_;  // tells apart instances at the same address (tests)
  mutable Mutex mutex_;
  std::vector<std::unique_ptr<Block>> blocks_ ABSL_GUARDED_BY(mutex_);
  std::vector<Sum> at_reset_ ABSL_GUARDED_BY(mutex_);
  types::Keyspace::Lookups lookups_at_reset_ ABSL_GUARDED_BY(mutex_);
  Errors errors_ ABSL_GUARDED_BY(mutex_);
  uint64_t sampled_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t sampled_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t per_second_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tidemark::commands
