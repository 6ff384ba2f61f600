// Opening, point reads and the cache of clean rows. Changes are in writer.cc, persisting in persist.cc, scans in
// scan.cc.
#include "kv/store.h"

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <shared_mutex>
#include <system_error>
#include <utility>

#include "base/hash.h"
#include "kv/meta_rows.h"
#include "kv/rocks.h"

namespace tidemark::kv {
namespace {

// RocksDB merges level 0 from 4 files on; more than this means that it cannot keep up.
constexpr uint64_t kLevelZeroFilesMax = 20;

}  // namespace

Store::Store(const StoreOptions& options, std::unique_ptr<Rocks> rocks)
    : hot_limit_(options.hot_bytes), dirty_limit_(options.dirty_bytes), rocks_(std::move(rocks)) {}

Store::~Store() { ForgetUndo(); }

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const StoreOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) return ErrnoStatus(error.value(), "create folder " + options.folder);
  TM_ASSIGN_OR_RETURN(std::unique_ptr<Rocks> rocks,
                      Rocks::Open(options.folder, options.block_cache_bytes, options.dirty_bytes));
  auto store = std::unique_ptr<Store>(new Store(options, std::move(rocks)));
  TM_RETURN_IF_ERROR(store->LoadState(options.databases));
  return store;
}

absl::Status Store::LoadState(uint16_t databases) {
  dbs_.resize(databases);
  for (uint16_t i = 0; i < databases; ++i) dbs_[i].contents = CollectionId{0, i};

  TM_ASSIGN_OR_RETURN(const Value format_row, rocks_->Get(kFormatRowKey, Tier::kDisk));
  TM_ASSIGN_OR_RETURN(const Value lsn_row, rocks_->Get(kLsnRowKey, Tier::kDisk));
  if (!format_row && !lsn_row) return absl::OkStatus();
  TM_ASSIGN_OR_RETURN(const uint32_t format, DecodeFormat(format_row.view()));
  if (format > kStoreFormat) {
    return Errorf(absl::StatusCode::kFailedPrecondition,
                  "store: its format is {}, this program reads up to {}: use a newer release", format, kStoreFormat);
  }
  TM_ASSIGN_OR_RETURN(const Lsn lsn, DecodeLsn(lsn_row.view()));
  persisted_ = lsn.value;
  applied_ = lsn.value;

  const auto lent = rocks_->Iterate(kDbRowPrefix, kDbRowEnd, Tier::kDisk);
  RocksIterator* const rows = &**lent;
  for (rows->Seek(kDbRowPrefix); rows->Valid(); rows->Next()) {
    TM_ASSIGN_OR_RETURN(const DbIndex db, DecodeDbRowKey(rows->row()));
    TM_ASSIGN_OR_RETURN(const DbState state, DecodeDbState(rows->value()));
    // A database beyond those configured keeps its state for the day it is configured again.
    for (size_t i = dbs_.size(); i <= db.value; ++i) {
      dbs_.push_back(DbState{CollectionId{0, static_cast<uint16_t>(i)}, 0, 0});
    }
    dbs_[db.value] = state;
  }
  level0_files_ = rocks_->LevelZeroFiles();
  return rows->status();
}

bool Store::FindInMemory(uint64_t hash, std::string_view row, Value* value) const {
  Entry* entry = table_.Find(hash, row);
  if (entry == nullptr) {
    *value = Value();
    return IsDead(row);
  }
  // A clean row is what RocksDB has, which a deleted range may hide.
  if (IsClean(*entry) && IsDead(row)) {
    *value = Value();
    return true;
  }
  if (!entry->referenced.load(std::memory_order_relaxed)) entry->referenced.store(true, std::memory_order_relaxed);
  *value = entry->value;
  return true;
}

void Store::Prefetch(std::span<const uint64_t> hashes) const {
  const std::shared_lock lock(lock_, std::try_to_lock);
  if (!lock) return;
  for (const uint64_t hash : hashes) table_.PrefetchSlot(hash);
  absl::InlinedVector<const Entry*, 32> entries;
  for (const uint64_t hash : hashes) {
    const Entry* entry = table_.EntryAt(hash);
    if (entry == nullptr) continue;
    __builtin_prefetch(entry);
    entries.push_back(entry);
  }
  for (const Entry* entry : entries) entry->value.Prefetch();
}

Value Store::Peek(std::string_view row) const {
  const std::shared_lock lock(lock_, std::try_to_lock);
  if (!lock) return {};
  const Entry* entry = table_.Find(Hash64(row), row);
  return entry == nullptr ? Value() : entry->value;
}

