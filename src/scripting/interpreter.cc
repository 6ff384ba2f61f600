#include "scripting/interpreter.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "scripting/state.h"

namespace tidemark::scripting {
namespace {

// Lua refuses to grow beyond, so that one script cannot take the server's memory: "not enough memory".
constexpr size_t kBytesMax = size_t{1} << 30;
// Instructions between two looks at the host.
constexpr int kInstructionsPerCheck = 20000;
constexpr const char* kScriptChunk = "@user_script";
constexpr const char* kFunctionChunk = "@user_function";

void* Allocate(void* ud, void* block, size_t old_size, size_t new_size) {
  auto* state = static_cast<State*>(ud);
  if (new_size == 0) {
    std::free(block);
    state->bytes -= old_size;
    return nullptr;
  }
  if (new_size > old_size && state->bytes + (new_size - old_size) > kBytesMax) return nullptr;
  void* moved = std::realloc(block, new_size);
  if (moved != nullptr) state->bytes += new_size - old_size;
  return moved;
}

void Check(lua_State* lua, lua_Debug*) {
  State& state = State::Of(lua);
  if (state.host == nullptr) return;
  if (state.abandoned || state.killed) luaL_error(lua, "ended");
  switch (state.host->Check()) {
    case Host::Verdict::kGoOn:
      return;
    case Host::Verdict::kKilled:
      state.killed = true;
      RaiseError(lua, "Script killed by user with SCRIPT KILL...");
    case Host::Verdict::kTimeout:
      state.killed = true;
      RaiseError(lua, "FUNCTION LOAD timeout");
    case Host::Verdict::kAbandon:
      state.abandoned = true;
      luaL_error(lua, "abandoned");
  }
}

std::string_view StringAt(lua_State* lua, int index) {
  size_t size = 0;
  const char* bytes = lua_tolstring(lua, index, &size);
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, size);
}

// The text of an error value, as clients see it.
void KeepError(lua_State* lua, State& state) {
  state.error_counted = false;
  if (lua_istable(lua, 1)) {
    lua_getfield(lua, 1, "ignore_error_stats_update");
    state.error_counted = lua_toboolean(lua, -1) != 0;
    lua_getfield(lua, 1, "err");
    const std::string_view text = StringAt(lua, -1);
    state.error = text.empty() ? "ERR unknown error" : std::string(text);
  } else if (lua_isnil(lua, 1)) {
    state.error = "ERR nil";
  } else {
    const std::string_view text = StringAt(lua, 1);
    state.error = "ERR " + (text.empty() ? std::string(luaL_typename(lua, 1)) : std::string(text));
  }
}

// Message handler of a run: keeps the error and the place of the script that it comes from.
int OnError(lua_State* lua) {
  State& state = State::Of(lua);
  lua_settop(lua, 1);
  KeepError(lua, state);
  state.error_place.clear();
  lua_Debug frame;
  for (int level = 1; level <= 2 && lua_getstack(lua, level, &frame) != 0; ++level) {
    lua_getinfo(lua, "Sl", &frame);
    state.error_place = fmt::format("{}:{}", frame.source, frame.currentline);
    if (std::string_view(frame.what) != "C") break;
  }
  return 0;
}

// Pushes a list of strings.
void PushWords(lua_State* lua, Words words) {
  lua_createtable(lua, static_cast<int>(words.size()), 0);
  for (size_t i = 0; i < words.size(); ++i) {
    lua_pushlstring(lua, words[i].data(), words[i].size());
    lua_rawseti(lua, -2, static_cast<int>(i + 1));
  }
}

// What a run needs on Lua's side, which may fail for want of memory.
struct Invocation {
  int function;
  bool is_function;
  Words keys;
  Words argv;
  resp::Writer* out;
};

int Invoke(lua_State* lua) {
  const State& state = State::Of(lua);
  const auto& invocation = *static_cast<Invocation*>(lua_touserdata(lua, 1));
  lua_settop(lua, 0);
  int arguments = 0;
  if (invocation.is_function) {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, invocation.function);
    PushWords(lua, invocation.keys);
    PushWords(lua, invocation.argv);
    arguments = 2;
  } else {
    lua_rawgeti(lua, LUA_REGISTRYINDEX, state.script_globals);
    lua_pushliteral(lua, "KEYS");
    PushWords(lua, invocation.keys);
    lua_rawset(lua, -3);
    lua_pushliteral(lua, "ARGV");
    PushWords(lua, invocation.argv);
    lua_rawset(lua, -3);
    lua_settop(lua, 0);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, invocation.function);
  }
  lua_call(lua, arguments, 1);
  WriteResult(lua, *invocation.out);
  return 0;
}

