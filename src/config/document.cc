#include "config/document.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/option.h"
#include "config/value.h"

namespace tidemark::config {
namespace {

constexpr std::string_view kIntroduction = R"(# Configuration

Written from the table in `src/config/option_table.cc`; to change it, change the table and run
`TM_WRITE_DOCS=1 config_test`.

A file has one option a line, as in redis.conf: `name value`, `#` before a comment, quotes as in `"a b\n"` or `'a b'`, and
`include FILE`. The same names are flags, which win over the file:

    tidemark-server tidemark.conf --port 7000 --appendfsync always --save ""

`-` in the place of the file reads standard input. A value that begins with `--` is written `--name=value`. Bytes take
units: `1k` is 1000, `1kb` 1024, likewise `m`, `mb`, `g`, `gb`. An unknown name or a bad value stops the start.
Lines `user NAME RULE…` make users (docs/operations.md).

Running: whether `CONFIG SET` changes it without a restart. `CONFIG REWRITE` writes what was changed back into the file.
)";

// "a|b" would end a cell of the table.
std::string Cell(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c;
  }
  return cell;
}

bool IsMemory(const Option& option) { return option.type == Type::kMemory || option.type == Type::kMemoryOrPercent; }

std::string Default(const Option& option) {
  if (option.fallback.empty()) return "`\"\"`";
  if (const auto bytes = IsMemory(option) ? ParseMemory(option.fallback) : std::nullopt) {
    return fmt::format("`{}`", FormatMemory(*bytes));
  }
  return fmt::format("`{}`", Cell(option.fallback));
}

std::string Range(const Option& option) {
  const bool open =
      option.max == std::numeric_limits<int64_t>::max() || option.max == std::numeric_limits<int32_t>::max();
  const auto number = [&](int64_t n) { return IsMemory(option) ? FormatMemory(n) : fmt::format("{}", n); };
  if (open) return fmt::format("{} or more", number(option.min));
  return fmt::format("{} to {}", number(option.min), number(option.max));
}

std::string Values(const Option& option) {
  switch (option.type) {
    case Type::kBool:
      return "yes, no";
    case Type::kInteger:
      return Range(option);
    case Type::kMemory:
      return option.min == 0 && option.max == std::numeric_limits<int64_t>::max()
                 ? "bytes"
                 : fmt::format("bytes, {}", Range(option));
    case Type::kMemoryOrPercent:
      return "bytes or percent";
    case Type::kEnum: {
      std::string choices;
      for (const char c : option.choices) choices += c == '|' ? std::string(", ") : std::string(1, c);
      return choices;
    }
    case Type::kString:
      return "text";
    case Type::kWords:
      return "words";
    case Type::kSavePoints:
      return "seconds changes …";
    case Type::kOutputLimits:
      return "class hard soft seconds …";
    case Type::kKeyspaceEvents:
      return "letters";
    case Type::kEndpoint:
      return "host port";
  }
  return {};
}

std::string Meaning(const Option& option) {
  std::string meaning = option.no_effect ? "accepted for compatibility, no effect" : Cell(option.summary);
  if (!option.other_name.empty()) meaning += fmt::format("; also `{}`", option.other_name);
  return meaning;
}

}  // namespace

std::string Documentation() {
  std::string out(kIntroduction);
  for (const Section& section : Sections()) {
    out += fmt::format("\n## {}\n\n", section.title);
    if (!section.text.empty()) out += fmt::format("{}\n\n", section.text);
    out += "| name | values | default | running | meaning |\n|---|---|---|---|---|\n";
    for (const Option& option : section.options) {
      out += fmt::format("| `{}` | {} | {} | {} | {} |\n", option.name, Values(option), Default(option),
                         option.change == Change::kRunning ? "yes" : "no", Meaning(option));
    }
  }
  return out;
}

std::string HelpText() {
  std::string out;
  for (const Section& section : Sections()) {
    const auto shown = [](const Option& option) { return !option.no_effect; };
    if (std::none_of(section.options.begin(), section.options.end(), shown)) continue;
    out += fmt::format("{}:\n", section.title);
    for (const Option& option : section.options) {
      if (!shown(option)) continue;
      const bool bytes = IsMemory(option);
      const std::string fallback =
          bytes ? FormatMemory(ParseMemory(option.fallback).value_or(0)) : std::string(option.fallback);
      out += fmt::format("  --{:<36} {} [{}]\n", option.name, option.summary, fallback.empty() ? "\"\"" : fallback);
    }
  }
  return out;
}

}  // namespace tidemark::config
