#include "kv/persisted_view.h"

#include "kv/meta_rows.h"
#include "kv/rocks.h"

namespace tidemark::kv {

PersistedView::PersistedView(std::unique_ptr<RocksMoment> moment) : moment_(std::move(moment)) {}
PersistedView::~PersistedView() = default;

// A cut is there as a whole or not at all, so position, databases and rows are of the same one.
absl::StatusOr<std::unique_ptr<PersistedView>> PersistedView::Open(Rocks& rocks) {
  auto view = std::unique_ptr<PersistedView>(new PersistedView(rocks.TakeMoment()));
  Cursor cursor = view->Rows(kFormatRowKey);
  for (cursor.Seek(kDbRowPrefix); cursor.Valid() && cursor.row() < kDbRowEnd; cursor.Next()) {
    TM_ASSIGN_OR_RETURN(const DbIndex db, DecodeDbRowKey(cursor.row()));
    TM_ASSIGN_OR_RETURN(const DbState state, DecodeDbState(cursor.value()));
    view->dbs_.emplace_back(db, state);
  }
  cursor.Seek(kLsnRowKey);
  TM_RETURN_IF_ERROR(cursor.status());
  if (cursor.Valid() && cursor.row() == kLsnRowKey) {
    TM_ASSIGN_OR_RETURN(view->lsn_, DecodeLsn(cursor.value()));
  }
  return view;
}

PersistedView::Cursor PersistedView::Rows(std::string_view end) const { return Cursor(moment_->NewIterator(end)); }

PersistedView::Cursor::Cursor(std::unique_ptr<RocksIterator> rows) : rows_(std::move(rows)) {}
PersistedView::Cursor::Cursor(Cursor&&) noexcept = default;
PersistedView::Cursor::~Cursor() = default;
void PersistedView::Cursor::Seek(std::string_view row) { rows_->Seek(row); }
void PersistedView::Cursor::Next() { rows_->Next(); }
bool PersistedView::Cursor::Valid() const { return rows_->Valid(); }
std::string_view PersistedView::Cursor::row() const { return rows_->row(); }
std::string_view PersistedView::Cursor::value() const { return rows_->value(); }
absl::Status PersistedView::Cursor::status() const { return rows_->status(); }

}  // namespace tidemark::kv