// Runs `function` with `argument` in a protected call; true when it came to its end. Errors are in the state.
bool Protected(State& state, lua_CFunction function, void* argument) {
  lua_State* lua = state.lua;
  lua_settop(lua, 0);
  state.error.clear();
  lua_pushcfunction(lua, OnError);
  lua_pushcfunction(lua, function);
  lua_pushlightuserdata(lua, argument);
  const int status = lua_pcall(lua, 1, 0, 1);
  if (status == LUA_ERRMEM) state.error = "ERR not enough memory";
  if (status != 0 && state.error.empty()) state.error = "ERR error in error handling";
  lua_settop(lua, 0);
  return status == 0;
}

// A state in which something runs for a host, for the time of this object.
class Running {
 public:
  Running(State& state, Host& host, uint64_t seed) : state_(state) {
    state_.host = &host;
    state_.abandoned = state_.killed = false;
    state_.reply.SetProtocol(2);
    state_.json = {};
    state_.random.Seed(static_cast<uint32_t>(seed ^ (seed >> 32)));
    lua_sethook(state_.lua, Check, LUA_MASKCOUNT, kInstructionsPerCheck);
  }
  ~Running() {
    state_.host = nullptr;
    lua_sethook(state_.lua, nullptr, 0, 0);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  State& state_;
};

struct Source {
  std::string_view text;
  const char* chunk;
  int reference;
  std::string error;
};

// Compiles a Source, never compiled code; the function becomes a reference.
int CompileSource(lua_State* lua) {
  auto& source = *static_cast<Source*>(lua_touserdata(lua, 1));
  if (!source.text.empty() && source.text[0] == LUA_SIGNATURE[0]) {
    source.error = "scripts must be text";
    return 0;
  }
  if (luaL_loadbuffer(lua, source.text.data(), source.text.size(), source.chunk) != 0) {
    source.error = StringAt(lua, -1);
    return 0;
  }
  source.reference = luaL_ref(lua, LUA_REGISTRYINDEX);
  return 0;
}

absl::StatusOr<int> CompileIn(State& state, std::string_view text, const char* chunk) {
  Source source{.text = text, .chunk = chunk, .reference = LUA_NOREF, .error = {}};
  if (!Protected(state, CompileSource, &source)) source.error = state.error;
  if (!source.error.empty()) return absl::InvalidArgumentError(ToAbsl(source.error));
  return source.reference;
}

// Runs the chunk of a library among what libraries see while they load.
int RunLibrary(lua_State* lua) {
  const int reference = *static_cast<int*>(lua_touserdata(lua, 1));
  SwitchFunctionGlobals(lua, /*loading=*/true);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, reference);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, State::Of(lua).function_environment);
  lua_setfenv(lua, -2);
  lua_call(lua, 0, 0);
  return 0;
}

int SwitchBack(lua_State* lua) {
  SwitchFunctionGlobals(lua, /*loading=*/false);
  return 0;
}

void Release(State& state, const Library& library) {
  for (const auto& [name, reference] : library.functions) luaL_unref(state.lua, LUA_REGISTRYINDEX, reference);
}

RunResult RunCompiled(State& state, std::string_view name, const Invocation& invocation, uint64_t seed, Host& host) {
  const Running running(state, host, seed);
  resp::Writer& out = *invocation.out;
  const size_t mark = out.size();
  Invocation copy = invocation;
  const bool done = Protected(state, Invoke, &copy);
  if (state.abandoned) {
    out.Truncate(mark);
    return {.ending = Ending::kAbandoned};
  }
  if (done) return {.failed = out.buffer()[mark] == '-'};
  out.Truncate(mark);
  const std::string place = state.error_place.empty() ? "" : fmt::format(", on {}.", state.error_place);
  out.Error(fmt::format("{} script: {}{}", state.error, name, place));
  return {.failed = true, .error_counted = state.error_counted};
}

}  // namespace

