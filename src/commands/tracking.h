// Client-side caching (CLIENT TRACKING): which connection has read which key, and the messages that tell it to forget
// what it keeps of a key that has changed. As Redis 7.0's tracking.c does it.
//
// A key that was read stands in the table with the connections that read it, until it changes: then each is told once.
// Connections with BCAST are in no table: they are told of every changed key that begins with one of their prefixes.
//
// Order. A connection is put into the table before the row is read, so no change falls between. Changes are gathered
// under the commit lock, on the thread that commits, and told after the commit: a connection gets the message behind
// the reply of the command it is in, so what it has read in between it forgets again. Only a read that ran on a worker
// has no such order: it asks afterwards (StillRemembers) whether it has been told meanwhile.
//
// Locks: the mutex guards the tables; it is taken before ClientRegistry's. Client::Deliver is called under it.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "commands/client.h"
#include "commands/client_registry.h"
#include "commands/command.h"
#include "config/config.h"
#include "engine/engine.h"

namespace tidemark::commands {

// How one connection is tracked. Fixed once it is there; changes make a new one.
class ClientTracking {
 public:
  bool bcast = false;
  bool optin = false;
  bool optout = false;
  bool noloop = false;
  uint64_t redirect = 0;  // id of the client that gets the messages; 0: this one
  std::vector<std::string> prefixes;

  // CLIENT CACHING has been said for the next command. For the client's own thread.
  mutable bool caching = false;
  // The client of `redirect` is gone.
  mutable std::atomic<bool> broken{false};
};

// Thread-safe, except where a function says otherwise.
class Tracking final : public engine::ChangeListener {
 public:
  // All outlive this.
  Tracking(config::Config& config, ClientRegistry& clients);

  // ---- Connections; on the client's own thread ----

  // CLIENT TRACKING ON with `wanted`, in addition to what is set. The error is the whole line for the client.
  absl::Status Enable(Client& client, const ClientTracking& wanted) ABSL_LOCKS_EXCLUDED(mutex_);
  // Also of a client that goes.
  void Disable(Client& client) ABSL_LOCKS_EXCLUDED(mutex_);

  // Before a request reads its keys: the client will be told when they change, if it wants to know. Costs a pointer
  // test for a client without tracking.
  void Remember(Client& client, const CommandSpec& spec, Args args) {
    const bool reads = (spec.flags & (kReadonly | kScript)) == kReadonly;
    if (client.tracking != nullptr && reads) RememberKeys(client, spec, args);
    if (listening() && (spec.name == "flushall" || spec.name == "flushdb")) NoteFlush();
  }
  // A script has called a command that reads: then all keys that it was given count as read.
  void RememberScript(Client& client, const CommandSpec& script, Args args) {
    if (client.tracking != nullptr) RememberKeys(client, script, args);
  }
  // The client has not been told of any of the request's keys since.
  bool StillRemembers(const Client& client, const CommandSpec& spec, Args args) const ABSL_LOCKS_EXCLUDED(mutex_);
  // A command has ended: what CLIENT CACHING said is used up.
  static void EndCommand(Client& client, const CommandSpec& spec);

  // After a transaction of this thread has committed: tells of what it changed. `origin` is whose it was, or null.
  void TellChanges(const Client* origin) {
    if (HasChanges()) Tell(origin);
  }

  // ---- From the engine, under the commit lock ----

  bool listening() const override { return tracked_.load(std::memory_order_relaxed) != 0; }
  void OnKeyChanged(DbIndex db, std::string_view key) override;
  void OnContentsReplaced(DbIndex db) override;
  void OnKeyExpired(DbIndex db, std::string_view key) override;

  struct Stats {
    size_t clients = 0;
    size_t keys = 0;
    size_t items = 0;
    size_t prefixes = 0;
  };
  Stats stats() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Ids = absl::btree_set<uint64_t>;
  struct Tracked {
    Client* client;
    std::shared_ptr<ClientTracking> how;
  };

  static bool HasChanges();
  // Also of a database that is empty everybody is told, as in Redis; the engine has nothing to tell then.
  static void NoteFlush();
  void RememberKeys(Client& client, const CommandSpec& spec, Args args) ABSL_LOCKS_EXCLUDED(mutex_);
  void Tell(const Client* origin) ABSL_LOCKS_EXCLUDED(mutex_);
  void TellOfKey(std::string_view key, const Client* origin) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellPrefixes(const std::vector<std::string>& keys, const Client* origin) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellFlush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `keys` null: everything.
  void Send(const Tracked& tracked, const std::vector<std::string_view>* keys) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Unless it is not tracked any more, or caused the change itself and does not want to hear of that.
  void SendTo(uint64_t id, const std::vector<std::string_view>& keys, const Client* origin)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Trim() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  config::Config& config_;
  ClientRegistry& clients_;
  std::atomic<size_t> tracked_{0};
  mutable Mutex mutex_;
  absl::flat_hash_map<uint64_t, Tracked> tracking_ ABSL_GUARDED_BY(mutex_);  // by client's id
  // Clients that have gone leave their ids here until the key changes.
  absl::flat_hash_map<std::string, Ids> readers_ ABSL_GUARDED_BY(mutex_);
  size_t items_ ABSL_GUARDED_BY(mutex_) = 0;  // ids over all of readers_
  absl::btree_map<std::string, Ids> prefixes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::commands
