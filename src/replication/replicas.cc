#include "replication/replicas.h"

#include <algorithm>
#include <utility>

namespace tidemark::replication {
namespace {

constexpr uint64_t kRepeatedWithinMicros = 600'000'000;
// What is longer waits for ever, as far as anybody can tell, and must not overflow a clock.
constexpr std::chrono::hours kLongestWait{24 * 365};

uint64_t WallMillis(Clock& clock) { return clock.WallMicros() / 1000; }

}  // namespace

Replicas::Replicas(Clock& clock) : clock_(clock), timer_([this] { TimerLoop(); }) {}

Replicas::~Replicas() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  timer_.join();
}

uint64_t Replicas::Connected(const std::string& id, const Endpoint& address, bool loading, std::function<void()> drop) {
  Supersede(id);
  const MutexLock lock(mutex_);
  Replica& replica = replicas_[id];
  replica.status.id = id;
  replica.status.acknowledged = {.written = {}, .durable = {}, .applied = {}, .loading = loading};
  replica.status.address = address;
  replica.status.connected = true;
  replica.status.loading = loading;
  replica.status.last_ack_ms = WallMillis(clock_);
  replica.connection = ++last_number_;
  replica.drop = std::move(drop);
  return replica.connection;
}

Replicas::Replica* Replicas::FindConnection(uint64_t connection) {
  if (connection == 0) return nullptr;  // that of all who are away
  const auto found = std::find_if(replicas_.begin(), replicas_.end(),
                                  [&](const auto& entry) { return entry.second.connection == connection; });
  return found == replicas_.end() ? nullptr : &found->second;
}

bool Replicas::IsCurrent(uint64_t connection) {
  const MutexLock lock(mutex_);
  return FindConnection(connection) != nullptr;
}

void Replicas::Acknowledged(uint64_t connection, const Ack& ack) {
  {
    const MutexLock lock(mutex_);
    Replica* replica = FindConnection(connection);
    if (replica == nullptr) return;
    replica->status.acknowledged = ack;
    replica->status.loading = ack.loading;
    replica->status.last_ack_ms = WallMillis(clock_);
  }
  if (waiting_.load() > 0) Settle(/*all=*/false);
}

void Replicas::Supersede(const std::string& id) {
  std::function<void()> drop;
  {
    const MutexLock lock(mutex_);
    const auto found = replicas_.find(id);
    if (found == replicas_.end() || found->second.connection == 0) return;
    drop = std::exchange(found->second.drop, nullptr);
    found->second.connection = 0;
    found->second.status.connected = false;
  }
  if (drop) drop();
}

void Replicas::Disconnected(uint64_t connection) {
  const MutexLock lock(mutex_);
  Replica* replica = FindConnection(connection);
  if (replica == nullptr) return;
  replica->connection = 0;
  replica->drop = nullptr;
  replica->status.connected = false;
}

void Replicas::DropAll() {
  std::vector<std::function<void()>> drops;
  {
    const MutexLock lock(mutex_);
    for (const auto& [id, replica] : replicas_) {
      if (replica.drop) drops.push_back(replica.drop);
    }
  }
  for (const auto& drop : drops) drop();
}

void Replicas::Forget(const std::string& id) {
  const MutexLock lock(mutex_);
  const auto found = replicas_.find(id);
  if (found != replicas_.end() && found->second.connection == 0) replicas_.erase(found);
}

bool Replicas::CountFullSync(const std::string& id) {
  const MutexLock lock(mutex_);
  Replica& replica = replicas_[id];
  replica.status.id = id;
  const uint64_t now = std::max<uint64_t>(clock_.MonotonicMicros(), 1);
  const bool repeated =
      replica.last_full_sync_micros != 0 && now - replica.last_full_sync_micros < kRepeatedWithinMicros;
  replica.last_full_sync_micros = now;
  ++counters_.full_syncs;
  if (repeated) ++counters_.repeated_full_syncs;
  return repeated;
}

void Replicas::CountPartialSync() {
  const MutexLock lock(mutex_);
  ++counters_.partial_syncs;
}

void Replicas::CountArchiveCatchUp() {
  const MutexLock lock(mutex_);
  ++counters_.archive_catch_ups;
}

