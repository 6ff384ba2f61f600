// The store: rows on disk in RocksDB, with a table of hot rows in memory before it. The log is the write-ahead log, so
// RocksDB's own is off.
//
// A change goes into the hot table at once and counts as *dirty* until it has been persisted. Dirty rows are also kept
// in key order, so that scans can merge them with RocksDB. Persist() takes the dirty rows as of one LSN (the cut),
// writes them, sorted and together with that LSN and the database states, into one SST file and ingests it: what
// RocksDB has is always exactly a prefix of the log, and it says itself which. A row rewritten ten times between two
// cuts reaches RocksDB once, and neither memtable nor RocksDB's WAL is involved. Recovery replays the log from
// persisted().
//
// Rows persisted before the log that holds them would break promise 1: Persist() calls `sync_log(cut)` first and does
// not go on unless it succeeds.
//
// Locking: one reader-writer lock covers the hot table, the dirty order and the database states. The engine holds it
// exclusively while a command changes rows (Writer), readers share it (Reader). RocksDB is never read from disk under
// it unless the caller asked for Tier::kDisk while holding it.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "base/types.h"
#include "kv/dead_ranges.h"
#include "kv/dirty_order.h"
#include "kv/hot_table.h"
#include "kv/persisted_view.h"
#include "kv/rw_lock.h"
#include "kv/txn.h"
#include "kv/value.h"

namespace tidemark::kv {

class Rocks;
enum class ScanOrder : bool;
template <ScanOrder>
class LiveOverlay;

struct StoreOptions {
  std::string folder;
  uint16_t databases = 16;
  // Bytes for the hot table (dirty rows included) and for RocksDB's block cache.
  uint64_t hot_bytes = 256ull << 20;
  uint64_t block_cache_bytes = 128ull << 20;
  // Dirty bytes at which WantsPersist() becomes true; at twice as much MustWait() does.
  uint64_t dirty_bytes = 96ull << 20;
};

// Row keys are not empty and do not begin with a zero byte: those are the store's own (docs/formats/store.md).
class Store {
 public:
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  // DATA_LOSS (file named) when RocksDB finds its files damaged; FAILED_PRECONDITION for a format from the future.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const StoreOptions& options);

  // The store is exactly the log up to here, on disk.
  Lsn persisted() const { return Lsn{persisted_.load(std::memory_order_acquire)}; }

  // Reading without the lock held: each call takes it, shared, for as long as it needs memory, and waits for the disk
  // (Tier::kDisk) without it. A row read from RocksDB enters the hot table. A thread that holds a Reader or Writer
  // must read through that: these would wait for it for ever.
  absl::StatusOr<Value> Get(std::string_view row, Tier tier);
  // As Txn::Scan. A scan that ends in ColdRow() or another error may have visited rows before.
  absl::Status Scan(std::string_view begin, std::string_view end, size_t limit, Tier tier, const Txn::Visitor& visit);
  // As Txn::ScanBackward; otherwise as Scan.
  absl::Status ScanBackward(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                            const Txn::Visitor& visit);
  DbState db(DbIndex db) const;
  // As db, but nullopt while the lock cannot be had at once.
  std::optional<DbState> TryDb(DbIndex db) const;

  // Brings what Get would look at of these rows (by their Hash64) into the processor's cache, all at once: look-ups one
  // after the other would each wait for memory. A hint; reads nothing from RocksDB.
  void Prefetch(std::span<const uint64_t> hashes) const;
  // The row if the hot table has it; null otherwise, whatever RocksDB has. For hints.
  Value Peek(std::string_view row) const;

  // What Reader and Writer have in common: reading while the lock is held, so that all reads see one moment. With
  // Tier::kDisk others wait for the disk, so only as a last resort.
  class View {
   public:
    View(const View&) = delete;
    View& operator=(const View&) = delete;
    absl::StatusOr<Value> Get(std::string_view row, Tier tier);
    absl::Status Scan(std::string_view begin, std::string_view end, size_t limit, Tier tier, const Txn::Visitor& visit);
    absl::Status ScanBackward(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                              const Txn::Visitor& visit);
    DbState db(DbIndex db) const;

   protected:
    View(Store& store, bool exclusive) : store_(store), exclusive_(exclusive) {}
    ~View() = default;

