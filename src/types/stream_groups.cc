#include "types/stream_groups.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace tidemark::types {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
constexpr size_t kIdBytes = 16;
constexpr char kById = 'i';
constexpr char kByConsumer = 'c';
// Rows removed one by one; more become a deleted range.
constexpr size_t kFewRows = 512;

absl::Status Damaged(std::string_view what) {
  return Errorf(absl::StatusCode::kDataLoss, "stream: {} is malformed", what);
}

std::string EncodeGroup(const GroupState& group) {
  std::string bytes;
  AppendVarint(&bytes, group.number);
  AppendVarint(&bytes, group.last_id.ms);
  AppendVarint(&bytes, group.last_id.seq);
  AppendVarint(&bytes, static_cast<uint64_t>(group.entries_read + 1));
  AppendVarint(&bytes, group.pending);
  AppendVarint(&bytes, group.max_pending.ms);
  AppendVarint(&bytes, group.max_pending.seq);
  return bytes;
}

absl::StatusOr<GroupState> DecodeGroup(std::string_view bytes) {
  GroupState group;
  uint64_t read = 0;
  const bool good = ConsumeVarint(&bytes, &group.number) && ConsumeVarint(&bytes, &group.last_id.ms) &&
                    ConsumeVarint(&bytes, &group.last_id.seq) && ConsumeVarint(&bytes, &read) &&
                    ConsumeVarint(&bytes, &group.pending) && ConsumeVarint(&bytes, &group.max_pending.ms) &&
                    ConsumeVarint(&bytes, &group.max_pending.seq) && bytes.empty();
  if (!good) return Damaged("a group");
  group.entries_read = static_cast<int64_t>(read - 1);
  return group;
}

std::string EncodeConsumer(const ConsumerState& consumer) {
  std::string bytes;
  AppendVarint(&bytes, consumer.seen_ms);
  AppendVarint(&bytes, consumer.pending);
  return bytes;
}

absl::StatusOr<ConsumerState> DecodeConsumer(std::string_view bytes) {
  ConsumerState consumer;
  const bool good =
      ConsumeVarint(&bytes, &consumer.seen_ms) && ConsumeVarint(&bytes, &consumer.pending) && bytes.empty();
  if (!good) return Damaged("a consumer");
  return consumer;
}

std::string EncodePending(const Pending& pending) {
  std::string bytes;
  AppendVarint(&bytes, pending.delivered_ms);
  AppendVarint(&bytes, pending.deliveries);
  bytes.append(pending.consumer);
  return bytes;
}

absl::StatusOr<Pending> DecodePending(std::string_view bytes) {
  Pending pending;
  if (!ConsumeVarint(&bytes, &pending.delivered_ms) || !ConsumeVarint(&bytes, &pending.deliveries)) {
    return Damaged("a pending entry");
  }
  pending.consumer = bytes;
  return pending;
}

// The first order that is above everything with this prefix; nullopt when there is none.
std::optional<std::string> OrderEnd(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (prefix.empty()) return std::nullopt;
  prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
  return prefix;
}

}  // namespace

absl::StatusOr<std::optional<StreamGroup>> StreamGroup::Find(Stream& stream, std::string_view name) {
  if (!stream.exists()) return std::nullopt;
  TM_ASSIGN_OR_RETURN(const kv::Value row,
                      stream.keyspace().GetOrderedRow(stream.collection(), OrderedKind::kGroup, name));
  if (!row) return std::nullopt;
  StreamGroup group(stream, name);
  TM_ASSIGN_OR_RETURN(group.state_, DecodeGroup(Keyspace::MemberBytes(row)));
  return group;
}

StreamGroup StreamGroup::Create(Stream& stream, std::string_view name, StreamId last_id, int64_t entries_read) {
  StreamGroup group(stream, name);
  group.state_.number = stream.NewGroup();
  group.SetLastId(last_id, entries_read);
  return group;
}

