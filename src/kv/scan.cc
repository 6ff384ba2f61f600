// Scans: a merge of RocksDB with the dirty rows, which are newer and win. With the lock held the dirty orders are
// walked in place; without it, what the scan can need of them is copied out in the lock section in which RocksDB's
// iterator is made.
#include <limits>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kv/range_view.h"
#include "kv/rocks.h"
#include "kv/store.h"

namespace tidemark::kv {

enum class ScanOrder : bool { kUp, kDown };

// The dirty rows of a range, frozen and not, as one sequence; absent rows included. The lock is held.
template <ScanOrder kOrder>
class LiveOverlay {
 public:
  LiveOverlay(const Store& store, std::string_view begin, std::string_view end)
      : begin_(begin),
        end_(end),
        dirty_(store.dirty_, kOrder == ScanOrder::kUp ? begin : end),
        frozen_(store.frozen_.order, kOrder == ScanOrder::kUp ? begin : end) {
    Find();
  }
  // As ViewRange.
  static std::unique_ptr<RangeView> Freeze(Store& store, std::string_view begin, std::string_view end);

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
  using Cursor = std::conditional_t<kOrder == ScanOrder::kUp, DirtyOrder::Cursor, DirtyOrder::DownCursor>;

  static bool ComesFirst(const Entry& a, const Entry& b) {
    return kOrder == ScanOrder::kUp ? a.key() < b.key() : b.key() < a.key();
  }
  void Find() {
    entry_ = dirty_.Valid() ? dirty_.entry() : nullptr;
    if (frozen_.Valid() && (entry_ == nullptr || ComesFirst(*frozen_.entry(), *entry_))) entry_ = frozen_.entry();
    if (entry_ == nullptr) return;
    const bool over = kOrder == ScanOrder::kUp ? entry_->key() >= end_ : entry_->key() < begin_;
    if (over) entry_ = nullptr;
  }

