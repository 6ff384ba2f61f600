#include "types/rdb_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"

namespace tidemark::types {
namespace {

using format::RdbKind;
using format::RdbSink;

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
// Position of a new list's first element (types/list.h).
constexpr uint64_t kMiddle = uint64_t{1} << 63;

StreamId IdOf(const format::RdbStreamId& id) { return {.ms = id.ms, .seq = id.sequence}; }
format::RdbStreamId RdbIdOf(StreamId id) { return {.ms = id.ms, .sequence = id.seq}; }

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

absl::Status VisitEntries(Stream& stream, Visit* visit) {
  std::vector<std::string> fields;
  return stream.Visit({}, kMaxStreamId, kNoLimit, /*backward=*/false, [&](StreamId id, std::string_view entry) {
    const absl::StatusOr<std::vector<std::string_view>> words = DecodeEntry(entry);
    if (!words.ok()) return visit->Tell(words.status());
    fields.assign(words->begin(), words->end());
    return visit->Tell(visit->sink->Entry(RdbIdOf(id), fields));
  });
}

absl::Status VisitGroup(Stream& stream, const std::string& name, RdbSink* sink) {
  TM_ASSIGN_OR_RETURN(std::optional<StreamGroup> group, StreamGroup::Find(stream, name));
  if (!group) return kv::ColdRow();
  const GroupState& state = group->state();
  TM_RETURN_IF_ERROR(sink->Group({.name = name, .last = RdbIdOf(state.last_id), .entries_read = state.entries_read}));
  TM_ASSIGN_OR_RETURN(const std::vector<StreamGroup::NamedConsumer> consumers, group->Consumers());
  for (const StreamGroup::NamedConsumer& consumer : consumers) {
    const auto seen_ms = static_cast<int64_t>(consumer.state.seen_ms);
    TM_RETURN_IF_ERROR(sink->Consumer({.name = consumer.name, .seen_ms = seen_ms, .active_ms = -1}));
    TM_ASSIGN_OR_RETURN(const std::vector<StreamId> ids, group->PendingOf(consumer.name, {}, kMaxStreamId, kNoLimit));
    for (const StreamId id : ids) {
      TM_ASSIGN_OR_RETURN(const std::optional<Pending> pending, group->FindPending(id));
      if (!pending) return kv::ColdRow();
      TM_RETURN_IF_ERROR(sink->Pending({.id = RdbIdOf(id),
                                        .delivered_ms = static_cast<int64_t>(pending->delivered_ms),
                                        .deliveries = pending->deliveries}));
    }
  }
  return absl::OkStatus();
}

absl::Status VisitStream(Keyspace& keyspace, const Key& key, Visit* visit) {
  TM_ASSIGN_OR_RETURN(Stream stream, Stream::Of(keyspace, key));
  TM_RETURN_IF_ERROR(VisitEntries(stream, visit));
  TM_RETURN_IF_ERROR(visit->failed);
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> groups, StreamGroup::Names(stream));
  const StreamHead& head = stream.head();
  TM_RETURN_IF_ERROR(visit->sink->State({.length = key.count,
                                         .last = RdbIdOf(head.last_id),
                                         .first = RdbIdOf(head.first_id),
                                         .max_deleted = RdbIdOf(head.max_deleted_id),
                                         .entries_added = head.entries_added,
                                         .groups = groups.size()}));
  for (const std::string& name : groups) TM_RETURN_IF_ERROR(VisitGroup(stream, name, visit->sink));
  return absl::OkStatus();
}

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
    case Type::kStream:
      return VisitStream(keyspace, key, visit);
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
  if (kind == RdbKind::kZset) {
    zset_ = Zset::Replacing(keyspace_, key_);
  } else if (kind == RdbKind::kStream) {
    keyspace_.Remove(&key_);
    TM_ASSIGN_OR_RETURN(stream_, Stream::Of(keyspace_, key_));
  } else if (kind != RdbKind::kString) {
    collection_ = keyspace_.txn().NewCollectionId();
  }
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
  return zset_->Put(member, score, std::nullopt);
}

