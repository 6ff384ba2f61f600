// How keys and collections become rows. docs/formats/rows.md has the same with a worked example; rows_test.cc decodes
// it.
//
// A row's first byte says what it is; nothing else shares its space:
//   0x00  the store's own rows (kv/)
//   0x01  key row      contents id (10) · hash slot (2) · hash (4) · user key      → type, expiry, string or collection
//   0x02  member row   collection id (10) · hash (4) · member                      → version, value
//   0x03  expiry row   expire time in ms (8) · contents id (10) · user key         → empty
//   0x04  dead row     collection id (10)                                          → type, count: to be swept
//   0x05  system row   name                                                        → what the server keeps of itself
//   0x06  ordered row  collection id (10) · kind (1) · what gives the order        → version, value
// Numbers in row keys are big-endian, so that byte order is number order.
//
// Keys of one database are ordered by hash slot and hash: SCAN's cursor is that number, so it needs no memory on the
// server, and a slot's keys stand together for a later cluster. Members are ordered by hash for the same reason; what
// has an order that users see (positions of a list, scores, ids of a stream) stands in ordered rows.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kv/txn.h"
#include "kv/value.h"

namespace tidemark::types {

enum class RowSpace : uint8_t {
  kStore = 0x00,
  kKey = 0x01,
  kMember = 0x02,
  kExpiry = 0x03,
  kDead = 0x04,
  kSystem = 0x05,
  kOrdered = 0x06,
};

enum class Type : uint8_t {
  kNone = 0,
  kString = 1,
  kHash = 2,
  kList = 3,
  kSet = 4,
  kZset = 5,
  kStream = 6,
  // In dead rows only: the former contents of a database.
  kContents = 15,
};

// First byte of an ordered row after its collection: what the rest is. Rows of one kind stand together.
enum class OrderedKind : uint8_t {
  kElement = 'e',   // list: position (8)                            → element
  kGroup = 'g',     // stream: name of a consumer group              → its state
  kConsumer = 'h',  // stream: group and consumer                    → its state
  kIndex = 'i',     // sorted set: counts of members by block; follows from the other rows, so digests leave it out
  kPending = 'p',   // stream: group and entry id                    → consumer, delivery time and count
  kScore = 's',     // sorted set: score (8) · member                → nothing
  kEntry = 'x',     // stream: entry id (16)                         → fields and values
};

// As the TYPE command names it.
std::string_view TypeName(Type type);

// In which spaces the rows of a collection of that type stand.
constexpr bool HasMemberRows(Type type) { return type == Type::kHash || type == Type::kSet || type == Type::kZset; }
constexpr bool HasOrderedRows(Type type) { return type == Type::kList || type == Type::kZset || type == Type::kStream; }

// A row key under construction; on the stack for keys of ordinary length.
class RowKey {
 public:
  explicit RowKey(RowSpace space) { bytes_.push_back(static_cast<char>(space)); }
  RowKey& Id(const kv::CollectionId& id);
  RowKey& Big16(uint16_t value);
  RowKey& Big32(uint32_t value);
  RowKey& Big64(uint64_t value);
  RowKey& Bytes(std::string_view bytes);
  // The first key that is greater than every key with this prefix.
  RowKey PrefixEnd() const;
  std::string_view view() const { return {bytes_.data(), bytes_.size()}; }

 private:
  absl::InlinedVector<char, 112> bytes_;
};

// Slot and hash of a user key as one number, 46 bits: SCAN's order and its cursor.
inline constexpr uint64_t kKeyOrderBits = 46;
uint64_t KeyOrder(std::string_view key);
// 32-bit hash by which the members of a collection are ordered.
uint32_t MemberOrder(std::string_view member);

RowKey KeyRow(const kv::CollectionId& contents, std::string_view key);
// The place in key order where keys of that KeyOrder begin.
RowKey KeyRowAt(const kv::CollectionId& contents, uint64_t order);
RowKey MemberRow(const kv::CollectionId& collection, std::string_view member);
RowKey MemberRowAt(const kv::CollectionId& collection, uint32_t order);
RowKey ExpiryRow(uint64_t expire_ms, const kv::CollectionId& contents, std::string_view key);
RowKey DeadRow(const kv::CollectionId& collection);
// Rows that belong to no database: "cluster" (engine/identity.h), "expiry" (engine/expiry_clock.h), "task/NAME"
// (backup/), "function/NAME" and "functions" (commands/function_set.h). FLUSHALL leaves them.
RowKey SystemRow(std::string_view name);
// The name back out; nullopt when it is not such a row.
std::optional<std::string_view> ParseSystemRow(std::string_view row);
// An ordered row, or with part of what gives the order, the place where such rows begin.
RowKey OrderedRow(const kv::CollectionId& collection, OrderedKind kind, std::string_view order);
// Prefix of all key rows of the contents, of all members of the collection, of all its ordered rows (of one kind).
RowKey KeyRows(const kv::CollectionId& contents);
RowKey MemberRows(const kv::CollectionId& collection);
RowKey OrderedRows(const kv::CollectionId& collection);
RowKey OrderedRows(const kv::CollectionId& collection, OrderedKind kind);

// The parts back out of a row key. nullopt when it is not such a row or too short.
struct KeyRowParts {
  kv::CollectionId contents;
  uint64_t order;
  std::string_view key;
};
std::optional<KeyRowParts> ParseKeyRow(std::string_view row);
struct MemberRowParts {
  kv::CollectionId collection;
  uint32_t order;
  std::string_view member;
};
std::optional<MemberRowParts> ParseMemberRow(std::string_view row);
struct ExpiryRowParts {
  uint64_t expire_ms;
  kv::CollectionId contents;
  std::string_view key;
};
std::optional<ExpiryRowParts> ParseExpiryRow(std::string_view row);
std::optional<kv::CollectionId> ParseDeadRow(std::string_view row);
struct OrderedRowParts {
  kv::CollectionId collection;
  OrderedKind kind;
  std::string_view order;
};
std::optional<OrderedRowParts> ParseOrderedRow(std::string_view row);

// Value of a key row:
//   1 byte   format version (high four bits, now 1) and type (low four bits)
//   1 byte   flags: bit 0 an expiry follows
//   8 bytes  expire time, ms since 1970, little-endian (if flagged)
//   string: its bytes
//   collection: its id (10), its count of members (varint), then what its type keeps of the whole (list: position of
//   the first element; stream: last id and counters)
struct KeyValue {
  Type type = Type::kNone;
  uint64_t expire_ms = 0;       // 0: never
  std::string_view string;      // strings; points into what was decoded
  kv::CollectionId collection;  // collections
  uint64_t count = 0;
  std::string_view extra;  // collections; points into what was decoded
};
inline constexpr uint8_t kRowFormatVersion = 1;
kv::Value EncodeKeyValue(const KeyValue& value);
// DATA_LOSS when malformed, FAILED_PRECONDITION for a version from the future.
absl::StatusOr<KeyValue> DecodeKeyValue(std::string_view bytes);

// Value of a member row or an ordered row: version byte, then a field's value, a member's score, an element …
kv::Value EncodeMemberValue(std::string_view value);
absl::StatusOr<std::string_view> DecodeMemberValue(std::string_view bytes);

struct DeadValue {
  Type type = Type::kNone;
  uint64_t count = 0;
};
std::string EncodeDeadValue(const DeadValue& value);
absl::StatusOr<DeadValue> DecodeDeadValue(std::string_view bytes);

}  // namespace tidemark::types
