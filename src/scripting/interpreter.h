// A Lua state in which scripts run as Redis runs them: sandboxed, with the `redis` table, a time check, and errors that
// say where they happened. Scripts are compiled once and called by name; so are libraries of functions.
//
// An interpreter is used by one thread at a time. It keeps what it has compiled until Forget or its end; every run
// finds the same globals, whatever the runs before it did.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "resp/writer.h"

namespace tidemark::scripting {

using Words = std::span<const std::string_view>;

// What a running script reaches outside itself.
class Host {
 public:
  virtual ~Host() = default;
  // Runs a command and writes its reply, in the protocol that `reply` is set to; errors too, which the host has counted
  // then. False ends the run: Run returns kAbandoned.
  virtual bool Call(Words words, resp::Writer& reply) = 0;
  // redis.acl_check_cmd. NOT_FOUND: there is no such command.
  virtual absl::StatusOr<bool> MayCall(Words words) = 0;
  // redis.log; level 0 (debug) to 3 (warning).
  virtual void Log(int level, std::string_view text) = 0;
  // Asked every few ten thousand instructions.
  enum class Verdict : uint8_t {
    kGoOn,
    kKilled,   // ends with Redis's error for SCRIPT KILL
    kTimeout,  // ends with that for a library that takes too long to load
    kAbandon,  // ends without a reply
  };
  virtual Verdict Check() = 0;
};

enum class Ending : uint8_t { kReplied, kAbandoned };

struct RunResult {
  Ending ending = Ending::kReplied;
  bool failed = false;         // the reply is an error
  bool error_counted = false;  // one that a command made, and the host has counted
};

// Bits of shebang and register_function flags, as Redis names them.
enum ScriptFlag : uint32_t {
  kNoWrites = 1u << 0,
  kAllowOom = 1u << 1,
  kAllowStale = 1u << 2,
  kNoCluster = 1u << 3,
  kAllowCrossSlotKeys = 1u << 4,
  // A script without a shebang: what it may do is decided command by command.
  kCompatible = 1u << 5,
};
struct FlagName {
  ScriptFlag flag;
  std::string_view name;
};
// In the order of FUNCTION LIST.
std::span<const FlagName> FlagNames();

// What a library registers.
struct FunctionInfo {
  std::string name;
  std::string description;
  uint32_t flags = 0;
};

class Interpreter {
 public:
  Interpreter();
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Compiles a script under `name` unless there is one. INVALID_ARGUMENT with the compiler's message alone.
  absl::Status Compile(std::string_view name, std::string_view source);
  // Runs a compiled script with KEYS and ARGV and writes its reply to `out`. `seed`: of math.random.
  RunResult Run(std::string_view name, Words keys, Words argv, uint64_t seed, Host& host, resp::Writer& out);

  // Runs the code of a library, which registers functions. `identity`: one for each different code. Libraries that are
  // loaded under it are kept. INVALID_ARGUMENT: Redis's error for FUNCTION LOAD, without "ERR".
  absl::StatusOr<std::vector<FunctionInfo>> LoadLibrary(std::string_view identity, std::string_view source, Host& host);
  bool HasLibrary(std::string_view identity) const;
  // As Run, of a function of a loaded library; `name` as registered.
  RunResult RunFunction(std::string_view identity, std::string_view name, Words keys, Words argv, uint64_t seed,
                        Host& host, resp::Writer& out);
  // Drops every library for which `keep` has no place.
  void KeepLibraries(std::span<const std::string> identities);

  // Bytes that Lua holds.
  size_t memory() const;

 private:
  friend struct State;
  std::unique_ptr<struct State> state_;
};

}  // namespace tidemark::scripting
