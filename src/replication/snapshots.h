// The snapshots that a node holds for replicas: taken by the rule that no loop can come from (hold before mark, the
// mark inside the snapshot, a check before and after), shared by replicas that come close together, kept while a
// transfer that was cut may be taken up again, and over a restart.
//
//   1 lease = copy of the engine's own ─▶ 2 snapshot ─▶ 3 its LSN, is it held? ─▶ 4 lease raised to it ─▶ files served
//   …replica's own lease taken ─▶ 5 last user gone, or too old ─▶ lease released, files removed
//
// On disk: folder/snapshots/fullsync-<id>/, beside it fullsync-<id>.json with the offer; lease `snapshot:<id>`.
// Threads: every method from any.
#pragma once

#include <absl/functional/function_ref.h>

#include <chrono>
#include <map>
#include <optional>
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
    // Bytes a second over all transfers; 0: no limit.
    uint64_t rate = 0;
  };

  Snapshots(engine::Engine& engine, FileSystem& fs, Clock& clock, const Options& options);

  // Takes up what a former process left; removes what is not whole.
  absl::Status Load();
  // A snapshot for one more replica, new or shared. Its log from the LSN on is held until Release. Blocks.
  absl::StatusOr<SnapshotOffer> Acquire(const History& history);
  // The one of this id, for a replica that goes on; nullopt when it is gone.
  std::optional<SnapshotOffer> Resume(const std::string& id);
  bool Has(const std::string& id) const;
  // The replica is done with it, or away (it may come back while the snapshot is kept).
  void Release(const std::string& id, bool done);
  // Removes what nobody has used for too long.
  void RemoveIdle();
  // Removes all: the log that they belong to goes.
  void RemoveAll();

  // As Feed::ReadFile. `sent`: told of bytes given.
  absl::Status ReadFile(const std::string& id, const std::string& name, uint64_t offset,
                        absl::FunctionRef<absl::Status(const FilePart&)> give, absl::FunctionRef<void(uint64_t)> sent);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct Held {
    SnapshotOffer offer;
    int users = 0;
    SteadyTime made;
    SteadyTime used;
  };

  absl::StatusOr<SnapshotOffer> Take(const History& history);
  absl::StatusOr<SnapshotOffer> TakeHeld(const std::string& id, const History& history);
  void Remove(const std::string& id);
  void Throttle(uint64_t bytes);

  engine::Engine& engine_;
  FileSystem& fs_;
  Clock& clock_;
  const Options options_;
  Mutex take_mutex_;  // one is taken at a time; held over the taking
  mutable Mutex mutex_;
  std::map<std::string, Held> held_ ABSL_GUARDED_BY(mutex_);
  Mutex rate_mutex_;
  SteadyTime next_send_ ABSL_GUARDED_BY(rate_mutex_);
};

}  // namespace tidemark::replication
