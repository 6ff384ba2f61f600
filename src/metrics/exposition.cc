#include "metrics/exposition.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>

#include "base/check.h"

namespace tidemark::metrics {
namespace {

bool IsName(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:") ==
         std::string_view::npos;
}

void AppendEscaped(std::string_view text, bool quotes, std::string* out) {
  for (const char c : text) {
    if (c == '\\') {
      *out += "\\\\";
    } else if (c == '\n') {
      *out += "\\n";
    } else if (c == '"' && quotes) {
      *out += "\\\"";
    } else {
      *out += c;
    }
  }
}

// Whole numbers whole: counters of bytes must not lose their last digits.
void AppendValue(double value, std::string* out) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (std::isnan(value)) {
    *out += "NaN";
  } else if (value == std::floor(value) && std::fabs(value) < kExact) {
    fmt::format_to(std::back_inserter(*out), "{}", static_cast<int64_t>(value));
  } else {
    fmt::format_to(std::back_inserter(*out), "{}", value);
  }
}

}  // namespace

Page& Page::Family(std::string_view name, Type type, std::string_view help) {
  TM_CHECK(IsName(name));
  TM_CHECK(families_.emplace(name).second);
  family_ = name;
  fmt::format_to(std::back_inserter(text_), "# HELP {} ", name);
  AppendEscaped(help, false, &text_);
  fmt::format_to(std::back_inserter(text_), "\n# TYPE {} {}\n", name, type == Type::kCounter ? "counter" : "gauge");
  return *this;
}

Page& Page::Sample(double value, std::initializer_list<Label> labels) {
  TM_CHECK(!family_.empty());
  text_ += family_;
  char separator = '{';
  for (const Label& label : labels) {
    TM_CHECK(IsName(label.name));
    text_ += separator;
    text_ += label.name;
    text_ += "=\"";
    AppendEscaped(label.value, true, &text_);
    text_ += '"';
    separator = ',';
  }
  if (separator == ',') text_ += '}';
  text_ += ' ';
  AppendValue(value, &text_);
  text_ += '\n';
  return *this;
}

}  // namespace tidemark::metrics
