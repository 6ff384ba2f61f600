// One schedule of three nodes: a primary that writes and purges without pause with the smallest log there is, replicas
// that join, stall and die, connections cut anywhere, hand-overs, and failovers after a death. Engines, logs, nodes and
// their threads are the product's own; order and time are those of the world that it runs in (sim_cluster_threads.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "replication/testing.h"

namespace tidemark::replication {

// What is done wrong, to prove that the checks would see it.
enum class Sabotage : uint8_t {
  kNone,
  kNoLease,          // the primary holds no log for the replica
  kMarkBeforeHold,   // a snapshot's position is read before the log is held
  kPromoteWhoLacks,  // a failover goes to the replica that has less
};

class ClusterSchedule {
 public:
  explicit ClusterSchedule(uint64_t seed, Sabotage sabotage = Sabotage::kNone);
  ~ClusterSchedule();

  // What was found wrong; empty when nothing was.
  std::string Run();
  // What the nodes reported, a line each.
  std::string Sayings() { return hosts_.Sayings(); }

 private:
  uint64_t Below(uint64_t bound);
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  void Wrong(const std::string& what);
  bool going_well() const { return wrong_.empty(); }

  void WriteUntilTheEnd();
  void Write();
  void WriteConfirmed();
  void Pause(uint64_t most_ms);
  void Step();
  void CutSomething();
  void CrashReplica();
  void RestartPrimary();
  void HandOver();
  void FailOver();
  void LetThePurgeTry(Host& host);

  Host& AReplica();
  std::vector<Host*> Replicas();
  void Follow(Host& host, const Endpoint& to);
  void FollowPrimary(Host& host);
  void CountSyncs(Host& host);

  void CheckLeases();
  void CheckTheEnd();
  void CheckConfirmed();
  void CheckLogs();

  uint64_t seed_;
  const Sabotage sabotage_;
  Hosts hosts_;
  std::vector<Host*> all_;

  // Held by the writer while it writes, and by steps that take the primary away from it.
  Mutex mutex_;
  CondVar changed_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  Host* primary_ ABSL_GUARDED_BY(mutex_) = nullptr;
  uint64_t writes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, uint64_t> confirmed_ ABSL_GUARDED_BY(mutex_);  // the last write that a replica said it has

  uint64_t full_syncs_ = 0;
  uint64_t full_syncs_allowed_ = 0;
  std::string wrong_;
};

}  // namespace tidemark::replication