absl::StatusOr<std::vector<std::string>> StreamGroup::Names(Stream& stream) {
  std::vector<std::string> names;
  if (!stream.exists()) return names;
  TM_RETURN_IF_ERROR(stream.keyspace().VisitOrdered(stream.collection(), OrderedKind::kGroup, {}, std::nullopt,
                                                    kNoLimit, [&](std::string_view name, std::string_view) {
                                                      names.emplace_back(name);
                                                      return true;
                                                    }));
  return names;
}

void StreamGroup::SetLastId(StreamId last_id, int64_t entries_read) {
  state_.last_id = last_id;
  state_.entries_read = entries_read;
  changed_ = true;
}

std::string StreamGroup::ConsumerOrder(std::string_view consumer) const {
  std::string order;
  AppendBig(&order, state_.number);
  return order.append(consumer);
}

std::string StreamGroup::PendingOrder(StreamId id) const {
  std::string order;
  AppendBig(&order, state_.number);
  order.push_back(kById);
  return order.append(StreamIdOrder(id));
}

std::string StreamGroup::OwnedOrder(std::string_view consumer, StreamId id) const {
  std::string order;
  AppendBig(&order, state_.number);
  order.push_back(kByConsumer);
  AppendBig(&order, static_cast<uint32_t>(consumer.size()));
  return order.append(consumer).append(StreamIdOrder(id));
}

absl::StatusOr<StreamGroup::CachedConsumer*> StreamGroup::Load(std::string_view consumer) {
  if (const auto known = consumers_.find(consumer); known != consumers_.end()) return &known->second;
  TM_ASSIGN_OR_RETURN(const kv::Value row, stream_->keyspace().GetOrderedRow(
                                               stream_->collection(), OrderedKind::kConsumer, ConsumerOrder(consumer)));
  CachedConsumer cached;
  if (row) {
    cached.exists = true;
    TM_ASSIGN_OR_RETURN(cached.state, DecodeConsumer(Keyspace::MemberBytes(row)));
  }
  return &consumers_.emplace(consumer, cached).first->second;
}

absl::StatusOr<const ConsumerState*> StreamGroup::FindConsumer(std::string_view consumer) {
  TM_ASSIGN_OR_RETURN(CachedConsumer* const cached, Load(consumer));
  return cached->exists ? &cached->state : nullptr;
}

void StreamGroup::CreateConsumer(std::string_view consumer, uint64_t now_ms) {
  consumers_.insert_or_assign(std::string(consumer),
                              CachedConsumer{.exists = true, .changed = true, .state = {.seen_ms = now_ms}});
}

void StreamGroup::Seen(std::string_view consumer, uint64_t now_ms) {
  const auto cached = consumers_.find(consumer);
  TM_CHECK(cached != consumers_.end() && cached->second.exists);
  cached->second.state.seen_ms = now_ms;
  cached->second.changed = true;
}

absl::StatusOr<uint64_t> StreamGroup::DeleteConsumer(std::string_view consumer) {
  Keyspace& keyspace = stream_->keyspace();
  TM_ASSIGN_OR_RETURN(const std::vector<StreamId> ids, PendingOf(consumer, {}, kMaxStreamId, kNoLimit));
  for (const StreamId id : ids) {
    keyspace.DeleteOrdered(stream_->collection(), OrderedKind::kPending, PendingOrder(id));
    keyspace.DeleteOrdered(stream_->collection(), OrderedKind::kPending, OwnedOrder(consumer, id));
  }
  state_.pending -= ids.size();
  changed_ = changed_ || !ids.empty();
  keyspace.DeleteOrdered(stream_->collection(), OrderedKind::kConsumer, ConsumerOrder(consumer));
  consumers_.insert_or_assign(std::string(consumer), CachedConsumer{});
  return ids.size();
}

