// Who waits for which key (BLPOP, BZPOPMIN, XREAD). The dispatcher adds a client within the transaction that found
// nothing for it, the engine tells under the commit lock which keys have changed, and the thread that committed then
// serves those keys' waiters (Dispatcher::ServeBlocked).
//
// Order: keys as they changed, the waiters of a key as they arrived. One thread serves at a time; others that have
// committed meanwhile wait for it, so that nobody's next command overtakes a waiter.
//
// Locks: `serving` first, then the engine's commit lock, then the mutex in here, which guards the lines and the list of
// keys that are ready. A waiter leaves by being served, or by the end of its Deferred from any thread.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/container/btree_map.h>
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "commands/client.h"
#include "commands/command.h"
#include "commands/deferred.h"
#include "engine/engine.h"

namespace tidemark::commands {

class ClientRegistry;

// Thread-safe, except where a method says otherwise.
class BlockedClients final : public engine::ChangeListener {
 public:
  using Place = std::pair<uint16_t, std::string>;  // database and key

  // What of a client its command needs when it is run again, on another thread.
  class StandIn final : public Client {
   public:
    explicit StandIn(const Client& client);
    void Deliver(std::shared_ptr<const std::string> /*bytes*/) override {}
    void RequestClose(bool /*after_replies*/) override {}
    size_t output_bytes() const override { return 0; }
    size_t input_bytes() const override { return 0; }
  };

  struct Waiter {
    Waiter(uint64_t arrival, const Client& caller, const CommandSpec& command, Args words, KeyWait key_wait);

    const uint64_t number;  // rises with arrival
    const CommandSpec* const spec;
    const std::vector<std::string> args;
    const KeyWait wait;
    StandIn client;
    const std::shared_ptr<Deferred> deferred = std::make_shared<Deferred>();
  };

  // Called when keys are ready and the thread that made them so serves nobody (the engine's sweeper), or when serving
  // stalled: somebody shall call Dispatcher::ServeBlocked soon, on an I/O thread. From any thread, under the commit
  // lock. Set before there are clients.
  void OnNeglected(std::function<void()> listener) { neglected_ = std::move(listener); }

  // Within the transaction in which the command found nothing. The result is for client.deferred.
  std::shared_ptr<Deferred> Add(const Client& client, const CommandSpec& spec, Args args, KeyWait wait)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends the waiting of all with Redis's error for a change of role, and their connections after it.
  void UnblockAll(ClientRegistry& clients) ABSL_LOCKS_EXCLUDED(mutex_);

  // While one lives on a thread, that thread serves what it makes ready by itself.
  class ServesItself {
   public:
    ServesItself();
    ~ServesItself();
    ServesItself(const ServesItself&) = delete;
    ServesItself& operator=(const ServesItself&) = delete;
  };

  // There are keys whose waiters nobody has served yet, or somebody is serving. Costs one load. False while serving has
  // stalled: whoever OnNeglected told tries again.
  bool has_ready() const { return has_ready_.load(std::memory_order_relaxed); }

  // For who serves; all of these with `serving` held.
  Mutex& serving() ABSL_LOCK_RETURNED(serving_) { return serving_; }
  // The key that has been ready longest, taken from the list; nullopt when none is left.
  std::optional<Place> TakeReady() ABSL_LOCKS_EXCLUDED(mutex_);
  // Serving it has stalled: it comes first again.
  void PutBack(Place place) ABSL_LOCKS_EXCLUDED(mutex_);
  // One pass over a key's line: those who stood in it when the pass began, without the groups of commands that are
  // known to find nothing.
  struct Pass {
    uint64_t after = 0;
    uint64_t until = 0;  // 0: not begun
    std::vector<std::string_view> without;
  };
  std::shared_ptr<Waiter> Next(const Place& place, Pass* pass) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_);

  bool listening() const override { return waiting_.load(std::memory_order_relaxed) != 0; }
  void OnKeyChanged(DbIndex db, std::string_view key) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnContentsReplaced(DbIndex db) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Line = absl::btree_map<uint64_t, std::shared_ptr<Waiter>>;
  // A key's waiters, by the group of their commands: there is hardly ever more than one.
  using Lines = std::vector<std::pair<std::string_view, Line>>;

  void Signal(const Place& place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::function<void()> neglected_ = [] {};
  std::atomic<size_t> waiting_{0};
  std::atomic<bool> has_ready_{false};
  Mutex serving_;
  Mutex mutex_;
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, std::shared_ptr<Waiter>> waiters_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Place, Lines> lines_ ABSL_GUARDED_BY(mutex_);
  std::deque<Place> ready_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<Place> is_ready_ ABSL_GUARDED_BY(mutex_);  // what stands in ready_
};

}  // namespace tidemark::commands
