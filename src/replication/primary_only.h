// A node without replicas that cannot follow: replication as a single node has it. What clients see of replication
// stands on the interface alone, and this is the least that it can be.
#pragma once

#include <absl/base/thread_annotations.h>

#include <map>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "engine/engine.h"
#include "replication/replication.h"

namespace tidemark::replication {

class PrimaryOnly final : public Replication {
 public:
  using Run = std::function<void(std::function<void()> job)>;

  // `run` runs a job, which may block, on another thread. The engine outlives this object, and this object every job.
  PrimaryOnly(engine::Engine& engine, std::string node_id, const TimelineStep& timeline, Run run)
      : engine_(engine), node_id_(std::move(node_id)), timeline_(timeline), run_(std::move(run)) {}

  Role role() const override { return Role::kPrimary; }
  bool writes_held() const override { return false; }
  bool link_up() const override { return false; }
  replication::Status status() const override {
    replication::Status status;
    status.node_id = node_id_;
    status.history = {timeline_};
    status.end = engine_.last_end();
    return status;
  }

  // Stays the primary: role() says so to whoever asked for something else.
  void Follow(const Endpoint& /*primary*/) override {}
  void Promote() override {}

  size_t ReplicasWithin(std::chrono::seconds /*lag*/) const override { return 0; }

  // No replica will ever acknowledge, so only the own log is waited for, however long its next sync takes.
  uint64_t Wait(Lsn target, size_t /*replicas*/, bool /*durably*/, bool local, std::chrono::milliseconds /*timeout*/,
                std::function<void(const Waited&)> done) override {
    const bool durable = engine_.log().durable() >= target;
    if (durable || !local) {
      done({.replicas = 0, .local = durable});
      return 0;
    }
    uint64_t id = 0;
    {
      const MutexLock lock(mutex_);
      id = ++last_wait_;
      waits_[id] = std::move(done);
    }
    run_([this, id, target] { Finish(id, engine_.log().SyncTo(target).ok()); });
    return id;
  }
  void CancelWait(uint64_t id) override {
    const MutexLock lock(mutex_);
    waits_.erase(id);
  }

  absl::Status Failover(const FailoverRequest& /*request*/) override {
    return absl::FailedPreconditionError("ERR FAILOVER requires connected replicas.");
  }
  absl::Status AbortFailover() override { return absl::FailedPreconditionError("ERR No failover in progress."); }

 private:
  // Under the lock, so that a wait that was cancelled is over for good.
  void Finish(uint64_t id, bool durable) {
    const MutexLock lock(mutex_);
    const auto found = waits_.find(id);
    if (found == waits_.end()) return;
    found->second({.replicas = 0, .local = durable});
    waits_.erase(found);
  }

  engine::Engine& engine_;
  const std::string node_id_;
  const TimelineStep timeline_;
  const Run run_;
  Mutex mutex_;
  uint64_t last_wait_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, std::function<void(const Waited&)>> waits_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::replication
