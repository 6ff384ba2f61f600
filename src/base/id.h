// 128-bit random names: clusters, timelines, keys.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidemark {

using Id128 = std::array<uint8_t, 16>;

// 32 lower-case hexadecimal digits.
std::string IdToHex(const Id128& id);
// nullopt unless it is 32 such digits.
std::optional<Id128> IdFromHex(std::string_view hex);

}  // namespace tidemark
