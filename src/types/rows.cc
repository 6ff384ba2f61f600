#include "types/rows.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/hash.h"

namespace tidemark::types {
namespace {

constexpr uint8_t kHasExpiry = 0x01;

// The rest of `row` after its space byte and `fixed` bytes of numbers; nullopt when it is another kind or too short.
std::optional<std::string_view> AfterFixed(std::string_view row, RowSpace space, size_t fixed) {
  if (row.size() < 1 + fixed || static_cast<RowSpace>(row[0]) != space) return std::nullopt;
  return row.substr(1 + fixed);
}

absl::Status CheckVersion(uint8_t version) {
  if (version == kRowFormatVersion) return absl::OkStatus();
  return Errorf(absl::StatusCode::kFailedPrecondition,
                "row format version {} is unknown here (this server writes {}): use a newer server", version,
                kRowFormatVersion);
}

}  // namespace

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kString:
      return "string";
    case Type::kHash:
      return "hash";
    case Type::kList:
      return "list";
    case Type::kSet:
      return "set";
    case Type::kZset:
      return "zset";
    case Type::kStream:
      return "stream";
    case Type::kNone:
    case Type::kContents:
      break;
  }
  return "none";
}

RowKey& RowKey::Id(const kv::CollectionId& id) { return Big64(id.lsn).Big16(id.ordinal); }

RowKey& RowKey::Big16(uint16_t value) {
  char bytes[sizeof(value)];
  StoreBig(bytes, value);
  return Bytes({bytes, sizeof(bytes)});
}

RowKey& RowKey::Big32(uint32_t value) {
  char bytes[sizeof(value)];
  StoreBig(bytes, value);
  return Bytes({bytes, sizeof(bytes)});
}

RowKey& RowKey::Big64(uint64_t value) {
  char bytes[sizeof(value)];
  StoreBig(bytes, value);
  return Bytes({bytes, sizeof(bytes)});
}

RowKey& RowKey::Bytes(std::string_view bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  return *this;
}

RowKey RowKey::PrefixEnd() const {
  RowKey end = *this;
  // The space byte is never 0xff, so this ends before the key is empty.
  while (static_cast<uint8_t>(end.bytes_.back()) == 0xff) end.bytes_.pop_back();
  ++end.bytes_.back();
  return end;
}

uint64_t KeyOrder(std::string_view key) { return (uint64_t{HashSlot(key)} << 32) | (Hash64(key) & 0xffffffff); }

uint32_t MemberOrder(std::string_view member) { return static_cast<uint32_t>(Hash64(member)); }

RowKey KeyRowAt(const kv::CollectionId& contents, uint64_t order) {
  RowKey row(RowSpace::kKey);
  row.Id(contents).Big16(static_cast<uint16_t>(order >> 32)).Big32(static_cast<uint32_t>(order));
  return row;
}

RowKey KeyRow(const kv::CollectionId& contents, std::string_view key) {
  RowKey row = KeyRowAt(contents, KeyOrder(key));
  row.Bytes(key);
  return row;
}

RowKey MemberRowAt(const kv::CollectionId& collection, uint32_t order) {
  RowKey row(RowSpace::kMember);
  row.Id(collection).Big32(order);
  return row;
}

RowKey MemberRow(const kv::CollectionId& collection, std::string_view member) {
  RowKey row = MemberRowAt(collection, MemberOrder(member));
  row.Bytes(member);
  return row;
}

RowKey ExpiryRow(uint64_t expire_ms, const kv::CollectionId& contents, std::string_view key) {
  RowKey row(RowSpace::kExpiry);
  row.Big64(expire_ms).Id(contents).Bytes(key);
  return row;
}

RowKey DeadRow(const kv::CollectionId& collection) {
  RowKey row(RowSpace::kDead);
  row.Id(collection);
  return row;
}

RowKey SystemRow(std::string_view name) {
  RowKey row(RowSpace::kSystem);
  row.Bytes(name);
  return row;
}

RowKey KeyRows(const kv::CollectionId& contents) {
  RowKey row(RowSpace::kKey);
  row.Id(contents);
  return row;
}

RowKey MemberRows(const kv::CollectionId& collection) {
  RowKey row(RowSpace::kMember);
  row.Id(collection);
  return row;
}

RowKey OrderedRow(const kv::CollectionId& collection, OrderedKind kind, std::string_view order) {
  RowKey row = OrderedRows(collection, kind);
  row.Bytes(order);
  return row;
}

RowKey OrderedRows(const kv::CollectionId& collection) {
  RowKey row(RowSpace::kOrdered);
  row.Id(collection);
  return row;
}

RowKey OrderedRows(const kv::CollectionId& collection, OrderedKind kind) {
  RowKey row = OrderedRows(collection);
  const char byte = static_cast<char>(kind);
  row.Bytes({&byte, 1});
  return row;
}

std::optional<KeyRowParts> ParseKeyRow(std::string_view row) {
  const auto key = AfterFixed(row, RowSpace::kKey, kv::CollectionId::kSize + 6);
  if (!key) return std::nullopt;
  const char* order = row.data() + 1 + kv::CollectionId::kSize;
  return KeyRowParts{kv::CollectionId::Load(row.data() + 1),
                     (uint64_t{LoadBig<uint16_t>(order)} << 32) | LoadBig<uint32_t>(order + 2), *key};
}

