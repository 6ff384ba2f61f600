// EXPIRY: after a restore expiry stands still at the moment restored (engine/expiry_clock.h); here it is seen and let
// go on.
#include "commands/replication_state.h"
#include "commands/server.h"
#include "commands/server_families.h"

namespace tidemark::commands {
namespace {

absl::Status ExpiryStatus(Context& ctx) {
  const std::optional<Timestamp> moment = ctx.server.engine.expiry_stands_at();
  ctx.out.Integer(moment ? static_cast<int64_t>(moment->millis()) : -1);
  return absl::OkStatus();
}

absl::Status ExpiryThaw(Context& ctx) {
  TM_RETURN_IF_ERROR(OnlyOnPrimary(ctx.server));
  const absl::Status thawed = ctx.server.engine.ThawExpiry();
  if (engine::IsStalled(thawed)) return Errorf(thawed.code(), "BUSY {}; try again", Message(thawed));
  TM_RETURN_IF_ERROR(thawed);
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status ExpiryHelp(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "STATUS",
      "    Tell where expiry stands still, in milliseconds since 1970; -1 when it goes on with time.",
      "THAW",
      "    Let it go on: what is due goes.",
  };
  HelpReply(ctx, "EXPIRY", kLines);
  return absl::OkStatus();
}

constexpr CommandSpec kSubcommands[] = {
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "7.0.0",
     .summary = "Lists the subcommands.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ExpiryHelp},
    {.name = "status",
     .arity = 2,
     .flags = kAdmin | kLoading | kStale,
     .group = "server",
     .since = "7.0.0",
     .summary = "Tells where expiry stands still since a restore, in ms since 1970, or -1.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ExpiryStatus},
    {.name = "thaw",
     .arity = 2,
     .flags = kAdmin | kStateful,
     .group = "server",
     .since = "7.0.0",
     .summary = "Lets expiry go on with time after a restore; what is due by then goes.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ExpiryThaw},
};
constexpr CommandSpec kCommands[] = {
    {.name = "expiry",
     .arity = -2,
     .flags = 0,
     .group = "server",
     .since = "7.0.0",
     .summary = "About expiry that stands still since a restore.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kSubcommands},
};

}  // namespace

std::span<const CommandSpec> ExpiryClockFamily() { return kCommands; }

}  // namespace tidemark::commands
