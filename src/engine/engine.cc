#include "engine/engine.h"

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>
#include <utility>

#include "base/check.h"
#include "engine/applier.h"
#include "engine/clock_floor.h"
#include "engine/expiry_clock.h"
#include "engine/install.h"
#include "engine/recovery.h"
#include "engine/sweeper.h"
#include "engine/transactions.h"
#include "format/log_format.h"

namespace tidemark::engine {
namespace {

constexpr std::string_view kEngineLease = "engine";
constexpr std::chrono::milliseconds kSweepEvery{100};
constexpr std::chrono::milliseconds kLookAtDiskEvery{1000};
constexpr std::chrono::milliseconds kRetryPersistAfter{1000};
constexpr size_t kSweepPage = 200;
// Readers get their turn between so many received bytes.
constexpr size_t kReceivedBytesPerLock = 64 << 10;
constexpr uint64_t kExpiryGoesOn = UINT64_MAX;

absl::Status DiskFull(std::string_view detail) {
  return Errorf(
      absl::StatusCode::kResourceExhausted,
      "DISKFULL no room to write ({}): reads, DEL and FLUSHDB go on, and writes do by themselves once there is "
      "room",
      detail);
}

absl::Status RefuseHalfRestored(FileSystem& fs, const std::string& folder) {
  const absl::Status mark = fs.Open(folder + "/restore.json", FileSystem::Mode::kRead).status();
  if (absl::IsNotFound(mark)) return absl::OkStatus();
  TM_RETURN_IF_ERROR(mark);
  return Errorf(absl::StatusCode::kFailedPrecondition,
                "a restore into {} is not complete (its restore.json says of what): go on with the same `tidemark "
                "restore` command and --resume, or empty the folder",
                folder);
}

// Named by MakeSnapshot, not by SnapshotAs.
bool IsSnapshotOfLsn(std::string_view name) {
  return name.size() == 16 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// A thread that runs a step whenever it is woken, and at the latest after the time that the step returned.
class Ticker {
 public:
  explicit Ticker(std::function<std::chrono::milliseconds()> step)
      : step_(std::move(step)), thread_([this] { Run(); }) {}
  ~Ticker() { Stop(); }

  void Wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_one();
  }
  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      woken_ = false;
      lock.unlock();
      const std::chrono::milliseconds wait = step_();
      lock.lock();
      changed_.wait_for(lock, wait, [this] { return woken_ || stopping_; });
    }
  }

  const std::function<std::chrono::milliseconds()> step_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

class EngineImpl final : public Engine {
 public:
  EngineImpl(FileSystem& fs, Clock& clock, EngineOptions options)
      : fs_(fs),
        system_clock_(clock),
        options_(std::move(options)),
        sweeping_(options_.sweeping),
        disk_low_water_(options_.disk_low_water) {}
  ~EngineImpl() override { StopThreads(); }

  absl::Status Start();
  absl::Status Close() override;

  absl::Status Write(kv::Tier tier, bool growing, TxnFunction body) override;
  absl::Status Read(kv::Tier tier, TxnFunction body) override;
  absl::Status TryWrite(kv::Tier tier, bool growing, TxnFunction body) override;
  absl::Status TryRead(kv::Tier tier, TxnFunction body) override;
  absl::Status RunLong(bool writes, kv::Tier tier, bool growing, TxnFunction body) override;
  bool running_long() const override { return long_.load(std::memory_order_relaxed) > 0; }
  absl::Status MayGrow() const override;
  absl::Status Rehearse(TxnFunction body) override;
  size_t MarkTransaction(kv::Txn& txn) override;
  void RollBackTo(kv::Txn& txn, size_t mark) override;
  void NoteExpired(kv::Txn& txn, DbIndex db, std::string_view key) override;

  void EndTurn() override { log_->Write(); }
  Lsn last_end() const override { return log_->appended(); }

  log::Log& log() override { return *log_; }
  kv::Store& store() override { return *store_; }
  HybridClock& clock() override { return *clock_; }
  void SetChangeListener(ChangeListener* listener) override { listener_ = listener; }

