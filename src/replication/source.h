// The feed of a node: what its replicas get, from its own log and its snapshots. Knows nothing of connections.
//
// A replica's lease `replica:<id>` is taken before it is told a position, follows what it has made durable, and stays
// when it goes away, until its caps break it. One that broke is taken anew once its replica has come close again.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/identity.h"
#include "replication/feed.h"
#include "replication/join.h"
#include "replication/replicas.h"
#include "replication/snapshots.h"

namespace tidemark::replication {

struct SourceOptions {
  Snapshots::Options snapshots;
  // Caps of a replica's lease; 0: none.
  uint64_t lease_max_bytes = 0;
  uint64_t lease_max_age_micros = 86'400'000'000;
  // Whether replicas may be sent to an archive for what the log lacks.
  std::function<bool()> has_archive = [] { return false; };
  // How often a replica hears from this node while nothing is written.
  std::chrono::milliseconds heartbeat{1000};
  // For tests, which prove by it that their checks find the fault: replicas hold no lease.
  bool sabotage_no_lease = false;
  std::function<void(const std::string&)> report = [](const std::string&) {};
};

// The steps of an identity, its own last.
History HistoryOf(const engine::Identity& identity);

class Source final : public Feed {
 public:
  Source(engine::Engine& engine, FileSystem& fs, Clock& clock, Replicas& replicas, std::string node_id,
         const SourceOptions& options);

  absl::Status Load() { return snapshots_.Load(); }
  // While closed nobody joins, and those who are there are dropped: `reason` is what they are told. Waits for joins
  // under way. Not within a join.
  void Close(const std::string& reason);
  void Open();
  // Ends transfers that wait for the rate limit. After Close, for good.
  void Stop() { snapshots_.Stop(); }
  // Forgets what hangs on the log that goes: snapshots. Closed, and before Engine::Reopen.
  void LetGo();
  // Tells the replica to take over, once everything before was sent; again when it comes back, since the word may have
  // been lost, until this node follows somebody or is a primary anew (SetPrimary).
  void HandOver(const std::string& replica);
  // Removes snapshots that nobody needs and replicas whose lease has broken. Now and then.
  void Tidy();
  // The primary that this node follows, which must not follow it; empty: none. A hand-over is over with it.
  void SetPrimary(const std::string& node_id);
  // At a promotion: holds the log from the end on for the former primary, as for a replica that is away; it comes back
  // as one, perhaps after more was written than the log keeps by itself. Nothing when no primary was met.
  absl::Status HoldForFormerPrimary();

  // Bytes a second that all full syncs together may send; 0: no limit. Any thread.
  void SetSyncRate(uint64_t rate) { snapshots_.SetRate(rate); }
  // Caps of replicas' leases, those that are held included. Any thread; waits for the disk.
  void SetLeaseCaps(uint64_t bytes, uint64_t age_micros);

  absl::StatusOr<std::unique_ptr<FeedSession>> Join(const Hello& hello, const std::string& peer) override;
  absl::Status ReadFile(const std::string& snapshot, const std::string& name, uint64_t offset,
                        absl::FunctionRef<absl::Status(const FilePart&)> give) override;

 private:
  friend class SourceSession;

  absl::Status Admit(const Hello& hello);
  absl::StatusOr<std::unique_ptr<FeedSession>> JoinAdmitted(const Hello& hello, const std::string& peer);
  absl::StatusOr<Holdings> Look(const Hello& hello);
  absl::StatusOr<Decision> DecideAndHold(const Hello& hello, const Holdings& own);
  void Tell(const Hello& hello, const Endpoint& address, const Decision& decision);
  absl::Status HoldLog(const std::string& replica, Lsn from);
  // What the replica has made durable it needs no more. `connection`: what it says over an older one does not count.
  void Acknowledged(const std::string& replica, uint64_t connection, const Ack& ack);
  bool IsHeir(const std::string& replica) const;
  bool RecordsAgree(Lsn at, uint32_t last_crc);
  absl::Status FillFullSync(const Hello& hello, const Decision& decision, Welcome* welcome);

  engine::Engine& engine_;
  Replicas& replicas_;
  const std::string node_id_;
  const SourceOptions options_;
  std::atomic<uint64_t> lease_max_bytes_{options_.lease_max_bytes};
  std::atomic<uint64_t> lease_max_age_micros_{options_.lease_max_age_micros};
  Snapshots snapshots_;

  mutable Mutex mutex_;
  std::string closed_ ABSL_GUARDED_BY(mutex_) = "the node is starting";
  std::string primary_ ABSL_GUARDED_BY(mutex_);
  CondVar joined_;
  std::set<std::string> joining_ ABSL_GUARDED_BY(mutex_);  // replicas
  std::string heir_ ABSL_GUARDED_BY(mutex_);               // the replica that is to take over; empty: none
  // Orders a replica's lease: what an old connection says never comes after a new one's hold.
  Mutex lease_mutex_;
};

}  // namespace tidemark::replication
