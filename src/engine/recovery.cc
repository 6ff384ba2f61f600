#include "engine/recovery.h"

#include <future>
#include <string>

#include "engine/applier.h"
#include "format/log_format.h"

namespace tidemark::engine {
namespace {

constexpr uint64_t kReportEveryMicros = 1'000'000;
// Looked up together, and applied while the store's lock is held once.
constexpr size_t kBytesAtOnce = 64 << 10;

// Persists what was replayed while the replay goes on.
class Persister {
 public:
  Persister(kv::Store& store, log::Log& log) : store_(store), log_(log) {}

  // Waits for the last time's while too much is not persisted yet.
  absl::Status PersistIfWanted() {
    if (!store_.WantsPersist()) return absl::OkStatus();
    if (under_way_.valid()) {
      const bool done = under_way_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
      if (!done && !store_.MustWait()) return absl::OkStatus();
      TM_RETURN_IF_ERROR(under_way_.get());
    }
    under_way_ =
        std::async(std::launch::async, [this] { return store_.Persist([this](Lsn cut) { return log_.SyncTo(cut); }); });
    return absl::OkStatus();
  }
  absl::Status Finish() { return under_way_.valid() ? under_way_.get() : absl::OkStatus(); }

 private:
  kv::Store& store_;
  log::Log& log_;
  std::future<absl::Status> under_way_;  // waits where it is destroyed
};

absl::Status ApplyAll(std::string_view records, kv::Store& store, uint64_t* count) {
  LookAhead(records, records.size(), store);
  kv::Store::Writer writer = store.Write();
  while (!records.empty()) {
    const log::Record record = FirstRecord(records);
    TM_RETURN_IF_ERROR(ApplyRecord(record, writer));
    records.remove_prefix(record.raw.size());
    ++*count;
  }
  return absl::OkStatus();
}

class Progress {
 public:
  Progress(Clock& clock, Lsn from, Lsn end, const std::function<void(const std::string&)>& report)
      : clock_(clock), from_(from), end_(end), report_(report), started_(clock.MonotonicMicros()), told_(started_) {}

  void At(Lsn position, uint64_t records) {
    const uint64_t now = clock_.MonotonicMicros();
    if (now - told_ < kReportEveryMicros) return;
    told_ = now;
    const double done = static_cast<double>(position - from_) / static_cast<double>(end_ - from_);
    const double seconds = static_cast<double>(now - started_) / 1e6;
    report_(fmt::format("recovery: {} records, {:.1f} of {:.1f} MiB of log ({:.0f} %), about {:.0f} s left", records,
                        static_cast<double>(position - from_) / 1048576.0,
                        static_cast<double>(end_ - from_) / 1048576.0, done * 100, seconds / done - seconds));
  }
  uint64_t elapsed() { return clock_.MonotonicMicros() - started_; }

 private:
  Clock& clock_;
  const Lsn from_;
  const Lsn end_;
  const std::function<void(const std::string&)>& report_;
  const uint64_t started_;
  uint64_t told_;
};

}  // namespace

absl::StatusOr<ReplayResult> Replay(kv::Store& store, log::Log& log, Clock& clock,
                                    const std::function<void(const std::string&)>& report) {
  const Lsn end = log.appended();
  // A store that has never been persisted begins where the log does.
  const Lsn from = store.persisted() == Lsn{} ? log.oldest() : store.persisted();
  if (from > end) {
    return Errorf(absl::StatusCode::kDataLoss,
                  "the store holds the log up to LSN {}, but the log ends at LSN {}: log segments are missing; "
                  "put them back, or restore from a backup",
                  from.value, end.value);
  }
  ReplayResult result;
  if (store.persisted() == Lsn{} && log.oldest() != format::kFirstLsn) {
    return Errorf(
        absl::StatusCode::kDataLoss,
        "the store is empty, but the log before LSN {} is purged: the store's files are missing; put them back, "
        "or restore from a backup",
        log.oldest().value);
  }
  if (from == end) return result;
  if (from < log.oldest()) {
    return Errorf(absl::StatusCode::kDataLoss,
                  "the store needs the log from LSN {}, but its oldest record is LSN {}: log segments are missing; "
                  "put them back, or restore from a backup",
                  from.value, log.oldest().value);
  }
  Progress progress(clock, from, end, report);
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<log::Cursor> cursor, log.OpenCursor(from));
  Persister persister(store, log);
  std::string records;
  while (cursor->position() < end) {
    records.clear();
    while (cursor->position() < end && records.size() < kBytesAtOnce) {
      TM_ASSIGN_OR_RETURN(const log::Record record, cursor->Next(std::chrono::milliseconds(0)));
      records.append(record.raw);
    }
    TM_RETURN_IF_ERROR(ApplyAll(records, store, &result.records));
    progress.At(cursor->position(), result.records);
    TM_RETURN_IF_ERROR(persister.PersistIfWanted());
  }
  TM_RETURN_IF_ERROR(persister.Finish());
  result.micros = progress.elapsed();
  return result;
}

}  // namespace tidemark::engine
