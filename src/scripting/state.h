// What the parts of an interpreter share; nobody outside this folder includes it.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <lua5.1/lua.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "resp/writer.h"
#include "scripting/interpreter.h"

namespace tidemark::scripting {

// The POSIX rand48 generator, so that a seed gives the numbers that it gives in Redis.
class Random {
 public:
  // As srand48.
  void Seed(uint32_t seed) { x_ = (static_cast<uint64_t>(seed) << 16) + 0x330E; }
  // 0 … 2^31 - 1.
  uint32_t Next() {
    x_ = (x_ * 0x5DEECE66DULL + 0xB) & ((1ULL << 48) - 1);
    return static_cast<uint32_t>(x_ >> 17);
  }

 private:
  uint64_t x_ = 0x330E;
};

struct Library {
  absl::flat_hash_map<std::string, int> functions;  // name → reference in Lua's registry
};

// What cjson's functions of the same names set, for the run at hand.
struct JsonOptions {
  bool convert_sparse = false;
  int sparse_ratio = 2;
  int sparse_safe = 10;
  int encode_depth_max = 1000;
  int decode_depth_max = 1000;
  int precision = 14;
  bool keep_buffer = true;
  enum class Invalid : uint8_t { kRefuse, kAllow, kNull };
  Invalid encode_invalid = Invalid::kRefuse;
  bool decode_invalid = true;
};

struct State {
  lua_State* lua = nullptr;
  size_t bytes = 0;
  absl::flat_hash_map<std::string, int> scripts;
  absl::flat_hash_map<std::string, Library> libraries;

  // Of the run at hand.
  Host* host = nullptr;
  bool abandoned = false;
  bool killed = false;
  // What redis.call gets its replies in; redis.setresp changes its protocol.
  resp::Writer reply;
  Random random;
  JsonOptions json;
  // Set by the error handler: how the run ended.
  std::string error;
  std::string error_place;
  bool error_counted = false;

  // Of the library being loaded; null while none is.
  std::vector<FunctionInfo>* registered = nullptr;
  Library* loading = nullptr;

  // Words of the call at hand.
  std::vector<std::string_view> words;
  std::vector<std::array<char, 32>> numbers;

  // Registry references: the globals of scripts and of functions (writable, hidden behind read-only ones), and the
  // metatable whose __index tells what functions see.
  int script_globals = LUA_NOREF;
  int function_environment = LUA_NOREF;
  int function_globals = LUA_NOREF;
  int load_globals = LUA_NOREF;

  static State& Of(lua_State* lua) {
    void* state = nullptr;
    lua_getallocf(lua, &state);
    return *static_cast<State*>(state);
  }
};

// sandbox.cc
// Makes the globals of scripts and functions. On a new state, in a protected call.
int OpenSandbox(lua_State* lua);
// Replaces the table on the stack's top by a read-only view of it. Missing names in it are errors if `strict`.
void MakeReadOnly(lua_State* lua, bool strict);
// While a library loads, its functions see what a library may use then; otherwise everything.
void SwitchFunctionGlobals(lua_State* lua, bool loading);
// Raises the error on top again when the run was ended by its host: no script continues after that.
void PassOnAbandon(lua_State* lua);

// redis_api.cc
// Pushes the `redis` table (not yet read-only): of scripts, of functions, or of libraries while they load.
enum class ApiOf : uint8_t { kScripts, kFunctions, kLoading };
void PushRedisApi(lua_State* lua, ApiOf whom);
// Raises {err = "ERR " + text}, or `text` as it is when it begins with '-', without that.
[[noreturn]] void RaiseError(lua_State* lua, std::string_view text, bool counted = false);

// conversion.cc
// Pushes the Lua value of one whole RESP reply.
void PushReply(lua_State* lua, std::string_view reply);
// Writes the value on the stack's top as a reply, and pops it.
void WriteResult(lua_State* lua, resp::Writer& out);

// Libraries; each pushes its table.
int OpenJson(lua_State* lua);
int OpenMessagePack(lua_State* lua);
int OpenStruct(lua_State* lua);
int OpenBit(lua_State* lua);

}  // namespace tidemark::scripting
