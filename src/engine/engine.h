// The write path: one place where a command's changes become a record in the log and rows in the store, in one order.
//
// A transaction runs under the store's exclusive lock (the commit lock): the function reads rows, changes them, and
// when it returns OK its changes are appended to the log as one record and stand in the store; when it returns an
// error, nothing has happened. What is appended reaches the operating system when EndTurn() is called, once for all
// transactions of a turn of the event loop, and no reply may leave before. A reply that needs durability waits until
// log().durable() has reached last_end().
//
// Transactions read memory only (kv::Tier::kMemory) as a rule: where a row is cold they fail with kv::ColdRow() and the
// caller rehearses: runs the same function on a worker thread against the disk, without effect, which brings the rows
// into memory; then tries again. So a cold row never stalls other writers.
//
// Background threads of the engine: persisting the store, sweeping what has expired or died, watching the disk's free
// room.
#pragma once

#include <absl/functional/function_ref.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "env/clock.h"
#include "kv/store.h"
#include "kv/txn.h"
#include "log/log.h"

namespace tidemark::engine {

struct EngineOptions {
  // Holds log/, store/, snapshots/ and the lock file of the one server that may use it.
  std::string folder;
  log::LogOptions log;     // its folder is set by the engine
  kv::StoreOptions store;  // its folder is set by the engine
  // The store is persisted when this much log has gathered since the last time, at the latest.
  uint64_t log_apply_max = 1024ull << 20;
  // Free bytes on the disk below which writes that grow the data are refused.
  uint64_t disk_low_water = 256ull << 20;
  // Whether the sweeper writes records of its own accord. Off where every record has to come from somebody else: a
  // follower, whose primary sweeps, and tests that count records.
  bool sweeping = true;
  // Told what recovery does when it takes longer than a second, and of events worth a line in the server's log.
  std::function<void(const std::string& line)> report = [](const std::string&) {};
};

// Told, under the commit lock, what a committed transaction changed. Must be quick and not call the engine.
class ChangeListener {
 public:
  virtual ~ChangeListener() = default;
  // False while nobody listens, which saves gathering the keys.
  virtual bool listening() const = 0;
  virtual void OnKeyChanged(DbIndex db, std::string_view key) = 0;
  virtual void OnContentsReplaced(DbIndex db) = 0;
  // The sweeper removed a key because its time was over; told whether or not anybody listens.
  virtual void OnKeyExpired(DbIndex /*db*/, std::string_view /*key*/) {}
};

using TxnFunction = absl::FunctionRef<absl::Status(kv::Txn&)>;

// Transactions that cannot go on now but will be able to later fail with this: the store has to catch up first.
absl::Status Stalled();
bool IsStalled(const absl::Status& status);
// The disk is (nearly) full: RESOURCE_EXHAUSTED, with the whole error line for a client.
bool IsDiskFull(const absl::Status& status);

class Engine {
 public:
  virtual ~Engine() = default;

  // Opens or creates the folder, recovers the store from the log, starts the background threads. FAILED_PRECONDITION
  // when another server has the folder; DATA_LOSS for damage, naming file and offset and the way on.
  static absl::StatusOr<std::unique_ptr<Engine>> Open(FileSystem& fs, Clock& clock, const EngineOptions& options);
  // Stops the background threads, writes and syncs the log, persists the store (so that the next start has nothing to
  // replay).
  virtual absl::Status Close() = 0;

  // Runs `body` as a transaction that may write. `growing`: refuse with IsDiskFull while the disk is nearly full.
  virtual absl::Status Write(kv::Tier tier, bool growing, TxnFunction body) = 0;
  // Runs `body` as a transaction that only reads, all of it at one moment.
  virtual absl::Status Read(kv::Tier tier, TxnFunction body) = 0;
  // As Write and Read, for threads that must not wait for long: they fail with Stalled() while a transaction is under
  // way that RunLong runs.
  virtual absl::Status TryWrite(kv::Tier tier, bool growing, TxnFunction body) = 0;
  virtual absl::Status TryRead(kv::Tier tier, TxnFunction body) = 0;
  // On a worker thread: as Write (`writes`) or Read, for a transaction that may take seconds (a slow script).
  virtual absl::Status RunLong(bool writes, kv::Tier tier, bool growing, TxnFunction body) = 0;
  // A transaction of RunLong waits or runs. Any thread.
  virtual bool running_long() const = 0;
  // OK, or IsDiskFull: what a growing Write would be refused with now. Any thread.
  virtual absl::Status MayGrow() const = 0;
  // On a worker thread: runs `body` against the disk, without locks, with effects that only it sees and that vanish.
  // For reads its outcome may be used; each Get and Scan then sees its own moment.
  virtual absl::Status Rehearse(TxnFunction body) = 0;

