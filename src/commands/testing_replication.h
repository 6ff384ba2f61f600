// A node whose role, link and replicas the test chooses: what commands make of replication::Replication, without one.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "replication/replication.h"

namespace tidemark::commands::testing {

class FakeReplication : public replication::Replication {
 public:
  struct Waiting {
    Lsn target;
    size_t replicas = 0;
    bool durably = false;
    bool local = false;
    std::chrono::milliseconds timeout{0};
    std::function<void(const Waited&)> done;
  };

  replication::Role role() const override { return now.role; }
  bool writes_held() const override { return held; }
  replication::Status status() const override { return now; }
  bool link_up() const override { return now.link && now.link->state == replication::LinkState::kConnected; }

  void Follow(const replication::Endpoint& primary) override {
    calls.push_back(fmt::format("follow {}:{}", primary.host, primary.port));
    if (!can_follow) return;
    now.role = replication::Role::kReplica;
    now.link.emplace();
    now.link->primary = primary;
  }
  void Promote() override {
    calls.emplace_back("promote");
    now.role = replication::Role::kPrimary;
    now.link.reset();
  }
  size_t ReplicasWithin(std::chrono::seconds lag) const override {
    ++asked_for_replicas;
    asked_lag = lag;
    return replicas_within;
  }

  uint64_t Wait(Lsn target, size_t replicas, bool durably, bool local, std::chrono::milliseconds timeout,
                std::function<void(const Waited&)> done) override {
    waits[++last_wait] = {target, replicas, durably, local, timeout, std::move(done)};
    return last_wait;
  }
  void CancelWait(uint64_t id) override { waits.erase(id); }
  // Ends a wait.
  void Finish(uint64_t id, const Waited& waited) {
    const auto done = std::move(waits[id].done);
    waits.erase(id);
    done(waited);
  }

  absl::Status Failover(const replication::FailoverRequest& request) override {
    calls.push_back(fmt::format("failover {} {} {}",
                                request.to ? fmt::format("{}:{}", request.to->host, request.to->port) : "-",
                                request.timeout.count(), request.force));
    return next;
  }
  absl::Status AbortFailover() override {
    calls.emplace_back("abort");
    return next;
  }

  // A replica that is connected, has acknowledged up to `written` and synced up to `durable`.
  replication::ReplicaStatus& AddReplica(const std::string& host, uint16_t port, Lsn written = {}, Lsn durable = {}) {
    replication::ReplicaStatus replica;
    replica.id = fmt::format("{:032x}", port);
    replica.address = {host, port};
    replica.connected = true;
    replica.acknowledged = {.written = written, .durable = durable, .applied = durable};
    now.replicas.push_back(std::move(replica));
    return now.replicas.back();
  }

  replication::Status now;
  bool held = false;
  bool can_follow = true;
  size_t replicas_within = 0;
  mutable int asked_for_replicas = 0;
  mutable std::chrono::seconds asked_lag{0};
  absl::Status next;  // what the next calls return
  std::vector<std::string> calls;
  std::map<uint64_t, Waiting> waits;
  uint64_t last_wait = 0;
};

}  // namespace tidemark::commands::testing
