// The log against disks that forget, tear and fill: random schedules of append, write, sync, rotation, purge, death and
// power loss, each from one seed. After every restart the model knows what must be there.
//
// What it covers is the log without its threads: LogOptions.background_threads is off, so that a seed decides
// everything. TM_SIM_SEEDS: how many (500); TM_SIM_FIRST_SEED: from which on (1); TM_SIM_SEED: this one only.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <random>

#include "base/hash.h"
#include "env/faulty_file.h"
#include "log/log_impl.h"

namespace tidemark::log {
namespace {

class StillClock final : public Clock {
 public:
  uint64_t WallMicros() override { return micros; }
  uint64_t MonotonicMicros() override { return micros; }
  uint64_t micros = 1'700'000'000'000'000;
};

struct Written {
  Lsn lsn;
  std::string payload;
};

// One schedule. `fault` is empty as long as every promise held.
class Schedule {
 public:
  Schedule(uint64_t seed, bool sync_does_nothing) : random_(seed) {
    options_.folder = "log";
    options_.segment_size = 1024 << Below(4);
    options_.retain_size = Below(3) == 0 ? 0 : options_.segment_size;
    options_.background_threads = false;
    options_.on_notice = [](std::string_view) {};
    options_.on_fatal = [this](std::string_view what) { fatal_ = what; };
    fs_.SetSyncDoesNothing(sync_does_nothing);
  }

  void Go() {
    Open();
    for (int step = 0; step < 200 && fault.empty(); ++step) Step();
    if (fault.empty()) Restart(true);
  }

  std::string fault;
  // Hash over everything that was observed, to tell whether two runs were the same.
  uint64_t trace = 0;
  int restarts = 0;
  int torn = 0;

 private:
  uint64_t Below(uint64_t n) { return random_() % n; }

  void Observe(uint64_t what, uint64_t value) {
    const uint64_t words[] = {trace, what, value};
    trace = Hash64({reinterpret_cast<const char*>(words), sizeof(words)});
  }

  void Fault(std::string what) {
    if (fault.empty()) fault = std::move(what);
  }

  void Step() {
    const uint64_t dice = Below(100);
    clock_.micros += Below(1000);
    if (dice < 50) {
      AppendOne();
    } else if (dice < 65) {
      log_->Write();
      written_ = log_->written();
    } else if (dice < 80) {
      Sync();
    } else if (dice < 86) {
      log_->RunBackgroundOnce();
      Acknowledge();
    } else if (dice < 90) {
      Leases();
    } else if (dice < 93) {
      fs_.SetCapacity(Below(2) == 0 ? FaultyFileSystem::kUnlimited : fs_.used_bytes() + Below(3000));
    } else if (dice < 94) {
      FailSync();
    } else {
      Restart(Below(4) != 0);
    }
    if (log_ != nullptr) Observe(dice, log_->written().value);
  }

  void AppendOne() {
    std::string payload(Below(10) == 0 ? Below(6000) : Below(200), '\0');
    for (char& c : payload) c = static_cast<char>(Below(4) == 0 ? 0 : Below(256));
    const absl::Status reserved = log_->Reserve(payload.size());
    if (absl::IsResourceExhausted(reserved)) return fs_.SetCapacity(FaultyFileSystem::kUnlimited);
    if (!reserved.ok()) return Fault("reserve: " + reserved.ToString());
    const Lsn lsn = log_->Append(Timestamp{++timestamp_}, payload);
    model_.push_back({lsn, std::move(payload)});
  }

  void Sync() {
    if (const absl::Status synced = log_->SyncTo(log_->appended()); !synced.ok()) return Fault(synced.ToString());
    Acknowledge();
  }

  // What the log has said to be durable must be there for ever after.
  void Acknowledge() {
    acknowledged_ = std::max(acknowledged_, log_->durable());
    written_ = log_->written();
  }

  void Leases() {
    const Lsn oldest = log_->oldest();
    if (!lease_ || Below(4) == 0) {
      const Lsn position = model_.empty() ? log_->appended() : model_[Below(model_.size())].lsn;
      if (position < oldest) return;
      const absl::Status taken = log_->TakeLease({.name = "reader", .position = position});
      if (taken.ok()) lease_ = position;
      if (!taken.ok() && !absl::IsResourceExhausted(taken)) Fault("take: " + taken.ToString());
    } else {
      const Lsn position = std::min(*lease_ + Below(3000), log_->appended());
      if (const absl::Status raised = log_->RaiseLease("reader", position); !raised.ok()) {
        return Fault("raise: " + raised.ToString());
      }
    }
    if (Below(2) == 0) log_->Purge().status().IgnoreError();
    CheckLease();
  }

  // The log lists what it holds; in memory a raise counts at once, on disk later, and never is anything below it gone.
  void CheckLease() {
    for (const Lease& lease : log_->Leases()) {
      if (!lease.broken.empty()) Fault("a required lease broke: " + lease.broken);
      if (lease.position < log_->oldest())
        Fault(fmt::format("the log begins at {} above the lease at {}", log_->oldest().value, lease.position.value));
      lease_ = lease.position;
    }
  }

