#include "types/stream.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"

namespace tidemark::types {
namespace {

constexpr size_t kIdBytes = 16;
// Entries removed row by row; more become one deleted range.
constexpr uint64_t kFewEntries = 512;

absl::Status DamagedHead() {
  return Errorf(absl::StatusCode::kDataLoss, "stream: what its key row keeps is malformed");
}

void AppendId(std::string* out, StreamId id) {
  AppendVarint(out, id.ms);
  AppendVarint(out, id.seq);
}

bool ConsumeId(std::string_view* in, StreamId* id) { return ConsumeVarint(in, &id->ms) && ConsumeVarint(in, &id->seq); }

}  // namespace

std::optional<StreamId> IdAfter(StreamId id) {
  if (id == kMaxStreamId) return std::nullopt;
  return id.seq == UINT64_MAX ? StreamId{id.ms + 1, 0} : StreamId{id.ms, id.seq + 1};
}

std::optional<StreamId> IdBefore(StreamId id) {
  if (id.is_zero()) return std::nullopt;
  return id.seq == 0 ? StreamId{id.ms - 1, UINT64_MAX} : StreamId{id.ms, id.seq - 1};
}

std::string FormatStreamId(StreamId id) { return fmt::format("{}-{}", id.ms, id.seq); }

std::string StreamIdOrder(StreamId id) {
  std::string order;
  order.reserve(kIdBytes);
  AppendBig(&order, id.ms);
  AppendBig(&order, id.seq);
  return order;
}

StreamId StreamIdOfOrder(std::string_view order) {
  TM_CHECK(order.size() >= kIdBytes, "a stream id of {} bytes", order.size());
  return {LoadBig<uint64_t>(order.data()), LoadBig<uint64_t>(order.data() + sizeof(uint64_t))};
}

std::string EncodeEntry(std::span<const std::string_view> words) {
  std::string entry;
  size_t bytes = 10;
  for (const std::string_view word : words) bytes += word.size() + 5;
  entry.reserve(bytes);
  AppendVarint(&entry, words.size());
  for (const std::string_view word : words) AppendLengthPrefixed(&entry, word);
  return entry;
}

absl::StatusOr<std::vector<std::string_view>> DecodeEntry(std::string_view bytes) {
  uint64_t count = 0;
  // A word takes a byte at least, so a damaged count asks for no more memory than the entry has.
  bool good = ConsumeVarint(&bytes, &count) && count <= bytes.size();
  std::vector<std::string_view> words(good ? count : 0);
  for (std::string_view& word : words) good = good && ConsumeLengthPrefixed(&bytes, &word);
  if (!good || !bytes.empty()) return Errorf(absl::StatusCode::kDataLoss, "stream: an entry is malformed");
  return words;
}

std::string EncodeStreamHead(const StreamHead& head) {
  std::string bytes;
  AppendId(&bytes, head.last_id);
  AppendId(&bytes, head.max_deleted_id);
  AppendId(&bytes, head.first_id);
  AppendVarint(&bytes, head.entries_added);
  AppendVarint(&bytes, head.groups_made);
  return bytes;
}

absl::StatusOr<StreamHead> DecodeStreamHead(std::string_view bytes) {
  StreamHead head;
  const bool good = ConsumeId(&bytes, &head.last_id) && ConsumeId(&bytes, &head.max_deleted_id) &&
                    ConsumeId(&bytes, &head.first_id) && ConsumeVarint(&bytes, &head.entries_added) &&
                    ConsumeVarint(&bytes, &head.groups_made) && bytes.empty();
  if (!good) return DamagedHead();
  return head;
}

absl::StatusOr<Stream> Stream::Of(Keyspace& keyspace, Key key) {
  Stream stream(keyspace, std::move(key));
  if (stream.key_) {
    TM_ASSIGN_OR_RETURN(stream.head_, DecodeStreamHead(stream.key_.extra));
  }
  return stream;
}

absl::StatusOr<Stream> Stream::Find(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(name, Type::kStream));
  return Of(keyspace, std::move(key));
}

absl::StatusOr<Stream> Stream::Lookup(Keyspace& keyspace, std::string_view name) {
  TM_ASSIGN_OR_RETURN(Key key, keyspace.Lookup(name, Type::kStream));
  return Of(keyspace, std::move(key));
}

const kv::CollectionId& Stream::collection() {
  if (new_collection_) return *new_collection_;
  if (key_) return key_.collection;
  return new_collection_.emplace(keyspace_->txn().NewCollectionId());
}

void Stream::Append(StreamId id, std::string_view entry) {
  TM_CHECK(id > head_.last_id);
  keyspace_->PutOrdered(collection(), OrderedKind::kEntry, StreamIdOrder(id), entry);
  head_.last_id = id;
  ++head_.entries_added;
  if (length_++ == 0) {
    head_.first_id = id;
    first_is_gone_ = false;
  }
}

absl::StatusOr<kv::Value> Stream::Get(StreamId id) {
  if (!exists() && !new_collection_) return kv::Value();
  return keyspace_->GetOrderedRow(collection(), OrderedKind::kEntry, StreamIdOrder(id));
}

