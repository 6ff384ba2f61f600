#include "format/rdb_value.h"

#include <isa-l/crc64.h>

#include <limits>
#include <optional>
#include <unordered_set>

#include "base/bytes.h"
#include "base/numbers.h"

namespace tidemark::format {
namespace {

enum RdbType : uint8_t { kTypeString = 0, kTypeHash = 4, kTypeHashZiplist = 13, kTypeHashListpack = 16 };

constexpr size_t kFooterBytes = 10;
constexpr uint8_t kLength32 = 0x80;
constexpr uint8_t kLength64 = 0x81;
constexpr uint8_t kEncodedString = 0xc0;
enum StringEncoding : uint8_t { kInt8 = 0, kInt16 = 1, kInt32 = 2, kLzf = 3 };
// Longest text that Redis considers for an integer encoding: "-2147483648".
constexpr size_t kIntegerCharsMax = 11;

absl::Status Malformed(std::string_view what) { return InvalidArgument("malformed {}", what); }

uint64_t Crc64(std::string_view bytes) {
  // The library complements the sum before and after, Redis does not.
  return ~crc64_jones_refl(~uint64_t{0}, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

// Takes bytes and numbers off the front; false or nullopt when there are not enough.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  size_t size() const { return rest_.size(); }
  std::optional<std::string_view> Bytes(uint64_t count) {
    if (count > rest_.size()) return std::nullopt;
    const std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }
  std::optional<uint8_t> Byte() {
    const auto bytes = Bytes(1);
    return bytes ? std::optional(static_cast<uint8_t>((*bytes)[0])) : std::nullopt;
  }
  template <typename T>
  std::optional<T> Little() {
    const auto bytes = Bytes(sizeof(T));
    return bytes ? std::optional(LoadLittle<T>(bytes->data())) : std::nullopt;
  }
  template <typename T>
  std::optional<T> Big() {
    const auto bytes = Bytes(sizeof(T));
    return bytes ? std::optional(LoadBig<T>(bytes->data())) : std::nullopt;
  }
  std::optional<int64_t> Little24() {
    const auto bytes = Bytes(3);
    if (!bytes) return std::nullopt;
    const auto low = LoadLittle<uint16_t>(bytes->data());
    return int64_t{static_cast<int8_t>((*bytes)[2])} * 65536 + low;
  }

 private:
  std::string_view rest_;
};

template <typename T>
std::optional<std::string> Decimal(std::optional<T> value) {
  if (!value) return std::nullopt;
  return fmt::format_int(int64_t{*value}).str();
}

std::optional<std::string> Owned(std::optional<std::string_view> bytes) {
  if (!bytes) return std::nullopt;
  return std::string(*bytes);
}

// LZF (liblzf): literal runs, and references back into the output. `length` is checked, not trusted.
std::optional<std::string> Decompress(std::string_view compressed, uint64_t length) {
  std::string out;
  Reader in(compressed);
  while (!in.empty()) {
    const uint8_t control = *in.Byte();
    if (control < 0x20) {
      const auto literal = in.Bytes(control + size_t{1});
      if (!literal || out.size() + literal->size() > length) return std::nullopt;
      out.append(*literal);
      continue;
    }
    size_t run = (control >> 5) + size_t{2};
    if (control >= 0xe0) {
      const auto more = in.Byte();
      if (!more) return std::nullopt;
      run += *more;
    }
    const auto low = in.Byte();
    if (!low) return std::nullopt;
    const size_t back = (static_cast<size_t>(control & 0x1f) << 8) + *low + 1;
    if (back > out.size() || out.size() + run > length) return std::nullopt;
    // Byte by byte: a reference may overlap what it produces.
    for (size_t from = out.size() - back; run > 0; --run) out.push_back(out[from++]);
  }
  if (out.size() != length) return std::nullopt;
  return out;
}

struct Length {
  uint64_t value = 0;
  bool encoded = false;  // value is a StringEncoding
};

std::optional<Length> ReadLength(Reader* in) {
  const auto first = in->Byte();
  if (!first) return std::nullopt;
  switch (*first >> 6) {
    case 0:
      return Length{*first, false};
    case 1: {
      const auto second = in->Byte();
      if (!second) return std::nullopt;
      return Length{(static_cast<uint64_t>(*first & 0x3f) << 8) | *second, false};
    }
    case 3:
      return Length{static_cast<uint64_t>(*first & 0x3f), true};
    default:
      break;
  }
  std::optional<uint64_t> value;
  if (*first == kLength32) value = in->Big<uint32_t>();
  if (*first == kLength64) value = in->Big<uint64_t>();
  if (!value) return std::nullopt;
  return Length{*value, false};
}

std::optional<std::string> ReadLzf(Reader* in) {
  const auto compressed = ReadLength(in);
  const auto length = ReadLength(in);
  if (!compressed || !length || compressed->encoded || length->encoded) return std::nullopt;
  const auto bytes = in->Bytes(compressed->value);
  return bytes ? Decompress(*bytes, length->value) : std::nullopt;
}

std::optional<std::string> ReadString(Reader* in) {
  const auto length = ReadLength(in);
  if (!length) return std::nullopt;
  if (!length->encoded) return Owned(in->Bytes(length->value));
  switch (length->value) {
    case kInt8:
      return Decimal(in->Little<int8_t>());
    case kInt16:
      return Decimal(in->Little<int16_t>());
    case kInt32:
      return Decimal(in->Little<int32_t>());
    case kLzf:
      return ReadLzf(in);
    default:
      return std::nullopt;
  }
}

// Bytes that a listpack entry of `bytes` puts behind itself to be walked backwards.
size_t BackLengthBytes(size_t bytes) {
  if (bytes <= 127) return 1;
  if (bytes < 16383) return 2;
  if (bytes < 2097151) return 3;
  return bytes < 268435455 ? 4 : 5;
}

std::optional<std::string> ReadListpackValue(Reader* in) {
  const auto first = in->Byte();
  if (!first) return std::nullopt;
  if (*first < 0x80) return Decimal(std::optional<int64_t>(*first));
  if (*first < 0xc0) return Owned(in->Bytes(*first & 0x3f));
  if (*first < 0xf0) {
    const auto second = in->Byte();
    if (!second) return std::nullopt;
    if (*first >= 0xe0) return Owned(in->Bytes((static_cast<uint64_t>(*first & 0x0f) << 8) | *second));
    const int64_t value = ((*first & 0x1f) << 8) | *second;
    return Decimal(std::optional(value >= 1 << 12 ? value - (1 << 13) : value));
  }
  switch (*first) {
    case 0xf0: {
      const auto length = in->Little<uint32_t>();
      return length ? Owned(in->Bytes(*length)) : std::nullopt;
    }
    case 0xf1:
      return Decimal(in->Little<int16_t>());
    case 0xf2:
      return Decimal(in->Little24());
    case 0xf3:
      return Decimal(in->Little<int32_t>());
    case 0xf4:
      return Decimal(in->Little<int64_t>());
    default:
      return std::nullopt;
  }
}

std::optional<std::string> ReadListpackEntry(Reader* in) {
  const size_t before = in->size();
  auto value = ReadListpackValue(in);
  if (!value || !in->Bytes(BackLengthBytes(before - in->size()))) return std::nullopt;
  return value;
}

std::optional<std::string> ReadZiplistEntry(Reader* in) {
  const auto previous = in->Byte();
  if (!previous || (*previous == 0xfe && !in->Bytes(4))) return std::nullopt;
  const auto first = in->Byte();
  if (!first) return std::nullopt;
  switch (*first >> 6) {
    case 0:
      return Owned(in->Bytes(*first));
    case 1: {
      const auto second = in->Byte();
      return second ? Owned(in->Bytes((static_cast<uint64_t>(*first & 0x3f) << 8) | *second)) : std::nullopt;
    }
    case 2: {
      const auto length = in->Big<uint32_t>();
      return length ? Owned(in->Bytes(*length)) : std::nullopt;
    }
    default:
      break;
  }
  switch (*first) {
    case 0xc0:
      return Decimal(in->Little<int16_t>());
    case 0xd0:
      return Decimal(in->Little<int32_t>());
    case 0xe0:
      return Decimal(in->Little<int64_t>());
    case 0xf0:
      return Decimal(in->Little24());
    case 0xfe:
      return Decimal(in->Little<int8_t>());
    default:
      break;
  }
  if (*first < 0xf1 || *first > 0xfd) return std::nullopt;
  return Decimal(std::optional<int64_t>(*first - 0xf1));
}

using Fields = std::vector<std::pair<std::string, std::string>>;

// The entries between a packed list's header and its end byte, as fields and values in turn.
absl::Status ReadPacked(std::string_view list, size_t header_bytes, uint16_t count,
                        std::optional<std::string> (*read_entry)(Reader*), Fields* fields) {
  // 65535 stands for "count them".
  constexpr uint16_t kUnknown = std::numeric_limits<uint16_t>::max();
  if (LoadLittle<uint32_t>(list.data()) != list.size()) return Malformed("length of a packed list");
  if (static_cast<uint8_t>(list.back()) != 0xff) return Malformed("end of a packed list");
  Reader entries(list.substr(header_bytes, list.size() - header_bytes - 1));
  size_t read = 0;
  while (!entries.empty()) {
    auto field = read_entry(&entries);
    if (!field) return Malformed("entry of a packed list");
    auto value = read_entry(&entries);
    if (!value) return Malformed("entry of a packed list");
    fields->emplace_back(*std::move(field), *std::move(value));
    read += 2;
  }
  if (count != kUnknown && count != read) return Malformed("count of a packed list");
  return absl::OkStatus();
}

absl::Status ReadListpack(std::string_view list, Fields* fields) {
  constexpr size_t kHeaderBytes = 6;
  if (list.size() < kHeaderBytes + 1) return Malformed("listpack");
  return ReadPacked(list, kHeaderBytes, LoadLittle<uint16_t>(list.data() + 4), ReadListpackEntry, fields);
}

absl::Status ReadZiplist(std::string_view list, Fields* fields) {
  constexpr size_t kHeaderBytes = 10;
  if (list.size() < kHeaderBytes + 1) return Malformed("ziplist");
  return ReadPacked(list, kHeaderBytes, LoadLittle<uint16_t>(list.data() + 8), ReadZiplistEntry, fields);
}

absl::Status ReadHash(Reader* in, Fields* fields) {
  const auto count = ReadLength(in);
  if (!count || count->encoded) return Malformed("count of a hash");
  for (uint64_t i = 0; i < count->value; ++i) {
    auto field = ReadString(in);
    auto value = ReadString(in);
    if (!field || !value) return Malformed("field of a hash");
    fields->emplace_back(*std::move(field), *std::move(value));
  }
  return absl::OkStatus();
}

absl::Status CheckFields(const Fields& fields) {
  if (fields.empty()) return Malformed("hash: it is empty");
  std::unordered_set<std::string_view> names;
  for (const auto& [name, value] : fields) {
    if (!names.insert(name).second) return Malformed("hash: a field stands twice");
  }
  return absl::OkStatus();
}

absl::Status ReadHashOf(uint8_t type, Reader* in, Fields* fields) {
  if (type == kTypeHash) return ReadHash(in, fields);
  const auto list = ReadString(in);
  if (!list) return Malformed("packed list");
  return type == kTypeHashListpack ? ReadListpack(*list, fields) : ReadZiplist(*list, fields);
}

void AppendLength(uint64_t length, std::string* out) {
  if (length < 1 << 6) {
    out->push_back(static_cast<char>(length));
  } else if (length < 1 << 14) {
    AppendBig<uint16_t>(out, static_cast<uint16_t>(length | 0x4000));
  } else if (length <= std::numeric_limits<uint32_t>::max()) {
    out->push_back(static_cast<char>(kLength32));
    AppendBig<uint32_t>(out, static_cast<uint32_t>(length));
  } else {
    out->push_back(static_cast<char>(kLength64));
    AppendBig<uint64_t>(out, length);
  }
}

template <typename T>
bool Fits(int64_t value) {
  return value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max();
}

bool AppendInteger(std::string_view bytes, std::string* out) {
  if (bytes.size() > kIntegerCharsMax) return false;
  const std::optional<int64_t> value = ParseInt64(bytes);
  if (!value || !Fits<int32_t>(*value)) return false;
  if (Fits<int8_t>(*value)) {
    out->push_back(static_cast<char>(kEncodedString | kInt8));
    AppendLittle<int8_t>(out, static_cast<int8_t>(*value));
  } else if (Fits<int16_t>(*value)) {
    out->push_back(static_cast<char>(kEncodedString | kInt16));
    AppendLittle<int16_t>(out, static_cast<int16_t>(*value));
  } else {
    out->push_back(static_cast<char>(kEncodedString | kInt32));
    AppendLittle<int32_t>(out, static_cast<int32_t>(*value));
  }
  return true;
}

void AppendFooter(std::string* payload) {
  AppendLittle<uint16_t>(payload, kRdbVersion);
  AppendLittle<uint64_t>(payload, Crc64(*payload));
}

}  // namespace

absl::StatusOr<RdbValue> DecodeRdbPayload(std::string_view payload) {
  const auto wrong = [] { return absl::DataLossError("version or checksum are wrong"); };
  if (payload.size() < kFooterBytes) return wrong();
  const char* footer = payload.data() + payload.size() - kFooterBytes;
  if (LoadLittle<uint16_t>(footer) > kRdbVersion) return wrong();
  if (LoadLittle<uint64_t>(footer + 2) != Crc64(payload.substr(0, payload.size() - 8))) return wrong();
  return DecodeRdbBody(payload.substr(0, payload.size() - kFooterBytes));
}

absl::StatusOr<RdbValue> DecodeRdbBody(std::string_view body) {
  Reader in(body);
  const auto type = in.Byte();
  if (!type) return Malformed("value: it is empty");
  RdbValue value;
  switch (*type) {
    case kTypeString: {
      auto string = ReadString(&in);
      if (!string) return Malformed("string");
      value.string = *std::move(string);
      break;
    }
    case kTypeHash:
    case kTypeHashZiplist:
    case kTypeHashListpack:
      value.kind = RdbValue::Kind::kHash;
      TM_RETURN_IF_ERROR(ReadHashOf(*type, &in, &value.fields));
      TM_RETURN_IF_ERROR(CheckFields(value.fields));
      break;
    default:
      return Errorf(absl::StatusCode::kUnimplemented, "values of RDB type {} are unknown here", *type);
  }
  if (!in.empty()) return Malformed("value: bytes are left over");
  return value;
}

std::string RdbStringPayload(std::string_view value) {
  std::string payload(1, static_cast<char>(kTypeString));
  payload.reserve(value.size() + 32);
  AppendRdbString(value, &payload);
  AppendFooter(&payload);
  return payload;
}

std::string RdbHashPayload(uint64_t count, std::string_view fields) {
  std::string payload(1, static_cast<char>(kTypeHash));
  payload.reserve(fields.size() + 32);
  AppendLength(count, &payload);
  payload.append(fields);
  AppendFooter(&payload);
  return payload;
}

void AppendRdbString(std::string_view bytes, std::string* out) {
  if (AppendInteger(bytes, out)) return;
  AppendLength(bytes.size(), out);
  out->append(bytes);
}

}  // namespace tidemark::format
