// SLOWLOG and its subcommands.
#include "commands/server.h"
#include "commands/server_families.h"
#include "commands/slowlog.h"

namespace tidemark::commands {
namespace {

absl::Status SlowlogGet(Context& ctx) {
  size_t count = 10;
  if (ctx.args.size() > 3) return WrongArity("slowlog|get");
  if (ctx.args.size() == 3) {
    const auto wanted = IntegerArg(ctx.args[2]);
    if (!wanted.ok() || *wanted < -1) return InvalidArgument("ERR count should be greater than or equal to -1");
    count = *wanted == -1 ? SIZE_MAX : static_cast<size_t>(*wanted);
  }
  const std::vector<Slowlog::Entry> entries = ctx.server.slowlog.Newest(count);
  ctx.out.Array(entries.size());
  for (const Slowlog::Entry& entry : entries) {
    ctx.out.Array(6);
    ctx.out.Integer(static_cast<int64_t>(entry.id));
    ctx.out.Integer(static_cast<int64_t>(entry.unix_seconds));
    ctx.out.Integer(static_cast<int64_t>(entry.micros));
    ctx.out.Array(entry.args.size());
    for (const std::string& arg : entry.args) ctx.out.Bulk(arg);
    ctx.out.Bulk(entry.address);
    ctx.out.Bulk(entry.name);
  }
  return absl::OkStatus();
}

absl::Status SlowlogLen(Context& ctx) {
  ctx.out.Integer(static_cast<int64_t>(ctx.server.slowlog.size()));
  return absl::OkStatus();
}

absl::Status SlowlogReset(Context& ctx) {
  ctx.server.slowlog.Reset();
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status SlowlogHelp(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "GET [<count>]",
      "    Show the newest slow commands (default: 10, -1 means all), each with its id, Unix time, microseconds,",
      "    arguments, client address and client name.",
      "LEN",
      "    Count the slow commands that are kept.",
      "RESET",
      "    Forget them.",
  };
  HelpReply(ctx, "SLOWLOG", kLines);
  return absl::OkStatus();
}

constexpr CommandSpec kSubcommands[] = {
    {.name = "get",
     .arity = -2,
     .flags = kAdmin | kLoading | kStale,
     .group = "server",
     .since = "2.2.12",
     .summary = "Shows the newest slow commands.",
     .complexity = "O(N) with N the number of entries returned",
     .syntax = "[count]",
     .handler = SlowlogGet},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "6.2.0",
     .summary = "Lists the subcommands.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = SlowlogHelp},
    {.name = "len",
     .arity = 2,
     .flags = kAdmin | kLoading | kStale,
     .group = "server",
     .since = "2.2.12",
     .summary = "Counts the slow commands that are kept.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = SlowlogLen},
    {.name = "reset",
     .arity = 2,
     .flags = kAdmin | kLoading | kStale,
     .group = "server",
     .since = "2.2.12",
     .summary = "Forgets the slow commands.",
     .complexity = "O(N) with N the number of entries in the slowlog",
     .syntax = "",
     .handler = SlowlogReset},
};
constexpr CommandSpec kCommands[] = {
    {.name = "slowlog",
     .arity = -2,
     .flags = 0,
     .group = "server",
     .since = "2.2.12",
     .summary = "About the commands that took longest.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kSubcommands},
};

}  // namespace

std::span<const CommandSpec> SlowlogFamily() { return kCommands; }

}  // namespace tidemark::commands
