#include "server/server.h"

#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/version.h"
#include "env/clock.h"
#include "env/file.h"
#include "server/logging.h"
#include "server/memory_budget.h"

namespace tidemark::server {
namespace {

constexpr int kWorkers = 16;
// So long who waits for a key waits longer when the store has to catch up, or when the sweeper changed the key.
constexpr std::chrono::milliseconds kServeNeglected{5};
constexpr std::string_view kDefaultTask = "default";

std::string NewRunId() {
  unsigned char bytes[20];
  TM_CHECK(::getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
  std::string id;
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

log::Durability DurabilityOf(const std::string& appendfsync) {
  if (appendfsync == "always") return log::Durability::kAlways;
  return appendfsync == "no" ? log::Durability::kNo : log::Durability::kEverySecond;
}

MemoryBudget BudgetOf(const config::Config& config) {
  const auto bytes = [&](std::string_view name) { return static_cast<uint64_t>(config.Integer(name)); };
  return DivideMemory(bytes("maxmemory"), bytes("block-cache-size"), bytes("store-dirty-size"), MachineMemory());
}

void SetLimit(OutputLimit& limit, const config::OutputLimit& value) {
  limit.hard = value.hard_bytes;
  limit.soft = value.soft_bytes;
  limit.soft_seconds = static_cast<uint64_t>(value.soft_seconds);
}

// What a stop leaves unarchived.
void ReportLoss(const std::vector<backup::FlushOutcome>& outcomes) {
  for (const backup::FlushOutcome& outcome : outcomes) {
    if (outcome.success) {
      spdlog::info("Backup task {}: the archive has everything up to lsn:{:x}; RPO 0", outcome.task,
                   outcome.flushed.value);
    } else {
      // The error names the task.
      spdlog::warn("Backup: the archive ends at lsn:{:x}; RPO {:.3f} s: {}", outcome.flushed.value,
                   static_cast<double>(outcome.rpo_micros) / 1e6, Message(outcome.error));
    }
  }
}

}  // namespace

config::Files ConfigFiles() {
  return {.read = [](const std::string& path) -> absl::StatusOr<std::string> {
            if (path == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
            return ReadWholeFile(FileSystem::Posix(), path);
          },
          .replace =
              [](const std::string& path, std::string_view bytes) {
                const std::filesystem::path where(path);
                return ReplaceWholeFile(FileSystem::Posix(), where.parent_path(), where.filename(), bytes);
              }};
}

Server::Server(config::Config& config)
    : config_(config),
      notifier_(config, pubsub_),
      acl_(config, clients_, pubsub_),
      tracking_(config, clients_),
      scripts_(config.Cell("busy-reply-threshold")) {}

// A worker may be in the engine.
Server::~Server() {
  if (workers_ != nullptr) workers_->Stop();
}

absl::Status Server::Start() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  TM_RETURN_IF_ERROR(StartLogging(config_.Text("loglevel"), config_.Text("logfile")));
  spdlog::info("Tidemark {} starting, pid {}, data in {}", Version(), ::getpid(), config_.Text("dir"));
  TM_RETURN_IF_ERROR(acl_.LoadAtStart());
  TM_RETURN_IF_ERROR(ReadRole());
  TM_RETURN_IF_ERROR(OpenEngine());
  tasks_ = std::make_unique<backup::TasksOfRole>();
  absl::Status status = remembered_.primary ? absl::OkStatus() : AttachTasks();
  if (status.ok()) {
    MakeServices();
    FollowConfig();
    status = Listen();
  }
  if (status.ok()) {
    absl::StatusOr<std::unique_ptr<SidePorts>> ports = SidePorts::Start(*commands_, *tasks_, &node_->feed());
    status = ports.status();
    if (ports.ok()) side_ports_ = *std::move(ports);
  }
  if (status.ok()) status = WritePidFile();
  if (status.ok()) status = node_->Start();
  if (!status.ok()) {
    EnterPhase(StopPhase::kStopping);
    if (node_ != nullptr) node_->Stop();
    if (side_ports_ != nullptr) side_ports_->Stop();
    tasks_.reset();
    engine_->Close().IgnoreError();
    return status;
  }
  CatchSignals();
  return absl::OkStatus();
}

absl::Status Server::WritePidFile() const {
  const std::string path = config_.Text("pidfile");
  if (path.empty()) return absl::OkStatus();
  std::ofstream file(path, std::ios::trunc);
  file << ::getpid() << '\n';
  file.close();
  return file ? absl::OkStatus() : Errorf(absl::StatusCode::kUnavailable, "pidfile: {} can't be written", path);
}

absl::Status Server::OpenEngine() {
  const auto bytes = [&](std::string_view name) { return static_cast<uint64_t>(config_.Integer(name)); };
  const MemoryBudget budget = BudgetOf(config_);
  engine::EngineOptions options;
  options.folder = std::filesystem::absolute(config_.Text("dir")).lexically_normal();
  options.log.segment_size = bytes("log-segment-size");
  options.log.retain_size = bytes("log-retain-size");
  options.log.purge_interval = std::chrono::milliseconds(config_.Integer("log-purge-interval-ms"));
  options.log.durability = DurabilityOf(config_.Text("appendfsync"));
  options.store.databases = static_cast<uint16_t>(config_.Integer("databases"));
  options.store.hot_bytes = budget.hot;
  options.store.block_cache_bytes = budget.block_cache;
  options.store.dirty_bytes = budget.dirty;
  options.log_apply_max = bytes("log-apply-max");
  options.disk_low_water = bytes("disk-low-water");
  options.log.received = remembered_.primary.has_value();
  options.sweeping = !remembered_.primary.has_value();
  options.report = [](const std::string& line) { spdlog::info("{}", line); };
  TM_ASSIGN_OR_RETURN(engine_, engine::Engine::Open(FileSystem::Posix(), Clock::System(), options));
  return absl::OkStatus();
}

absl::Status Server::AttachTasks() {
  backup::ManagerOptions options;
  options.report = [](const std::string& line) { spdlog::info("{}", line); };
  TM_ASSIGN_OR_RETURN(std::unique_ptr<backup::Manager> manager,
                      backup::Manager::Open(*engine_, FileSystem::Posix(), Clock::System(), std::move(options)));
  tasks_->Attach(std::move(manager));
  StartDefaultTask();
  return absl::OkStatus();
}

// A server that cannot back itself up into that folder serves all the same, and says so.
void Server::StartDefaultTask() {
  const std::string folder = config_.Text("backup-folder");
  if (folder.empty()) return;
  const std::vector<backup::TaskStatus> tasks = tasks_->Status();
  if (std::any_of(tasks.begin(), tasks.end(), [](const auto& task) { return task.config.name == kDefaultTask; }))
    return;
  backup::TaskConfig config;
  config.name = kDefaultTask;
  config.storage = "local://" + std::filesystem::absolute(folder).lexically_normal().string();
  config.keep = std::chrono::days(7);
  config.base_interval = std::chrono::days(1);
  if (const absl::Status started = tasks_->Start(config); started.ok()) {
    spdlog::info("Backup task {} archives to {}", config.name, config.storage);
  } else {
    spdlog::warn("backup-folder: no backup task: {}", Message(started));
  }
}

void Server::MakeServices() {
  changes_.Add(watches_);
  changes_.Add(blocked_);
  changes_.Add(notifier_);
  changes_.Add(tracking_);
  engine_->SetChangeListener(&changes_);
  workers_ = std::make_unique<WorkerPool>(kWorkers);
  MakeNode();
  std::error_code ignored;
  // NOLINTNEXTLINE(modernize-make-unique): an aggregate that holds atomics can be made in place only
  commands_.reset(new commands::Server{
      .engine = *engine_,
      .config = config_,
      .clients = clients_,
      .pubsub = pubsub_,
      .watches = watches_,
      .slowlog = slowlog_,
      .latency = latency_,
      .stats = stats_,
      .tasks = *tasks_,
      .replication = *node_,
      .host = *this,
      .blocked = &blocked_,
      .notifier = &notifier_,
      .acl = &acl_,
      .tracking = &tracking_,
      .monitors = &monitors_,
      .scripts = &scripts_,
      .run_id = NewRunId(),
      .cluster_id = ClusterId(),
      .executable = std::filesystem::read_symlink("/proc/self/exe", ignored).string(),
      .start_ms = Clock::System().WallMicros() / 1000,
      .tcp_port = static_cast<uint16_t>(config_.Integer("port")),
  });
  dispatcher_ = std::make_unique<commands::Dispatcher>(*commands_);
  replicated_ = std::make_unique<commands::ReplicatedCommands>(*commands_, dispatcher_.get());
  // NOLINTNEXTLINE(modernize-make-unique): likewise
  services_.reset(new SessionServices{*dispatcher_, *workers_, settings_, clients_, pubsub_, acl_});
  for (int i = 0; i < config_.Integer("io-threads"); ++i) {
    threads_.push_back(std::make_unique<IoThread>(i, *engine_, settings_, clients_));
  }
  clients_.OnUnpause([this] {
    for (const std::unique_ptr<IoThread>& thread : threads_) thread->Post([&thread] { thread->RetryPaused(); });
  });
  blocked_.OnNeglected([this] {
    threads_.front()->Post(
        [this] { threads_.front()->RunAfter(kServeNeglected, [this] { dispatcher_->ServeBlocked(); }); });
  });
  ConnectToLog();
}

absl::Status Server::Listen() {
  const auto wanted = static_cast<uint64_t>(config_.Integer("maxclients"));
  const uint64_t allowed = RaiseFileLimit(wanted);
  if (allowed < wanted) {
    spdlog::warn("The system's limit of open files allows {} clients, not {} (maxclients)", allowed, wanted);
    settings_.max_clients = allowed;
  }
  listener_ = std::make_unique<Listener>(threads_, *services_);
  if (config_.Integer("port") == 0) return absl::OkStatus();
  return listener_->Listen(BindAddresses(config_), commands_->tcp_port,
                           static_cast<int>(config_.Integer("tcp-backlog")));
}

// Applies now and whenever one of `names` is set.
void Server::Follow(std::initializer_list<std::string_view> names, const std::function<void()>& apply) {
  apply();
  for (const std::string_view name : names) {
    config_.OnChange(name, [apply] {
      apply();
      return absl::OkStatus();
    });
  }
}

void Server::ApplyLogSettings() {
  engine_->log().SetDurability(DurabilityOf(config_.Text("appendfsync")));
  engine_->log().SetRetention(static_cast<uint64_t>(config_.Integer("log-retain-size")),
                              std::chrono::milliseconds(config_.Integer("log-purge-interval-ms")));
}

void Server::FollowConfig() {
  FollowLimits();
  Follow({"loglevel"}, [this] { SetLogLevel(config_.Text("loglevel")); });
  Follow({"appendfsync"}, [this] {
    const log::Durability durability = DurabilityOf(config_.Text("appendfsync"));
    settings_.sync_always = durability == log::Durability::kAlways;
    ApplyLogSettings();
  });
  Follow({"log-retain-size", "log-purge-interval-ms"}, [this] { ApplyLogSettings(); });
  Follow({"replica-lease-max-bytes", "replica-lease-max-age"}, [this] {
    node_->SetLeaseCaps(static_cast<uint64_t>(config_.Integer("replica-lease-max-bytes")),
                        static_cast<uint64_t>(config_.Integer("replica-lease-max-age")) * 1'000'000);
  });
  Follow({"repl-rate-limit"},
         [this] { node_->SetSyncRate(static_cast<uint64_t>(config_.Integer("repl-rate-limit"))); });
  Follow({"maxmemory"}, [this] {
    const MemoryBudget budget = BudgetOf(config_);
    engine_->store().SetCacheSizes(budget.hot, budget.block_cache);
  });
  Follow({"disk-low-water"},
         [this] { engine_->SetDiskLowWater(static_cast<uint64_t>(config_.Integer("disk-low-water"))); });
  Follow({"slowlog-log-slower-than", "slowlog-max-len"}, [this] {
    slowlog_.SetThreshold(config_.Integer("slowlog-log-slower-than"));
    slowlog_.SetMaxLength(static_cast<size_t>(config_.Integer("slowlog-max-len")));
  });
  Follow({"latency-monitor-threshold"},
         [this] { latency_.SetThreshold(static_cast<uint64_t>(config_.Integer("latency-monitor-threshold"))); });
}

void Server::FollowLimits() {
  const auto number = [this](std::string_view name, std::atomic<uint64_t>& setting) {
    Follow({name}, [this, name, &setting] { setting = static_cast<uint64_t>(config_.Integer(name)); });
  };
  number("timeout", settings_.idle_seconds);
  number("tcp-keepalive", settings_.keepalive_seconds);
  number("proto-max-bulk-len", settings_.max_bulk_bytes);
  number("client-query-buffer-limit", settings_.max_input_bytes);
  Follow({"maxclients"},
         [this] { settings_.max_clients = RaiseFileLimit(static_cast<uint64_t>(config_.Integer("maxclients"))); });
  Follow({"protected-mode"}, [this] { settings_.protected_mode = config_.Bool("protected-mode"); });
  Follow({"client-output-buffer-limit"}, [this] {
    SetLimit(settings_.normal, config_.Limit(config::ClientClass::kNormal));
    SetLimit(settings_.pubsub, config_.Limit(config::ClientClass::kPubsub));
  });
}

void Server::CatchSignals() {
  signals_ = std::make_unique<StopSignals>(threads_.front()->poller(), [this](int signal) {
    spdlog::info("Received {}, stopping", signal == SIGTERM ? "SIGTERM" : "SIGINT");
    Shutdown(commands::StopMode::kFlush);
  });
}

void Server::Report() const {
  const engine::Engine::Stats stats = engine_->stats();
  if (stats.recovery.torn_bytes > 0) {
    spdlog::warn("The log ended in {} torn bytes at lsn:{:x}: cut, and saved as {}", stats.recovery.torn_bytes,
                 stats.recovery.torn_at.value, stats.recovery.saved_to);
  }
  spdlog::info("Recovered in {} ms: {} records replayed, log ends at lsn:{:x}", stats.recovery_micros / 1000,
               stats.recovered_records, stats.recovery.end.value);
  for (const std::string& address : listener_->addresses()) {
    spdlog::info("Ready to accept connections on {}", address);
  }
}

absl::Status Server::Run() {
  Report();
  std::vector<std::thread> running;
  for (size_t i = 1; i < threads_.size(); ++i) {
    running.emplace_back([&thread = *threads_[i]] { thread.Run(); });
  }
  threads_.front()->Run();
  for (std::thread& thread : running) thread.join();
  return Stop();
}

absl::Status Server::Stop() {
  // First: a worker, or a call of the side ports, may wait for a store that hangs.
  tasks_->CancelAll();
  node_->Stop();
  side_ports_->Stop();
  commands_->stopping = true;
  workers_->Stop();
  const absl::Status synced = engine_->log().SyncTo(engine_->last_end());
  if (!synced.ok()) spdlog::warn("The log can't be synced: {}", Message(synced));
  for (const std::unique_ptr<IoThread>& thread : threads_) thread->CloseSessions();
  tasks_.reset();
  if (const std::string path = config_.Text("pidfile"); !path.empty()) ::unlink(path.c_str());
  absl::Status closed = engine_->Close();
  if (closed.ok()) {
    spdlog::info("Everything is on disk, bye");
  } else {
    spdlog::warn("The store could not be written out: {}. The log has everything; the next start replays it",
                 Message(closed));
  }
  return closed;
}

bool Server::EnterPhase(StopPhase phase) {
  StopPhase before = stop_phase_.load();
  while (before < phase && !stop_phase_.compare_exchange_weak(before, phase)) {
  }
  return before < phase;
}

void Server::Shutdown(commands::StopMode mode) {
  scripts_.StopAll();
  if (mode == commands::StopMode::kAtOnce) {
    StopThreads();
  } else if (EnterPhase(StopPhase::kFlushing)) {
    FlushThenStop();
  }
}

// What each I/O thread runs here comes after the turn in which it may have begun a write, and no later turn begins one.
void Server::FlushThenStop() {
  clients_.PauseForStop();
  engine_->SetActiveExpire(false);
  const auto left = std::make_shared<std::atomic<size_t>>(threads_.size());
  for (const std::unique_ptr<IoThread>& thread : threads_) {
    thread->Post([this, left] {
      if (left->fetch_sub(1) == 1) AwaitReplicas();
    });
  }
}

void Server::FlushTasks() {
  backup::FlushRequest request;
  request.timeout = std::chrono::milliseconds(config_.Integer("backup-shutdown-timeout"));
  if (request.timeout.count() == 0 || tasks_->Status().empty()) {
    StopThreads();
    return;
  }
  spdlog::info("Completing the archives before the end, for at most {} ms; another signal ends at once",
               request.timeout.count());
  const auto flush = tasks_->Flush(request, [this](const std::vector<backup::FlushOutcome>& outcomes) {
    ReportLoss(outcomes);
    StopThreads();
  });
  // The last task was stopped meanwhile.
  if (!flush.ok()) StopThreads();
}

void Server::StopThreads() {
  if (!EnterPhase(StopPhase::kStopping)) return;
  threads_.front()->Post([this] { listener_->Close(); });
  for (const std::unique_ptr<IoThread>& thread : threads_) thread->Stop();
}

void Server::RunInBackground(std::function<void()> job) { workers_->Run(std::move(job)); }

void Server::LogOfScript(int level, std::string_view text) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::debug, spdlog::level::info,
                                                   spdlog::level::warn};
  spdlog::log(kLevels[std::clamp(level, 0, 3)], "Script: {}", text);
}

}  // namespace tidemark::server
