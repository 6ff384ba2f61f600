#include "engine/rdb_export.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/version.h"
#include "types/keyspace.h"
#include "types/rdb_rows.h"

namespace tidemark::engine {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
constexpr uint64_t kKeysBetweenQuestions = 256;
constexpr size_t kShownKeyBytes = 128;

// A transaction that reads a view: what types read through, at one moment however long it takes.
class ViewTxn final : public kv::Txn {
 public:
  explicit ViewTxn(const kv::PersistedView& view) : view_(view) {
    // Whether a key has expired is for the file's reader to say.
    StopExpiryAt(Timestamp{});
  }

  absl::StatusOr<kv::Value> Get(std::string_view row) override {
    kv::PersistedView::Cursor& cursor = CursorOf(row);
    cursor.Seek(row);
    TM_RETURN_IF_ERROR(cursor.status());
    return cursor.Valid() && cursor.row() == row ? kv::Value(cursor.value()) : kv::Value();
  }
  absl::Status Scan(std::string_view begin, std::string_view end, size_t limit, const Visitor& visit) override {
    kv::PersistedView::Cursor& cursor = CursorOf(begin);
    size_t visited = 0;
    for (cursor.Seek(begin); visited < limit && cursor.Valid() && cursor.row() < end; cursor.Next()) {
      ++visited;
      if (!visit(cursor.row(), kv::Value(cursor.value()))) break;
    }
    return cursor.status();
  }
  absl::Status ScanBackward(std::string_view, std::string_view, size_t, const Visitor&) override {
    return Errorf(absl::StatusCode::kUnimplemented, "a view is read forwards");
  }
  kv::DbState db(DbIndex db) const override {
    const auto found =
        std::find_if(view_.dbs().begin(), view_.dbs().end(), [&](const auto& state) { return state.first == db; });
    return found == view_.dbs().end() ? kv::DbState{} : found->second;
  }
  Timestamp now() const override { return Timestamp{}; }
  bool writable() const override { return false; }

  void Put(std::string_view, std::string_view) override { Refuse(); }
  void Delete(std::string_view) override { Refuse(); }
  void DeleteRange(std::string_view, std::string_view) override { Refuse(); }
  void AddKeys(DbIndex, int64_t, int64_t) override { Refuse(); }
  void ReplaceContents(DbIndex) override { Refuse(); }
  void SwapContents(DbIndex, DbIndex) override { Refuse(); }
  kv::CollectionId NewCollectionId() override {
    Refuse();
    return {};
  }
  void Touched(DbIndex, std::string_view) override {}

 private:
  static void Refuse() { TM_CHECK(false, "a view of the store is written to"); }

  // One a space of rows, so that a key's members are read while the keys are.
  kv::PersistedView::Cursor& CursorOf(std::string_view row) {
    const auto space = static_cast<types::RowSpace>(row.front());
    auto found = cursors_.find(space);
    if (found == cursors_.end()) {
      found = cursors_.emplace(space, view_.Rows(types::RowKey(space).PrefixEnd().view())).first;
    }
    return found->second;
  }

  const kv::PersistedView& view_;
  std::map<types::RowSpace, kv::PersistedView::Cursor> cursors_;
};

class Exporter {
 public:
  Exporter(const kv::PersistedView& view, const format::RdbFlush& flush, const Cancelled& cancelled)
      : view_(view), txn_(view), writer_(flush), cancelled_(cancelled) {}

  absl::StatusOr<RdbExport> Run(uint64_t now_seconds) {
    TM_RETURN_IF_ERROR(writer_.Begin(Version(), now_seconds));
    for (const auto& [db, state] : view_.dbs()) {
      if (state.keys > 0) TM_RETURN_IF_ERROR(WriteDatabase(db, state));
    }
    TM_RETURN_IF_ERROR(writer_.Finish());
    return RdbExport{.lsn = view_.lsn(), .keys = keys_};
  }

 private:
  absl::Status WriteDatabase(DbIndex db, const kv::DbState& state) {
    TM_RETURN_IF_ERROR(writer_.Database(db.value, static_cast<uint64_t>(state.keys),
                                        static_cast<uint64_t>(std::max<int64_t>(state.expires, 0))));
    types::Keyspace keyspace(txn_, db);
    absl::Status failed;
    const absl::Status scanned = keyspace.VisitKeys(0, kNoLimit, [&](const types::Key& key, uint64_t) {
      failed = WriteKey(keyspace, key);
      return failed.ok();
    });
    return failed.ok() ? scanned : failed;
  }

  absl::Status WriteKey(types::Keyspace& keyspace, const types::Key& key) {
    if (++keys_ % kKeysBetweenQuestions == 0 && cancelled_()) return absl::CancelledError("the export was cancelled");
    TM_RETURN_IF_ERROR(writer_.Key(key.name, key.expire_ms));
    const absl::Status written = types::VisitValue(keyspace, key, writer_.value());
    if (written.ok() || absl::IsCancelled(written)) return written;
    return Errorf(written.code(), "key '{}' of database {}: {}", key.name.substr(0, kShownKeyBytes),
                  keyspace.db().value, Message(written));
  }

  const kv::PersistedView& view_;
  ViewTxn txn_;
  format::RdbFileWriter writer_;
  const Cancelled& cancelled_;
  uint64_t keys_ = 0;
};

}  // namespace

absl::StatusOr<RdbExport> WriteRdb(const kv::PersistedView& view, uint64_t now_seconds, const format::RdbFlush& flush,
                                   const Cancelled& cancelled) {
  return Exporter(view, flush, cancelled).Run(now_seconds);
}

absl::StatusOr<RdbExport> WriteRdbNow(Engine& engine, uint64_t now_seconds, const format::RdbFlush& flush,
                                      const Cancelled& cancelled) {
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<kv::PersistedView> view,
                      engine.store().ViewPersisted([&](Lsn cut) { return engine.log().SyncTo(cut); }));
  return WriteRdb(*view, now_seconds, flush, cancelled);
}

}  // namespace tidemark::engine
