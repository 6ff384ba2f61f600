// INFO's sections about the process, its clients, its memory and its data, with Redis 7.0's field names, so that tools
// made for Redis find what they look for: real figures where they mean something here, zero where not.
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/version.h"
#include "commands/client_registry.h"
#include "commands/info_fields.h"
#include "commands/scripts.h"
#include "commands/server.h"
#include "commands/server_families.h"
#include "commands/tracking.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

void WriteServer(Server& server, std::string* out) {
  struct utsname system {};
  ::uname(&system);
  const uint64_t now_micros = Clock::System().WallMicros();
  const uint64_t now_ms = now_micros / 1000;
  const uint64_t uptime = now_ms > server.start_ms ? (now_ms - server.start_ms) / 1000 : 0;
  Field(out, "redis_version", "7.0.15");
  Field(out, "redis_git_sha1", "00000000");
  Field(out, "redis_git_dirty", 0);
  Field(out, "redis_build_id", "0000000000000000");
  Field(out, "redis_mode", "standalone");
  Field(out, "tidemark_version", Version());
  Field(out, "os", fmt::format("{} {} {}", system.sysname, system.release, system.machine));
  Field(out, "arch_bits", 64);
  Field(out, "monotonic_clock", "POSIX clock_gettime");
  Field(out, "multiplexing_api", "epoll");
  Field(out, "atomicvar_api", "c11-builtin");
  Field(out, "gcc_version", fmt::format("{}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__));
  Field(out, "process_id", ::getpid());
  Field(out, "process_supervised", "no");
  Field(out, "run_id", server.run_id);
  Field(out, "tcp_port", server.tcp_port);
  Field(out, "server_time_usec", now_micros);
  Field(out, "uptime_in_seconds", uptime);
  Field(out, "uptime_in_days", uptime / 86400);
  Field(out, "hz", server.config.Integer("hz"));
  Field(out, "configured_hz", server.config.Integer("hz"));
  Field(out, "lru_clock", now_ms / 1000 & 0xFFFFFF);
  Field(out, "executable", server.executable);
  Field(out, "config_file", server.config.file());
  Field(out, "io_threads_active", server.config.Integer("io-threads") > 1 ? 1 : 0);
}

void WriteClients(Server& server, std::string* out) {
  const ClientRegistry::Stats clients = server.clients.stats();
  Field(out, "connected_clients", clients.connected);
  Field(out, "cluster_connections", 0);
  Field(out, "maxclients", server.config.Integer("maxclients"));
  Field(out, "client_recent_max_input_buffer", clients.max_input_bytes);
  Field(out, "client_recent_max_output_buffer", clients.max_output_bytes);
  Field(out, "blocked_clients", clients.blocked);
  Field(out, "tracking_clients", server.tracking == nullptr ? 0 : server.tracking->stats().clients);
  ZeroFields(out, {"clients_in_timeout_table"});
  Field(out, "pubsub_clients", clients.pubsub);
}

double Ratio(uint64_t a, uint64_t b) { return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b); }
std::string Ratio2(uint64_t a, uint64_t b) { return fmt::format("{:.2f}", Ratio(a, b)); }
std::string Percent(uint64_t a, uint64_t b) { return fmt::format("{:.2f}%", 100 * Ratio(a, b)); }
int64_t Above(uint64_t a, uint64_t b) { return static_cast<int64_t>(a) - static_cast<int64_t>(b); }

// Scripts and functions share interpreters, which count for scripts.
void WriteScriptFields(Server& server, std::string* out) {
  const Scripts::Figures scripts = server.scripts == nullptr ? Scripts::Figures{} : server.scripts->figures();
  BytesFields(out, "used_memory_lua", scripts.interpreter_bytes);
  Field(out, "used_memory_vm_eval", scripts.interpreter_bytes);
  Field(out, "used_memory_scripts_eval", scripts.script_bytes);
  Field(out, "number_of_cached_scripts", scripts.scripts);
  Field(out, "number_of_functions", scripts.functions);
  Field(out, "number_of_libraries", scripts.libraries);
  Field(out, "used_memory_vm_functions", 0);
  BytesFields(out, "used_memory_vm_total", scripts.interpreter_bytes);
  Field(out, "used_memory_functions", scripts.library_bytes);
  BytesFields(out, "used_memory_scripts", scripts.script_bytes + scripts.library_bytes);
}

// The dataset in memory is what the caches hold of it; everything else counts as overhead.
void WriteMemory(Server& server, std::string* out) {
  const MemoryFigures memory = ReadMemoryFigures();
  const kv::Store::Stats store = server.engine.store().stats();
  const uint64_t dataset = std::min(store.hot_bytes + store.block_cache_bytes, memory.allocated);
  BytesFields(out, "used_memory", memory.allocated);
  BytesFields(out, "used_memory_rss", memory.resident);
  BytesFields(out, "used_memory_peak", memory.peak);
  Field(out, "used_memory_peak_perc", Percent(memory.allocated, memory.peak));
  Field(out, "used_memory_overhead", memory.allocated - dataset);
  Field(out, "used_memory_startup", 0);
  Field(out, "used_memory_dataset", dataset);
  Field(out, "used_memory_dataset_perc", Percent(dataset, memory.allocated));
  Field(out, "allocator_allocated", memory.allocated);
  Field(out, "allocator_active", memory.active);
  Field(out, "allocator_resident", memory.allocator_resident);
  BytesFields(out, "total_system_memory", memory.system);
  WriteScriptFields(server, out);
  BytesFields(out, "maxmemory", static_cast<uint64_t>(server.config.Integer("maxmemory")));
  Field(out, "maxmemory_policy", server.config.Text("maxmemory-policy"));
  Field(out, "allocator_frag_ratio", Ratio2(memory.active, memory.allocated));
  Field(out, "allocator_frag_bytes", Above(memory.active, memory.allocated));
  Field(out, "allocator_rss_ratio", Ratio2(memory.allocator_resident, memory.active));
  Field(out, "allocator_rss_bytes", Above(memory.allocator_resident, memory.active));
  Field(out, "rss_overhead_ratio", Ratio2(memory.resident, memory.allocator_resident));
  Field(out, "rss_overhead_bytes", Above(memory.resident, memory.allocator_resident));
  Field(out, "mem_fragmentation_ratio", Ratio2(memory.resident, memory.allocated));
  Field(out, "mem_fragmentation_bytes", Above(memory.resident, memory.allocated));
  ZeroFields(out, {"mem_not_counted_for_evict", "mem_replication_backlog", "mem_total_replication_buffers",
                   "mem_clients_slaves"});
  Field(out, "mem_clients_normal", server.clients.stats().buffer_bytes);
  ZeroFields(out, {"mem_cluster_links", "mem_aof_buffer"});
  Field(out, "mem_allocator", memory.allocator);
  ZeroFields(out, {"active_defrag_running", "lazyfree_pending_objects", "lazyfreed_objects"});
}

void WritePersistence(Server& server, std::string* out) {
  const engine::Engine::Stats engine = server.engine.stats();
  ZeroFields(out, {"loading", "async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age"});
  Field(out, "current_fork_perc", "0.00");
  ZeroFields(out, {"current_save_keys_processed", "current_save_keys_total"});
  Field(out, "rdb_changes_since_last_save", engine.transactions_since_snapshot);
  Field(out, "rdb_bgsave_in_progress", engine.snapshot_running ? 1 : 0);
  Field(out, "rdb_last_save_time",
        engine.last_snapshot_seconds == 0 ? server.start_ms / 1000 : engine.last_snapshot_seconds);
  Field(out, "rdb_last_bgsave_status", engine.last_snapshot_ok ? "ok" : "err");
  Field(out, "rdb_last_bgsave_time_sec", -1);
  Field(out, "rdb_current_bgsave_time_sec", -1);
  ZeroFields(out, {"rdb_saves", "rdb_last_cow_size", "rdb_last_load_keys_expired", "rdb_last_load_keys_loaded"});
  // The log is to Tidemark what the append only file is to Redis.
  Field(out, "aof_enabled", 1);
  ZeroFields(out, {"aof_rewrite_in_progress", "aof_rewrite_scheduled"});
  Field(out, "aof_last_rewrite_time_sec", -1);
  Field(out, "aof_current_rewrite_time_sec", -1);
  Field(out, "aof_last_bgrewrite_status", "ok");
  ZeroFields(out, {"aof_rewrites", "aof_rewrites_consecutive_failures"});
  Field(out, "aof_last_write_status", server.engine.log().stats().disk_full ? "err" : "ok");
  ZeroFields(out, {"aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"});
}

std::string Seconds(const struct timeval& time) { return fmt::format("{}.{:06}", time.tv_sec, time.tv_usec); }

void WriteCpu(Server& /*server*/, std::string* out) {
  struct rusage self {};
  struct rusage children {};
  struct rusage thread {};
  ::getrusage(RUSAGE_SELF, &self);
  ::getrusage(RUSAGE_CHILDREN, &children);
  ::getrusage(RUSAGE_THREAD, &thread);
  Field(out, "used_cpu_sys", Seconds(self.ru_stime));
  Field(out, "used_cpu_user", Seconds(self.ru_utime));
  Field(out, "used_cpu_sys_children", Seconds(children.ru_stime));
  Field(out, "used_cpu_user_children", Seconds(children.ru_utime));
  Field(out, "used_cpu_sys_main_thread", Seconds(thread.ru_stime));
  Field(out, "used_cpu_user_main_thread", Seconds(thread.ru_utime));
}

void WriteModules(Server& /*server*/, std::string* /*out*/) {}

void WriteCluster(Server& /*server*/, std::string* out) { Field(out, "cluster_enabled", 0); }

void WriteKeyspace(Server& server, std::string* out) {
  const auto databases = static_cast<uint16_t>(server.config.Integer("databases"));
  for (uint16_t i = 0; i < databases; ++i) {
    const kv::DbState state = server.engine.store().db(DbIndex{i});
    if (state.keys == 0) continue;
    fmt::format_to(std::back_inserter(*out), "db{}:keys={},expires={},avg_ttl=0\r\n", i, state.keys, state.expires);
  }
}

constexpr InfoSection kSections[] = {
    {"server", "Server", true, WriteServer},
    {"clients", "Clients", true, WriteClients},
    {"memory", "Memory", true, WriteMemory},
    {"persistence", "Persistence", true, WritePersistence},
    {"stats", "Stats", true, WriteStatsSection},
    {"replication", "Replication", true, WriteReplicationSection},
    {"cpu", "CPU", true, WriteCpu},
    {"modules", "Modules", true, WriteModules},
    {"commandstats", "Commandstats", false, WriteCommandstatsSection},
    {"errorstats", "Errorstats", true, WriteErrorstatsSection},
    {"latencystats", "Latencystats", false, WriteLatencystatsSection},
    {"cluster", "Cluster", true, WriteCluster},
    {"keyspace", "Keyspace", true, WriteKeyspace},
    {"log", "Log", true, WriteLogSection},
    {"store", "Store", true, WriteStoreSection},
    {"backup", "Backup", true, WriteBackupSection},
};

}  // namespace

std::span<const InfoSection> InfoSections() { return kSections; }

}  // namespace tidemark::commands
