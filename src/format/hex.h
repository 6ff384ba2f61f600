// Numbers of fixed width in names, lower case only: what a listing in name order needs to be an order of numbers.
#pragma once

#include <cstdint>
#include <string_view>

namespace tidemark::format {

// False unless `digits` is 1 to 16 of 0-9 a-f. (from_chars would take upper case too.)
inline bool ParseHex(std::string_view digits, uint64_t* value) {
  if (digits.empty() || digits.size() > 16) return false;
  uint64_t result = 0;
  for (const char c : digits) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    result = result << 4 | static_cast<uint64_t>(digit);
  }
  *value = result;
  return true;
}

}  // namespace tidemark::format
