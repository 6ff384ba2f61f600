// RocksDB as the store uses it: point reads, iterators, and files of sorted rows that are ingested. Nothing is ever
// written through its memtable or WAL. Only this file and rocks.cc name RocksDB. All methods are thread-safe; at most
// one RowFile exists at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kv/txn.h"
#include "kv/value.h"

namespace rocksdb {
class Cache;
class DB;
class EventListener;
class Iterator;
struct Options;
class Slice;
class Snapshot;
class SstFileWriter;
}  // namespace rocksdb

namespace tidemark::kv {

class RocksIterator {
 public:
  // Begin and end of the rows it visits. RocksDB keeps pointers to these and looks at them at each seek.
  struct Bounds;
  RocksIterator(std::unique_ptr<rocksdb::Iterator> iterator, std::unique_ptr<Bounds> bounds);
  ~RocksIterator();
  // Before a Seek: the rows with begin ≤ row < end.
  void SetBounds(std::string_view begin, std::string_view end);
  void Seek(std::string_view row);
  // To the last row below `row`.
  void SeekBelow(std::string_view row);
  void Next();
  void Prev();
  // True on a row of the range.
  bool Valid() const;
  std::string_view row() const;
  std::string_view value() const;
  // OK at the end of the range, ColdRow() when the next block is not in memory.
  absl::Status status() const;

 private:
  std::unique_ptr<Bounds> bounds_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

// The rows as they are when it is taken, for any number of iterators that come to disk without filling the block cache.
// RocksDB keeps what they need as long as it lives.
class RocksMoment {
 public:
  explicit RocksMoment(rocksdb::DB& db);
  ~RocksMoment();
  RocksMoment(const RocksMoment&) = delete;
  RocksMoment& operator=(const RocksMoment&) = delete;
  // Rows below `end`.
  std::unique_ptr<RocksIterator> NewIterator(std::string_view end) const;

 private:
  rocksdb::DB& db_;
  const rocksdb::Snapshot* const snapshot_;
};

// A file of rows in the making; rows come in rising order, ranges in any. The first error is kept and returned by
// Finish.
class RowFile {
 public:
  ~RowFile();
  void Put(std::string_view row, std::string_view value);
  void Delete(std::string_view row);
  void DeleteRange(std::string_view begin, std::string_view end);
  // Completes and syncs the file; returns its size in bytes. Without it, or when it fails, the file goes with this
  // object.
  absl::StatusOr<uint64_t> Finish();
  const absl::Status& status() const { return status_; }

 private:
  friend class Rocks;
  explicit RowFile(std::string path);

  const std::string path_;
  bool finished_ = false;
  std::unique_ptr<rocksdb::SstFileWriter> writer_;
  absl::Status status_;
};

class Rocks {
 public:
  // Creates the folder if need be. DATA_LOSS names the damaged file.
  static absl::StatusOr<std::unique_ptr<Rocks>> Open(const std::string& folder, uint64_t block_cache_bytes,
                                                     uint64_t ingest_bytes);
  ~Rocks();

  // Null when there is no such row; ColdRow() when tier is kMemory and RocksDB would have to read the disk.
  absl::StatusOr<Value> Get(std::string_view row, Tier tier);

  // Sees everything that was ingested before this call, and rests when it goes: making an iterator costs more than a
  // short scan with it, and what RocksDB has changes at an Ingest only.
  class Resting;
  class Lent {
   public:
    Lent(Resting& resting, Tier tier);
    ~Lent();
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    RocksIterator& operator*() const { return *iterator_; }
    RocksIterator* operator->() const { return iterator_.get(); }
    // Call once no more rows are wanted. With Tier::kMemory, ColdRow() when a block was not in memory: rows may have
    // been passed over then without an error (rocks.cc). On the thread that made it.
    absl::Status Finish() const;

   private:
    friend class Rocks;
    Resting& resting_;
    const Tier tier_;
    const uint64_t misses_before_;
    uint64_t version_ = 0;
    std::unique_ptr<RocksIterator> iterator_;
  };
  // Over the rows with begin ≤ row < end; goes before this object does.
  std::unique_ptr<Lent> Iterate(std::string_view begin, std::string_view end, Tier tier);

  // Goes before this object does.
  std::unique_ptr<RocksMoment> TakeMoment();

  absl::StatusOr<std::unique_ptr<RowFile>> NewRowFile();
  // Makes the finished file part of the database, atomically and durably, newer than everything in it.
  absl::Status Ingest();

  // Hard links of the whole database in `folder`, which must not exist.
  absl::Status Checkpoint(const std::string& folder);
  // The row `row` of the database in `folder`, which no process has open for writing.
  static absl::StatusOr<Value> GetFrom(const std::string& folder, std::string_view row);

  uint64_t ApproximateBytes(std::string_view begin, std::string_view end);
  uint64_t LevelZeroFiles();
  uint64_t SstBytes();
  uint64_t BlockCacheBytes();
  void SetBlockCacheBytes(uint64_t bytes);
  // Empty while RocksDB is well.
  std::string BackgroundError();

 private:
  class Listener;

  explicit Rocks(std::string folder);
  std::string RowFilePath() const;

  const std::string folder_;
  std::shared_ptr<rocksdb::Cache> block_cache_;
  std::shared_ptr<Resting> resting_;
  std::shared_ptr<Listener> listener_;
  std::unique_ptr<rocksdb::Options> row_file_options_;
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace tidemark::kv
