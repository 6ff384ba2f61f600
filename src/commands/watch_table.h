// WATCH: which client watches which key. The engine tells, under the commit lock, what changes; a client that watches
// it finds its EXEC refused. What only time changes (a watched key expires) EXEC checks by itself.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <string>
#include <string_view>
#include <utility>

#include "base/mutex.h"
#include "commands/client.h"
#include "engine/engine.h"

namespace tidemark::commands {

// Thread-safe.
class WatchTable final : public engine::ChangeListener {
 public:
  // Call within a transaction, so that no change falls between looking at the key and watching it. Watching a key
  // again changes nothing.
  void Add(Client& client, DbIndex db, std::string_view key, bool existed);
  // Forgets all that the client watches, and that any of it has changed.
  void RemoveAll(Client& client);

  bool listening() const override { return watched_.load(std::memory_order_relaxed) != 0; }
  void OnKeyChanged(DbIndex db, std::string_view key) override;
  void OnContentsReplaced(DbIndex db) override;

 private:
  using Place = std::pair<uint16_t, std::string>;

  Mutex mutex_;
  // Each watcher with whether the key existed when it began.
  absl::flat_hash_map<Place, absl::flat_hash_map<Client*, bool>> watchers_ ABSL_GUARDED_BY(mutex_);
  std::atomic<size_t> watched_{0};
};

}  // namespace tidemark::commands
