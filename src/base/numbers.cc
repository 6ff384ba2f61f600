#include "base/numbers.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace tidemark {
namespace {

// Redis's MAX_LONG_DOUBLE_CHARS: the longest long double that "%.17Lf" prints fits.
constexpr size_t kLongDoubleChars = 5 * 1024;

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// One way to write each number: a digit other than zero first, or a lone zero.
bool IsCanonicalDigits(std::string_view digits) {
  if (digits.empty()) return false;
  return (digits[0] >= '1' && digits[0] <= '9') || digits == "0";
}

template <typename T>
std::optional<T> FromChars(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <typename T, T (*Convert)(const char*, char**)>
std::optional<T> ParseFloat(std::string_view text) {
  if (text.empty() || text.size() >= kLongDoubleChars || IsSpace(text[0])) return std::nullopt;
  char small[256];
  std::string large;
  const char* start = small;
  if (text.size() < sizeof(small)) {
    std::memcpy(small, text.data(), text.size());
    small[text.size()] = '\0';
  } else {
    large = text;
    start = large.c_str();
  }
  char* end = nullptr;
  errno = 0;
  const T value = Convert(start, &end);
  if (static_cast<size_t>(end - start) != text.size() || std::isnan(value)) return std::nullopt;
  if (errno == ERANGE && (std::isinf(value) || value == 0)) return std::nullopt;
  return value;
}

}  // namespace

std::optional<int64_t> ParseInt64(std::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  const std::string_view digits = text.substr(negative ? 1 : 0);
  if (!IsCanonicalDigits(digits) || (negative && digits == "0")) return std::nullopt;
  return FromChars<int64_t>(text);
}

std::optional<uint64_t> ParseUint64(std::string_view text) {
  if (!IsCanonicalDigits(text)) return std::nullopt;
  return FromChars<uint64_t>(text);
}

std::optional<double> ParseDouble(std::string_view text) { return ParseFloat<double, std::strtod>(text); }

std::optional<long double> ParseLongDouble(std::string_view text) {
  return ParseFloat<long double, std::strtold>(text);
}

size_t FormatDouble(double value, char* out) {
  std::string_view name;
  if (std::isnan(value)) name = "nan";
  if (std::isinf(value)) name = value > 0 ? "inf" : "-inf";
  if (!name.empty()) return name.copy(out, name.size());

  // Up to 2^52 an integer prints the same without a point, and much faster.
  constexpr double kExact = 4503599627370496.0;
  if (value > -kExact && value < kExact && value == std::trunc(value) && (value != 0 || !std::signbit(value))) {
    return static_cast<size_t>(std::to_chars(out, out + kDoubleChars, static_cast<int64_t>(value)).ptr - out);
  }
  const int length = std::snprintf(out, kDoubleChars, "%.17g", value);
  TM_CHECK(length > 0 && static_cast<size_t>(length) < kDoubleChars);
  return static_cast<size_t>(length);
}

std::string FormatDouble(double value) {
  char buffer[kDoubleChars];
  return std::string(buffer, FormatDouble(value, buffer));
}

std::string FormatLongDouble(long double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::vector<char> buffer(kLongDoubleChars);
  const int length = std::snprintf(buffer.data(), buffer.size(), "%.17Lf", value);
  TM_CHECK(length > 0 && static_cast<size_t>(length) < buffer.size());
  std::string text(buffer.data(), static_cast<size_t>(length));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

}  // namespace tidemark
