// The name of a script: SHA-1 of its source in hexadecimal digits.
#pragma once

#include <array>
#include <string_view>

namespace tidemark::scripting {

using Sha1Name = std::array<char, 40>;

// Any thread. Some 200 ns for a short script.
Sha1Name Sha1(std::string_view bytes);

}  // namespace tidemark::scripting
