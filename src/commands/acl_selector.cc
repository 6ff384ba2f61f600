// One selector: which commands, which keys, which channels.
#include <algorithm>
#include <cctype>

#include "base/glob.h"
#include "commands/acl_rules.h"
#include "commands/server_families.h"

namespace tidemark::commands {
namespace {

absl::Status BadSyntax() { return absl::InvalidArgumentError("Syntax error"); }
absl::Status UnknownName() { return absl::InvalidArgumentError("Unknown command or category name in ACL"); }

bool HasSpaces(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c) != 0 || c == 0; });
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

bool IsIn(const CommandTable::Row& row, std::string_view category) {
  const std::vector<std::string_view> categories = AclCategories(row);
  return std::find(categories.begin(), categories.end(), category) != categories.end();
}

bool HasWord(std::string_view words, std::string_view word) {
  for (size_t at = words.find(word); at != std::string_view::npos; at = words.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || words[at - 1] == ' ') && (end == words.size() || words[end] == ' ')) return true;
  }
  return false;
}

// Null when there is none of that name, in lower case.
const CommandSpec* Subcommand(const CommandSpec& spec, std::string_view name) {
  for (const CommandSpec& sub : spec.subcommands) {
    if (sub.name == name) return &sub;
  }
  return nullptr;
}