absl::Status ValueRows::Field(std::string_view field, std::string_view value, uint64_t expire_ms) {
  if (expire_ms != 0) return absl::UnimplementedError("fields with times to live of their own are unknown here");
  TM_RETURN_IF_ERROR(CheckMember(field));
  keyspace_.PutMember(collection_, field, value);
  return absl::OkStatus();
}

absl::Status ValueRows::Entry(const format::RdbStreamId& id, std::span<const std::string> fields) {
  if (IdOf(id) <= stream_->head().last_id) return absl::InvalidArgumentError("entries are out of order");
  const std::vector<std::string_view> words(fields.begin(), fields.end());
  stream_->Append(IdOf(id), EncodeEntry(words));
  return absl::OkStatus();
}

absl::Status ValueRows::State(const format::RdbStreamState& state) {
  StreamHead head = stream_->head();
  head.last_id = IdOf(state.last);
  head.max_deleted_id = IdOf(state.max_deleted);
  head.entries_added = state.entries_added;
  return stream_->SetHead(head);
}

absl::Status ValueRows::Group(const format::RdbGroup& group) {
  if (group_) group_->Commit();
  TM_RETURN_IF_ERROR(CheckMember(fmt::format("group {}", group.name)));
  const bool kept = group.entries_read != format::RdbGroup::kNotKept;
  group_ = StreamGroup::Create(*stream_, group.name, IdOf(group.last),
                               kept ? std::max(group.entries_read, format::RdbGroup::kUnknown)
                                    : types::EntriesReadAt(*stream_, IdOf(group.last)));
  return absl::OkStatus();
}

absl::Status ValueRows::Consumer(const format::RdbConsumer& consumer) {
  TM_RETURN_IF_ERROR(CheckMember(fmt::format("consumer {} {}", group_->state().number, consumer.name)));
  consumer_.assign(consumer.name);
  group_->CreateConsumer(consumer_, static_cast<uint64_t>(std::max<int64_t>(consumer.seen_ms, 0)));
  return absl::OkStatus();
}

absl::Status ValueRows::Pending(const format::RdbPending& pending) {
  return group_->PutPending(IdOf(pending.id),
                            {.consumer = consumer_,
                             .delivered_ms = static_cast<uint64_t>(std::max<int64_t>(pending.delivered_ms, 0)),
                             .deliveries = pending.deliveries},
                            std::nullopt);
}

absl::Status ValueRows::PutKey(uint64_t expire_ms) {
  switch (kind_) {
    case RdbKind::kString:
      keyspace_.PutString(&key_, string_, expire_ms);
      return absl::OkStatus();
    case RdbKind::kHash:
      keyspace_.PutCollection(&key_, Type::kHash, collection_, count_, expire_ms);
      return absl::OkStatus();
    case RdbKind::kSet:
      keyspace_.PutCollection(&key_, Type::kSet, collection_, count_, expire_ms);
      return absl::OkStatus();
    case RdbKind::kList: {
      std::string first;
      AppendLittle<uint64_t>(&first, kMiddle);
      keyspace_.PutCollection(&key_, Type::kList, collection_, count_, expire_ms, first);
      return absl::OkStatus();
    }
    case RdbKind::kZset:
      return zset_->Commit();
    case RdbKind::kStream:
      if (group_) group_->Commit();
      return stream_->Commit();
  }
  return absl::OkStatus();
}

absl::Status ValueRows::Finish(uint64_t expire_ms) {
  TM_RETURN_IF_ERROR(PutKey(expire_ms));
  if (expire_ms == 0 || (kind_ != RdbKind::kZset && kind_ != RdbKind::kStream)) return absl::OkStatus();
  TM_ASSIGN_OR_RETURN(key_, keyspace_.Find(key_.name));
  keyspace_.SetExpire(&key_, expire_ms);
  return absl::OkStatus();
}

}  // namespace tidemark::types
