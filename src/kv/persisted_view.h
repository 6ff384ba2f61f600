// All rows as of one persisted cut, for reading that takes long: a digest of the whole store. Nothing is locked, so
// commits, persisting and compaction go on; what they replace stays on disk until the view goes.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "kv/txn.h"

namespace tidemark::kv {

class Rocks;
class RocksIterator;
class RocksMoment;

// Made by Store::ViewPersisted, and gone before its store. Any thread; a cursor is used by one thread at a time and
// goes before its view.
class PersistedView {
 public:
  ~PersistedView();
  PersistedView(const PersistedView&) = delete;
  PersistedView& operator=(const PersistedView&) = delete;

  // The rows are exactly the log up to here. 0 when nothing was ever persisted.
  Lsn lsn() const { return lsn_; }
  // Every database that the store has a state of, those beyond the configured number included.
  const std::vector<std::pair<DbIndex, DbState>>& dbs() const { return dbs_; }

  // Rows in key order. Waits for the disk, and leaves the block cache as it is.
  class Cursor {
   public:
    explicit Cursor(std::unique_ptr<RocksIterator> rows);
    Cursor(Cursor&&) noexcept;
    ~Cursor();
    // To the first row at or after `row`.
    void Seek(std::string_view row);
    void Next();
    // False at the end and after a failure, which status() tells.
    bool Valid() const;
    // The views last until the next move.
    std::string_view row() const;
    std::string_view value() const;
    absl::Status status() const;

   private:
    std::unique_ptr<RocksIterator> rows_;
  };
  // Over rows below `end`.
  Cursor Rows(std::string_view end) const;

 private:
  friend class Store;
  static absl::StatusOr<std::unique_ptr<PersistedView>> Open(Rocks& rocks);
  explicit PersistedView(std::unique_ptr<RocksMoment> moment);

  const std::unique_ptr<RocksMoment> moment_;
  Lsn lsn_;
  std::vector<std::pair<DbIndex, DbState>> dbs_;
};

}  // namespace tidemark::kv
