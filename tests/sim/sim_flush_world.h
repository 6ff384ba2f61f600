// One schedule of the simulation of force flush: a node with a real log on a disk that forgets, the flush machine, an
// uploader that takes small steps, a store that loses requests and answers, callers, and a promotion elsewhere. All of
// it is decided by one seed. At every yes the archive is copied and read as a restore would.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "backup/flush_machine.h"
#include "env/faulty_file.h"
#include "log/log_impl.h"
#include "objstore/memory_store.h"
#include "sim_flush_archive.h"

namespace tidemark::backup {

// What a driver can do wrong. The simulation has to find each.
enum class Sabotage {
  kNone,
  kCutAfterFreeze,         // the range to upload was frozen before the cut was read
  kRunningFlushCounts,     // whoever comes while a flush runs is answered with it
  kSwallowsUploadErrors,   // a put that failed counts as done
  kAdvancesWithoutUpload,  // an object is left out
  kConfirmsOutOfOrder,     // the last object that is there counts, whatever is missing before it
  kNoFenceCheck,           // does not look for a newer timeline
  kYesWithoutALook,        // nor where the target is in the archive already
  kAlwaysRestorable,       // does not wait for what a restore needs besides the log
  kShipsWhatIsNotDurable,  // does not sync the log to the cut
};

class FlushSchedule {
 public:
  FlushSchedule(uint64_t seed, Sabotage sabotage);
  void Go();

  // Empty as long as every promise held.
  std::string fault;
  // Hash over everything that was observed, to tell whether two runs were the same.
  uint64_t trace = 0;
  struct Totals {
    uint64_t yes = 0;
    uint64_t no = 0;
    uint64_t archives_read = 0;
    uint64_t restarts = 0;
    uint64_t failed_attempts = 0;
    uint64_t fenced = 0;
    uint64_t joined = 0;
    uint64_t looks = 0;
  };
  Totals totals;

 private:
  struct StillClock final : public Clock {
    uint64_t WallMicros() override { return micros; }
    uint64_t MonotonicMicros() override { return micros; }
    uint64_t micros = 1'700'000'000'000'000;
  };
  struct Caller {
    Lsn target;
    // Records that the log had when it came.
    size_t records = 0;
    bool durable_only = false;
  };
  struct Piece {
    SimObject object;
    bool there = false;
  };
  // One attempt of the uploader, step by step.
  struct Upload {
    FlushOrder order;
    enum class Phase { kPrepare, kSync, kRead, kPut } phase = Phase::kPrepare;
    Lsn from;
    // What is read from the log ends here.
    Lsn end;
    std::vector<Piece> pieces;
  };

  uint64_t Below(uint64_t n) { return random_() % n; }
  bool Chance(uint64_t percent) { return Below(100) < percent; }
  void Observe(uint64_t what, uint64_t value);
  void Fault(std::string what);
  Moment Now() const { return {log_->appended(), clock_.micros}; }

  void Step();
  void Weather();
  void ClearWeather();
  void AppendOne();
  void Call();
  void EndOfPatience(bool abandon);
  void ChangeState();
  void Promotion();
  void Purge();

  void OpenNode();
  void Crash();
  void RestartUploader();
  void CheckLogAgainstModel();
  void Drain();

  void Take(FlushActions actions);
  void Heard(const FlushAnswer& answer);
  void CheckArchive(const Caller& caller, const FlushAnswer& answer);

  void UploadStep();
  // Somebody waits for the uploader.
  bool HasWork() const { return upload_ || look_; }
  void LookForSuccessor();
  void Prepare();
  void ReadRange();
  void PutOne();
  // Confirms what is there: Progress, or the end of the order where everything is.
  void Report();
  bool CheckFence();
  void EndAttempt(const absl::Status& why);
  FlushReport ReportOf(size_t pieces) const;

  std::mt19937_64 random_;
  const Sabotage sabotage_;
  const archive::CodecOptions codec_;
  StillClock clock_;
  FaultyFileSystem fs_;
  log::LogOptions log_options_;
  std::unique_ptr<log::LogImpl> log_;
  std::string fatal_;
  uint64_t timestamp_ = 0;
  // Every record of the log, as it was appended.
  std::vector<ArchivedRecord> model_;
  // What the disk must still have after a process death, and after a power loss.
  Lsn written_;
  Lsn durable_;

  std::shared_ptr<objstore::MemoryBucket> bucket_ = std::make_shared<objstore::MemoryBucket>();
  objstore::MemoryStore elsewhere_{bucket_};
  std::unique_ptr<objstore::MemoryStore> store_;
  std::optional<FlushMachine> machine_;
  std::optional<Upload> upload_;
  std::optional<FenceLook> look_;
  // Of this process: the archive's own objects are there; the archive was listed.
  bool archive_started_ = false;
  bool listed_ = false;
  // The end of the log at the event before, for kCutAfterFreeze.
  Lsn frozen_;
  int promotion_ = 0;

  uint64_t next_caller_ = 1;
  std::map<CallerId, Caller> waiting_;
  // Records of the archive at the last reading; read again only after a change.
  std::optional<size_t> archive_records_;
};

}  // namespace tidemark::backup
