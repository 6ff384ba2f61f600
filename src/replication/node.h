// One node's part in replication: primary or replica, and the way from one to the other. Everything that blocks happens
// on the node's own thread, in the order it was asked for; what commands see changes at once.
//
//   Follow   writes are refused ─▶ everything that writes stops (hooks.stop_writing) ─▶ link to the primary
//   Promote  writes wait ─▶ link ends ─▶ the log is synced ─▶ new timeline, its identity a record, synced ─▶
//            role written down ─▶ hooks.start_writing ─▶ writes go on
//   Failover writes wait ─▶ a replica has everything ─▶ it is told to take over ─▶ Follow it
//
// The role is kept in folder/replication.json: a node that was a replica comes back as one.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "engine/engine.h"
#include "replication/follower.h"
#include "replication/link.h"
#include "replication/psync_port.h"
#include "replication/replication.h"
#include "replication/source.h"

namespace tidemark::replication {

// What the role of a node is, over restarts.
struct Remembered {
  std::string node_id;
  std::optional<Endpoint> primary;
};
// A new node id and no primary when there is nothing yet. DATA_LOSS, naming the file, when it is damaged.
absl::StatusOr<Remembered> ReadRemembered(FileSystem& fs, const std::string& folder);

// What only the composition root can do. All block and are called on the node's threads.
struct NodeHooks {
  // Runs `job` at a moment at which no client's command is under way and none begins. UNAVAILABLE when the server
  // stops.
  std::function<absl::Status(absl::FunctionRef<void()> job)> exclusively;
  // Store and log of the engine are others now; clients' WATCHes and what hangs on positions of the log must go.
  std::function<void()> exchanged;
  // Stops and starts what writes beside clients: the backup tasks.
  std::function<void()> stop_writing;
  // From now on the engine refuses writes, so who waits to make one waits in vain. May be null.
  std::function<void()> refuses_writes;
  std::function<void()> start_writing;
  // A promotion takes over the archives: `adopt` gives `apply` what they have beyond the engine's end, and says whether
  // there was anything and the newest timeline they know; `announce` puts the next timeline into them, which fences the
  // former primary. Errors are told and do not stop the promotion. Null: there are none.
  struct Adopted {
    bool any = false;
    Timeline newest;
  };
  std::function<absl::StatusOr<Adopted>(absl::FunctionRef<absl::Status(std::string_view records)> apply)> adopt;
  std::function<absl::Status(const engine::Identity& former, const engine::Identity& next)> announce;
};

struct NodeOptions {
  std::string folder;
  Remembered remembered;
  uint64_t segment_size = 64ull << 20;
  std::function<Endpoint()> announced;        // read at each connection
  std::function<UpstreamOptions()> upstream;  // read at each connection
  Connect connect;
  // For a primary that is a Redis; null: there is none to be followed.
  ConnectBytes connect_redis;
  std::function<CommandSink*()> commands;
  SourceOptions source;
  std::chrono::milliseconds retry{1000};  // between two attempts to reach the primary
  NodeHooks hooks;
  ReadArchive read_archive;
  std::function<void(const std::string&)> report = [](const std::string&) {};
};

class Node final : public Replication {
 public:
  // Does nothing yet. Engine, file system and clock outlive it.
  Node(engine::Engine& engine, FileSystem& fs, Clock& clock, NodeOptions options);
  ~Node() override;

  // Takes up the remembered role; from here on the hooks are called.
  absl::Status Start();
  // Ends link, feed and waits. No replica is served any more. Before the engine closes.
  void Stop();

  Feed& feed() { return source_; }
  void SetSyncRate(uint64_t rate) { source_.SetSyncRate(rate); }
  void SetLeaseCaps(uint64_t bytes, uint64_t age_micros) { source_.SetLeaseCaps(bytes, age_micros); }
  // The engine's log is durable up to here. Cheap; from the log's sync thread.
  void DurableAdvanced(Lsn durable);

  Role role() const override { return role_.load(std::memory_order_relaxed); }
  bool writes_held() const override { return held_.load(std::memory_order_relaxed); }
  bool link_up() const override;
  replication::Status status() const override;
  void Follow(const Endpoint& primary) override;
  void Promote() override;
  size_t ReplicasWithin(std::chrono::seconds lag) const override { return replicas_.Within(lag); }
  uint64_t Wait(Lsn target, size_t replicas, bool durably, bool local, std::chrono::milliseconds timeout,
                std::function<void(const Waited&)> done) override;
  void CancelWait(uint64_t id) override { replicas_.CancelWait(id); }
  absl::Status Failover(const FailoverRequest& request) override;
  absl::Status AbortFailover() override;

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  // What the node is to be; nullopt in `primary`: the primary itself.
  struct Wish {
    std::optional<Endpoint> primary;
    bool redis = false;  // what the primary is
  };

  void Run();
  void BecomeReplica(const Endpoint& primary, bool redis);
  // The primary turned out to be, or not to be, a Redis.
  void FollowAs(const Endpoint& primary, bool redis);
  void StartPsync(const Endpoint& primary);
  // How far a Redis was followed is of no use any more once this node writes for itself.
  void ForgetPsync();
  void BecomePrimary();
  // Ends what a promotion held up, unless the next change of role, or a hand-over, has been asked for meanwhile.
  void LetWrite();
  absl::Status StartTimeline();
  engine::Identity TakeOverArchives(const engine::Identity& former);
  absl::Status ReadIdentity(std::optional<engine::Identity>* identity) const;
  void StartLink(const Endpoint& primary);
  absl::Status ReopenEngine(absl::FunctionRef<absl::Status(Lsn persisted)> between);
  absl::Status Remember(const std::optional<Endpoint>& primary);
  // The replica that a failover under way may go to now; nullopt: none yet.
  std::optional<ReplicaStatus> Heir(Lsn target) const;
  void RunFailover();
  void EndFailover(const std::string& why);

  engine::Engine& engine_;
  FileSystem& fs_;
  Clock& clock_;
  const NodeOptions options_;
  Replicas replicas_;
  Source source_;

  std::atomic<Role> role_;
  std::atomic<bool> held_{false};
  std::atomic<uint64_t> local_durable_{0};

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Wish> wish_ ABSL_GUARDED_BY(mutex_);
  std::optional<Endpoint> primary_ ABSL_GUARDED_BY(mutex_);
  // Of a replica: as of the last look; a promotion upstream comes with the records.
  mutable History history_ ABSL_GUARDED_BY(mutex_);
  std::optional<FailoverRequest> failover_ ABSL_GUARDED_BY(mutex_);
  FailoverState failover_state_ ABSL_GUARDED_BY(mutex_) = FailoverState::kNone;
  SteadyTime failover_until_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Follower> link_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace tidemark::replication