// Not an atomic addition: a count lost between threads is worth less than the bus lock.
void Store::CountRead(bool hit) {
  std::atomic<uint64_t>& counter = hit ? hits_ : misses_;
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

absl::StatusOr<Value> Store::Get(std::string_view row, Tier tier) {
  const uint64_t hash = Hash64(row);
  uint64_t generation = 0;
  {
    std::shared_lock lock(lock_);
    Value value;
    if (FindInMemory(hash, row, &value)) {
      CountRead(true);
      return value;
    }
    generation = generation_;
  }
  CountRead(false);
  absl::StatusOr<Value> read = rocks_->Get(row, tier);
  if (!read.ok()) return read;
  if (test_read_listener_) test_read_listener_();
  std::unique_lock lock(lock_, std::defer_lock);
  if (tier == Tier::kDisk) {
    // The caller will look for it with Tier::kMemory next: it must be there.
    cold_reads_.fetch_add(1, std::memory_order_relaxed);
    lock.lock();
  } else if (!lock.try_lock()) {
    return read;
  }
  InsertRead(row, *read, generation);
  return read;
}

DbState Store::db(DbIndex db) const {
  std::shared_lock lock(lock_);
  return dbs_[db.value];
}

std::optional<DbState> Store::TryDb(DbIndex db) const {
  const std::shared_lock lock(lock_, std::try_to_lock);
  if (!lock) return std::nullopt;
  return dbs_[db.value];
}

void Store::InsertRead(std::string_view row, const Value& value, uint64_t generation) {
  const uint64_t hash = Hash64(row);
  if (generation != generation_ || table_.Find(hash, row) != nullptr || IsDead(row)) return;
  Entry* entry = Entry::New(row, value, 0);
  table_.Insert(hash, entry);
  hot_bytes_ += EntryCharge(*entry) + ValueCharge(value);
  EvictSome(16);
}

void Store::EvictSome(size_t rows) {
  const uint64_t limit = hot_limit_.load(std::memory_order_relaxed);
  if (hot_bytes_ <= limit) return;
  table_.Sweep(
      rows, [&] { return hot_bytes_ <= limit; },
      [this](Entry* entry) {
        if (!IsClean(*entry) || entry->referenced.exchange(false, std::memory_order_relaxed)) return false;
        FreeClean(entry);
        return true;
      });
}

void Store::FreeClean(Entry* entry) {
  hot_bytes_ -= EntryCharge(*entry) + ValueCharge(entry->value);
  Entry::Free(entry);
}

absl::StatusOr<Value> Store::View::Get(std::string_view row, Tier tier) {
  Value value;
  if (store_.FindInMemory(Hash64(row), row, &value)) {
    store_.CountRead(true);
    return value;
  }
  store_.CountRead(false);
  absl::StatusOr<Value> read = store_.rocks_->Get(row, tier);
  if (!read.ok()) return read;
  if (exclusive_) {
    store_.InsertRead(row, *read, store_.generation_);
  } else {
    read_rows_.push_back(ReadRow{std::string(row), *read, store_.generation_});
  }
  return read;
}

DbState Store::View::db(DbIndex db) const {
  // A log may speak of databases beyond those configured.
  return db.value < store_.dbs_.size() ? store_.dbs_[db.value] : DbState{CollectionId{0, db.value}, 0, 0};
}

Store::Reader::Reader(Store& store) : View(store, /*exclusive=*/false) { store_.lock_.lock_shared(); }

Store::Reader::~Reader() {
  store_.lock_.unlock_shared();
  if (read_rows_.empty() || !store_.lock_.try_lock()) return;
  for (const ReadRow& read : read_rows_) store_.InsertRead(read.row, read.value, read.generation);
  store_.lock_.unlock();
}

uint64_t Store::ApproximateBytes(std::string_view begin, std::string_view end) {
  return rocks_->ApproximateBytes(begin, end);
}

void Store::SetCacheSizes(uint64_t hot_bytes, uint64_t block_cache_bytes) {
  hot_limit_ = hot_bytes;
  rocks_->SetBlockCacheBytes(block_cache_bytes);
}

bool Store::WantsPersist() const {
  return published_dirty_.load(std::memory_order_relaxed) >= dirty_limit_ ||
         retry_persist_.load(std::memory_order_relaxed);
}

bool Store::MustWait() {
  if (published_dirty_.load(std::memory_order_relaxed) + published_frozen_.load(std::memory_order_relaxed) >=
      2 * dirty_limit_) {
    return true;
  }
  if (level0_files_.load(std::memory_order_relaxed) < kLevelZeroFilesMax) return false;
  level0_files_ = rocks_->LevelZeroFiles();
  return level0_files_ >= kLevelZeroFilesMax;
}

Store::Stats Store::stats() {
  Stats stats;
  {
    std::shared_lock lock(lock_);
    stats.hot_rows = table_.size();
    stats.hot_bytes = hot_bytes_;
    stats.dirty_rows = dirty_.size() + frozen_.order.size();
    stats.dirty_bytes = dirty_bytes_ + frozen_.bytes;
  }
  stats.hot_hits = hits_;
  stats.hot_misses = misses_;
  stats.cold_reads = cold_reads_;
  stats.persists = persists_;
  stats.persisted_bytes = persisted_bytes_;
  stats.last_persist_micros = last_persist_micros_;
  stats.block_cache_bytes = rocks_->BlockCacheBytes();
  stats.sst_bytes = rocks_->SstBytes();
  stats.level0_files = rocks_->LevelZeroFiles();
  stats.background_error = rocks_->BackgroundError();
  return stats;
}

}  // namespace tidemark::kv
