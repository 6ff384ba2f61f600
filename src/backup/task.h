// One backup task: a driver thread around the flush machine, the uploader and the upkeep.
//
//   connecting ─▶ running ─▶ (gap: connecting again, with a new base) …     paused, fenced, stopped from anywhere
//
// *Connecting* asks the archive how far it is (never memory), takes the lease `archive:<task>` there, and where the log
// no longer reaches back, takes a base. *Running* executes the machine's orders one at a time. `mutex_` guards the
// machine and what callers see; it is never held over the store, the log's disk or a callback.
//
// A pause keeps the lease, so that the task goes on where it was; after the pause's time to live the lease is released,
// the log may go, and resuming finds out whether a new base is needed.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "backup/archive_claim.h"
#include "backup/flush_machine.h"
#include "backup/task_row.h"
#include "backup/tasks.h"
#include "backup/timings.h"
#include "backup/upkeep.h"
#include "backup/uploader.h"
#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/identity.h"
#include "objstore/object_store.h"

namespace tidemark::backup {

using OpenStore = std::function<absl::StatusOr<std::unique_ptr<objstore::ObjectStore>>(const std::string&,
                                                                                       const objstore::OpenOptions&)>;

// What a task gets from the manager; outlives it.
struct TaskParts {
  engine::Engine& engine;
  FileSystem& fs;
  Clock& clock;
  engine::Identity identity;
  OpenStore open_store;
  Timings timings;
  std::function<void(const FlushEvent&)> on_flushed;
  std::function<void(const std::string&)> report;
};

class Task {
 public:
  using Answered = std::function<void(FlushOutcome)>;

  Task(const TaskParts& parts, const TaskRow& row);
  ~Task();

  // Opens, probes and claims the archive in the caller's thread, so that a new task's first errors are its starter's.
  absl::Status Claim();
  // Starts the threads.
  void Begin();
  // Tells all who wait that the task has stopped, and cancels its stores, so that whatever waits for them ends. Waits
  // for nothing itself; Halt is still to come.
  void Cancel(const std::string& why);
  // Tells all who wait that the task has stopped and ends the threads. `release`: for good, the lease goes too.
  void Halt(bool release);

  const std::string& name() const { return config_.name; }
  TaskRow row() const;
  // The URI without credentials: two tasks must not share it.
  std::string display_uri() const;

  void Flush(CallerId caller, FlushMode mode, std::optional<Lsn> target, bool durable_only, Answered answered);
  void Deadline(CallerId caller);
  void Abandon(CallerId caller);

  // The row is persisted by the caller before.
  void Pause(const TaskRow& row);
  void Resume(const TaskRow& row);
  absl::StatusOr<archive::RetentionPlan> Truncate(Timestamp until, bool dry_run);
  absl::Status TakeBase();

  TaskStatus Status() const;
  // The watchdog: looks whether the checkpoint stands still while the log grows.
  void Watch();

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  enum class Phase { kConnecting, kRunning, kPaused, kFenced, kHalted };

  // How the archive was found, and what was done about it.
  struct Connection {
    Checkpoint flushed;
    std::optional<uint32_t> last_crc;
    bool restorable = false;
    bool gap = false;
    std::string gap_cause;    // empty: the log was let go
    Timestamp restorable_to;  // before a gap
    Lsn restorable_lsn;
    Timestamp restorable_from;
    Timestamp last_base;
    std::unique_ptr<BaseSnapshot> snapshot;  // to become the base
    std::vector<std::string> superseded;
  };
  struct Caller {
    Answered answered;
    uint64_t since_micros = 0;
    Lsn target;
    Timestamp target_time;
  };
  struct Delivery {
    Answered answered;
    FlushOutcome outcome;
  };
  using Deliveries = std::vector<Delivery>;

