// Changing rows: everything here runs with the store's lock held exclusively.
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "kv/store.h"

namespace tidemark::kv {
namespace {

std::vector<Entry*> RowsIn(const DirtyOrder& order, std::string_view begin, std::string_view end) {
  std::vector<Entry*> rows;
  for (DirtyOrder::Cursor at(order, begin); at.Valid() && at.entry()->key() < end; at.Next()) {
    rows.push_back(at.entry());
  }
  return rows;
}

}  // namespace

Store::Writer::Writer(Store& store) : View(store, /*exclusive=*/true) { store_.lock_.lock(); }

Store::Writer::~Writer() {
  store_.ForgetUndo();
  store_.PublishSizes();
  store_.lock_.unlock();
}

void Store::Writer::Put(std::string_view row, std::string_view value) { Set(row, Value(value)); }
void Store::Writer::PutShared(std::string_view row, Value value) { Set(row, std::move(value)); }
void Store::Writer::Delete(std::string_view row) { Set(row, Value()); }

void Store::Writer::Set(std::string_view row, Value value) {
  TM_CHECK(!row.empty() && row[0] != '\0', "a row key of the store's own range");
  const uint64_t hash = Hash64(row);
  Entry* entry = store_.table_.Find(hash, row);
  if (entry != nullptr && store_.IsClean(*entry) && store_.IsDead(row)) {
    // What a deleted range hides does not exist; should the range's deletion be undone, RocksDB still has it.
    store_.table_.Erase(hash, entry);
    store_.FreeClean(entry);
    entry = nullptr;
  }
  if (entry == nullptr) {
    entry = store_.CreateDirty(hash, row, std::move(value));
    store_.undo_.push_back({UndoStep::Kind::kCreated, entry, Value()});
    return;
  }
  if (entry->epoch != store_.epoch_) store_.MakeDirty(entry);
  store_.Replace(entry, &value);
  store_.undo_.push_back({UndoStep::Kind::kValue, entry, std::move(value)});
}

// A row in both dirty orders stays, as deleted: the frozen order needs its entry. A row in the frozen one alone becomes
// a known absence, which is right before and after the range has been persisted. All others leave memory.
void Store::Writer::DeleteRange(std::string_view begin, std::string_view end) {
  TM_CHECK(!begin.empty() && begin[0] != '\0', "a range of row keys that meets the store's own");
  if (begin >= end) return;
  Store& store = store_;
  for (Entry* entry : RowsIn(store.dirty_, begin, end)) {
    if (store.frozen_.order.Contains(entry->key())) {
      Value absent;
      store.Replace(entry, &absent);
      store.undo_.push_back({UndoStep::Kind::kValue, entry, std::move(absent)});
    } else {
      store.dirty_.Erase(entry);
      store.RemoveDirty(entry);
      store.undo_.push_back({UndoStep::Kind::kRemoved, entry, Value()});
    }
  }
  for (Entry* entry : RowsIn(store.frozen_.order, begin, end)) {
    if (entry->epoch != store.frozen_.epoch || !entry->value) continue;
    store.KeepForFrozen(entry);
    Value absent;
    store.Replace(entry, &absent);
    store.undo_.push_back({UndoStep::Kind::kValue, entry, std::move(absent)});
  }
  store.undo_ranges_.push_back(store.dead_.Add(begin, end));
  store.undo_.push_back({UndoStep::Kind::kRange, nullptr, Value()});
}

void Store::Writer::SetDb(DbIndex db, const DbState& state) {
  for (size_t i = store_.dbs_.size(); i <= db.value; ++i) {
    store_.dbs_.push_back(DbState{CollectionId{0, static_cast<uint16_t>(i)}, 0, 0});
  }
  store_.undo_dbs_.emplace_back(db, store_.dbs_[db.value]);
  store_.undo_.push_back({UndoStep::Kind::kDb, nullptr, Value()});
  store_.dbs_[db.value] = state;
}

size_t Store::Writer::Mark() const { return store_.undo_.size(); }

void Store::Writer::UndoTo(size_t mark) {
  while (store_.undo_.size() > mark) store_.UndoLast();
}

void Store::Writer::SetApplied(Lsn applied) {
  TM_CHECK(applied >= store_.applied(), "applied LSN would go back from {} to {}", store_.applied().value,
           applied.value);
  store_.applied_.store(applied.value, std::memory_order_release);
  store_.ForgetUndo();
}

// Brings a clean or frozen entry into the dirty order of this epoch. Undoing does not take it out again: to write a row
// that has not changed is harmless.
void Store::MakeDirty(Entry* entry) {
  if (!IsClean(*entry)) KeepForFrozen(entry);
  entry->epoch = epoch_;
  dirty_.Insert(entry);
  dirty_bytes_ += EntryCharge(*entry) + ValueCharge(entry->value);
}

// The entry is dirty in the frozen epoch and about to change: what the cut must hold is put aside.
void Store::KeepForFrozen(Entry* entry) {
  if (frozen_.written || entry->has_before) return;
  entry->before = entry->value;
  entry->has_before = true;
  hot_bytes_ += ValueCharge(entry->before);
  frozen_.rewritten.push_back(entry);
}

Entry* Store::CreateDirty(uint64_t hash, std::string_view row, Value value) {
  EvictSome(4);
  Entry* entry = Entry::New(row, std::move(value), epoch_);
  table_.Insert(hash, entry);
  dirty_.Insert(entry);
  const uint64_t charge = EntryCharge(*entry) + ValueCharge(entry->value);
  hot_bytes_ += charge;
  dirty_bytes_ += charge;
  return entry;
}

// Exchanges the entry's value with *value. The entry may be dirty in the frozen epoch only when the new value is null.
void Store::Replace(Entry* entry, Value* value) {
  const uint64_t delta = ValueCharge(*value) - ValueCharge(entry->value);
  hot_bytes_ += delta;
  if (entry->epoch == epoch_) dirty_bytes_ += delta;
  std::swap(entry->value, *value);
}

// The entry has left the dirty order already.
void Store::RemoveDirty(Entry* entry) {
  table_.Erase(Hash64(entry->key()), entry);
  const uint64_t charge = EntryCharge(*entry) + ValueCharge(entry->value);
  hot_bytes_ -= charge;
  dirty_bytes_ -= charge;
}

void Store::UndoLast() {
  UndoStep step = std::move(undo_.back());
  undo_.pop_back();
  switch (step.kind) {
    case UndoStep::Kind::kValue:
      Replace(step.entry, &step.former);
      break;
    case UndoStep::Kind::kCreated:
      dirty_.Erase(step.entry);
      RemoveDirty(step.entry);
      Entry::Free(step.entry);
      break;
    case UndoStep::Kind::kRemoved: {
      table_.Insert(Hash64(step.entry->key()), step.entry);
      dirty_.Insert(step.entry);
      const uint64_t charge = EntryCharge(*step.entry) + ValueCharge(step.entry->value);
      hot_bytes_ += charge;
      dirty_bytes_ += charge;
      break;
    }
    case UndoStep::Kind::kDb:
      dbs_[undo_dbs_.back().first.value] = undo_dbs_.back().second;
      undo_dbs_.pop_back();
      break;
    case UndoStep::Kind::kRange:
      dead_.Undo(undo_ranges_.back());
      undo_ranges_.pop_back();
      break;
  }
}

void Store::ForgetUndo() {
  for (UndoStep& step : undo_) {
    if (step.kind == UndoStep::Kind::kRemoved) Entry::Free(step.entry);
  }
  undo_.clear();
  undo_dbs_.clear();
  undo_ranges_.clear();
}

void Store::PublishSizes() {
  published_dirty_.store(dirty_bytes_, std::memory_order_relaxed);
  published_frozen_.store(frozen_.active ? frozen_.bytes : 0, std::memory_order_relaxed);
}

}  // namespace tidemark::kv
