// The keys of one database, as one transaction sees them: finding, replacing, removing, expiring. Every data type keeps
// its key rows through this, so that counts, the expiry index, dead collections and WATCH cannot be forgotten by one of
// them.
//
// Not thread-safe: lives as long as the transaction it wraps, on its thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kv/txn.h"
#include "types/rows.h"

namespace tidemark::types {

// Longest user key and longest member of a collection, in bytes; RocksDB keeps keys in memory whole.
inline constexpr size_t kMaxKeyBytes = 8u << 20;

// "WRONGTYPE …" as Redis words it. Statuses that commands return carry the whole error line for the client.
absl::Status WrongType();

// A key as found. What is `expired` reads as absent, but stands in its row until it is replaced or swept.
struct Key {
  std::string_view name;    // as given to Find, or in the row visited: not owned
  Type type = Type::kNone;  // kNone: absent or expired
  uint64_t expire_ms = 0;   // 0: never
  std::string_view string;  // value of a string; lives as long as `row`
  kv::CollectionId collection;
  uint64_t count = 0;
  std::string_view extra;  // what the type keeps of a collection as a whole; lives as long as `row`

  // What stands in the row, expired or not; used when it is replaced.
  kv::Value row;
  Type stored_type = Type::kNone;
  uint64_t stored_expire_ms = 0;
  uint64_t stored_count = 0;

  explicit operator bool() const { return type != Type::kNone; }
  // Absent from now on; the name stays.
  void Clear() {
    type = stored_type = Type::kNone;
    expire_ms = stored_expire_ms = count = stored_count = 0;
    string = extra = {};
    collection = {};
    row = {};
  }
  bool expired() const { return type == Type::kNone && stored_type != Type::kNone; }
};

// Classes of keyspace events, by the letter that notify-keyspace-events has for each.
enum class EventClass : char {
  kGeneric = 'g',
  kString = '$',
  kList = 'l',
  kSet = 's',
  kHash = 'h',
  kZset = 'z',
  kStream = 't',
  kExpired = 'x',
  kKeyMiss = 'm',
  kNew = 'n',
};

struct KeyEvent {
  EventClass event_class;
  std::string_view event;  // "lpush"; static storage
  std::string name;
  DbIndex db;
};

class Keyspace {
 public:
  Keyspace(kv::Txn& txn, DbIndex db) : txn_(&txn), db_(db) {}

  kv::Txn& txn() { return *txn_; }
  DbIndex db() const { return db_; }
  // The time now, ms since 1970.
  uint64_t now_ms() const { return txn_->now().millis(); }
  // Time by which it is decided what has expired; earlier than now while expiry stands still.
  uint64_t expiry_now_ms() const { return txn_->expiry_now().millis(); }

  // The errors of these are the transaction's (a cold row among them), and DATA_LOSS for a damaged row. `name` must
  // outlive the Key, which points to it.
  absl::StatusOr<Key> Find(std::string_view name);
  // As Find, but WrongType() when the key holds another type.
  absl::StatusOr<Key> Find(std::string_view name, Type wanted);

  // As Find, for a command that reads the key for its client: counted, as Redis counts in lookupKeyRead.
  absl::StatusOr<Key> Lookup(std::string_view name);
  absl::StatusOr<Key> Lookup(std::string_view name, Type wanted);
  struct Lookups {
    uint64_t hits = 0;
    uint64_t misses = 0;
  };
  // Of this object so far. Who runs a transaction again counts the last run only.
  const Lookups& lookups() const { return lookups_; }

  // Changes. Each replaces whatever `key` (as found in this transaction, not changed since) held, keeps the counts,
  // the expiry index and the sweeper's work list right, and tells watchers. Afterwards `*key` is as if found again.
  void PutString(Key* key, std::string_view value, uint64_t expire_ms);
  // A key that holds a collection of `count` members; `collection` new or its own. count 0 removes the key, except that
  // of a stream.
  void PutCollection(Key* key, Type type, const kv::CollectionId& collection, uint64_t count, uint64_t expire_ms,
                     std::string_view extra = {});
  void SetExpire(Key* key, uint64_t expire_ms);
  // True when there was something alive to remove.
  bool Remove(Key* key);
  // Moves the value, expiry included, to another name: a collection changes hands in O(1).
  void Rename(Key* from, Key* to) { Move(from, *this, to); }
  // As Rename, into another database within the same transaction, where `to` was found.
  void Move(Key* from, Keyspace& target, Key* to);

