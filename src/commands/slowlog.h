// The commands that took longest: a ring of the last ones above a threshold, as SLOWLOG GET shows them.
//
// Any thread may call anything. Whether a command is slow costs one relaxed load; only the slow ones take the mutex.
#pragma once

#include <absl/base/thread_annotations.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "commands/client.h"
#include "commands/command.h"

namespace tidemark::commands {

// Whether args[i] is a password, or may be one: what is shown of a command elsewhere has "(redacted)" in its place.
bool IsSecretArgument(Args args, size_t i);

class Slowlog {
 public:
  // Redis's limits on what one entry keeps (slowlog.h).
  static constexpr size_t kMaxArgs = 32;
  static constexpr size_t kMaxArgBytes = 128;

  struct Entry {
    uint64_t id;
    uint64_t unix_seconds;
    uint64_t micros;
    std::vector<std::string> args;
    std::string address;
    std::string name;
  };

  // slowlog-log-slower-than: microseconds; negative turns it off, 0 logs every command.
  void SetThreshold(int64_t micros) { threshold_.store(micros, std::memory_order_relaxed); }
  // slowlog-max-len.
  void SetMaxLength(size_t entries) ABSL_LOCKS_EXCLUDED(mutex_);

  // On the client's thread, after a command that took `micros`: keeps it if it was slow.
  void Offer(const Client& client, const CommandSpec& spec, Args args, uint64_t micros) {
    const int64_t threshold = threshold_.load(std::memory_order_relaxed);
    if (threshold < 0 || micros < static_cast<uint64_t>(threshold) || (spec.flags & kSkipSlowlog) != 0) return;
    Add(client, args, micros);
  }

  // The newest first, at most `count`.
  std::vector<Entry> Newest(size_t count) const ABSL_LOCKS_EXCLUDED(mutex_);
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);
  void Reset() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Add(const Client& client, Args args, uint64_t micros) ABSL_LOCKS_EXCLUDED(mutex_);

  std::atomic<int64_t> threshold_{10000};
  mutable Mutex mutex_;
  std::deque<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // newest first
  size_t max_length_ ABSL_GUARDED_BY(mutex_) = 128;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tidemark::commands