absl::StatusOr<std::vector<StreamGroup::NamedConsumer>> StreamGroup::Consumers() {
  std::vector<NamedConsumer> consumers;
  absl::Status damage;
  const std::string prefix = ConsumerOrder({});
  const std::optional<std::string> end = OrderEnd(prefix);
  TM_RETURN_IF_ERROR(
      stream_->keyspace().VisitOrdered(stream_->collection(), OrderedKind::kConsumer, prefix, end, kNoLimit,
                                       [&](std::string_view order, std::string_view value) {
                                         absl::StatusOr<ConsumerState> state = DecodeConsumer(value);
                                         damage = state.status();
                                         if (!state.ok()) return false;
                                         consumers.push_back({std::string(order.substr(prefix.size())), *state});
                                         return true;
                                       }));
  if (!damage.ok()) return damage;
  return consumers;
}

absl::StatusOr<std::optional<Pending>> StreamGroup::FindPending(StreamId id) {
  if (id > state_.max_pending) return std::nullopt;
  TM_ASSIGN_OR_RETURN(const kv::Value row, stream_->keyspace().GetOrderedRow(stream_->collection(),
                                                                             OrderedKind::kPending, PendingOrder(id)));
  if (!row) return std::nullopt;
  TM_ASSIGN_OR_RETURN(Pending pending, DecodePending(Keyspace::MemberBytes(row)));
  return pending;
}

absl::Status StreamGroup::PutPending(StreamId id, const Pending& pending, const std::optional<Pending>& former) {
  Keyspace& keyspace = stream_->keyspace();
  const bool stays = former && former->consumer == pending.consumer;
  if (former && !stays) TM_RETURN_IF_ERROR(RemovePending(id, *former));
  keyspace.PutOrdered(stream_->collection(), OrderedKind::kPending, PendingOrder(id), EncodePending(pending));
  if (stays) return absl::OkStatus();
  keyspace.PutOrdered(stream_->collection(), OrderedKind::kPending, OwnedOrder(pending.consumer, id), {});
  TM_ASSIGN_OR_RETURN(CachedConsumer* const owner, Load(pending.consumer));
  TM_CHECK(owner->exists);
  ++owner->state.pending;
  owner->changed = true;
  ++state_.pending;
  state_.max_pending = std::max(state_.max_pending, id);
  changed_ = true;
  return absl::OkStatus();
}

absl::Status StreamGroup::RemovePending(StreamId id, const Pending& former) {
  Keyspace& keyspace = stream_->keyspace();
  keyspace.DeleteOrdered(stream_->collection(), OrderedKind::kPending, PendingOrder(id));
  keyspace.DeleteOrdered(stream_->collection(), OrderedKind::kPending, OwnedOrder(former.consumer, id));
  TM_ASSIGN_OR_RETURN(CachedConsumer* const owner, Load(former.consumer));
  if (!owner->exists || owner->state.pending == 0 || state_.pending == 0) return Damaged("a group's count");
  --owner->state.pending;
  owner->changed = true;
  --state_.pending;
  changed_ = true;
  return absl::OkStatus();
}

absl::Status StreamGroup::VisitPending(StreamId first, StreamId last, size_t limit, bool backward,
                                       absl::FunctionRef<bool(StreamId id, const Pending& pending)> visit) {
  if (last < first) return absl::OkStatus();
  absl::Status damage;
  const auto visit_row = [&](std::string_view order, std::string_view value) {
    const absl::StatusOr<Pending> pending = DecodePending(value);
    damage = order.size() == sizeof(uint64_t) + 1 + kIdBytes ? pending.status() : Damaged("a pending entry");
    return damage.ok() && visit(StreamIdOfOrder(order.substr(order.size() - kIdBytes)), *pending);
  };
  Keyspace& keyspace = stream_->keyspace();
  const std::string begin = PendingOrder(first);
  // One byte more than an id: the first order above it.
  const std::string end = PendingOrder(last) + '\0';
  TM_RETURN_IF_ERROR(
      backward
          ? keyspace.VisitOrderedBackward(stream_->collection(), OrderedKind::kPending, begin, end, limit, visit_row)
          : keyspace.VisitOrdered(stream_->collection(), OrderedKind::kPending, begin, end, limit, visit_row));
  return damage;
}

