// Promises 2, 3 and 4 over random schedules with real threads: a primary that writes and purges all the time with the
// smallest log there is, a replica that joins it, and everything that can end a connection or a process, at any step.
// In the end the replica is the primary, byte for byte, and one snapshot was enough. Many more schedules, in virtual
// time, and the proof that such checks find what they are for: tests/sim/sim_cluster.cc.
#include <gtest/gtest.h>

#include <random>

#include "replication/testing.h"

namespace tidemark::replication {
namespace {

class Schedule {
 public:
  explicit Schedule(uint64_t seed) : random_(seed), primary_(hosts_.Add()), replica_(hosts_.Add()) {
    primary_.source.snapshots.after_mark = [this] { LetThePurgeTry(); };
    if (Chance(3)) primary_.source.snapshots.share_max = std::chrono::seconds(0);
  }

  // What was found wrong; empty when nothing was.
  std::string Run() {
    primary_.Start();
    replica_.Start();
    if (testing::Test::HasFatalFailure()) return "a node did not start";
    primary_.MakePrimary();
    for (int i = 0; i < 60; ++i) Write();
    if (Chance(4)) replica_.MakePrimary();  // it has data of its own, of another cluster
    replica_.node().Follow(primary_.endpoint());
    if (!replica_.Remembers(primary_.endpoint())) return "the role is not written down";
    std::thread writer([this] { WriteUntilTheEnd(); });
    const int steps = 2 + static_cast<int>(Below(8));
    for (int i = 0; i < steps && wrong_.empty(); ++i) Step();
    {
      const MutexLock lock(mutex_);
      over_ = true;
      changed_.SignalAll();
    }
    writer.join();
    if (wrong_.empty()) CheckTheEnd();
    return wrong_;
  }
  std::string Sayings() { return hosts_.Sayings(); }

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  bool Chance(uint64_t one_in) { return Below(one_in) == 0; }
  void Wrong(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }

  void Write() {
    const uint64_t n = writes_++;
    const std::string value(200 + n * 37 % 900, static_cast<char>('a' + n % 26));
    primary_.Set(fmt::format("key{}", n * 7919 % 300), value).IgnoreError();
  }
  void WriteUntilTheEnd() {
    while (true) {
      const MutexLock lock(mutex_);
      if (over_) return;
      for (int i = 0; i < 8 && primary_.up(); ++i) Write();
      changed_.WaitUntil(mutex_, std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
    }
  }
  // Runs between the snapshot and the look at its LSN: for as long as the purge may need to do the worst.
  void LetThePurgeTry() {
    auto& log = primary_.engine().log();
    const Lsn marked = primary_.engine().store().persisted();
    Eventually([&] { return log.oldest() > marked; }, std::chrono::milliseconds(3));
  }

  void Pause() {
    const auto until = std::chrono::milliseconds(Below(12));
    Eventually([] { return false; }, until);
  }
  void RestartPrimary() {
    const MutexLock lock(mutex_);  // not beside the writer
    const Counters counters = primary_.node().status().counters;
    full_syncs_ += counters.full_syncs;
    repeated_ += counters.repeated_full_syncs;
    primary_.Restart();
  }
  void Step() {
    Faults& faults = hosts_.network.faults;
    switch (Below(11)) {
      case 0:
      case 1:
        faults.CutAt(Faults::At::kChunk, static_cast<int>(Below(10)));
        break;
      case 2:
      case 3:
        faults.CutAt(Faults::At::kPart, static_cast<int>(Below(60)));
        break;
      case 4:
        faults.CutAt(Faults::At::kWelcome, 0);
        faults.CutAt(Faults::At::kChunk, 0);
        break;
      case 5:
        faults.CutAt(Chance(2) ? Faults::At::kJoin : Faults::At::kConnect, 0);
        faults.CutAt(Faults::At::kAck, static_cast<int>(Below(6)));
        break;
      case 6:
        faults.LoseAcks(static_cast<int>(Below(4)));
        break;
      case 7:
        replica_.Restart();
        break;
      case 8:
        RestartPrimary();
        break;
      case 9:  // the next exchange is decided and not done
        replica_.refuse_exclusive = true;
        Pause();
        replica_.Restart();
        break;
      default:  // away while the primary goes on
        replica_.Crash();
        Pause();
        Pause();
        replica_.Start();
        break;
    }
    Pause();
    CheckLeases();
  }

  void CheckLeases() {
    const MutexLock lock(mutex_);
    const auto pin = primary_.engine().Pin();
    const Lsn oldest = primary_.engine().log().oldest();
    for (const log::Lease& lease : primary_.engine().log().Leases()) {
      if (lease.position < oldest) {
        Wrong(fmt::format("the purge went over lease {}: {} < {}", lease.name, lease.position.value, oldest.value));
      }
      if (!lease.broken.empty()) Wrong(fmt::format("lease {} was broken: {}", lease.name, lease.broken));
    }
  }
  // From where on both have the log, and keep it.
  Lsn HoldBoth() {
    Lsn from;
    Eventually([&] {
      from = std::max(primary_.engine().log().oldest(), replica_.engine().log().oldest());
      const log::Lease lease{.name = "test", .position = from};
      return primary_.engine().log().TakeLease(lease).ok() && replica_.engine().log().TakeLease(lease).ok();
    });
    return from;
  }
  void CheckTheEnd() {
    hosts_.network.faults.Heal();
    if (!Eventually([this] { return replica_.Follows(primary_); })) return Wrong("it never caught up");
    CheckLeases();
    const Counters counters = primary_.node().status().counters;
    full_syncs_ += counters.full_syncs;
    repeated_ += counters.repeated_full_syncs;
    // A primary that died before the replica had said that it begins has not counted it.
    if (full_syncs_ > 1) Wrong(fmt::format("{} snapshots for one request", full_syncs_));
    if (repeated_ != 0) Wrong("a repeated full sync was counted");
    // Its own lease is all that a replica that streams holds.
    if (!Eventually([this] { return !primary_.HasLease("snapshot:"); })) Wrong("the snapshot is still held");
    if (replica_.HasLease(kStagingLease)) Wrong("the staged log is still held");
    if (std::filesystem::exists(replica_.folder() + "/fullsync")) Wrong("what was staged is still there");
    const Lsn from = HoldBoth();
    const std::string own = primary_.LogFrom(from);
    if (const std::string theirs = replica_.LogFrom(from); !own.starts_with(theirs)) Wrong("the logs differ");
    if (replica_.Digest() != primary_.Digest()) Wrong("the contents differ");
  }

  std::mt19937_64 random_;
  Mutex mutex_;
  CondVar changed_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t writes_ = 0;  // of the writer, and of whoever runs before it
  uint64_t full_syncs_ = 0;
  uint64_t repeated_ = 0;
  std::string wrong_;
  Hosts hosts_;
  Host& primary_;
  Host& replica_;
};

uint64_t Number(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets variables
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(ReplicationSchedule, OneSnapshotIsEnoughWhateverIsCutAndWhoeverDies) {
  const uint64_t first = Number("TM_SIM_SEED", 1);
  const uint64_t seeds = std::getenv("TM_SIM_SEED") != nullptr ? 1 : Number("TM_SIM_SEEDS", 40);
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    Schedule schedule(seed);
    const std::string wrong = schedule.Run();
    ASSERT_EQ(wrong, "") << "replay: TM_SIM_SEED=" << seed
                         << " replication_test --gtest_filter=ReplicationSchedule.One*\n"
                         << schedule.Sayings();
  }
}

}  // namespace
}  // namespace tidemark::replication
