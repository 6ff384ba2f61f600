// What scripts can see and cannot change.
//
// Stock Lua has no read-only tables. A read-only table here is an empty table whose metatable looks names up in the
// real one and refuses assignment:
//
//   script ──▶ view {} ──metatable──▶ __index: real table, __newindex: error, __metatable: a view again
//                                     [kReal]: real table
//
// Functions of the standard library that go around metatables (next, rawget, rawset, table.insert …) are replaced by
// ones that know views. The globals of a script are such a view; a name that is nowhere is an error.
#include <cmath>

#include "base/check.h"
#include "scripting/state.h"

namespace tidemark::scripting {
namespace {

// Its address is the key under which a view's metatable has the real table; no script can make it.
const char kReal = 0;

constexpr const char* kReadOnly = "Attempt to modify a readonly table";

int RefuseChange(lua_State* lua) { return luaL_error(lua, kReadOnly); }

// Upvalue-free __index of a strict table: (table, name).
int RefuseMissing(lua_State* lua) {
  if (lua_type(lua, 2) == LUA_TSTRING) {
    return luaL_error(lua, "Script attempted to access nonexistent global variable '%s'", lua_tostring(lua, 2));
  }
  return luaL_error(lua, "Script attempted to access nonexistent global variable");
}

// Pushes the real table when `index` has a view; false when it has none.
bool PushReal(lua_State* lua, int index) {
  if (lua_getmetatable(lua, index) == 0) return false;
  lua_pushlightuserdata(lua, const_cast<char*>(&kReal));
  lua_rawget(lua, -2);
  lua_remove(lua, -2);
  if (lua_istable(lua, -1)) return true;
  lua_pop(lua, 1);
  return false;
}

void RefuseView(lua_State* lua, int index) {
  if (lua_istable(lua, index) && PushReal(lua, index)) RaiseError(lua, kReadOnly);
}

int Next(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_settop(lua, 2);
  if (PushReal(lua, 1)) lua_replace(lua, 1);
  if (lua_next(lua, 1) != 0) return 2;
  lua_pushnil(lua);
  return 1;
}

int Pairs(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_pushvalue(lua, 1);
  lua_pushnil(lua);
  return 3;
}

// Debian's counts in int, which overflows.
int Unpack(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  const int first = luaL_optint(lua, 2, 1);
  const int last = luaL_opt(lua, luaL_checkint, 3, static_cast<int>(lua_objlen(lua, 1)));
  if (first > last) return 0;
  const int64_t count = int64_t{last} - first + 1;
  if (count > LUAI_MAXCSTACK || lua_checkstack(lua, static_cast<int>(count)) == 0) {
    return luaL_error(lua, "too many results to unpack");
  }
  for (int64_t i = first; i <= last; ++i) lua_rawgeti(lua, 1, static_cast<int>(i));
  return static_cast<int>(count);
}

int RawGet(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  luaL_checkany(lua, 2);
  lua_settop(lua, 2);
  if (PushReal(lua, 1)) lua_replace(lua, 1);
  lua_rawget(lua, 1);
  return 1;
}

// The function of the standard library in upvalue 1, as if it had been called itself: its errors name it.
int CallWrapped(lua_State* lua) { return lua_tocfunction(lua, lua_upvalueindex(1))(lua); }

// One that changes its first argument, behind a check.
int UnlessView(lua_State* lua) {
  RefuseView(lua, 1);
  return CallWrapped(lua);
}

// As Redis: errors that are tables with a text come out as that text.
void SimplifyError(lua_State* lua) {
  if (!lua_istable(lua, -1)) return;
  lua_getfield(lua, -1, "err");
  if (lua_isstring(lua, -1) != 0) {
    lua_replace(lua, -2);
  } else {
    lua_pop(lua, 1);
  }
}

int ProtectedCall(lua_State* lua) {
  luaL_checkany(lua, 1);
  const int status = lua_pcall(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0);
  if (status != 0) {
    PassOnAbandon(lua);
    SimplifyError(lua);
  }
  lua_pushboolean(lua, static_cast<int>(status == 0));
  lua_insert(lua, 1);
  return lua_gettop(lua);
}

int ProtectedCallWithHandler(lua_State* lua) {
  luaL_checkany(lua, 2);
  lua_settop(lua, 2);
  lua_insert(lua, 1);
  const int status = lua_pcall(lua, 0, LUA_MULTRET, 1);
  if (status != 0) PassOnAbandon(lua);
  lua_pushboolean(lua, static_cast<int>(status == 0));
  lua_replace(lua, 1);
  return lua_gettop(lua);
}

// coroutine.resume, upvalue 1: it returns errors, too.
int Resume(lua_State* lua) {
  const int count = CallWrapped(lua);
  if (lua_toboolean(lua, -count) == 0) PassOnAbandon(lua);
  return count;
}

// Source text only: compiled code can break out of Lua.
int LoadText(lua_State* lua, std::string_view text, const char* name) {
  if (!text.empty() && text[0] == LUA_SIGNATURE[0]) {
    lua_pushnil(lua);
    lua_pushliteral(lua, "bad binary format (scripts must be text)");
    return 2;
  }
  if (luaL_loadbuffer(lua, text.data(), text.size(), name) == 0) return 1;
  lua_pushnil(lua);
  lua_insert(lua, -2);
  return 2;
}

int LoadString(lua_State* lua) {
  size_t size = 0;
  const char* text = luaL_checklstring(lua, 1, &size);
  return LoadText(lua, {text, size}, luaL_optstring(lua, 2, text));
}

int Load(lua_State* lua) {
  const char* name = luaL_optstring(lua, 2, "=(load)");
  luaL_checktype(lua, 1, LUA_TFUNCTION);
  std::string text;
  while (true) {
    lua_pushvalue(lua, 1);
    if (lua_pcall(lua, 0, 1, 0) != 0) {
      PassOnAbandon(lua);
      lua_pushnil(lua);
      lua_insert(lua, -2);
      return 2;
    }
    size_t size = 0;
    const char* piece = lua_tolstring(lua, -1, &size);
    if (piece == nullptr && !lua_isnil(lua, -1)) return luaL_error(lua, "reader function must return a string");
    if (size == 0) return LoadText(lua, text, name);
    text.append(piece, size);
    lua_pop(lua, 1);
  }
}

int RandomNumber(lua_State* lua) {
  constexpr uint32_t kMax = 0x7FFFFFFF;
  const lua_Number r = static_cast<lua_Number>(State::Of(lua).random.Next() % kMax) / static_cast<lua_Number>(kMax);
  switch (lua_gettop(lua)) {
    case 0:
      lua_pushnumber(lua, r);
      return 1;
    case 1: {
      const int upper = luaL_checkint(lua, 1);
      luaL_argcheck(lua, 1 <= upper, 1, "interval is empty");
      lua_pushnumber(lua, std::floor(r * upper) + 1);
      return 1;
    }
    case 2: {
      const int lower = luaL_checkint(lua, 1);
      const int upper = luaL_checkint(lua, 2);
      luaL_argcheck(lua, lower <= upper, 2, "interval is empty");
      lua_pushnumber(lua, std::floor(r * (static_cast<lua_Number>(upper) - lower + 1)) + lower);
      return 1;
    }
    default:
      return luaL_error(lua, "wrong number of arguments");
  }
}

int SeedRandom(lua_State* lua) {
  State::Of(lua).random.Seed(static_cast<uint32_t>(luaL_checkint(lua, 1)));
  return 0;
}

void OpenLibrary(lua_State* lua, lua_CFunction open, const char* name) {
  lua_pushcfunction(lua, open);
  lua_pushstring(lua, name);
  lua_call(lua, 1, 0);
}

// Table on top: field `name` becomes `function`, which has the field's former value as its upvalue.
void Wrap(lua_State* lua, const char* name, lua_CFunction function) {
  lua_getfield(lua, -1, name);
  lua_pushcclosure(lua, function, 1);
  lua_setfield(lua, -2, name);
}

void SetFunction(lua_State* lua, const char* name, lua_CFunction function) {
  lua_pushcfunction(lua, function);
  lua_setfield(lua, -2, name);
}

// The globals table on top.
void ReplaceBaseFunctions(lua_State* lua) {
  for (const char* gone : {"dofile", "loadfile", "print", "getfenv", "setfenv", "newproxy", "require", "module"}) {
    lua_pushnil(lua);
    lua_setfield(lua, -2, gone);
  }
  SetFunction(lua, "next", Next);
  lua_getfield(lua, -1, "next");
  lua_pushcclosure(lua, Pairs, 1);
  lua_setfield(lua, -2, "pairs");
  SetFunction(lua, "rawget", RawGet);
  SetFunction(lua, "unpack", Unpack);
  Wrap(lua, "rawset", UnlessView);
  Wrap(lua, "setmetatable", UnlessView);
  SetFunction(lua, "pcall", ProtectedCall);
  SetFunction(lua, "xpcall", ProtectedCallWithHandler);
  SetFunction(lua, "loadstring", LoadString);
  SetFunction(lua, "load", Load);
}

// Table `name` of the globals table on top becomes a view, after `change` had it on top.
template <typename Change>
void CloseTable(lua_State* lua, const char* name, Change change) {
  lua_getfield(lua, -1, name);
  change();
  MakeReadOnly(lua, /*strict=*/false);
  lua_setfield(lua, -2, name);
}

void AddLibrary(lua_State* lua, const char* name, lua_CFunction open) {
  open(lua);
  MakeReadOnly(lua, /*strict=*/false);
  lua_setfield(lua, -2, name);
}

// What scripts and functions have in common: the state's own globals table, which is left on top.
void OpenCommonGlobals(lua_State* lua) {
  OpenLibrary(lua, luaopen_base, "");
  OpenLibrary(lua, luaopen_string, LUA_STRLIBNAME);
  OpenLibrary(lua, luaopen_table, LUA_TABLIBNAME);
  OpenLibrary(lua, luaopen_math, LUA_MATHLIBNAME);
  lua_pushvalue(lua, LUA_GLOBALSINDEX);
  ReplaceBaseFunctions(lua);
  CloseTable(lua, "string", [] {});
  CloseTable(lua, "table", [lua] {
    for (const char* name : {"insert", "remove", "sort", "setn"}) Wrap(lua, name, UnlessView);
  });
  CloseTable(lua, "math", [lua] {
    SetFunction(lua, "random", RandomNumber);
    SetFunction(lua, "randomseed", SeedRandom);
  });
  CloseTable(lua, "coroutine", [lua] { Wrap(lua, "resume", Resume); });
  AddLibrary(lua, "cjson", OpenJson);
  AddLibrary(lua, "cmsgpack", OpenMessagePack);
  AddLibrary(lua, "struct", OpenStruct);
  AddLibrary(lua, "bit", OpenBit);
}

// Strings share one metatable: scripts see a view of it that has the view of `string`.
void CloseStringMetatable(lua_State* lua) {
  lua_pushliteral(lua, "");
  lua_getmetatable(lua, -1);
  lua_createtable(lua, 0, 1);
  lua_getfield(lua, -4, "string");
  lua_setfield(lua, -2, "__index");
  MakeReadOnly(lua, /*strict=*/false);
  lua_setfield(lua, -2, "__metatable");
  lua_pop(lua, 2);
}

void CopyFields(lua_State* lua, int from) {
  lua_pushnil(lua);
  while (lua_next(lua, from) != 0) {
    lua_pushvalue(lua, -2);
    lua_insert(lua, -2);
    lua_rawset(lua, -4);
  }
}

// Globals table on top: gets `redis`, and `server` for it.
void AddApi(lua_State* lua, ApiOf whom) {
  PushRedisApi(lua, whom);
  MakeReadOnly(lua, /*strict=*/whom == ApiOf::kLoading);
  lua_pushvalue(lua, -1);
  lua_setfield(lua, -3, "server");
  lua_setfield(lua, -2, "redis");
}

// Globals table on top: makes it strict, adds its view as _G, leaves the view on top and returns a reference to the
// table itself.
int CloseGlobals(lua_State* lua) {
  lua_pushvalue(lua, -1);
  const int reference = luaL_ref(lua, LUA_REGISTRYINDEX);
  MakeReadOnly(lua, /*strict=*/true);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, reference);
  lua_pushvalue(lua, -2);
  lua_setfield(lua, -2, "_G");
  lua_pop(lua, 1);
  return reference;
}

}  // namespace