// Whether any argument from `from` on is one of `words`.
bool Names(Args args, size_t from, std::initializer_list<std::string_view> words) {
  for (size_t i = from; i < args.size(); ++i) {
    for (const std::string_view word : words) {
      if (EqualsIgnoreCase(args[i], word)) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::string_view> KeyFlags(const CommandSpec& spec) {
  if (spec.key_flags.empty()) return {(spec.flags & kWrite) != 0 ? "RW update" : "RO access"};
  std::vector<std::string_view> parts;
  for (std::string_view rest = spec.key_flags; !rest.empty();) {
    const size_t end = std::min(rest.find('/'), rest.size());
    parts.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return parts;
}

std::string_view KeyFlagsOf(const CommandSpec& spec, Args args, size_t number) {
  const std::vector<std::string_view> flags = KeyFlags(spec);
  const std::string_view own = flags[std::min(number, flags.size() - 1)];
  if (!HasWord(own, "variable_flags")) return own;
  if (spec.name == "bitfield") return Names(args, 2, {"set", "incrby"}) ? "RW access update" : "RO access";
  return Names(args, 3, {"get"}) ? "RW access update" : "OW update";
}

KeyAccess AccessTo(const CommandSpec& spec, Args args, size_t number) {
  const std::string_view flags = KeyFlagsOf(spec, args, number);
  return {.is_key = !HasWord(flags, "not_key"),
          .reads = HasWord(flags, "access"),
          .writes = HasWord(flags, "insert") || HasWord(flags, "delete") || HasWord(flags, "update")};
}

AclSelector::AclSelector(bool all_channels)
    : allowed_(CommandTable::Get().rows().size()), rules_{"-@all"}, all_channels_(all_channels) {}

absl::Status AclSelector::Apply(std::string_view rule) {
  if (EqualsIgnoreCase(rule, "allkeys") || rule == "~*") {
    all_keys_ = true;
    keys_.clear();
  } else if (EqualsIgnoreCase(rule, "resetkeys")) {
    all_keys_ = false;
    keys_.clear();
  } else if (EqualsIgnoreCase(rule, "allchannels") || rule == "&*") {
    all_channels_ = true;
    channels_.clear();
  } else if (EqualsIgnoreCase(rule, "resetchannels")) {
    all_channels_ = false;
    channels_.clear();
  } else if (EqualsIgnoreCase(rule, "allcommands") || EqualsIgnoreCase(rule, "+@all")) {
    SetAllCommands(true);
  } else if (EqualsIgnoreCase(rule, "nocommands") || EqualsIgnoreCase(rule, "-@all")) {
    SetAllCommands(false);
  } else if (rule.starts_with('~') || rule.starts_with('%')) {
    return AddKeys(rule);
  } else if (rule.starts_with('&')) {
    return AddChannel(rule.substr(1));
  } else if (rule.size() > 1 && (rule[0] == '+' || rule[0] == '-')) {
    return ApplyCommand(rule);
  } else {
    return BadSyntax();
  }
  return absl::OkStatus();
}

absl::Status AclSelector::AddKeys(std::string_view rule) {
  if (all_keys_) {
    return absl::InvalidArgumentError(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try "
        "'resetkeys' to start with an empty list of patterns");
  }
  const size_t tilde = rule.find('~');
  if (tilde == std::string_view::npos) return BadSyntax();
  KeyPattern added{.read = tilde == 0, .write = tilde == 0, .pattern = std::string(rule.substr(tilde + 1))};
  for (const char c : rule.substr(0, tilde).substr(std::min<size_t>(tilde, 1))) {
    if (c != 'r' && c != 'R' && c != 'w' && c != 'W') return BadSyntax();
    (c == 'r' || c == 'R' ? added.read : added.write) = true;
  }
  if ((!added.read && !added.write) || HasSpaces(added.pattern)) return BadSyntax();
  for (KeyPattern& known : keys_) {
    if (known.pattern != added.pattern) continue;
    known.read |= added.read;
    known.write |= added.write;
    return absl::OkStatus();
  }
  keys_.push_back(std::move(added));
  return absl::OkStatus();
}

absl::Status AclSelector::AddChannel(std::string_view pattern) {
  if (all_channels_) {
    return absl::InvalidArgumentError(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. "
        "Try 'resetchannels' to start with an empty list of channels");
  }
  if (HasSpaces(pattern)) return BadSyntax();
  if (std::find(channels_.begin(), channels_.end(), pattern) == channels_.end()) channels_.emplace_back(pattern);
  return absl::OkStatus();
}

void AclSelector::SetAllCommands(bool allowed) {
  allowed_.assign(allowed_.size(), allowed);
  first_arguments_.clear();
  rules_ = {allowed ? "+@all" : "-@all"};
  all_commands_ = allowed;
}

// A command's subcommands go with it.
void AclSelector::SetRow(const CommandTable::Row& row, bool allowed) {
  const size_t number = CommandTable::Get().Number(*row.spec);
  allowed_[number] = allowed;
  first_arguments_.erase(number);
  for (const CommandSpec& sub : row.spec->subcommands) SetRow(CommandTable::Get().row(sub), allowed);
}

absl::Status AclSelector::ApplyCommand(std::string_view rule) {
  TM_RETURN_IF_ERROR(Allow(rule));
  Remember(rule);
  all_commands_ = rules_.size() == 1 && rules_[0] == "+@all";
  return absl::OkStatus();
}

absl::Status AclSelector::Allow(std::string_view rule) {
  const CommandTable& table = CommandTable::Get();
  const bool allowed = rule[0] == '+';
  const std::string name = Lower(rule.substr(1));
  if (name.starts_with('@')) {
    const auto known = AclCategoryNames();
    if (std::find(known.begin(), known.end(), name.substr(1)) == known.end()) return UnknownName();
    for (const CommandTable::Row& row : table.rows()) {
      if (IsIn(row, name.substr(1))) SetRow(row, allowed);
    }
    return absl::OkStatus();
  }
  const size_t bar = name.rfind('|');
  const std::string first = name.substr(0, std::min(name.find('|'), name.size()));
  const CommandSpec* spec = table.Find(first);
  if (spec == nullptr) return UnknownName();
  if (bar == std::string::npos) {
    SetRow(table.row(*spec), allowed);
    return absl::OkStatus();
  }
  const std::string argument = name.substr(bar + 1);
  if (bar != first.size()) {
    const CommandSpec* sub = Subcommand(*spec, name.substr(first.size() + 1, bar - first.size() - 1));
    if (sub == nullptr || !allowed) return UnknownName();
    return absl::InvalidArgumentError("Allowing first-arg of a subcommand is not supported");
  }
  if (const CommandSpec* sub = Subcommand(*spec, argument)) {
    SetRow(table.row(*sub), allowed);
    return absl::OkStatus();
  }
  if (argument.empty() && allowed) return BadSyntax();
  // A command without subcommands may be allowed with one first argument; to forbid one cannot be said.
  if (!spec->subcommands.empty() || !allowed) return UnknownName();
  std::vector<std::string>& arguments = first_arguments_[table.Number(*spec)];
  if (std::find(arguments.begin(), arguments.end(), argument) == arguments.end()) arguments.push_back(argument);
  return absl::OkStatus();
}

// Rules that this one makes void go; it stays itself only if it changes what the others say.
void AclSelector::Remember(std::string_view rule) {
  const std::string said = Lower(rule);
  const std::string_view name = std::string_view(said).substr(1);
  const auto is_void = [name](const std::string& earlier) {
    const std::string_view of = std::string_view(earlier).substr(1);
    return of == name || (of.size() > name.size() && of.starts_with(name) && of[name.size()] == '|');
  };
  rules_.erase(std::remove_if(rules_.begin() + 1, rules_.end(), is_void), rules_.end());
  AclSelector others;
  others.SetAllCommands(rules_[0] == "+@all");
  for (const std::string& earlier : std::span(rules_).subspan(1)) others.Allow(earlier).IgnoreError();
  if (!SameCommands(others)) rules_.push_back(said);
}

bool AclSelector::SameCommands(const AclSelector& other) const {
  return allowed_ == other.allowed_ && first_arguments_ == other.first_arguments_;
}

bool AclSelector::AllowsCommand(const CommandSpec& spec, Args args) const {
  if (all_commands_ || (spec.flags & kNoAuth) != 0) return true;
  const size_t number = CommandTable::Get().Number(spec);
  if (allowed_[number]) return true;
  const auto found = first_arguments_.find(number);
  if (found == first_arguments_.end() || args.size() < 2) return false;
  return std::any_of(found->second.begin(), found->second.end(),
                     [&](const std::string& argument) { return EqualsIgnoreCase(argument, args[1]); });
}

bool AclSelector::AllowsKey(std::string_view key, bool reads, bool writes) const {
  return std::any_of(keys_.begin(), keys_.end(), [&](const KeyPattern& pattern) {
    return (pattern.read || !reads) && (pattern.write || !writes) && GlobMatch(pattern.pattern, key);
  });
}

bool AclSelector::AllowsChannel(std::string_view channel, bool is_pattern) const {
  if (all_channels_) return true;
  return std::any_of(channels_.begin(), channels_.end(), [&](const std::string& pattern) {
    return is_pattern ? pattern == channel : GlobMatch(pattern, channel);
  });
}

AclVerdict AclSelector::Check(const CommandSpec& spec, Args args) const {
  if (!AllowsCommand(spec, args)) return {AclDenial::kCommand, 0};
  if (!all_keys_) {
    const std::vector<int> positions = FindKeys(spec, args);
    for (size_t i = 0; i < positions.size(); ++i) {
      const KeyAccess access = AccessTo(spec, args, i);
      const auto place = static_cast<size_t>(positions[i]);
      if (access.is_key && !AllowsKey(args[place], access.reads, access.writes)) return {AclDenial::kKey, place};
    }
  }
  if (all_channels_ || (spec.flags & kPubsub) == 0) return {};
  const bool publishes = spec.name == "publish" || spec.name == "spublish";
  const bool is_pattern = spec.name == "psubscribe";
  if (!publishes && !is_pattern && spec.name != "subscribe" && spec.name != "ssubscribe") return {};
  for (size_t i = 1; i < (publishes ? 2 : args.size()); ++i) {
    if (!AllowsChannel(args[i], is_pattern)) return {AclDenial::kChannel, i};
  }
  return {};
}

std::string AclSelector::Commands() const { return fmt::format("{}", fmt::join(rules_, " ")); }

std::string AclSelector::Keys() const {
  if (all_keys_) return "~*";
  std::string text;
  for (const KeyPattern& key : keys_) {
    const std::string_view sign = key.read && key.write ? "~" : key.read ? "%R~" : "%W~";
    text += fmt::format("{}{}{}", text.empty() ? "" : " ", sign, key.pattern);
  }
  return text;
}

std::string AclSelector::Channels() const {
  if (all_channels_) return "&*";
  std::string text;
  for (const std::string& channel : channels_) text += fmt::format("{}&{}", text.empty() ? "" : " ", channel);
  return text;
}

std::string AclSelector::Describe() const {
  std::string text = Keys();
  if (!text.empty()) text += ' ';
  if (!all_channels_) text += "resetchannels ";
  if (const std::string channels = Channels(); !channels.empty()) text += channels + " ";
  return text + Commands();
}

}  // namespace tidemark::commands