  std::string_view begin_;
  std::string_view end_;
  Cursor dirty_;
  Cursor frozen_;
  const Entry* entry_ = nullptr;
};

namespace {

// A copy of what a scan for `limit` rows can need: it ends after so many rows that exist.
class CopiedOverlay {
 public:
  template <ScanOrder kOrder>
  CopiedOverlay(LiveOverlay<kOrder> live, size_t limit) {
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
template <ScanOrder kOrder>
class LivingRows {
 public:
  // `start`: where the scan begins, itself not part of a range that is visited downwards.
  LivingRows(RocksIterator& rocks, const DeadRanges& dead, const DeadRanges& frozen_dead, std::string_view start)
      : rocks_(rocks), dead_(dead), frozen_dead_(frozen_dead) {
    if constexpr (kOrder == ScanOrder::kUp) {
      rocks_.Seek(start);
    } else {
      rocks_.SeekBelow(start);
    }
    SkipDead();
  }
  bool Valid() const { return rocks_.Valid(); }
  std::string_view row() const { return rocks_.row(); }
  Value value() const { return Value(rocks_.value()); }
  absl::Status status() const { return rocks_.status(); }
  void Next() {
    if constexpr (kOrder == ScanOrder::kUp) {
      rocks_.Next();
    } else {
      rocks_.Prev();
    }
    SkipDead();
  }

 private:
  void SkipDead() {
    while (rocks_.Valid()) {
      std::optional<DeadRanges::Found> range = dead_.Find(rocks_.row());
      if (!range) range = frozen_dead_.Find(rocks_.row());
      if (!range) return;
      if constexpr (kOrder == ScanOrder::kUp) {
        rocks_.Seek(range->end);
      } else {
        rocks_.SeekBelow(range->begin);
      }
    }
  }

  RocksIterator& rocks_;
  const DeadRanges& dead_;
  const DeadRanges& frozen_dead_;
};

template <ScanOrder kOrder, typename Overlay>
absl::Status Merge(Overlay& overlay, LivingRows<kOrder>& rows, size_t limit, const Txn::Visitor& visit) {
  for (size_t visited = 0; visited < limit;) {
    if (!rows.Valid()) TM_RETURN_IF_ERROR(rows.status());
    if (!overlay.Valid() && !rows.Valid()) break;
    int order = !overlay.Valid() ? 1 : -1;
    if (overlay.Valid() && rows.Valid()) {
      order = kOrder == ScanOrder::kUp ? overlay.row().compare(rows.row()) : rows.row().compare(overlay.row());
    }
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

// What a scan needs of the store once the lock is let go.
struct Moment {
  std::optional<CopiedOverlay> overlay;
  DeadRanges dead;
  DeadRanges frozen_dead;
  std::unique_ptr<Rocks::Lent> rocks;
};

template <ScanOrder kOrder>
absl::Status ScanMoment(Moment& moment, std::string_view begin, std::string_view end, size_t limit,
                        const Txn::Visitor& visit) {
  LivingRows<kOrder> living(**moment.rocks, moment.dead, moment.frozen_dead, kOrder == ScanOrder::kUp ? begin : end);
  TM_RETURN_IF_ERROR(Merge(*moment.overlay, living, limit, visit));
  return moment.rocks->Finish();
}

}  // namespace

absl::Status Store::Scan(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                         const Txn::Visitor& visit) {
  if (limit == 0 || begin >= end) return absl::OkStatus();
  Moment moment;
  {
    std::shared_lock lock(lock_);
    moment.overlay.emplace(LiveOverlay<ScanOrder::kUp>(*this, begin, end), limit);
    dead_.CopyOverlap(begin, end, &moment.dead);
    frozen_.dead.CopyOverlap(begin, end, &moment.frozen_dead);
    moment.rocks = rocks_->Iterate(begin, end, tier);
  }
  return ScanMoment<ScanOrder::kUp>(moment, begin, end, limit, visit);
}

absl::Status Store::ScanBackward(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                                 const Txn::Visitor& visit) {
  if (limit == 0 || begin >= end) return absl::OkStatus();
  Moment moment;
  {
    std::shared_lock lock(lock_);
    moment.overlay.emplace(LiveOverlay<ScanOrder::kDown>(*this, begin, end), limit);
    dead_.CopyOverlap(begin, end, &moment.dead);
    frozen_.dead.CopyOverlap(begin, end, &moment.frozen_dead);
    moment.rocks = rocks_->Iterate(begin, end, tier);
  }
  return ScanMoment<ScanOrder::kDown>(moment, begin, end, limit, visit);
}

absl::Status Store::View::Scan(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                               const Txn::Visitor& visit) {
  if (limit == 0 || begin >= end) return absl::OkStatus();
  LiveOverlay<ScanOrder::kUp> overlay(store_, begin, end);
  const std::unique_ptr<Rocks::Lent> rocks = store_.rocks_->Iterate(begin, end, tier);
  LivingRows<ScanOrder::kUp> living(**rocks, store_.dead_, store_.frozen_.dead, begin);
  TM_RETURN_IF_ERROR(Merge(overlay, living, limit, visit));
  return rocks->Finish();
}

absl::Status Store::View::ScanBackward(std::string_view begin, std::string_view end, size_t limit, Tier tier,
                                       const Txn::Visitor& visit) {
  if (limit == 0 || begin >= end) return absl::OkStatus();
  LiveOverlay<ScanOrder::kDown> overlay(store_, begin, end);
  const std::unique_ptr<Rocks::Lent> rocks = store_.rocks_->Iterate(begin, end, tier);
  LivingRows<ScanOrder::kDown> living(**rocks, store_.dead_, store_.frozen_.dead, end);
  TM_RETURN_IF_ERROR(Merge(overlay, living, limit, visit));
  return rocks->Finish();
}

// A range at one moment: the dirty rows copied, the others as RocksDB has them then.
class FrozenRange final : public RangeView {
 public:
  FrozenRange(CopiedOverlay overlay, std::unique_ptr<RocksMoment> moment, std::string_view begin, std::string_view end)
      : overlay_(std::move(overlay)), moment_(std::move(moment)), next_(begin), end_(end) {}
  DeadRanges& dead() { return dead_; }
  DeadRanges& frozen_dead() { return frozen_dead_; }

  absl::StatusOr<bool> VisitNext(size_t limit, const Txn::Visitor& visit) override {
    while (overlay_.Valid() && overlay_.row() < next_) overlay_.Next();
    const std::unique_ptr<RocksIterator> rocks = moment_->NewIterator(end_);
    LivingRows<ScanOrder::kUp> rows(*rocks, dead_, frozen_dead_, next_);
    std::string last;
    bool stopped = false;
    size_t visited = 0;
    TM_RETURN_IF_ERROR(Merge(overlay_, rows, limit, [&](std::string_view row, const Value& value) {
      last.assign(row);
      ++visited;
      stopped = !visit(row, value);
      return !stopped;
    }));
    if (visited > 0) next_ = last + '\0';
    return stopped || visited == limit;
  }

 private:
  CopiedOverlay overlay_;
  DeadRanges dead_;
  DeadRanges frozen_dead_;
  std::unique_ptr<RocksMoment> moment_;
  std::string next_;
  std::string end_;
};

template <ScanOrder kOrder>
std::unique_ptr<RangeView> LiveOverlay<kOrder>::Freeze(Store& store, std::string_view begin, std::string_view end) {
  constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
  auto view = std::make_unique<FrozenRange>(CopiedOverlay(LiveOverlay<ScanOrder::kUp>(store, begin, end), kNoLimit),
                                            store.rocks_->TakeMoment(), begin, end);
  store.dead_.CopyOverlap(begin, end, &view->dead());
  store.frozen_.dead.CopyOverlap(begin, end, &view->frozen_dead());
  return view;
}

std::unique_ptr<RangeView> ViewRange(Store& store, std::string_view begin, std::string_view end) {
  return LiveOverlay<ScanOrder::kUp>::Freeze(store, begin, end);
}

}  // namespace tidemark::kv
