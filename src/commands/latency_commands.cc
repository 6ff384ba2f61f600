// LATENCY and its subcommands.
#include "commands/command_stats.h"
#include "commands/latency.h"
#include "commands/server.h"
#include "commands/server_families.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

absl::Status LatencyLatest(Context& ctx) {
  const LatencyMonitor::Events events = ctx.server.latency.events();
  ctx.out.Array(events.size());
  for (const auto& [name, event] : events) {
    ctx.out.Array(4);
    ctx.out.Bulk(name);
    ctx.out.Integer(static_cast<int64_t>(event.samples.back().unix_seconds));
    ctx.out.Integer(static_cast<int64_t>(event.samples.back().millis));
    ctx.out.Integer(static_cast<int64_t>(event.max_millis));
  }
  return absl::OkStatus();
}

absl::Status LatencyHistory(Context& ctx) {
  const LatencyMonitor::Events events = ctx.server.latency.events();
  const auto found = events.find(std::string(ctx.args[2]));
  if (found == events.end()) {
    ctx.out.Array(0);
    return absl::OkStatus();
  }
  ctx.out.Array(found->second.samples.size());
  for (const LatencyMonitor::Sample& sample : found->second.samples) {
    ctx.out.Array(2);
    ctx.out.Integer(static_cast<int64_t>(sample.unix_seconds));
    ctx.out.Integer(static_cast<int64_t>(sample.millis));
  }
  return absl::OkStatus();
}

absl::Status LatencyReset(Context& ctx) {
  const Args names = ctx.args.subspan(2);
  ctx.out.Integer(static_cast<int64_t>(ctx.server.latency.Reset({names.begin(), names.end()})));
  return absl::OkStatus();
}

absl::Status LatencyGraph(Context& ctx) {
  const LatencyMonitor::Events events = ctx.server.latency.events();
  const auto found = events.find(std::string(ctx.args[2]));
  if (found == events.end()) return InvalidArgument("ERR No samples available for event '{}'", ctx.args[2]);
  const uint64_t now = Clock::System().WallMicros() / 1000000;
  ctx.out.Verbatim("txt", commands::LatencyGraph(found->first, found->second, now));
  return absl::OkStatus();
}

absl::Status LatencyDoctor(Context& ctx) {
  ctx.out.Verbatim("txt", LatencyReport(ctx.server.latency.events()));
  return absl::OkStatus();
}

// Cumulative counts at powers of two of about a microsecond, those only that something was added to; as Redis shows
// them.
void WriteHistogram(resp::Writer& out, const CommandStats::Sum& sum) {
  out.Map(2);
  out.Bulk("calls");
  out.Integer(static_cast<int64_t>(sum.calls));
  out.Bulk("histogram_usec");
  const auto header = out.BeginDeferred(resp::Writer::Kind::kMap);
  size_t pairs = 0;
  uint64_t seen = 0;
  uint64_t shown = 0;
  size_t bucket = 0;
  for (uint64_t upper = 1024; bucket < sum.buckets.size(); upper *= 2) {
    while (bucket < sum.buckets.size() && LatencyBuckets::UpperNanos(bucket) < upper) seen += sum.buckets[bucket++];
    if (seen == shown) continue;
    out.Integer(static_cast<int64_t>(upper / 1000));
    out.Integer(static_cast<int64_t>(seen));
    shown = seen;
    ++pairs;
  }
  out.EndDeferred(header, pairs);
}

// All commands, or those named; a command with subcommands stands for all of them.
absl::Status LatencyHistogram(Context& ctx) {
  const CommandTable& table = CommandTable::Get();
  const auto wanted = [&](const CommandTable::Row& row) {
    if (ctx.args.size() == 2) return true;
    for (const std::string_view name : ctx.args.subspan(2)) {
      if (EqualsIgnoreCase(name, row.full_name)) return true;
      if (row.parent != nullptr && EqualsIgnoreCase(name, row.parent->name)) return true;
    }
    return false;
  };
  const auto header = ctx.out.BeginDeferred(resp::Writer::Kind::kMap);
  size_t pairs = 0;
  for (size_t i = 0; i < table.rows().size(); ++i) {
    if (!wanted(table.rows()[i])) continue;
    const CommandStats::Sum sum = ctx.server.stats.sum(i);
    if (sum.calls == 0) continue;
    ctx.out.Bulk(table.rows()[i].full_name);
    WriteHistogram(ctx.out, sum);
    ++pairs;
  }
  ctx.out.EndDeferred(header, pairs);
  return absl::OkStatus();
}

absl::Status LatencyHelp(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "DOCTOR",
      "    Explain the latency spikes seen.",
      "GRAPH <event>",
      "    Draw the spikes of an event.",
      "HISTOGRAM [<command> ...]",
      "    Tell how long commands took, as cumulative counts (default: all commands).",
      "HISTORY <event>",
      "    Show the spikes of an event.",
      "LATEST",
      "    Show the last spike of every event.",
      "RESET [<event> ...]",
      "    Forget the spikes of events (default: of all).",
  };
  HelpReply(ctx, "LATENCY", kLines);
  return absl::OkStatus();
}

constexpr CommandSpec kSubcommands[] = {
    {.name = "doctor",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "2.8.13",
     .summary = "Explains the latency spikes seen.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = LatencyDoctor},
    {.name = "graph",
     .arity = 3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "2.8.13",
     .summary = "Draws the spikes of an event.",
     .complexity = "O(1)",
     .syntax = "event",
     .handler = LatencyGraph},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "2.8.13",
     .summary = "Lists the subcommands.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = LatencyHelp},
    {.name = "histogram",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "7.0.0",
     .summary = "Tells how long commands took, as cumulative counts.",
     .complexity = "O(N) with N the number of commands with latency information being retrieved",
     .syntax = "[command [command ...]]",
     .handler = LatencyHistogram},
    {.name = "history",
     .arity = 3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "2.8.13",
     .summary = "Shows the spikes of an event.",
     .complexity = "O(1)",
     .syntax = "event",
     .handler = LatencyHistory},
    {.name = "latest",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "2.8.13",
     .summary = "Shows the last spike of every event.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = LatencyLatest},
    {.name = "reset",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "2.8.13",
     .summary = "Forgets the spikes of events.",
     .complexity = "O(1)",
     .syntax = "[event [event ...]]",
     .handler = LatencyReset},
};
constexpr CommandSpec kCommands[] = {
    {.name = "latency",
     .arity = -2,
     .flags = 0,
     .group = "server",
     .since = "2.8.13",
     .summary = "About moments in which the server was slow.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kSubcommands},
};

}  // namespace

std::span<const CommandSpec> LatencyFamily() { return kCommands; }

}  // namespace tidemark::commands
