// MONITOR: connections that are sent every command that runs, as Redis's replicationFeedMonitors words it. Commands for
// administrators are not shown, and passwords in no command.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_set.h>

#include <atomic>
#include <cstddef>

#include "base/mutex.h"
#include "commands/client.h"
#include "commands/command.h"

namespace tidemark::commands {

// Thread-safe. Client::Deliver is called under the mutex.
class Monitors {
 public:
  // One load.
  bool any() const { return count_.load(std::memory_order_relaxed) != 0; }

  // On the client's thread; nothing is delivered after Remove has returned.
  void Add(Client& client) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(Client& client) ABSL_LOCKS_EXCLUDED(mutex_);

  // A command that was run for `client` in database `db`, by itself or by a script. Call while any().
  void Feed(const Client& client, DbIndex db, const CommandSpec& spec, Args args, bool from_script)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::atomic<size_t> count_{0};
  Mutex mutex_;
  absl::flat_hash_set<Client*> clients_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::commands