void MakeReadOnly(lua_State* lua, bool strict) {
  if (strict) {
    lua_createtable(lua, 0, 1);
    SetFunction(lua, "__index", RefuseMissing);
    lua_setmetatable(lua, -2);
  }
  lua_newtable(lua);           // real, view
  lua_createtable(lua, 0, 4);  // real, view, metatable
  lua_pushlightuserdata(lua, const_cast<char*>(&kReal));
  lua_pushvalue(lua, -4);
  lua_rawset(lua, -3);
  lua_pushvalue(lua, -3);
  lua_setfield(lua, -2, "__index");
  SetFunction(lua, "__newindex", RefuseChange);
  // What getmetatable gives: as read-only, and with nothing in it but the view.
  lua_newtable(lua);
  lua_createtable(lua, 0, 4);
  lua_createtable(lua, 0, 1);
  lua_pushvalue(lua, -5);
  lua_setfield(lua, -2, "__index");
  lua_pushlightuserdata(lua, const_cast<char*>(&kReal));
  lua_pushvalue(lua, -2);
  lua_rawset(lua, -4);
  lua_setfield(lua, -2, "__index");
  SetFunction(lua, "__newindex", RefuseChange);
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_setmetatable(lua, -2);
  lua_setfield(lua, -2, "__metatable");
  lua_setmetatable(lua, -2);  // real, view
  lua_remove(lua, -2);
}

