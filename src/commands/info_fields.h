// How INFO's fields are written: one line each, "name:value".
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark::commands {

template <typename T>
void Field(std::string* out, std::string_view name, const T& value) {
  fmt::format_to(std::back_inserter(*out), "{}:{}\r\n", name, value);
}

// Fields of Redis that mean nothing here and that tools still look for.
inline void ZeroFields(std::string* out, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) Field(out, name, 0);
}

// A text from elsewhere as a field's value: nothing in it ends the line.
inline std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text;
}

// "1.50M", as Redis writes bytes for people (util.c, bytesToHuman).
inline std::string HumanBytes(uint64_t bytes) {
  static constexpr char kUnits[] = "KMGTPE";
  if (bytes < 1024) return fmt::format("{}B", bytes);
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (value /= 1024; value >= 1024 && unit + 2 < sizeof(kUnits); ++unit) value /= 1024;
  return fmt::format("{:.2f}{}", value, kUnits[unit]);
}

inline void BytesFields(std::string* out, std::string_view name, uint64_t bytes) {
  Field(out, name, bytes);
  Field(out, fmt::format("{}_human", name), HumanBytes(bytes));
}

}  // namespace tidemark::commands
