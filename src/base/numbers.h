// Numbers as text, exactly as Redis 7.0 reads and prints them: what a client may send where a number is
// expected, and the digits it gets back. Sources of the rules: Redis 7.0 src/util.c (string2ll, string2ld, ld2string).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidemark {

// One spelling a number: no spaces, no plus sign, no leading zeros, no "-0". Nothing when `text` is anything else
// or out of range.
std::optional<int64_t> ParseInt64(std::string_view text);
std::optional<uint64_t> ParseUint64(std::string_view text);

// What strtod and strtold take (decimal, exponent, hexadecimal, inf), without spaces around it. Nothing for nan,
// for overflow, for underflow to zero and for text that is empty or not wholly a number.
std::optional<double> ParseDouble(std::string_view text);
std::optional<long double> ParseLongDouble(std::string_view text);

// Room that every FormatDouble fits in.
inline constexpr size_t kDoubleChars = 32;

// 17 significant digits ("%.17g"); "inf", "-inf" and "nan" for the rest. Writes into `out`, which has at least
// kDoubleChars bytes, and returns the length; no terminating zero.
size_t FormatDouble(double value, char* out);
std::string FormatDouble(double value);

// 17 digits after the point with the zeros at the end cut away, never an exponent: what INCRBYFLOAT stores and answers.
std::string FormatLongDouble(long double value);

}  // namespace tidemark