  absl::StatusOr<Lsn> Snapshot() override;
  absl::StatusOr<Lsn> SnapshotAs(std::string_view name) override;
  std::string SnapshotFolder(std::string_view name) const override {
    return fmt::format("{}/snapshots/{}", options_.folder, name);
  }
  absl::StatusOr<ClosePoint> Closed() override;
  std::optional<Timestamp> expiry_stands_at() const override;
  absl::Status ThawExpiry() override;
  absl::StatusOr<size_t> ApplyReceived(std::string_view records) override;
  void StartTimeline(Timeline timeline) override;
  log::Log::Tail Tail() override;
  absl::Status Reopen(bool received, absl::FunctionRef<absl::Status(Lsn persisted)> between) override;
  void SetFollowing(bool on) override;
  std::shared_lock<std::shared_mutex> Pin() override { return std::shared_lock(floors_mutex_); }
  void SetDiskLowWater(uint64_t bytes) override { disk_low_water_ = bytes; }
  void SetActiveExpire(bool on) override { active_expire_ = on; }
  void SetSweeping(bool on) override {
    const std::lock_guard lock(sweep_mutex_);
    sweeping_ = on;
  }
  void WakeSweeper() override { sweep_ticker_->Wake(); }
  Stats stats() const override;

 private:
  std::function<absl::Status(Lsn)> SyncLog() {
    return [this](Lsn cut) { return log_->SyncTo(cut); };
  }
  absl::Status AdmitWrite(bool growing);
  absl::Status WriteIn(kv::Store::Writer& writer, kv::Tier tier, TxnFunction body);
  absl::Status ReadIn(kv::Store::Reader& reader, kv::Tier tier, TxnFunction body);
  absl::Status Append(CommitTxn& txn, kv::Store::Writer& writer, Timestamp now);
  absl::Status OpenFloors();
  absl::Status RecoverStore();
  void StartThreads();
  absl::StatusOr<size_t> ApplySome(std::string_view records, bool* system_rows);
  absl::Status LoadExpiryClock();
  absl::Status PersistNow();
  absl::StatusOr<Lsn> MakeSnapshot();
  void StopThreads();
  std::chrono::milliseconds PersistStep();
  std::chrono::milliseconds SweepStep();
  std::chrono::milliseconds DiskStep();

  FileSystem& fs_;
  Clock& system_clock_;
  EngineOptions options_;
  std::shared_ptr<void> folder_lock_;
  std::shared_mutex floors_mutex_;  // exclusively while store and log are exchanged
  std::unique_ptr<kv::Store> store_;
  std::unique_ptr<log::Log> log_;
  std::unique_ptr<ClockFloor> clock_floor_;
  std::unique_ptr<HybridClock> clock_;
  ChangeListener* listener_ = nullptr;

  // Under the commit lock (the store's, exclusive).
  format::WriteBatchBuilder batch_;
  bool following_ = false;

  std::mutex persist_mutex_;  // one Persist or Snapshot at a time
  std::mutex sweep_mutex_;    // held while the sweeper works
  bool sweeping_;             // guarded by sweep_mutex_
  std::unique_ptr<Sweeper> sweeper_;
  std::atomic<bool> closed_{false};
  std::atomic<bool> disk_low_{false};
  // The last attempt to persist met a full disk.
  std::atomic<bool> store_full_{false};
  std::atomic<uint64_t> disk_free_{0};
  std::atomic<int> long_{0};
  std::atomic<uint64_t> disk_low_water_;
  std::atomic<bool> active_expire_{true};
  std::atomic<uint64_t> expiry_stands_at_{kExpiryGoesOn};
  std::atomic<bool> persist_asked_{false};
  std::atomic<uint64_t> transactions_{0};
  std::atomic<uint64_t> snapshot_transactions_{0};  // what transactions_ was when the last snapshot began
  std::atomic<uint64_t> last_snapshot_seconds_{0};
  std::atomic<bool> last_snapshot_ok_{true};
  std::atomic<bool> snapshot_running_{false};
  log::RecoveryReport recovery_;
  ReplayResult replay_;

