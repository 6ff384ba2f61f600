#include "sim_cluster_world.h"

#include <algorithm>

#include "sim_cluster_threads.h"

namespace tidemark::replication {
namespace {

// Numbers of writes stand in front of their values.
std::string ValueOf(uint64_t write) {
  return fmt::format("{} {}", write, std::string(150 + write * 37 % 700, static_cast<char>('a' + write % 26)));
}
std::string KeyOf(uint64_t write) { return fmt::format("key{}", write * 7919 % 200); }

}  // namespace

ClusterSchedule::ClusterSchedule(uint64_t seed, Sabotage sabotage) : seed_(seed), sabotage_(sabotage) {
  for (int i = 0; i < 3; ++i) all_.push_back(&hosts_.Add());
  for (Host* host : all_) {
    host->source.sabotage_no_lease = sabotage == Sabotage::kNoLease;
    host->source.snapshots.sabotage_mark_before_hold = sabotage == Sabotage::kMarkBeforeHold;
    host->source.snapshots.after_mark = [this, host] { LetThePurgeTry(*host); };
    if (OneIn(3)) host->source.snapshots.share_max = std::chrono::seconds(0);
    host->retry = std::chrono::milliseconds(1 + Below(20));
  }
}

ClusterSchedule::~ClusterSchedule() = default;

uint64_t ClusterSchedule::Below(uint64_t bound) { return sim::Chance(bound); }

void ClusterSchedule::Wrong(const std::string& what) {
  if (wrong_.empty()) wrong_ = what;
}

std::string ClusterSchedule::Run() {
  for (Host* host : all_) host->Start();
  if (testing::Test::HasFatalFailure()) return "a node did not start";
  {
    const MutexLock lock(mutex_);
    primary_ = all_[0];
    primary_->MakePrimary();
    for (int i = 0; i < 40; ++i) Write();
  }
  const bool foreign = OneIn(5);  // it has data of its own, of another cluster
  if (foreign) all_[1]->MakePrimary();
  FollowPrimary(*all_[1]);
  if (!foreign && OneIn(4)) {
    Follow(*all_[2], all_[1]->endpoint());  // a chain
  } else {
    FollowPrimary(*all_[2]);
  }
  std::thread writer([this] { WriteUntilTheEnd(); });
  const uint64_t steps = 2 + Below(8);
  for (uint64_t i = 0; i < steps && going_well(); ++i) {
    Step();
    Pause(12);
    CheckLeases();
  }
  {
    const MutexLock lock(mutex_);
    over_ = true;
    changed_.SignalAll();
  }
  writer.join();
  if (going_well()) CheckTheEnd();
  if (going_well() && testing::Test::HasFailure()) Wrong("an expectation failed");
  return wrong_;
}

void ClusterSchedule::Write() {
  const uint64_t write = ++writes_;
  primary_->Set(KeyOf(write), ValueOf(write)).IgnoreError();
}

// What a replica has said that it has survives any failover, since the one that has most takes over.
void ClusterSchedule::WriteConfirmed() {
  const uint64_t write = ++writes_;
  if (!primary_->Set(KeyOf(write), ValueOf(write)).ok()) return;
  const Lsn end = primary_->end();
  primary_->engine().log().RequestSync(end);
  struct Answer {
    Mutex mutex;
    CondVar changed;
    std::optional<size_t> replicas;
  };
  const auto answer = std::make_shared<Answer>();
  const size_t wanted = 1 + Below(2);
  primary_->node().Wait(end, wanted, OneIn(2), false, std::chrono::milliseconds(20),
                        [answer](const Replication::Waited& waited) {
                          const MutexLock lock(answer->mutex);
                          answer->replicas = waited.replicas;
                          answer->changed.SignalAll();
                        });
  const MutexLock lock(answer->mutex);
  while (!answer->replicas) answer->changed.Wait(answer->mutex);
  if (*answer->replicas >= wanted) confirmed_[KeyOf(write)] = write;
}

void ClusterSchedule::WriteUntilTheEnd() {
  for (;;) {
    const MutexLock lock(mutex_);
    if (over_) return;
    if (primary_->up()) {
      for (uint64_t i = Below(8); i > 0; --i) Write();
      if (OneIn(4)) WriteConfirmed();
    }
    changed_.WaitUntil(mutex_, std::chrono::steady_clock::now() + std::chrono::milliseconds(1 + Below(3)));
  }
}

void ClusterSchedule::LetThePurgeTry(Host& host) {
  auto& log = host.engine().log();
  const Lsn marked = host.engine().store().persisted();
  Eventually([&] { return log.oldest() > marked; },
             std::chrono::milliseconds(sabotage_ == Sabotage::kMarkBeforeHold ? 500 : 3));
}

void ClusterSchedule::Pause(uint64_t most_ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(Below(most_ms + 1)));
}