void Replicas::CountSnapshotBytes(uint64_t bytes) {
  const MutexLock lock(mutex_);
  counters_.snapshot_bytes_sent += bytes;
}

Counters Replicas::counters() const {
  const MutexLock lock(mutex_);
  return counters_;
}

std::vector<ReplicaStatus> Replicas::status() const {
  const MutexLock lock(mutex_);
  std::vector<ReplicaStatus> all;
  all.reserve(replicas_.size());
  for (const auto& [id, replica] : replicas_) all.push_back(replica.status);
  return all;
}

size_t Replicas::Within(std::chrono::seconds lag) const {
  const MutexLock lock(mutex_);
  const uint64_t now = WallMillis(clock_);
  return static_cast<size_t>(std::count_if(replicas_.begin(), replicas_.end(), [&](const auto& entry) {
    const ReplicaStatus& status = entry.second.status;
    return status.connected && !status.loading &&
           now <= status.last_ack_ms + static_cast<uint64_t>(lag.count()) * 1000 + 999;
  }));
}

Replication::Waited Replicas::Reached(const Waiting& waiting) const {
  Replication::Waited waited;
  for (const auto& [id, replica] : replicas_) {
    const Ack& ack = replica.status.acknowledged;
    const bool has = (waiting.durably ? ack.durable : ack.written) >= waiting.target;
    // One that still takes a snapshot has the records beside its data: who promoted it would not find them.
    if (replica.status.connected && !replica.status.loading && has) ++waited.replicas;
  }
  waited.local = waiting.local_durable() >= waiting.target;
  return waited;
}

uint64_t Replicas::Wait(Lsn target, size_t replicas, bool durably, bool local, std::chrono::milliseconds timeout,
                        std::function<void(const Replication::Waited&)> done, std::function<Lsn()> local_durable) {
  uint64_t id = 0;
  {
    const MutexLock lock(mutex_);
    id = ++last_number_;
    const SteadyTime deadline =
        timeout.count() == 0 || timeout > kLongestWait ? SteadyTime::max() : std::chrono::steady_clock::now() + timeout;
    waits_[id] = {target, replicas, durably, local, deadline, std::move(done), std::move(local_durable)};
    waiting_ = waits_.size();
    changed_.SignalAll();
  }
  Settle(/*all=*/false);
  return id;
}

void Replicas::CancelWait(uint64_t id) {
  const MutexLock calling(calling_mutex_);
  const MutexLock lock(mutex_);
  waits_.erase(id);
  waiting_ = waits_.size();
}

void Replicas::Settle(bool all) {
  const MutexLock calling(calling_mutex_);
  std::vector<std::pair<std::function<void(const Replication::Waited&)>, Replication::Waited>> over;
  {
    const MutexLock lock(mutex_);
    const SteadyTime now = std::chrono::steady_clock::now();
    for (auto it = waits_.begin(); it != waits_.end();) {
      Waiting& waiting = it->second;
      const Replication::Waited reached = Reached(waiting);
      const bool enough = reached.replicas >= waiting.replicas && (!waiting.local || reached.local);
      if (!all && !enough && now < waiting.deadline) {
        ++it;
        continue;
      }
      over.emplace_back(std::move(waiting.done), reached);
      it = waits_.erase(it);
    }
    waiting_ = waits_.size();
  }
  for (auto& [done, waited] : over) done(waited);
}

void Replicas::LocalAdvanced() {
  if (waiting_.load() > 0) Settle(/*all=*/false);
}

void Replicas::EndWaits() { Settle(/*all=*/true); }

void Replicas::TimerLoop() {
  while (true) {
    {
      const MutexLock lock(mutex_);
      if (stopping_) return;
      SteadyTime next = SteadyTime::max();
      for (const auto& [id, waiting] : waits_) next = std::min(next, waiting.deadline);
      if (next == SteadyTime::max()) {
        changed_.Wait(mutex_);
        continue;
      }
      if (std::chrono::steady_clock::now() < next) {
        changed_.WaitUntil(mutex_, next);
        continue;
      }
    }
    Settle(/*all=*/false);
  }
}

}  // namespace tidemark::replication