Interpreter::Interpreter() : state_(std::make_unique<State>()) {
  state_->lua = lua_newstate(Allocate, state_.get());
  TM_CHECK(state_->lua != nullptr, "no memory for Lua");
  const bool opened = Protected(*state_, OpenSandbox, nullptr);
  TM_CHECK(opened, "the sandbox: {}", state_->error);
}

Interpreter::~Interpreter() { lua_close(state_->lua); }

absl::Status Interpreter::Compile(std::string_view name, std::string_view source) {
  if (state_->scripts.contains(ToAbsl(name))) return absl::OkStatus();
  TM_ASSIGN_OR_RETURN(const int reference, CompileIn(*state_, source, kScriptChunk));
  state_->scripts.emplace(std::string(name), reference);
  return absl::OkStatus();
}

RunResult Interpreter::Run(std::string_view name, Words keys, Words argv, uint64_t seed, Host& host,
                           resp::Writer& out) {
  const auto script = state_->scripts.find(ToAbsl(name));
  TM_CHECK(script != state_->scripts.end(), "script {} was not compiled", name);
  return RunCompiled(*state_, name,
                     {.function = script->second, .is_function = false, .keys = keys, .argv = argv, .out = &out}, seed,
                     host);
}

absl::StatusOr<std::vector<FunctionInfo>> Interpreter::LoadLibrary(std::string_view identity, std::string_view source,
                                                                   Host& host) {
  absl::StatusOr<int> chunk = CompileIn(*state_, source, kFunctionChunk);
  if (!chunk.ok()) return InvalidArgument("Error compiling function: {}", Message(chunk.status()));
  std::vector<FunctionInfo> functions;
  Library library;
  bool done = false;
  {
    const Running running(*state_, host, /*seed=*/0);
    state_->registered = &functions;
    state_->loading = &library;
    done = Protected(*state_, RunLibrary, &*chunk);
    state_->registered = nullptr;
    state_->loading = nullptr;
  }
  const std::string error = std::exchange(state_->error, {});
  TM_CHECK(Protected(*state_, SwitchBack, nullptr), "{}", state_->error);
  luaL_unref(state_->lua, LUA_REGISTRYINDEX, *chunk);
  if (!done) {
    Release(*state_, library);
    return InvalidArgument("Error registering functions: {}", error);
  }
  if (functions.empty()) return InvalidArgument("No functions registered");
  const auto known = state_->libraries.find(ToAbsl(identity));
  if (known != state_->libraries.end()) Release(*state_, known->second);
  state_->libraries.insert_or_assign(std::string(identity), std::move(library));
  return functions;
}

bool Interpreter::HasLibrary(std::string_view identity) const { return state_->libraries.contains(ToAbsl(identity)); }

RunResult Interpreter::RunFunction(std::string_view identity, std::string_view name, Words keys, Words argv,
                                   uint64_t seed, Host& host, resp::Writer& out) {
  const auto library = state_->libraries.find(ToAbsl(identity));
  TM_CHECK(library != state_->libraries.end(), "the library of {} was not loaded", name);
  const auto function = library->second.functions.find(ToAbsl(name));
  TM_CHECK(function != library->second.functions.end(), "its library does not have {}", name);
  return RunCompiled(*state_, name,
                     {.function = function->second, .is_function = true, .keys = keys, .argv = argv, .out = &out}, seed,
                     host);
}

void Interpreter::KeepLibraries(std::span<const std::string> identities) {
  for (auto it = state_->libraries.begin(); it != state_->libraries.end();) {
    const auto library = it++;
    if (std::find(identities.begin(), identities.end(), library->first) != identities.end()) continue;
    Release(*state_, library->second);
    state_->libraries.erase(library);
  }
}

size_t Interpreter::memory() const { return state_->bytes; }

}  // namespace tidemark::scripting
