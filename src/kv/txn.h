// What the data types read and write through: rows, seen and changed as one atomic step. The engine makes these; types
// and commands only use them, so the same code runs in the commit path, in a warm-up on a worker thread, and in a test.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/types.h"
#include "kv/value.h"

namespace tidemark::kv {

// Whether a read may wait for the disk. kMemory never does: where the row is not in memory it fails with the status of
// ColdRow(), and whoever runs the command fetches on a worker thread and runs it again.
enum class Tier { kMemory, kDisk };

absl::Status ColdRow();
bool IsColdRow(const absl::Status& status);

// Number that names a collection (or the contents of a database) for ever: the LSN of the record that made it and an
// ordinal within that record. Ten bytes, big-endian, in row keys.
struct CollectionId {
  uint64_t lsn = 0;
  uint16_t ordinal = 0;
  auto operator<=>(const CollectionId&) const = default;
  static constexpr size_t kSize = 10;
  void AppendTo(std::string* out) const;
  // `bytes` holds at least kSize bytes.
  static CollectionId Load(const char* bytes);
};

// What is known of a database without reading its rows. `contents` is replaced by FLUSHDB and swapped by SWAPDB.
struct DbState {
  CollectionId contents;
  int64_t keys = 0;     // key rows, expired ones included until they are removed
  int64_t expires = 0;  // of these, with an expiry
};

class Txn {
 public:
  virtual ~Txn() = default;

  // The row's value; null when there is no such row.
  virtual absl::StatusOr<Value> Get(std::string_view row) = 0;

  // Visits rows with begin ≤ key < end in key order, at most `limit` of them, until `visit` returns false.
  // One Scan sees one moment. The views last for the call of `visit` only. Do not write while visiting.
  using Visitor = std::function<bool(std::string_view row, const Value& value)>;
  virtual absl::Status Scan(std::string_view begin, std::string_view end, size_t limit, const Visitor& visit) = 0;

  // As Scan, from the last row below `end` downwards.
  virtual absl::Status ScanBackward(std::string_view begin, std::string_view end, size_t limit,
                                    const Visitor& visit) = 0;

  // Changes; only in a transaction made for writing. Reads that follow see them.
  virtual void Put(std::string_view row, std::string_view value) = 0;
  // As Put, with a value that the caller made and shares: spares the copy where values are kept as they are.
  virtual void PutShared(std::string_view row, const Value& value) { Put(row, value.view()); }
  virtual void Delete(std::string_view row) = 0;
  // Only for ranges to which nobody can write any more (dead collections).
  virtual void DeleteRange(std::string_view begin, std::string_view end) = 0;

  virtual DbState db(DbIndex db) const = 0;
  virtual void AddKeys(DbIndex db, int64_t keys, int64_t expires) = 0;
  // Empties the database at once by giving it new contents; its counts become 0. The rows of the old are swept later.
  virtual void ReplaceContents(DbIndex db) = 0;
  virtual void SwapContents(DbIndex a, DbIndex b) = 0;

  // An id that was never used and never will be.
  virtual CollectionId NewCollectionId() = 0;
  // Tells WATCH and whoever else follows single keys that `key` has changed. FLUSHDB and SWAPDB tell by themselves.
  virtual void Touched(DbIndex db, std::string_view key) = 0;

  // The timestamp of its record, or of now for reads.
  virtual Timestamp now() const = 0;
  virtual bool writable() const = 0;

  // The time by which this transaction decides what has expired: now(), unless expiry stands still since an earlier
  // moment.
  Timestamp expiry_now() const { return std::min(now(), expiry_stands_at_); }
  void StopExpiryAt(Timestamp moment) { expiry_stands_at_ = moment; }

 private:
  Timestamp expiry_stands_at_{UINT64_MAX};
};

}  // namespace tidemark::kv