  // Member rows of collections (hash fields, set members): values carry a version byte that these hide.
  absl::StatusOr<kv::Value> GetMemberRow(const kv::CollectionId& collection, std::string_view member);
  void PutMember(const kv::CollectionId& collection, std::string_view member, std::string_view value);
  void DeleteMember(const kv::CollectionId& collection, std::string_view member);
  // Visits members in order of MemberOrder from `from_order` on; the visitor returns false to stop.
  using MemberVisitor = std::function<bool(std::string_view member, std::string_view value, uint32_t order)>;
  absl::Status VisitMembers(const kv::CollectionId& collection, uint32_t from_order, size_t limit,
                            const MemberVisitor& visit);
  // Ordered rows of collections (elements, scores, entries): `order` as the kind has it (rows.h).
  absl::StatusOr<kv::Value> GetOrderedRow(const kv::CollectionId& collection, OrderedKind kind, std::string_view order);
  void PutOrdered(const kv::CollectionId& collection, OrderedKind kind, std::string_view order, std::string_view value);
  void DeleteOrdered(const kv::CollectionId& collection, OrderedKind kind, std::string_view order);
  // Visits rows of `kind` with begin ≤ order < end, at most `limit`, upwards or downwards; `end` nullopt: to the last.
  using OrderedVisitor = std::function<bool(std::string_view order, std::string_view value)>;
  absl::Status VisitOrdered(const kv::CollectionId& collection, OrderedKind kind, std::string_view begin,
                            std::optional<std::string_view> end, size_t limit, const OrderedVisitor& visit) {
    return ScanOrdered(collection, kind, begin, end, limit, /*backward=*/false, visit);
  }
  absl::Status VisitOrderedBackward(const kv::CollectionId& collection, OrderedKind kind, std::string_view begin,
                                    std::optional<std::string_view> end, size_t limit, const OrderedVisitor& visit) {
    return ScanOrdered(collection, kind, begin, end, limit, /*backward=*/true, visit);
  }
  // Copies every row of `source` into `target`, which is new, in pages of bounded memory beyond the transaction's own.
  absl::Status CopyRows(const kv::CollectionId& source, const kv::CollectionId& target);

  // Tells of an event on a key by the name that keyspace notifications have for it ("lpush"; static storage). Events
  // go out once the transaction has committed, in order; costs nothing while nobody gathers them.
  void Notify(EventClass event_class, std::string_view event, std::string_view name) {
    if (events_ != nullptr) events_->push_back({event_class, event, std::string(name), db_});
  }
  // `events`, if not null, outlives this object.
  void GatherEvents(std::vector<KeyEvent>* events) { events_ = events; }
  std::vector<KeyEvent>* events() const { return events_; }

  // Visits keys of this database in order of KeyOrder from `from_order` on, expired ones included (type kNone).
  using KeyVisitor = std::function<bool(const Key& key, uint64_t order)>;
  absl::Status VisitKeys(uint64_t from_order, size_t limit, const KeyVisitor& visit);

  // The value of a member row or ordered row without its version byte; empty for null.
  static std::string_view MemberBytes(const kv::Value& row);

 private:
  absl::Status ScanOrdered(const kv::CollectionId& collection, OrderedKind kind, std::string_view begin,
                           std::optional<std::string_view> end, size_t limit, bool backward,
                           const OrderedVisitor& visit);
  absl::StatusOr<Key> Decode(std::string_view name, kv::Value row) const;
  // Everything that a replaced row leaves behind: expiry row, dead collection (unless kept), counts.
  void Replace(Key* key, const KeyValue& value);
  void Discard(const Key& key, bool keep_collection);

  kv::Txn* txn_;
  DbIndex db_;
  Lookups lookups_;
  std::vector<KeyEvent>* events_ = nullptr;
};

}  // namespace tidemark::types
