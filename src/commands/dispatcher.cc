#include "commands/dispatcher.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "commands/acl.h"
#include "commands/client_registry.h"
#include "commands/command_stats.h"
#include "commands/key_notifier.h"
#include "commands/latency.h"
#include "commands/monitors.h"
#include "commands/slowlog.h"
#include "commands/tracking.h"
#include "commands/watch_table.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

constexpr uint32_t kRows = kWrite | kReadonly | kScript;
// What waits under CLIENT PAUSE WRITE, and while the primary changes.
constexpr uint32_t kHeldByPauses = kWrite | kMayReplicate;

uint64_t NowNanos() { return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()); }

bool TouchesRows(const CommandSpec& spec) { return (spec.flags & kRows) != 0 && (spec.flags & kStateful) == 0; }

absl::Status UnknownCommand(Args args) {
  std::string shown;
  for (const std::string_view arg : args.subspan(1)) {
    if (shown.size() >= 128) break;
    shown += fmt::format("'{}' ", arg.substr(0, 128 - shown.size()));
  }
  return InvalidArgument("ERR unknown command '{}', with args beginning with: {}", args[0].substr(0, 128), shown);
}

bool AllowedWhileSubscribed(const CommandSpec& spec) {
  static constexpr std::string_view kAllowed[] = {
      "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe", "ping", "quit", "reset"};
  return std::find(std::begin(kAllowed), std::end(kAllowed), spec.name) != std::end(kAllowed);
}

}  // namespace

Dispatcher::Dispatcher(Server& server)
    : server_(server),
      exec_(CommandTable::Get().Find("exec")),
      select_(CommandTable::Get().Find("select")),
      databases_(server.config.Integer("databases")),
      serve_stale_(server.config.Cell("replica-serve-stale-data")),
      min_replicas_(server.config.Cell("min-replicas-to-write")),
      min_replicas_lag_(server.config.Cell("min-replicas-max-lag")) {
  for (const std::string_view name : {"exec", "discard", "multi", "watch", "quit", "reset"}) {
    if (const CommandSpec* spec = CommandTable::Get().Find(name)) never_queued_.push_back(spec);
  }
}

absl::Status Dispatcher::Admit(const Client& client, const CommandSpec* spec, Args args) const {
  if (spec == nullptr) return UnknownCommand(args);
  const bool container = !spec->subcommands.empty();
  if (container && args.size() > 1 && spec->arity < 0 && spec->handler == nullptr) {
    return InvalidArgument("ERR unknown subcommand '{}'. Try {} HELP.", args[1].substr(0, 128), [&] {
      std::string name(spec->name);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      return name;
    }());
  }
  const auto count = static_cast<int>(args.size());
  if ((spec->arity > 0 && count != spec->arity) || count < -spec->arity || spec->handler == nullptr) {
    const CommandSpec* parent = CommandTable::Get().Find(args[0]);
    return WrongArity(FullName(parent == spec ? nullptr : parent, *spec));
  }
  if (!client.authenticated && (spec->flags & kNoAuth) == 0) {
    return absl::InvalidArgumentError("NOAUTH Authentication required.");
  }
  if (client.in_multi && (spec->flags & kNoMulti) != 0) {
    return absl::InvalidArgumentError("ERR Command not allowed inside a transaction");
  }
  if (server_.acl != nullptr && !server_.acl->Unrestricted(client)) [[unlikely]] {
    TM_RETURN_IF_ERROR(AdmitUser(client, *spec, args));
  }
  if (client.protocol == 2 && client.subscriptions() > 0 && !AllowedWhileSubscribed(*spec)) {
    const CommandSpec* parent = CommandTable::Get().Find(args[0]);
    return InvalidArgument(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
        "context",
        FullName(parent == spec ? nullptr : parent, *spec));
  }
  return absl::OkStatus();
}

