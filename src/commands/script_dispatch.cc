// The dispatcher's part in scripts: which commands they may run, how those run within the script's transaction, and
// what happens to everybody else while a script is slow.
#include <chrono>
#include <utility>

#include "commands/acl.h"
#include "commands/client_registry.h"
#include "commands/command_stats.h"
#include "commands/dispatcher.h"
#include "commands/monitors.h"
#include "commands/pubsub.h"
#include "commands/script_run.h"
#include "commands/scripts.h"
#include "commands/tracking.h"

namespace tidemark::commands {
namespace {

constexpr uint32_t kRows = kWrite | kReadonly;

uint64_t NowNanos() { return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()); }

absl::Status ReadOnlyReplica() {
  return absl::InvalidArgumentError("READONLY You can't write against a read only replica.");
}

// The end of an erring command: its reply is the error.
bool Refused(const absl::Status& why, resp::Writer& reply) {
  reply.buffer().clear();
  reply.Error(ErrorLine(why));
  return true;
}

}  // namespace

absl::Status Dispatcher::AdmitScript(uint32_t flags, bool read_only) const {
  const bool compatible = (flags & scripting::kCompatible) != 0;
  // EVAL may run on a stale replica as far as its own flags go; what it runs may not.
  if (compatible || (flags & scripting::kAllowStale) == 0) TM_RETURN_IF_ERROR(AdmitRole(0));
  if (compatible || (flags & scripting::kNoWrites) != 0) return absl::OkStatus();
  if (server_.replication.role() == replication::Role::kReplica) return ReadOnlyReplica();
  if (read_only) return InvalidArgument("ERR Can not execute a script with write flag using *_ro command.");
  TM_RETURN_IF_ERROR(AdmitRole(kWrite));
  return (flags & scripting::kAllowOom) != 0 ? absl::OkStatus() : server_.engine.MayGrow();
}

absl::Status Dispatcher::AdmitUserInScript(const Client& caller, const CommandSpec& spec, Args words) const {
  if (server_.acl == nullptr || server_.acl->Unrestricted(caller)) return absl::OkStatus();
  switch (server_.acl->CheckAndLog(caller, spec, words, AclContext::kLua).denial) {
    case AclDenial::kNone:
      return absl::OkStatus();
    case AclDenial::kKey:
      return InvalidArgument(
          "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments");
    case AclDenial::kChannel:
      return InvalidArgument("ERR The user executing the script can't publish to the channel mentioned in the command");
    default:
      return InvalidArgument("ERR The user executing the script can't run this command or subcommand");
  }
}

absl::Status Dispatcher::AdmitInScript(const ScriptRun& run, const CommandSpec* spec, Args words) const {
  if (spec == nullptr || (spec->handler == UnknownSubcommand && words.size() > 1)) {
    return InvalidArgument("ERR Unknown Redis command called from script");
  }
  const auto count = static_cast<int>(words.size());
  if ((spec->arity > 0 && count != spec->arity) || count < -spec->arity || spec->handler == nullptr) {
    return InvalidArgument("ERR Wrong number of args calling Redis command from script");
  }
  if ((spec->flags & kNoScript) != 0) return InvalidArgument("ERR This Redis command is not allowed from script");
  TM_RETURN_IF_ERROR(AdmitUserInScript(run.caller().client, *spec, words));
  if ((spec->flags & kStale) == 0 && !AdmitRole(0).ok()) {
    return InvalidArgument("ERR Can not execute the command on a stale replica");
  }
  if ((spec->flags & kWrite) == 0) return absl::OkStatus();
  if (run.read_only()) return InvalidArgument("ERR Write commands are not allowed from read-only scripts.");
  // A script that has begun to write goes on.
  if (run.wrote()) return absl::OkStatus();
  TM_RETURN_IF_ERROR(AdmitRole(kWrite));
  const bool may_grow = (spec->flags & kDenyOom) == 0 || (run.flags() & scripting::kAllowOom) != 0;
  return may_grow ? absl::OkStatus() : server_.engine.MayGrow();
}

