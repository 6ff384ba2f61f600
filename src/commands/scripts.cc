#include "commands/scripts.h"

#include <utility>

#include "base/arguments.h"
#include "commands/command.h"

namespace tidemark::commands {
namespace {

// What a cached script costs beside its source.
constexpr size_t kScriptOverhead = 160;

absl::Status Busy(bool function) {
  return InvalidArgument("BUSY Redis is busy running a script. You can only call {} KILL or SHUTDOWN NOSAVE.",
                         function ? "FUNCTION" : "SCRIPT");
}

absl::StatusOr<uint32_t> ParseFlags(std::string_view list) {
  uint32_t flags = 0;
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    const std::string_view word = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    if (word.empty()) continue;
    uint32_t flag = 0;
    for (const scripting::FlagName& known : scripting::FlagNames()) {
      if (word == known.name) flag = known.flag;
    }
    if (flag == 0) return InvalidArgument("ERR Unexpected flag in script shebang: {}", word);
    flags |= flag;
  }
  return flags;
}

}  // namespace

absl::StatusOr<Script> ParseScript(std::string_view sha1, std::string_view source) {
  Script script{.name = std::string(sha1), .source = std::string(source), .body = 0, .flags = scripting::kCompatible};
  if (!source.starts_with("#!")) return script;
  const size_t end = source.find('\n');
  if (end == std::string_view::npos) return InvalidArgument("ERR Invalid script shebang");
  std::string storage;
  std::vector<std::string_view> words;
  if (!SplitArguments(source.substr(0, end), &storage, &words) || words.empty()) {
    return InvalidArgument("ERR Invalid engine in script shebang");
  }
  if (words[0] != "#!lua") return InvalidArgument("ERR Unexpected engine in script shebang: {}", words[0]);
  script.flags = 0;
  for (const std::string_view word : std::span(words).subspan(1)) {
    constexpr std::string_view kFlags = "flags=";
    if (!word.starts_with(kFlags)) return InvalidArgument("ERR Unknown lua shebang option: {}", word);
    TM_ASSIGN_OR_RETURN(script.flags, ParseFlags(word.substr(kFlags.size())));
  }
  // The line break stays, so that errors name the lines that the author sees.
  script.body = end;
  return script;
}

std::shared_ptr<const Script> Scripts::Find(std::string_view sha1) const {
  const MutexLock lock(mutex_);
  const auto found = scripts_.find(ToAbsl(sha1));
  return found == scripts_.end() ? nullptr : found->second;
}

void Scripts::Add(std::shared_ptr<const Script> script) {
  const MutexLock lock(mutex_);
  const size_t bytes = script->source.size() + kScriptOverhead;
  if (scripts_.try_emplace(script->name, std::move(script)).second) script_bytes_ += bytes;
}

void Scripts::Flush() {
  const MutexLock lock(mutex_);
  scripts_.clear();
  script_bytes_ = 0;
  ++generation_;
  idle_.clear();
}

std::unique_ptr<InterpreterPlace> Scripts::Take() {
  uint64_t generation = 0;
  {
    const MutexLock lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<InterpreterPlace> place = std::move(idle_.back());
      idle_.pop_back();
      return place;
    }
    generation = generation_;
  }
  auto place = std::make_unique<InterpreterPlace>();
  place->generation = generation;
  return place;
}

void Scripts::GiveBack(std::unique_ptr<InterpreterPlace> place) {
  const MutexLock lock(mutex_);
  if (place->generation == generation_) idle_.push_back(std::move(place));
}

void Scripts::BeginLong(std::shared_ptr<LongScript> script) {
  const MutexLock lock(mutex_);
  running_ = std::move(script);
}

void Scripts::EndLong() {
  const MutexLock lock(mutex_);
  running_.reset();
}

std::shared_ptr<LongScript> Scripts::Busy() const {
  const std::chrono::milliseconds after(busy_after_ms_.load(std::memory_order_relaxed));
  const MutexLock lock(mutex_);
  if (running_ == nullptr || std::chrono::steady_clock::now() - running_->begun < after) return nullptr;
  return running_;
}

absl::Status Scripts::RefuseIfBusy() const {
  const std::shared_ptr<LongScript> running = Busy();
  return running == nullptr ? absl::OkStatus() : commands::Busy(running->is_function);
}

absl::Status Scripts::Kill(bool function) {
  const MutexLock lock(mutex_);
  if (running_ == nullptr) return InvalidArgument("NOTBUSY No scripts in execution right now.");
  if (running_->is_function != function) return commands::Busy(running_->is_function);
  if (running_->wrote) {
    return InvalidArgument(
        "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the "
        "script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.");
  }
  running_->killed = true;
  return absl::OkStatus();
}

Scripts::Figures Scripts::figures() const {
  const std::shared_ptr<const FunctionSet> set = functions_.latest();
  Figures figures{.libraries = set->libraries().size(), .functions = set->functions()};
  for (const auto& [name, library] : set->libraries()) figures.library_bytes += library->code.size() + kScriptOverhead;
  const MutexLock lock(mutex_);
  figures.scripts = scripts_.size();
  figures.script_bytes = script_bytes_;
  for (const auto& place : idle_) figures.interpreter_bytes += place->interpreter.memory();
  return figures;
}

}  // namespace tidemark::commands
