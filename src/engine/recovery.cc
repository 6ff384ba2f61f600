#include "engine/recovery.h"

#include "engine/applier.h"
#include "format/log_format.h"

namespace tidemark::engine {
namespace {

constexpr uint64_t kReportEveryMicros = 1'000'000;

class Progress {
 public:
  Progress(Clock& clock, Lsn from, Lsn end, const std::function<void(const std::string&)>& report)
      : clock_(clock), from_(from), end_(end), report_(report), started_(clock.MonotonicMicros()), told_(started_) {}

  void At(Lsn position, uint64_t records) {
    // Reading the clock costs as much as a small record.
    if (records % 1024 != 0) return;
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
  while (cursor->position() < end) {
    TM_ASSIGN_OR_RETURN(const log::Record record, cursor->Next(std::chrono::milliseconds(0)));
    {
      kv::Store::Writer writer = store.Write();
      TM_RETURN_IF_ERROR(ApplyRecord(record, writer));
    }
    ++result.records;
    progress.At(record.end, result.records);
    if (store.WantsPersist()) {
      TM_RETURN_IF_ERROR(store.Persist([&](Lsn cut) { return log.SyncTo(cut); }));
    }
  }
  result.micros = progress.elapsed();
  return result;
}

}  // namespace tidemark::engine
