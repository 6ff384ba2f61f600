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

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "kv/txn.h"
#include "kv/value.h"

namespace tidemark::kv {

struct StoreOptions {
  std::string folder;
  uint16_t databases = 16;
  // Bytes for the hot table (dirty rows included) and for RocksDB's block cache.
  uint64_t hot_bytes = 256ull << 20;
  uint64_t block_cache_bytes = 128ull << 20;
  // Dirty bytes at which WantsPersist() becomes true; at twice as much MustWait() does.
  uint64_t dirty_bytes = 96ull << 20;
};

class Store {
 public:
  virtual ~Store() = default;
  // DATA_LOSS (file named) when RocksDB finds its files damaged; FAILED_PRECONDITION for a format from the future.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const StoreOptions& options);

  // The store is exactly the log up to here, on disk.
  virtual Lsn persisted() const = 0;

  // Reading without the lock held: each call takes it, shared, for as long as it needs memory, and waits for the disk
  // (Tier::kDisk) without it. A row read from RocksDB enters the hot table.
  virtual absl::StatusOr<Value> Get(std::string_view row, Tier tier) = 0;
  virtual absl::Status Scan(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                            const Txn::Visitor& visit) = 0;
  virtual DbState db(DbIndex db) const = 0;

  // The lock held shared for the life of the object: all reads see one moment (memory tier; with Tier::kDisk writers
  // wait for the disk, so only as a last resort).
  class Reader {
   public:
    virtual ~Reader() = default;
    virtual absl::StatusOr<Value> Get(std::string_view row, Tier tier) = 0;
    virtual absl::Status Scan(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                              const Txn::Visitor& visit) = 0;
    virtual DbState db(DbIndex db) const = 0;
  };
  // The lock held exclusively. Changes take effect at once. Undo() takes back all changes since the last Mark()
  // or the beginning; destruction keeps them.
  class Writer : public Reader {
   public:
    virtual void Put(std::string_view row, std::string_view value) = 0;
    virtual void Delete(std::string_view row) = 0;
    virtual void DeleteRange(std::string_view begin, std::string_view end) = 0;
    virtual void SetDb(DbIndex db, const DbState& state) = 0;
    // Marks and undoing nest as a stack of positions: UndoTo(Mark()) restores the moment of the mark.
    virtual size_t Mark() = 0;
    virtual void UndoTo(size_t mark) = 0;
    // The store now equals the log up to `applied`; call once per record, before the lock is let go.
    virtual void SetApplied(Lsn applied) = 0;
  };
  virtual std::unique_ptr<Reader> Read() = 0;
  virtual std::unique_ptr<Writer> Write() = 0;
  virtual Lsn applied() const = 0;

  // Persisting: the engine's background thread calls Persist() when WantsPersist(). One at a time; commits go on
  // meanwhile.
  virtual bool WantsPersist() const = 0;
  // True while so much is dirty, or RocksDB so far behind, that writers must wait; the engine delays commits.
  virtual bool MustWait() const = 0;
  virtual absl::Status Persist(const std::function<absl::Status(Lsn cut)>& sync_log) = 0;

  // A consistent image in `folder` (must not exist) by hard links. Returns the LSN that stands in it. Persists first.
  virtual absl::StatusOr<Lsn> Snapshot(const std::string& folder,
                                       const std::function<absl::Status(Lsn cut)>& sync_log) = 0;
  // Approximate bytes on disk of rows in [begin, end), for MEMORY USAGE and progress.
  virtual uint64_t ApproximateBytes(std::string_view begin, std::string_view end) = 0;

  virtual void SetCacheSizes(uint64_t hot_bytes, uint64_t block_cache_bytes) = 0;

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
  virtual Stats stats() const = 0;
};

}  // namespace tidemark::kv