std::optional<MemberRowParts> ParseMemberRow(std::string_view row) {
  const auto member = AfterFixed(row, RowSpace::kMember, kv::CollectionId::kSize + 4);
  if (!member) return std::nullopt;
  return MemberRowParts{kv::CollectionId::Load(row.data() + 1),
                        LoadBig<uint32_t>(row.data() + 1 + kv::CollectionId::kSize), *member};
}

std::optional<ExpiryRowParts> ParseExpiryRow(std::string_view row) {
  const auto key = AfterFixed(row, RowSpace::kExpiry, 8 + kv::CollectionId::kSize);
  if (!key) return std::nullopt;
  return ExpiryRowParts{LoadBig<uint64_t>(row.data() + 1), kv::CollectionId::Load(row.data() + 9), *key};
}

std::optional<kv::CollectionId> ParseDeadRow(std::string_view row) {
  const auto rest = AfterFixed(row, RowSpace::kDead, kv::CollectionId::kSize);
  if (!rest || !rest->empty()) return std::nullopt;
  return kv::CollectionId::Load(row.data() + 1);
}

std::optional<OrderedRowParts> ParseOrderedRow(std::string_view row) {
  const auto order = AfterFixed(row, RowSpace::kOrdered, kv::CollectionId::kSize + 1);
  if (!order) return std::nullopt;
  return OrderedRowParts{kv::CollectionId::Load(row.data() + 1),
                         static_cast<OrderedKind>(row[1 + kv::CollectionId::kSize]), *order};
}

std::optional<std::string_view> ParseSystemRow(std::string_view row) { return AfterFixed(row, RowSpace::kSystem, 0); }

kv::Value EncodeKeyValue(const KeyValue& value) {
  // Everything but a string's bytes is short; the string is copied once, to where it stays.
  std::string head;
  head.push_back(static_cast<char>(kRowFormatVersion << 4 | static_cast<uint8_t>(value.type)));
  head.push_back(static_cast<char>(value.expire_ms != 0 ? kHasExpiry : 0));
  if (value.expire_ms != 0) AppendLittle<uint64_t>(&head, value.expire_ms);
  if (value.type != Type::kString) {
    value.collection.AppendTo(&head);
    AppendVarint(&head, value.count);
    head.append(value.extra);
  }
  kv::Value encoded = kv::Value::Uninitialized(head.size() + value.string.size());
  char* const rest = std::copy(head.begin(), head.end(), encoded.mutable_data());
  std::copy(value.string.begin(), value.string.end(), rest);
  return encoded;
}

absl::StatusOr<KeyValue> DecodeKeyValue(std::string_view bytes) {
  const auto malformed = [&] {
    return Errorf(absl::StatusCode::kDataLoss, "value of a key row is malformed ({} bytes)", bytes.size());
  };
  if (bytes.size() < 2) return malformed();
  TM_RETURN_IF_ERROR(CheckVersion(static_cast<uint8_t>(bytes[0]) >> 4));
  KeyValue value;
  value.type = static_cast<Type>(static_cast<uint8_t>(bytes[0]) & 0x0f);
  const auto flags = static_cast<uint8_t>(bytes[1]);
  std::string_view rest = bytes.substr(2);
  if ((flags & ~kHasExpiry) != 0 || value.type == Type::kNone || value.type > Type::kStream) return malformed();
  if ((flags & kHasExpiry) != 0) {
    if (rest.size() < 8) return malformed();
    value.expire_ms = LoadLittle<uint64_t>(rest.data());
    rest.remove_prefix(8);
  }
  if (value.type == Type::kString) {
    value.string = rest;
    return value;
  }
  if (rest.size() < kv::CollectionId::kSize) return malformed();
  value.collection = kv::CollectionId::Load(rest.data());
  rest.remove_prefix(kv::CollectionId::kSize);
  if (!ConsumeVarint(&rest, &value.count)) return malformed();
  const bool has_extra = value.type != Type::kHash && value.type != Type::kSet;
  if (!has_extra && !rest.empty()) return malformed();
  value.extra = rest;
  return value;
}

kv::Value EncodeMemberValue(std::string_view value) {
  kv::Value encoded = kv::Value::Uninitialized(1 + value.size());
  *encoded.mutable_data() = static_cast<char>(kRowFormatVersion);
  std::copy(value.begin(), value.end(), encoded.mutable_data() + 1);
  return encoded;
}

absl::StatusOr<std::string_view> DecodeMemberValue(std::string_view bytes) {
  if (bytes.empty()) return Errorf(absl::StatusCode::kDataLoss, "value of a member row is empty");
  TM_RETURN_IF_ERROR(CheckVersion(static_cast<uint8_t>(bytes[0])));
  return bytes.substr(1);
}

std::string EncodeDeadValue(const DeadValue& value) {
  std::string out(1, static_cast<char>(kRowFormatVersion << 4 | static_cast<uint8_t>(value.type)));
  AppendVarint(&out, value.count);
  return out;
}

absl::StatusOr<DeadValue> DecodeDeadValue(std::string_view bytes) {
  if (bytes.empty()) return Errorf(absl::StatusCode::kDataLoss, "value of a dead row is empty");
  TM_RETURN_IF_ERROR(CheckVersion(static_cast<uint8_t>(bytes[0]) >> 4));
  DeadValue value{static_cast<Type>(static_cast<uint8_t>(bytes[0]) & 0x0f), 0};
  bytes.remove_prefix(1);
  if (!ConsumeVarint(&bytes, &value.count) || !bytes.empty()) {
    return Errorf(absl::StatusCode::kDataLoss, "value of a dead row is malformed");
  }
  return value;
}

}  // namespace tidemark::types
