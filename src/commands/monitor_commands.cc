// MONITOR. What it shows is monitors.h's.
#include "commands/monitors.h"
#include "commands/server.h"
#include "commands/server_families.h"

namespace tidemark::commands {
namespace {

absl::Status Monitor(Context& ctx) {
  if (!ctx.may_wait) return InvalidArgument("ERR MONITOR isn't allowed for DENY BLOCKING client");
  ctx.server.monitors->Add(ctx.client);
  ctx.out.Ok();
  return absl::OkStatus();
}

constexpr CommandSpec kCommands[] = {
    {.name = "monitor",
     .arity = 1,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "1.0.0",
     .summary = "Shows every command that the server runs, as it runs it.",
     .complexity = "",
     .syntax = "",
     .handler = Monitor},
};

}  // namespace

std::span<const CommandSpec> MonitorFamily() { return kCommands; }

}  // namespace tidemark::commands
