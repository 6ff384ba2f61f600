#include "config/value.h"

#include <algorithm>
#include <vector>

#include "base/arguments.h"
#include "base/check.h"
#include "base/numbers.h"

namespace tidemark::config {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return lower;
}

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t start = text.find_first_not_of(" \t", at);
    if (start == std::string_view::npos) break;
    const size_t end = std::min(text.find_first_of(" \t", start), text.size());
    words.emplace_back(text.substr(start, end - start));
    at = end;
  }
  return words;
}

std::string Join(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

absl::StatusOr<Value> ParseBool(std::string_view text) {
  const std::string lower = Lower(text);
  if (lower != "yes" && lower != "no") return InvalidArgument("argument must be 'yes' or 'no'");
  return Value{lower, lower == "yes"};
}

absl::Status CheckRange(const Option& option, int64_t number) {
  if (number >= option.min && number <= option.max) return absl::OkStatus();
  return InvalidArgument("argument must be between {} and {} inclusive", option.min, option.max);
}

absl::StatusOr<Value> ParseInteger(const Option& option, std::string_view text) {
  const auto number = ParseInt64(text);
  if (!number) return InvalidArgument("argument couldn't be parsed into an integer");
  TM_RETURN_IF_ERROR(CheckRange(option, *number));
  return Value{fmt::format("{}", *number), *number};
}

absl::StatusOr<Value> ParseMemoryValue(const Option& option, std::string_view text) {
  const auto bytes = ParseMemory(text);
  if (!bytes) return InvalidArgument("argument must be a memory value");
  TM_RETURN_IF_ERROR(CheckRange(option, *bytes));
  return Value{fmt::format("{}", *bytes), *bytes};
}

absl::StatusOr<Value> ParseMemoryOrPercent(const Option& option, std::string_view text) {
  if (!text.ends_with('%')) {
    if (!ParseMemory(text)) return InvalidArgument("argument must be a memory or percent value");
    return ParseMemoryValue(option, text);
  }
  const auto percent = ParseUint64(text.substr(0, text.size() - 1));
  if (!percent) return InvalidArgument("argument must be a memory or percent value");
  if (*percent > 100) return InvalidArgument("percentage argument must be less or equal to 100");
  return Value{std::string(text), -static_cast<int64_t>(*percent)};
}

absl::StatusOr<Value> ParseEnum(const Option& option, std::string_view text) {
  const std::string wanted = Lower(text);
  std::vector<std::string> choices;
  for (std::string_view rest = option.choices; !rest.empty();) {
    const size_t end = std::min(rest.find('|'), rest.size());
    choices.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const auto found = std::find(choices.begin(), choices.end(), wanted);
  if (found != choices.end()) return Value{wanted, found - choices.begin()};
  if (!option.refusal.empty()) return InvalidArgument("{}", option.refusal);
  return InvalidArgument("argument(s) must be one of the following: {}", fmt::join(choices, ", "));
}

absl::StatusOr<Value> ParseWords(const Option& option, std::string_view text) {
  const std::vector<std::string> words = Words(text);
  if (option.name == "latency-tracking-info-percentiles") {
    for (const std::string& word : words) {
      const auto percent = ParseDouble(word);
      if (!percent || *percent < 0 || *percent > 100) {
        return InvalidArgument("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
      }
    }
  }
  if (option.name == "oom-score-adj-values") {
    if (words.size() != 3) return InvalidArgument("wrong number of arguments");
    for (const std::string& word : words) {
      const auto score = ParseInt64(word);
      if (!score || *score < -2000 || *score > 2000) {
        return InvalidArgument("Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
      }
    }
  }
  return Value{Join(words), 0};
}

absl::StatusOr<Value> ParseEndpoint(std::string_view text) {
  const std::vector<std::string> words = Words(text);
  if (words.empty() || (words.size() == 2 && Lower(words[0]) == "no" && Lower(words[1]) == "one")) return Value{};
  if (words.size() != 2) return InvalidArgument("wrong number of arguments");
  const auto port = ParseInt64(words[1]);
  if (!port || *port < 0 || *port > 65535) return InvalidArgument("Invalid master port");
  return Value{Join(words), 0};
}

absl::StatusOr<Value> ParseSavePoints(std::string_view text) {
  const std::vector<std::string> words = Words(text);
  bool valid = words.size() % 2 == 0;
  for (size_t i = 0; i < words.size(); ++i) {
    const auto number = ParseInt64(words[i]);
    valid &= number && *number >= (i % 2 == 0 ? 1 : 0);
  }
  if (!valid) return InvalidArgument("Invalid save parameters");
  return Value{Join(words), 0};
}

constexpr std::string_view kClassNames[] = {"normal", "slave", "pubsub"};

std::optional<size_t> ClassIndex(std::string_view name) {
  const std::string lower = Lower(name);
  if (lower == "replica") return 1;
  for (size_t i = 0; i < std::size(kClassNames); ++i) {
    if (lower == kClassNames[i]) return i;
  }
  return std::nullopt;
}

absl::Status ReadOutputLimits(std::string_view text, OutputLimits* limits) {
  const std::vector<std::string> words = Words(text);
  if (words.empty() || words.size() % 4 != 0) {
    return InvalidArgument("Wrong number of arguments in buffer limit configuration.");
  }
  for (size_t i = 0; i < words.size(); i += 4) {
    const auto index = ClassIndex(words[i]);
    if (!index) return InvalidArgument("Invalid client class specified in buffer limit configuration.");
    const auto hard = ParseMemory(words[i + 1]);
    const auto soft = ParseMemory(words[i + 2]);
    const auto seconds = ParseInt64(words[i + 3]);
    if (!hard || !soft || !seconds || *seconds < 0) {
      return InvalidArgument("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    }
    (*limits)[*index] = {static_cast<uint64_t>(*hard), static_cast<uint64_t>(*soft), *seconds};
  }
  return absl::OkStatus();
}

absl::StatusOr<Value> ParseOutputLimitsValue(std::string_view text, const Value& current) {
  OutputLimits limits{};
  if (!current.text.empty()) limits = ParseOutputLimits(current.text);
  TM_RETURN_IF_ERROR(ReadOutputLimits(text, &limits));
  std::vector<std::string> parts;
  for (size_t i = 0; i < limits.size(); ++i) {
    const OutputLimit& limit = limits[i];
    parts.push_back(fmt::format("{} {} {} {}", kClassNames[i], limit.hard_bytes, limit.soft_bytes, limit.soft_seconds));
  }
  return Value{Join(parts), 0};
}

struct EventLetter {
  char letter;
  int64_t bits;
};
// In the order in which Redis prints them.
constexpr EventLetter kEventLetters[] = {
    {'A', kEventAll},    {'g', kEventGeneric}, {'$', kEventString},     {'l', kEventList},       {'s', kEventSet},
    {'h', kEventHash},   {'z', kEventZset},    {'x', kEventExpired},    {'e', kEventEvicted},    {'t', kEventStream},
    {'d', kEventModule}, {'n', kEventNew},     {'K', kKeyspaceChannel}, {'E', kKeyeventChannel}, {'m', kEventKeyMiss},
};

absl::StatusOr<Value> ParseKeyspaceEvents(std::string_view text) {
  int64_t bits = 0;
  for (const char c : text) {
    const auto* const found = std::find_if(std::begin(kEventLetters), std::end(kEventLetters),
                                           [c](const EventLetter& known) { return known.letter == c; });
    if (found == std::end(kEventLetters)) {
      return InvalidArgument("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    }
    bits |= found->bits;
  }
  Value value{"", bits};
  for (const EventLetter& known : kEventLetters) {
    if ((bits & known.bits) != known.bits) continue;
    value.text += known.letter;
    bits &= ~known.bits;
  }
  return value;
}

}  // namespace

absl::StatusOr<Value> ParseValue(const Option& option, std::string_view text, const Value& current) {
  switch (option.type) {
    case Type::kBool:
      return ParseBool(text);
    case Type::kInteger:
      return ParseInteger(option, text);
    case Type::kMemory:
      return ParseMemoryValue(option, text);
    case Type::kMemoryOrPercent:
      return ParseMemoryOrPercent(option, text);
    case Type::kEnum:
      return ParseEnum(option, text);
    case Type::kString:
      return Value{std::string(text), 0};
    case Type::kWords:
      return ParseWords(option, text);
    case Type::kSavePoints:
      return ParseSavePoints(text);
    case Type::kOutputLimits:
      return ParseOutputLimitsValue(text, current);
    case Type::kKeyspaceEvents:
      return ParseKeyspaceEvents(text);
    case Type::kEndpoint:
      return ParseEndpoint(text);
  }
  TM_CHECK(false, "type of option {}", option.name);
}

namespace {

struct MemoryUnit {
  std::string_view name;
  int64_t bytes;
};
// Exact powers of two first: FormatMemory writes with the first that divides.
constexpr MemoryUnit kMemoryUnits[] = {
    {"gb", 1 << 30},  {"mb", 1 << 20}, {"kb", 1 << 10}, {"g", 1'000'000'000},
    {"m", 1'000'000}, {"k", 1000},     {"b", 1},        {"", 1},
};

}  // namespace

std::optional<int64_t> ParseMemory(std::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = ParseUint64(text.substr(0, digits));
  if (!number) return std::nullopt;
  const std::string unit = Lower(text.substr(digits));
  for (const MemoryUnit& known : kMemoryUnits) {
    if (known.name != unit) continue;
    const auto limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max() / known.bytes);
    if (*number > limit) return std::nullopt;
    return static_cast<int64_t>(*number) * known.bytes;
  }
  return std::nullopt;
}

std::string FormatMemory(int64_t bytes) {
  for (const MemoryUnit& unit : kMemoryUnits) {
    const bool binary = unit.name.ends_with('b') && unit.bytes > 1;
    if (binary && bytes >= unit.bytes && bytes % unit.bytes == 0)
      return fmt::format("{}{}", bytes / unit.bytes, unit.name);
  }
  return fmt::format("{}", bytes);
}

OutputLimits ParseOutputLimits(std::string_view canonical) {
  OutputLimits limits{};
  const absl::Status status = ReadOutputLimits(canonical, &limits);
  TM_CHECK(status.ok(), "{}: {}", canonical, Message(status));
  return limits;
}

}  // namespace tidemark::config
