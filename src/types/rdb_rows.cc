#include "types/rdb_rows.h"

#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "base/hash.h"
#include "types/zset.h"

namespace tidemark::types {
namespace {

using format::RdbKind;
using format::RdbSink;

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
// Position of a new list's first element (types/list.h).
constexpr uint64_t kMiddle = uint64_t{1} << 63;

absl::Status NotYet(RdbKind kind) {
  return Errorf(absl::StatusCode::kUnimplemented, "values of type {} cannot be made from RDB",
                format::RdbKindName(kind));
}

// One visit of one value: keeps the sink's first error, and counts.
struct Visit {
  RdbSink* sink;
  uint64_t count = 0;
  absl::Status failed;

  bool Tell(absl::Status told) {
    ++count;
    failed = std::move(told);
    return failed.ok();
  }
};

absl::Status VisitRows(Keyspace& keyspace, const Key& key, Visit* visit) {
  RdbSink* sink = visit->sink;
  const auto members = [&](auto tell) {
    return keyspace.VisitMembers(
        key.collection, 0, kNoLimit,
        [&](std::string_view member, std::string_view value, uint32_t) { return visit->Tell(tell(member, value)); });
  };
  switch (key.type) {
    case Type::kHash:
      return members([&](auto field, auto value) { return sink->Field(field, value, 0); });
    case Type::kSet:
      return members([&](auto member, auto) { return sink->Member(member); });
    case Type::kZset:
      return members([&](auto member, auto value) -> absl::Status {
        TM_ASSIGN_OR_RETURN(const double score, DecodeScore(value));
        return sink->Scored(member, score);
      });
    case Type::kList:
      return keyspace.VisitOrdered(
          key.collection, OrderedKind::kElement, {}, std::nullopt, kNoLimit,
          [&](std::string_view, std::string_view element) { return visit->Tell(sink->Element(element)); });
    default:
      return Errorf(absl::StatusCode::kUnimplemented, "values of type {} cannot be written as RDB", TypeName(key.type));
  }
}

RdbKind KindOf(Type type) {
  switch (type) {
    case Type::kHash:
      return RdbKind::kHash;
    case Type::kList:
      return RdbKind::kList;
    case Type::kSet:
      return RdbKind::kSet;
    case Type::kZset:
      return RdbKind::kZset;
    case Type::kStream:
      return RdbKind::kStream;
    default:
      return RdbKind::kString;
  }
}

}  // namespace

absl::Status VisitValue(Keyspace& keyspace, const Key& key, RdbSink* sink) {
  if (key.type == Type::kString) {
    TM_RETURN_IF_ERROR(sink->Begin(RdbKind::kString, 1));
    TM_RETURN_IF_ERROR(sink->String(key.string));
    return sink->End();
  }
  TM_RETURN_IF_ERROR(sink->Begin(KindOf(key.type), key.count));
  Visit visit{.sink = sink, .count = 0, .failed = {}};
  const absl::Status scanned = VisitRows(keyspace, key, &visit);
  TM_RETURN_IF_ERROR(visit.failed);
  TM_RETURN_IF_ERROR(scanned);
  if (visit.count != key.count) {
    TM_ASSIGN_OR_RETURN(const Key now, keyspace.Find(key.name));
    if (now.row.view() != key.row.view()) return kv::ColdRow();
    return Errorf(absl::StatusCode::kDataLoss, "a {} says that it has {} elements, but has {}", TypeName(key.type),
                  key.count, visit.count);
  }
  return sink->End();
}

absl::Status ValueRows::Begin(RdbKind kind, std::optional<uint64_t> /*count*/) {
  kind_ = kind;
  count_ = 0;
  members_.clear();
  if (kind != RdbKind::kString) collection_ = keyspace_.txn().NewCollectionId();
  return absl::OkStatus();
}

absl::Status ValueRows::CheckMember(std::string_view member) {
  if (member.size() > kMaxKeyBytes) return absl::InvalidArgumentError("a member is too long");
  const Hash128 hash = WideHash(member);
  if (!members_.emplace(hash.high, hash.low).second) return absl::InvalidArgumentError("a member stands twice");
  ++count_;
  return absl::OkStatus();
}

absl::Status ValueRows::String(std::string_view bytes) {
  string_.assign(bytes);
  return absl::OkStatus();
}

absl::Status ValueRows::Element(std::string_view element) {
  std::string position;
  AppendBig<uint64_t>(&position, kMiddle + count_++);
  keyspace_.PutOrdered(collection_, OrderedKind::kElement, position, element);
  return absl::OkStatus();
}

absl::Status ValueRows::Member(std::string_view member) {
  TM_RETURN_IF_ERROR(CheckMember(member));
  keyspace_.PutMember(collection_, member, {});
  return absl::OkStatus();
}

absl::Status ValueRows::Scored(std::string_view member, double score) {
  if (std::isnan(score)) return absl::InvalidArgumentError("a score is not a number");
  TM_RETURN_IF_ERROR(CheckMember(member));
  PutScoredMember(keyspace_, collection_, member, score);
  return absl::OkStatus();
}

absl::Status ValueRows::Field(std::string_view field, std::string_view value, uint64_t expire_ms) {
  if (expire_ms != 0) return absl::UnimplementedError("fields with times to live of their own are unknown here");
  TM_RETURN_IF_ERROR(CheckMember(field));
  keyspace_.PutMember(collection_, field, value);
  return absl::OkStatus();
}

absl::Status ValueRows::Entry(const format::RdbStreamId&, std::span<const std::string>) { return NotYet(kind_); }
absl::Status ValueRows::State(const format::RdbStreamState&) { return NotYet(kind_); }
absl::Status ValueRows::Group(const format::RdbGroup&) { return NotYet(kind_); }
absl::Status ValueRows::Consumer(const format::RdbConsumer&) { return NotYet(kind_); }
absl::Status ValueRows::Pending(const format::RdbPending&) { return NotYet(kind_); }

absl::Status ValueRows::PutAs(Key* key, uint64_t expire_ms) {
  switch (kind_) {
    case RdbKind::kString:
      keyspace_.PutString(key, string_, expire_ms);
      return absl::OkStatus();
    case RdbKind::kHash:
      keyspace_.PutCollection(key, Type::kHash, collection_, count_, expire_ms);
      return absl::OkStatus();
    case RdbKind::kSet:
      keyspace_.PutCollection(key, Type::kSet, collection_, count_, expire_ms);
      return absl::OkStatus();
    case RdbKind::kList: {
      std::string first;
      AppendLittle<uint64_t>(&first, kMiddle);
      keyspace_.PutCollection(key, Type::kList, collection_, count_, expire_ms, first);
      return absl::OkStatus();
    }
    case RdbKind::kZset:
      return PutScoredMembers(keyspace_, key, collection_, count_, expire_ms);
    case RdbKind::kStream:
      break;
  }
  return NotYet(kind_);
}

}  // namespace tidemark::types
