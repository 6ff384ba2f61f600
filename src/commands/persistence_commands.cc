// Snapshots, and the end of the server.
#include "commands/scripts.h"
#include "commands/server.h"
#include "commands/server_families.h"

namespace tidemark::commands {
namespace {

absl::Status AlreadySaving() { return InvalidArgument("ERR Background save already in progress"); }

absl::Status Bgsave(Context& ctx) {
  if (ctx.args.size() > 2 || (ctx.args.size() == 2 && !EqualsIgnoreCase(ctx.args[1], "SCHEDULE"))) {
    return SyntaxError();
  }
  Server& server = ctx.server;
  if (server.engine.stats().snapshot_running || server.saving.exchange(true)) return AlreadySaving();
  server.host.RunInBackground([&server] {
    // Whether it worked stands in Engine::stats() and in the server's log.
    server.engine.Snapshot().status().IgnoreError();
    server.saving = false;
  });
  ctx.out.Simple("Background saving started");
  return absl::OkStatus();
}

// Holds up the clients of this I/O thread until the snapshot stands: that is what SAVE is for.
absl::Status Save(Context& ctx) {
  if (ctx.server.engine.stats().snapshot_running || ctx.server.saving.exchange(true)) return AlreadySaving();
  const absl::Status saved = ctx.server.engine.Snapshot().status();
  ctx.server.saving = false;
  if (!saved.ok()) return InvalidArgument("ERR {}", Message(saved));
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Bgrewriteaof(Context&) {
  return InvalidArgument("ERR Tidemark has no append only file to rewrite: its log is purged by itself");
}

absl::Status Lastsave(Context& ctx) {
  const uint64_t seconds = ctx.server.engine.stats().last_snapshot_seconds;
  ctx.out.Integer(static_cast<int64_t>(seconds == 0 ? ctx.server.start_ms / 1000 : seconds));
  return absl::OkStatus();
}

absl::Status Shutdown(Context& ctx) {
  bool save = false;
  bool nosave = false;
  bool now = false;
  bool abort = false;
  for (const std::string_view word : ctx.args.subspan(1)) {
    if (EqualsIgnoreCase(word, "SAVE")) {
      save = true;
    } else if (EqualsIgnoreCase(word, "NOSAVE")) {
      nosave = true;
    } else if (EqualsIgnoreCase(word, "NOW")) {
      now = true;
    } else if (EqualsIgnoreCase(word, "ABORT")) {
      abort = true;
    } else if (!EqualsIgnoreCase(word, "FORCE")) {
      return SyntaxError();
    }
  }
  if ((save && nosave) || (abort && ctx.args.size() > 2)) return SyntaxError();
  if (abort) return InvalidArgument("ERR No shutdown in progress.");
  if (!nosave && ctx.server.scripts != nullptr) TM_RETURN_IF_ERROR(ctx.server.scripts->RefuseIfBusy());
  // No reply, as in Redis: the end of the connection tells. Where Redis would save a file, the archives are completed;
  // where it would not wait for replicas, they are not waited for either. Nothing that fails keeps the server alive, so
  // FORCE changes nothing.
  ctx.server.host.Shutdown(nosave || now ? StopMode::kAtOnce : StopMode::kFlush);
  return absl::OkStatus();
}

constexpr CommandSpec kCommands[] = {
    {.name = "bgrewriteaof",
     .arity = 1,
     .flags = kAdmin | kNoScript | kNoAsyncLoading,
     .group = "server",
     .since = "1.0.0",
     .summary = "Needs not be called: the log is cut by itself.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = Bgrewriteaof},
    {.name = "bgsave",
     .arity = -1,
     .flags = kAdmin | kNoScript | kNoAsyncLoading,
     .group = "server",
     .since = "1.0.0",
     .summary = "Makes a snapshot in the background.",
     .complexity = "O(1)",
     .syntax = "[SCHEDULE]",
     .handler = Bgsave},
    {.name = "lastsave",
     .arity = 1,
     .flags = kLoading | kStale | kFast,
     .group = "server",
     .since = "1.0.0",
     .summary = "Tells when the last snapshot was made.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = Lastsave},
    {.name = "save",
     .arity = 1,
     .flags = kAdmin | kNoScript | kNoAsyncLoading | kNoMulti,
     .group = "server",
     .since = "1.0.0",
     .summary = "Makes a snapshot and waits for it.",
     .complexity = "O(N) with N the total number of keys in all databases",
     .syntax = "",
     .handler = Save},
    {.name = "shutdown",
     .arity = -1,
     .flags = kAdmin | kNoScript | kLoading | kStale | kNoMulti | kAllowBusy,
     .group = "server",
     .since = "1.0.0",
     .summary = "Stops the server in order.",
     .complexity =
         "O(N) when saving, with N the total number of keys in all databases when saving data, otherwise O(1)",
     .syntax = "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
     .handler = Shutdown},
};

}  // namespace

std::span<const CommandSpec> PersistenceFamily() { return kCommands; }

}  // namespace tidemark::commands
