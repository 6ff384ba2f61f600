// The table of the server's own commands, joined from its families, and those that stand alone.
#include "base/version.h"
#include "commands/export_commands.h"
#include "commands/server.h"
#include "commands/server_families.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

absl::Status Time(Context& ctx) {
  const uint64_t micros = Clock::System().WallMicros();
  ctx.out.Array(2);
  ctx.out.BulkInteger(static_cast<int64_t>(micros / 1000000));
  ctx.out.BulkInteger(static_cast<int64_t>(micros % 1000000));
  return absl::OkStatus();
}

absl::Status Lolwut(Context& ctx) {
  if (ctx.args.size() > 2 && EqualsIgnoreCase(ctx.args[1], "VERSION")) {
    TM_RETURN_IF_ERROR(IntegerArg(ctx.args[2]).status());
  }
  static constexpr std::string_view kTide =
      "        ~          ~~         ~\n"
      "   ~~       ~~~        ~~~        ~~\n"
      "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~  <- durable\n"
      "  .  '  .   '   .  '   .   '  .   '  .\n"
      "_______________________________________\n";
  ctx.out.Verbatim("txt", fmt::format("{}\nTidemark ver. {}\n", kTide, Version()));
  return absl::OkStatus();
}

// OK when there is no word, or one that both FLUSH commands know.
bool IsFlushMode(Args words) {
  return words.empty() ||
         (words.size() == 1 && (EqualsIgnoreCase(words[0], "SYNC") || EqualsIgnoreCase(words[0], "ASYNC")));
}

absl::Status FunctionFlush(Context& ctx) {
  if (!IsFlushMode(ctx.args.subspan(2))) return InvalidArgument("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status FunctionList(Context& ctx) {
  ctx.out.Array(0);
  return absl::OkStatus();
}

absl::Status ScriptFlush(Context& ctx) {
  if (!IsFlushMode(ctx.args.subspan(2))) return InvalidArgument("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status ScriptExists(Context& ctx) {
  ctx.out.Array(ctx.args.size() - 2);
  for (size_t i = 2; i < ctx.args.size(); ++i) ctx.out.Integer(0);
  return absl::OkStatus();
}

absl::Status ModuleList(Context& ctx) {
  ctx.out.Array(0);
  return absl::OkStatus();
}

constexpr CommandSpec kFunctionSubcommands[] = {
    {.name = "flush",
     .arity = -2,
     .flags = kWrite | kNoScript,
     .group = "scripting",
     .since = "7.0.0",
     .summary = "Does nothing: there are no functions.",
     .complexity = "O(N) with N the number of functions deleted",
     .syntax = "[ASYNC | SYNC]",
     .handler = FunctionFlush},
    {.name = "list",
     .arity = -2,
     .flags = kNoScript,
     .group = "scripting",
     .since = "7.0.0",
     .summary = "Lists functions: there are none.",
     .complexity = "O(N) with N the number of functions",
     .syntax = "[LIBRARYNAME library-name-pattern] [WITHCODE]",
     .handler = FunctionList},
};
constexpr CommandSpec kModuleSubcommands[] = {
    {.name = "list",
     .arity = 2,
     .flags = kAdmin | kNoScript,
     .group = "server",
     .since = "4.0.0",
     .summary = "Lists modules: there are none.",
     .complexity = "O(N) with N the number of loaded modules",
     .syntax = "",
     .handler = ModuleList},
};
constexpr CommandSpec kScriptSubcommands[] = {
    {.name = "exists",
     .arity = -3,
     .flags = kNoScript,
     .group = "scripting",
     .since = "2.6.0",
     .summary = "Tells which scripts are kept: none.",
     .complexity =
         "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation)",
     .syntax = "sha1 [sha1 ...]",
     .handler = ScriptExists},
    {.name = "flush",
     .arity = -2,
     .flags = kNoScript,
     .group = "scripting",
     .since = "2.6.0",
     .summary = "Does nothing: no scripts are kept.",
     .complexity = "O(N) with N being the number of scripts in cache",
     .syntax = "[ASYNC | SYNC]",
     .handler = ScriptFlush},
};
constexpr CommandSpec kCommands[] = {
    {.name = "function",
     .arity = -2,
     .flags = 0,
     .group = "scripting",
     .since = "7.0.0",
     .summary = "About functions in Lua.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kFunctionSubcommands},
    {.name = "lolwut",
     .arity = -1,
     .flags = kReadonly | kFast,
     .group = "server",
     .since = "5.0.0",
     .summary = "Shows a small picture and the version.",
     .complexity = "",
     .syntax = "[VERSION version]",
     .handler = Lolwut},
    {.name = "module",
     .arity = -2,
     .flags = 0,
     .group = "server",
     .since = "4.0.0",
     .summary = "About modules.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kModuleSubcommands},
    {.name = "script",
     .arity = -2,
     .flags = 0,
     .group = "scripting",
     .since = "2.6.0",
     .summary = "About scripts in Lua.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kScriptSubcommands},
    {.name = "time",
     .arity = 1,
     .flags = kLoading | kStale | kFast,
     .group = "server",
     .since = "2.6.0",
     .summary = "Tells the time of the server.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = Time},
};

}  // namespace

std::span<const CommandSpec> ServerCommands() {
  static const auto* const all = [] {
    auto* joined = new std::vector<CommandSpec>(std::begin(kCommands), std::end(kCommands));
    for (const auto family : {ConfigFamily(), InfoFamily(), SlowlogFamily(), LatencyFamily(), MemoryFamily(),
                              PersistenceFamily(), ReplicationFamily(), ReplicationWaits(), ExpiryClockFamily(),
                              DebugFamily(), MonitorFamily(), ExportFamily()}) {
      joined->insert(joined->end(), family.begin(), family.end());
    }
    return joined;
  }();
  return *all;
}

}  // namespace tidemark::commands
