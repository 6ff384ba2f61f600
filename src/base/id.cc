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
  // from_chars would take upper case too, and names must have one form only.
  if (hex.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
  for (size_t i = 0; i < id.size(); ++i) std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, id[i], 16);
  return id;
}

}  // namespace tidemark
