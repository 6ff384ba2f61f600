#include "format/rdb_writer.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/bytes.h"
#include "base/numbers.h"

namespace tidemark::format {
namespace {

// Longest text that Redis considers for an integer encoding: "-2147483648".
constexpr size_t kIntegerCharsMax = 11;
constexpr size_t kSpillBytes = 1u << 20;
// Entries of a stream in one listpack: so many in each but the last, so that their number follows from the stream's
// length.
constexpr uint64_t kNodeEntries = 64;
// Redis refuses longer listpacks.
constexpr size_t kListpackBytesMax = 1u << 30;
constexpr int64_t kSameFields = 2;

template <typename T>
bool Fits(int64_t value) {
  return value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max();
}

bool AppendInteger(std::string_view bytes, std::string* out) {
  if (bytes.size() > kIntegerCharsMax) return false;
  const std::optional<int64_t> value = ParseInt64(bytes);
  if (!value || !Fits<int32_t>(*value)) return false;
  if (Fits<int8_t>(*value)) {
    out->push_back(static_cast<char>(kRdbEncoded | kRdbInt8));
    AppendLittle<int8_t>(out, static_cast<int8_t>(*value));
  } else if (Fits<int16_t>(*value)) {
    out->push_back(static_cast<char>(kRdbEncoded | kRdbInt16));
    AppendLittle<int16_t>(out, static_cast<int16_t>(*value));
  } else {
    out->push_back(static_cast<char>(kRdbEncoded | kRdbInt32));
    AppendLittle<int32_t>(out, static_cast<int32_t>(*value));
  }
  return true;
}

// The length of a listpack entry behind it, seven bits a byte, to be read from its end: the first byte has no mark.
void AppendBackLength(size_t bytes, std::string* out) {
  int count = 1;
  for (size_t rest = bytes >> 7; rest != 0; rest >>= 7) ++count;
  for (int i = count - 1; i >= 0; --i) {
    const auto group = static_cast<uint8_t>((bytes >> (7 * i)) & 127);
    out->push_back(static_cast<char>(i == count - 1 ? group : group | 128));
  }
}

void AppendPackedString(std::string_view bytes, std::string* out) {
  const size_t start = out->size();
  if (bytes.size() < 64) {
    out->push_back(static_cast<char>(0x80 | bytes.size()));
  } else if (bytes.size() < 4096) {
    out->push_back(static_cast<char>(0xe0 | bytes.size() >> 8));
    out->push_back(static_cast<char>(bytes.size() & 0xff));
  } else {
    out->push_back(static_cast<char>(0xf0));
    AppendLittle<uint32_t>(out, static_cast<uint32_t>(bytes.size()));
  }
  out->append(bytes);
  AppendBackLength(out->size() - start, out);
}

void AppendPackedInteger(int64_t value, std::string* out) {
  const size_t start = out->size();
  if (value >= 0 && value < 128) {
    out->push_back(static_cast<char>(value));
  } else if (Fits<int16_t>(value)) {
    out->push_back(static_cast<char>(0xf1));
    AppendLittle<int16_t>(out, static_cast<int16_t>(value));
  } else if (Fits<int32_t>(value)) {
    out->push_back(static_cast<char>(0xf3));
    AppendLittle<int32_t>(out, static_cast<int32_t>(value));
  } else {
    out->push_back(static_cast<char>(0xf4));
    AppendLittle<int64_t>(out, value);
  }
  AppendBackLength(out->size() - start, out);
}

void AppendRawId(const RdbStreamId& id, std::string* out) {
  AppendBig<uint64_t>(out, id.ms);
  AppendBig<uint64_t>(out, id.sequence);
}

void AppendLengthsId(const RdbStreamId& id, std::string* out) {
  AppendRdbLength(id.ms, out);
  AppendRdbLength(id.sequence, out);
}

RdbType TypeOf(RdbKind kind) {
  switch (kind) {
    case RdbKind::kString:
      return RdbType::kString;
    case RdbKind::kList:
      return RdbType::kList;
    case RdbKind::kSet:
      return RdbType::kSet;
    case RdbKind::kZset:
      return RdbType::kZset2;
    case RdbKind::kHash:
      return RdbType::kHash;
    case RdbKind::kStream:
      return RdbType::kStreamListpacks2;
  }
  return RdbType::kString;
}

}  // namespace

void AppendRdbLength(uint64_t length, std::string* out) {
  if (length < 1 << 6) {
    out->push_back(static_cast<char>(length));
  } else if (length < 1 << 14) {
    AppendBig<uint16_t>(out, static_cast<uint16_t>(length | 0x4000));
  } else if (length <= std::numeric_limits<uint32_t>::max()) {
    out->push_back(static_cast<char>(kRdbLength32));
    AppendBig<uint32_t>(out, static_cast<uint32_t>(length));
  } else {
    out->push_back(static_cast<char>(kRdbLength64));
    AppendBig<uint64_t>(out, length);
  }
}

void AppendRdbString(std::string_view bytes, std::string* out) {
  if (AppendInteger(bytes, out)) return;
  AppendRdbLength(bytes.size(), out);
  out->append(bytes);
}

absl::Status RdbValueWriter::Spill(bool all) {
  if (flush_ == nullptr || (!all && out_.size() < kSpillBytes)) return absl::OkStatus();
  crc_ = Crc64(out_, crc_);
  const absl::Status flushed = flush_(out_);
  out_.clear();
  return flushed;
}

absl::Status RdbValueWriter::Counted() {
  ++written_;
  return Spill();
}

absl::Status RdbValueWriter::Begin(RdbKind kind, std::optional<uint64_t> count) {
  if (!count) return absl::InternalError("the number of elements has to be known to write them");
  kind_ = kind;
  expected_ = *count;
  written_ = 0;
  out_.push_back(static_cast<char>(TypeOf(kind)));
  if (has_key_) AppendRdbString(key_, &out_);
  if (kind == RdbKind::kString) return absl::OkStatus();
  node_.clear();
  node_entries_ = node_items_ = groups_expected_ = groups_written_ = 0;
  in_group_ = false;
  AppendRdbLength(kind == RdbKind::kStream ? (expected_ + kNodeEntries - 1) / kNodeEntries : expected_, &out_);
  return absl::OkStatus();
}

absl::Status RdbValueWriter::String(std::string_view bytes) {
  AppendRdbString(bytes, &out_);
  return Counted();
}

absl::Status RdbValueWriter::Element(std::string_view element) {
  AppendRdbString(element, &out_);
  return Counted();
}

absl::Status RdbValueWriter::Member(std::string_view member) {
  AppendRdbString(member, &out_);
  return Counted();
}

absl::Status RdbValueWriter::Scored(std::string_view member, double score) {
  AppendRdbString(member, &out_);
  AppendLittle<uint64_t>(&out_, std::bit_cast<uint64_t>(score));
  return Counted();
}

absl::Status RdbValueWriter::Field(std::string_view field, std::string_view value, uint64_t expire_ms) {
  if (expire_ms != 0) return absl::InvalidArgumentError("a field with a time to live cannot be written in RDB 10");
  AppendRdbString(field, &out_);
  AppendRdbString(value, &out_);
  return Counted();
}

absl::Status RdbValueWriter::Entry(const RdbStreamId& id, std::span<const std::string> fields) {
  if (node_entries_ == 0) {
    master_ = id;
    master_fields_.clear();
    for (size_t i = 0; i < fields.size(); i += 2) master_fields_.push_back(fields[i]);
  }
  bool same = fields.size() == master_fields_.size() * 2;
  for (size_t i = 0; same && i < master_fields_.size(); ++i) same = fields[i * 2] == master_fields_[i];
  AppendPackedInteger(same ? kSameFields : 0, &node_);
  AppendPackedInteger(static_cast<int64_t>(id.ms - master_.ms), &node_);
  AppendPackedInteger(static_cast<int64_t>(id.sequence - master_.sequence), &node_);
  int64_t items = 3;
  if (!same) {
    AppendPackedInteger(static_cast<int64_t>(fields.size() / 2), &node_);
    ++items;
  }
  for (size_t i = 0; i < fields.size(); ++i) {
    if (same && i % 2 == 0) continue;
    AppendPackedString(fields[i], &node_);
    ++items;
  }
  AppendPackedInteger(items, &node_);
  node_items_ += static_cast<uint64_t>(items) + 1;
  ++node_entries_;
  TM_RETURN_IF_ERROR(Counted());
  return node_entries_ == kNodeEntries ? EndNode() : absl::OkStatus();
}

absl::Status RdbValueWriter::EndNode() {
  if (node_entries_ == 0) return absl::OkStatus();
  std::string head;
  AppendPackedInteger(static_cast<int64_t>(node_entries_), &head);
  AppendPackedInteger(0, &head);
  AppendPackedInteger(static_cast<int64_t>(master_fields_.size()), &head);
  for (const std::string& field : master_fields_) AppendPackedString(field, &head);
  AppendPackedInteger(0, &head);
  const uint64_t items = node_items_ + 4 + master_fields_.size();
  const size_t bytes = 6 + head.size() + node_.size() + 1;
  if (bytes > kListpackBytesMax) {
    return absl::InvalidArgumentError("entries of a stream are too long for RDB: 64 of them have more than 1 GiB");
  }
  std::string id;
  AppendRawId(master_, &id);
  AppendRdbLength(id.size(), &out_);
  out_.append(id);
  AppendRdbLength(bytes, &out_);
  AppendLittle<uint32_t>(&out_, static_cast<uint32_t>(bytes));
  AppendLittle<uint16_t>(&out_, static_cast<uint16_t>(std::min<uint64_t>(items, 65535)));
  out_.append(head);
  out_.append(node_);
  out_.push_back(static_cast<char>(0xff));
  node_.clear();
  node_entries_ = node_items_ = 0;
  return Spill();
}

absl::Status RdbValueWriter::State(const RdbStreamState& state) {
  TM_RETURN_IF_ERROR(EndNode());
  AppendRdbLength(expected_, &out_);
  AppendLengthsId(state.last, &out_);
  AppendLengthsId(state.first, &out_);
  AppendLengthsId(state.max_deleted, &out_);
  AppendRdbLength(state.entries_added, &out_);
  AppendRdbLength(state.groups, &out_);
  groups_expected_ = state.groups;
  return absl::OkStatus();
}

absl::Status RdbValueWriter::Group(const RdbGroup& group) {
  TM_RETURN_IF_ERROR(EndGroup());
  in_group_ = true;
  ++groups_written_;
  AppendRdbString(group.name, &out_);
  AppendLengthsId(group.last, &out_);
  AppendRdbLength(static_cast<uint64_t>(group.entries_read), &out_);
  return absl::OkStatus();
}

void RdbValueWriter::EndConsumer() {
  if (consumer_head_.empty()) return;
  consumers_.append(consumer_head_);
  AppendRdbLength(consumer_pending_, &consumers_);
  consumers_.append(consumer_ids_);
  consumer_head_.clear();
  consumer_ids_.clear();
  consumer_pending_ = 0;
}

absl::Status RdbValueWriter::Consumer(const RdbConsumer& consumer) {
  EndConsumer();
  AppendRdbString(consumer.name, &consumer_head_);
  AppendLittle<int64_t>(&consumer_head_, consumer.seen_ms);
  ++consumer_count_;
  return absl::OkStatus();
}

absl::Status RdbValueWriter::Pending(const RdbPending& pending) {
  pending_.push_back({pending.id, pending.delivered_ms, pending.deliveries});
  AppendRawId(pending.id, &consumer_ids_);
  ++consumer_pending_;
  return absl::OkStatus();
}

absl::Status RdbValueWriter::EndGroup() {
  if (!in_group_) return absl::OkStatus();
  in_group_ = false;
  EndConsumer();
  std::sort(pending_.begin(), pending_.end(), [](const Delivered& a, const Delivered& b) { return a.id < b.id; });
  AppendRdbLength(pending_.size(), &out_);
  for (const Delivered& delivered : pending_) {
    AppendRawId(delivered.id, &out_);
    AppendLittle<int64_t>(&out_, delivered.ms);
    AppendRdbLength(delivered.count, &out_);
  }
  AppendRdbLength(consumer_count_, &out_);
  out_.append(consumers_);
  pending_.clear();
  consumers_.clear();
  consumer_count_ = 0;
  return Spill();
}

absl::Status RdbValueWriter::End() {
  TM_RETURN_IF_ERROR(EndGroup());
  if (written_ != expected_ || groups_written_ != groups_expected_) {
    return Errorf(absl::StatusCode::kDataLoss, "a {} of {} elements has {}", RdbKindName(kind_), expected_, written_);
  }
  return Spill();
}

void RdbValueWriter::FinishPayload() {
  AppendLittle<uint16_t>(&out_, kRdbVersion);
  AppendLittle<uint64_t>(&out_, Crc64(out_));
}

void RdbFileWriter::Aux(std::string_view name, std::string_view value) {
  std::string& out = value_.bytes();
  out.push_back(static_cast<char>(kOpcodeAux));
  AppendRdbString(name, &out);
  AppendRdbString(value, &out);
}

absl::Status RdbFileWriter::Begin(std::string_view program_version, uint64_t now_seconds) {
  value_.bytes().append(fmt::format("REDIS{:04}", kRdbVersion));
  Aux("redis-ver", "7.0.15");
  Aux("redis-bits", "64");
  Aux("ctime", fmt::format("{}", now_seconds));
  Aux("tidemark-ver", program_version);
  return value_.Spill();
}

absl::Status RdbFileWriter::Function(std::string_view code) {
  value_.bytes().push_back(static_cast<char>(kOpcodeFunction2));
  AppendRdbString(code, &value_.bytes());
  return value_.Spill();
}

absl::Status RdbFileWriter::Database(uint64_t number, uint64_t keys, uint64_t expires) {
  std::string& out = value_.bytes();
  out.push_back(static_cast<char>(kOpcodeSelectDb));
  AppendRdbLength(number, &out);
  out.push_back(static_cast<char>(kOpcodeResizeDb));
  AppendRdbLength(keys, &out);
  AppendRdbLength(expires, &out);
  return value_.Spill();
}

absl::Status RdbFileWriter::Key(std::string_view name, uint64_t expire_ms) {
  std::string& out = value_.bytes();
  if (expire_ms != 0) {
    out.push_back(static_cast<char>(kOpcodeExpireMs));
    AppendLittle<uint64_t>(&out, expire_ms);
  }
  value_.SetKey(name);
  return absl::OkStatus();
}

absl::Status RdbFileWriter::Finish() {
  value_.bytes().push_back(static_cast<char>(kOpcodeEof));
  TM_RETURN_IF_ERROR(value_.Spill(/*all=*/true));
  AppendLittle<uint64_t>(&value_.bytes(), value_.crc());
  return value_.Spill(/*all=*/true);
}

}  // namespace tidemark::format
