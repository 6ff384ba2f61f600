#include "commands/command_stats.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tidemark::commands {
namespace {

// Codes are ours, so few; the cap is for a bug that puts a client's bytes in their place.
constexpr size_t kMaxErrorCodes = 128;

std::atomic<uint64_t> last_instance{0};

}  // namespace

// Below 8 ns each nanosecond has a bucket; above, the three bits after the leading one choose it.
size_t LatencyBuckets::Of(uint64_t nanos) {
  if (nanos < kSteps) return nanos;
  const size_t octave = static_cast<size_t>(std::bit_width(nanos)) - 3;
  const size_t step = (nanos >> (octave - 1)) & (kSteps - 1);
  return std::min(octave * kSteps + step, kCount - 1);
}

uint64_t LatencyBuckets::UpperNanos(size_t bucket) {
  if (bucket < kSteps) return bucket;
  const size_t octave = bucket / kSteps;
  const uint64_t next = (kSteps + bucket % kSteps + 1) << (octave - 1);
  return next - 1;
}

CommandStats::CommandStats() : instance_(last_instance.fetch_add(1) + 1) {}
CommandStats::~CommandStats() = default;

CommandStats::Block* CommandStats::NewBlock() {
  MutexLock lock(mutex_);
  blocks_.push_back(std::make_unique<Block>(CommandTable::Get().rows().size()));
  return blocks_.back().get();
}

CommandStats::Block& CommandStats::Mine() {
  thread_local uint64_t instance = 0;
  thread_local Block* block = nullptr;
  if (block == nullptr || instance != instance_) [[unlikely]] {
    block = NewBlock();
    instance = instance_;
  }
  return *block;
}

CommandStats::Counters& CommandStats::Mine(const CommandSpec& spec) {
  return Mine().counters[CommandTable::Get().Number(spec)];
}

void CommandStats::CountLookups(const types::Keyspace::Lookups& lookups) {
  if (lookups.hits + lookups.misses == 0) return;
  Block& mine = Mine();
  mine.hits += lookups.hits;
  mine.misses += lookups.misses;
}

types::Keyspace::Lookups CommandStats::TotalLookups() const {
  types::Keyspace::Lookups sum;
  for (const auto& block : blocks_) {
    sum.hits += block->hits;
    sum.misses += block->misses;
  }
  return sum;
}

types::Keyspace::Lookups CommandStats::lookups() const {
  MutexLock lock(mutex_);
  types::Keyspace::Lookups sum = TotalLookups();
  sum.hits -= lookups_at_reset_.hits;
  sum.misses -= lookups_at_reset_.misses;
  return sum;
}

void CommandStats::CountCall(const CommandSpec& spec, uint64_t nanos, bool ok) {
  Counters& mine = Mine(spec);
  ++mine.calls;
  mine.nanos += nanos;
  if (!ok) ++mine.failed;
  auto* buckets = mine.buckets.load(std::memory_order_relaxed);
  if (buckets == nullptr) [[unlikely]] {
    buckets = new std::array<Relaxed<uint64_t>, LatencyBuckets::kCount>();
    mine.buckets.store(buckets, std::memory_order_release);
  }
  ++(*buckets)[LatencyBuckets::Of(nanos)];
}

void CommandStats::CountLateFailure(const CommandSpec& spec) { ++Mine(spec).failed; }

void CommandStats::CountRejected(const CommandSpec& spec) { ++Mine(spec).rejected; }

void CommandStats::CountError(std::string_view error_line) {
  std::string code(error_line.substr(0, error_line.find(' ')));
  MutexLock lock(mutex_);
  if (errors_.size() >= kMaxErrorCodes && !errors_.contains(code)) return;
  ++errors_[std::move(code)];
}

CommandStats::Sum CommandStats::Total(size_t number) const {
  Sum sum;
  for (const auto& block : blocks_) {
    const Counters& counters = block->counters[number];
    sum.calls += counters.calls;
    sum.nanos += counters.nanos;
    sum.rejected += counters.rejected;
    sum.failed += counters.failed;
    const auto* buckets = counters.buckets.load(std::memory_order_acquire);
    if (buckets == nullptr) continue;
    sum.buckets.resize(LatencyBuckets::kCount);
    for (size_t i = 0; i < buckets->size(); ++i) sum.buckets[i] += (*buckets)[i];
  }
  return sum;
}

CommandStats::Sum CommandStats::sum(size_t number) const {
  MutexLock lock(mutex_);
  Sum sum = Total(number);
  if (at_reset_.empty()) return sum;
  const Sum& before = at_reset_[number];
  sum.calls -= before.calls;
  sum.nanos -= before.nanos;
  sum.rejected -= before.rejected;
  sum.failed -= before.failed;
  for (size_t i = 0; i < before.buckets.size(); ++i) sum.buckets[i] -= before.buckets[i];
  if (sum.calls == 0) sum.buckets.clear();
  return sum;
}

uint64_t CommandStats::calls() const {
  MutexLock lock(mutex_);
  uint64_t calls = 0;
  for (const auto& block : blocks_) {
    for (const Counters& counters : block->counters) calls += counters.calls;
  }
  for (const Sum& before : at_reset_) calls -= before.calls;
  return calls;
}

CommandStats::Errors CommandStats::errors() const {
  MutexLock lock(mutex_);
  return errors_;
}

void CommandStats::Reset() {
  MutexLock lock(mutex_);
  at_reset_.resize(CommandTable::Get().rows().size());
  for (size_t i = 0; i < at_reset_.size(); ++i) at_reset_[i] = Total(i);
  lookups_at_reset_ = TotalLookups();
  errors_.clear();
  sampled_ms_ = 0;
  sampled_calls_ = 0;
  per_second_ = 0;
}

uint64_t CommandStats::PerSecond(uint64_t monotonic_ms) {
  const uint64_t now_calls = calls();
  MutexLock lock(mutex_);
  const uint64_t passed = monotonic_ms - sampled_ms_;
  if (sampled_ms_ != 0 && passed < 100) return per_second_;
  if (sampled_ms_ != 0 && now_calls >= sampled_calls_) per_second_ = (now_calls - sampled_calls_) * 1000 / passed;
  sampled_ms_ = monotonic_ms;
  sampled_calls_ = now_calls;
  return per_second_;
}

uint64_t CommandStats::Sum::Percentile(double percent) const {
  const auto wanted = static_cast<uint64_t>(std::llround(static_cast<double>(calls) * percent / 100.0));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets.size(); ++i) {
    seen += buckets[i];
    if (seen >= std::max<uint64_t>(wanted, 1)) return LatencyBuckets::UpperNanos(i);
  }
  return 0;
}

}  // namespace tidemark::commands
