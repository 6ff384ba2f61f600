// One connection as commands see it. The session in server/ derives from it and owns the socket; commands only change
// this state.
//
// Threads: a client belongs to the I/O thread of its connection, which alone touches the fields below, except where a
// field says otherwise. Deliver and RequestClose may be called from any thread while the client is registered; they are
// called under locks of ClientRegistry and Pubsub, so they only queue and never call back. Relaxed fields are written
// by the client's own thread and read by CLIENT LIST from others.
#pragma once

#include <absl/container/btree_set.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/relaxed.h"
#include "base/types.h"

namespace tidemark::commands {

struct CommandSpec;
class Deferred;        // deferred.h
class AclUser;         // who the connection is authenticated as
class ClientTracking;  // what CLIENT TRACKING has set

// One watched key; `existed` so that EXEC can tell that it expired meanwhile.
struct WatchedKey {
  DbIndex db;
  std::string key;
  bool existed;
};

struct QueuedCommand {
  const CommandSpec* spec;
  std::vector<std::string> args;
};

enum class ReplyMode : uint8_t { kOn, kOff, kSkipNext, kSkipping };

class Client {
 public:
  virtual ~Client() = default;

  // Appends bytes to what the client receives (pub/sub messages), in order, behind replies already made. Any thread.
  virtual void Deliver(std::shared_ptr<const std::string> bytes) = 0;
  // Closes the connection soon: at once, or after what is queued has been sent. Any thread.
  virtual void RequestClose(bool after_replies) = 0;
  // Bytes waiting in the output and input buffers, for CLIENT LIST and limits. Any thread; approximate.
  virtual size_t output_bytes() const = 0;
  virtual size_t input_bytes() const = 0;

  uint64_t id = 0;
  std::string address;        // "127.0.0.1:5000"; fixed
  std::string local_address;  // fixed
  int fd = -1;                // fixed, for CLIENT LIST
  uint64_t created_ms = 0;    // wall clock; fixed
  // When its last command ended (steady clock), while the next of the pipeline follows at once: that one began then, so
  // the clock is read once a command. 0: nothing was just run.
  uint64_t last_end_nanos = 0;
  Relaxed<DbIndex> db;
  Relaxed<int> protocol = 2;
  bool authenticated = false;
  // Null: the default user. Written by its own thread under ClientRegistry's lock, which readers of other threads take.
  std::shared_ptr<const AclUser> user;
  std::shared_ptr<ClientTracking> tracking;  // null: off; locked likewise
  Relaxed<bool> monitor = false;             // MONITOR: gets every command that is run
  ReplyMode reply_mode = ReplyMode::kOn;
  // What the command at hand has written is sent although `reply_mode` keeps replies back.
  bool sends_message = false;
  Relaxed<bool> no_evict = false;
  bool no_touch = false;
  Relaxed<uint64_t> last_interaction_ms;
  Relaxed<const CommandSpec*> last_command = nullptr;
  Relaxed<uint64_t> commands_processed;

  // Its request has a script that was too slow for an I/O thread: the worker that gets it runs it to the end.
  bool runs_long = false;
  // Set by a handler that answers later; taken away when the reply has been sent.
  std::shared_ptr<Deferred> deferred;
  Relaxed<bool> blocked = false;  // ClientRegistry has it
  // End of the log after this client's last write: what LOGBACKUP WAIT waits for. Never before that write's own end.
  Lsn last_write_end;

  // MULTI. `abort_exec` after an error while queueing.
  Relaxed<bool> in_multi = false;
  bool abort_exec = false;
  std::vector<QueuedCommand> queued;
  std::vector<WatchedKey> watched;
  // Set, under the commit lock, by whoever changes a watched key.
  std::atomic<bool> watch_broken{false};

  // What this client is subscribed to; changed by Pubsub alone, on the client's own thread and under Pubsub's mutex,
  // which others take to read. The counts are for others.
  absl::btree_set<std::string> channels;
  absl::btree_set<std::string> patterns;
  absl::btree_set<std::string> shard_channels;
  size_t subscriptions() const { return channels.size() + patterns.size() + shard_channels.size(); }
  Relaxed<uint32_t> channel_count;
  Relaxed<uint32_t> pattern_count;
  Relaxed<uint32_t> shard_channel_count;

  // CLIENT SETNAME; written by its own thread under ClientRegistry's lock, which readers of other threads take too.
  std::string name;
};

}  // namespace tidemark::commands
