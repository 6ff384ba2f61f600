#include "config/config.h"

#include <algorithm>

#include "base/check.h"
#include "base/glob.h"

namespace tidemark::config {
namespace {

const Option& Known(std::string_view name) {
  const Option* const option = FindOption(name);
  TM_CHECK(option != nullptr, "no option is called {}", name);
  return *option;
}

absl::Status SetFailed(std::string_view name, std::string_view cause) {
  return InvalidArgument("ERR CONFIG SET failed (possibly related to argument '{}') - {}", name, cause);
}

bool HasWildcard(std::string_view pattern) { return pattern.find_first_of("*?[") != std::string_view::npos; }

}  // namespace

Config::Config(Files files)
    : files_(std::move(files)),
      texts_(OptionCount()),
      applies_(OptionCount()),
      numbers_(std::make_unique<std::atomic<int64_t>[]>(OptionCount())) {
  for (size_t i = 0; i < OptionCount(); ++i) {
    const Option& option = OptionAt(i);
    const absl::StatusOr<Value> value = ParseValue(option, option.fallback, {});
    TM_CHECK(value.ok() && value->text == option.fallback, "default of {}: {}", option.name, option.fallback);
    Store(i, *value);
  }
}

Value Config::ValueAt(size_t index) const {
  const MutexLock lock(mutex_);
  return {texts_[index], numbers_[index].load()};
}

void Config::Store(size_t index, const Value& value) {
  const MutexLock lock(mutex_);
  texts_[index] = value.text;
  numbers_[index].store(value.number);
}

bool Config::Bool(std::string_view name) const {
  TM_CHECK(Known(name).type == Type::kBool, "{} is no bool", name);
  return Cell(name).load() != 0;
}

int64_t Config::Integer(std::string_view name) const { return Cell(name).load(); }

std::string Config::Text(std::string_view name) const { return ValueAt(IndexOf(Known(name))).text; }

OutputLimit Config::Limit(ClientClass of) const {
  return ParseOutputLimits(Text("client-output-buffer-limit"))[static_cast<size_t>(of)];
}

const std::atomic<int64_t>& Config::Cell(std::string_view name) const {
  const Option& option = Known(name);
  TM_CHECK(option.type != Type::kString && option.type != Type::kWords && option.type != Type::kSavePoints &&
               option.type != Type::kOutputLimits,
           "{} is no number", name);
  return numbers_[IndexOf(option)];
}

void Config::OnChange(std::string_view name, Apply apply) {
  const size_t index = IndexOf(Known(name));
  const MutexLock lock(mutex_);
  applies_[index].push_back(std::move(apply));
}

// As in Redis 7.0: a name spelled out is answered as it was spelled, patterns match either name of an option.
Config::Pairs Config::Get(std::span<const std::string_view> patterns) const {
  Pairs pairs;
  const auto add = [&](std::string_view name, size_t index) {
    const bool there = std::any_of(pairs.begin(), pairs.end(), [&](const auto& pair) { return pair.first == name; });
    if (!there) pairs.emplace_back(name, ValueAt(index).text);
  };
  for (const std::string_view pattern : patterns) {
    if (!HasWildcard(pattern)) {
      if (const Option* const option = FindOption(pattern)) add(pattern, IndexOf(*option));
      continue;
    }
    for (size_t i = 0; i < OptionCount(); ++i) {
      const Option& option = OptionAt(i);
      if (GlobMatch(pattern, option.name, true)) add(option.name, i);
      if (!option.other_name.empty() && GlobMatch(pattern, option.other_name, true)) add(option.other_name, i);
    }
  }
  return pairs;
}

// What a Set would do, with nothing done yet.
absl::StatusOr<std::vector<Config::Edit>> Config::Resolve(
    std::span<const std::pair<std::string_view, std::string_view>> changes) const {
  std::vector<Edit> resolved;
  for (const auto& [name, text] : changes) {
    const Option* const option = FindOption(name);
    if (option == nullptr) {
      return InvalidArgument("ERR Unknown option or number of arguments for CONFIG SET - '{}'", name);
    }
    if (option->change == Change::kStart) return SetFailed(name, "can't set immutable config");
    if (option->change == Change::kProtected) return SetFailed(name, "can't set protected config");
    const size_t index = IndexOf(*option);
    for (const Edit& other : resolved) {
      if (other.index == index) return SetFailed(name, "duplicate parameter");
    }
    resolved.push_back({index, ValueAt(index), {}});
  }
  for (size_t i = 0; i < changes.size(); ++i) {
    absl::StatusOr<Value> value = ParseValue(OptionAt(resolved[i].index), changes[i].second, resolved[i].before);
    if (!value.ok()) return SetFailed(changes[i].first, Message(value.status()));
    resolved[i].after = *std::move(value);
  }
  return resolved;
}

void Config::Record(std::string_view name, std::string_view text) {
  const MutexLock set_lock(set_mutex_);
  const Option& option = Known(name);
  const absl::StatusOr<Value> value = ParseValue(option, text, {});
  TM_CHECK(value.ok(), "{} can't be {}: {}", name, text, Message(value.status()));
  Store(IndexOf(option), *value);
}

absl::Status Config::RunApplies(size_t index) {
  std::vector<Apply> applies;
  {
    const MutexLock lock(mutex_);
    applies = applies_[index];
  }
  for (const Apply& apply : applies) TM_RETURN_IF_ERROR(apply());
  return absl::OkStatus();
}

absl::Status Config::Set(std::span<const std::pair<std::string_view, std::string_view>> changes) {
  const MutexLock set_lock(set_mutex_);
  TM_ASSIGN_OR_RETURN(const std::vector<Edit> resolved, Resolve(changes));
  for (const Edit& edit : resolved) Store(edit.index, edit.after);
  for (size_t i = 0; i < resolved.size(); ++i) {
    if (resolved[i].after == resolved[i].before) continue;
    const absl::Status refused = RunApplies(resolved[i].index);
    if (refused.ok()) continue;
    for (const Edit& edit : resolved) Store(edit.index, edit.before);
    // The old values were good once; a refusal of them leaves nothing better to go back to.
    for (size_t j = 0; j <= i; ++j) RunApplies(resolved[j].index).IgnoreError();
    return SetFailed(changes[i].first, Message(refused));
  }
  return absl::OkStatus();
}

}  // namespace tidemark::config
