// Every connection of the server, whichever I/O thread it belongs to: ids, names, CLIENT LIST and KILL, and the pause
// that CLIENT PAUSE puts on all of them.
//
// Locks: one mutex guards the set of clients and every client's `name`; a client stays valid while it is registered,
// and others only touch it under the mutex. The pause is one atomic number, which the dispatcher looks at before every
// command.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/container/btree_map.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "commands/client.h"

namespace tidemark::commands {

enum class ClientType : uint8_t { kNormal, kMaster, kReplica, kPubsub };
// As CLIENT LIST TYPE and CLIENT KILL TYPE name them; null for an unknown one.
std::optional<ClientType> ParseClientType(std::string_view name);
ClientType TypeOf(const Client& client);

// What CLIENT KILL and CLIENT LIST choose by; what is not set fits every client.
struct ClientFilter {
  std::optional<ClientType> type = {};
  std::vector<uint64_t> ids = {};
  std::string address = {};
  std::string local_address = {};
  std::optional<std::string> user = {};
  const Client* except = nullptr;
};

enum class PauseState : uint8_t { kNone, kWrite, kAll };

class ClientRegistry {
 public:
  // On the client's thread, before its first command: gives it its id. Remove before it is destroyed; afterwards nobody
  // calls Deliver or RequestClose through the registry any more.
  void Add(Client& client) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(Client& client) ABSL_LOCKS_EXCLUDED(mutex_);
  // A connection refused because of maxclients.
  void CountRejected() { rejected_.fetch_add(1, std::memory_order_relaxed); }
  // Bytes read from and written to sockets since the last call; by each I/O thread once a turn.
  void CountTraffic(uint64_t bytes_in, uint64_t bytes_out) {
    bytes_in_.fetch_add(bytes_in, std::memory_order_relaxed);
    bytes_out_.fetch_add(bytes_out, std::memory_order_relaxed);
  }

  // Gives `bytes` (null: nothing) to the client of that id, and says how much then waits to be sent to it; nullopt when
  // there is no such client any more. Any thread.
  std::optional<size_t> Deliver(uint64_t id, std::shared_ptr<const std::string> bytes) ABSL_LOCKS_EXCLUDED(mutex_);

  // One line of CLIENT LIST or INFO, without the line's end. `client` is the caller's own.
  std::string Describe(const Client& client, uint64_t now_ms) const ABSL_LOCKS_EXCLUDED(mutex_);
  // The lines of all clients that fit, in order of their ids.
  std::string List(const ClientFilter& filter, uint64_t now_ms) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Asks for the end of every connection that fits; `self`'s ends after its reply. Returns how many.
  size_t Kill(const ClientFilter& filter, const Client& self) ABSL_LOCKS_EXCLUDED(mutex_);

  // Asks for the end of that connection once its replies are sent, if it is still there.
  void CloseAfterReplies(uint64_t id) ABSL_LOCKS_EXCLUDED(mutex_);

  // Called by the client's own thread. INVALID_ARGUMENT with Redis's error line for spaces and control characters.
  absl::Status SetName(Client& client, std::string_view name) ABSL_LOCKS_EXCLUDED(mutex_);

  // By the client's own thread: who it is from now on; null is the default user.
  void SetUser(Client& client, std::shared_ptr<const AclUser> user) ABSL_LOCKS_EXCLUDED(mutex_);
  // Likewise: how it is tracked; null is not at all.
  void SetTracking(Client& client, std::shared_ptr<ClientTracking> tracking) ABSL_LOCKS_EXCLUDED(mutex_);
  // Calls `use` with the client of that id, under the lock. False when there is none.
  bool With(uint64_t id, const std::function<void(Client&)>& use) ABSL_LOCKS_EXCLUDED(mutex_);
  // Asks for the end of every connection that `ends` chooses; `self`'s, if it is one of them, after its reply. `ends`
  // is called under the lock and may look at the client's user.
  void EndIf(const std::function<bool(const Client&)>& ends, const Client* self) ABSL_LOCKS_EXCLUDED(mutex_);

  // By the client's own thread, around the time in which it waits for a deferred reply.
  void BeginWait(Client& client, std::shared_ptr<Deferred> deferred) ABSL_LOCKS_EXCLUDED(mutex_);
  void EndWait(Client& client) ABSL_LOCKS_EXCLUDED(mutex_);
  // CLIENT UNBLOCK: false when that client does not wait.
  bool Unblock(uint64_t id, bool with_error) ABSL_LOCKS_EXCLUDED(mutex_);

  // Times are milliseconds of the monotonic clock. A pause under way is only ever made longer and stricter, as in
  // Redis.
  void Pause(PauseState state, uint64_t until_ms);
  void Unpause();
  // Called after every Unpause, from its thread. Set before there are clients.
  void OnUnpause(std::function<void()> listener) { unpaused_ = std::move(listener); }
  // What changes data waits from now on, and nobody can lift it: the server is about to stop.
  void PauseForStop() { Pause(PauseState::kWrite, kForever); }
  // What must wait now: nothing, commands that change data or publish, or all. Costs one load while nothing is paused.
  PauseState pause_state() const {
    const uint64_t pause = pause_.load(std::memory_order_relaxed);
    return pause == 0 ? PauseState::kNone : StateOf(pause);
  }
  // Milliseconds from now until the pause ends; 0 when there is none.
  uint64_t PauseLeft() const;
  static uint64_t MonotonicMillis();

  struct Stats {
    size_t connected = 0;
    size_t pubsub = 0;
    size_t blocked = 0;     // wait for a deferred reply
    uint64_t received = 0;  // connections since the start
    uint64_t rejected = 0;
    uint64_t bytes_in = 0;
    uint64_t bytes_out = 0;
    size_t max_input_bytes = 0;
    size_t max_output_bytes = 0;
    size_t buffer_bytes = 0;  // input and output of all
  };
  Stats stats() const ABSL_LOCKS_EXCLUDED(mutex_);
  void ResetStats();
  size_t connected() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr uint64_t kForever = UINT64_MAX / 4;
  static PauseState StateOf(uint64_t pause);

  mutable Mutex mutex_;
  absl::btree_map<uint64_t, Client*> clients_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<uint64_t, std::shared_ptr<Deferred>> waiting_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;

  std::atomic<uint64_t> received_{0};
  std::atomic<uint64_t> rejected_{0};
  std::atomic<uint64_t> bytes_in_{0};
  std::atomic<uint64_t> bytes_out_{0};
  std::function<void()> unpaused_ = [] {};
  // End of the pause in monotonic ms, times two, plus one when everything is paused; 0 for none.
  std::atomic<uint64_t> pause_{0};
};

}  // namespace tidemark::commands
