// The part of the composition root that changes with the node's role: what stops, what starts, and how store and log
// are exchanged under running connections.
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "backup/task_row.h"
#include "engine/identity.h"
#include "rpc/upstream.h"
#include "server/redis_connection.h"
#include "server/server.h"

namespace tidemark::server {
namespace {

constexpr std::chrono::milliseconds kLookForStop{100};
// A replica that was silent for longer is not waited for at a stop.
constexpr std::chrono::seconds kGoneAfter{10};

// Where threads wait while one of them has the server to itself.
struct Barrier {
  Mutex mutex;
  CondVar changed;
  size_t arrived ABSL_GUARDED_BY(mutex) = 0;
  bool open ABSL_GUARDED_BY(mutex) = false;

  void Arrive() {
    const MutexLock lock(mutex);
    ++arrived;
    changed.SignalAll();
    while (!open) changed.Wait(mutex);
  }
  void Open() {
    const MutexLock lock(mutex);
    open = true;
    changed.SignalAll();
  }
};

}  // namespace

// What the configuration names counts; else what the node was last.
absl::Status Server::ReadRole() {
  const std::string folder = std::filesystem::absolute(config_.Text("dir")).lexically_normal();
  TM_RETURN_IF_ERROR(FileSystem::Posix().CreateFolder(folder));
  TM_ASSIGN_OR_RETURN(remembered_, replication::ReadRemembered(FileSystem::Posix(), folder));
  std::istringstream words(config_.Text("replicaof"));
  replication::Endpoint primary;
  if (words >> primary.host >> primary.port) remembered_.primary = primary;
  return absl::OkStatus();
}

void Server::MakeNode() {
  replication::NodeOptions options;
  options.folder = std::filesystem::absolute(config_.Text("dir")).lexically_normal();
  options.remembered = remembered_;
  options.segment_size = static_cast<uint64_t>(config_.Integer("log-segment-size"));
  options.announced = [this] {
    const int64_t port = config_.Integer("replica-announce-port");
    return replication::Endpoint{.host = config_.Text("replica-announce-ip"),
                                 .port = static_cast<uint16_t>(port != 0 ? port : config_.Integer("port"))};
  };
  options.upstream = [this] {
    return replication::UpstreamOptions{.user = config_.Text("masteruser"),
                                        .password = config_.Text("masterauth"),
                                        .timeout = std::chrono::seconds(config_.Integer("repl-timeout"))};
  };
  options.connect = rpc::UpstreamOver({.certificate = config_.Text("tls-cert-file"),
                                       .key = config_.Text("tls-key-file"),
                                       .authority = config_.Text("tls-ca-cert-file")});
  options.connect_redis = RedisConnections();
  options.commands = [this] { return replicated_.get(); };
  options.source.report = [](const std::string& line) { spdlog::info("{}", line); };
  options.report = options.source.report;
  succession_ = std::make_unique<backup::Succession>(*engine_, FileSystem::Posix(), backup::ManagerOptions().open_store,
                                                     options.report);
  if (config_.Text("replica-seed") != "primary") {
    options.source.has_archive = [this] { return succession_->HasArchive(); };
    options.read_archive = [this](Timeline timeline, Lsn until, backup::Succession::Apply apply) {
      return succession_->Read(timeline, until, apply);
    };
  }
  options.hooks = Hooks();
  node_ = std::make_unique<replication::Node>(*engine_, FileSystem::Posix(), Clock::System(), std::move(options));
}

replication::NodeHooks Server::Hooks() {
  replication::NodeHooks hooks;
  hooks.exclusively = [this](absl::FunctionRef<void()> job) { return Exclusively(job); };
  hooks.exchanged = [this] { Exchanged(); };
  hooks.stop_writing = [this] {
    tasks_->Detach("this node is a replica, or on its way to be the primary: only a primary runs the backup tasks");
    ReleaseTaskLeases();
  };
  hooks.refuses_writes = [this] { blocked_.UnblockAll(clients_); };
  hooks.start_writing = [this] {
    succession_->Unlimit();
    if (const absl::Status attached = AttachTasks(); !attached.ok()) {
      spdlog::error("The backup tasks cannot be taken up: {}", Message(attached));
    }
    commands_->cluster_id = ClusterId();
  };
  hooks.adopt = [this](backup::Succession::Apply apply) -> absl::StatusOr<replication::NodeHooks::Adopted> {
    succession_->Limit(std::chrono::milliseconds(config_.Integer("promotion-fence-timeout-ms")));
    TM_ASSIGN_OR_RETURN(const backup::Succession::Adopted adopted, succession_->Adopt(apply));
    return replication::NodeHooks::Adopted{.any = adopted.any, .newest = adopted.newest};
  };
  hooks.announce = [this](const engine::Identity& former, const engine::Identity& next) {
    return succession_->Announce(former, next, Clock::System().WallMicros());
  };
  return hooks;
}

// Nobody here raises them any more: they would hold the log of this node for ever.
void Server::ReleaseTaskLeases() {
  for (const log::Lease& lease : engine_->log().Leases()) {
    if (!lease.name.starts_with(backup::kLeasePrefix)) continue;
    if (const absl::Status released = engine_->log().ReleaseLease(lease.name); !released.ok()) {
      spdlog::warn("Lease {} cannot be released: {}", lease.name, Message(released));
    }
  }
}

absl::Status Server::Exclusively(absl::FunctionRef<void()> job) {
  const MutexLock one(exclusive_mutex_);
  // A slow script would hold its worker, and nobody could end it while the I/O threads wait.
  scripts_.StopAll();
  const auto allow_scripts = std::shared_ptr<void>(nullptr, [this](void*) { scripts_.AllowAgain(); });
  const auto barrier = std::make_shared<Barrier>();
  for (const std::unique_ptr<IoThread>& thread : threads_) {
    thread->Post([barrier] { barrier->Arrive(); });
  }
  {
    const MutexLock lock(barrier->mutex);
    while (barrier->arrived < threads_.size() && stop_phase_.load() != StopPhase::kStopping) {
      barrier->changed.WaitUntil(barrier->mutex, std::chrono::steady_clock::now() + kLookForStop);
    }
    if (barrier->arrived < threads_.size()) {
      barrier->open = true;
      barrier->changed.SignalAll();
      return Errorf(absl::StatusCode::kUnavailable, "the server is shutting down");
    }
  }
  workers_->Pause();
  for (const std::unique_ptr<IoThread>& thread : threads_) thread->CloseStreams();
  job();
  workers_->Resume();
  barrier->Open();
  return absl::OkStatus();
}

// So that a clean stop followed by a failover loses nothing, however the replicas lag.
void Server::AwaitReplicas() {
  const std::chrono::milliseconds patience = std::chrono::seconds(config_.Integer("shutdown-timeout"));
  const size_t replicas = node_->ReplicasWithin(kGoneAfter);
  if (node_->role() == replication::Role::kReplica || replicas == 0 || patience.count() == 0) return FlushTasks();
  const Lsn end = engine_->last_end();
  engine_->EndTurn();
  engine_->log().RequestSync(end);
  node_->Wait(end, replicas, /*durably=*/false, /*local=*/false, patience,
              [this, replicas](const replication::Replication::Waited& waited) {
                if (waited.replicas < replicas) {
                  spdlog::warn("{} of {} replicas lack writes at the end", replicas - waited.replicas, replicas);
                }
                FlushTasks();
              });
}

void Server::ConnectToLog() {
  engine_->log().SetDurableListener([this](Lsn durable) {
    for (const std::unique_ptr<IoThread>& thread : threads_) thread->DurableAdvanced();
    node_->DurableAdvanced(durable);
  });
}

void Server::Exchanged() {
  ConnectToLog();
  ApplyLogSettings();
  const auto databases = static_cast<uint16_t>(config_.Integer("databases"));
  for (uint16_t db = 0; db < databases; ++db) changes_.OnContentsReplaced(DbIndex{db});
  tracking_.TellChanges(nullptr);
  for (const std::unique_ptr<IoThread>& thread : threads_) thread->CloseWaiting();
  commands_->cluster_id = ClusterId();
}

std::string Server::ClusterId() {
  std::string id;
  const absl::Status read = engine_->Read(kv::Tier::kDisk, [&](kv::Txn& txn) -> absl::Status {
    TM_ASSIGN_OR_RETURN(const std::optional<engine::Identity> identity, engine::ReadIdentity(txn));
    if (identity) id = IdToHex(identity->cluster_id);
    return absl::OkStatus();
  });
  if (!read.ok()) spdlog::error("The cluster's identity cannot be read: {}", Message(read));
  return id;
}

}  // namespace tidemark::server
