#include "engine/transactions.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "format/note.h"
#include "types/rows.h"

namespace tidemark::engine {
namespace {

[[noreturn]] void RefuseWrite() {
  TM_CHECK(false, "a command without the write flag tried to change rows");
  std::abort();
}

}  // namespace

void CommitTxn::Put(std::string_view row, std::string_view value) {
  batch_.Put(row, value);
  store_.Put(row, value);
}

void CommitTxn::PutShared(std::string_view row, const kv::Value& value) {
  batch_.Put(row, value.view());
  store_.PutShared(row, value);
}

void CommitTxn::Delete(std::string_view row) {
  batch_.Delete(row);
  store_.Delete(row);
}

void CommitTxn::DeleteRange(std::string_view begin, std::string_view end) {
  batch_.DeleteRange(begin, end);
  store_.DeleteRange(begin, end);
}

void CommitTxn::AddKeys(DbIndex db, int64_t keys, int64_t expires) {
  if (keys == 0 && expires == 0) return;
  kv::DbState state = store_.db(db);
  state.keys += keys;
  state.expires += expires;
  store_.SetDb(db, state);
  batch_.LogData(format::EncodeNote(format::CountsNote{db, keys, expires}));
}

void CommitTxn::ReplaceContents(DbIndex db) {
  const kv::DbState old = store_.db(db);
  if (old.keys == 0) return;
  const kv::CollectionId contents = NewCollectionId();
  Put(types::DeadRow(old.contents).view(),
      types::EncodeDeadValue({types::Type::kContents, static_cast<uint64_t>(old.keys)}));
  store_.SetDb(db, {.contents = contents, .keys = 0, .expires = 0});
  batch_.LogData(format::EncodeNote(format::ContentsNote{db, contents.lsn, contents.ordinal}));
  if (gather_) changed_contents_.push_back(db);
}

void CommitTxn::SwapContents(DbIndex a, DbIndex b) {
  const kv::DbState state = store_.db(a);
  store_.SetDb(a, store_.db(b));
  store_.SetDb(b, state);
  batch_.LogData(format::EncodeNote(format::SwapNote{a, b}));
  if (gather_) changed_contents_.insert(changed_contents_.end(), {a, b});
}

kv::CollectionId CommitTxn::NewCollectionId() {
  // Every new collection adds more than one byte to the record, so that lsn + ordinal / 65536 stays inside the
  // record's own bytes and no other record can come to the same id.
  const uint64_t ordinal = next_ordinal_++;
  return {lsn_.value + (ordinal >> 16), static_cast<uint16_t>(ordinal)};
}

void CommitTxn::Touched(DbIndex db, std::string_view key) {
  if (gather_) changed_keys_.push_back({db, std::string(key), false});
}

void CommitTxn::NoteExpired(DbIndex db, std::string_view key) { changed_keys_.push_back({db, std::string(key), true}); }

size_t CommitTxn::Mark() {
  marks_.push_back({store_.Mark(), batch_.mark(), changed_keys_.size(), changed_contents_.size()});
  return marks_.size();
}

void CommitTxn::RollBackTo(size_t mark) {
  const MarkState state = mark == 0 ? beginning_ : marks_[mark - 1];
  store_.UndoTo(state.store);
  batch_.RollBackTo(state.batch);
  changed_keys_.resize(state.changed_keys);
  changed_contents_.resize(state.changed_contents);
  marks_.resize(mark);
}

void CommitTxn::Tell(ChangeListener& listener) const {
  for (const auto& [db, key, expired] : changed_keys_) {
    expired ? listener.OnKeyExpired(db, key) : listener.OnKeyChanged(db, key);
  }
  for (const DbIndex db : changed_contents_) listener.OnContentsReplaced(db);
}

void ReadTxn::Put(std::string_view, std::string_view) { RefuseWrite(); }
void ReadTxn::Delete(std::string_view) { RefuseWrite(); }
void ReadTxn::DeleteRange(std::string_view, std::string_view) { RefuseWrite(); }
void ReadTxn::AddKeys(DbIndex, int64_t, int64_t) { RefuseWrite(); }
void ReadTxn::ReplaceContents(DbIndex) { RefuseWrite(); }
void ReadTxn::SwapContents(DbIndex, DbIndex) { RefuseWrite(); }
kv::CollectionId ReadTxn::NewCollectionId() { RefuseWrite(); }

bool RehearsalTxn::Covered(std::string_view row) const {
  for (const auto& [begin, end] : deleted_ranges_) {
    if (row >= begin && row < end) return true;
  }
  return false;
}

absl::StatusOr<kv::Value> RehearsalTxn::Get(std::string_view row) {
  if (const auto found = changes_.find(row); found != changes_.end()) return found->second;
  if (Covered(row)) return kv::Value();
  return store_.Get(row, kv::Tier::kDisk);
}

absl::StatusOr<RehearsalTxn::Page> RehearsalTxn::ReadPage(std::string_view begin, std::string_view end, size_t rows,
                                                          bool backward) const {
  Page page;
  size_t read = 0;
  std::string last;
  const Visitor gather = [&](std::string_view row, const kv::Value& value) {
    ++read;
    last = row;
    if (!Covered(row)) page.rows.emplace(row, value);
    return true;
  };
  TM_RETURN_IF_ERROR(backward ? store_.ScanBackward(begin, end, rows, kv::Tier::kDisk, gather)
                              : store_.Scan(begin, end, rows, kv::Tier::kDisk, gather));
  // Own changes of the part that was read; a full page ends at its last row.
  std::string from(begin);
  std::string to(end);
  if (read == rows) {
    if (backward) {
      from = last;
      page.rest_begin = begin;
      page.rest_end = last;
    } else {
      to = last + '\0';
      page.rest_begin = to;
      page.rest_end = end;
    }
  }
  for (auto it = changes_.lower_bound(from); it != changes_.end() && it->first < to; ++it) {
    page.rows.insert_or_assign(it->first, it->second);
  }
  return page;
}

// Own changes hide rows of the store, so a limit cannot be handed down: pages that grow.
absl::Status RehearsalTxn::ScanPages(std::string_view begin, std::string_view end, size_t limit, bool backward,
                                     const Visitor& visit) const {
  constexpr size_t kPageMin = 16;
  constexpr size_t kPageMax = 1024;
  std::string from(begin);
  std::string to(end);
  size_t visited = 0;
  const auto visit_page = [&](auto row, auto page_end) {
    for (; row != page_end && visited < limit; ++row) {
      if (!row->second) continue;
      ++visited;
      if (!visit(row->first, row->second)) return false;
    }
    return visited < limit;
  };
  for (size_t rows = std::clamp(limit, kPageMin, kPageMax); from < to && limit > 0;
       rows = std::min(2 * rows, kPageMax)) {
    TM_ASSIGN_OR_RETURN(const Page page, ReadPage(from, to, rows, backward));
    const bool more =
        backward ? visit_page(page.rows.rbegin(), page.rows.rend()) : visit_page(page.rows.begin(), page.rows.end());
    if (!more) break;
    from = page.rest_begin;
    to = page.rest_end;
  }
  return absl::OkStatus();
}

absl::Status RehearsalTxn::Scan(std::string_view begin, std::string_view end, size_t limit, const Visitor& visit) {
  if (changes_.empty() && deleted_ranges_.empty()) return store_.Scan(begin, end, limit, kv::Tier::kDisk, visit);
  return ScanPages(begin, end, limit, /*backward=*/false, visit);
}

absl::Status RehearsalTxn::ScanBackward(std::string_view begin, std::string_view end, size_t limit,
                                        const Visitor& visit) {
  if (changes_.empty() && deleted_ranges_.empty()) {
    return store_.ScanBackward(begin, end, limit, kv::Tier::kDisk, visit);
  }
  return ScanPages(begin, end, limit, /*backward=*/true, visit);
}

void RehearsalTxn::Put(std::string_view row, std::string_view value) {
  changes_.insert_or_assign(std::string(row), kv::Value(value));
}

void RehearsalTxn::Delete(std::string_view row) { changes_.insert_or_assign(std::string(row), kv::Value()); }

void RehearsalTxn::DeleteRange(std::string_view begin, std::string_view end) {
  deleted_ranges_.emplace_back(begin, end);
  changes_.erase(changes_.lower_bound(begin), changes_.lower_bound(end));
}

kv::DbState RehearsalTxn::db(DbIndex db) const {
  const auto own = dbs_.find(db);
  return own != dbs_.end() ? own->second : store_.db(db);
}

void RehearsalTxn::AddKeys(DbIndex db, int64_t keys, int64_t expires) {
  kv::DbState state = this->db(db);
  state.keys += keys;
  state.expires += expires;
  dbs_[db] = state;
}

void RehearsalTxn::ReplaceContents(DbIndex db) { dbs_[db] = {.contents = NewCollectionId(), .keys = 0, .expires = 0}; }

void RehearsalTxn::SwapContents(DbIndex a, DbIndex b) {
  const kv::DbState state = db(a);
  dbs_[a] = db(b);
  dbs_[b] = state;
}

// An id that no record can have, so nothing of the store is under it.
kv::CollectionId RehearsalTxn::NewCollectionId() { return {std::numeric_limits<uint64_t>::max(), next_ordinal_++}; }

}  // namespace tidemark::engine
