#include "engine/sweeper.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "types/keyspace.h"
#include "types/rows.h"

namespace tidemark::engine {
namespace {

using types::Key;
using types::Keyspace;
using types::RowKey;
using types::RowSpace;

// A collection of at most this many members is removed row by row; a range tombstone costs every later reader.
constexpr uint64_t kFewMembers = 64;
constexpr int kRehearsals = 4;

struct ExpiryRef {
  std::string row;
  uint64_t expire_ms;
  kv::CollectionId contents;
  std::string key;
};

}  // namespace

absl::Status Sweeper::Write(TxnFunction body) {
  for (int attempt = 0; attempt < kRehearsals; ++attempt) {
    const absl::Status status = engine_.Write(kv::Tier::kMemory, false, body);
    if (!kv::IsColdRow(status)) return status;
    TM_RETURN_IF_ERROR(engine_.Rehearse(body));
  }
  return engine_.Write(kv::Tier::kDisk, false, body);
}

absl::StatusOr<size_t> Sweeper::SweepExpired(size_t limit) {
  RowKey until(RowSpace::kExpiry);
  until.Big64(engine_.expiry_now().millis() + 1);
  std::vector<ExpiryRef> due;
  TM_RETURN_IF_ERROR(engine_.store().Scan(
      RowKey(RowSpace::kExpiry).view(), until.view(), limit, kv::Tier::kDisk,
      [&](std::string_view row, const kv::Value&) {
        if (const auto parts = types::ParseExpiryRow(row)) {
          due.push_back({std::string(row), parts->expire_ms, parts->contents, std::string(parts->key)});
        }
        return true;
      }));
  for (const ExpiryRef& ref : due) {
    bool removed = false;
    TM_RETURN_IF_ERROR(Write([&](kv::Txn& txn) -> absl::Status {
      removed = false;
      for (uint16_t db = 0; db < databases_; ++db) {
        if (txn.db(DbIndex{db}).contents != ref.contents) continue;
        Keyspace keyspace(txn, DbIndex{db});
        TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(ref.key));
        if (!key.expired() || key.stored_expire_ms != ref.expire_ms) break;
        keyspace.Remove(&key);
        engine_.NoteExpired(txn, DbIndex{db}, ref.key);
        removed = true;
        return absl::OkStatus();
      }
      // The row of a database that was emptied since, or of an expiry that was changed.
      txn.Delete(ref.row);
      return absl::OkStatus();
    }));
    if (removed) expired_keys_.fetch_add(1, std::memory_order_relaxed);
  }
  if (!due.empty()) engine_.EndTurn();
  return due.size();
}

absl::Status Sweeper::SweepRows(kv::Txn& txn, const RowKey& begin, bool few) {
  const RowKey end = begin.PrefixEnd();
  std::vector<std::string> rows;
  if (few) {
    TM_RETURN_IF_ERROR(txn.Scan(begin.view(), end.view(), kFewMembers + 1, [&](std::string_view row, const kv::Value&) {
      rows.emplace_back(row);
      return true;
    }));
  }
  if (!few || rows.size() > kFewMembers) {
    txn.DeleteRange(begin.view(), end.view());
  } else {
    for (const std::string& row : rows) txn.Delete(row);
  }
  return absl::OkStatus();
}

absl::Status Sweeper::SweepCollection(kv::Txn& txn, const kv::CollectionId& id, const types::DeadValue& dead) {
  const bool few = dead.count <= kFewMembers;
  if (types::HasMemberRows(dead.type)) TM_RETURN_IF_ERROR(SweepRows(txn, types::MemberRows(id), few));
  if (types::HasOrderedRows(dead.type)) TM_RETURN_IF_ERROR(SweepRows(txn, types::OrderedRows(id), few));
  txn.Delete(types::DeadRow(id).view());
  return absl::OkStatus();
}

absl::Status Sweeper::SweepContents(kv::Txn& txn, const kv::CollectionId& id, size_t limit) {
  const RowKey begin = types::KeyRows(id);
  const RowKey end = begin.PrefixEnd();
  std::string last;
  size_t count = 0;
  std::vector<std::string> expiry_rows;
  std::vector<std::pair<kv::CollectionId, types::DeadValue>> collections;
  absl::Status damage;
  TM_RETURN_IF_ERROR(txn.Scan(begin.view(), end.view(), limit, [&](std::string_view row, const kv::Value& bytes) {
    const absl::StatusOr<types::KeyValue> value = types::DecodeKeyValue(bytes.view());
    const auto parts = types::ParseKeyRow(row);
    if (!value.ok() || !parts) {
      damage = value.status();
      return false;
    }
    if (value->expire_ms != 0) {
      expiry_rows.emplace_back(types::ExpiryRow(value->expire_ms, id, parts->key).view());
    }
    if (value->type != types::Type::kString) collections.push_back({value->collection, {value->type, value->count}});
    last = row;
    ++count;
    return true;
  }));
  TM_RETURN_IF_ERROR(damage);
  for (const std::string& row : expiry_rows) txn.Delete(row);
  for (const auto& [collection, dead] : collections) {
    txn.Put(types::DeadRow(collection).view(), types::EncodeDeadValue(dead));
  }
  if (count < limit) {
    if (count > 0) txn.DeleteRange(begin.view(), end.view());
    txn.Delete(types::DeadRow(id).view());
  } else {
    last.push_back('\0');
    txn.DeleteRange(begin.view(), last);
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> Sweeper::SweepDead(size_t limit) {
  const RowKey begin(RowSpace::kDead);
  std::vector<std::pair<kv::CollectionId, types::DeadValue>> dead;
  absl::Status damage;
  TM_RETURN_IF_ERROR(engine_.store().Scan(begin.view(), begin.PrefixEnd().view(), limit, kv::Tier::kDisk,
                                          [&](std::string_view row, const kv::Value& bytes) {
                                            const auto id = types::ParseDeadRow(row);
                                            const auto value = types::DecodeDeadValue(bytes.view());
                                            if (!id || !value.ok()) {
                                              damage = value.status();
                                              return false;
                                            }
                                            dead.push_back({*id, *value});
                                            return true;
                                          }));
  TM_RETURN_IF_ERROR(damage);
  constexpr size_t kContentsPage = 4096;
  for (const auto& [id, value] : dead) {
    TM_RETURN_IF_ERROR(Write([&, id = id, value = value](kv::Txn& txn) {
      return value.type == types::Type::kContents ? SweepContents(txn, id, kContentsPage)
                                                  : SweepCollection(txn, id, value);
    }));
    swept_rows_.fetch_add(1, std::memory_order_relaxed);
  }
  if (!dead.empty()) engine_.EndTurn();
  return dead.size();
}

}  // namespace tidemark::engine
