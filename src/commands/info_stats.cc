// INFO's sections of counters: what was done, how often, how fast, and what failed.
#include "base/numbers.h"
#include "commands/client_registry.h"
#include "commands/command_stats.h"
#include "commands/info_fields.h"
#include "commands/pubsub.h"
#include "commands/server.h"
#include "commands/server_families.h"
#include "commands/tracking.h"

namespace tidemark::commands {
namespace {

// A command's name where it becomes part of a field's: Redis replaces what would break the line.
std::string SafeName(std::string name) {
  for (char& c : name) {
    if (c == ':' || c == ',' || c == '=') c = '_';
  }
  return name;
}

template <typename Write>
void ForEachUsed(Server& server, Write write) {
  const auto rows = CommandTable::Get().rows();
  for (size_t i = 0; i < rows.size(); ++i) {
    const CommandStats::Sum sum = server.stats.sum(i);
    if (sum.calls + sum.rejected + sum.failed > 0) write(SafeName(rows[i].full_name), sum);
  }
}

}  // namespace

void WriteStatsSection(Server& server, std::string* out) {
  const ClientRegistry::Stats clients = server.clients.stats();
  const engine::Engine::Stats engine = server.engine.stats();
  uint64_t errors = 0;
  for (const auto& [code, count] : server.stats.errors()) errors += count;
  Field(out, "total_connections_received", clients.received);
  Field(out, "total_commands_processed", server.stats.calls());
  Field(out, "instantaneous_ops_per_sec", server.stats.PerSecond(ClientRegistry::MonotonicMillis()));
  Field(out, "total_net_input_bytes", clients.bytes_in);
  Field(out, "total_net_output_bytes", clients.bytes_out);
  ZeroFields(out, {"total_net_repl_input_bytes", "total_net_repl_output_bytes"});
  for (const std::string_view name : {"instantaneous_input_kbps", "instantaneous_output_kbps",
                                      "instantaneous_input_repl_kbps", "instantaneous_output_repl_kbps"}) {
    Field(out, name, "0.00");
  }
  Field(out, "rejected_connections", clients.rejected);
  const replication::Counters syncs = server.replication.status().counters;
  Field(out, "sync_full", syncs.full_syncs);
  Field(out, "sync_partial_ok", syncs.partial_syncs);
  // A replica whose position the log no longer had, and that had another way than a full sync.
  Field(out, "sync_partial_err", syncs.archive_catch_ups);
  Field(out, "sync_archive", syncs.archive_catch_ups);
  Field(out, "sync_full_repeated", syncs.repeated_full_syncs);
  Field(out, "sync_full_bytes", syncs.snapshot_bytes_sent);
  Field(out, "expired_keys", engine.expired_keys);
  Field(out, "expired_stale_perc", "0.00");
  ZeroFields(out, {"expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds", "evicted_keys", "evicted_clients",
                   "total_eviction_exceeded_time", "current_eviction_exceeded_time"});
  const types::Keyspace::Lookups lookups = server.stats.lookups();
  Field(out, "keyspace_hits", lookups.hits);
  Field(out, "keyspace_misses", lookups.misses);
  Field(out, "pubsub_channels", server.pubsub.Count(Pubsub::Kind::kChannel));
  Field(out, "pubsub_patterns", server.pubsub.Count(Pubsub::Kind::kPattern));
  Field(out, "pubsubshard_channels", server.pubsub.Count(Pubsub::Kind::kShard));
  ZeroFields(out, {"latest_fork_usec", "total_forks", "migrate_cached_sockets", "slave_expires_tracked_keys",
                   "active_defrag_hits", "active_defrag_misses", "active_defrag_key_hits", "active_defrag_key_misses",
                   "total_active_defrag_time", "current_active_defrag_time"});
  const Tracking::Stats tracking = server.tracking == nullptr ? Tracking::Stats() : server.tracking->stats();
  Field(out, "tracking_total_keys", tracking.keys);
  Field(out, "tracking_total_items", tracking.items);
  Field(out, "tracking_total_prefixes", tracking.prefixes);
  ZeroFields(out, {"unexpected_error_replies"});
  Field(out, "total_error_replies", errors);
  ZeroFields(out, {"dump_payload_sanitizations", "total_reads_processed", "total_writes_processed",
                   "io_threaded_reads_processed", "io_threaded_writes_processed", "reply_buffer_shrinks",
                   "reply_buffer_expands"});
}

void WriteCommandstatsSection(Server& server, std::string* out) {
  ForEachUsed(server, [out](const std::string& name, const CommandStats::Sum& sum) {
    const uint64_t micros = sum.nanos / 1000;
    const double each = sum.calls == 0 ? 0 : static_cast<double>(sum.nanos) / 1000 / static_cast<double>(sum.calls);
    fmt::format_to(std::back_inserter(*out),
                   "cmdstat_{}:calls={},usec={},usec_per_call={:.2f},rejected_calls={},failed_calls={}\r\n", name,
                   sum.calls, micros, each, sum.rejected, sum.failed);
  });
}

void WriteErrorstatsSection(Server& server, std::string* out) {
  for (const auto& [code, count] : server.stats.errors()) {
    fmt::format_to(std::back_inserter(*out), "errorstat_{}:count={}\r\n", SafeName(code), count);
  }
}

void WriteLatencystatsSection(Server& server, std::string* out) {
  if (!server.config.Bool("latency-tracking")) return;
  const std::string wanted = server.config.Text("latency-tracking-info-percentiles");
  std::vector<double> percentiles;
  for (size_t begin = 0; begin < wanted.size();) {
    const size_t end = std::min(wanted.find(' ', begin), wanted.size());
    if (const auto value = ParseDouble(std::string_view(wanted).substr(begin, end - begin)))
      percentiles.push_back(*value);
    begin = end + 1;
  }
  ForEachUsed(server, [&](const std::string& name, const CommandStats::Sum& sum) {
    if (sum.calls == 0) return;
    *out += fmt::format("latency_percentiles_usec_{}:", name);
    for (size_t i = 0; i < percentiles.size(); ++i) {
      fmt::format_to(std::back_inserter(*out), "{}p{:g}={:.3f}", i == 0 ? "" : ",", percentiles[i],
                     static_cast<double>(sum.Percentile(percentiles[i])) / 1000);
    }
    *out += "\r\n";
  });
}

}  // namespace tidemark::commands
