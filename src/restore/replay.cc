#include "restore/replay.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "engine/applier.h"

namespace tidemark::restore {
namespace {

// Records applied while the store's lock is held once: its taking costs little then, and the persister, which needs it
// now and again, waits for few.
constexpr int kRecordsAtOnce = 32;
constexpr std::chrono::milliseconds kLookAgain{5};

absl::Status NoLogToSync(Lsn) { return absl::OkStatus(); }

// Persists the store whenever it wants to, while records are applied.
class Persister {
 public:
  explicit Persister(kv::Store& store) : store_(store), thread_([this] { Run(); }) {}
  ~Persister() { Stop().IgnoreError(); }

  // Waits while too much is not persisted yet. The error of persisting, once there was one.
  absl::Status MakeRoom() {
    if (store_.WantsPersist()) Wake();
    while (store_.MustWait()) {
      MutexLock lock(mutex_);
      if (!status_.ok()) return status_;
      woken_ = true;
      changed_.SignalAll();
      // Not for the persister alone: RocksDB may have to merge files first, which tells nobody.
      changed_.WaitUntil(mutex_, std::chrono::steady_clock::now() + kLookAgain);
    }
    return absl::OkStatus();
  }

  absl::Status Stop() {
    {
      MutexLock lock(mutex_);
      stopping_ = true;
      changed_.SignalAll();
    }
    if (thread_.joinable()) thread_.join();
    MutexLock lock(mutex_);
    return status_;
  }

 private:
  void Wake() {
    MutexLock lock(mutex_);
    woken_ = true;
    changed_.SignalAll();
  }

  void Run() {
    while (true) {
      {
        MutexLock lock(mutex_);
        while (!woken_ && !stopping_) changed_.Wait(mutex_);
        if (stopping_) return;
        woken_ = false;
      }
      if (!store_.WantsPersist()) continue;
      const absl::Status status = store_.Persist(NoLogToSync);
      MutexLock lock(mutex_);
      changed_.SignalAll();
      if (status.ok()) continue;
      status_ = status;
      return;
    }
  }

  kv::Store& store_;
  Mutex mutex_;
  CondVar changed_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

// The part of the plan's log that is still to be read, and where reading begins: at the object that has the record
// before `applied`, so that its CRC and timestamp become known.
struct Rest {
  std::vector<archive::Stretch> stretches;
  Lsn from;
};

Rest RestOf(const Plan& plan, Lsn applied) {
  Rest rest{plan.stretches, plan.from};
  if (applied <= plan.from) return rest;
  while (!rest.stretches.empty()) {
    archive::Stretch& first = rest.stretches.front();
    const auto has_last = std::find_if(first.objects.begin(), first.objects.end(), [&](const archive::LogEntry& entry) {
      return std::min(entry.name.end, first.to) >= applied;
    });
    if (has_last == first.objects.end()) {
      rest.stretches.erase(rest.stretches.begin());
      continue;
    }
    first.objects.erase(first.objects.begin(), has_last);
    // An overlapping object may begin before the part of it that is taken.
    first.from = std::max(first.from, first.objects.front().name.first);
    rest.from = first.from;
    break;
  }
  return rest;
}

class Replayer {
 public:
  Replayer(kv::Store& store, archive::LogReader& reader, const Target& target, Progress* progress)
      : store_(store), reader_(reader), target_(target), progress_(progress), persister_(store) {}

  absl::Status Run(ReplayOutcome* outcome) {
    absl::Status status;
    while (status.ok() && !done_) {
      status = persister_.MakeRoom();
      if (status.ok()) status = ApplySome(outcome);
      if (status.ok() && progress_->cancel) status = absl::CancelledError("the restore was interrupted");
    }
    const absl::Status persisted = persister_.Stop();
    // Also what was applied before an error of the archive, or before the end was called for, is there.
    if (persisted.ok() && !failed_apply_) status.Update(store_.Persist(NoLogToSync));
    status.Update(persisted);
    return status;
  }

 private:
  absl::Status ApplySome(ReplayOutcome* outcome) {
    kv::Store::Writer writer = store_.Write();
    for (int i = 0; i < kRecordsAtOnce; ++i) {
      const absl::StatusOr<log::Record> record = reader_.Next();
      if (absl::IsOutOfRange(record.status()) || (record.ok() && !target_.Covers(record->lsn, record->timestamp))) {
        done_ = true;
        return absl::OkStatus();
      }
      TM_RETURN_IF_ERROR(record.status());
      if (record->end > store_.applied()) {
        if (absl::Status applied = engine::ApplyRecord(*record, writer); !applied.ok()) {
          writer.UndoTo(0);
          failed_apply_ = true;
          return Errorf(applied.code(), "the record at LSN {} of timeline {} cannot be applied: {}", record->lsn.value,
                        record->timeline.value, Message(applied));
        }
        ++outcome->records;
      }
      outcome->last = {.end = record->end,
                       .crc = reader_.last_crc(),
                       .crc_known = true,
                       .timestamp = record->timestamp,
                       .timeline = record->timeline};
    }
    progress_->records = outcome->records;
    progress_->reached_micros = outcome->last.timestamp.micros;
    return absl::OkStatus();
  }

  kv::Store& store_;
  archive::LogReader& reader_;
  const Target& target_;
  Progress* const progress_;
  Persister persister_;
  bool done_ = false;
  bool failed_apply_ = false;
};

}  // namespace

kv::StoreOptions FillingStore(std::string folder, uint64_t memory) {
  kv::StoreOptions options;
  options.folder = std::move(folder);
  // At twice this much changed rows applying waits; the hot table holds them and hardly anything else.
  options.dirty_bytes = memory / 5;
  options.hot_bytes = memory * 2 / 5;
  options.block_cache_bytes = std::min<uint64_t>(memory / 16, 32ull << 20);
  return options;
}

uint64_t ReaderMemory(uint64_t memory) { return memory / 4; }

absl::StatusOr<ReplayOutcome> ReplayLog(kv::Store& store, objstore::ObjectStore& archive, const Plan& plan,
                                        const Target& target, const archive::LogReaderOptions& reader_options,
                                        Progress* progress) {
  ReplayOutcome outcome;
  outcome.last.end = plan.from;
  outcome.last.timeline = plan.timeline;
  if (plan.manifest) {
    outcome.last.crc = plan.manifest->last_crc;
    outcome.last.crc_known = plan.manifest->last_crc_known;
    outcome.last.timestamp = plan.manifest->name.timestamp;
    outcome.last.timeline = plan.manifest->name.timeline;
  }
  Rest rest = RestOf(plan, store.applied());
  if (rest.stretches.empty()) return outcome;
  std::optional<uint32_t> previous_crc;
  if (rest.from == plan.from && (!plan.base || outcome.last.crc_known)) previous_crc = outcome.last.crc;
  const std::unique_ptr<archive::LogReader> reader =
      archive::LogReader::Open(archive, std::move(rest.stretches), rest.from, previous_crc, reader_options);
  TM_RETURN_IF_ERROR(Replayer(store, *reader, target, progress).Run(&outcome));
  return outcome;
}

}  // namespace tidemark::restore