bool Dispatcher::RunInScript(ScriptRun& run, Args words, resp::Writer& reply) {
  const CommandSpec* spec = CommandTable::Get().Resolve(words);
  Context& caller = run.caller();
  kv::Txn& txn = caller.keys().txn();
  absl::Status status = AdmitInScript(run, spec, words);
  const bool writes = status.ok() && (spec->flags & kWrite) != 0;
  if (writes && !txn.writable()) status = ReadOnlyReplica();
  if (!status.ok()) {
    if (spec != nullptr) server_.stats.CountRejected(*spec);
    CountError(Message(status));
    return Refused(status, reply);
  }
  types::Keyspace keyspace(txn, run.client().db);
  keyspace.GatherEvents(caller.keys().events());
  Context ctx{.args = words,
              .out = reply,
              .client = run.client(),
              .server = server_,
              .keyspace = (spec->flags & kRows) != 0 ? &keyspace : nullptr,
              .in_script = true,
              .in_exec = caller.in_exec,
              .dispatcher = this,
              .pace = caller.pace,
              .publications = caller.publications};
  run.client().protocol = reply.protocol();
  const size_t mark = writes ? server_.engine.MarkTransaction(txn) : 0;
  const size_t events = keyspace.events() == nullptr ? 0 : keyspace.events()->size();
  if (writes) run.SetWrote();
  const uint64_t started = NowNanos();
  if (server_.tracking != nullptr && (spec->flags & kReadonly) != 0) {
    if (const CommandSpec* script = CommandTable::Get().Resolve(caller.args); script != nullptr) {
      server_.tracking->RememberScript(caller.client, *script, caller.args);
    }
  }
  status = spec->handler(ctx);
  if (kv::IsColdRow(status) || engine::IsStalled(status)) {
    run.Stop(status);
    return false;
  }
  server_.stats.CountLookups(keyspace.lookups());
  server_.stats.CountCall(*spec, NowNanos() - started, status.ok());
  if (caller.pace != ScriptPace::kRehearsal && server_.monitors != nullptr && server_.monitors->any()) [[unlikely]] {
    server_.monitors->Feed(caller.client, run.client().db, *spec, words, /*from_script=*/true);
  }
  if (status.ok()) return true;
  if (writes) server_.engine.RollBackTo(txn, mark);
  if (auto* gathered = keyspace.events()) {
    gathered->erase(gathered->begin() + static_cast<ptrdiff_t>(events), gathered->end());
  }
  CountError(ErrorLine(status));
  return Refused(status, reply);
}

absl::StatusOr<bool> Dispatcher::MayRunInScript(ScriptRun& run, Args words) {
  const CommandSpec* spec = CommandTable::Get().Resolve(words);
  if (spec == nullptr || (spec->handler == UnknownSubcommand && words.size() > 1)) return absl::NotFoundError("");
  const Client& caller = run.caller().client;
  return server_.acl == nullptr || server_.acl->Unrestricted(caller) ||
         server_.acl->Check(caller, *spec, words).denial == AclDenial::kNone;
}

std::optional<Outcome> Dispatcher::HoldBesideScript(Client& client, const CommandSpec* spec, resp::Writer& out) {
  if (spec != nullptr && (spec->flags & kAllowBusy) != 0) return std::nullopt;
  const absl::Status busy = server_.scripts == nullptr ? absl::OkStatus() : server_.scripts->RefuseIfBusy();
  if (busy.ok()) return Outcome::kStalled;
  Refuse(client, spec, busy, out);
  return Outcome::kReplied;
}

bool Dispatcher::RunOnWorker(Client& client, Args args, resp::Writer& out) {
  const CommandSpec* spec = CommandTable::Get().Resolve(args);
  client.last_end_nanos = 0;
  const Manner manner{.tier = kv::Tier::kDisk, .may_wait = false, .pace = ScriptPace::kLong};
  const size_t mark = out.size();
  const Outcome outcome = spec == exec_ ? RunExec(client, out, manner) : Run(client, *spec, args, out, manner);
  client.runs_long = false;
  if (outcome == Outcome::kReplied) return true;
  out.Truncate(mark);
  return false;
}

void Dispatcher::Publish(const std::vector<Publication>& publications) {
  for (const Publication& message : publications) {
    const Pubsub::Kind kind = message.sharded ? Pubsub::Kind::kShard : Pubsub::Kind::kChannel;
    server_.pubsub.Publish(kind, message.channel, message.message);
  }
}

}  // namespace tidemark::commands