  // Last, so that they stop before what they use goes.
  std::unique_ptr<Ticker> persist_ticker_;
  std::unique_ptr<Ticker> sweep_ticker_;
  std::unique_ptr<Ticker> disk_ticker_;
};

absl::Status EngineImpl::OpenFloors() {
  TM_RETURN_IF_ERROR(fs_.CreateFolder(options_.folder));
  if (folder_lock_ == nullptr) {
    TM_ASSIGN_OR_RETURN(folder_lock_, fs_.Lock(options_.folder + "/LOCK"));
  }
  TM_RETURN_IF_ERROR(RefuseHalfRestored(fs_, options_.folder));
  TM_RETURN_IF_ERROR(FinishInstall(fs_, options_.folder));
  kv::StoreOptions store_options = options_.store;
  store_options.folder = options_.folder + "/store";
  TM_ASSIGN_OR_RETURN(store_, kv::Store::Open(store_options));
  log::LogOptions log_options = options_.log;
  log_options.folder = options_.folder + "/log";
  TM_ASSIGN_OR_RETURN(log_, log::Log::Open(fs_, system_clock_, log_options, &recovery_));
  TM_ASSIGN_OR_RETURN(clock_floor_, ClockFloor::Open(fs_, options_.folder));
  if (clock_floor_->was_damaged()) {
    options_.report(
        "clock.floor cannot be read: if the wall clock was set back since the last stop, records may get times that an "
        "archive has closed, until its task has reached it");
  }
  // The names of store and log: without them what they hold would not survive a power failure.
  TM_RETURN_IF_ERROR(fs_.SyncFolder(options_.folder));
  if (recovery_.torn_bytes != 0) {
    options_.report(fmt::format("log: a torn tail of {} bytes at lsn:{:x} was cut and saved to {}",
                                recovery_.torn_bytes, recovery_.torn_at.value, recovery_.saved_to));
  }
  return absl::OkStatus();
}

absl::Status EngineImpl::RecoverStore() {
  const Lsn from = store_->persisted() == Lsn{} ? log_->oldest() : store_->persisted();
  TM_ASSIGN_OR_RETURN(replay_, Replay(*store_, *log_, system_clock_, options_.report));
  TM_RETURN_IF_ERROR(log_->TakeLease({.name = std::string(kEngineLease),
                                      .lease_class = log::LeaseClass::kRequired,
                                      .position = std::max(from, store_->persisted()),
                                      .broken = {}}));
  if (replay_.records > 0) {
    options_.report(fmt::format("recovery: replayed {} records in {:.1f} s", replay_.records,
                                static_cast<double>(replay_.micros) / 1e6));
  }
  return absl::OkStatus();
}

absl::Status EngineImpl::Start() {
  TM_RETURN_IF_ERROR(OpenFloors());
  TM_RETURN_IF_ERROR(RecoverStore());
  clock_ = std::make_unique<HybridClock>(system_clock_, std::max(recovery_.last_timestamp, clock_floor_->floor()));
  TM_RETURN_IF_ERROR(LoadExpiryClock());
  sweeper_ = std::make_unique<Sweeper>(*this, options_.store.databases);
  StartThreads();
  return absl::OkStatus();
}

void EngineImpl::SetFollowing(bool on) {
  const kv::Store::Writer writer = store_->Write();
  following_ = on;
}

absl::Status EngineImpl::Reopen(bool received, absl::FunctionRef<absl::Status(Lsn persisted)> between) {
  const std::unique_lock pinned_by_none(floors_mutex_);
  StopThreads();
  log_->Write();
  TM_RETURN_IF_ERROR(log_->SyncTo(log_->appended()));
  const Lsn persisted = store_->persisted();
  log_.reset();
  store_.reset();
  absl::Status done = between(persisted);
  options_.log.received = received;
  TM_RETURN_IF_ERROR(OpenFloors());
  TM_RETURN_IF_ERROR(RecoverStore());
  clock_->RaiseFloor(recovery_.last_timestamp);
  TM_RETURN_IF_ERROR(LoadExpiryClock());
  StartThreads();
  return done;
}

void EngineImpl::StartThreads() {
  DiskStep();
  persist_ticker_ = std::make_unique<Ticker>([this] { return PersistStep(); });
  sweep_ticker_ = std::make_unique<Ticker>([this] { return SweepStep(); });
  disk_ticker_ = std::make_unique<Ticker>([this] { return DiskStep(); });
}

void EngineImpl::StopThreads() {
  for (Ticker* ticker : {sweep_ticker_.get(), disk_ticker_.get(), persist_ticker_.get()}) {
    if (ticker != nullptr) ticker->Stop();
  }
}

absl::Status EngineImpl::Close() {
  if (closed_.exchange(true)) return absl::OkStatus();
  StopThreads();
  log_->Write();
  TM_RETURN_IF_ERROR(log_->SyncTo(log_->appended()));
  // Where that fails, the clock starts a little ahead.
  clock_floor_->Settle(clock_->Now()).IgnoreError();
  return PersistNow();
}

absl::Status EngineImpl::Append(CommitTxn& txn, kv::Store::Writer& writer, Timestamp now) {
  const std::string_view payload = batch_.Finish();
  if (absl::Status room = log_->Reserve(payload.size()); !room.ok()) {
    return absl::IsResourceExhausted(room) ? DiskFull(Message(room)) : room;
  }
  log_->Append(now, payload);
  writer.SetApplied(log_->next_lsn());
  if (listener_ != nullptr) txn.Tell(*listener_);
  transactions_.fetch_add(1, std::memory_order_relaxed);
  return absl::OkStatus();
}

absl::Status EngineImpl::MayGrow() const {
  if (disk_low_.load(std::memory_order_relaxed)) {
    return DiskFull(
        fmt::format("{} MiB free, low-water mark {} MiB", disk_free_.load() >> 20, disk_low_water_.load() >> 20));
  }
  if (store_full_.load(std::memory_order_relaxed)) return DiskFull("changed rows cannot be written out");
  return absl::OkStatus();
}

absl::Status EngineImpl::AdmitWrite(bool growing) {
  if (closed_.load(std::memory_order_relaxed)) {
    return Errorf(absl::StatusCode::kUnavailable, "ERR the server is shutting down");
  }
  if (growing) TM_RETURN_IF_ERROR(MayGrow());
  // Waiting would be for as long as the disk is full. What makes room goes on: it adds little to the dirty rows.
  if (!store_full_.load(std::memory_order_relaxed) && store_->MustWait()) return Stalled();
  return absl::OkStatus();
}

absl::Status EngineImpl::Write(kv::Tier tier, bool growing, TxnFunction body) {
  TM_RETURN_IF_ERROR(AdmitWrite(growing));
  kv::Store::Writer writer = store_->Write();
  return WriteIn(writer, tier, body);
}

absl::Status EngineImpl::TryWrite(kv::Tier tier, bool growing, TxnFunction body) {
  TM_RETURN_IF_ERROR(AdmitWrite(growing));
  if (!store_->LockUnless(long_)) return Stalled();
  kv::Store::Writer writer(*store_, std::adopt_lock);
  return WriteIn(writer, tier, body);
}

absl::Status EngineImpl::RunLong(bool writes, kv::Tier tier, bool growing, TxnFunction body) {
  struct Count {
    explicit Count(std::atomic<int>& counter) : count(counter) { count.fetch_add(1); }
    ~Count() { count.fetch_sub(1); }
    std::atomic<int>& count;
  };
  const Count count(long_);
  return writes ? Write(tier, growing, body) : Read(tier, body);
}

absl::Status EngineImpl::WriteIn(kv::Store::Writer& writer, kv::Tier tier, TxnFunction body) {
  if (following_) {
    return Errorf(absl::StatusCode::kInvalidArgument, "READONLY You can't write against a read only replica.");
  }
  const Timestamp now = clock_->Next();
  CommitTxn txn(writer, batch_, tier, log_->next_lsn(), now, listener_ != nullptr && listener_->listening());
  txn.StopExpiryAt(Timestamp{expiry_stands_at_.load(std::memory_order_relaxed)});
  absl::Status status = body(txn);
  if (status.ok() && !batch_.empty()) status = Append(txn, writer, now);
  if (!status.ok()) txn.RollBackTo(0);
  batch_.Clear();
  // Waking the thread costs a lock, so only the first who sees the wish does it.
  if (store_->WantsPersist() && !persist_asked_.exchange(true, std::memory_order_relaxed)) persist_ticker_->Wake();
  return status;
}

absl::StatusOr<size_t> EngineImpl::ApplySome(std::string_view records, bool* system_rows) {
  kv::Store::Writer writer = store_->Write();
  size_t done = 0;
  Timestamp last;
  while (done < records.size() && done < kReceivedBytesPerLock) {
    const std::string_view rest = records.substr(done);
    if (rest.size() < format::kRecordHeaderSize) {
      return Errorf(absl::StatusCode::kDataLoss, "what was received ends within the header of a record");
    }
    const format::RecordHeader header = format::DecodeRecordHeader(rest.data());
    const std::string_view raw = rest.substr(0, header.size());
    // Nothing is left half done when the log has no room: what was done before stays.
    if (absl::Status appended = log_->AppendReceived(raw); !appended.ok()) {
      if (done > 0 && absl::IsResourceExhausted(appended)) break;
      return appended;
    }
    if (absl::Status applied = ApplyRecord(FirstRecord(raw), writer, system_rows); !applied.ok()) {
      closed_ = true;  // the log has what the store has not: only a restart with another version may go on
      return applied;
    }
    transactions_.fetch_add(1, std::memory_order_relaxed);
    last = header.timestamp;
    done += raw.size();
  }
  if (done > 0) clock_->RaiseFloor(last);
  return done;
}

absl::StatusOr<size_t> EngineImpl::ApplyReceived(std::string_view records) {
  size_t done = 0;
  bool system_rows = false;
  while (done < records.size() && !store_->MustWait()) {
    if (closed_) return Errorf(absl::StatusCode::kUnavailable, "the server is shutting down");
    LookAhead(records.substr(done), kReceivedBytesPerLock, *store_);
    absl::StatusOr<size_t> some = ApplySome(records.substr(done), &system_rows);
    // While the bytes are still in the processor's cache.
    log_->Write();
    if (!some.ok() && absl::IsResourceExhausted(some.status())) break;
    TM_RETURN_IF_ERROR(some.status());
    done += *some;
    if (store_->WantsPersist() && !persist_asked_.exchange(true, std::memory_order_relaxed)) persist_ticker_->Wake();
  }
  if (system_rows) TM_RETURN_IF_ERROR(LoadExpiryClock());
  return done;
}

void EngineImpl::StartTimeline(Timeline timeline) {
  const kv::Store::Writer writer = store_->Write();
  log_->StartTimeline(timeline);
}

log::Log::Tail EngineImpl::Tail() {
  const kv::Store::Reader reader = store_->Read();
  return log_->tail();
}

absl::Status EngineImpl::Read(kv::Tier tier, TxnFunction body) {
  kv::Store::Reader reader = store_->Read();
  return ReadIn(reader, tier, body);
}

absl::Status EngineImpl::TryRead(kv::Tier tier, TxnFunction body) {
  if (!store_->LockSharedUnless(long_)) return Stalled();
  kv::Store::Reader reader(*store_, std::adopt_lock);
  return ReadIn(reader, tier, body);
}

absl::Status EngineImpl::ReadIn(kv::Store::Reader& reader, kv::Tier tier, TxnFunction body) {
  ReadTxn txn(reader, tier, clock_->Now(), store_.get());
  txn.StopExpiryAt(Timestamp{expiry_stands_at_.load(std::memory_order_relaxed)});
  return body(txn);
}

absl::Status EngineImpl::Rehearse(TxnFunction body) {
  RehearsalTxn txn(*store_, clock_->Now());
  txn.StopExpiryAt(Timestamp{expiry_stands_at_.load(std::memory_order_relaxed)});
  return body(txn);
}

size_t EngineImpl::MarkTransaction(kv::Txn& txn) {
  auto* commit = dynamic_cast<CommitTxn*>(&txn);
  return commit == nullptr ? 0 : commit->Mark();
}

void EngineImpl::RollBackTo(kv::Txn& txn, size_t mark) {
  if (auto* commit = dynamic_cast<CommitTxn*>(&txn)) commit->RollBackTo(mark);
}

void EngineImpl::NoteExpired(kv::Txn& txn, DbIndex db, std::string_view key) {
  if (auto* commit = dynamic_cast<CommitTxn*>(&txn)) commit->NoteExpired(db, key);
}

absl::Status EngineImpl::PersistNow() {
  const std::lock_guard lock(persist_mutex_);
  TM_RETURN_IF_ERROR(store_->Persist(SyncLog()));
  return log_->RaiseLease(kEngineLease, store_->persisted());
}

std::chrono::milliseconds EngineImpl::PersistStep() {
  persist_asked_ = false;
  const bool log_is_long = store_->applied() > store_->persisted() &&
                           store_->applied() - std::max(store_->persisted(), log_->oldest()) > options_.log_apply_max;
  if (!store_->WantsPersist() && !log_is_long) {
    store_full_ = false;
    return std::chrono::milliseconds(500);
  }
  const absl::Status status = PersistNow();
  const bool was_full = store_full_.exchange(absl::IsResourceExhausted(status));
  if (!status.ok()) {
    // Once is enough to say of a disk that stays full.
    if (!was_full || !store_full_) {
      options_.report(fmt::format("store: cannot persist, will try again: {}", Message(status)));
    }
    return kRetryPersistAfter;
  }
  return std::chrono::milliseconds(0);
}

std::chrono::milliseconds EngineImpl::SweepStep() {
  const std::lock_guard lock(sweep_mutex_);
  if (closed_ || !sweeping_) return kSweepEvery;
  bool more = false;
  absl::Status failed;
  if (active_expire_) {
    const absl::StatusOr<size_t> expired = sweeper_->SweepExpired(kSweepPage);
    failed = expired.status();
    more = expired.ok() && *expired == kSweepPage;
  }
  if (failed.ok()) {
    const absl::StatusOr<size_t> dead = sweeper_->SweepDead(kSweepPage);
    failed = dead.status();
    more = more || (dead.ok() && *dead > 0);
  }
  if (!failed.ok() && !IsStalled(failed) && !absl::IsResourceExhausted(failed)) {
    options_.report(fmt::format("sweeper: {}", Message(failed)));
    return std::chrono::milliseconds(1000);
  }
  return more && failed.ok() ? std::chrono::milliseconds(0) : kSweepEvery;
}

std::chrono::milliseconds EngineImpl::DiskStep() {
  if (const absl::StatusOr<uint64_t> bytes = fs_.FreeBytes(options_.folder); bytes.ok()) {
    disk_free_ = *bytes;
    const bool low = *bytes < disk_low_water_;
    if (low != disk_low_.exchange(low)) {
      options_.report(fmt::format("disk: {} MiB free, low-water mark {} MiB: writes {}", *bytes >> 20,
                                  disk_low_water_.load() >> 20, low ? "are refused" : "are accepted again"));
    }
  }
  return kLookAtDiskEvery;
}

absl::StatusOr<Lsn> EngineImpl::Snapshot() {
  const std::lock_guard lock(persist_mutex_);
  snapshot_running_ = true;
  const uint64_t transactions = transactions_;
  absl::StatusOr<Lsn> lsn = MakeSnapshot();
  last_snapshot_ok_ = lsn.ok();
  if (lsn.ok()) {
    last_snapshot_seconds_ = system_clock_.WallMicros() / 1'000'000;
    snapshot_transactions_ = transactions;
  }
  snapshot_running_ = false;
  return lsn;
}

absl::StatusOr<Lsn> EngineImpl::MakeSnapshot() {
  const std::string parent = options_.folder + "/snapshots";
  TM_RETURN_IF_ERROR(fs_.CreateFolder(parent));
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> present, fs_.List(parent));
  const Lsn applied = store_->applied();
  const std::string name = fmt::format("{:016x}", applied.value);
  // Nothing was written since that snapshot: it is as good as a new one.
  if (std::find(present.begin(), present.end(), name) != present.end()) return applied;
  TM_ASSIGN_OR_RETURN(const Lsn lsn, store_->Snapshot(parent + "/" + name, SyncLog()));
  TM_RETURN_IF_ERROR(fs_.SyncFolder(parent));
  for (const std::string& former : present) {
    if (!IsSnapshotOfLsn(former)) continue;
    std::error_code failed;
    std::filesystem::remove_all(fmt::format("{}/{}", parent, former), failed);
    if (failed) options_.report(fmt::format("snapshots: {} cannot be removed: {}", former, failed.message()));
  }
  return lsn;
}

