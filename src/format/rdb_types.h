// The numbers of Redis's RDB format that reader and writer share (sources: Redis 7.0 and 7.4 src/rdb.h, Valkey 9.0
// src/rdb.h). docs/coming-from-redis.md tells what of it is read and written.
#pragma once

#include <cstdint>

namespace tidemark::format {

// Written: what Redis 7.0 reads. Read: Redis up to 7.4 (12), and Valkey from 9.0 on (80).
inline constexpr uint16_t kRdbVersion = 10;
inline constexpr uint16_t kRdbVersionMax = 12;
inline constexpr uint16_t kRdbVersionValkey = 80;
constexpr bool IsKnownRdbVersion(uint16_t version) {
  return (version >= 1 && version <= kRdbVersionMax) || version == kRdbVersionValkey;
}

// First byte of a value.
enum class RdbType : uint8_t {
  kString = 0,
  kList = 1,
  kSet = 2,
  kZset = 3,  // scores as text
  kHash = 4,
  kZset2 = 5,  // scores as binary numbers
  kModulePreGa = 6,
  kModule2 = 7,
  kHashZipmap = 9,
  kListZiplist = 10,
  kSetIntset = 11,
  kZsetZiplist = 12,
  kHashZiplist = 13,
  kListQuicklist = 14,
  kStreamListpacks = 15,
  kHashListpack = 16,
  kZsetListpack = 17,
  kListQuicklist2 = 18,
  kStreamListpacks2 = 19,
  kSetListpack = 20,
  kStreamListpacks3 = 21,
  // In version 12 a Redis that was never released; in version 80 Valkey's hash whose fields have times to live.
  kHash2 = 22,
  kHashListpackExPreGa = 23,
  kHashMetadata = 24,
  kHashListpackEx = 25,
};

enum RdbOpcode : uint8_t {
  kOpcodeFirst = 243,
  kOpcodeSlotImport = 243,
  kOpcodeSlotInfo = 244,
  kOpcodeFunction2 = 245,
  kOpcodeFunctionPreGa = 246,
  kOpcodeModuleAux = 247,
  kOpcodeIdle = 248,
  kOpcodeFreq = 249,
  kOpcodeAux = 250,
  kOpcodeResizeDb = 251,
  kOpcodeExpireMs = 252,
  kOpcodeExpireSeconds = 253,
  kOpcodeSelectDb = 254,
  kOpcodeEof = 255,
};

// A length whose first two bits are ones is one of these.
enum RdbStringEncoding : uint8_t { kRdbInt8 = 0, kRdbInt16 = 1, kRdbInt32 = 2, kRdbLzf = 3 };
inline constexpr uint8_t kRdbLength32 = 0x80;
inline constexpr uint8_t kRdbLength64 = 0x81;
inline constexpr uint8_t kRdbEncoded = 0xc0;

}  // namespace tidemark::format
