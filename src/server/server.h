// The composition root: makes every part, starts them in order, and stops them in the reverse order. No logic of its
// own.
//
// Start: folder and engine (recovery) ─▶ backup tasks ─▶ services of commands/ ─▶ I/O threads ─▶ listeners.
// Stop (SIGTERM, SIGINT, SHUTDOWN): writes pause ─▶ the archives get everything, within backup-shutdown-timeout ─▶
// listeners ─▶ I/O threads finish their turn ─▶ backup tasks, workers ─▶ log synced, last replies sent ─▶ engine
// persisted, so that the next start has nothing to replay.
#pragma once

#include <atomic>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "backup/succession.h"
#include "backup/tasks_of_role.h"
#include "base/status.h"
#include "commands/acl.h"
#include "commands/blocked_clients.h"
#include "commands/change_fan_out.h"
#include "commands/client_registry.h"
#include "commands/command_stats.h"
#include "commands/dispatcher.h"
#include "commands/key_notifier.h"
#include "commands/latency.h"
#include "commands/monitors.h"
#include "commands/pubsub.h"
#include "commands/replicated_commands.h"
#include "commands/scripts.h"
#include "commands/server.h"
#include "commands/slowlog.h"
#include "commands/tracking.h"
#include "commands/watch_table.h"
#include "config/config.h"
#include "engine/engine.h"
#include "replication/node.h"
#include "server/io_thread.h"
#include "server/listener.h"
#include "server/session.h"
#include "server/settings.h"
#include "server/side_ports.h"
#include "server/stop_signals.h"
#include "server/worker_pool.h"

namespace tidemark::server {

class Server final : public commands::Host {
 public:
  // `config` is loaded and outlives the server.
  explicit Server(config::Config& config);
  ~Server() override;

  // Recovers the data and listens. On an error nothing serves, and the status is the line for the operator.
  absl::Status Start();
  // Serves on the calling thread and those it starts, until Shutdown or a signal. OK when everything is on disk.
  absl::Status Run();

  void Shutdown(commands::StopMode mode) override;
  void RunInBackground(std::function<void()> job) override;
  void LogOfScript(int level, std::string_view text) override;

 private:
  absl::Status OpenEngine();
  absl::Status AttachTasks();
  void StartDefaultTask();
  absl::Status ReadRole();
  void MakeNode();
  replication::NodeHooks Hooks();
  absl::Status Exclusively(absl::FunctionRef<void()> job);
  void ReleaseTaskLeases();
  void ConnectToLog();
  void ApplyLogSettings();
  std::string ClusterId();
  void Exchanged();
  void MakeServices();
  absl::Status Listen();
  void FollowConfig();
  void FollowLimits();
  void Follow(std::initializer_list<std::string_view> names, const std::function<void()>& apply);
  void CatchSignals();
  void Report() const;
  absl::Status WritePidFile() const;
  void FlushThenStop();
  void AwaitReplicas();
  void FlushTasks();
  void StopThreads();
  absl::Status Stop();

  // How far a stop has come; only rises.
  enum class StopPhase : uint8_t { kServing, kFlushing, kStopping };
  bool EnterPhase(StopPhase phase);

  config::Config& config_;
  Settings settings_;
  commands::ClientRegistry clients_;
  commands::Pubsub pubsub_;
  commands::WatchTable watches_;
  commands::BlockedClients blocked_;
  commands::KeyNotifier notifier_;
  commands::Acl acl_;
  commands::Tracking tracking_;
  commands::Monitors monitors_;
  commands::Scripts scripts_;
  commands::ChangeFanOut changes_;
  commands::Slowlog slowlog_;
  commands::LatencyMonitor latency_;
  commands::CommandStats stats_;
  std::atomic<StopPhase> stop_phase_{StopPhase::kServing};
  replication::Remembered remembered_;
  Mutex exclusive_mutex_;  // one Exclusively at a time

  std::unique_ptr<commands::Server> commands_;
  std::unique_ptr<commands::Dispatcher> dispatcher_;
  std::unique_ptr<commands::ReplicatedCommands> replicated_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<SessionServices> services_;
  std::vector<std::unique_ptr<IoThread>> threads_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<StopSignals> signals_;
  std::unique_ptr<SidePorts> side_ports_;
  // The last members, so the first to go: their threads call the I/O threads.
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<backup::TasksOfRole> tasks_;
  std::unique_ptr<backup::Succession> succession_;
  std::unique_ptr<replication::Node> node_;
};

// Files of the configuration as they stand on this machine's disk; "-" is standard input.
config::Files ConfigFiles();

}  // namespace tidemark::server