    // A row read from RocksDB, to enter the hot table once the lock can be had exclusively.
    struct ReadRow {
      std::string row;
      Value value;
      uint64_t generation;
    };

    Store& store_;
    const bool exclusive_;
    std::vector<ReadRow> read_rows_;
  };

  // The lock held shared for the life of the object.
  class Reader : public View {
   public:
    explicit Reader(Store& store);
    // LockSharedUnless has taken the lock.
    Reader(Store& store, std::adopt_lock_t) : View(store, /*exclusive=*/false) {}
    ~Reader();
  };

  // The lock held exclusively. Changes take effect at once; destruction keeps them.
  class Writer : public View {
   public:
    explicit Writer(Store& store);
    // LockUnless has taken the lock.
    Writer(Store& store, std::adopt_lock_t) : View(store, /*exclusive=*/true) {}
    ~Writer();
    void Put(std::string_view row, std::string_view value);
    void PutShared(std::string_view row, Value value);
    void Delete(std::string_view row);
    void DeleteRange(std::string_view begin, std::string_view end);
    void SetDb(DbIndex db, const DbState& state);
    // Marks and undoing nest as a stack of positions: UndoTo(Mark()) restores the moment of the mark. Marks end with
    // SetApplied.
    size_t Mark() const;
    void UndoTo(size_t mark);
    // The store now equals the log up to `applied`; call once per record, before the lock is let go. What was changed
    // before this call can no longer be undone.
    void SetApplied(Lsn applied);

   private:
    void Set(std::string_view row, Value value);
  };
  Reader Read() { return Reader(*this); }
  Writer Write() { return Writer(*this); }
  // For those who must not wait long: true with the lock held, for a Writer or Reader to adopt; false when `stop` was
  // above zero while somebody else had it.
  bool LockUnless(const std::atomic<int>& stop) { return lock_.lock_unless(stop); }
  bool LockSharedUnless(const std::atomic<int>& stop) { return lock_.lock_shared_unless(stop); }
  Lsn applied() const { return Lsn{applied_.load(std::memory_order_acquire)}; }

  // Persisting: the engine's background thread calls Persist() when WantsPersist(). Calls wait for each other; commits
  // go on meanwhile. When it fails, nothing is lost: the same cut is tried again, before any other, by the next call.
  bool WantsPersist() const;
  // True while so much is dirty, or RocksDB so far behind, that writers must wait; the engine delays commits.
  bool MustWait();
  absl::Status Persist(const std::function<absl::Status(Lsn cut)>& sync_log);

  // A consistent image in `folder` (must not exist) by hard links, openable by Open. Returns the LSN that stands in it.
  // Persists first.
  absl::StatusOr<Lsn> Snapshot(const std::string& folder, const std::function<absl::Status(Lsn cut)>& sync_log);
  // Every row as of one LSN, at or after that of the call. Persists first.
  absl::StatusOr<std::unique_ptr<PersistedView>> ViewPersisted(const std::function<absl::Status(Lsn cut)>& sync_log);
  // Approximate bytes on disk of rows in [begin, end), for MEMORY USAGE and progress.
  uint64_t ApproximateBytes(std::string_view begin, std::string_view end);

  void SetCacheSizes(uint64_t hot_bytes, uint64_t block_cache_bytes);

  struct Stats {
    uint64_t hot_rows = 0;
    uint64_t hot_bytes = 0;
    uint64_t dirty_rows = 0;
    uint64_t dirty_bytes = 0;
    uint64_t hot_hits = 0;
    uint64_t hot_misses = 0;
    uint64_t cold_reads = 0;
    uint64_t persists = 0;
    uint64_t persisted_bytes = 0;
    uint64_t last_persist_micros = 0;
    uint64_t block_cache_bytes = 0;
    uint64_t sst_bytes = 0;
    uint64_t level0_files = 0;
    std::string background_error;
  };
  Stats stats();

  // Called by Get between reading RocksDB and entering the row in the hot table.
  void TEST_SetReadListener(std::function<void()> listener) { test_read_listener_ = std::move(listener); }

 private:
  template <ScanOrder>
  friend class LiveOverlay;