absl::StatusOr<bool> Stream::Delete(StreamId id) {
  TM_ASSIGN_OR_RETURN(const kv::Value found, Get(id));
  if (!found) return false;
  keyspace_->DeleteOrdered(collection(), OrderedKind::kEntry, StreamIdOrder(id));
  --length_;
  if (id == head_.first_id) first_is_gone_ = true;
  if (id > head_.max_deleted_id) head_.max_deleted_id = id;
  return true;
}

absl::Status Stream::Visit(StreamId first, StreamId last, size_t limit, bool backward, Visitor visit) {
  if (length_ == 0) return absl::OkStatus();
  // Rows that were removed before the first entry are passed over.
  if (first < head_.first_id) first = head_.first_id;
  if (last < first) return absl::OkStatus();
  const std::optional<StreamId> end = IdAfter(last);
  const std::string begin_order = StreamIdOrder(first);
  const std::string end_order = end ? StreamIdOrder(*end) : std::string();
  const std::optional<std::string_view> bound = end ? std::optional<std::string_view>(end_order) : std::nullopt;
  absl::Status damage;
  const auto visit_row = [&](std::string_view order, std::string_view entry) {
    if (order.size() == kIdBytes) return visit(StreamIdOfOrder(order), entry);
    damage = Errorf(absl::StatusCode::kDataLoss, "stream: an entry's row key is malformed");
    return false;
  };
  TM_RETURN_IF_ERROR(
      backward
          ? keyspace_->VisitOrderedBackward(collection(), OrderedKind::kEntry, begin_order, bound, limit, visit_row)
          : keyspace_->VisitOrdered(collection(), OrderedKind::kEntry, begin_order, bound, limit, visit_row));
  return damage;
}

absl::StatusOr<StreamId> Stream::LastEntry() {
  StreamId last;
  TM_RETURN_IF_ERROR(Visit({}, kMaxStreamId, 1, /*backward=*/true, [&](StreamId id, std::string_view) {
    last = id;
    return false;
  }));
  return last;
}

absl::Status Stream::RemoveFirst(uint64_t count) {
  count = std::min(count, length_);
  if (count == 0) return absl::OkStatus();
  const uint64_t stay = length_ - count;
  const bool few = count <= kFewEntries;
  std::vector<StreamId> removed;
  StreamId new_first;
  if (few || count <= stay) {
    uint64_t seen = 0;
    TM_RETURN_IF_ERROR(Visit({}, kMaxStreamId, count + 1, /*backward=*/false, [&](StreamId id, std::string_view) {
      if (seen++ == count) {
        new_first = id;
      } else if (few) {
        removed.push_back(id);
      }
      return true;
    }));
  } else if (stay > 0) {
    TM_RETURN_IF_ERROR(Visit({}, kMaxStreamId, stay, /*backward=*/true, [&](StreamId id, std::string_view) {
      new_first = id;
      return true;
    }));
  }
  for (const StreamId id : removed) keyspace_->DeleteOrdered(collection(), OrderedKind::kEntry, StreamIdOrder(id));
  if (!few) DeleteBelow(stay > 0 ? std::optional(new_first) : IdAfter(head_.last_id));
  length_ = stay;
  head_.first_id = new_first;
  first_is_gone_ = false;
  return absl::OkStatus();
}

void Stream::DeleteBelow(std::optional<StreamId> end) {
  const RowKey rows = OrderedRows(collection(), OrderedKind::kEntry);
  const RowKey end_row = end ? OrderedRow(collection(), OrderedKind::kEntry, StreamIdOrder(*end)) : rows.PrefixEnd();
  keyspace_->txn().DeleteRange(rows.view(), end_row.view());
}

absl::Status Stream::SetHead(const StreamHead& head) {
  const bool ids_come_again = head.last_id < head_.last_id;
  const StreamId first_id = head_.first_id;
  head_ = head;
  head_.first_id = first_id;
  if (!ids_come_again || length_ > 0) return absl::OkStatus();
  const kv::CollectionId source = collection();
  new_collection_ = keyspace_->txn().NewCollectionId();
  return keyspace_->CopyRows(source, *new_collection_);
}

absl::Status Stream::Commit() {
  if (length_ == 0) {
    head_.first_id = {};
  } else if (first_is_gone_) {
    StreamId first;
    TM_RETURN_IF_ERROR(Visit({}, kMaxStreamId, 1, /*backward=*/false, [&](StreamId id, std::string_view) {
      first = id;
      return false;
    }));
    head_.first_id = first;
  }
  first_is_gone_ = false;
  const std::string extra = EncodeStreamHead(head_);
  // The id is copied: PutCollection changes the key that it may stand in.
  const kv::CollectionId id = collection();
  keyspace_->PutCollection(&key_, Type::kStream, id, length_, key_.expire_ms, extra);
  new_collection_.reset();
  return absl::OkStatus();
}

}  // namespace tidemark::types
