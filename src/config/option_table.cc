// The table of options. Names are Redis 7.0's where the meaning is Redis's, ours where it is not. An option of Redis
// that would promise something we do not do (TLS for clients, modules) is not here: it must stop the start.
#include <array>
#include <limits>

#include "config/option.h"

namespace tidemark::config {
namespace {

constexpr int64_t kInt = std::numeric_limits<int32_t>::max();
constexpr int64_t kIntMin = std::numeric_limits<int32_t>::min();
constexpr int64_t kLong = std::numeric_limits<int64_t>::max();
constexpr int64_t kMiB = 1 << 20;

// An option, and what can be said more about it: each returns a copy with that said.
struct Entry : Option {
  constexpr Entry Fixed() const {
    Entry copy = *this;
    copy.change = Change::kStart;
    return copy;
  }
  constexpr Entry Protected() const {
    Entry copy = *this;
    copy.change = Change::kProtected;
    return copy;
  }
  constexpr Entry Secret() const {
    Entry copy = *this;
    copy.secret = true;
    return copy;
  }
  constexpr Entry NoEffect() const {
    Entry copy = *this;
    copy.no_effect = true;
    return copy;
  }
  constexpr Entry Also(std::string_view other) const {
    Entry copy = *this;
    copy.other_name = other;
    return copy;
  }
  constexpr Entry Because(std::string_view reason) const {
    Entry copy = *this;
    copy.refusal = reason;
    return copy;
  }
  constexpr Entry Says(std::string_view text) const {
    Entry copy = *this;
    copy.summary = text;
    return copy;
  }
};

constexpr Entry Bool(std::string_view name, std::string_view fallback) {
  return {{.name = name, .type = Type::kBool, .fallback = fallback}};
}
constexpr Entry Integer(std::string_view name, std::string_view fallback, int64_t min, int64_t max) {
  return {{.name = name, .type = Type::kInteger, .fallback = fallback, .min = min, .max = max}};
}
constexpr Entry Memory(std::string_view name, std::string_view fallback, int64_t min = 0, int64_t max = kLong) {
  return {{.name = name, .type = Type::kMemory, .fallback = fallback, .min = min, .max = max}};
}
constexpr Entry Enum(std::string_view name, std::string_view fallback, std::string_view choices) {
  return {{.name = name, .type = Type::kEnum, .fallback = fallback, .choices = choices}};
}
constexpr Entry Text(std::string_view name, std::string_view fallback) {
  return {{.name = name, .type = Type::kString, .fallback = fallback}};
}
constexpr Entry Typed(std::string_view name, Type type, std::string_view fallback) {
  return {{.name = name, .type = type, .fallback = fallback}};
}

constexpr auto kNetwork = std::to_array<Option>({
    Integer("port", "6379", 0, 65535).Fixed().Says("TCP port for clients; 0 listens on none"),
    Typed("bind", Type::kWords, "* -::*")
        .Fixed()
        .Says("addresses to listen on; one that begins with '-' may be missing on this machine"),
    Bool("protected-mode", "yes").Says("without a password, serve only clients of this machine"),
    Text("requirepass", "").Secret().Says("password that AUTH and HELLO ask for; empty asks for none"),
    Text("aclfile", "").Fixed().Says("file of users, a line `user NAME RULE…` each; empty: they stand in this file"),
    Enum("acl-pubsub-default", "resetchannels", "allchannels|resetchannels")
        .Says("whether a new user may use every channel of pub/sub until rules say otherwise"),
    Integer("tracking-table-max-keys", "1000000", 0, kLong)
        .Says("keys that are remembered for CLIENT TRACKING; 0 is no limit"),
    Integer("acllog-max-len", "128", 0, kLong).Says("entries that ACL LOG keeps"),
    Integer("tcp-backlog", "511", 0, kInt).Fixed().Says("connections that may wait to be accepted"),
    Integer("tcp-keepalive", "300", 0, kInt).Says("seconds of silence before TCP asks whether a client lives; 0 never"),
    Integer("timeout", "0", 0, kInt).Says("seconds after which an idle client is disconnected; 0 never"),
    Integer("maxclients", "10000", 1, kInt).Says("connections at a time"),
    Integer("io-threads", "1", 1, 128).Fixed().Says("threads that serve clients"),
    Memory("proto-max-bulk-len", "536870912", kMiB).Says("bytes of the largest value or argument a client may send"),
    Memory("client-query-buffer-limit", "1073741824", kMiB).Says("bytes of unfinished requests kept for one client"),
    Typed("client-output-buffer-limit", Type::kOutputLimits,
          "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60")
        .Says("per class (normal, replica, pubsub): bytes of unread replies at which a client is disconnected, at "
              "once and after so many seconds; 0 never"),
    Integer("rpc-port", "-1", -1, 65535)
        .Fixed()
        .Says(
            "port of the gRPC services, which replicas need; -1 is `port` + 10000 (past 65535: - 10000), and a server "
            "that cannot have it goes on without; 0 listens on none"),
    Integer("http-port", "0", 0, 65535).Fixed().Says("port of metrics and status over HTTP; 0 listens on none"),
    Text("tls-cert-file", "")
        .Fixed()
        .Says("certificate (PEM) of the gRPC and HTTP ports; empty serves them without TLS"),
    Text("tls-key-file", "").Fixed().Says("key (PEM) of that certificate"),
    Text("tls-ca-cert-file", "")
        .Fixed()
        .Says("authority (PEM) that must have signed the certificates of gRPC's clients"),
});

constexpr auto kGeneral = std::to_array<Option>({
    Integer("databases", "16", 1, 65535).Fixed().Says("databases that SELECT can choose from"),
    Enum("loglevel", "notice", "debug|verbose|notice|warning").Says("how much the server tells in its own log"),
    Text("logfile", "").Fixed().Says("file of the server's own log; empty is standard output"),
    Text("pidfile", "").Fixed().Says("file that holds the server's process id while it runs; empty writes none"),
    Enum("daemonize", "no", "no").Fixed().Says("the server stays in the foreground; only `no` is accepted"),
    // Redis's wait for replicas at a stop. A stop here waits for archives, within backup-shutdown-timeout.
    Integer("shutdown-timeout", "10", 0, kInt).Says("seconds that a clean stop waits for replicas to have everything"),
    Enum("enable-debug-command", "no", "no|yes|local")
        .Fixed()
        .Says("who may use DEBUG: nobody, everybody, this machine"),
    Enum("enable-protected-configs", "no", "no|yes|local").Fixed().NoEffect(),
});

constexpr auto kData = std::to_array<Option>({
    Text("dir", ".").Protected().Says("folder of the data: log and store"),
    Enum("appendfsync", "everysec", "everysec|always|no")
        .Says("when a write is acknowledged: synced to disk (`always`), or before, with a sync every second "
              "(`everysec`) or whenever the system does it (`no`)"),
    Memory("maxmemory", "0")
        .Says("bytes for all caches together; 0 takes a share of the machine. Nothing is ever evicted from the data"),
    Memory("block-cache-size", "0").Fixed().Says("bytes for blocks read from disk, out of maxmemory; 0 takes a share"),
    Memory("log-segment-size", "67108864", kMiB, 4096 * kMiB).Fixed().Says("bytes of one file of the log"),
    Memory("log-retain-size", "67108864").Says("bytes of log kept though nobody needs them any more"),
    Integer("log-purge-interval-ms", "1000", 1, kInt).Says("milliseconds between two looks for log that can go"),
    Memory("log-apply-max", "1073741824", kMiB)
        .Fixed()
        .Says("bytes of log after which the store is persisted, at the latest: bounds how long a start replays"),
    Memory("store-dirty-size", "402653184", kMiB)
        .Fixed()
        .Says("bytes of changed rows in memory at which they are written out"),
    Memory("disk-low-water", "268435456")
        .Says("free bytes on the disk below which writes that grow the data are refused"),
});

constexpr auto kBackup = std::to_array<Option>({
    Enum("backup-flush-mode", "wait", "wait|join|nowait")
        .Says(
            "how a force flush waits: until all that was acknowledged before it is archived (`wait`), until the flush "
            "that runs ends (`join`), or not at all while one runs (`nowait`)"),
    Integer("backup-flush-timeout", "60000", 0, kInt)
        .Says("milliseconds after which a force flush stops waiting, while the flush goes on; 0 never"),
    Integer("backup-shutdown-timeout", "30000", 0, kInt)
        .Says("milliseconds that a clean stop waits for the archives to have everything; 0 does not wait"),
    Text("backup-folder", "")
        .Fixed()
        .Says("folder that a backup task named `default` archives to, started where no such task is: a base a day, "
              "kept for seven; empty starts none"),
});

constexpr auto kObserving = std::to_array<Option>({
    Integer("slowlog-log-slower-than", "10000", -1, kLong)
        .Says("microseconds from which a command is slow enough for SLOWLOG; -1 notes none, 0 every one"),
    Integer("slowlog-max-len", "128", 0, kLong).Says("entries that SLOWLOG keeps"),
    Integer("latency-monitor-threshold", "0", 0, kLong).Says("milliseconds from which LATENCY notes an event; 0 none"),
    Bool("latency-tracking", "yes").Says("keep a histogram of each command's time for LATENCY HISTOGRAM and INFO"),
    Typed("latency-tracking-info-percentiles", Type::kWords, "50 99 99.9").Says("percentiles that INFO shows"),
    Typed("notify-keyspace-events", Type::kKeyspaceEvents, "")
        .Says(
            "changes of keys that are published: K and E choose the channels, A or letters of g$lshzxetdmn the events"),
});

constexpr auto kReplication = std::to_array<Option>({
    Typed("replicaof", Type::kEndpoint, "")
        .Fixed()
        .Also("slaveof")
        .Says("host and port of the primary that this server follows; none makes it a primary. REPLICAOF changes it, "
              "and CONFIG REWRITE keeps that"),
    Text("masteruser", "").Says("user that a replica logs in to its primary as; empty is `default`"),
    Text("masterauth", "").Secret().Says("password that a replica logs in to its primary with"),
    Enum("replica-read-only", "yes", "yes")
        .Also("slave-read-only")
        .Because("a replica's log is its primary's, byte for byte: it cannot take writes of its own")
        .Says("replicas refuse writes; only `yes` is accepted, since the log of a replica is that of its primary, byte "
              "for byte"),
    Bool("replica-serve-stale-data", "yes")
        .Also("slave-serve-stale-data")
        .Says("a replica answers reads while the link to its primary is down"),
    Integer("replica-priority", "100", 0, kInt)
        .Also("slave-priority")
        .Says("Sentinel promotes the replica with the lowest number first; never one with 0"),
    Bool("replica-announced", "yes").Says("Sentinel tells clients of this replica"),
    Text("replica-announce-ip", "")
        .Also("slave-announce-ip")
        .Says("address under which the primary lists this replica; empty is where its connection comes from"),
    Integer("replica-announce-port", "0", 0, 65535)
        .Also("slave-announce-port")
        .Says("port under which the primary lists this replica; 0 is `port`"),
    Integer("min-replicas-to-write", "0", 0, kInt)
        .Also("min-slaves-to-write")
        .Says("a primary refuses writes while fewer replicas than this are connected and in time; 0 never"),
    Integer("min-replicas-max-lag", "10", 0, kInt)
        .Also("min-slaves-max-lag")
        .Says("seconds within which a replica must have answered to count for that; 0 switches it off"),
    Integer("repl-timeout", "60", 1, kInt).Says("seconds of silence after which a replica's link counts as dead"),
    Enum("replica-seed", "auto", "primary|archive|auto")
        .Says("where a replica takes what its primary's log no longer has, or all its data when it is new: a snapshot "
              "of the primary, the archive of a backup task, or the archive where it has them"),
    Memory("replica-lease-max-bytes", "0")
        .Says("bytes of log that a primary holds for one replica that is away; 0 holds on until `disk-low-water`"),
    Integer("replica-lease-max-age", "86400", 0, kInt)
        .Says("seconds that a primary holds log for a replica that is away; 0 for ever"),
    Memory("repl-rate-limit", "0").Says("bytes a second that a full sync may send to one replica; 0 any"),
    Integer("promotion-fence-timeout-ms", "3000", 0, kInt)
        .Says("milliseconds that a promotion waits for the archives to be fenced; after that it goes on, and no force "
              "flush succeeds until they are"),
});

constexpr auto kRedisReplication = std::to_array<Option>({
    Bool("replica-ignore-maxmemory", "yes").Also("slave-ignore-maxmemory").NoEffect(),
    Bool("replica-ignore-disk-write-errors", "no").NoEffect(),
    Bool("replica-lazy-flush", "no").Also("slave-lazy-flush").NoEffect(),
    Integer("repl-ping-replica-period", "10", 1, kInt).Also("repl-ping-slave-period").NoEffect(),
    Memory("repl-backlog-size", "1048576", 1).NoEffect(),
    Integer("repl-backlog-ttl", "3600", 0, kLong).NoEffect(),
    Bool("repl-disable-tcp-nodelay", "no").NoEffect(),
    Bool("repl-diskless-sync", "yes").NoEffect(),
    Integer("repl-diskless-sync-delay", "5", 0, kInt).NoEffect(),
    Integer("repl-diskless-sync-max-replicas", "0", 0, kInt).NoEffect(),
    Enum("repl-diskless-load", "disabled", "disabled|on-empty-db|swapdb").NoEffect(),
    Enum("propagation-error-behavior", "ignore", "ignore|panic|panic-on-replicas").NoEffect(),
});

constexpr auto kEncodings = std::to_array<Option>({
    Integer("hash-max-listpack-entries", "512", 0, kLong).Also("hash-max-ziplist-entries").NoEffect(),
    Memory("hash-max-listpack-value", "64").Also("hash-max-ziplist-value").NoEffect(),
    Integer("list-max-listpack-size", "-2", kIntMin, kInt).Also("list-max-ziplist-size").NoEffect(),
    Integer("list-compress-depth", "0", 0, kInt).NoEffect(),
    Integer("set-max-intset-entries", "512", 0, kLong)
        .Says("members up to which OBJECT ENCODING calls integers an intset"),
    Integer("zset-max-listpack-entries", "128", 0, kLong).Also("zset-max-ziplist-entries").NoEffect(),
    Memory("zset-max-listpack-value", "64").Also("zset-max-ziplist-value").NoEffect(),
    Memory("hll-sparse-max-bytes", "3000").Says("bytes up to which the registers of a HyperLogLog are kept sparse"),
    Memory("stream-node-max-bytes", "4096").NoEffect(),
    Integer("stream-node-max-entries", "100", 0, kLong).NoEffect(),
});

constexpr auto kFiles = std::to_array<Option>({
    Typed("save", Type::kSavePoints, "").NoEffect(),
    Bool("appendonly", "yes").NoEffect(),
    Text("appendfilename", "appendonly.aof").Fixed().NoEffect(),
    Text("appenddirname", "appendonlydir").Fixed().NoEffect(),
    Text("dbfilename", "dump.rdb").Protected().NoEffect(),
    Bool("rdbcompression", "yes").NoEffect(),
    Bool("rdbchecksum", "yes").Fixed().NoEffect(),
    Bool("rdb-del-sync-files", "no").NoEffect(),
    Bool("rdb-save-incremental-fsync", "yes").NoEffect(),
    Enum("sanitize-dump-payload", "no", "no|yes|clients").NoEffect(),
    Bool("stop-writes-on-bgsave-error", "yes").NoEffect(),
    Bool("no-appendfsync-on-rewrite", "no").NoEffect(),
    Integer("auto-aof-rewrite-percentage", "100", 0, kInt).NoEffect(),
    Memory("auto-aof-rewrite-min-size", "67108864").NoEffect(),
    Bool("aof-load-truncated", "yes").NoEffect(),
    Bool("aof-use-rdb-preamble", "yes").NoEffect(),
    Bool("aof-rewrite-incremental-fsync", "yes").NoEffect(),
    Bool("aof-timestamp-enabled", "no").NoEffect(),
    Bool("aof-disable-auto-gc", "no").NoEffect(),
});

constexpr auto kMemoryCare = std::to_array<Option>({
    Enum("maxmemory-policy", "noeviction",
         "volatile-lru|volatile-lfu|volatile-random|volatile-ttl|allkeys-lru|allkeys-lfu|allkeys-random|noeviction")
        .NoEffect(),
    Integer("maxmemory-samples", "5", 1, kInt).NoEffect(),
    Integer("maxmemory-eviction-tenacity", "10", 0, 100).NoEffect(),
    Typed("maxmemory-clients", Type::kMemoryOrPercent, "0").NoEffect(),
    Integer("lfu-log-factor", "10", 0, kInt).NoEffect(),
    Integer("lfu-decay-time", "1", 0, kInt).NoEffect(),
    Bool("lazyfree-lazy-eviction", "no").NoEffect(),
    Bool("lazyfree-lazy-expire", "no").NoEffect(),
    Bool("lazyfree-lazy-server-del", "no").NoEffect(),
    Bool("lazyfree-lazy-user-del", "no").NoEffect(),
    Bool("lazyfree-lazy-user-flush", "no").NoEffect(),
    Bool("activerehashing", "yes").NoEffect(),
    Bool("activedefrag", "no").NoEffect(),
    Memory("active-defrag-ignore-bytes", "104857600", 1).NoEffect(),
    Integer("active-defrag-threshold-lower", "10", 0, 1000).NoEffect(),
    Integer("active-defrag-threshold-upper", "100", 0, 1000).NoEffect(),
    Integer("active-defrag-cycle-min", "1", 1, 99).NoEffect(),
    Integer("active-defrag-cycle-max", "25", 1, 99).NoEffect(),
    Integer("active-defrag-max-scan-fields", "1000", 1, kLong).NoEffect(),
    Bool("jemalloc-bg-thread", "yes").NoEffect(),
});

constexpr auto kProcess = std::to_array<Option>({
    Integer("hz", "10", 0, kInt).NoEffect(),
    Bool("dynamic-hz", "yes").NoEffect(),
    Integer("active-expire-effort", "1", 1, 10).NoEffect(),
    Integer("busy-reply-threshold", "5000", 0, kLong)
        .Also("lua-time-limit")
        .Says("milliseconds after which the server answers BUSY while a script runs"),
    Bool("io-threads-do-reads", "no").Fixed().NoEffect(),
    Enum("cluster-enabled", "no", "no")
        .Fixed()
        .Says("a cluster of several machines is not served yet; only `no` is accepted"),
    Bool("set-proc-title", "yes").Fixed().NoEffect(),
    Text("proc-title-template", "{title} {listen-addr} {server-mode}").NoEffect(),
    Enum("supervised", "no", "upstart|systemd|auto|no").Fixed().NoEffect(),
    Enum("oom-score-adj", "no", "no|yes|relative|absolute").NoEffect(),
    Typed("oom-score-adj-values", Type::kWords, "0 200 800").NoEffect(),
    Bool("disable-thp", "yes").NoEffect(),
    Text("server_cpulist", "").Fixed().NoEffect(),
    Text("bio_cpulist", "").Fixed().NoEffect(),
    Text("aof_rewrite_cpulist", "").Fixed().NoEffect(),
    Text("bgsave_cpulist", "").Fixed().NoEffect(),
    Text("ignore-warnings", "").NoEffect(),
    Bool("always-show-logo", "no").Fixed().NoEffect(),
    Bool("crash-log-enabled", "yes").NoEffect(),
    Bool("crash-memcheck-enabled", "yes").NoEffect(),
    Bool("syslog-enabled", "no").Fixed().NoEffect(),
    Text("syslog-ident", "redis").Fixed().NoEffect(),
    Enum("syslog-facility", "local0", "user|local0|local1|local2|local3|local4|local5|local6|local7")
        .Fixed()
        .NoEffect(),
    Text("shutdown-on-sigint", "default").NoEffect(),
    Text("shutdown-on-sigterm", "default").NoEffect(),
});

constexpr auto kSections = std::to_array<Section>({
    {"Network and clients", "", kNetwork},
    {"The server", "", kGeneral},
    {"Data and durability", "", kData},
    {"Backup", "What `LOGBACKUP FLUSH` and a clean stop do where nothing else is said.", kBackup},
    {"Replication", "", kReplication},
    {"Observing", "", kObserving},
    {"Redis: replication", "A replica follows the log; there is no backlog and no dump file to send.",
     kRedisReplication},
    {"Redis: encodings in memory", "Data lives on disk as rows, whatever these say.", kEncodings},
    {"Redis: RDB and AOF files", "The log is the only file that writes go to first; there is no RDB and no AOF.",
     kFiles},
    {"Redis: memory", "", kMemoryCare},
    {"Redis: the process", "", kProcess},
});

}  // namespace

std::span<const Section> Sections() { return kSections; }

}  // namespace tidemark::config