absl::Status Dispatcher::AdmitUser(const Client& client, const CommandSpec& spec, Args args) const {
  // What names no subcommand does nothing, and is told so.
  if (spec.handler == UnknownSubcommand && args.size() > 1) return absl::OkStatus();
  const AclContext context = client.in_multi ? AclContext::kMulti : AclContext::kToplevel;
  return Acl::Refusal(server_.acl->CheckAndLog(client, spec, args, context).denial, spec);
}

absl::Status Dispatcher::AdmitQueued(const Client& client, const CommandSpec& spec, Args args) const {
  if (server_.acl == nullptr || server_.acl->Unrestricted(client)) [[likely]]
    return absl::OkStatus();
  return Acl::RefusalAtExec(server_.acl->CheckAndLog(client, spec, args, AclContext::kMulti).denial);
}

uint32_t Dispatcher::FlagsOf(const Client& client, const CommandSpec& spec) const {
  uint32_t flags = spec.flags;
  if (&spec != exec_) [[likely]]
    return flags;
  for (const QueuedCommand& queued : client.queued) {
    const uint32_t stale = flags & queued.spec->flags & kStale;
    flags = ((flags | queued.spec->flags) & ~static_cast<uint32_t>(kStale)) | stale;
  }
  return flags;
}

absl::Status Dispatcher::AdmitRole(uint32_t flags) const {
  const replication::Replication& replication = server_.replication;
  if ((flags & kWrite) != 0) {
    if (replication.role() == replication::Role::kReplica) {
      return absl::InvalidArgumentError("READONLY You can't write against a read only replica.");
    }
    if (const int64_t wanted = min_replicas_.load(std::memory_order_relaxed); wanted > 0) [[unlikely]] {
      const std::chrono::seconds lag(min_replicas_lag_.load(std::memory_order_relaxed));
      if (lag.count() > 0 && replication.ReplicasWithin(lag) < static_cast<size_t>(wanted)) {
        return absl::InvalidArgumentError("NOREPLICAS Not enough good replicas to write.");
      }
    }
  }
  const bool needs_link = (flags & kStale) == 0 && serve_stale_.load(std::memory_order_relaxed) == 0;
  if (needs_link && replication.role() == replication::Role::kReplica && !replication.link_up()) [[unlikely]] {
    return absl::InvalidArgumentError(
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");
  }
  return absl::OkStatus();
}

bool Dispatcher::MustPause(uint32_t flags) const {
  switch (server_.clients.pause_state()) {
    case PauseState::kNone:
      return false;
    case PauseState::kAll:
      return true;
    case PauseState::kWrite:
      break;
  }
  return (flags & kHeldByPauses) != 0;
}

void Dispatcher::CountError(std::string_view error) { server_.stats.CountError(error); }

void Dispatcher::CountCall(const Client& client, const CommandSpec& spec, Args args, uint64_t nanos, bool ok) {
  server_.stats.CountCall(spec, nanos, ok);
  server_.slowlog.Offer(client, spec, args, nanos / 1000);
  if (const uint64_t millis = nanos / 1'000'000; millis != 0 && server_.latency.Wants(millis)) {
    const std::string_view event = (spec.flags & kFast) != 0 ? "fast-command" : "command";
    server_.latency.Add(event, millis, Clock::System().WallMicros() / 1'000'000);
  }
}

void Dispatcher::Refuse(Client& client, const CommandSpec* spec, const absl::Status& refused, resp::Writer& out) {
  if (spec != nullptr) server_.stats.CountRejected(*spec);
  CountError(Message(refused));
  if (spec == exec_ && client.in_multi) {
    EndMulti(client);
    out.Error(fmt::format("EXECABORT Transaction discarded because of: {}", Message(refused)));
    return;
  }
  if (client.in_multi) client.abort_exec = true;
  out.Error(Message(refused));
}

Outcome Dispatcher::Execute(Client& client, Args args, resp::Writer& out, int attempt) {
  const CommandSpec* spec = CommandTable::Get().Resolve(args);
  const uint32_t flags = spec == nullptr ? 0 : FlagsOf(client, *spec);
  if (server_.engine.running_long()) [[unlikely]] {
    if (const std::optional<Outcome> held_back = HoldBesideScript(client, spec, out)) return *held_back;
  }
  // Asked before the role: what ends while this is looked at has changed the role already. Who waits for the outcome is
  // not refused for what holds meanwhile.
  const bool held = (flags & kHeldByPauses) != 0 && server_.replication.writes_held();
  absl::Status refused = Admit(client, spec, args);
  if (refused.ok() && !held) refused = AdmitRole(flags);
  if (!refused.ok()) {
    Refuse(client, spec, refused, out);
    return Outcome::kReplied;
  }
  client.last_command = spec;
  if (client.in_multi && std::find(never_queued_.begin(), never_queued_.end(), spec) == never_queued_.end()) {
    client.queued.push_back({spec, {args.begin(), args.end()}});
    out.Simple("QUEUED");
    return Outcome::kReplied;
  }
  if (held || MustPause(flags)) return Outcome::kStalled;
  const Manner manner{.tier = attempt < kMaxRehearsals ? kv::Tier::kMemory : kv::Tier::kDisk,
                      .may_wait = true,
                      .pace = ScriptPace::kShort};
  const BlockedClients::ServesItself serves_itself;
  const bool monitored = server_.monitors != nullptr && server_.monitors->any();
  if (monitored && attempt == 0 && (spec->flags & kScript) != 0) [[unlikely]] {
    server_.monitors->Feed(client, client.db, *spec, args, /*from_script=*/false);
  }
  const Outcome outcome = spec == exec_ ? RunExec(client, out, manner) : Run(client, *spec, args, out, manner);
  if (outcome == Outcome::kReplied || outcome == Outcome::kDeferred) EndCommand(client, *spec, args);
  if (server_.blocked != nullptr && server_.blocked->has_ready()) [[unlikely]]
    ServeBlocked();
  return outcome;
}

void Dispatcher::EndCommand(Client& client, const CommandSpec& spec, Args args) {
  // A script was shown before its commands.
  const bool shown = (spec.flags & kScript) != 0;
  if (!shown && server_.monitors != nullptr && server_.monitors->any()) [[unlikely]] {
    server_.monitors->Feed(client, client.db, spec, args, /*from_script=*/false);
  }
  if (client.tracking != nullptr) [[unlikely]]
    Tracking::EndCommand(client, spec);
}

void Dispatcher::FeedQueued(const Client& client, DbIndex db) {
  if (server_.monitors == nullptr || !server_.monitors->any()) return;
  for (const QueuedCommand& queued : client.queued) {
    const std::vector<std::string_view> args(queued.args.begin(), queued.args.end());
    server_.monitors->Feed(client, db, *queued.spec, args, /*from_script=*/false);
  }
}

void Dispatcher::Remember(Client& client, const CommandSpec& spec, Args args) {
  if (server_.tracking != nullptr) server_.tracking->Remember(client, spec, args);
}

void Dispatcher::TellChanges(const Client& client) {
  if (server_.tracking != nullptr) server_.tracking->TellChanges(&client);
}

Outcome Dispatcher::Run(Client& client, const CommandSpec& spec, Args args, resp::Writer& out, const Manner& manner) {
  const uint64_t started = client.last_end_nanos != 0 ? client.last_end_nanos : NowNanos();
  const size_t mark = out.size();
  const absl::Status status = RunHandler(client, spec, args, out, manner);
  if (kv::IsColdRow(status)) return Outcome::kCold;
  if (engine::IsStalled(status)) return Outcome::kStalled;
  if (IsTooSlow(status)) {
    client.runs_long = true;
    return Outcome::kCold;
  }
  if (!status.ok()) {
    const std::string line = ErrorLine(status);
    CountError(line);
    out.Error(line);
  }
  // What a script has done stays when it fails, so its error is a reply.
  const bool failed = !status.ok() || ((spec.flags & kScript) != 0 && out.buffer()[mark] == '-');
  client.commands_processed = client.commands_processed + 1;
  client.last_end_nanos = NowNanos();
  CountCall(client, spec, args, client.last_end_nanos - started, !failed);
  return client.deferred != nullptr ? Outcome::kDeferred : Outcome::kReplied;
}

absl::Status Dispatcher::RunHandler(Client& client, const CommandSpec& spec, Args args, resp::Writer& out,
                                    const Manner& manner) {
  Context ctx{.args = args,
              .out = out,
              .client = client,
              .server = server_,
              .may_wait = manner.may_wait,
              .dispatcher = this,
              .pace = manner.pace};
  if (manner.rerun != nullptr) ctx.ready_key = manner.rerun->ready_key;
  const size_t mark = out.size();
  types::Keyspace::Lookups lookups;
  std::vector<Publication> publications;
  GatheredEvents events(server_.notifier);
  absl::Status status;
  if ((spec.flags & kRows) == 0) {
    status = spec.handler(ctx);
  } else {
    if ((spec.flags & kScript) != 0) ctx.publications = &publications;
    const auto body = [&](kv::Txn& txn) {
      types::Keyspace keyspace(txn, client.db);
      keyspace.GatherEvents(events.Begin());
      ctx.keyspace = &keyspace;
      Remember(client, spec, args);
      absl::Status done = spec.handler(ctx);
      lookups = keyspace.lookups();
      if (done.ok() && (spec.flags & kBlocking) != 0) done = Settle(ctx, spec, manner.rerun);
      if (done.ok()) events.End();
      return done;
    };
    status = RunTransaction(spec.flags, manner, body);
    if (status.ok()) {
      if (Writes(spec.flags)) client.last_write_end = server_.engine.last_end();
      events.Publish();
      TellChanges(client);
      Publish(publications);
      const bool failed_script = (spec.flags & kScript) != 0 && out.buffer()[mark] == '-';
      if (failed_script && !ctx.error_counted) {
        const std::string_view line = std::string_view(out.buffer()).substr(mark + 1);
        CountError(line.substr(0, line.find('\r')));
      }
    }
  }
  if (!status.ok()) out.Truncate(mark);
  if (!kv::IsColdRow(status) && !engine::IsStalled(status)) server_.stats.CountLookups(lookups);
  return status;
}

bool Dispatcher::Writes(uint32_t flags) const {
  if ((flags & kWrite) != 0) return true;
  return (flags & (kScript | kReadonly)) == kScript && server_.replication.role() != replication::Role::kReplica;
}

absl::Status Dispatcher::RunTransaction(uint32_t flags, const Manner& manner, engine::TxnFunction body) {
  const bool writes = Writes(flags);
  const bool growing = writes && (flags & kDenyOom) != 0;
  if (manner.pace == ScriptPace::kLong) return server_.engine.RunLong(writes, manner.tier, growing, body);
  return writes ? server_.engine.TryWrite(manner.tier, growing, body) : server_.engine.TryRead(manner.tier, body);
}

absl::Status Dispatcher::Settle(Context& ctx, const CommandSpec& spec, Rerun* rerun) {
  if (rerun == nullptr) {
    if (ctx.key_wait) ctx.client.deferred = server_.blocked->Add(ctx.client, spec, ctx.args, *std::move(ctx.key_wait));
    return absl::OkStatus();
  }
  rerun->waits_on = ctx.key_wait.has_value();
  if (rerun->waits_on) return absl::OkStatus();
  rerun->claimed = rerun->deferred.Claim();
  rerun->over = !rerun->claimed;
  return rerun->claimed ? absl::OkStatus() : absl::CancelledError("nobody waits for this any more");
}

Dispatcher::Served Dispatcher::Serve(BlockedClients::Waiter& waiter, std::string_view ready_key) {
  const std::vector<std::string_view> args(waiter.args.begin(), waiter.args.end());
  resp::Writer out;
  out.SetProtocol(waiter.client.protocol);
  const uint64_t started = NowNanos();
  Rerun rerun{.ready_key = ready_key, .deferred = *waiter.deferred};
  absl::Status status = RunHandler(waiter.client, *waiter.spec, args, out,
                                   {.tier = kv::Tier::kMemory, .may_wait = true, .rerun = &rerun});
  if (kv::IsColdRow(status)) {
    // Here, since nobody's next command may come before: but without the lock.
    server_.engine
        .Rehearse([&](kv::Txn& txn) {
          types::Keyspace keyspace(txn, waiter.client.db);
          Context ctx{.args = args, .out = out, .client = waiter.client, .server = server_, .keyspace = &keyspace};
          ctx.may_wait = true;
          ctx.ready_key = ready_key;
          return waiter.spec->handler(ctx);
        })
        .IgnoreError();
    out.Truncate(0);
    status = RunHandler(waiter.client, *waiter.spec, args, out,
                        {.tier = kv::Tier::kDisk, .may_wait = true, .rerun = &rerun});
  }
  if (engine::IsStalled(status) && !rerun.claimed) return Served::kStalled;
  if (status.ok() && rerun.waits_on) return Served::kWaitsOn;
  server_.blocked->Remove(waiter.number);
  if (rerun.over) return Served::kOver;
  if (!status.ok()) {
    const std::string line = ErrorLine(status);
    CountError(line);
    server_.stats.CountLateFailure(*waiter.spec);
    out.Error(line);
  }
  if (rerun.claimed || waiter.deferred->Claim()) {
    const bool wrote = status.ok() && (waiter.spec->flags & kWrite) != 0;
    server_.slowlog.Offer(waiter.client, *waiter.spec, args, (NowNanos() - started) / 1000);
    waiter.deferred->Finish(std::move(out.buffer()), wrote ? server_.engine.last_end() : Lsn{});
  }
  return Served::kOver;
}

bool Dispatcher::ServeKey(const BlockedClients::Place& place) {
  BlockedClients::Pass pass;
  while (const std::shared_ptr<BlockedClients::Waiter> waiter = server_.blocked->Next(place, &pass)) {
    switch (Serve(*waiter, place.second)) {
      case Served::kOver:
        break;
      case Served::kWaitsOn:
        if (waiter->wait.alike) pass.without.push_back(waiter->spec->group);
        break;
      case Served::kStalled:
        return false;
    }
  }
  return true;
}

void Dispatcher::ServeBlocked() {
  const BlockedClients::ServesItself serves_itself;
  BlockedClients& blocked = *server_.blocked;
  const MutexLock lock(blocked.serving());
  while (std::optional<BlockedClients::Place> place = blocked.TakeReady()) {
    if (!ServeKey(*place)) {
      blocked.PutBack(*std::move(place));
      return;
    }
  }
}

absl::StatusOr<bool> Dispatcher::WatchHolds(Client& client, kv::Txn& txn) const {
  if (client.watch_broken.load(std::memory_order_relaxed)) return false;
  for (const WatchedKey& watched : client.watched) {
    types::Keyspace keyspace(txn, watched.db);
    TM_ASSIGN_OR_RETURN(const types::Key key, keyspace.Find(watched.key));
    if (static_cast<bool>(key) != watched.existed) return false;
  }
  return true;
}

void Dispatcher::EndMulti(Client& client) {
  client.in_multi = false;
  client.abort_exec = false;
  client.queued.clear();
  server_.watches.RemoveAll(client);
}

absl::Status Dispatcher::RunQueuedRows(Client& client, kv::Txn& txn, std::vector<std::string>& replies,
                                       types::Keyspace::Lookups* lookups, KeyNotifier::Events* events, ScriptPace pace,
                                       std::vector<Publication>* publications) {
  *lookups = {};
  DbIndex db = client.db;
  for (size_t i = 0; i < client.queued.size(); ++i) {
    const QueuedCommand& queued = client.queued[i];
    // SELECT runs with the other commands, later; where it leads decides where these go.
    if (queued.spec == select_) {
      const absl::StatusOr<int64_t> number = IntegerArg(queued.args[1]);
      if (number.ok() && *number >= 0 && *number < databases_) db.value = static_cast<uint16_t>(*number);
    }
    if (!TouchesRows(*queued.spec)) continue;
    const std::vector<std::string_view> args(queued.args.begin(), queued.args.end());
    resp::Writer out;
    out.SetProtocol(client.protocol);
    types::Keyspace keyspace(txn, db);
    keyspace.GatherEvents(events);
    Context ctx{.args = args,
                .out = out,
                .client = client,
                .server = server_,
                .keyspace = &keyspace,
                .in_exec = true,
                .dispatcher = this,
                .pace = pace,
                .publications = publications};
    const size_t events_before = events == nullptr ? 0 : events->size();
    const size_t mark = server_.engine.MarkTransaction(txn);
    const uint64_t started = NowNanos();
    absl::Status status = AdmitQueued(client, *queued.spec, args);
    if (status.ok()) {
      Remember(client, *queued.spec, args);
      status = queued.spec->handler(ctx);
    }
    if (kv::IsColdRow(status) || IsTooSlow(status)) return status;
    lookups->hits += keyspace.lookups().hits;
    lookups->misses += keyspace.lookups().misses;
    if (!status.ok()) {
      server_.engine.RollBackTo(txn, mark);
      if (events != nullptr) events->erase(events->begin() + static_cast<ptrdiff_t>(events_before), events->end());
      out.Truncate(0);
      out.Error(ErrorLine(status));
    }
    server_.stats.CountCall(*queued.spec, NowNanos() - started, status.ok());
    replies[i] = std::move(out.buffer());
  }
  return absl::OkStatus();
}

void Dispatcher::RunQueuedOthers(Client& client, std::vector<std::string>& replies) {
  // A handler may end the transaction's state of the client (RESET), so the queue is taken out first.
  const std::vector<QueuedCommand> queue = client.queued;
  for (size_t i = 0; i < queue.size(); ++i) {
    if (TouchesRows(*queue[i].spec)) continue;
    const std::vector<std::string_view> args(queue[i].args.begin(), queue[i].args.end());
    resp::Writer out;
    out.SetProtocol(client.protocol);
    if (const absl::Status refused = AdmitQueued(client, *queue[i].spec, args); !refused.ok()) {
      out.Error(Message(refused));
    } else {
      Run(client, *queue[i].spec, args, out, Manner{});
    }
    replies[i] = std::move(out.buffer());
  }
}

Outcome Dispatcher::RunExec(Client& client, resp::Writer& out, const Manner& manner) {
  if (!client.in_multi) {
    out.Error("ERR EXEC without MULTI");
    return Outcome::kReplied;
  }
  if (client.abort_exec) {
    EndMulti(client);
    CountError("EXECABORT");
    out.Error("EXECABORT Transaction discarded because of previous errors.");
    return Outcome::kReplied;
  }
  uint32_t flags = 0;
  for (const QueuedCommand& queued : client.queued) {
    if (TouchesRows(*queued.spec))
      flags |= Writes(queued.spec->flags) ? queued.spec->flags | kWrite : queued.spec->flags;
  }
  const uint64_t started = NowNanos();
  client.last_end_nanos = 0;
  std::vector<std::string> replies(client.queued.size());
  bool holds = true;
  types::Keyspace::Lookups lookups;
  GatheredEvents events(server_.notifier);
  std::vector<Publication> publications;
  const auto body = [&](kv::Txn& txn) -> absl::Status {
    TM_ASSIGN_OR_RETURN(holds, WatchHolds(client, txn));
    publications.clear();
    if (holds) {
      TM_RETURN_IF_ERROR(RunQueuedRows(client, txn, replies, &lookups, events.Begin(), manner.pace, &publications));
    }
    events.End();
    return absl::OkStatus();
  };
  // Whether it writes is settled: without kScript the role is not asked again.
  const absl::Status status = RunTransaction(flags & ~static_cast<uint32_t>(kScript), manner, body);
  if (kv::IsColdRow(status)) return Outcome::kCold;
  if (IsTooSlow(status)) {
    client.runs_long = true;
    return Outcome::kCold;
  }
  if (engine::IsStalled(status)) return Outcome::kStalled;
  server_.stats.CountLookups(lookups);
  if (!status.ok()) {
    out.Error(fmt::format("EXECABORT Transaction discarded because of: {}", ErrorLine(status)));
  } else if (!holds) {
    out.NullArray();
  } else {
    if ((flags & kWrite) != 0) client.last_write_end = server_.engine.last_end();
    events.Publish();
    TellChanges(client);
    Publish(publications);
    FeedQueued(client, client.db);
    // Effects outside the keyspace come after the commit, so that a transaction that is run again has them once.
    RunQueuedOthers(client, replies);
    out.Array(replies.size());
    for (const std::string& reply : replies) out.Raw(reply);
  }
  EndMulti(client);
  client.last_end_nanos = NowNanos();
  server_.stats.CountCall(*exec_, client.last_end_nanos - started, status.ok());
  return Outcome::kReplied;
}

bool Dispatcher::Rehearse(Client& client, Args args, resp::Writer& out) {
  if (client.runs_long) return RunOnWorker(client, args, out);
  const CommandSpec* spec = CommandTable::Get().Resolve(args);
  const uint64_t started = NowNanos();
  const size_t mark = out.size();
  types::Keyspace::Lookups lookups;
  bool waits = false;
  GatheredEvents events(server_.notifier);
  const absl::Status status = server_.engine.Rehearse([&](kv::Txn& txn) -> absl::Status {
    if (spec == exec_) {
      std::vector<std::string> replies(client.queued.size());
      TM_RETURN_IF_ERROR(WatchHolds(client, txn).status());
      std::vector<Publication> publications;
      return RunQueuedRows(client, txn, replies, &lookups, nullptr, ScriptPace::kRehearsal, &publications);
    }
    types::Keyspace keyspace(txn, client.db);
    if ((spec->flags & kStateful) != 0) {
      for (const int position : FindKeys(*spec, args)) TM_RETURN_IF_ERROR(keyspace.Find(args[position]).status());
      return absl::OkStatus();
    }
    keyspace.GatherEvents(events.Begin());
    Remember(client, *spec, args);
    std::vector<Publication> publications;
    Context ctx{.args = args,
                .out = out,
                .client = client,
                .server = server_,
                .keyspace = &keyspace,
                .dispatcher = this,
                .pace = ScriptPace::kRehearsal,
                .publications = &publications};
    // Who would wait is run again, so that it is noted in time; likewise who would stream.
    ctx.may_wait = (spec->flags & (kBlocking | kRange)) != 0;
    absl::Status done = spec->handler(ctx);
    waits = ctx.key_wait.has_value();
    lookups = keyspace.lookups();
    return done;
  });
  if (IsTooSlow(status)) {
    out.Truncate(mark);
    return RunOnWorker(client, args, out);
  }
  // A reply made on the way is final for reads that one look at the disk can answer: one key, or a range whose scan
  // sees one moment. Several keys are read again together, so that the client sees them as of one moment.
  const bool one_place = spec->keys.first == spec->keys.last && spec->find_keys == nullptr;
  const bool is_final = (spec->flags & kReadonly) != 0 && (spec->flags & (kStateful | kScript)) == 0 && spec != exec_ &&
                        (one_place || (spec->flags & kRange) != 0) &&
                        (server_.tracking == nullptr || server_.tracking->StillRemembers(client, *spec, args));
  if (!is_final || waits || kv::IsColdRow(status)) {
    out.Truncate(mark);
    return false;
  }
  if (!status.ok()) {
    out.Truncate(mark);
    out.Error(ErrorLine(status));
  }
  server_.stats.CountLookups(lookups);
  if (status.ok()) {
    events.End();
    events.Publish();
  }
  CountCall(client, *spec, args, NowNanos() - started, status.ok());
  EndCommand(client, *spec, args);
  return true;
}

void Dispatcher::Forget(Client& client) {
  server_.watches.RemoveAll(client);
  if (server_.monitors != nullptr) server_.monitors->Remove(client);
  if (server_.tracking != nullptr) server_.tracking->Disable(client);
}

}  // namespace tidemark::commands
