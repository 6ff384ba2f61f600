#include "format/rdb_value.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/numbers.h"
#include "format/rdb_packed.h"
#include "format/rdb_stream.h"

namespace tidemark::format {
namespace {

constexpr size_t kFooterBytes = 10;
constexpr uint64_t kPlainNode = 1;
constexpr uint64_t kPackedNode = 2;
// Redis 7.4 marks a field without a time to live so, where a time would stand.
constexpr int64_t kNoFieldExpiry = -1;

absl::Status Malformed(std::string_view what) { return InvalidArgument("malformed {}", what); }

absl::StatusOr<double> CheckScore(double score) {
  if (std::isnan(score)) return Malformed("score");
  return score;
}

// One byte of length, or one of three marks, before the digits.
absl::StatusOr<double> ReadTextScore(RdbInput* in, std::string* scratch) {
  TM_ASSIGN_OR_RETURN(const uint8_t length, in->Byte());
  if (length == 254) return std::numeric_limits<double>::infinity();
  if (length == 255) return -std::numeric_limits<double>::infinity();
  if (length == 253) return Malformed("score");
  TM_RETURN_IF_ERROR(in->Bytes(length, scratch));
  const std::optional<double> score = ParseDouble(*scratch);
  if (!score) return Malformed("score");
  return *score;
}

// One call of a sink for each value; holds what a value needs on the way.
class ValueReader {
 public:
  ValueReader(RdbInput* in, RdbSink* sink) : in_(*in), sink_(*sink) {}

  absl::Status Read(uint8_t type, uint16_t version);

 private:
  absl::Status ReadString();
  absl::Status ReadPlain(RdbKind kind, absl::Status (ValueReader::*one)());
  absl::Status OneElement();
  absl::Status OneMember();
  absl::Status OneScoredText();
  absl::Status OneScored();
  absl::Status OneField();
  absl::Status OneFieldWithTime();
  absl::Status ReadPacked(RdbKind kind, PackedKind packed, uint64_t group);
  absl::Status WalkPacked(RdbKind kind, PackedKind packed, uint64_t group);
  absl::Status PackedItem(RdbKind kind, PackedList* list, std::string_view first);
  absl::Status ReadQuicklist(bool with_plain_nodes);
  absl::Status ReadHashMetadata();
  absl::Status ReadHashListpackEx(bool with_minimum);
  absl::Status EndOf(RdbKind kind);

