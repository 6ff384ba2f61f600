// Persisting a cut. The steps, and which hold the lock:
//
//   freeze   exclusive, O(1)     the dirty order becomes the frozen one; LSN and database states are remembered
//   sync     none                the log up to the cut
//   write    shared, in chunks   frozen rows, as of the cut, into one file
//   ingest   none                RocksDB links it in: from here on a crash finds the new cut
//   retire   exclusive, chunks   values kept aside and rows under deleted ranges go; the frozen rows become clean
//
// Between ingest and retire the frozen rows are in both places and equal, so readers see no difference. When a step
// fails, the frozen order stays and the next call starts again from sync with the same cut: writing it twice changes
// nothing.
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "base/check.h"
#include "kv/meta_rows.h"
#include "kv/rocks.h"
#include "kv/store.h"

namespace tidemark::kv {
namespace {

// Rows handled while the lock is held once.
constexpr size_t kRowsAtOnce = 256;

void WriteMetaRows(RowFile& file, Lsn cut, const std::vector<DbState>& dbs) {
  for (size_t i = 0; i < dbs.size(); ++i) {
    file.Put(DbRowKey(DbIndex{static_cast<uint16_t>(i)}), EncodeDbState(dbs[i]));
  }
  file.Put(kLsnRowKey, EncodeLsn(cut));
  file.Put(kFormatRowKey, EncodeFormat(kStoreFormat));
}

}  // namespace

absl::Status Store::Persist(const std::function<absl::Status(Lsn cut)>& sync_log) {
  MutexLock persisting(persist_mutex_);
  return PersistAll(sync_log);
}

absl::Status Store::PersistAll(const std::function<absl::Status(Lsn cut)>& sync_log) {
  if (frozen_.active) TM_RETURN_IF_ERROR(PersistFrozen(sync_log));
  if (!Freeze()) return absl::OkStatus();
  return PersistFrozen(sync_log);
}

bool Store::Freeze() {
  std::unique_lock lock(lock_);
  if (dirty_.empty() && dead_.empty() && applied() == persisted()) return false;
  frozen_.active = true;
  frozen_.written = false;
  frozen_.epoch = epoch_++;
  frozen_.cut = applied();
  frozen_.dbs = dbs_;
  frozen_.order.swap(dirty_);
  std::swap(frozen_.dead, dead_);
  frozen_.bytes = std::exchange(dirty_bytes_, 0);
  PublishSizes();
  return true;
}

absl::Status Store::PersistFrozen(const std::function<absl::Status(Lsn cut)>& sync_log) {
  const auto started = std::chrono::steady_clock::now();
  uint64_t bytes = 0;
  absl::Status status = sync_log(frozen_.cut);
  if (status.ok()) status = WriteFrozen(&bytes);
  if (status.ok()) status = rocks_->Ingest();
  retry_persist_ = !status.ok();
  if (!status.ok()) return status;
  level0_files_ = rocks_->LevelZeroFiles();
  RetireFrozen();
  persists_.fetch_add(1, std::memory_order_relaxed);
  persisted_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  last_persist_micros_ =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started).count();
  return absl::OkStatus();
}

absl::Status Store::WriteFrozen(uint64_t* bytes) {
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<RowFile> file, rocks_->NewRowFile());
  WriteMetaRows(*file, frozen_.cut, frozen_.dbs);
  for (const auto& [begin, end] : frozen_.dead.ranges()) file->DeleteRange(begin, end);
  // The keys need no lock: a frozen entry stays where it is.
  std::vector<std::pair<std::string_view, Value>> rows;
  rows.reserve(kRowsAtOnce);
  DirtyOrder::Cursor next(frozen_.order);
  while (next.Valid() && file->status().ok()) {
    {
      std::shared_lock lock(lock_);
      for (; next.Valid() && rows.size() < kRowsAtOnce; next.Next()) {
        const Entry* entry = next.entry();
        rows.emplace_back(entry->key(), entry->has_before ? entry->before : entry->value);
      }
    }
    for (const auto& [row, value] : rows) {
      if (value) {
        file->Put(row, value.view());
      } else {
        file->Delete(row);
      }
    }
    rows.clear();
  }
  TM_ASSIGN_OR_RETURN(*bytes, file->Finish());
  return absl::OkStatus();
}

void Store::RetireFrozen() {
  {
    std::unique_lock lock(lock_);
    frozen_.written = true;
  }
  ReleaseBefores();
  DropDeadRows();
  DirtyOrder retired;
  {
    std::unique_lock lock(lock_);
    TM_CHECK(frozen_.cut >= persisted());
    persisted_epoch_ = frozen_.epoch;
    ++generation_;
    persisted_.store(frozen_.cut.value, std::memory_order_release);
    retired.swap(frozen_.order);
    frozen_.dead.clear();
    frozen_.bytes = 0;
    frozen_.active = false;
    PublishSizes();
  }
  retired.clear();
  EvictRetired();
}

// All these rows can be evicted now. Two rounds of the clock at most: the first clears the second chances.
void Store::EvictRetired() {
  const uint64_t limit = hot_limit_.load(std::memory_order_relaxed);
  size_t rows_max = 0;
  size_t rows = 0;
  for (bool over = true; over; rows += kRowsAtOnce) {
    std::unique_lock lock(lock_);
    if (rows == 0) rows_max = 2 * table_.size() + kRowsAtOnce;
    over = hot_bytes_ > limit && rows < rows_max;
    if (over) EvictSome(kRowsAtOnce);
  }
}

void Store::ReleaseBefores() {
  std::vector<Value> released;
  while (!frozen_.rewritten.empty()) {
    {
      std::unique_lock lock(lock_);
      for (size_t i = 0; i < kRowsAtOnce && !frozen_.rewritten.empty(); ++i) {
        Entry* entry = frozen_.rewritten.back();
        frozen_.rewritten.pop_back();
        hot_bytes_ -= ValueCharge(entry->before);
        released.push_back(std::move(entry->before));
        entry->has_before = false;
      }
    }
    released.clear();
  }
}

// Clean rows under the deleted ranges are hidden only as long as the ranges are known: they go before the ranges do.
void Store::DropDeadRows() {
  if (frozen_.dead.empty()) return;
  for (size_t shard = 0; shard < HotTable::kShards; ++shard) {
    std::unique_lock lock(lock_);
    table_.SweepShard(shard, [this](Entry* entry) {
      if (!IsClean(*entry) || !frozen_.dead.Contains(entry->key())) return false;
      FreeClean(entry);
      return true;
    });
  }
}

absl::StatusOr<Lsn> Store::Snapshot(const std::string& folder, const std::function<absl::Status(Lsn cut)>& sync_log) {
  MutexLock persisting(persist_mutex_);
  TM_RETURN_IF_ERROR(PersistAll(sync_log));
  TM_RETURN_IF_ERROR(rocks_->Checkpoint(folder));
  TM_ASSIGN_OR_RETURN(const Value row, Rocks::GetFrom(folder, kLsnRowKey));
  // Nothing was ever persisted: the store of LSN 0.
  if (!row) return Lsn{0};
  return DecodeLsn(row.view());
}

absl::StatusOr<std::unique_ptr<PersistedView>> Store::ViewPersisted(
    const std::function<absl::Status(Lsn cut)>& sync_log) {
  MutexLock persisting(persist_mutex_);
  TM_RETURN_IF_ERROR(PersistAll(sync_log));
  return PersistedView::Open(*rocks_);
}

}  // namespace tidemark::kv