void PassOnAbandon(lua_State* lua) {
  const State& state = State::Of(lua);
  if (state.abandoned || state.killed) lua_error(lua);
}

void SwitchFunctionGlobals(lua_State* lua, bool loading) {
  const State& state = State::Of(lua);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, state.function_environment);
  lua_getmetatable(lua, -1);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, loading ? state.load_globals : state.function_globals);
  lua_pushlightuserdata(lua, const_cast<char*>(&kReal));
  lua_pushvalue(lua, -2);
  lua_rawset(lua, -4);
  lua_setfield(lua, -2, "__index");
  lua_pop(lua, 2);
}

int OpenSandbox(lua_State* lua) {
  State& state = State::Of(lua);
  OpenCommonGlobals(lua);
  CloseStringMetatable(lua);
  const int common = lua_gettop(lua);

  lua_newtable(lua);
  CopyFields(lua, common);
  AddApi(lua, ApiOf::kFunctions);
  state.function_globals = CloseGlobals(lua);
  state.function_environment = luaL_ref(lua, LUA_REGISTRYINDEX);

  lua_newtable(lua);
  AddApi(lua, ApiOf::kLoading);
  lua_createtable(lua, 0, 1);
  SetFunction(lua, "__index", RefuseMissing);
  lua_setmetatable(lua, -2);
  state.load_globals = luaL_ref(lua, LUA_REGISTRYINDEX);

  AddApi(lua, ApiOf::kScripts);
  state.script_globals = CloseGlobals(lua);
  lua_replace(lua, LUA_GLOBALSINDEX);
  return 0;
}

}  // namespace tidemark::scripting