  // A sync fails: the process stops, and the machine may lose power later.
  void FailSync() {
    log_->Write();
    if (log_->written() == log_->durable()) return;
    fs_.FailSync(1);
    if (log_->SyncTo(log_->appended()).ok()) Fault("a sync that failed was reported as done");
    if (fatal_.empty()) Fault("a sync that failed did not stop the process");
    fatal_.clear();
    // The lost pages may be anything written since the last sync; only what was acknowledged counts.
    written_ = acknowledged_;
    Restart(true);
  }

  void Restart(bool power_loss) {
    ++restarts;
    if (power_loss) {
      fs_.PowerLoss(Below(UINT64_MAX));
    } else {
      fs_.ProcessDeath();
    }
    log_.reset();
    fs_.Restart();
    fatal_.clear();
    fs_.SetCapacity(FaultyFileSystem::kUnlimited);
    const Lsn must_have = power_loss ? acknowledged_ : std::max(acknowledged_, written_);
    Open();
    if (fault.empty()) CheckPrefix(must_have);
  }

  void Open() {
    RecoveryReport report;
    auto log = LogImpl::Open(fs_, clock_, options_, &report);
    if (!log.ok()) return Fault("open: " + log.status().ToString());
    log_ = std::move(*log);
    timestamp_ = std::max(timestamp_, report.last_timestamp.micros);
    Observe(1000, report.end.value);
    Observe(1001, report.torn_bytes);
    if (report.torn_bytes > 0) {
      ++torn;
      if (report.saved_to.empty()) Fault("a torn tail was cut and not saved");
    }
  }

  // The log is a prefix of the model, record by record, and holds everything up to `must_have`.
  void CheckPrefix(Lsn must_have) {
    const Lsn end = log_->durable();
    if (end < must_have) {
      return Fault(fmt::format("the log ends at {}, {} was acknowledged", end.value, must_have.value));
    }
    while (!model_.empty() && model_.back().lsn >= end) model_.pop_back();
    while (!model_.empty() && model_.front().lsn < log_->oldest()) model_.pop_front();
    CheckLease();
    auto cursor = log_->OpenCursor(log_->oldest(), ReadLimit::kDurable);
    if (!cursor.ok()) return Fault("cursor: " + cursor.status().ToString());
    for (const Written& expected : model_) {
      auto record = (*cursor)->Next(std::chrono::milliseconds(0));
      if (!record.ok()) return Fault("read: " + record.status().ToString());
      if (record->lsn != expected.lsn || record->payload != expected.payload) {
        return Fault(
            fmt::format("another record at {} than was appended at {}", record->lsn.value, expected.lsn.value));
      }
    }
    if ((*cursor)->position() != end) Fault("the log has a record that was never appended");
    // Opening made all of it durable.
    acknowledged_ = end;
    written_ = end;
  }

  std::mt19937_64 random_;
  FaultyFileSystem fs_;
  StillClock clock_;
  LogOptions options_;
  std::unique_ptr<LogImpl> log_;
  std::string fatal_;
  uint64_t timestamp_ = 0;
  std::deque<Written> model_;
  Lsn acknowledged_ = format::kFirstLsn;
  Lsn written_ = format::kFirstLsn;
  std::optional<Lsn> lease_;
};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

uint64_t FirstSeed() { return FromEnvironment("TM_SIM_SEED", FromEnvironment("TM_SIM_FIRST_SEED", 1)); }
uint64_t Seeds() { return std::getenv("TM_SIM_SEED") != nullptr ? 1 : FromEnvironment("TM_SIM_SEEDS", 500); }

TEST(LogSimulation, WhatWasDurableIsThereAfterAnyRestart) {
  int restarts = 0;
  int torn = 0;
  for (uint64_t seed = FirstSeed(); seed < FirstSeed() + Seeds(); ++seed) {
    Schedule run(seed, false);
    run.Go();
    ASSERT_EQ(run.fault, "") << "\nto see it again: ./dev sim --suite log --seed " << seed;
    restarts += run.restarts;
    torn += run.torn;
  }
  // A simulation in which nothing is ever torn proves nothing.
  if (Seeds() >= 50) {
    EXPECT_GT(torn, restarts / 100);
  }
}

TEST(LogSimulation, TheSameSeedIsTheSameRun) {
  const uint64_t stride = std::max<uint64_t>(1, Seeds() / 20);
  for (uint64_t seed = FirstSeed(); seed < FirstSeed() + Seeds(); seed += stride) {
    Schedule first(seed, false);
    first.Go();
    Schedule second(seed, false);
    second.Go();
    ASSERT_EQ(first.trace, second.trace) << "seed " << seed;
  }
}

// The test of the test: with a Sync that does nothing, the checker must find what is lost.
TEST(LogSimulation, ALyingSyncIsFound) {
  int found = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Schedule run(seed, true);
    run.Go();
    if (!run.fault.empty()) ++found;
  }
  EXPECT_GE(found, 18);
}

}  // namespace
}  // namespace tidemark::log
