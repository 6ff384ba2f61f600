// One run of a script within a transaction: the scripting::Host that runs the script's commands through the
// dispatcher.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "commands/client.h"
#include "commands/command.h"
#include "commands/scripts.h"
#include "scripting/interpreter.h"

namespace tidemark::commands {

// The client on whose behalf a script's commands run: its database, its rights, nobody's connection.
class ScriptClient final : public Client {
 public:
  explicit ScriptClient(const Client& caller);
  void Deliver(std::shared_ptr<const std::string>) override {}
  void RequestClose(bool) override {}
  size_t output_bytes() const override { return 0; }
  size_t input_bytes() const override { return 0; }
};

class ScriptRun final : public scripting::Host {
 public:
  // `ctx` is EVAL's or FCALL's and outlives this. `flags`: the script's; `read_only`: called by a command that only
  // reads.
  ScriptRun(Context& ctx, std::string_view name, bool is_function, uint32_t flags, bool read_only);
  ~ScriptRun() override;
  ScriptRun(const ScriptRun&) = delete;
  ScriptRun& operator=(const ScriptRun&) = delete;

  // OK, or why the script may not run here at all.
  absl::Status Admit() const;

  bool Call(scripting::Words words, resp::Writer& reply) override;
  absl::StatusOr<bool> MayCall(scripting::Words words) override;
  void Log(int level, std::string_view text) override;
  Verdict Check() override;

  // What Handler shall return after the interpreter's Run or RunFunction.
  absl::Status Finish(const scripting::RunResult& result);

  // For the dispatcher, which runs the commands.
  Context& caller() { return ctx_; }
  const Context& caller() const { return ctx_; }
  ScriptClient& client() { return client_; }
  uint32_t flags() const { return flags_; }
  bool read_only() const { return read_only_ || (flags_ & scripting::kNoWrites) != 0; }
  bool wrote() const { return wrote_; }
  void SetWrote();
  // The run cannot go on; what the handler shall return.
  void Stop(const absl::Status& why) { stopped_ = why; }

  // Different for different requests, the same when one is tried again.
  uint64_t seed() const;

 private:
  Context& ctx_;
  const std::string_view name_;
  const uint32_t flags_;
  const bool read_only_;
  ScriptClient client_;
  bool wrote_ = false;
  absl::Status stopped_;
  std::chrono::steady_clock::time_point begun_;
  std::shared_ptr<LongScript> long_;
};

}  // namespace tidemark::commands
