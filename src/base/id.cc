#include "base/id.h"

#include <charconv>

namespace tidemark {

std::string IdToHex(const Id128& id) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * id.size());
  for (const uint8_t byte : id) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

std::optional<Id128> IdFromHex(std::string_view hex) {
  Id128 id{};
  if (hex.size() != 2 * id.size()) return std::nullopt;
  for (size_t i = 0; i < id.size(); ++i) {
    const char* pair = hex.data() + 2 * i;
    const auto [end, error] = std::from_chars(pair, pair + 2, id[i], 16);
    if (error != std::errc() || end != pair + 2) return std::nullopt;
  }
  return id;
}

}  // namespace tidemark
