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

absl::Status ModuleList(Context& ctx) {
  ctx.out.Array(0);
  return absl::OkStatus();
}

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
constexpr CommandSpec kCommands[] = {
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
