// CONFIG and its subcommands.
#include "commands/client_registry.h"
#include "commands/command_stats.h"
#include "commands/replication_state.h"
#include "commands/server.h"
#include "commands/server_families.h"

namespace tidemark::commands {
namespace {

absl::Status ConfigGet(Context& ctx) {
  RecordPrimary(ctx.server);
  const config::Config::Pairs pairs = ctx.server.config.Get(ctx.args.subspan(2));
  ctx.out.Map(pairs.size());
  for (const auto& [name, value] : pairs) {
    ctx.out.Bulk(name);
    ctx.out.Bulk(value);
  }
  return absl::OkStatus();
}

absl::Status ConfigSet(Context& ctx) {
  if (ctx.args.size() % 2 != 0) return WrongArity("config|set");
  std::vector<std::pair<std::string_view, std::string_view>> changes;
  for (size_t i = 2; i < ctx.args.size(); i += 2) changes.emplace_back(ctx.args[i], ctx.args[i + 1]);
  TM_RETURN_IF_ERROR(ctx.server.config.Set(changes));
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status ConfigRewrite(Context& ctx) {
  RecordPrimary(ctx.server);
  // Whatever the cause (the disk, no file), its message is the whole error line.
  if (const absl::Status rewritten = ctx.server.config.Rewrite(); !rewritten.ok()) {
    return absl::InvalidArgumentError(rewritten.message());
  }
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status ConfigResetstat(Context& ctx) {
  ctx.server.stats.Reset();
  ctx.server.clients.ResetStats();
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status ConfigHelp(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "GET <pattern> [<pattern> ...]",
      "    Show options whose names match, with their values.",
      "SET <option> <value> [<option> <value> ...]",
      "    Change options, all of them or none.",
      "RESETSTAT",
      "    Set the statistics of INFO back to zero.",
      "REWRITE",
      "    Write what was changed into the configuration file.",
  };
  HelpReply(ctx, "CONFIG", kLines);
  return absl::OkStatus();
}

constexpr CommandSpec kSubcommands[] = {
    {.name = "get",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "2.0.0",
     .summary = "Shows options that match patterns.",
     .complexity = "O(N) when N is the number of configuration parameters provided",
     .syntax = "parameter [parameter ...]",
     .handler = ConfigGet},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "5.0.0",
     .summary = "Lists the subcommands.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ConfigHelp},
    {.name = "resetstat",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "2.0.0",
     .summary = "Sets the statistics of INFO back to zero.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ConfigResetstat},
    {.name = "rewrite",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "2.8.0",
     .summary = "Writes changed options into the configuration file.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ConfigRewrite},
    {.name = "set",
     .arity = -4,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "2.0.0",
     .summary = "Changes options while the server runs.",
     .complexity = "O(N) when N is the number of configuration parameters provided",
     .syntax = "parameter value [parameter value ...]",
     .handler = ConfigSet},
};
constexpr CommandSpec kCommands[] = {
    {.name = "config",
     .arity = -2,
     .flags = 0,
     .group = "server",
     .since = "2.0.0",
     .summary = "About the options of the server.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kSubcommands},
};

}  // namespace

std::span<const CommandSpec> ConfigFamily() { return kCommands; }

}  // namespace tidemark::commands
