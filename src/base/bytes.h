// Fixed-width and variable-length integers in byte strings. Little-endian where nobody compares the
// bytes (log, values), big-endian where byte order must be number order (row keys).
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tidemark {

static_assert(std::endian::native == std::endian::little, "the formats are written for little-endian machines");

template <typename T>
void AppendLittle(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

template <typename T>
void StoreLittle(char* out, T value) {
  std::memcpy(out, &value, sizeof(T));
}

template <typename T>
T LoadLittle(const char* in) {
  T value;
  std::memcpy(&value, in, sizeof(T));
  return value;
}

inline uint16_t ByteSwap(uint16_t v) { return __builtin_bswap16(v); }
inline uint32_t ByteSwap(uint32_t v) { return __builtin_bswap32(v); }
inline uint64_t ByteSwap(uint64_t v) { return __builtin_bswap64(v); }

template <typename T>
void AppendBig(std::string* out, T value) {
  AppendLittle(out, ByteSwap(value));
}

template <typename T>
void StoreBig(char* out, T value) {
  StoreLittle(out, ByteSwap(value));
}

template <typename T>
T LoadBig(const char* in) {
  return ByteSwap(LoadLittle<T>(in));
}

// LEB128, as in RocksDB and protobuf: seven bits a byte, low first.
inline void AppendVarint(std::string* out, uint64_t value) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

// Takes a varint off the front of *in. False, with *in unspecified, when it is cut or longer than 64 bits.
inline bool ConsumeVarint(std::string_view* in, uint64_t* value) {
  uint64_t result = 0;
  for (int shift = 0; shift <= 63; shift += 7) {
    if (in->empty()) return false;
    const auto byte = static_cast<uint8_t>(in->front());
    in->remove_prefix(1);
    if (shift == 63 && byte > 1) return false;
    result |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = result;
      return true;
    }
  }
  return false;
}

// Takes a varint length and that many bytes off the front of *in. False when cut short.
inline bool ConsumeLengthPrefixed(std::string_view* in, std::string_view* bytes) {
  uint64_t length = 0;
  if (!ConsumeVarint(in, &length) || length > in->size()) return false;
  *bytes = in->substr(0, length);
  in->remove_prefix(length);
  return true;
}

inline void AppendLengthPrefixed(std::string* out, std::string_view bytes) {
  AppendVarint(out, bytes.size());
  out->append(bytes);
}

}  // namespace tidemark