  RdbInput& in_;
  RdbSink& sink_;
  std::string a_;
  std::string b_;
  std::string scratch_;
  uint64_t items_ = 0;
};

absl::Status ValueReader::EndOf(RdbKind kind) {
  if (items_ == 0) return InvalidArgument("malformed {}: it is empty", RdbKindName(kind));
  return sink_.End();
}

absl::Status ValueReader::ReadString() {
  TM_RETURN_IF_ERROR(sink_.Begin(RdbKind::kString, 1));
  TM_RETURN_IF_ERROR(in_.String(&a_));
  TM_RETURN_IF_ERROR(sink_.String(a_));
  return sink_.End();
}

absl::Status ValueReader::ReadPlain(RdbKind kind, absl::Status (ValueReader::*one)()) {
  TM_ASSIGN_OR_RETURN(const uint64_t count, in_.Length());
  TM_RETURN_IF_ERROR(sink_.Begin(kind, count));
  for (; items_ < count; ++items_) TM_RETURN_IF_ERROR((this->*one)());
  return EndOf(kind);
}

absl::Status ValueReader::OneElement() {
  TM_RETURN_IF_ERROR(in_.String(&a_));
  return sink_.Element(a_);
}

absl::Status ValueReader::OneMember() {
  TM_RETURN_IF_ERROR(in_.String(&a_));
  return sink_.Member(a_);
}

absl::Status ValueReader::OneScoredText() {
  TM_RETURN_IF_ERROR(in_.String(&a_));
  TM_ASSIGN_OR_RETURN(const double score, ReadTextScore(&in_, &scratch_));
  return sink_.Scored(a_, score);
}

absl::Status ValueReader::OneScored() {
  TM_RETURN_IF_ERROR(in_.String(&a_));
  TM_ASSIGN_OR_RETURN(const uint64_t bits, in_.Little<uint64_t>());
  TM_ASSIGN_OR_RETURN(const double score, CheckScore(std::bit_cast<double>(bits)));
  return sink_.Scored(a_, score);
}

absl::Status ValueReader::OneField() {
  TM_RETURN_IF_ERROR(in_.String(&a_));
  TM_RETURN_IF_ERROR(in_.String(&b_));
  return sink_.Field(a_, b_, 0);
}

absl::Status ValueReader::OneFieldWithTime() {
  TM_RETURN_IF_ERROR(in_.String(&a_));
  TM_RETURN_IF_ERROR(in_.String(&b_));
  TM_ASSIGN_OR_RETURN(const int64_t expire_ms, in_.Little<int64_t>());
  if (expire_ms < kNoFieldExpiry) return Malformed("time to live of a field");
  return sink_.Field(a_, b_, expire_ms == kNoFieldExpiry ? 0 : static_cast<uint64_t>(expire_ms));
}

absl::Status ValueReader::ReadPacked(RdbKind kind, PackedKind packed, uint64_t group) {
  TM_RETURN_IF_ERROR(in_.String(&a_));
  TM_RETURN_IF_ERROR(sink_.Begin(kind, std::nullopt));
  TM_RETURN_IF_ERROR(WalkPacked(kind, packed, group));
  return EndOf(kind);
}

// The list in a_, of which `group` entries make one item.
absl::Status ValueReader::WalkPacked(RdbKind kind, PackedKind packed, uint64_t group) {
  TM_ASSIGN_OR_RETURN(PackedList list, PackedList::Open(packed, a_));
  while (true) {
    TM_ASSIGN_OR_RETURN(const std::optional<std::string_view> first, list.Next());
    if (!first) return absl::OkStatus();
    if (group == 1) {
      TM_RETURN_IF_ERROR(kind == RdbKind::kList ? sink_.Element(*first) : sink_.Member(*first));
    } else {
      TM_RETURN_IF_ERROR(PackedItem(kind, &list, *first));
    }
    ++items_;
  }
}

absl::Status ValueReader::PackedItem(RdbKind kind, PackedList* list, std::string_view first) {
  b_.assign(first);
  TM_ASSIGN_OR_RETURN(const std::string_view second, list->NextEntry());
  if (kind == RdbKind::kHash) return sink_.Field(b_, second, 0);
  const std::optional<double> score = ParseDouble(second);
  if (!score) return Malformed("score");
  return sink_.Scored(b_, *score);
}

absl::Status ValueReader::ReadQuicklist(bool with_plain_nodes) {
  TM_ASSIGN_OR_RETURN(const uint64_t nodes, in_.Length());
  TM_RETURN_IF_ERROR(sink_.Begin(RdbKind::kList, std::nullopt));
  for (uint64_t i = 0; i < nodes; ++i) {
    uint64_t container = kPackedNode;
    if (with_plain_nodes) {
      TM_ASSIGN_OR_RETURN(container, in_.Length());
    }
    TM_RETURN_IF_ERROR(in_.String(&a_));
    if (container == kPlainNode) {
      TM_RETURN_IF_ERROR(sink_.Element(a_));
      ++items_;
    } else if (container == kPackedNode) {
      const PackedKind packed = with_plain_nodes ? PackedKind::kListpack : PackedKind::kZiplist;
      TM_RETURN_IF_ERROR(WalkPacked(RdbKind::kList, packed, 1));
    } else {
      return Malformed("node of a list");
    }
  }
  return EndOf(RdbKind::kList);
}

// Redis 7.4: the earliest time of all fields, then with each field its distance from that and one, 0 for none.
absl::Status ValueReader::ReadHashMetadata() {
  TM_ASSIGN_OR_RETURN(const uint64_t earliest, in_.Little<uint64_t>());
  TM_ASSIGN_OR_RETURN(const uint64_t count, in_.Length());
  TM_RETURN_IF_ERROR(sink_.Begin(RdbKind::kHash, count));
  for (; items_ < count; ++items_) {
    TM_ASSIGN_OR_RETURN(const uint64_t distance, in_.Length());
    uint64_t expire_ms = 0;
    if (distance != 0 && __builtin_add_overflow(earliest, distance - 1, &expire_ms)) {
      return Malformed("time to live of a field");
    }
    TM_RETURN_IF_ERROR(in_.String(&a_));
    TM_RETURN_IF_ERROR(in_.String(&b_));
    TM_RETURN_IF_ERROR(sink_.Field(a_, b_, expire_ms));
  }
  return EndOf(RdbKind::kHash);
}

// Fields, values and times in turn; a time of 0 is none.
absl::Status ValueReader::ReadHashListpackEx(bool with_minimum) {
  if (with_minimum) TM_RETURN_IF_ERROR(in_.Little<uint64_t>().status());
  TM_RETURN_IF_ERROR(in_.String(&a_));
  TM_RETURN_IF_ERROR(sink_.Begin(RdbKind::kHash, std::nullopt));
  TM_ASSIGN_OR_RETURN(PackedList list, PackedList::Open(PackedKind::kListpack, a_));
  while (true) {
    TM_ASSIGN_OR_RETURN(const std::optional<std::string_view> field, list.Next());
    if (!field) return EndOf(RdbKind::kHash);
    b_.assign(*field);
    TM_ASSIGN_OR_RETURN(const std::string_view value, list.NextEntry());
    scratch_.assign(value);
    TM_ASSIGN_OR_RETURN(const int64_t expire_ms, list.NextInteger());
    if (expire_ms < 0) return Malformed("time to live of a field");
    TM_RETURN_IF_ERROR(sink_.Field(b_, scratch_, static_cast<uint64_t>(expire_ms)));
    ++items_;
  }
}

absl::Status ValueReader::Read(uint8_t type, uint16_t version) {
  switch (static_cast<RdbType>(type)) {
    case RdbType::kString:
      return ReadString();
    case RdbType::kList:
      return ReadPlain(RdbKind::kList, &ValueReader::OneElement);
    case RdbType::kSet:
      return ReadPlain(RdbKind::kSet, &ValueReader::OneMember);
    case RdbType::kZset:
      return ReadPlain(RdbKind::kZset, &ValueReader::OneScoredText);
    case RdbType::kZset2:
      return ReadPlain(RdbKind::kZset, &ValueReader::OneScored);
    case RdbType::kHash:
      return ReadPlain(RdbKind::kHash, &ValueReader::OneField);
    case RdbType::kListZiplist:
      return ReadPacked(RdbKind::kList, PackedKind::kZiplist, 1);
    case RdbType::kListQuicklist:
      return ReadQuicklist(/*with_plain_nodes=*/false);
    case RdbType::kListQuicklist2:
      return ReadQuicklist(/*with_plain_nodes=*/true);
    case RdbType::kSetIntset:
      return ReadPacked(RdbKind::kSet, PackedKind::kIntset, 1);
    case RdbType::kSetListpack:
      return ReadPacked(RdbKind::kSet, PackedKind::kListpack, 1);
    case RdbType::kZsetZiplist:
      return ReadPacked(RdbKind::kZset, PackedKind::kZiplist, 2);
    case RdbType::kZsetListpack:
      return ReadPacked(RdbKind::kZset, PackedKind::kListpack, 2);
    case RdbType::kHashZipmap:
      return ReadPacked(RdbKind::kHash, PackedKind::kZipmap, 2);
    case RdbType::kHashZiplist:
      return ReadPacked(RdbKind::kHash, PackedKind::kZiplist, 2);
    case RdbType::kHashListpack:
      return ReadPacked(RdbKind::kHash, PackedKind::kListpack, 2);
    case RdbType::kHash2:
      if (version == kRdbVersionValkey) return ReadPlain(RdbKind::kHash, &ValueReader::OneFieldWithTime);
      break;
    case RdbType::kHashListpackExPreGa:
      return ReadHashListpackEx(/*with_minimum=*/false);
    case RdbType::kHashMetadata:
      return ReadHashMetadata();
    case RdbType::kHashListpackEx:
      return ReadHashListpackEx(/*with_minimum=*/true);
    case RdbType::kStreamListpacks:
      return ReadRdbStream(1, &in_, &sink_);
    case RdbType::kStreamListpacks2:
      return ReadRdbStream(2, &in_, &sink_);
    case RdbType::kStreamListpacks3:
      return ReadRdbStream(3, &in_, &sink_);
    case RdbType::kModulePreGa:
    case RdbType::kModule2:
      return absl::UnimplementedError("values of modules can be read by the module only");
  }
  return Errorf(absl::StatusCode::kUnimplemented, "values of RDB type {} are unknown here", type);
}

// Nine characters of six bits each, then ten bits of the encoding's version.
std::string ModuleName(uint64_t id) {
  constexpr std::string_view kCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string name(9, ' ');
  id >>= 10;
  for (size_t i = name.size(); i > 0; --i, id >>= 6) name[i - 1] = kCharacters[id & 63];
  return name;
}

// What a module wrote: pieces, each after the mark of its form.
absl::Status SkipModulePieces(RdbInput* in) {
  enum Piece : uint64_t { kEnd = 0, kSigned = 1, kUnsigned = 2, kFloat = 3, kDouble = 4, kString = 5 };
  std::string scratch;
  while (true) {
    TM_ASSIGN_OR_RETURN(const uint64_t piece, in->Length());
    switch (piece) {
      case kEnd:
        return absl::OkStatus();
      case kSigned:
      case kUnsigned:
        TM_RETURN_IF_ERROR(in->Length().status());
        break;
      case kFloat:
        TM_RETURN_IF_ERROR(in->Little<uint32_t>().status());
        break;
      case kDouble:
        TM_RETURN_IF_ERROR(in->Little<uint64_t>().status());
        break;
      case kString:
        TM_RETURN_IF_ERROR(in->String(&scratch));
        break;
      default:
        return Malformed("value of a module");
    }
  }
}

}  // namespace

std::string_view RdbKindName(RdbKind kind) {
  switch (kind) {
    case RdbKind::kString:
      return "string";
    case RdbKind::kList:
      return "list";
    case RdbKind::kSet:
      return "set";
    case RdbKind::kZset:
      return "zset";
    case RdbKind::kHash:
      return "hash";
    case RdbKind::kStream:
      return "stream";
  }
  return "none";
}

bool IsRdbModule(uint8_t type) {
  return type == static_cast<uint8_t>(RdbType::kModulePreGa) || type == static_cast<uint8_t>(RdbType::kModule2);
}

absl::Status ReadRdbValue(uint8_t type, uint16_t version, RdbInput* in, RdbSink* sink) {
  return ValueReader(in, sink).Read(type, version);
}

absl::StatusOr<std::string> SkipRdbModule(uint8_t type, RdbInput* in) {
  TM_ASSIGN_OR_RETURN(const uint64_t id, in->Length());
  std::string name = ModuleName(id);
  if (type != static_cast<uint8_t>(RdbType::kModule2)) {
    return Errorf(absl::StatusCode::kUnimplemented, "the value of a module '{}' is in a form that cannot be skipped",
                  name);
  }
  TM_RETURN_IF_ERROR(SkipModulePieces(in));
  return name;
}

absl::StatusOr<std::string> SkipRdbModuleAux(RdbInput* in) {
  TM_ASSIGN_OR_RETURN(const uint64_t id, in->Length());
  TM_RETURN_IF_ERROR(in->Length().status());
  TM_RETURN_IF_ERROR(in->Length().status());
  TM_RETURN_IF_ERROR(SkipModulePieces(in));
  return ModuleName(id);
}

absl::Status ReadRdbPayload(std::string_view payload, RdbSink* sink) {
  const auto wrong = [] { return absl::DataLossError("version or checksum are wrong"); };
  if (payload.size() < kFooterBytes) return wrong();
  const char* footer = payload.data() + payload.size() - kFooterBytes;
  const auto version = LoadLittle<uint16_t>(footer);
  if (!IsKnownRdbVersion(version)) return wrong();
  if (LoadLittle<uint64_t>(footer + 2) != Crc64(payload.substr(0, payload.size() - 8))) return wrong();
  RdbInput in(payload.substr(0, payload.size() - kFooterBytes));
  const absl::StatusOr<uint8_t> type = in.Byte();
  if (!type.ok()) return Malformed("value: it is empty");
  absl::Status read = ReadRdbValue(*type, version, &in, sink);
  // A sum that is right says that the bytes are all there; they only make no value.
  if (absl::IsDataLoss(read)) return Malformed("value");
  TM_RETURN_IF_ERROR(read);
  TM_ASSIGN_OR_RETURN(const bool end, in.AtEnd());
  return end ? absl::OkStatus() : Malformed("value: bytes are left over");
}

absl::Status ReadRdbBody(std::string_view body, RdbSink* sink) {
  std::string payload(body);
  AppendLittle<uint16_t>(&payload, kRdbVersion);
  AppendLittle<uint64_t>(&payload, Crc64(payload));
  return ReadRdbPayload(payload, sink);
}

}  // namespace tidemark::format
