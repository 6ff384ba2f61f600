// The snapshots that a node holds for replicas: taken by the rule that no loop can come from (hold before mark, the
// mark inside the snapshot, a check before and after), shared by replicas that come close together, kept while a
// transfer that was cut may be taken up again, and over a restart.
//
//   1 lease = copy of the engine's own ─▶ 2 snapshot ─▶ 3 its LSN, is it held? ─▶ 4 lease raised to it ─▶ files served
//   …replica's own lease taken ─▶ 5 too old to be shared ─▶ lease released ─▶ 6 every reader done, or idle ─▶ removed
//
// From 5 on each replica that still reads the files holds the log that it needs by its own lease, which follows what it
// has received: a transfer of hours holds no hours of log.
//
// On disk: folder/snapshots/fullsync-<id>/, beside it fullsync-<id>.json with the offer, its files and its readers;
// lease `snapshot:<id>`.
// Threads: every method from any.
#pragma once

#include <absl/functional/function_ref.h>

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/mutex.h"
#include "engine/engine.h"
#include "env/clock.h"
#include "replication/wire.h"

namespace tidemark::replication {

class Snapshots {
 public:
  struct Options {
    // A snapshot that nobody reads is kept so long for those that were cut off.
    std::chrono::seconds idle_max{600};
    // One that is older is not given to another replica.
    std::chrono::seconds share_max{300};
    // For tests, which prove by it that their checks find the fault: the snapshot is made before the log is held.
    bool sabotage_mark_before_hold = false;
    // For tests: runs after the snapshot was made, before its LSN is looked at.
    std::function<void()> after_mark;
  };

  Snapshots(engine::Engine& engine, FileSystem& fs, Clock& clock, const Options& options);

  // Takes up what a former process left; removes what is not whole.
  absl::Status Load();
  // A snapshot for one more replica, new or shared. Its log from the LSN on is held for share_max, in which the
  // replica's own lease is to be taken. Blocks.
  absl::StatusOr<SnapshotOffer> Acquire(const std::string& replica, const History& history);
  // The one of this id, for a replica that goes on; nullopt when it is gone.
  std::optional<SnapshotOffer> Resume(const std::string& id, const std::string& replica);
  bool Has(const std::string& id, const std::string& replica) const;
  // The replica has begun with it. True once for each Acquire: the offer that came before may have been lost.
  bool Begun(const std::string& id, const std::string& replica);
  // The connection that came by Acquire or Resume has ended. Its replica may come back while the snapshot is kept.
  void Release(const std::string& id);
  // The replica needs no snapshot any more: those that nobody else reads are removed.
  void Done(const std::string& replica);
  // Removes what nobody has used for too long; lets the log go of what is too old to be shared.
  void RemoveIdle();
  // Bytes a second over all transfers, those under way included; 0: no limit.
  void SetRate(uint64_t rate);
  // Ends transfers that wait for the rate limit, now and for ever.
  void Stop();
  // Removes all: the log that they belong to goes.
  void RemoveAll();

  // As Feed::ReadFile. `sent`: told of bytes given.
  absl::Status ReadFile(const std::string& id, const std::string& name, uint64_t offset,
                        absl::FunctionRef<absl::Status(const FilePart&)> give, absl::FunctionRef<void(uint64_t)> sent);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct Held {
    SnapshotOffer offer;
    int users = 0;                  // connections
    std::set<std::string> readers;  // replicas that have not got all of it
    std::set<std::string> begun;    // those of them that have said so
    bool leased = true;
    SteadyTime made;
    SteadyTime used;
  };

  absl::StatusOr<SnapshotOffer> Take(const History& history);
  absl::Status HoldAsEngine(const std::string& id);
  absl::StatusOr<SnapshotOffer> TakeHeld(const std::string& id, const History& history);
  void Remove(const std::string& id);
  bool Shareable(const Held& held) const;
  absl::Status WriteDown(const Held& held);
  // CANCELLED after Stop.
  absl::Status Throttle(uint64_t bytes);

  engine::Engine& engine_;
  FileSystem& fs_;
  Clock& clock_;
  const Options options_;
  Mutex take_mutex_;  // one is taken at a time; held over the taking
  mutable Mutex mutex_;
  std::map<std::string, Held> held_ ABSL_GUARDED_BY(mutex_);
  Mutex rate_mutex_;
  CondVar rate_changed_;
  uint64_t rate_ ABSL_GUARDED_BY(rate_mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(rate_mutex_) = false;
  SteadyTime next_send_ ABSL_GUARDED_BY(rate_mutex_);
};

}  // namespace tidemark::replication
