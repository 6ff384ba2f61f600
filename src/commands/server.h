// What commands share beside the keyspace: the services of one server, each a class of its own. The composition root in
// server/ makes them and hands a Server to every handler.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "backup/tasks.h"
#include "commands/command.h"
#include "config/config.h"
#include "engine/engine.h"
#include "replication/replication.h"

namespace tidemark::commands {

class ClientRegistry;  // client_registry.h: every connection, CLIENT LIST/KILL/PAUSE
class Pubsub;          // pubsub.h: channels and patterns
class WatchTable;      // watch_table.h: who watches which key
class Slowlog;         // slowlog.h
class LatencyMonitor;  // latency.h
class CommandStats;    // command_stats.h: calls, time, failures per command, latency histograms
class BlockedClients;  // who waits for which key (BLPOP)
class KeyNotifier;     // keyspace events to pub/sub
class Acl;             // users and what each may do
class Tracking;        // client-side caching
class Monitors;        // MONITOR
class Scripts;         // EVAL, SCRIPT, FUNCTION

enum class StopMode : uint8_t {
  kFlush,   // first writes pause and everything acknowledged becomes durable in the archives, within a deadline
  kAtOnce,  // whatever the archives have
};

// What only the composition root can do.
class Host {
 public:
  virtual ~Host() = default;
  // Starts an orderly stop; returns at once. Any thread.
  virtual void Shutdown(StopMode mode) = 0;
  // Runs `job` on a worker thread. Any thread.
  virtual void RunInBackground(std::function<void()> job) = 0;
  // A line of a script for the server's log; level 0 (debug) to 3 (warning). Any thread.
  virtual void LogOfScript(int level, std::string_view text) = 0;
};

struct Server {
  engine::Engine& engine;
  config::Config& config;
  ClientRegistry& clients;
  Pubsub& pubsub;
  WatchTable& watches;
  Slowlog& slowlog;
  LatencyMonitor& latency;
  CommandStats& stats;
  backup::Tasks& tasks;
  replication::Replication& replication;
  Host& host;
  // Null where a test has none of it.
  BlockedClients* blocked = nullptr;
  KeyNotifier* notifier = nullptr;
  Acl* acl = nullptr;
  Tracking* tracking = nullptr;
  Monitors* monitors = nullptr;
  Scripts* scripts = nullptr;

  std::string run_id;      // 40 hex digits, new at every start
  std::string cluster_id;  // 32 hex digits
  std::string executable;  // path
  uint64_t start_ms = 0;   // wall clock
  uint16_t tcp_port = 0;
  // Where gRPC is served, which replicas ask for (REPLCONF rpc-port); 0: nowhere. Set once it is.
  std::atomic<uint16_t> rpc_port{0};

  // Work that is of use to nobody once the server has stopped shall end.
  std::atomic<bool> stopping{false};
  // A snapshot asked for by SAVE or BGSAVE is under way.
  std::atomic<bool> saving{false};
  // Commands about backup tasks that run on worker threads now.
  std::atomic<int> backup_jobs{0};
};

}  // namespace tidemark::commands
