// INFO's sections of our own: the log with its positions and leases, and the store below it. Only figures that are safe
// to ask for from within a transaction.
#include "commands/info_fields.h"
#include "commands/replication_state.h"
#include "commands/server.h"
#include "commands/server_families.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

void WriteLeases(log::Log& log, std::string* out) {
  const uint64_t now = Clock::System().WallMicros();
  const Lsn end = log.appended();
  size_t number = 0;
  for (const log::Lease& lease : log.Leases()) {
    fmt::format_to(std::back_inserter(*out), "lease{}:name={},class={},position={},bytes={},age={},state={}\r\n",
                   number++, lease.name, ClassName(lease), lease.position.value, HeldBytes(lease, end),
                   AgeSeconds(lease, now), lease.broken.empty() ? "held" : "broken");
  }
}

}  // namespace

void WriteLogSection(Server& server, std::string* out) {
  log::Log& log = server.engine.log();
  const log::Log::Stats stats = log.stats();
  const engine::Engine::Stats engine = server.engine.stats();
  // Lower positions first: each only grows, so that the order durable, written, appended holds in what is shown.
  const Lsn oldest = log.oldest();
  const Lsn durable = log.durable();
  const Lsn written = log.written();
  const Lsn appended = log.appended();
  Field(out, "log_appended_lsn", appended.value);
  Field(out, "log_written_lsn", written.value);
  Field(out, "log_durable_lsn", durable.value);
  Field(out, "log_oldest_lsn", oldest.value);
  Field(out, "log_durability", server.config.Text("appendfsync"));
  Field(out, "log_not_durable_bytes", appended - durable);
  Field(out, "log_segments", stats.segments);
  Field(out, "log_bytes", stats.bytes_on_disk);
  Field(out, "log_records", stats.records);
  Field(out, "log_writes", stats.writes);
  Field(out, "log_syncs", stats.syncs);
  Field(out, "log_last_sync_usec", stats.last_sync_micros);
  Field(out, "log_purged_segments", stats.purged_segments);
  Field(out, "log_disk_full", stats.disk_full ? 1 : 0);
  Field(out, "log_recovered_records", engine.recovered_records);
  Field(out, "log_recovery_usec", engine.recovery_micros);
  Field(out, "log_recovery_torn_bytes", engine.recovery.torn_bytes);
  Field(out, "clock_alarm_usec", engine.clock_alarm_micros);
  Field(out, "leases_broken", stats.leases_broken);
  WriteLeases(log, out);
}

void WriteStoreSection(Server& server, std::string* out) {
  kv::Store& store = server.engine.store();
  const kv::Store::Stats stats = store.stats();
  const engine::Engine::Stats engine = server.engine.stats();
  Field(out, "store_persisted_lsn", store.persisted().value);
  Field(out, "store_applied_lsn", store.applied().value);
  Field(out, "store_hot_rows", stats.hot_rows);
  Field(out, "store_hot_bytes", stats.hot_bytes);
  Field(out, "store_hot_hits", stats.hot_hits);
  Field(out, "store_hot_misses", stats.hot_misses);
  Field(out, "store_cold_reads", stats.cold_reads);
  Field(out, "store_dirty_rows", stats.dirty_rows);
  Field(out, "store_dirty_bytes", stats.dirty_bytes);
  Field(out, "store_block_cache_bytes", stats.block_cache_bytes);
  Field(out, "store_sst_bytes", stats.sst_bytes);
  Field(out, "store_level0_files", stats.level0_files);
  Field(out, "store_persists", stats.persists);
  Field(out, "store_persisted_bytes", stats.persisted_bytes);
  Field(out, "store_last_persist_usec", stats.last_persist_micros);
  Field(out, "store_background_error", stats.background_error);
  Field(out, "store_transactions", engine.transactions);
  Field(out, "store_swept_rows", engine.swept_rows);
  Field(out, "expiry_stands_at_ms", server.engine.expiry_stands_at().value_or(Timestamp{}).millis());
  Field(out, "disk_free_bytes", engine.disk_free_bytes);
  Field(out, "disk_low", engine.disk_low ? 1 : 0);
}

}  // namespace tidemark::commands