  // The driver: what to do next, and the doing of it, without the lock.
  enum class Next { kWait, kConnect, kFlush, kLook, kClosed, kPeek, kLookAtLease, kLetGo, kEnd };
  void Drive();
  Next Decide(FlushOrder* order) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Next DecideRunning(SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(Next next, const FlushOrder& order);
  SteadyTime NextWake() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Connecting (task_connect.cc).
  absl::Status OpenStores();
  absl::Status Publish(std::unique_ptr<objstore::ObjectStore> store, std::unique_ptr<objstore::ObjectStore> upkeep);
  absl::StatusOr<Connection> Connect();
  absl::Status PutOutOfTheWay(const std::string& key, const std::string& damage);
  absl::StatusOr<Connection> ConnectAt(ArchivePosition position, const std::string& damage, std::string* damaged);
  absl::StatusOr<Connection> GoOn(const ChainEnd& chain, bool gap, ArchivePosition position, std::string* damaged);
  absl::StatusOr<Connection> StartWithBase(bool gap);
  absl::Status TakeLease(Lsn position);
  void TryConnect();
  Deliveries Install(Connection connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Deliveries NoteConnectFailure(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeUpkeep(Timestamp last_base) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Flushing (task_flush.cc).
  void Execute(const FlushOrder& order);
  absl::Status UploadOrder(const FlushOrder& order, Shipped* confirmed);
  absl::Status CheckFences(Lsn confirmed);
  void LookForSuccessor();
  absl::Status Confirm(const FlushOrder& order, const Shipped& shipped, Shipped* confirmed);
  void EndOrder(const FlushOrder& order, const Shipped& confirmed, const absl::Status& status, SteadyTime since);
  void AfterFlush(bool moved);
  void HoldLease();
  void LookAtLease();
  // Empty while the lease holds.
  std::string WhyLetGo() const;
  void LetGo();
  void PutClosed();
  absl::Status PutClosedAt(Lsn at, Timestamp closed);
  void DropSuperseded();
  void LookAtFirstUnflushed();
  FlushReport ReportOf(const FlushOrder& order, const Shipped& confirmed) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteFlushed(Timestamp closed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteFailure(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The chain is broken: nothing that follows can be put until the archive has been looked at again.
  Deliveries BreakOff(std::string cause) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Deliveries Fence(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnBase(const format::BaseName& base);

  // Callers.
  Deliveries SetMachineState(FlushState state, const std::string& cause) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Deliveries RefuseEarly(FlushError error, const std::string& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Deliveries Apply(const FlushActions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Compose(const FlushAnswer& answer, Deliveries* out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status StatusOf(const FlushAnswer& answer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why a call can't even wait; kNone when it can.
  FlushError Refusal(std::string* message) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The newest moment that a restore can get to; 0 when there is none, or not known yet.
  Timestamp RestorableTo() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return restorable_ ? closed_ : restorable_to_;
  }
  // Its end; 0 likewise.
  Lsn RestorableLsn() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return restorable_ && machine_ ? machine_->flushed().lsn : restorable_lsn_;
  }
  void RefreshRestorable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string WhyNotRestorable() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Deliver(Deliveries deliveries);

  TaskState StateLocked(const Upkeep::State& upkeep, std::string* cause) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t RpoMicros() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::chrono::milliseconds Backoff() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Lsn checkpoint() const { return Lsn{checkpoint_.load(std::memory_order_relaxed)}; }
  Moment Now() const;

  const TaskParts parts_;
  const TaskConfig config_;
  const std::string lease_name_;
  const std::chrono::milliseconds tick_;

  // The driver's own (before Begin: the starter's).
  objstore::ObjectStore* store_ = nullptr;  // owned by stores_
  std::shared_ptr<const archive::KeyRing> keys_;
  std::unique_ptr<Uploader> uploader_;
  std::optional<uint32_t> last_crc_;  // CRC field of the last record in the archive
  // The cut of the last order, with what is closed there: all attempts at a cut put the same objects.
  Lsn cut_;
  std::optional<Timestamp> cut_closed_;
  Shipped shipped_before_;  // by earlier attempts of the flush under way
  std::string closed_key_;  // the newest object without records
  std::vector<std::string> superseded_;
  uint64_t snapshots_ = 0;
  SteadyTime last_confirm_;

  mutable Mutex mutex_;
  CondVar changed_;
  TaskRow row_ ABSL_GUARDED_BY(mutex_);
  Phase phase_ ABSL_GUARDED_BY(mutex_);
  // Set once; Halt cancels them.
  std::vector<std::unique_ptr<objstore::ObjectStore>> stores_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Upkeep> upkeep_ ABSL_GUARDED_BY(mutex_);
  objstore::Capabilities capabilities_ ABSL_GUARDED_BY(mutex_);
  std::optional<FlushMachine> machine_ ABSL_GUARDED_BY(mutex_);
  FlushMachine::Counters counted_ ABSL_GUARDED_BY(mutex_);  // by machines before this one
  std::vector<FlushCall> early_ ABSL_GUARDED_BY(mutex_);    // who came while connecting
  std::map<CallerId, Caller> callers_ ABSL_GUARDED_BY(mutex_);
  std::optional<FlushOrder> order_ ABSL_GUARDED_BY(mutex_);
  std::optional<FenceLook> look_ ABSL_GUARDED_BY(mutex_);
  // Not before:
  SteadyTime order_at_ ABSL_GUARDED_BY(mutex_);
  SteadyTime look_at_ ABSL_GUARDED_BY(mutex_);
  SteadyTime connect_at_ ABSL_GUARDED_BY(mutex_);
  SteadyTime flush_due_ ABSL_GUARDED_BY(mutex_);
  SteadyTime closed_due_ ABSL_GUARDED_BY(mutex_);
  SteadyTime peek_at_ ABSL_GUARDED_BY(mutex_);
  SteadyTime lease_look_ ABSL_GUARDED_BY(mutex_);
  bool let_go_ ABSL_GUARDED_BY(mutex_) = false;
  bool restorable_ ABSL_GUARDED_BY(mutex_) = false;
  std::string gap_cause_ ABSL_GUARDED_BY(mutex_);  // not empty from a gap until its base is complete
  // Only a base from here on leads to what is flushed.
  Lsn chain_from_ ABSL_GUARDED_BY(mutex_);
  Timestamp restorable_from_ ABSL_GUARDED_BY(mutex_);
  Timestamp last_base_ ABSL_GUARDED_BY(mutex_);
  // Nothing at or below it is missing in the archive; while not restorable_, but for the base.
  Timestamp closed_ ABSL_GUARDED_BY(mutex_);
  Timestamp restorable_to_ ABSL_GUARDED_BY(mutex_);  // while not restorable_: closed_ when it was; 0: it never was
  Lsn restorable_lsn_ ABSL_GUARDED_BY(mutex_);
  // Since when the archive has not been looked at, while it never was.
  Timestamp not_looked_since_;
  // The record at the checkpoint, once there is one.
  Lsn first_unflushed_lsn_ ABSL_GUARDED_BY(mutex_);
  Timestamp first_unflushed_ ABSL_GUARDED_BY(mutex_);
  // Failures in a row, and the last one.
  uint64_t failing_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status trouble_ ABSL_GUARDED_BY(mutex_);
  TaskStatus totals_ ABSL_GUARDED_BY(mutex_);  // only the counters in it

  // What the watchdog reads: nothing that the driver could hold back.
  std::atomic<uint64_t> checkpoint_{0};
  std::atomic<bool> watched_{true};
  std::atomic<bool> stalled_{false};
  uint64_t watch_checkpoint_ = 0;  // the watchdog's own
  uint64_t watch_since_micros_ = 0;

  std::thread driver_;
};

}  // namespace tidemark::backup
