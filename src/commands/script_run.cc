#include "commands/script_run.h"

#include "base/hash.h"
#include "commands/dispatcher.h"
#include "commands/server.h"

namespace tidemark::commands {
namespace {

// What other clients of an I/O thread wait for a script that turns out to be slow, and what a rehearsal may take.
constexpr std::chrono::milliseconds kShortMax{10};
constexpr std::chrono::milliseconds kRehearsalMax{500};

}  // namespace

ScriptClient::ScriptClient(const Client& caller) {
  id = caller.id;
  db = caller.db;
  authenticated = true;
  user = caller.user;
  no_touch = caller.no_touch;
}

ScriptRun::ScriptRun(Context& ctx, std::string_view name, bool is_function, uint32_t flags, bool read_only)
    : ctx_(ctx),
      name_(name),
      flags_(flags),
      read_only_(read_only),
      client_(ctx.client),
      begun_(std::chrono::steady_clock::now()) {
  if (ctx.pace != ScriptPace::kLong) return;
  long_ = std::make_shared<LongScript>();
  long_->name = name;
  long_->is_function = is_function;
  for (const std::string_view word : ctx.args) long_->command.emplace_back(word);
  ctx.server.scripts->BeginLong(long_);
}

ScriptRun::~ScriptRun() {
  if (long_ != nullptr) ctx_.server.scripts->EndLong();
}

absl::Status ScriptRun::Admit() const { return ctx_.dispatcher->AdmitScript(flags_, read_only_); }

bool ScriptRun::Call(scripting::Words words, resp::Writer& reply) {
  return ctx_.dispatcher->RunInScript(*this, words, reply);
}

absl::StatusOr<bool> ScriptRun::MayCall(scripting::Words words) {
  return ctx_.dispatcher->MayRunInScript(*this, words);
}

void ScriptRun::Log(int level, std::string_view text) {
  if (ctx_.pace != ScriptPace::kRehearsal) ctx_.server.host.LogOfScript(level, text);
}

scripting::Host::Verdict ScriptRun::Check() {
  if (ctx_.server.scripts->stopping()) {
    Stop(Errorf(absl::StatusCode::kUnavailable, "ERR the script was ended: the server stops or changes its role"));
    return Verdict::kAbandon;
  }
  if (long_ != nullptr) return long_->killed.load(std::memory_order_relaxed) ? Verdict::kKilled : Verdict::kGoOn;
  if (ctx_.pace == ScriptPace::kToTheEnd) return Verdict::kGoOn;
  const auto most = ctx_.pace == ScriptPace::kShort ? kShortMax : kRehearsalMax;
  if (std::chrono::steady_clock::now() - begun_ < most) return Verdict::kGoOn;
  Stop(TooSlow());
  return Verdict::kAbandon;
}

absl::Status ScriptRun::Finish(const scripting::RunResult& result) {
  if (result.ending == scripting::Ending::kAbandoned) return stopped_;
  ctx_.error_counted = result.error_counted;
  return absl::OkStatus();
}

void ScriptRun::SetWrote() {
  wrote_ = true;
  if (long_ != nullptr) long_->wrote = true;
}

uint64_t ScriptRun::seed() const {
  const uint64_t request[] = {client_.id, ctx_.client.commands_processed, ctx_.server.start_ms};
  return Hash64({reinterpret_cast<const char*>(request), sizeof(request)});
}

}  // namespace tidemark::commands
