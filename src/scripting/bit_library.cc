// `bit`: operations on 32-bit numbers, after the description of Lua BitOp (bitop.luajit.org, "API Functions"). Numbers
// are taken modulo 2^32; results are signed.
#include <bit>
#include <cstring>

#include "scripting/state.h"

namespace tidemark::scripting {
namespace {

// Adding 2^52 + 2^51 leaves the rounded integer in the low bits of the number's representation.
uint32_t Bits(lua_State* lua, int index) {
  return static_cast<uint32_t>(std::bit_cast<uint64_t>(luaL_checknumber(lua, index) + 6755399441055744.0));
}

int Push(lua_State* lua, uint32_t bits) {
  lua_pushnumber(lua, static_cast<lua_Number>(static_cast<int32_t>(bits)));
  return 1;
}

int ToBit(lua_State* lua) { return Push(lua, Bits(lua, 1)); }
int Not(lua_State* lua) { return Push(lua, ~Bits(lua, 1)); }
int Swap(lua_State* lua) { return Push(lua, __builtin_bswap32(Bits(lua, 1))); }

template <typename Combine>
int Fold(lua_State* lua, Combine combine) {
  uint32_t bits = Bits(lua, 1);
  for (int i = lua_gettop(lua); i > 1; --i) bits = combine(bits, Bits(lua, i));
  return Push(lua, bits);
}
int And(lua_State* lua) {
  return Fold(lua, [](uint32_t a, uint32_t b) { return a & b; });
}
int Or(lua_State* lua) {
  return Fold(lua, [](uint32_t a, uint32_t b) { return a | b; });
}
int Xor(lua_State* lua) {
  return Fold(lua, [](uint32_t a, uint32_t b) { return a ^ b; });
}

template <typename Shift>
int ShiftBy(lua_State* lua, Shift shift) {
  const uint32_t bits = Bits(lua, 1);
  return Push(lua, shift(bits, static_cast<int>(Bits(lua, 2) & 31)));
}
int ShiftLeft(lua_State* lua) {
  return ShiftBy(lua, [](uint32_t bits, int n) { return bits << n; });
}
int ShiftRight(lua_State* lua) {
  return ShiftBy(lua, [](uint32_t bits, int n) { return bits >> n; });
}
int ShiftArithmetic(lua_State* lua) {
  return ShiftBy(lua, [](uint32_t bits, int n) { return static_cast<uint32_t>(static_cast<int32_t>(bits) >> n); });
}
int RotateLeft(lua_State* lua) {
  return ShiftBy(lua, [](uint32_t bits, int n) { return std::rotl(bits, n); });
}
int RotateRight(lua_State* lua) {
  return ShiftBy(lua, [](uint32_t bits, int n) { return std::rotr(bits, n); });
}

// A negative count of digits asks for capitals.
int ToHex(lua_State* lua) {
  constexpr int64_t kDigitsMax = 8;
  uint32_t bits = Bits(lua, 1);
  int64_t count = lua_isnone(lua, 2) ? kDigitsMax : static_cast<int32_t>(Bits(lua, 2));
  const char* digits = "0123456789abcdef";
  if (count < 0) {
    count = -count;
    digits = "0123456789ABCDEF";
  }
  const auto length = static_cast<size_t>(std::min(count, kDigitsMax));
  char text[kDigitsMax];
  for (size_t i = length; i-- > 0; bits >>= 4) text[i] = digits[bits & 15];
  lua_pushlstring(lua, text, length);
  return 1;
}

constexpr luaL_Reg kFunctions[] = {
    {"tobit", ToBit},    {"bnot", Not},         {"band", And},          {"bor", Or},
    {"bxor", Xor},       {"lshift", ShiftLeft}, {"rshift", ShiftRight}, {"arshift", ShiftArithmetic},
    {"rol", RotateLeft}, {"ror", RotateRight},  {"bswap", Swap},        {"tohex", ToHex},
};

}  // namespace

int OpenBit(lua_State* lua) {
  lua_newtable(lua);
  for (const luaL_Reg& entry : kFunctions) {
    lua_pushcfunction(lua, entry.func);
    lua_setfield(lua, -2, entry.name);
  }
  return 1;
}

}  // namespace tidemark::scripting
