#include "format/rdb_packed.h"

#include <cstring>
#include <limits>

#include "base/bytes.h"
#include "base/numbers.h"

namespace tidemark::format {
namespace {

constexpr uint8_t kEnd = 0xff;

absl::Status Malformed(PackedKind kind) {
  switch (kind) {
    case PackedKind::kListpack:
      return absl::InvalidArgumentError("malformed listpack");
    case PackedKind::kZiplist:
      return absl::InvalidArgumentError("malformed ziplist");
    case PackedKind::kIntset:
      return absl::InvalidArgumentError("malformed intset");
    case PackedKind::kZipmap:
      return absl::InvalidArgumentError("malformed zipmap");
  }
  return absl::InvalidArgumentError("malformed packed list");
}

uint8_t At(std::string_view bytes, size_t index) { return static_cast<uint8_t>(bytes[index]); }

// Bytes that a listpack entry of `bytes` puts behind itself to be walked backwards.
size_t BackLengthBytes(size_t bytes) {
  if (bytes <= 127) return 1;
  if (bytes < 16383) return 2;
  if (bytes < 2097151) return 3;
  return bytes < 268435455 ? 4 : 5;
}

}  // namespace

absl::StatusOr<PackedList> PackedList::Open(PackedKind kind, std::string_view bytes) {
  std::optional<uint64_t> count;
  size_t header = 0;
  switch (kind) {
    case PackedKind::kListpack:
    case PackedKind::kZiplist: {
      header = kind == PackedKind::kListpack ? 6 : 10;
      if (bytes.size() < header + 1 || LoadLittle<uint32_t>(bytes.data()) != bytes.size()) return Malformed(kind);
      if (At(bytes, bytes.size() - 1) != kEnd) return Malformed(kind);
      // 65535 stands for "count them".
      const auto claimed = LoadLittle<uint16_t>(bytes.data() + header - 2);
      if (claimed != std::numeric_limits<uint16_t>::max()) count = claimed;
      return PackedList(kind, bytes.substr(header, bytes.size() - header - 1), count);
    }
    case PackedKind::kIntset: {
      if (bytes.size() < 8) return Malformed(kind);
      const auto width = LoadLittle<uint32_t>(bytes.data());
      count = LoadLittle<uint32_t>(bytes.data() + 4);
      if ((width != 2 && width != 4 && width != 8) || bytes.size() - 8 != *count * width) return Malformed(kind);
      PackedList list(kind, bytes.substr(8), count);
      list.integer_bytes_ = static_cast<uint8_t>(width);
      return list;
    }
    case PackedKind::kZipmap:
      if (bytes.size() < 2 || At(bytes, bytes.size() - 1) != kEnd) return Malformed(kind);
      if (At(bytes, 0) < 0xfe) count = uint64_t{At(bytes, 0)} * 2;
      return PackedList(kind, bytes.substr(1, bytes.size() - 2), count);
  }
  return Malformed(kind);
}

absl::StatusOr<std::optional<std::string_view>> PackedList::Next() {
  if (rest_.empty()) {
    if (count_ && *count_ != read_) return Malformed(kind_);
    return std::nullopt;
  }
  std::optional<std::string_view> entry;
  switch (kind_) {
    case PackedKind::kListpack:
      entry = NextListpack();
      break;
    case PackedKind::kZiplist:
      entry = NextZiplist();
      break;
    case PackedKind::kIntset:
      entry = NextInt();
      break;
    case PackedKind::kZipmap:
      entry = NextZipmap();
      break;
  }
  if (!entry) return Malformed(kind_);
  ++read_;
  return entry;
}

absl::StatusOr<std::string_view> PackedList::NextEntry() {
  TM_ASSIGN_OR_RETURN(const std::optional<std::string_view> entry, Next());
  if (!entry) return Malformed(kind_);
  return *entry;
}

absl::StatusOr<int64_t> PackedList::NextInteger() {
  TM_ASSIGN_OR_RETURN(const std::string_view entry, NextEntry());
  const std::optional<int64_t> value = ParseInt64(entry);
  if (!value) return Malformed(kind_);
  return *value;
}

std::optional<std::string_view> PackedList::Take(uint64_t count) {
  if (count > rest_.size()) return std::nullopt;
  const std::string_view bytes = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return bytes;
}

std::optional<std::string_view> PackedList::Decimal(int64_t value) {
  const fmt::format_int text(value);
  std::memcpy(digits_, text.data(), text.size());
  return std::string_view(digits_, text.size());
}

template <typename T>
std::optional<std::string_view> PackedList::TakeInteger() {
  const auto bytes = Take(sizeof(T));
  return bytes ? Decimal(LoadLittle<T>(bytes->data())) : std::nullopt;
}

template <typename T>
std::optional<T> PackedList::TakeBig() {
  const auto bytes = Take(sizeof(T));
  return bytes ? std::optional(LoadBig<T>(bytes->data())) : std::nullopt;
}

std::optional<std::string_view> PackedList::Take24() {
  const auto bytes = Take(3);
  if (!bytes) return std::nullopt;
  return Decimal(int64_t{static_cast<int8_t>((*bytes)[2])} * 65536 + LoadLittle<uint16_t>(bytes->data()));
}

std::optional<std::string_view> PackedList::ListpackValue() {
  const auto byte = Take(1);
  if (!byte) return std::nullopt;
  const uint8_t first = At(*byte, 0);
  if (first < 0x80) return Decimal(first);
  if (first < 0xc0) return Take(first & 0x3f);
  if (first < 0xf0) {
    const auto second = Take(1);
    if (!second) return std::nullopt;
    if (first >= 0xe0) return Take((static_cast<uint64_t>(first & 0x0f) << 8) | At(*second, 0));
    const int64_t value = ((first & 0x1f) << 8) | At(*second, 0);
    return Decimal(value >= 1 << 12 ? value - (1 << 13) : value);
  }
  switch (first) {
    case 0xf0: {
      const auto length = Take(4);
      return length ? Take(LoadLittle<uint32_t>(length->data())) : std::nullopt;
    }
    case 0xf1:
      return TakeInteger<int16_t>();
    case 0xf2:
      return Take24();
    case 0xf3:
      return TakeInteger<int32_t>();
    case 0xf4:
      return TakeInteger<int64_t>();
    default:
      return std::nullopt;
  }
}

std::optional<std::string_view> PackedList::NextListpack() {
  const size_t before = rest_.size();
  const auto value = ListpackValue();
  if (!value || !Take(BackLengthBytes(before - rest_.size()))) return std::nullopt;
  return value;
}

std::optional<std::string_view> PackedList::NextZiplist() {
  const auto previous = Take(1);
  if (!previous || (At(*previous, 0) == 0xfe && !Take(4))) return std::nullopt;
  const auto byte = Take(1);
  if (!byte) return std::nullopt;
  const uint8_t first = At(*byte, 0);
  switch (first >> 6) {
    case 0:
      return Take(first);
    case 1: {
      const auto second = Take(1);
      return second ? Take((static_cast<uint64_t>(first & 0x3f) << 8) | At(*second, 0)) : std::nullopt;
    }
    case 2: {
      const auto length = TakeBig<uint32_t>();
      return length ? Take(*length) : std::nullopt;
    }
    default:
      break;
  }
  switch (first) {
    case 0xc0:
      return TakeInteger<int16_t>();
    case 0xd0:
      return TakeInteger<int32_t>();
    case 0xe0:
      return TakeInteger<int64_t>();
    case 0xf0:
      return Take24();
    case 0xfe:
      return TakeInteger<int8_t>();
    default:
      break;
  }
  if (first < 0xf1 || first > 0xfd) return std::nullopt;
  return Decimal(first - 0xf1);
}

std::optional<std::string_view> PackedList::NextInt() {
  switch (integer_bytes_) {
    case 2:
      return TakeInteger<int16_t>();
    case 4:
      return TakeInteger<int32_t>();
    default:
      return TakeInteger<int64_t>();
  }
}

// Lengths of a byte, or 254 and four bytes; before a value stands how many unused bytes follow it.
std::optional<std::string_view> PackedList::NextZipmap() {
  const auto byte = Take(1);
  if (!byte) return std::nullopt;
  uint64_t length = At(*byte, 0);
  if (length > 0xfe) return std::nullopt;
  if (length == 0xfe) {
    const auto bytes = Take(4);
    if (!bytes) return std::nullopt;
    length = LoadLittle<uint32_t>(bytes->data());
  }
  const bool is_value = read_ % 2 == 1;
  uint8_t unused = 0;
  if (is_value) {
    const auto free = Take(1);
    if (!free) return std::nullopt;
    unused = At(*free, 0);
  }
  const auto entry = Take(length);
  if (!entry || !Take(unused)) return std::nullopt;
  return entry;
}

}  // namespace tidemark::format
