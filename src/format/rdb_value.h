// One value as Redis's DUMP serializes it and RESTORE reads it, so that keys can be moved between Redis and this server
// by the tools that use those two commands.
//
// A payload is (sources: Redis 7.0 src/rdb.c, src/cluster.c createDumpPayload, src/listpack.c, src/ziplist.c,
// src/lzf_d.c):
//   1 byte   type: 0 string, 4 hash, 13 hash as a ziplist, 16 hash as a listpack
//            string: a string · hash: a length, then so many fields and values as strings · the other two: one string,
//            whose bytes are the ziplist or listpack with fields and values in turn
//   2 bytes  RDB version, little-endian; written: 10, read: up to 10
//   8 bytes  CRC-64 of all before (polynomial of Jones, reflected), little-endian
// A length is 6, 14, 32 or 64 bits by its first two bits; a string is a length and its bytes, or, marked by the first
// two bits, an integer of 1, 2 or 4 bytes or an LZF-compressed string.
//
// Pure functions over bytes. Input may be anything: it is never trusted, and memory is bounded by what the input really
// holds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace tidemark::format {

inline constexpr uint16_t kRdbVersion = 10;

struct RdbValue {
  enum class Kind : uint8_t { kString, kHash };
  Kind kind = Kind::kString;
  std::string string;
  std::vector<std::pair<std::string, std::string>> fields;  // of a hash; at least one, none twice
};

// DATA_LOSS when version or checksum are wrong, UNIMPLEMENTED for a type that is not among those above,
// INVALID_ARGUMENT when the value itself is malformed.
absl::StatusOr<RdbValue> DecodeRdbPayload(std::string_view payload);
// The part of a payload before version and checksum.
absl::StatusOr<RdbValue> DecodeRdbBody(std::string_view body);

// Whole payloads. Strings that are integers of up to 32 bits are written as such; nothing is compressed.
std::string RdbStringPayload(std::string_view value);
// `fields` holds `count` fields and values in turn, each as AppendRdbString wrote it.
std::string RdbHashPayload(uint64_t count, std::string_view fields);
void AppendRdbString(std::string_view bytes, std::string* out);

}  // namespace tidemark::format