std::vector<Host*> ClusterSchedule::Replicas() {
  const MutexLock lock(mutex_);
  std::vector<Host*> replicas;
  for (Host* host : all_) {
    if (host != primary_) replicas.push_back(host);
  }
  return replicas;
}

Host& ClusterSchedule::AReplica() { return *Replicas()[Below(2)]; }

void ClusterSchedule::Follow(Host& host, const Endpoint& to) {
  // Who has no data yet, or has them half, may take a snapshot of whom it is sent to.
  if (!host.node().link_up()) ++full_syncs_allowed_;
  host.node().Follow(to);
  if (!host.Remembers(to)) Wrong("the role is not written down");
}

void ClusterSchedule::FollowPrimary(Host& host) {
  Endpoint to;
  {
    const MutexLock lock(mutex_);
    to = primary_->endpoint();
  }
  Follow(host, to);
}

void ClusterSchedule::CutSomething() {
  Faults& faults = hosts_.network.faults;
  switch (Below(6)) {
    case 0:
      return faults.CutAt(Faults::At::kChunk, static_cast<int>(Below(10)));
    case 1:
      return faults.CutAt(Faults::At::kPart, static_cast<int>(Below(60)));
    case 2:
      faults.CutAt(Faults::At::kWelcome, 0);
      return faults.CutAt(Faults::At::kChunk, 0);
    case 3:
      return faults.CutAt(Faults::At::kJoin, 0);
    case 4:
      faults.CutAt(Faults::At::kConnect, 0);
      return faults.CutAt(Faults::At::kAck, static_cast<int>(Below(6)));
    default:
      return faults.LoseAcks(static_cast<int>(Below(4)));
  }
}

void ClusterSchedule::CrashReplica() {
  Host& host = AReplica();
  if (OneIn(3)) {
    host.refuse_exclusive = true;  // the next exchange is decided and not done
    Pause(12);
  }
  CountSyncs(host);
  host.Crash();
  if (OneIn(2)) Pause(60);
  host.Start();
}

void ClusterSchedule::RestartPrimary() {
  const MutexLock lock(mutex_);
  CountSyncs(*primary_);
  primary_->Restart();
}

void ClusterSchedule::CountSyncs(Host& host) { full_syncs_ += host.node().status().counters.full_syncs; }

void ClusterSchedule::HandOver() {
  const MutexLock lock(mutex_);
  Host* const from = primary_;
  if (!from->node().Failover({.to = {}, .timeout = std::chrono::milliseconds(200)}).ok()) return;
  // It ends: handed over, or given up in time.
  if (!Eventually([&] { return from->node().status().failover == FailoverState::kNone; })) {
    return Wrong("a hand-over never ended");
  }
  if (from->node().role() == Role::kPrimary) return;
  // The heir may have lost its connection just then, and is told again when it comes back.
  Eventually(
      [&] {
        for (Host* host : all_) {
          if (host->up() && host->node().role() == Role::kPrimary) primary_ = host;
        }
        return primary_ != from;
      },
      std::chrono::seconds(20));
  if (primary_ == from) return Wrong("a hand-over left nobody as the primary");
  for (Host* host : all_) {
    if (host != primary_ && host != from) Follow(*host, primary_->endpoint());
  }
}

