#include "http/metrics_page.h"

#include <algorithm>

#include "base/version.h"
#include "commands/client_registry.h"
#include "commands/command_stats.h"
#include "commands/pubsub.h"
#include "commands/replication_state.h"
#include "commands/slowlog.h"
#include "env/clock.h"
#include "metrics/exposition.h"

namespace tidemark::http {
namespace {

using metrics::Page;
using metrics::Type;

double Seconds(uint64_t micros) { return static_cast<double>(micros) / 1e6; }
template <typename T>
double Number(T value) {
  return static_cast<double>(value);
}

void WriteServer(commands::Server& server, Page& page) {
  const uint64_t now_ms = Clock::System().WallMicros() / 1000;
  const bool primary = server.replication.role() == replication::Role::kPrimary;
  const std::string_view role = primary ? "master" : "slave";
  page.Gauge("redis_up", 1, "the server answers");
  page.Family("redis_instance_info", Type::kGauge, "version and role")
      .Sample(1, {{"tidemark_version", Version()}, {"redis_mode", "standalone"}, {"role", role}});
  page.Gauge("redis_uptime_in_seconds", Number(now_ms - std::min(now_ms, server.start_ms)) / 1000,
             "seconds since the start");
  page.Gauge("redis_start_time_seconds", Number(server.start_ms) / 1000, "Unix time of the start");
}

void WriteClients(commands::Server& server, Page& page) {
  const commands::ClientRegistry::Stats clients = server.clients.stats();
  page.Gauge("redis_connected_clients", Number(clients.connected), "connections now");
  page.Gauge("redis_config_maxclients", Number(server.config.Integer("maxclients")), "connections allowed");
  page.Counter("redis_connections_received_total", Number(clients.received), "connections since the start");
  page.Counter("redis_rejected_connections_total", Number(clients.rejected), "connections refused by maxclients");
  page.Counter("redis_net_input_bytes_total", Number(clients.bytes_in), "bytes read from clients");
  page.Counter("redis_net_output_bytes_total", Number(clients.bytes_out), "bytes sent to clients");
  page.Gauge("redis_client_recent_max_output_buffer_bytes", Number(clients.max_output_bytes),
             "largest output buffer of a client");
  page.Gauge("redis_pubsub_channels", Number(server.pubsub.Count(commands::Pubsub::Kind::kChannel)),
             "channels with subscribers");
  page.Gauge("redis_pubsub_patterns", Number(server.pubsub.Count(commands::Pubsub::Kind::kPattern)),
             "patterns with subscribers");
}

void WriteCommands(commands::Server& server, Page& page) {
  struct Row {
    std::string_view name;
    commands::CommandStats::Sum sum;
  };
  std::vector<Row> used;
  const auto rows = commands::CommandTable::Get().rows();
  for (size_t i = 0; i < rows.size(); ++i) {
    commands::CommandStats::Sum sum = server.stats.sum(i);
    if (sum.calls + sum.rejected + sum.failed > 0) used.push_back({rows[i].full_name, std::move(sum)});
  }
  page.Counter("redis_commands_processed_total", Number(server.stats.calls()), "commands that ran");
  page.Family("redis_commands_total", Type::kCounter, "calls of each command");
  for (const Row& row : used) page.Sample(Number(row.sum.calls), {{"cmd", row.name}});
  page.Family("redis_commands_duration_seconds_total", Type::kCounter, "time in each command");
  for (const Row& row : used) page.Sample(Number(row.sum.nanos) / 1e9, {{"cmd", row.name}});
  page.Family("redis_commands_rejected_calls_total", Type::kCounter, "calls refused before they ran");
  for (const Row& row : used) page.Sample(Number(row.sum.rejected), {{"cmd", row.name}});
  page.Family("redis_commands_failed_calls_total", Type::kCounter, "calls that ended with an error");
  for (const Row& row : used) page.Sample(Number(row.sum.failed), {{"cmd", row.name}});
  page.Family("redis_errors_total", Type::kCounter, "error replies by their first word");
  for (const auto& [code, count] : server.stats.errors()) page.Sample(Number(count), {{"err", code}});
}

void WriteKeyspace(commands::Server& server, Page& page) {
  const auto databases = static_cast<uint16_t>(server.config.Integer("databases"));
  const auto each = [&](auto value) {
    for (uint16_t i = 0; i < databases; ++i) {
      const kv::DbState state = server.engine.store().db(DbIndex{i});
      page.Sample(Number(value(state)), {{"db", fmt::format("db{}", i)}});
    }
  };
  page.Family("redis_db_keys", Type::kGauge, "keys of each database");
  each([](const kv::DbState& state) { return state.keys; });
  page.Family("redis_db_keys_expiring", Type::kGauge, "of these, keys with an expiry");
  each([](const kv::DbState& state) { return state.expires; });
  page.Counter("redis_expired_keys_total", Number(server.engine.stats().expired_keys), "keys removed by expiry");
}

void WriteStore(commands::Server& server, Page& page) {
  const kv::Store::Stats store = server.engine.store().stats();
  const engine::Engine::Stats engine = server.engine.stats();
  page.Gauge("tidemark_store_hot_bytes", Number(store.hot_bytes), "bytes of rows in memory");
  page.Gauge("tidemark_store_dirty_bytes", Number(store.dirty_bytes), "bytes of changed rows not yet persisted");
  page.Gauge("tidemark_store_block_cache_bytes", Number(store.block_cache_bytes), "bytes of blocks read from disk");
  page.Gauge("tidemark_store_sst_bytes", Number(store.sst_bytes), "bytes of the store on disk");
  page.Counter("tidemark_store_hot_hits_total", Number(store.hot_hits), "reads answered by rows in memory");
  page.Counter("tidemark_store_hot_misses_total", Number(store.hot_misses), "reads that were not");
  page.Counter("tidemark_store_cold_reads_total", Number(store.cold_reads), "reads that waited for the disk");
  page.Counter("tidemark_store_persists_total", Number(store.persists), "times the changed rows were persisted");
  page.Gauge("tidemark_store_error", store.background_error.empty() ? 0 : 1, "the store cannot write");
  page.Gauge("tidemark_disk_free_bytes", Number(engine.disk_free_bytes), "free bytes on the data's disk");
  page.Gauge("tidemark_disk_low", engine.disk_low ? 1 : 0, "writes are refused because the disk is nearly full");
  page.Gauge("tidemark_clock_alarm_seconds", Number(engine.clock_alarm_micros) / 1e6,
             "seconds that the wall clock jumped and is not followed");
  page.Gauge("redis_slowlog_length", Number(server.slowlog.size()), "entries of the slow log");
}

void WriteLog(commands::Server& server, Page& page) {
  log::Log& log = server.engine.log();
  const log::Log::Stats stats = log.stats();
  const Lsn oldest = log.oldest();
  const Lsn durable = log.durable();
  const Lsn appended = log.appended();
  page.Gauge("tidemark_log_oldest_lsn", Number(oldest.value), "LSN of the oldest record kept");
  page.Gauge("tidemark_log_durable_lsn", Number(durable.value), "end of what is synced");
  page.Counter("tidemark_log_appended_lsn", Number(appended.value), "end of the log");
  page.Gauge("tidemark_log_bytes", Number(stats.bytes_on_disk), "bytes of log on disk");
  page.Gauge("tidemark_log_segments", Number(stats.segments), "files of the log");
  page.Counter("tidemark_log_records_total", Number(stats.records), "records appended since the start");
  page.Counter("tidemark_log_syncs_total", Number(stats.syncs), "syncs of the log");
  page.Gauge("tidemark_log_last_sync_seconds", Seconds(stats.last_sync_micros), "how long the last sync took");
  page.Gauge("tidemark_log_disk_full", stats.disk_full ? 1 : 0, "the log has no room");
  page.Counter("tidemark_leases_broken_total", Number(stats.leases_broken), "leases broken past their cap");
  const uint64_t now = Clock::System().WallMicros();
  const std::vector<log::Lease> leases = log.Leases();
  page.Family("tidemark_lease_held_bytes", Type::kGauge, "bytes of log that a lease holds");
  for (const log::Lease& lease : leases) {
    page.Sample(Number(commands::HeldBytes(lease, appended)), {{"lease", lease.name}});
  }
  page.Family("tidemark_lease_age_seconds", Type::kGauge, "seconds since a lease was raised");
  for (const log::Lease& lease : leases) {
    page.Sample(Number(commands::AgeSeconds(lease, now)), {{"lease", lease.name}});
  }
  page.Family("tidemark_lease_broken", Type::kGauge, "1 for a lease that was broken");
  for (const log::Lease& lease : leases) page.Sample(lease.broken.empty() ? 0 : 1, {{"lease", lease.name}});
}

uint64_t Behind(Lsn end, Lsn position) { return end > position ? end - position : 0; }

// The own link to a primary, on a replica.
void WriteLink(const replication::Status& status, Page& page) {
  if (!status.link) return;
  const replication::LinkStatus& link = *status.link;
  const bool up = link.state == replication::LinkState::kConnected;
  const uint64_t now_ms = Clock::System().WallMicros() / 1000;
  page.Gauge("redis_master_link_up", up ? 1 : 0, "the log streams from the primary");
  page.Gauge("tidemark_link_down_seconds",
             up || link.down_since_ms == 0 ? 0 : Number(now_ms - std::min(now_ms, link.down_since_ms)) / 1000,
             "seconds since the link to the primary went down");
  page.Gauge("redis_master_sync_in_progress", link.state == replication::LinkState::kSync ? 1 : 0,
             "a snapshot or a piece of the archive is on its way");
  page.Gauge("tidemark_sync_left_bytes",
             Number(link.sync_bytes_total - std::min(link.sync_bytes_total, link.sync_bytes_read)),
             "bytes of it that are still to come");
  page.Gauge("tidemark_link_lag_bytes", Number(Behind(link.primary_end, status.end)),
             "bytes of log that the primary has and this replica has not");
}

// The replicas that this node serves, and those that it still holds log for.
void WriteReplicas(const replication::Status& status, Page& page) {
  const uint64_t now_ms = Clock::System().WallMicros() / 1000;
  const auto each = [&](std::string_view name, std::string_view help, auto value) {
    page.Family(name, Type::kGauge, help);
    for (const replication::ReplicaStatus& replica : status.replicas) {
      page.Sample(value(replica), {{"replica", replica.id},
                                   {"address", fmt::format("{}:{}", replica.address.host, replica.address.port)}});
    }
  };
  page.Gauge("redis_connected_slaves",
             Number(std::count_if(status.replicas.begin(), status.replicas.end(),
                                  [](const replication::ReplicaStatus& replica) { return replica.connected; })),
             "replicas that are connected");
  each("tidemark_replica_connected", "1 for a replica that is connected, 0 for one that is awaited",
       [](const auto& replica) { return replica.connected ? 1.0 : 0.0; });
  each("tidemark_replica_loading", "1 for a replica that takes a snapshot",
       [](const auto& replica) { return replica.loading ? 1.0 : 0.0; });
  each("tidemark_replica_lag_bytes", "bytes of log that a replica has not received",
       [&](const auto& replica) { return Number(Behind(status.end, replica.acknowledged.written)); });
  each("tidemark_replica_apply_lag_bytes", "bytes of log that the readers of a replica do not see",
       [&](const auto& replica) { return Number(Behind(status.end, replica.acknowledged.applied)); });
  each("tidemark_replica_last_ack_seconds", "seconds since a replica last answered",
       [&](const auto& replica) { return Number(now_ms - std::min(now_ms, replica.last_ack_ms)) / 1000; });
}

void WriteReplication(commands::Server& server, Page& page) {
  const replication::Status status = server.replication.status();
  const replication::Counters& syncs = status.counters;
  page.Gauge("tidemark_timeline", status.history.empty() ? 0 : Number(status.history.back().timeline.value),
             "number of the timeline that the log is on");
  page.Gauge("tidemark_failover_in_progress", status.failover == replication::FailoverState::kNone ? 0 : 1,
             "this primary is handing over");
  WriteLink(status, page);
  WriteReplicas(status, page);
  page.Counter("tidemark_full_syncs_total", Number(syncs.full_syncs), "snapshots that replicas began to take");
  page.Counter("tidemark_repeated_full_syncs_total", Number(syncs.repeated_full_syncs),
               "replicas that needed a second full sync within ten minutes: has to stay 0");
  page.Counter("tidemark_partial_syncs_total", Number(syncs.partial_syncs), "replicas that went on where they were");
  page.Counter("tidemark_archive_catch_ups_total", Number(syncs.archive_catch_ups),
               "replicas that took from the archive what the log no longer had");
  page.Counter("tidemark_snapshot_sent_bytes_total", Number(syncs.snapshot_bytes_sent),
               "bytes of snapshots sent to replicas");
}

void WriteTasks(const backup::Tasks& tasks, Page& page) {
  const std::vector<backup::TaskStatus> all = tasks.Status();
  const auto each = [&](std::string_view name, Type type, std::string_view help, auto value) {
    page.Family(name, type, help);
    for (const backup::TaskStatus& task : all) page.Sample(value(task), {{"task", task.config.name}});
  };
  page.Gauge("tidemark_tasks", Number(all.size()), "backup tasks");
  each("tidemark_task_rpo_seconds", Type::kGauge, "what would be lost now: age of the first record not in the archive",
       [](const auto& task) { return Seconds(task.rpo_micros); });
  each("tidemark_task_lag_bytes", Type::kGauge, "bytes of log not in the archive",
       [](const auto& task) { return Number(task.lag_bytes); });
  each("tidemark_task_checkpoint_timestamp_seconds", Type::kGauge, "Unix time up to which the archive is complete",
       [](const auto& task) { return Seconds(task.checkpoint_time.micros); });
  each("tidemark_task_checkpoint_lsn", Type::kGauge, "LSN up to which the archive is complete",
       [](const auto& task) { return Number(task.checkpoint.value); });
  page.Family("tidemark_task_state", Type::kGauge, "1 for the state that a task is in");
  using backup::TaskState;
  for (const backup::TaskStatus& task : all) {
    for (const TaskState state : {TaskState::kStarting, TaskState::kNormal, TaskState::kErroring, TaskState::kPaused,
                                  TaskState::kGap, TaskState::kFenced, TaskState::kStopped}) {
      page.Sample(task.state == state ? 1 : 0, {{"task", task.config.name}, {"state", TaskStateName(state)}});
    }
  }
  each("tidemark_task_stalled", Type::kGauge, "the checkpoint stands still while the log grows",
       [](const auto& task) { return task.stalled ? 1.0 : 0.0; });
  each("tidemark_task_restorable", Type::kGauge,
       "an unbroken chain leads from a base, or the origin, to the checkpoint",
       [](const auto& task) { return task.restorable ? 1.0 : 0.0; });
  each("tidemark_task_restorable_from_timestamp_seconds", Type::kGauge,
       "oldest moment that can be restored; 0: all there ever was, or unknown",
       [](const auto& task) { return Seconds(task.restorable_from.micros); });
  each("tidemark_task_last_base_timestamp_seconds", Type::kGauge, "Unix time of the last base snapshot; 0 none",
       [](const auto& task) { return Seconds(task.last_base.micros); });
  each("tidemark_task_flushes_total", Type::kCounter, "flushes that ended",
       [](const auto& task) { return Number(task.flushes); });
  each("tidemark_task_forced_flushes_total", Type::kCounter, "calls of force flush; many may share one flush",
       [](const auto& task) { return Number(task.forced_flushes); });
  each("tidemark_task_flush_failures_total", Type::kCounter, "attempts of flushes that failed",
       [](const auto& task) { return Number(task.failures); });
  each("tidemark_task_last_flush_seconds", Type::kGauge, "how long the last flush took",
       [](const auto& task) { return Seconds(task.last_flush_micros); });
  each("tidemark_task_objects_total", Type::kCounter, "objects written",
       [](const auto& task) { return Number(task.objects); });
  each("tidemark_task_plain_bytes_total", Type::kCounter, "bytes of log archived",
       [](const auto& task) { return Number(task.bytes_plain); });
  each("tidemark_task_stored_bytes_total", Type::kCounter, "bytes that these took in the store",
       [](const auto& task) { return Number(task.bytes_stored); });
  each("tidemark_task_store_retries_total", Type::kCounter, "requests to the store that were made again",
       [](const auto& task) { return Number(task.retries); });
  each("tidemark_task_gaps_total", Type::kCounter, "times log was let go before it was archived",
       [](const auto& task) { return Number(task.gaps); });
  each("tidemark_task_merged_objects_total", Type::kCounter, "small objects merged into larger ones",
       [](const auto& task) { return Number(task.merged_objects); });
  each("tidemark_task_deleted_objects_total", Type::kCounter, "objects that retention and merging removed",
       [](const auto& task) { return Number(task.deleted_objects); });
}

}  // namespace

std::string MetricsPage(commands::Server& server, const backup::Tasks& tasks) {
  Page page;
  WriteServer(server, page);
  WriteClients(server, page);
  WriteCommands(server, page);
  WriteKeyspace(server, page);
  WriteStore(server, page);
  WriteLog(server, page);
  WriteReplication(server, page);
  WriteTasks(tasks, page);
  return page.text();
}

}  // namespace tidemark::http
