// What EVAL, SCRIPT and FUNCTION share: the scripts that clients sent, by SHA-1; interpreters, one for each thread that
// runs a script at the moment; and which slow script runs now.
//
// A script runs on its client's I/O thread as long as it is quick, which most are. One that is not is given up, without
// a trace, and runs again on a worker (Dispatcher, ScriptPace): it holds the commit lock there as it would here, but
// the I/O threads, which are turned away from the lock meanwhile, can answer BUSY and take SCRIPT KILL.
//
// Thread-safe.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "commands/function_set.h"
#include "scripting/interpreter.h"

namespace tidemark::commands {

// A script as a client sent it.
struct Script {
  std::string name;    // its SHA-1
  std::string source;  // with the shebang line
  size_t body = 0;     // where the code begins
  uint32_t flags = 0;  // scripting::ScriptFlag
};

// A script that runs on a worker.
struct LongScript {
  std::string name;
  bool is_function = false;
  std::vector<std::string> command;
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
  std::atomic<bool> wrote{false};
  std::atomic<bool> killed{false};
};

// An interpreter and what it was made for.
struct InterpreterPlace {
  uint64_t generation = 0;
  std::string functions;
  scripting::Interpreter interpreter;
};

class Scripts {
 public:
  // `busy_after_ms` outlives this: busy-reply-threshold.
  explicit Scripts(const std::atomic<int64_t>& busy_after_ms) : busy_after_ms_(busy_after_ms) {}

  // Null when there is none.
  std::shared_ptr<const Script> Find(std::string_view sha1) const;
  void Add(std::shared_ptr<const Script> script);
  void Flush();

  FunctionCache& functions() { return functions_; }

  // An interpreter for the time of this object.
  class Lease {
   public:
    explicit Lease(Scripts& scripts) : scripts_(scripts), place_(scripts.Take()) {}
    ~Lease() { scripts_.GiveBack(std::move(place_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    scripting::Interpreter& interpreter() { return place_->interpreter; }
    // The generation of functions for which stale libraries were dropped; kept with the interpreter.
    std::string& functions() { return place_->functions; }

   private:
    friend class Scripts;
    Scripts& scripts_;
    std::unique_ptr<InterpreterPlace> place_;
  };

  // Registers a script that may be killed until End. One at a time: it holds the commit lock.
  void BeginLong(std::shared_ptr<LongScript> script);
  void EndLong();
  // The script that has run for longer than busy-reply-threshold, or null.
  std::shared_ptr<LongScript> Busy() const;
  // OK, or Redis's error for every command that may not run beside such a script.
  absl::Status RefuseIfBusy() const;
  // SCRIPT KILL or FUNCTION KILL: OK, or Redis's error.
  absl::Status Kill(bool function);
  // Ends every script that is under way or begins, whatever it has written, and nothing of it commits: the server
  // stops, or must have the threads and the engine for itself. As often as not AllowAgain.
  void StopAll() { stops_.fetch_add(1, std::memory_order_relaxed); }
  void AllowAgain() { stops_.fetch_sub(1, std::memory_order_relaxed); }
  bool stopping() const { return stops_.load(std::memory_order_relaxed) > 0; }

  struct Figures {
    size_t scripts = 0;
    size_t script_bytes = 0;
    size_t interpreter_bytes = 0;  // of those that nobody uses now
    size_t libraries = 0;
    size_t functions = 0;
    size_t library_bytes = 0;
  };
  Figures figures() const;

 private:
  std::unique_ptr<InterpreterPlace> Take();
  void GiveBack(std::unique_ptr<InterpreterPlace> place);

  const std::atomic<int64_t>& busy_after_ms_;
  std::atomic<int> stops_{0};
  FunctionCache functions_;

  mutable Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<const Script>> scripts_ ABSL_GUARDED_BY(mutex_);
  size_t script_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Counts flushes: an interpreter that compiled scripts of an earlier time is not used again.
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<InterpreterPlace>> idle_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<LongScript> running_ ABSL_GUARDED_BY(mutex_);
};

// INVALID_ARGUMENT with Redis's words for a shebang line that it does not take.
absl::StatusOr<Script> ParseScript(std::string_view sha1, std::string_view source);

}  // namespace tidemark::commands