absl::StatusOr<Lsn> EngineImpl::SnapshotAs(std::string_view name) {
  const std::lock_guard lock(persist_mutex_);
  const std::string folder = SnapshotFolder(name);
  std::error_code failed;
  std::filesystem::remove_all(folder, failed);
  if (failed) return Errorf(absl::StatusCode::kInternal, "cannot remove the snapshot {}: {}", folder, failed.message());
  TM_RETURN_IF_ERROR(fs_.CreateFolder(options_.folder + "/snapshots"));
  return store_->Snapshot(folder, SyncLog());
}

absl::StatusOr<Engine::ClosePoint> EngineImpl::Closed() {
  ClosePoint point;
  {
    // No writer is between taking its timestamp and appending while the lock is shared, and later ones take later
    // times.
    const kv::Store::Reader reader = store_->Read();
    point = {.end = log_->appended(), .closed = clock_->Next()};
  }
  if (const absl::Status kept = clock_floor_->Promise(point.closed); !kept.ok()) {
    return Errorf(kept.code(), "keeping that a moment is closed: {}", Message(kept));
  }
  return point;
}

absl::Status EngineImpl::LoadExpiryClock() {
  TM_ASSIGN_OR_RETURN(const kv::Value row, store_->Get(ExpiryClockRow().view(), kv::Tier::kDisk));
  if (!row) {
    expiry_stands_at_ = kExpiryGoesOn;
    return absl::OkStatus();
  }
  TM_ASSIGN_OR_RETURN(const Timestamp moment, DecodeExpiryClock(row.view()));
  expiry_stands_at_ = moment.micros;
  options_.report(fmt::format(
      "expiry stands still at {} ms since 1970, since the data were restored to that moment: EXPIRY THAW lets it go on",
      moment.millis()));
  return absl::OkStatus();
}