// As Sentinel would: of the replicas that followed until the end, the one that has most is promoted, the others follow
// it, the dead one comes back as a replica.
void ClusterSchedule::FailOver() {
  const MutexLock lock(mutex_);
  Host* const dead = primary_;
  std::vector<Host*> left;
  for (Host* host : all_) {
    if (host != dead && host->node().link_up()) left.push_back(host);
  }
  if (left.size() < 2) return;
  for (uint64_t i = Below(4); i > 0; --i) WriteConfirmed();
  CountSyncs(*dead);
  dead->Crash();
  std::sort(left.begin(), left.end(), [](Host* a, Host* b) { return a->end() > b->end(); });
  primary_ = sabotage_ == Sabotage::kPromoteWhoLacks ? left[1] : left[0];
  Host* const other = primary_ == left[0] ? left[1] : left[0];
  primary_->node().Promote();
  if (!Eventually([&] { return primary_->node().role() == Role::kPrimary && !primary_->node().writes_held(); })) {
    return Wrong("a promotion never ended");
  }
  Follow(*other, primary_->endpoint());
  if (OneIn(2)) {
    for (int i = 0; i < 5; ++i) Write();
  }
  dead->Start();
  Follow(*dead, primary_->endpoint());
  // Each may have persisted what the new primary never had.
  full_syncs_allowed_ += 2;
}

void ClusterSchedule::Step() {
  switch (Below(9)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return CutSomething();
    case 4:
    case 5:
      return CrashReplica();
    case 6:
      return RestartPrimary();
    case 7:
      return HandOver();
    default:
      return FailOver();
  }
}

void ClusterSchedule::CheckLeases() {
  const MutexLock lock(mutex_);
  for (Host* host : all_) {
    if (host->Said("beyond the snapshot's")) Wrong("the log was purged beyond a snapshot that was to be held");
    if (!host->up()) continue;
    const auto pin = host->engine().Pin();
    const Lsn oldest = host->engine().log().oldest();
    for (const log::Lease& lease : host->engine().log().Leases()) {
      if (lease.position < oldest) {
        Wrong(fmt::format("the purge went over lease {}: {} < {}", lease.name, lease.position.value, oldest.value));
      }
      if (!lease.broken.empty()) Wrong(fmt::format("lease {} was broken: {}", lease.name, lease.broken));
    }
  }
}

void ClusterSchedule::CheckTheEnd() {
  hosts_.network.faults.Heal();
  const MutexLock lock(mutex_);
  const std::chrono::milliseconds patience =
      sabotage_ == Sabotage::kNone ? std::chrono::seconds(20) : std::chrono::seconds(5);
  for (Host* host : all_) {
    if (host == primary_) continue;
    if (!Eventually([&] { return host->Follows(*primary_); }, patience)) {
      return Wrong(fmt::format("{} never caught up", host->endpoint().port));
    }
  }
  for (Host* host : all_) CountSyncs(*host);
  if (full_syncs_ > full_syncs_allowed_) {
    Wrong(fmt::format("{} snapshots where {} were to be expected", full_syncs_, full_syncs_allowed_));
  }
  CheckConfirmed();
  CheckLogs();
}

void ClusterSchedule::CheckConfirmed() {
  for (const auto& [key, write] : confirmed_) {
    const std::optional<std::string> value = primary_->Get(key);
    if (!value || std::strtoull(value->c_str(), nullptr, 10) < write) {
      return Wrong(fmt::format("{}: write {}, which a replica had, is lost: {}", key, write,
                               value ? value->substr(0, 12) : "nothing"));
    }
  }
}

void ClusterSchedule::CheckLogs() {
  for (Host* host : all_) {
    if (host == primary_) continue;
    const Lsn from = std::max(primary_->engine().log().oldest(), host->engine().log().oldest());
    const log::Lease lease{.name = "test", .position = from};
    if (primary_->engine().log().TakeLease(lease).ok() && host->engine().log().TakeLease(lease).ok() &&
        !primary_->LogFrom(from).starts_with(host->LogFrom(from))) {
      Wrong("the logs differ");
    }
    if (host->Digest() != primary_->Digest()) Wrong("the contents differ");
  }
}

}  // namespace tidemark::replication
