// From a request to a reply: looks the command up, checks what Redis checks before every command (arity, AUTH, MULTI,
// subscribed mode, the role in replication, pauses), runs the handler in a transaction of the right kind, and keeps the
// statistics.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "commands/blocked_clients.h"
#include "commands/client.h"
#include "commands/command.h"
#include "commands/server.h"

namespace tidemark::commands {

enum class Outcome : uint8_t {
  kReplied,
  // A row is on disk only. Nothing happened; call Rehearse on a worker thread, then Execute again with `attempt` + 1,
  // unless Rehearse says that its reply is the answer.
  kCold,
  // The store must catch up, CLIENT PAUSE is on, or the primary is changing. Nothing happened; try again a little
  // later.
  kStalled,
  // The handler set client.deferred: the reply comes when that has it. The request's words are no longer needed.
  kDeferred,
};

class ScriptRun;

class Dispatcher {
 public:
  explicit Dispatcher(Server& server);

  // On the client's I/O thread. Appends the reply to `out`, whose protocol is set by the session from client.protocol.
  // After kMaxRehearsals attempts it reads from the disk under the lock rather than fail again.
  Outcome Execute(Client& client, Args args, resp::Writer& out, int attempt);
  // On a worker thread, after Execute said kCold, while the client does nothing else. True: `out` holds the final
  // reply.
  bool Rehearse(Client& client, Args args, resp::Writer& out);
  // Runs the commands of those again who wait for keys that have changed (blocked_clients.h), until no such key is
  // left. On an I/O thread, within no transaction.
  void ServeBlocked();
  // For scripts (script_run.h), within their transaction. What the node's role and the disk forbid a script with such
  // scripting::ScriptFlag bits; `read_only`: called by a command that only reads.
  absl::Status AdmitScript(uint32_t flags, bool read_only) const;
  // One command of a script: writes its reply or error to `reply`. False when the script cannot go on: then the run
  // has been told why.
  bool RunInScript(ScriptRun& run, Args words, resp::Writer& reply);
  // Whether the script's user may run that; NOT_FOUND when there is no such command.
  absl::StatusOr<bool> MayRunInScript(ScriptRun& run, Args words);

  // The connection is gone: forgets what it watched, tracked and monitored. Before the client is destroyed.
  void Forget(Client& client);

  static constexpr int kMaxRehearsals = 8;

 private:
  // OK when the command may run now; else the error for the client.
  absl::Status Admit(const Client& client, const CommandSpec* spec, Args args) const;
  // What the client's user may not do, as the error for him.
  absl::Status AdmitUser(const Client& client, const CommandSpec& spec, Args args) const;
  absl::Status AdmitQueued(const Client& client, const CommandSpec& spec, Args args) const;
  // The command's flags; of EXEC, those of what it will run: any that one of them has, kStale if all have it.
  uint32_t FlagsOf(const Client& client, const CommandSpec& spec) const;
  // What the node's role in replication forbids a command with such flags.
  absl::Status AdmitRole(uint32_t flags) const;
  bool MustPause(uint32_t flags) const;
  void Refuse(Client& client, const CommandSpec* spec, const absl::Status& refused, resp::Writer& out);
  // A waiter that is run again, and what came of it.
  struct Rerun {
    std::string_view ready_key;
    Deferred& deferred;
    bool waits_on = false;  // found nothing: no reply was made
    bool over = false;      // nobody waits any more: nothing was done
    bool claimed = false;   // the reply, or the error of the commit, is owed
  };
  // How a command runs: which rows it may wait for, whether it may answer later, how long its scripts may take.
  struct Manner {
    kv::Tier tier = kv::Tier::kDisk;
    bool may_wait = false;
    ScriptPace pace = ScriptPace::kToTheEnd;
    Rerun* rerun = nullptr;
  };
  Outcome Run(Client& client, const CommandSpec& spec, Args args, resp::Writer& out, const Manner& manner);
  absl::Status RunHandler(Client& client, const CommandSpec& spec, Args args, resp::Writer& out, const Manner& manner);
  Outcome RunExec(Client& client, resp::Writer& out, const Manner& manner);
  // Whether a transaction of commands with such flags is one that may write.
  bool Writes(uint32_t flags) const;
  absl::Status RunTransaction(uint32_t flags, const Manner& manner, engine::TxnFunction body);
  // While a slow script runs: what its client's request gets, nullopt when it may run beside it.
  std::optional<Outcome> HoldBesideScript(Client& client, const CommandSpec* spec, resp::Writer& out);
  // On a worker, after a script was too slow for its I/O thread. False: try again on that.
  bool RunOnWorker(Client& client, Args args, resp::Writer& out);
  void Publish(const std::vector<Publication>& publications);
  absl::Status AdmitUserInScript(const Client& caller, const CommandSpec& spec, Args words) const;
  // What forbids a script's command, as the script sees it.
  absl::Status AdmitInScript(const ScriptRun& run, const CommandSpec* spec, Args words) const;
  // Within the transaction, after the handler: notes who waits, claims the reply of who is run again.
  absl::Status Settle(Context& ctx, const CommandSpec& spec, Rerun* rerun);
  enum class Served : uint8_t { kOver, kWaitsOn, kStalled };
  // False when the store must catch up first.
  bool ServeKey(const BlockedClients::Place& place);
  Served Serve(BlockedClients::Waiter& waiter, std::string_view ready_key);
  // The queued commands that touch the keyspace, in `txn`; each one's reply goes to its place in `replies`. `events`
  // may be null.
  absl::Status RunQueuedRows(Client& client, kv::Txn& txn, std::vector<std::string>& replies,
                             types::Keyspace::Lookups* lookups, std::vector<types::KeyEvent>* events, ScriptPace pace,
                             std::vector<Publication>* publications);
  // What follows every command that ran: MONITOR hears of it, CLIENT CACHING is used up.
  void EndCommand(Client& client, const CommandSpec& spec, Args args);
  void FeedQueued(const Client& client, DbIndex db);
  // Client-side caching: before keys are read, and after a commit.
  void Remember(Client& client, const CommandSpec& spec, Args args);
  void TellChanges(const Client& client);
  void RunQueuedOthers(Client& client, std::vector<std::string>& replies);
  absl::StatusOr<bool> WatchHolds(Client& client, kv::Txn& txn) const;
  void EndMulti(Client& client);
  void CountError(std::string_view error);
  // One call that ran: statistics, SLOWLOG and LATENCY.
  void CountCall(const Client& client, const CommandSpec& spec, Args args, uint64_t nanos, bool ok);

  Server& server_;
  const CommandSpec* const exec_;
  const CommandSpec* const select_;
  const int64_t databases_;
  const std::atomic<int64_t>& serve_stale_;
  const std::atomic<int64_t>& min_replicas_;
  const std::atomic<int64_t>& min_replicas_lag_;
  // These run at once within MULTI; every other command is queued.
  std::vector<const CommandSpec*> never_queued_;
};

}  // namespace tidemark::commands
