// Scans: a merge of RocksDB with the dirty rows, which are newer and win. With the lock held the dirty orders are
// walked in place; without it, what the scan can need of them is copied out in the lock section in which RocksDB's
// iterator is made.
#include <limits>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "kv/rocks.h"
#include "kv/store.h"

namespace tidemark::kv {

// The dirty rows of a range, frozen and not, as one sequence; absent rows included. The lock is held.
class LiveOverlay {
 public:
  LiveOverlay(const Store& store, std::string_view begin, std::string_view end)
      : end_(end), dirty_(store.dirty_, begin), frozen_(store.frozen_.order, begin) {
    Find();
  }
  bool Valid() const { return entry_ != nullptr; }
  std::string_view row() const { return entry_->key(); }
  const Value& value() const { return entry_->value; }
  void Next() {
    const Entry* last = entry_;
    if (dirty_.Valid() && dirty_.entry() == last) dirty_.Next();
    if (frozen_.Valid() && frozen_.entry() == last) frozen_.Next();
    Find();
  }

 private:
  void Find() {
    entry_ = dirty_.Valid() ? dirty_.entry() : nullptr;
    if (frozen_.Valid() && (entry_ == nullptr || frozen_.entry()->key() < entry_->key())) entry_ = frozen_.entry();
    if (entry_ != nullptr && entry_->key() >= end_) entry_ = nullptr;
  }

  std::string_view end_;
  DirtyOrder::Cursor dirty_;
  DirtyOrder::Cursor frozen_;
  const Entry* entry_ = nullptr;
};

namespace {

// A copy of what a scan for `limit` rows can need: it ends after so many rows that exist.
class CopiedOverlay {
 public:
  CopiedOverlay(LiveOverlay live, size_t limit) {
    for (size_t found = 0; live.Valid() && found < limit; live.Next()) {
      if (live.value()) ++found;
      keys_.append(live.row());
      rows_.push_back({keys_.size(), live.value()});
    }
  }
  bool Valid() const { return next_ < rows_.size(); }
  std::string_view row() const { return std::string_view(keys_).substr(start_, rows_[next_].key_end - start_); }
  const Value& value() const { return rows_[next_].value; }
  void Next() { start_ = rows_[next_++].key_end; }

 private:
  struct Row {
    size_t key_end;
    Value value;
  };
  std::string keys_;
  std::vector<Row> rows_;
  size_t next_ = 0;
  size_t start_ = 0;
};

// RocksDB's rows without those that deleted ranges hide.
class LivingRows {
 public:
  LivingRows(RocksIterator& rocks, const DeadRanges& dead, const DeadRanges& frozen_dead, std::string_view begin)
      : rocks_(rocks), dead_(dead), frozen_dead_(frozen_dead) {
    rocks_.Seek(begin);
    SkipDead();
  }
  bool Valid() const { return rocks_.Valid(); }
  std::string_view row() const { return rocks_.row(); }
  Value value() const { return Value(rocks_.value()); }
  absl::Status status() const { return rocks_.status(); }
  void Next() {
    rocks_.Next();
    SkipDead();
  }

 private:
  void SkipDead() {
    while (rocks_.Valid()) {
      const std::string* end = dead_.Find(rocks_.row());
      if (end == nullptr) end = frozen_dead_.Find(rocks_.row());
      if (end == nullptr) return;
      rocks_.Seek(*end);
    }
  }

  RocksIterator& rocks_;
  const DeadRanges& dead_;
  const DeadRanges& frozen_dead_;
};

template <typename Overlay>
absl::Status Merge(Overlay& overlay, LivingRows& rows, size_t limit, const Txn::Visitor& visit) {
  for (size_t visited = 0; visited < limit;) {
    if (!rows.Valid()) TM_RETURN_IF_ERROR(rows.status());
    if (!overlay.Valid() && !rows.Valid()) break;
    const int order = !overlay.Valid() ? 1 : (!rows.Valid() ? -1 : overlay.row().compare(rows.row()));
    if (order > 0) {
      if (!visit(rows.row(), rows.value())) break;
      if (++visited < limit) rows.Next();
      continue;
    }
    if (overlay.value()) {
      if (!visit(overlay.row(), overlay.value())) break;
      if (++visited == limit) break;
    }
    overlay.Next();
    if (order == 0) rows.Next();
  }
  return absl::OkStatus();
}

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

// The rows of a range upwards, to be visited downwards.
class Reversed {
 public:
  Txn::Visitor Gather() {
    return [this](std::string_view row, const Value& value) {
      rows_.emplace_back(row, value);
      return true;
    };
  }
  void Visit(size_t limit, const Txn::Visitor& visit) const {
    size_t visited = 0;
    for (auto row = rows_.rbegin(); row != rows_.rend() && visited < limit; ++row, ++visited) {
      if (!visit(row->first, row->second)) break;
    }
  }

 private:
  std::vector<std::pair<std::string, Value>> rows_;
};

}  // namespace

absl::Status Store::Scan(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                         const Txn::Visitor& visit) {
  if (limit == 0 || begin >= end) return absl::OkStatus();
  std::optional<CopiedOverlay> overlay;
  std::unique_ptr<RocksIterator> rocks;
  DeadRanges dead;
  DeadRanges frozen_dead;
  {
    std::shared_lock lock(lock_);
    overlay.emplace(LiveOverlay(*this, begin, end), limit);
    dead_.CopyOverlap(begin, end, &dead);
    frozen_.dead.CopyOverlap(begin, end, &frozen_dead);
    rocks = rocks_->NewIterator(end, tier);
  }
  LivingRows rows(*rocks, dead, frozen_dead, begin);
  return Merge(*overlay, rows, limit, visit);
}

absl::Status Store::View::Scan(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                               const Txn::Visitor& visit) {
  if (limit == 0 || begin >= end) return absl::OkStatus();
  LiveOverlay overlay(store_, begin, end);
  const std::unique_ptr<RocksIterator> rocks = store_.rocks_->NewIterator(end, tier);
  LivingRows rows(*rocks, store_.dead_, store_.frozen_.dead, begin);
  return Merge(overlay, rows, limit, visit);
}

absl::Status Store::ScanBackward(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                                 const Txn::Visitor& visit) {
  Reversed rows;
  TM_RETURN_IF_ERROR(Scan(begin, end, kNoLimit, tier, rows.Gather()));
  rows.Visit(limit, visit);
  return absl::OkStatus();
}

absl::Status Store::View::ScanBackward(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                                       const Txn::Visitor& visit) {
  Reversed rows;
  TM_RETURN_IF_ERROR(Scan(begin, end, kNoLimit, tier, rows.Gather()));
  rows.Visit(limit, visit);
  return absl::OkStatus();
}

}  // namespace tidemark::kv
