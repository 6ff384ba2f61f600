#include "engine/digest.h"

#include <optional>

#include "base/bytes.h"
#include "types/rows.h"

namespace tidemark::engine {
namespace {

constexpr uint64_t kRowsBetweenQuestions = 1024;

void AppendHash(std::string* out, const Hash128& hash) {
  AppendLittle(out, hash.high);
  AppendLittle(out, hash.low);
}

void AppendCounted(std::string* out, std::string_view bytes) {
  AppendLittle(out, static_cast<uint64_t>(bytes.size()));
  out->append(bytes);
}

class Digester {
 public:
  Digester(const kv::PersistedView& view, const Cancelled& cancelled)
      : view_(view),
        cancelled_(cancelled),
        members_(view.Rows(types::RowKey(types::RowSpace::kMember).PrefixEnd().view())),
        ordered_(view.Rows(types::RowKey(types::RowSpace::kOrdered).PrefixEnd().view())) {
    digest_.lsn = view.lsn();
  }

  absl::StatusOr<StoreDigest> Run() {
    for (const auto& [db, state] : view_.dbs()) TM_RETURN_IF_ERROR(AddDatabase(db, state));
    return digest_;
  }

 private:
  absl::Status AddDatabase(DbIndex db, const kv::DbState& state) {
    const types::RowKey prefix = types::KeyRows(state.contents);
    kv::PersistedView::Cursor keys = view_.Rows(prefix.PrefixEnd().view());
    int64_t count = 0;
    for (keys.Seek(prefix.view()); keys.Valid(); keys.Next()) {
      TM_RETURN_IF_ERROR(CountRow());
      TM_RETURN_IF_ERROR(AddKey(db, keys.row(), keys.value()));
      ++count;
    }
    TM_RETURN_IF_ERROR(keys.status());
    if (count == state.keys) return absl::OkStatus();
    return Errorf(absl::StatusCode::kDataLoss, "database {} says that it has {} keys, but has {}", db.value, state.keys,
                  count);
  }

  absl::Status AddKey(DbIndex db, std::string_view row, std::string_view bytes) {
    const std::optional<types::KeyRowParts> parts = types::ParseKeyRow(row);
    if (!parts) return Errorf(absl::StatusCode::kDataLoss, "database {} has a malformed row", db.value);
    TM_ASSIGN_OR_RETURN(const types::KeyValue value, types::DecodeKeyValue(bytes));
    element_.assign(1, 'K');
    AppendLittle(&element_, db.value);
    AppendLittle(&element_, static_cast<uint8_t>(value.type));
    AppendLittle(&element_, value.expire_ms);
    AppendCounted(&element_, parts->key);
    ++digest_.keys;
    if (value.type == types::Type::kString) {
      AppendHash(&element_, WideHash(value.string));
      Add(WideHash(element_));
      return absl::OkStatus();
    }
    AppendLittle(&element_, value.count);
    const Hash128 key = WideHash(element_);
    Add(key);
    uint64_t members = value.count;
    uint64_t ordered = value.count;
    if (types::HasMemberRows(value.type)) {
      TM_ASSIGN_OR_RETURN(members, AddMembers(value.collection, key));
    }
    if (types::HasOrderedRows(value.type)) {
      if (!value.extra.empty() && value.type == types::Type::kStream) AddPart('X', key, value.extra, {});
      TM_ASSIGN_OR_RETURN(ordered, AddOrdered(value, key));
    }
    if (members == value.count && ordered == value.count) return absl::OkStatus();
    if (members == value.count) members = ordered;
    return Errorf(absl::StatusCode::kDataLoss, "key '{}' of database {} says that it has {} members, but has {}",
                  parts->key.substr(0, 128), db.value, value.count, members);
  }

  absl::StatusOr<uint64_t> AddMembers(const kv::CollectionId& collection, const Hash128& key) {
    const types::RowKey prefix = types::MemberRows(collection);
    uint64_t count = 0;
    for (members_.Seek(prefix.view()); members_.Valid() && members_.row().starts_with(prefix.view()); members_.Next()) {
      TM_RETURN_IF_ERROR(CountRow());
      const std::optional<types::MemberRowParts> parts = types::ParseMemberRow(members_.row());
      if (!parts) return Errorf(absl::StatusCode::kDataLoss, "a collection has a malformed row");
      AddPart('M', key, parts->member, members_.value());
      ++count;
    }
    TM_RETURN_IF_ERROR(members_.status());
    return count;
  }

  // The number of ordered rows of the kind that counts.
  absl::StatusOr<uint64_t> AddOrdered(const types::KeyValue& value, const Hash128& key) {
    using types::OrderedKind;
    const OrderedKind counted = value.type == types::Type::kList   ? OrderedKind::kElement
                                : value.type == types::Type::kZset ? OrderedKind::kScore
                                                                   : OrderedKind::kEntry;
    const types::RowKey prefix = types::OrderedRows(value.collection);
    uint64_t count = 0;
    std::string place;
    for (ordered_.Seek(prefix.view()); ordered_.Valid() && ordered_.row().starts_with(prefix.view()); ordered_.Next()) {
      TM_RETURN_IF_ERROR(CountRow());
      const std::optional<types::OrderedRowParts> parts = types::ParseOrderedRow(ordered_.row());
      if (!parts) return Errorf(absl::StatusCode::kDataLoss, "a collection has a malformed row");
      if (parts->kind == OrderedKind::kIndex) continue;
      place.assign(1, static_cast<char>(parts->kind));
      if (parts->kind == OrderedKind::kElement) {
        AppendLittle(&place, count);
      } else {
        place.append(parts->order);
      }
      AddPart('O', key, place, ordered_.value());
      count += parts->kind == counted ? 1 : 0;
    }
    TM_RETURN_IF_ERROR(ordered_.status());
    return count;
  }

  void AddPart(char letter, const Hash128& key, std::string_view name, std::string_view value) {
    element_.assign(1, letter);
    AppendHash(&element_, key);
    AppendCounted(&element_, name);
    AppendHash(&element_, WideHash(value));
    Add(WideHash(element_));
  }

  void Add(const Hash128& hash) {
    digest_.sum.low += hash.low;
    const uint64_t carry = digest_.sum.low < hash.low ? 1 : 0;
    digest_.sum.high += hash.high + carry;
  }

  absl::Status CountRow() {
    if (++rows_ % kRowsBetweenQuestions != 0 || !cancelled_()) return absl::OkStatus();
    return Errorf(absl::StatusCode::kCancelled, "the digest was cancelled");
  }

  const kv::PersistedView& view_;
  const Cancelled& cancelled_;
  kv::PersistedView::Cursor members_;
  kv::PersistedView::Cursor ordered_;
  StoreDigest digest_;
  std::string element_;
  uint64_t rows_ = 0;
};

}  // namespace

std::string StoreDigest::Hex() const {
  return fmt::format("{:08x}{:016x}{:016x}", keys & 0xffffffff, sum.high, sum.low);
}

absl::StatusOr<StoreDigest> DigestOf(const kv::PersistedView& view, const Cancelled& cancelled) {
  return Digester(view, cancelled).Run();
}

absl::StatusOr<StoreDigest> DigestNow(Engine& engine, const Cancelled& cancelled) {
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<kv::PersistedView> view,
                      engine.store().ViewPersisted([&](Lsn cut) { return engine.log().SyncTo(cut); }));
  return DigestOf(*view, cancelled);
}

}  // namespace tidemark::engine