  // One step that UndoTo takes back.
  struct UndoStep {
    enum class Kind : uint8_t {
      kValue,    // `entry` had the value `former`
      kCreated,  // `entry` did not exist
      kRemoved,  // `entry`, owned by this step, was in table and dirty order
      kDb,       // undo_dbs_.back()
      kRange,    // undo_ranges_.back()
    };
    Kind kind;
    Entry* entry = nullptr;
    Value former;
  };

  // The dirty rows as of a cut, while they are being persisted or after that failed. Set and cleared by the thread in
  // Persist() under the lock held exclusively; `order` and `dead` do not change in between, nor do entries in it go
  // away.
  struct Frozen {
    bool active = false;
    // The rows are in RocksDB: values that are replaced from here on need not be kept as Entry::before.
    bool written = false;
    uint32_t epoch = 0;
    Lsn cut;
    std::vector<DbState> dbs;
    DirtyOrder order;
    DeadRanges dead;
    uint64_t bytes = 0;
    // Entries with has_before.
    std::vector<Entry*> rewritten;
  };

  Store(const StoreOptions& options, std::unique_ptr<Rocks> rocks);
  absl::Status LoadState(uint16_t databases);

  // The lock is held, shared at least. True and *value (null for no such row) when memory knows the row.
  bool FindInMemory(uint64_t hash, std::string_view row, Value* value) const;
  bool IsClean(const Entry& entry) const { return entry.epoch <= persisted_epoch_; }
  bool IsDead(std::string_view row) const {
    return (!dead_.empty() && dead_.Contains(row)) || (!frozen_.dead.empty() && frozen_.dead.Contains(row));
  }
  void CountRead(bool hit);

  // The lock is held exclusively.
  void InsertRead(std::string_view row, const Value& value, uint64_t generation);
  void MakeDirty(Entry* entry);
  void KeepForFrozen(Entry* entry);
  Entry* CreateDirty(uint64_t hash, std::string_view row, Value value);
  void Replace(Entry* entry, Value* value);
  void RemoveDirty(Entry* entry);
  void UndoLast();
  void ForgetUndo();
  void EvictSome(size_t rows);
  // The entry is out of the table, or about to be taken out by whoever calls.
  void FreeClean(Entry* entry);
  void PublishSizes();

  // Persist()'s steps, in persist.cc.
  absl::Status PersistAll(const std::function<absl::Status(Lsn cut)>& sync_log);
  bool Freeze();
  absl::Status PersistFrozen(const std::function<absl::Status(Lsn cut)>& sync_log);
  absl::Status WriteFrozen(uint64_t* bytes);
  void ReleaseBefores();
  void DropDeadRows();
  void RetireFrozen();
  void EvictRetired();

  mutable RwLock lock_;
  HotTable table_;
  DirtyOrder dirty_;
  DeadRanges dead_;
  Frozen frozen_;
  uint32_t epoch_ = 1;
  uint32_t persisted_epoch_ = 0;
  // Counts cuts persisted. A row read from RocksDB while it stood is still what RocksDB has, and newer values are in
  // the table.
  uint64_t generation_ = 0;
  std::vector<DbState> dbs_;
  uint64_t hot_bytes_ = 0;
  uint64_t dirty_bytes_ = 0;
  std::vector<UndoStep> undo_;
  std::vector<std::pair<DbIndex, DbState>> undo_dbs_;
  std::vector<DeadRanges::Change> undo_ranges_;

  // Read without the lock.
  std::atomic<uint64_t> applied_{0};
  std::atomic<uint64_t> persisted_{0};
  std::atomic<uint64_t> hot_limit_;
  const uint64_t dirty_limit_;
  std::atomic<uint64_t> published_dirty_{0};
  std::atomic<uint64_t> published_frozen_{0};
  std::atomic<bool> retry_persist_{false};
  std::atomic<uint64_t> level0_files_{0};
  std::atomic<uint64_t> hits_{0};
  std::atomic<uint64_t> misses_{0};
  std::atomic<uint64_t> cold_reads_{0};
  std::atomic<uint64_t> persists_{0};
  std::atomic<uint64_t> persisted_bytes_{0};
  std::atomic<uint64_t> last_persist_micros_{0};

  std::function<void()> test_read_listener_;
  Mutex persist_mutex_;
  std::unique_ptr<Rocks> rocks_;
};

}  // namespace tidemark::kv
