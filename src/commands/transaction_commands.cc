// MULTI, EXEC, DISCARD, WATCH, UNWATCH. Queueing and EXEC itself are the dispatcher's: they go around every other
// command.
#include "base/check.h"
#include "commands/client.h"
#include "commands/command.h"
#include "commands/server.h"
#include "commands/watch_table.h"

namespace tidemark::commands {
namespace {

absl::Status Multi(Context& ctx) {
  if (ctx.client.in_multi) return absl::InvalidArgumentError("ERR MULTI calls can not be nested");
  ctx.client.in_multi = true;
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Exec(Context&) {
  TM_CHECK(false, "EXEC is run by the dispatcher");
  return absl::OkStatus();
}

absl::Status Discard(Context& ctx) {
  if (!ctx.client.in_multi) return absl::InvalidArgumentError("ERR DISCARD without MULTI");
  ctx.client.in_multi = false;
  ctx.client.abort_exec = false;
  ctx.client.queued.clear();
  ctx.server.watches.RemoveAll(ctx.client);
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Watch(Context& ctx) {
  if (ctx.client.in_multi) return absl::InvalidArgumentError("ERR WATCH inside MULTI is not allowed");
  std::vector<bool> existed;
  for (const std::string_view name : ctx.args.subspan(1)) {
    TM_ASSIGN_OR_RETURN(const types::Key key, ctx.keys().Find(name));
    existed.push_back(static_cast<bool>(key));
  }
  for (size_t i = 1; i < ctx.args.size(); ++i) {
    ctx.server.watches.Add(ctx.client, ctx.client.db, ctx.args[i], existed[i - 1]);
  }
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Unwatch(Context& ctx) {
  ctx.server.watches.RemoveAll(ctx.client);
  ctx.out.Ok();
  return absl::OkStatus();
}

constexpr uint32_t kTransactionFlags = kNoScript | kLoading | kStale | kFast | kAllowBusy;

const CommandSpec kCommands[] = {
    {.name = "multi",
     .arity = 1,
     .flags = kTransactionFlags,
     .group = "transactions",
     .since = "1.2.0",
     .summary = "Begins a transaction: the commands that follow are queued.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = Multi},
    {.name = "exec",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kSkipSlowlog,
     .group = "transactions",
     .since = "1.2.0",
     .summary = "Runs the queued commands as one atomic step, one record of the log.",
     .complexity = "Depends on commands in the transaction",
     .syntax = "",
     .handler = Exec},
    {.name = "discard",
     .arity = 1,
     .flags = kTransactionFlags,
     .group = "transactions",
     .since = "2.0.0",
     .summary = "Forgets the queued commands.",
     .complexity = "O(N), when N is the number of queued commands",
     .syntax = "",
     .handler = Discard},
    {.name = "watch",
     .arity = -2,
     .flags = kTransactionFlags | kReadonly | kStateful,
     .keys = {1, -1, 1},
     .group = "transactions",
     .since = "2.2.0",
     .summary = "Lets the next EXEC go through only if the keys have not changed until then.",
     .complexity = "O(1) for every key.",
     .syntax = "key [key ...]",
     .handler = Watch,
     .key_flags = "RO"},
    {.name = "unwatch",
     .arity = 1,
     .flags = kTransactionFlags,
     .group = "transactions",
     .since = "2.2.0",
     .summary = "Forgets the watched keys.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = Unwatch},
};

}  // namespace

std::span<const CommandSpec> TransactionCommands() { return kCommands; }

}  // namespace tidemark::commands