std::optional<Timestamp> EngineImpl::expiry_stands_at() const {
  const uint64_t micros = expiry_stands_at_.load(std::memory_order_relaxed);
  if (micros == kExpiryGoesOn) return std::nullopt;
  return Timestamp{micros};
}

absl::Status EngineImpl::ThawExpiry() {
  if (!expiry_stands_at()) return absl::OkStatus();
  TM_RETURN_IF_ERROR(Write(kv::Tier::kDisk, /*growing=*/false, [](kv::Txn& txn) {
    txn.Delete(ExpiryClockRow().view());
    return absl::OkStatus();
  }));
  expiry_stands_at_ = kExpiryGoesOn;
  EndTurn();
  WakeSweeper();
  return absl::OkStatus();
}

Engine::Stats EngineImpl::stats() const {
  Stats stats;
  const uint64_t at_snapshot = snapshot_transactions_;
  stats.transactions = transactions_;
  stats.transactions_since_snapshot = stats.transactions - at_snapshot;
  stats.expired_keys = sweeper_->expired_keys();
  stats.swept_rows = sweeper_->swept_rows();
  stats.recovered_records = replay_.records;
  stats.recovery_micros = replay_.micros;
  stats.last_snapshot_seconds = last_snapshot_seconds_;
  stats.last_snapshot_ok = last_snapshot_ok_;
  stats.snapshot_running = snapshot_running_;
  stats.disk_low = disk_low_;
  stats.disk_free_bytes = disk_free_;
  stats.clock_alarm_micros = clock_->alarm_micros();
  stats.recovery = recovery_;
  return stats;
}

}  // namespace

absl::Status Stalled() {
  static const absl::Status status = absl::AbortedError("the store has to catch up first");
  return status;
}

bool IsStalled(const absl::Status& status) { return absl::IsAborted(status); }
bool IsDiskFull(const absl::Status& status) { return absl::IsResourceExhausted(status); }

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(FileSystem& fs, Clock& clock, const EngineOptions& options) {
  auto engine = std::make_unique<EngineImpl>(fs, clock, options);
  TM_RETURN_IF_ERROR(engine->Start());
  return engine;
}

}  // namespace tidemark::engine