absl::StatusOr<std::vector<StreamId>> StreamGroup::PendingOf(std::string_view consumer, StreamId first, StreamId last,
                                                             size_t limit) {
  std::vector<StreamId> ids;
  if (last < first) return ids;
  const std::string begin = OwnedOrder(consumer, first);
  const std::string end = OwnedOrder(consumer, last) + '\0';
  TM_RETURN_IF_ERROR(stream_->keyspace().VisitOrdered(
      stream_->collection(), OrderedKind::kPending, begin, end, limit, [&](std::string_view order, std::string_view) {
        ids.push_back(StreamIdOfOrder(order.substr(order.size() - kIdBytes)));
        return true;
      }));
  return ids;
}

void StreamGroup::Commit() {
  Keyspace& keyspace = stream_->keyspace();
  if (changed_) keyspace.PutOrdered(stream_->collection(), OrderedKind::kGroup, name_, EncodeGroup(state_));
  changed_ = false;
  for (auto& [consumer, cached] : consumers_) {
    if (!cached.changed) continue;
    keyspace.PutOrdered(stream_->collection(), OrderedKind::kConsumer, ConsumerOrder(consumer),
                        EncodeConsumer(cached.state));
    cached.changed = false;
  }
}

absl::Status StreamGroup::DestroyRows(OrderedKind kind) {
  Keyspace& keyspace = stream_->keyspace();
  const std::string prefix = ConsumerOrder({});
  const std::optional<std::string> end = OrderEnd(prefix);
  std::vector<std::string> orders;
  TM_RETURN_IF_ERROR(keyspace.VisitOrdered(stream_->collection(), kind, prefix, end, kFewRows + 1,
                                           [&](std::string_view order, std::string_view) {
                                             orders.emplace_back(order);
                                             return true;
                                           }));
  if (orders.size() > kFewRows) {
    const RowKey begin = OrderedRow(stream_->collection(), kind, prefix);
    keyspace.txn().DeleteRange(begin.view(), begin.PrefixEnd().view());
  } else {
    for (const std::string& order : orders) keyspace.DeleteOrdered(stream_->collection(), kind, order);
  }
  return absl::OkStatus();
}

absl::Status StreamGroup::Destroy() {
  TM_RETURN_IF_ERROR(DestroyRows(OrderedKind::kConsumer));
  TM_RETURN_IF_ERROR(DestroyRows(OrderedKind::kPending));
  stream_->keyspace().DeleteOrdered(stream_->collection(), OrderedKind::kGroup, name_);
  return absl::OkStatus();
}

bool MayMissEntriesFrom(const Stream& stream, StreamId first) {
  if (stream.length() == 0 || stream.head().max_deleted_id.is_zero()) return false;
  return first <= stream.head().max_deleted_id;
}

int64_t EntriesReadAt(const Stream& stream, StreamId id) {
  const StreamHead& head = stream.head();
  if (head.entries_added == 0) return 0;
  const auto added = static_cast<int64_t>(head.entries_added);
  if (stream.length() == 0 && id < head.last_id) return added;
  if (id == head.last_id) return added;
  if (id > head.last_id) return GroupState::kUnknown;
  const auto before_first = static_cast<int64_t>(head.entries_added - stream.length());
  if (head.max_deleted_id.is_zero() || head.max_deleted_id < head.first_id) {
    if (id < head.first_id) return before_first;
    if (id == head.first_id) return before_first + 1;
  }
  return GroupState::kUnknown;
}

std::optional<int64_t> GroupLag(const Stream& stream, const GroupState& group) {
  const auto added = static_cast<int64_t>(stream.head().entries_added);
  if (added == 0) return 0;
  if (group.entries_read != GroupState::kUnknown && !MayMissEntriesFrom(stream, group.last_id)) {
    return added - group.entries_read;
  }
  const int64_t read = EntriesReadAt(stream, group.last_id);
  if (read == GroupState::kUnknown) return std::nullopt;
  return added - read;
}

}  // namespace tidemark::types
