#include "types/keyspace.h"

#include "base/check.h"

namespace tidemark::types {
namespace {

bool IsCollection(Type type) { return type != Type::kNone && type != Type::kString; }

}  // namespace

absl::Status WrongType() {
  static const absl::Status status =
      absl::InvalidArgumentError("WRONGTYPE Operation against a key holding the wrong kind of value");
  return status;
}

absl::StatusOr<Key> Keyspace::Decode(std::string_view name, kv::Value row) const {
  Key key;
  key.name = name;
  if (!row) return key;
  TM_ASSIGN_OR_RETURN(const KeyValue value, DecodeKeyValue(row.view()));
  key.row = std::move(row);
  key.stored_type = value.type;
  key.stored_expire_ms = value.expire_ms;
  key.stored_count = value.count;
  key.collection = value.collection;
  if (value.expire_ms != 0 && value.expire_ms <= expiry_now_ms()) return key;
  key.type = value.type;
  key.expire_ms = value.expire_ms;
  key.string = value.string;
  key.count = value.count;
  key.extra = value.extra;
  return key;
}

absl::StatusOr<Key> Keyspace::Find(std::string_view name) {
  if (name.size() > kMaxKeyBytes) {
    return InvalidArgument("ERR key of {} bytes is longer than the limit of {} bytes", name.size(), kMaxKeyBytes);
  }
  TM_ASSIGN_OR_RETURN(kv::Value row, txn_->Get(KeyRow(txn_->db(db_).contents, name).view()));
  return Decode(name, std::move(row));
}

absl::StatusOr<Key> Keyspace::Find(std::string_view name, Type wanted) {
  TM_ASSIGN_OR_RETURN(Key key, Find(name));
  if (key && key.type != wanted) return WrongType();
  return key;
}

absl::StatusOr<Key> Keyspace::Lookup(std::string_view name) {
  absl::StatusOr<Key> key = Find(name);
  if (!key.ok()) return key;
  ++(*key ? lookups_.hits : lookups_.misses);
  if (!*key) Notify(EventClass::kKeyMiss, "keymiss", name);
  return key;
}

absl::StatusOr<Key> Keyspace::Lookup(std::string_view name, Type wanted) {
  TM_ASSIGN_OR_RETURN(Key key, Lookup(name));
  if (key && key.type != wanted) return WrongType();
  return key;
}

void Keyspace::Discard(const Key& key, bool keep_collection) {
  if (key.stored_type == Type::kNone) return;
  if (key.stored_expire_ms != 0) {
    txn_->Delete(ExpiryRow(key.stored_expire_ms, txn_->db(db_).contents, key.name).view());
  }
  if (IsCollection(key.stored_type) && !keep_collection) {
    txn_->Put(DeadRow(key.collection).view(), EncodeDeadValue({key.stored_type, key.stored_count}));
  }
  txn_->AddKeys(db_, -1, key.stored_expire_ms != 0 ? -1 : 0);
}

void Keyspace::Replace(Key* key, const KeyValue& value) {
  if (key->expired()) Notify(EventClass::kExpired, "expired", key->name);
  if (!*key) Notify(EventClass::kNew, "new", key->name);
  const bool same_collection = IsCollection(key->stored_type) && key->collection == value.collection;
  const kv::CollectionId contents = txn_->db(db_).contents;
  const bool same_expiry = key->stored_type != Type::kNone && key->stored_expire_ms == value.expire_ms;
  if (!same_expiry || (IsCollection(key->stored_type) && !same_collection)) {
    Discard(*key, same_collection);
    if (value.expire_ms != 0) txn_->Put(ExpiryRow(value.expire_ms, contents, key->name).view(), {});
    txn_->AddKeys(db_, 1, value.expire_ms != 0 ? 1 : 0);
  }
  // As if found again: the encoded bytes become the row that the views point into. `value` may point into the old row.
  kv::Value row = EncodeKeyValue(value);
  txn_->PutShared(KeyRow(contents, key->name).view(), row);
  txn_->Touched(db_, key->name);
  key->row = std::move(row);
  const absl::StatusOr<KeyValue> decoded = DecodeKeyValue(key->row.view());
  TM_CHECK(decoded.ok(), "{}", Message(decoded.status()));
  key->type = key->stored_type = decoded->type;
  key->expire_ms = key->stored_expire_ms = decoded->expire_ms;
  key->string = decoded->string;
  key->collection = decoded->collection;
  key->count = key->stored_count = decoded->count;
  key->extra = decoded->extra;
}

void Keyspace::PutString(Key* key, std::string_view value, uint64_t expire_ms) {
  Replace(
      key,
      KeyValue{
          .type = Type::kString, .expire_ms = expire_ms, .string = value, .collection = {}, .count = 0, .extra = {}});
}

void Keyspace::PutCollection(Key* key, Type type, const kv::CollectionId& collection, uint64_t count,
                             uint64_t expire_ms, std::string_view extra) {
  if (count == 0 && type != Type::kStream) {
    Remove(key);
    return;
  }
  Replace(key, KeyValue{.type = type,
                        .expire_ms = expire_ms,
                        .string = {},
                        .collection = collection,
                        .count = count,
                        .extra = extra});
}

void Keyspace::SetExpire(Key* key, uint64_t expire_ms) {
  TM_CHECK(*key);
  const kv::Value keep_alive = key->row;
  Replace(key, KeyValue{.type = key->type,
                        .expire_ms = expire_ms,
                        .string = key->string,
                        .collection = key->collection,
                        .count = key->count,
                        .extra = key->extra});
}

bool Keyspace::Remove(Key* key) {
  if (key->stored_type == Type::kNone) return false;
  const bool alive = static_cast<bool>(*key);
  if (!alive) Notify(EventClass::kExpired, "expired", key->name);
  Discard(*key, false);
  txn_->Delete(KeyRow(txn_->db(db_).contents, key->name).view());
  txn_->Touched(db_, key->name);
  key->Clear();
  return alive;
}

void Keyspace::Move(Key* from, Keyspace& target, Key* to) {
  TM_CHECK(*from && (from->name != to->name || db_ != target.db_));
  const Key source = *from;
  Discard(*from, true);
  txn_->Delete(KeyRow(txn_->db(db_).contents, from->name).view());
  txn_->Touched(db_, from->name);
  // What stood there goes first, as in Redis, so that the name is new in any case.
  if (*to) target.Notify(EventClass::kNew, "new", to->name);
  target.Replace(to, KeyValue{.type = source.type,
                              .expire_ms = source.expire_ms,
                              .string = source.string,
                              .collection = source.collection,
                              .count = source.count,
                              .extra = source.extra});
  from->Clear();
}

absl::StatusOr<kv::Value> Keyspace::GetMemberRow(const kv::CollectionId& collection, std::string_view member) {
  TM_ASSIGN_OR_RETURN(kv::Value row, txn_->Get(MemberRow(collection, member).view()));
  if (row) TM_RETURN_IF_ERROR(DecodeMemberValue(row.view()).status());
  return row;
}

std::string_view Keyspace::MemberBytes(const kv::Value& row) { return row ? row.view().substr(1) : std::string_view(); }

void Keyspace::PutMember(const kv::CollectionId& collection, std::string_view member, std::string_view value) {
  txn_->PutShared(MemberRow(collection, member).view(), EncodeMemberValue(value));
}

void Keyspace::DeleteMember(const kv::CollectionId& collection, std::string_view member) {
  txn_->Delete(MemberRow(collection, member).view());
}

absl::Status Keyspace::VisitMembers(const kv::CollectionId& collection, uint32_t from_order, size_t limit,
                                    const MemberVisitor& visit) {
  absl::Status damage;
  const absl::Status scanned = txn_->Scan(
      MemberRowAt(collection, from_order).view(), MemberRows(collection).PrefixEnd().view(), limit,
      [&](std::string_view row, const kv::Value& value) {
        const auto parts = ParseMemberRow(row);
        const absl::StatusOr<std::string_view> bytes = DecodeMemberValue(value.view());
        if (!parts || !bytes.ok()) {
          damage = parts ? bytes.status() : Errorf(absl::StatusCode::kDataLoss, "member row key is malformed");
          return false;
        }
        return visit(parts->member, *bytes, parts->order);
      });
  return damage.ok() ? scanned : damage;
}

absl::StatusOr<kv::Value> Keyspace::GetOrderedRow(const kv::CollectionId& collection, OrderedKind kind,
                                                  std::string_view order) {
  TM_ASSIGN_OR_RETURN(kv::Value row, txn_->Get(OrderedRow(collection, kind, order).view()));
  if (row) TM_RETURN_IF_ERROR(DecodeMemberValue(row.view()).status());
  return row;
}

void Keyspace::PutOrdered(const kv::CollectionId& collection, OrderedKind kind, std::string_view order,
                          std::string_view value) {
  txn_->PutShared(OrderedRow(collection, kind, order).view(), EncodeMemberValue(value));
}

void Keyspace::DeleteOrdered(const kv::CollectionId& collection, OrderedKind kind, std::string_view order) {
  txn_->Delete(OrderedRow(collection, kind, order).view());
}

absl::Status Keyspace::ScanOrdered(const kv::CollectionId& collection, OrderedKind kind, std::string_view begin,
                                   std::optional<std::string_view> end, size_t limit, bool backward,
                                   const OrderedVisitor& visit) {
  const size_t prefix = 1 + kv::CollectionId::kSize + 1;
  const RowKey first = OrderedRow(collection, kind, begin);
  const RowKey last = end ? OrderedRow(collection, kind, *end) : OrderedRows(collection, kind).PrefixEnd();
  absl::Status damage;
  const kv::Txn::Visitor row_visitor = [&](std::string_view row, const kv::Value& value) {
    const absl::StatusOr<std::string_view> bytes = DecodeMemberValue(value.view());
    if (!bytes.ok()) {
      damage = bytes.status();
      return false;
    }
    return visit(row.substr(prefix), *bytes);
  };
  const absl::Status scanned = backward ? txn_->ScanBackward(first.view(), last.view(), limit, row_visitor)
                                        : txn_->Scan(first.view(), last.view(), limit, row_visitor);
  return damage.ok() ? scanned : damage;
}

absl::Status Keyspace::CopyRows(const kv::CollectionId& source, const kv::CollectionId& target) {
  constexpr size_t kPageRows = 1024;
  const size_t prefix = 1 + kv::CollectionId::kSize;
  for (const auto& [from, to] :
       {std::pair(MemberRows(source), MemberRows(target)), std::pair(OrderedRows(source), OrderedRows(target))}) {
    std::string begin(from.view());
    const RowKey end = from.PrefixEnd();
    std::vector<std::pair<std::string, kv::Value>> page;
    do {
      page.clear();
      TM_RETURN_IF_ERROR(txn_->Scan(begin, end.view(), kPageRows, [&](std::string_view row, const kv::Value& value) {
        page.emplace_back(row, value);
        return true;
      }));
      for (const auto& [row, value] : page) {
        RowKey copy = to;
        txn_->PutShared(copy.Bytes(std::string_view(row).substr(prefix)).view(), value);
      }
      if (!page.empty()) begin = page.back().first + '\0';
    } while (page.size() == kPageRows);
  }
  return absl::OkStatus();
}

absl::Status Keyspace::VisitKeys(uint64_t from_order, size_t limit, const KeyVisitor& visit) {
  const kv::CollectionId contents = txn_->db(db_).contents;
  absl::Status damage;
  const absl::Status scanned = txn_->Scan(KeyRowAt(contents, from_order).view(), KeyRows(contents).PrefixEnd().view(),
                                          limit, [&](std::string_view row, const kv::Value& value) {
                                            const auto parts = ParseKeyRow(row);
                                            if (!parts) {
                                              damage =
                                                  Errorf(absl::StatusCode::kDataLoss, "key row's key is malformed");
                                              return false;
                                            }
                                            const absl::StatusOr<Key> key = Decode(parts->key, value);
                                            if (!key.ok()) {
                                              damage = key.status();
                                              return false;
                                            }
                                            return visit(*key, parts->order);
                                          });
  return damage.ok() ? scanned : damage;
}

}  // namespace tidemark::types
