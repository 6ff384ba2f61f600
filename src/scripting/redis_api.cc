// The `redis` table of scripts, functions and loading libraries, as Redis 7.0 has it, and its errors.
#include <cstdio>

#include "scripting/sha1.h"
#include "scripting/state.h"

namespace tidemark::scripting {
namespace {

constexpr int kReplNone = 0;
constexpr int kReplAof = 1;
constexpr int kReplReplica = 2;
constexpr int kReplAll = kReplAof | kReplReplica;

constexpr FlagName kFlagNames[] = {
    {kNoWrites, "no-writes"},
    {kAllowOom, "allow-oom"},
    {kAllowStale, "allow-stale"},
    {kNoCluster, "no-cluster"},
    {kAllowCrossSlotKeys, "allow-cross-slot-keys"},
};

constexpr std::string_view kBadName =
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

// {err = text}, as scripts know errors of commands.
void PushError(lua_State* lua, std::string_view text, bool counted) {
  lua_createtable(lua, 0, 2);
  std::string line = text.starts_with('-') ? std::string(text.substr(1)) : "ERR " + std::string(text);
  for (char& c : line) {
    if (c == '\r' || c == '\n') c = ' ';
  }
  lua_pushlstring(lua, line.data(), line.size());
  lua_setfield(lua, -2, "err");
  if (counted) {
    lua_pushboolean(lua, 1);
    lua_setfield(lua, -2, "ignore_error_stats_update");
  }
}

std::string_view StringAt(lua_State* lua, int index) {
  size_t size = 0;
  const char* bytes = lua_tolstring(lua, index, &size);
  return {bytes, size};
}

// Arguments of the call at hand as words of a command; false when one has no text.
bool GatherWords(lua_State* lua, State& state) {
  const int count = lua_gettop(lua);
  state.words.clear();
  state.numbers.resize(static_cast<size_t>(count));
  for (int i = 1; i <= count; ++i) {
    if (lua_type(lua, i) == LUA_TNUMBER) {
      auto& text = state.numbers[static_cast<size_t>(i - 1)];
      const int size = std::snprintf(text.data(), text.size(), "%.17g", lua_tonumber(lua, i));
      state.words.emplace_back(text.data(), static_cast<size_t>(size));
    } else if (lua_type(lua, i) == LUA_TSTRING) {
      state.words.push_back(StringAt(lua, i));
    } else {
      return false;
    }
  }
  return true;
}

int RunCommand(lua_State* lua, bool raise) {
  State& state = State::Of(lua);
  const auto fail = [&](std::string_view text) {
    PushError(lua, text, /*counted=*/false);
    return raise ? lua_error(lua) : 1;
  };
  if (lua_gettop(lua) == 0) return fail("Please specify at least one argument for this redis lib call");
  if (!GatherWords(lua, state)) return fail("Lua redis lib command arguments must be strings or integers");
  if (state.host == nullptr) return fail("redis.call/pcall can only be called inside a script invocation");
  state.reply.buffer().clear();
  if (!state.host->Call(state.words, state.reply)) {
    state.abandoned = true;
    return luaL_error(lua, "abandoned");
  }
  const std::string_view reply = state.reply.buffer();
  lua_settop(lua, 0);
  if (reply[0] == '-') {
    PushError(lua, reply.substr(0, reply.size() - 2), /*counted=*/true);
    return raise ? lua_error(lua) : 1;
  }
  PushReply(lua, reply);
  return 1;
}

int Call(lua_State* lua) { return RunCommand(lua, true); }
int PCall(lua_State* lua) { return RunCommand(lua, false); }

int AclCheckCommand(lua_State* lua) {
  State& state = State::Of(lua);
  if (lua_gettop(lua) == 0) RaiseError(lua, "Please specify at least one argument for this redis lib call");
  if (!GatherWords(lua, state)) RaiseError(lua, "redis.acl_check_cmd() require strings or integers arguments");
  if (state.host == nullptr) RaiseError(lua, "redis.acl_check_cmd can only be called inside a script invocation");
  const absl::StatusOr<bool> may = state.host->MayCall(state.words);
  if (!may.ok()) RaiseError(lua, "Invalid command passed to redis.acl_check_cmd()");
  lua_pushboolean(lua, static_cast<int>(*may));
  return 1;
}

int ErrorReply(lua_State* lua) {
  if (lua_gettop(lua) != 1 || lua_type(lua, 1) != LUA_TSTRING) {
    PushError(lua, "wrong number or type of arguments", false);
    return 1;
  }
  // A text that begins with its code ("MY_CODE and more") keeps it; one word alone is a message.
  std::string text(StringAt(lua, 1));
  if (!text.starts_with('-')) {
    text.insert(0, text.find(' ') == std::string::npos ? (text.empty() ? "-ERR" : "-ERR ") : "-");
  }
  PushError(lua, text, false);
  return 1;
}

int StatusReply(lua_State* lua) {
  if (lua_gettop(lua) != 1 || lua_type(lua, 1) != LUA_TSTRING) {
    PushError(lua, "wrong number or type of arguments", false);
    return 1;
  }
  lua_createtable(lua, 0, 1);
  lua_pushvalue(lua, 1);
  lua_setfield(lua, -2, "ok");
  return 1;
}

int Sha1Hex(lua_State* lua) {
  if (lua_gettop(lua) != 1) RaiseError(lua, "wrong number of arguments");
  size_t size = 0;
  const char* bytes = lua_tolstring(lua, 1, &size);
  const Sha1Name name = Sha1({bytes, bytes == nullptr ? 0 : size});
  lua_pushlstring(lua, name.data(), name.size());
  return 1;
}

int Log(lua_State* lua) {
  const int count = lua_gettop(lua);
  if (count < 2) RaiseError(lua, "redis.log() requires two arguments or more.");
  if (lua_isnumber(lua, 1) == 0) RaiseError(lua, "First argument must be a number (log level).");
  const auto level = static_cast<int>(lua_tonumber(lua, 1));
  if (level < 0 || level > 3) RaiseError(lua, "Invalid debug level.");
  std::string text;
  for (int i = 2; i <= count; ++i) {
    size_t size = 0;
    const char* piece = lua_tolstring(lua, i, &size);
    if (piece == nullptr) continue;
    if (i > 2) text += ' ';
    text.append(piece, size);
  }
  if (State::Of(lua).host != nullptr) State::Of(lua).host->Log(level, text);
  return 0;
}

int SetResp(lua_State* lua) {
  if (lua_gettop(lua) != 1) RaiseError(lua, "redis.setresp() requires one argument.");
  const auto version = static_cast<int>(lua_tonumber(lua, 1));
  if (version != 2 && version != 3) RaiseError(lua, "RESP version must be 2 or 3.");
  State::Of(lua).reply.SetProtocol(version);
  return 0;
}

// What a script does is one record of the log, which replicas and archives get as a whole: checked, and otherwise
// without effect.
int SetRepl(lua_State* lua) {
  if (lua_gettop(lua) != 1) RaiseError(lua, "redis.set_repl() requires two arguments.");
  const auto flags = static_cast<int>(lua_tonumber(lua, 1));
  if ((flags & ~kReplAll) != 0) {
    RaiseError(lua, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
  }
  return 0;
}

int ReplicateCommands(lua_State* lua) {
  lua_pushboolean(lua, 1);
  return 1;
}

int Breakpoint(lua_State* lua) {
  lua_pushboolean(lua, 0);
  return 1;
}

int Debug(lua_State*) { return 0; }

bool IsName(std::string_view name) {
  for (const char c : name) {
    if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_') return false;
  }
  return !name.empty();
}

uint32_t ReadFlags(lua_State* lua, int index) {
  uint32_t flags = 0;
  for (int i = 1;; ++i) {
    lua_rawgeti(lua, index, i);
    if (lua_isnil(lua, -1)) break;
    uint32_t flag = 0;
    for (const FlagName& known : kFlagNames) {
      if (lua_type(lua, -1) == LUA_TSTRING && StringAt(lua, -1) == known.name) flag = known.flag;
    }
    if (flag == 0) RaiseError(lua, "unknown flag given");
    flags |= flag;
    lua_pop(lua, 1);
  }
  lua_pop(lua, 1);
  return flags;
}

// register_function{…}: leaves the callback on top.
FunctionInfo ReadNamedArguments(lua_State* lua) {
  FunctionInfo info;
  bool named = false;
  bool has_callback = false;
  lua_settop(lua, 1);
  lua_pushnil(lua);  // the callback, at 2
  lua_pushnil(lua);
  while (lua_next(lua, 1) != 0) {
    if (lua_type(lua, -2) != LUA_TSTRING)
      RaiseError(lua, "named argument key given to redis.register_function is not a string");
    const std::string_view key = StringAt(lua, -2);
    const bool is_string = lua_type(lua, -1) == LUA_TSTRING;
    if (key == "function_name") {
      if (!is_string) RaiseError(lua, "function_name argument given to redis.register_function must be a string");
      info.name = StringAt(lua, -1);
      named = true;
    } else if (key == "description") {
      if (!is_string) RaiseError(lua, "description argument given to redis.register_function must be a string");
      info.description = StringAt(lua, -1);
    } else if (key == "callback") {
      if (!lua_isfunction(lua, -1))
        RaiseError(lua, "callback argument given to redis.register_function must be a function");
      lua_pushvalue(lua, -1);
      lua_replace(lua, 2);
      has_callback = true;
    } else if (key == "flags") {
      if (!lua_istable(lua, -1)) {
        RaiseError(lua, "flags argument to redis.register_function must be a table representing function flags");
      }
      info.flags = ReadFlags(lua, lua_gettop(lua));
    } else {
      RaiseError(lua, "unknown argument given to redis.register_function");
    }
    lua_pop(lua, 1);
  }
  if (!named) RaiseError(lua, "redis.register_function must get a function name argument");
  if (!has_callback) RaiseError(lua, "redis.register_function must get a callback argument");
  return info;
}

int RegisterFunction(lua_State* lua) {
  State& state = State::Of(lua);
  const int count = lua_gettop(lua);
  if (count < 1 || count > 2) RaiseError(lua, "wrong number of arguments to redis.register_function");
  if (state.registered == nullptr) {
    RaiseError(lua, "redis.register_function can only be called on FUNCTION LOAD command");
  }
  FunctionInfo info;
  if (count == 1) {
    if (!lua_istable(lua, 1)) {
      RaiseError(lua,
                 "calling redis.register_function with a single argument is only applicable to Lua table "
                 "(representing named arguments).");
    }
    info = ReadNamedArguments(lua);
  } else {
    if (lua_type(lua, 1) != LUA_TSTRING) RaiseError(lua, "first argument to redis.register_function must be a string");
    if (!lua_isfunction(lua, 2)) RaiseError(lua, "second argument to redis.register_function must be a function");
    info.name = StringAt(lua, 1);
  }
  if (!IsName(info.name)) RaiseError(lua, kBadName);
  if (state.loading->functions.contains(info.name)) RaiseError(lua, "Function already exists in the library");
  state.loading->functions[info.name] = luaL_ref(lua, LUA_REGISTRYINDEX);
  state.registered->push_back(std::move(info));
  return 0;
}

void Set(lua_State* lua, const char* name, lua_CFunction function) {
  lua_pushcfunction(lua, function);
  lua_setfield(lua, -2, name);
}

void Set(lua_State* lua, const char* name, int value) {
  lua_pushnumber(lua, value);
  lua_setfield(lua, -2, name);
}

}  // namespace

std::span<const FlagName> FlagNames() { return kFlagNames; }

void RaiseError(lua_State* lua, std::string_view text, bool counted) {
  PushError(lua, text, counted);
  lua_error(lua);
  std::abort();
}

void PushRedisApi(lua_State* lua, ApiOf whom) {
  lua_newtable(lua);
  Set(lua, "log", Log);
  Set(lua, "LOG_DEBUG", 0);
  Set(lua, "LOG_VERBOSE", 1);
  Set(lua, "LOG_NOTICE", 2);
  Set(lua, "LOG_WARNING", 3);
  lua_pushliteral(lua, "7.0.15");
  lua_setfield(lua, -2, "REDIS_VERSION");
  Set(lua, "REDIS_VERSION_NUM", 0x07000F);
  if (whom == ApiOf::kLoading) {
    Set(lua, "register_function", RegisterFunction);
    return;
  }
  Set(lua, "call", Call);
  Set(lua, "pcall", PCall);
  Set(lua, "acl_check_cmd", AclCheckCommand);
  Set(lua, "error_reply", ErrorReply);
  Set(lua, "status_reply", StatusReply);
  Set(lua, "sha1hex", Sha1Hex);
  Set(lua, "setresp", SetResp);
  Set(lua, "set_repl", SetRepl);
  Set(lua, "REPL_NONE", kReplNone);
  Set(lua, "REPL_AOF", kReplAof);
  Set(lua, "REPL_SLAVE", kReplReplica);
  Set(lua, "REPL_REPLICA", kReplReplica);
  Set(lua, "REPL_ALL", kReplAll);
  if (whom == ApiOf::kFunctions) return;
  Set(lua, "replicate_commands", ReplicateCommands);
  Set(lua, "breakpoint", Breakpoint);
  Set(lua, "debug", Debug);
}

}  // namespace tidemark::scripting
