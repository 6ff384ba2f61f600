// MEMORY and its subcommands.
#include "commands/client_registry.h"
#include "commands/scripts.h"
#include "commands/server.h"
#include "commands/server_families.h"

namespace tidemark::commands {
namespace {

// What a row costs beside its bytes: its place in the table of hot rows, or in a block's index.
constexpr uint64_t kRowOverhead = 48;

// Bytes of all members, from the first `samples` of them (0: from all).
absl::StatusOr<uint64_t> CollectionBytes(types::Keyspace& keys, const types::Key& key, uint64_t samples) {
  uint64_t bytes = 0;
  uint64_t seen = 0;
  const size_t limit = samples == 0 ? SIZE_MAX : static_cast<size_t>(samples);
  TM_RETURN_IF_ERROR(keys.VisitMembers(key.collection, 0, limit,
                                       [&](std::string_view member, std::string_view value, uint32_t /*order*/) {
                                         bytes += member.size() + value.size() + kRowOverhead;
                                         ++seen;
                                         return true;
                                       }));
  return seen == 0 ? 0 : bytes * key.count / seen;
}

absl::Status MemoryUsage(Context& ctx) {
  uint64_t samples = 5;
  for (size_t i = 3; i < ctx.args.size(); i += 2) {
    if (!EqualsIgnoreCase(ctx.args[i], "SAMPLES") || i + 1 == ctx.args.size()) return SyntaxError();
    TM_ASSIGN_OR_RETURN(const int64_t wanted, IntegerArg(ctx.args[i + 1]));
    if (wanted < 0) return SyntaxError();
    samples = static_cast<uint64_t>(wanted);
  }
  TM_ASSIGN_OR_RETURN(const types::Key key, ctx.keys().Find(ctx.args[2]));
  if (!key) {
    ctx.out.Null();
    return absl::OkStatus();
  }
  uint64_t bytes = key.name.size() + key.string.size() + kRowOverhead;
  if (key.type != types::Type::kString) {
    TM_ASSIGN_OR_RETURN(const uint64_t members, CollectionBytes(ctx.keys(), key, samples));
    bytes += members;
  }
  ctx.out.Integer(static_cast<int64_t>(bytes));
  return absl::OkStatus();
}

absl::Status MemoryStats(Context& ctx) {
  const MemoryFigures memory = ReadMemoryFigures();
  const kv::Store::Stats store = ctx.server.engine.store().stats();
  const Scripts::Figures scripts = ctx.server.scripts == nullptr ? Scripts::Figures{} : ctx.server.scripts->figures();
  const uint64_t dataset = store.hot_bytes + store.block_cache_bytes;
  const uint64_t overhead = memory.allocated > dataset ? memory.allocated - dataset : 0;
  const auto ratio = [](uint64_t a, uint64_t b) {
    return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b);
  };
  const std::pair<std::string_view, uint64_t> numbers[] = {
      {"peak.allocated", memory.peak},
      {"total.allocated", memory.allocated},
      {"startup.allocated", 0},
      {"replication.backlog", 0},
      {"clients.slaves", 0},
      {"clients.normal", ctx.server.clients.stats().buffer_bytes},
      {"cluster.links", 0},
      {"aof.buffer", 0},
      {"lua.caches", scripts.script_bytes},
      {"functions.caches", scripts.library_bytes},
      {"overhead.total", overhead},
      {"keys.count", store.hot_rows},
      {"keys.bytes-per-key", store.hot_rows == 0 ? 0 : store.hot_bytes / store.hot_rows},
      {"dataset.bytes", dataset},
      {"allocator.allocated", memory.allocated},
      {"allocator.active", memory.active},
      {"allocator.resident", memory.allocator_resident},
      {"hot.rows", store.hot_rows},
      {"hot.bytes", store.hot_bytes},
      {"dirty.rows", store.dirty_rows},
      {"dirty.bytes", store.dirty_bytes},
      {"block-cache.bytes", store.block_cache_bytes},
  };
  const std::pair<std::string_view, double> ratios[] = {
      {"dataset.percentage", 100 * ratio(dataset, memory.allocated)},
      {"peak.percentage", 100 * ratio(memory.allocated, memory.peak)},
      {"allocator-fragmentation.ratio", ratio(memory.active, memory.allocated)},
      {"allocator-rss.ratio", ratio(memory.allocator_resident, memory.active)},
      {"rss-overhead.ratio", ratio(memory.resident, memory.allocator_resident)},
      {"fragmentation", ratio(memory.resident, memory.allocated)},
  };
  ctx.out.Map(std::size(numbers) + std::size(ratios));
  for (const auto& [name, value] : numbers) {
    ctx.out.Bulk(name);
    ctx.out.Integer(static_cast<int64_t>(value));
  }
  for (const auto& [name, value] : ratios) {
    ctx.out.Bulk(name);
    ctx.out.Double(value);
  }
  return absl::OkStatus();
}

absl::Status MemoryDoctor(Context& ctx) {
  const MemoryFigures memory = ReadMemoryFigures();
  const kv::Store::Stats store = ctx.server.engine.store().stats();
  ctx.out.Verbatim(
      "txt",
      fmt::format("The data is on disk; memory holds caches of it. Allocated {} bytes: hot rows {}, of these not "
                  "yet persisted {}, blocks {}; resident {} bytes. `maxmemory` sets the budget of the caches.\n",
                  memory.allocated, store.hot_bytes, store.dirty_bytes, store.block_cache_bytes, memory.resident));
  return absl::OkStatus();
}

absl::Status MemoryMallocStats(Context& ctx) {
  ctx.out.Verbatim("txt", AllocatorReport());
  return absl::OkStatus();
}

absl::Status MemoryPurge(Context& ctx) {
  PurgeMemory();
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status MemoryHelp(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "DOCTOR",
      "    Explain what memory is used for.",
      "MALLOC-STATS",
      "    Show what the allocator tells about itself.",
      "PURGE",
      "    Give memory that is not used back to the system.",
      "STATS",
      "    Show figures about memory.",
      "USAGE <key> [SAMPLES <count>]",
      "    Estimate the bytes of a key and its value, from <count> members (default: 5, 0 means all).",
  };
  HelpReply(ctx, "MEMORY", kLines);
  return absl::OkStatus();
}

constexpr CommandSpec kSubcommands[] = {
    {.name = "doctor",
     .arity = 2,
     .flags = 0,
     .group = "server",
     .since = "4.0.0",
     .summary = "Explains the memory of the server.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = MemoryDoctor},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "4.0.0",
     .summary = "Lists the subcommands.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = MemoryHelp},
    {.name = "malloc-stats",
     .arity = 2,
     .flags = 0,
     .group = "server",
     .since = "4.0.0",
     .summary = "Shows what the allocator tells about itself.",
     .complexity = "Depends on how much memory is allocated, could be slow",
     .syntax = "",
     .handler = MemoryMallocStats},
    {.name = "purge",
     .arity = 2,
     .flags = 0,
     .group = "server",
     .since = "4.0.0",
     .summary = "Gives memory that is not used back to the system.",
     .complexity = "Depends on how much memory is allocated, could be slow",
     .syntax = "",
     .handler = MemoryPurge},
    {.name = "stats",
     .arity = 2,
     .flags = 0,
     .group = "server",
     .since = "4.0.0",
     .summary = "Shows figures about memory.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = MemoryStats},
    {.name = "usage",
     .arity = -3,
     .flags = kReadonly,
     .keys = {2, 2, 1},
     .group = "server",
     .since = "4.0.0",
     .summary = "Estimates the bytes of a key and its value.",
     .complexity = "O(N) with N the number of samples",
     .syntax = "key [SAMPLES count]",
     .handler = MemoryUsage,
     .key_flags = "RO"},
};
constexpr CommandSpec kCommands[] = {
    {.name = "memory",
     .arity = -2,
     .flags = 0,
     .group = "server",
     .since = "4.0.0",
     .summary = "About the memory of the server.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kSubcommands},
};

}  // namespace

std::span<const CommandSpec> MemoryFamily() { return kCommands; }

}  // namespace tidemark::commands
