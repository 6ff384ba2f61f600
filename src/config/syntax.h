// The pieces of redis.conf's syntax that loading and rewriting share.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "config/option.h"
#include "config/value.h"

namespace tidemark::config {

// The lines of `text`, without their ends.
inline std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

inline bool IsComment(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t");
  return first != std::string_view::npos && line[first] == '#';
}

// Whether the option takes several words, and CONFIG's one argument is those words with spaces between.
bool IsList(const Option& option);

// INVALID_ARGUMENT with the nearest known name.
absl::StatusOr<const Option*> NamedOption(std::string_view name);

// The value that the words behind an option's name give it when it was `current` before: `save` lines add up, and a
// line of output limits changes the classes it names. Errors name the option and, unless it is secret, the words.
absl::StatusOr<Value> ParseWordsOf(const Option& option, std::span<const std::string_view> words, const Value& current);

}  // namespace tidemark::config
