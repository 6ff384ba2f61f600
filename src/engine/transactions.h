// The three transactions behind kv::Txn: one that commits (under the commit lock), one that reads one moment, and one
// that rehearses on a worker thread, seeing its own changes and leaving none.
#pragma once

#include <absl/container/btree_map.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "format/write_batch.h"
#include "kv/range_view.h"
#include "kv/store.h"
#include "kv/txn.h"

namespace tidemark::engine {

// Reads and changes the store at once and writes the same changes into a batch. Whoever made it appends the batch to
// the log, or takes everything back with RollBackTo(0).
class CommitTxn final : public kv::Txn {
 public:
  // `lsn`: that of the record to be. `gather`: remember the keys that change, for the ChangeListener.
  CommitTxn(kv::Store::Writer& store, format::WriteBatchBuilder& batch, kv::Tier tier, Lsn lsn, Timestamp now,
            bool gather)
      : store_(store),
        batch_(batch),
        tier_(tier),
        lsn_(lsn),
        now_(now),
        gather_(gather),
        beginning_{store.Mark(), batch.mark(), 0, 0} {}

  absl::StatusOr<kv::Value> Get(std::string_view row) override { return store_.Get(row, tier_); }
  absl::Status Scan(std::string_view begin, std::string_view end, size_t limit, const Visitor& visit) override {
    return store_.Scan(begin, end, limit, tier_, visit);
  }
  absl::Status ScanBackward(std::string_view begin, std::string_view end, size_t limit, const Visitor& visit) override {
    return store_.ScanBackward(begin, end, limit, tier_, visit);
  }
  void Put(std::string_view row, std::string_view value) override;
  void PutShared(std::string_view row, const kv::Value& value) override;
  void Delete(std::string_view row) override;
  void DeleteRange(std::string_view begin, std::string_view end) override;
  kv::DbState db(DbIndex db) const override { return store_.db(db); }
  void AddKeys(DbIndex db, int64_t keys, int64_t expires) override;
  void ReplaceContents(DbIndex db) override;
  void SwapContents(DbIndex a, DbIndex b) override;
  kv::CollectionId NewCollectionId() override;
  void Touched(DbIndex db, std::string_view key) override;
  Timestamp now() const override { return now_; }
  bool writable() const override { return true; }

  // Marks are numbered from 0, the beginning; returning to one forgets the later ones.
  size_t Mark();
  void RollBackTo(size_t mark);
  void NoteExpired(DbIndex db, std::string_view key);
  void Tell(ChangeListener& listener) const;

 private:
  struct ChangedKey {
    DbIndex db;
    std::string key;
    bool expired;
  };
  struct MarkState {
    size_t store;
    format::WriteBatchBuilder::Mark batch;
    size_t changed_keys;
    size_t changed_contents;
  };

  kv::Store::Writer& store_;
  format::WriteBatchBuilder& batch_;
  const kv::Tier tier_;
  const Lsn lsn_;
  const Timestamp now_;
  const bool gather_;
  uint64_t next_ordinal_ = 0;
  const MarkState beginning_;
  std::vector<MarkState> marks_;  // number 1 and on; most transactions need none
  std::vector<ChangedKey> changed_keys_;
  std::vector<DbIndex> changed_contents_;
};

class ReadTxn final : public kv::Txn, public kv::RangeSource {
 public:
  // `all`: the store that `store` reads, if views of it may outlive the transaction.
  ReadTxn(kv::Store::Reader& store, kv::Tier tier, Timestamp now, kv::Store* all = nullptr)
      : store_(store), tier_(tier), now_(now), all_(all) {}

  absl::StatusOr<kv::Value> Get(std::string_view row) override { return store_.Get(row, tier_); }
  absl::Status Scan(std::string_view begin, std::string_view end, size_t limit, const Visitor& visit) override {
    return store_.Scan(begin, end, limit, tier_, visit);
  }
  absl::Status ScanBackward(std::string_view begin, std::string_view end, size_t limit, const Visitor& visit) override {
    return store_.ScanBackward(begin, end, limit, tier_, visit);
  }
  absl::StatusOr<std::unique_ptr<kv::RangeView>> View(std::string_view begin, std::string_view end) override {
    if (all_ == nullptr) return nullptr;
    return kv::ViewRange(*all_, begin, end);
  }
  // A reader that writes is a mistake in the command's flags.
  void Put(std::string_view row, std::string_view value) override;
  void Delete(std::string_view row) override;
  void DeleteRange(std::string_view begin, std::string_view end) override;
  kv::DbState db(DbIndex db) const override { return store_.db(db); }
  void AddKeys(DbIndex db, int64_t keys, int64_t expires) override;
  void ReplaceContents(DbIndex db) override;
  void SwapContents(DbIndex a, DbIndex b) override;
  kv::CollectionId NewCollectionId() override;
  void Touched(DbIndex, std::string_view) override {}
  Timestamp now() const override { return now_; }
  bool writable() const override { return false; }

 private:
  kv::Store::Reader& store_;
  const kv::Tier tier_;
  const Timestamp now_;
  kv::Store* const all_;
};

class RehearsalTxn final : public kv::Txn, public kv::RangeSource {
 public:
  RehearsalTxn(kv::Store& store, Timestamp now) : store_(store), now_(now) {}

  absl::StatusOr<kv::Value> Get(std::string_view row) override;
  absl::Status Scan(std::string_view begin, std::string_view end, size_t limit, const Visitor& visit) override;
  absl::Status ScanBackward(std::string_view begin, std::string_view end, size_t limit, const Visitor& visit) override;
  absl::StatusOr<std::unique_ptr<kv::RangeView>> View(std::string_view, std::string_view) override {
    return kv::ColdRow();
  }
  void Put(std::string_view row, std::string_view value) override;
  void Delete(std::string_view row) override;
  void DeleteRange(std::string_view begin, std::string_view end) override;
  kv::DbState db(DbIndex db) const override;
  void AddKeys(DbIndex db, int64_t keys, int64_t expires) override;
  void ReplaceContents(DbIndex db) override;
  void SwapContents(DbIndex a, DbIndex b) override;
  kv::CollectionId NewCollectionId() override;
  void Touched(DbIndex, std::string_view) override {}
  Timestamp now() const override { return now_; }
  bool writable() const override { return true; }

 private:
  using Rows = absl::btree_map<std::string, kv::Value, std::less<>>;

  bool Covered(std::string_view row) const;
  // The first rows of the range that the store has, or downwards the last, with the own changes beside them (null:
  // deleted), and the rest of the range, empty when that was all.
  struct Page {
    Rows rows;
    std::string rest_begin;
    std::string rest_end;
  };
  absl::StatusOr<Page> ReadPage(std::string_view begin, std::string_view end, size_t rows, bool backward) const;
  absl::Status ScanPages(std::string_view begin, std::string_view end, size_t limit, bool backward,
                         const Visitor& visit) const;

  kv::Store& store_;
  const Timestamp now_;
  uint16_t next_ordinal_ = 0;
  Rows changes_;  // null: deleted
  std::vector<std::pair<std::string, std::string>> deleted_ranges_;
  std::map<DbIndex, kv::DbState> dbs_;
};

}  // namespace tidemark::engine
