#include "commands/watch_table.h"

#include <algorithm>

namespace tidemark::commands {

void WatchTable::Add(Client& client, DbIndex db, std::string_view key, bool existed) {
  const bool known = std::any_of(client.watched.begin(), client.watched.end(),
                                 [&](const WatchedKey& watched) { return watched.db == db && watched.key == key; });
  if (known) return;
  client.watched.push_back({db, std::string(key), existed});
  const MutexLock lock(mutex_);
  watchers_[Place(db.value, key)].emplace(&client, existed);
  watched_.fetch_add(1, std::memory_order_relaxed);
}

void WatchTable::RemoveAll(Client& client) {
  if (!client.watched.empty()) {
    const MutexLock lock(mutex_);
    for (const WatchedKey& watched : client.watched) {
      const auto found = watchers_.find(Place(watched.db.value, watched.key));
      if (found == watchers_.end()) continue;
      found->second.erase(&client);
      if (found->second.empty()) watchers_.erase(found);
    }
    watched_.fetch_sub(client.watched.size(), std::memory_order_relaxed);
    client.watched.clear();
  }
  client.watch_broken.store(false, std::memory_order_relaxed);
}

void WatchTable::OnKeyChanged(DbIndex db, std::string_view key) {
  const MutexLock lock(mutex_);
  const auto found = watchers_.find(Place(db.value, key));
  if (found == watchers_.end()) return;
  for (const auto& [client, existed] : found->second) client->watch_broken.store(true, std::memory_order_relaxed);
}

void WatchTable::OnContentsReplaced(DbIndex db) {
  const MutexLock lock(mutex_);
  for (const auto& [place, clients] : watchers_) {
    if (place.first != db.value) continue;
    for (const auto& [client, existed] : clients) {
      // A key that did not exist has not changed by being emptied; whether it exists now, EXEC looks for itself.
      if (existed) client->watch_broken.store(true, std::memory_order_relaxed);
    }
  }
}

}  // namespace tidemark::commands
