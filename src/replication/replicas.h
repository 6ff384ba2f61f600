// The replicas of this node: how far each has come, who waits for them, and who needed a snapshot when.
//
// Threads: every method from any; one thread of its own ends the waits whose time is over.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "env/clock.h"
#include "replication/replication.h"

namespace tidemark::replication {

class Replicas {
 public:
  explicit Replicas(Clock& clock);
  ~Replicas();
  Replicas(const Replicas&) = delete;
  Replicas& operator=(const Replicas&) = delete;

  // A replica has joined; `drop` ends this connection, and is called when the same replica joins again, or from
  // DropAll. It must not block. Returns a number for what follows. What the replica acknowledged over a former
  // connection counts no more: it may have lost it since.
  uint64_t Connected(const std::string& id, const Endpoint& address, bool loading, std::function<void()> drop);
  // Of a connection that has ended, or was taken the place of, it counts no more.
  void Acknowledged(uint64_t connection, const Ack& ack);
  bool IsCurrent(uint64_t connection);
  void Disconnected(uint64_t connection);
  // Ends the connection of this replica, if there is one: another takes its place.
  void Supersede(const std::string& id);
  // Ends every connection.
  void DropAll();
  // The replica's lease is gone for good: nothing of it is left to show.
  void Forget(const std::string& id);

  // A replica begins a new snapshot. Counts one within ten minutes of the last as repeated; true then.
  bool CountFullSync(const std::string& id);
  void CountPartialSync();
  void CountArchiveCatchUp();
  void CountSnapshotBytes(uint64_t bytes);
  Counters counters() const;

  std::vector<ReplicaStatus> status() const;
  size_t Within(std::chrono::seconds lag) const;

  // As Replication::Wait; `local_durable` is asked for the own log's position.
  uint64_t Wait(Lsn target, size_t replicas, bool durably, bool local, std::chrono::milliseconds timeout,
                std::function<void(const Replication::Waited&)> done, std::function<Lsn()> local_durable);
  void CancelWait(uint64_t id);
  // The own log is durable further: looks at the waits again.
  void LocalAdvanced();
  // This node takes no more writes: every wait ends with what it has.
  void EndWaits();

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct Replica {
    ReplicaStatus status;
    uint64_t connection = 0;
    std::function<void()> drop;
    uint64_t last_full_sync_micros = 0;  // monotonic; 0: never
  };
  struct Waiting {
    Lsn target;
    size_t replicas = 0;
    bool durably = false;
    bool local = false;
    SteadyTime deadline;
    std::function<void(const Replication::Waited&)> done;
    std::function<Lsn()> local_durable;
  };

  Replication::Waited Reached(const Waiting& waiting) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes out the waits that are over (all of them with `all`) and calls them without the lock.
  void Settle(bool all) ABSL_LOCKS_EXCLUDED(mutex_);
  Replica* FindConnection(uint64_t connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TimerLoop();

  Clock& clock_;
  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Replica> replicas_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Waiting> waits_ ABSL_GUARDED_BY(mutex_);
  std::atomic<size_t> waiting_{0};
  Counters counters_ ABSL_GUARDED_BY(mutex_);
  // Held while callbacks run, so that CancelWait returns after one under way.
  Mutex calling_mutex_;
  std::thread timer_;
};

}  // namespace tidemark::replication
