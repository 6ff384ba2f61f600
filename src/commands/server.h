// What commands share beside the keyspace: the services of one server, each a class of its own. The composition root in
// server/ makes them and hands a Server to every handler.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "commands/command.h"
#include "config/config.h"
#include "engine/engine.h"

namespace tidemark::commands {

class ClientRegistry;  // client_registry.h: every connection, CLIENT LIST/KILL/PAUSE
class Pubsub;          // pubsub.h: channels and patterns
class WatchTable;      // watch_table.h: who watches which key
class Slowlog;         // slowlog.h
class LatencyMonitor;  // latency.h
class CommandStats;    // command_stats.h: calls, time, failures per command, latency histograms

// What only the composition root can do.
class Host {
 public:
  virtual ~Host() = default;
  // Starts an orderly stop; returns at once. Any thread.
  virtual void Shutdown(bool force) = 0;
  // Runs `job` on a worker thread. Any thread.
  virtual void RunInBackground(std::function<void()> job) = 0;
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
  Host& host;

  std::string run_id;      // 40 hex digits, new at every start
  std::string executable;  // path
  uint64_t start_ms = 0;   // wall clock
  uint16_t tcp_port = 0;

  // A snapshot asked for by SAVE or BGSAVE is under way.
  std::atomic<bool> saving{false};
};

}  // namespace tidemark::commands