  // Within a transaction made by Write: a point to return to, so that one failing command of a MULTI leaves no trace.
  virtual size_t MarkTransaction(kv::Txn& txn) = 0;
  virtual void RollBackTo(kv::Txn& txn, size_t mark) = 0;
  // Likewise: the ChangeListener shall be told that this key's time was over.
  virtual void NoteExpired(kv::Txn& txn, DbIndex db, std::string_view key) = 0;

  // Hands everything appended to the operating system. Call at the end of a turn, before its replies leave.
  virtual void EndTurn() = 0;
  // End of the last record appended: what a reply made now may have seen.
  virtual Lsn last_end() const = 0;

  virtual log::Log& log() = 0;
  virtual kv::Store& store() = 0;
  virtual HybridClock& clock() = 0;
  virtual void SetChangeListener(ChangeListener* listener) = 0;

  // A snapshot in folder/snapshots/<lsn>, by hard links; earlier ones of this kind go, since they hold disk space as
  // the store moves on. Returns its LSN. Blocks; not on an I/O thread.
  virtual absl::StatusOr<Lsn> Snapshot() = 0;
  // A snapshot in folder/snapshots/<name>, replacing one of that name; the caller removes it. Returns its LSN. Blocks.
  virtual absl::StatusOr<Lsn> SnapshotAs(std::string_view name) = 0;
  // Path of folder/snapshots/<name>.
  virtual std::string SnapshotFolder(std::string_view name) const = 0;

  // A moment that is over: every record that begins at or after `end` has a timestamp later than `closed`, and every
  // one before it, at most `closed`. It may be told to others: not even a restart with the wall clock set back breaks
  // it. An error of the disk where that cannot be kept. May wait for the disk; not on an I/O thread.
  struct ClosePoint {
    Lsn end;
    Timestamp closed;
  };
  virtual absl::StatusOr<ClosePoint> Closed() = 0;

  // The moment at which expiry stands still (a restored store: engine/expiry_clock.h); nullopt when it goes on with
  // time, as it does everywhere else.
  virtual std::optional<Timestamp> expiry_stands_at() const = 0;
  // Lets expiry go on with time, by a record: what is due by then goes. Durable once the log is.
  virtual absl::Status ThawExpiry() = 0;
  // Now, or the moment at which expiry stands still.
  Timestamp expiry_now() { return std::min(clock().Now(), expiry_stands_at().value_or(Timestamp{UINT64_MAX})); }

  // Following another node. The caller sees to it that no transaction writes meanwhile (SetSweeping(false), clients
  // refused), and that these calls come one at a time.
  //
  // Appends whole records of another node's log, which go on from last_end(), and applies them. Returns how many bytes
  // were done, perhaps fewer than all: then the store has to catch up first. DATA_LOSS when they do not go on from the
  // log's end, FAILED_PRECONDITION when they come from a newer server: the engine then takes nothing more.
  virtual absl::StatusOr<size_t> ApplyReceived(std::string_view records) = 0;
  // While it is on, Write refuses with INVALID_ARGUMENT and Redis's words for it: a client's write that was let in
  // before the role changed must not get between the primary's records. Once it returns, no other write is under way.
  virtual void SetFollowing(bool on) = 0;
  // The next record begins `timeline`.
  virtual void StartTimeline(Timeline timeline) = 0;
  // Where the log ends, as of a moment at which no record is being appended.
  virtual log::Log::Tail Tail() = 0;
  // Closes store and log, calls `between` with the LSN that the store is persisted up to, and opens again what the
  // folder has then; `received` as in LogOptions. The
  // engine stays the same object; what log() and store() gave is gone, so no other thread may be in the engine, or it
  // holds a Pin. The status of `between`; another error leaves an engine that must not be used any more.
  virtual absl::Status Reopen(bool received, absl::FunctionRef<absl::Status(Lsn persisted)> between) = 0;
  // While it is held, Reopen waits. For threads that a Reopen does not stop otherwise.
  [[nodiscard]] virtual std::shared_lock<std::shared_mutex> Pin() = 0;

  virtual void SetDiskLowWater(uint64_t bytes) = 0;
  virtual void SetActiveExpire(bool on) = 0;
  // As EngineOptions::sweeping, from now on. After `false` has returned, the sweeper has no write under way. Not within
  // a transaction.
  virtual void SetSweeping(bool on) = 0;
  // Asks the sweeper to look again at once (a reader met an expired key).
  virtual void WakeSweeper() = 0;

  struct Stats {
    uint64_t transactions = 0;
    uint64_t expired_keys = 0;
    uint64_t swept_rows = 0;
    uint64_t recovered_records = 0;
    uint64_t recovery_micros = 0;
    uint64_t last_snapshot_seconds = 0;  // Unix time; 0: none
    uint64_t transactions_since_snapshot = 0;
    bool last_snapshot_ok = true;
    bool snapshot_running = false;
    bool disk_low = false;
    uint64_t disk_free_bytes = 0;
    int64_t clock_alarm_micros = 0;
    log::RecoveryReport recovery;
  };
  // Safe to call from within a transaction.
  virtual Stats stats() const = 0;
};

}  // namespace tidemark::engine
