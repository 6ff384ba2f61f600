// Reading files and flags. The syntax is redis.conf's: a name and its words a line, quotes as in inline commands, '#'
// before a comment line, `include FILE`. Flags are the same lines with "--" before the name.
#include <filesystem>

#include "base/arguments.h"
#include "config/config.h"
#include "config/syntax.h"

namespace tidemark::config {
namespace {

constexpr int kDeepestInclude = 16;

bool IsFlag(std::string_view argument) { return argument.starts_with("--"); }

absl::Status AtPlace(const std::string& place, const absl::Status& status) {
  return Errorf(status.code(), "{}: {}", place, Message(status));
}

}  // namespace

bool IsList(const Option& option) {
  return option.type == Type::kWords || option.type == Type::kSavePoints || option.type == Type::kOutputLimits ||
         option.type == Type::kEndpoint;
}

absl::StatusOr<const Option*> NamedOption(std::string_view name) {
  const Option* const option = FindOption(name);
  if (option != nullptr) return option;
  const std::string nearest = NearestName(name);
  if (nearest.empty()) return InvalidArgument("unknown option \"{}\"", name);
  return InvalidArgument("unknown option \"{}\"; did you mean \"{}\"?", name, nearest);
}

absl::StatusOr<Value> ParseWordsOf(const Option& option, std::span<const std::string_view> words,
                                   const Value& current) {
  if (words.empty()) return InvalidArgument("\"{}\" needs a value", option.name);
  if (!IsList(option) && words.size() > 1) {
    return InvalidArgument("\"{}\" takes one value, not {}; put it in quotes if it has spaces", option.name,
                           words.size());
  }
  std::string text(words[0]);
  for (const std::string_view word : words.subspan(1)) text.append(" ").append(word);
  if (option.type == Type::kSavePoints && !text.empty() && !current.text.empty()) text = current.text + " " + text;
  absl::StatusOr<Value> value = ParseValue(option, text, current);
  if (!value.ok()) {
    const std::string shown = option.secret ? "" : fmt::format(" \"{}\"", text);
    return InvalidArgument("\"{}\"{}: {}", option.name, shown, Message(value.status()));
  }
  return value;
}

absl::Status Config::LoadArguments(std::span<const std::string> arguments) {
  if (!arguments.empty() && !IsFlag(arguments[0])) {
    const std::string& path = arguments[0];
    if (path.size() > 1 && path[0] == '-') return InvalidArgument("{}: flags begin with two dashes", path);
    TM_RETURN_IF_ERROR(LoadFile(path, 0));
    if (path != "-") file_ = std::filesystem::absolute(path).lexically_normal().string();
    arguments = arguments.subspan(1);
  }
  return LoadFlags(arguments);
}

absl::StatusOr<bool> Config::TakeUserLine(std::span<const std::string_view> words) {
  if (words[0] != "user") return false;
  if (words.size() < 2) return InvalidArgument("\"user\" needs a name");
  user_lines_.push_back(fmt::format("{}", fmt::join(words, " ")));
  return true;
}

absl::Status Config::LoadFlags(std::span<const std::string> arguments) {
  for (size_t i = 0; i < arguments.size();) {
    if (!IsFlag(arguments[i])) return InvalidArgument("\"{}\": a flag was expected here", arguments[i]);
    std::string_view name = std::string_view(arguments[i]).substr(2);
    std::vector<std::string_view> words;
    if (const size_t equals = name.find('='); equals != std::string_view::npos) {
      words.push_back(name.substr(equals + 1));
      name = name.substr(0, equals);
    }
    for (++i; i < arguments.size() && !IsFlag(arguments[i]); ++i) words.emplace_back(arguments[i]);
    const std::string place = fmt::format("flag --{}", name);
    std::vector<std::string_view> line = {name};
    line.insert(line.end(), words.begin(), words.end());
    const absl::StatusOr<bool> is_user = TakeUserLine(line);
    if (!is_user.ok()) return AtPlace(place, is_user.status());
    if (*is_user) continue;
    const absl::StatusOr<const Option*> option = NamedOption(name);
    if (!option.ok()) return AtPlace(place, option.status());
    const size_t index = IndexOf(**option);
    const absl::StatusOr<Value> value = ParseWordsOf(**option, words, ValueAt(index));
    if (!value.ok()) return AtPlace(place, value.status());
    Store(index, *value);
  }
  return absl::OkStatus();
}

absl::Status Config::LoadFile(const std::string& path, int depth) {
  if (!files_.read) return absl::FailedPreconditionError("no files to read from");
  const absl::StatusOr<std::string> text = files_.read(path);
  if (!text.ok()) return AtPlace(path == "-" ? "standard input" : path, text.status());
  return LoadLines(*text, path == "-" ? "standard input" : path, depth);
}

absl::Status Config::LoadText(std::string_view text, const std::string& source) { return LoadLines(text, source, 0); }

absl::Status Config::LoadLines(std::string_view text, const std::string& source, int depth) {
  int number = 0;
  for (const std::string_view line : Lines(text)) {
    const std::string place = fmt::format("{}, line {}", source, ++number);
    std::string storage;
    std::vector<std::string_view> words;
    if (IsComment(line)) continue;
    if (!SplitArguments(line, &storage, &words)) return InvalidArgument("{}: quotes are not balanced", place);
    if (words.empty()) continue;
    if (words[0] == "include" && words.size() == 2) {
      if (depth == kDeepestInclude) return InvalidArgument("{}: includes are nested too deeply", place);
      const absl::Status included = LoadFile(std::string(words[1]), depth + 1);
      if (!included.ok()) return AtPlace(place, included);
      continue;
    }
    const absl::StatusOr<bool> is_user = TakeUserLine(words);
    if (!is_user.ok()) return AtPlace(place, is_user.status());
    if (*is_user) continue;
    const absl::StatusOr<const Option*> option = NamedOption(words[0]);
    if (!option.ok()) return AtPlace(place, option.status());
    const size_t index = IndexOf(**option);
    const absl::StatusOr<Value> value = ParseWordsOf(**option, std::span(words).subspan(1), ValueAt(index));
    if (!value.ok()) return AtPlace(place, value.status());
    Store(index, *value);
  }
  return absl::OkStatus();
}

}  // namespace tidemark::config
