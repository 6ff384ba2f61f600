// The three hashes of the project, so that nobody picks a fourth: CRC-32C for integrity on disk and wire,
// XXH3 for tables and content identity, CRC-16/XMODEM for Redis Cluster's hash slots.
#pragma once

#include <cstdint>
#include <string_view>

namespace tidemark {

// CRC-32C (Castagnoli), hardware-assisted; `seed` is the CRC of the bytes before, 0 at the start.
uint32_t Crc32c(std::string_view bytes, uint32_t seed = 0);

uint64_t Hash64(std::string_view bytes);

// XXH3 with 128 bits.
struct Hash128 {
  uint64_t high = 0;
  uint64_t low = 0;
  bool operator==(const Hash128&) const = default;
};
Hash128 WideHash(std::string_view bytes);

// Slot 0..16383 of a key, by the part between the first '{' and the next '}' if that is not empty
// (Redis Cluster specification, "Hash tags").
uint16_t HashSlot(std::string_view key);

}  // namespace tidemark
