// `cmsgpack`: Lua values as MessagePack (msgpack.org, "MessagePack specification"), with the functions of Redis's
// library of that name: pack, unpack, unpack_one, unpack_limit.
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "scripting/state.h"

namespace tidemark::scripting {
namespace {

// Tables nested deeper are packed as nil.
constexpr int kDepthMax = 16;

class Packer {
 public:
  Packer(lua_State* lua, std::string* out) : lua_(lua), out_(out) {}

  // Packs the value on top and pops it.
  void Pack(int depth) {
    luaL_checkstack(lua_, 4, "in function mp_encode_lua_type");
    switch (lua_type(lua_, -1)) {
      case LUA_TSTRING:
        PackString();
        break;
      case LUA_TBOOLEAN:
        Byte(lua_toboolean(lua_, -1) != 0 ? 0xC3 : 0xC2);
        break;
      case LUA_TNUMBER:
        PackNumber(lua_tonumber(lua_, -1));
        break;
      case LUA_TTABLE:
        if (depth == kDepthMax) {
          Byte(0xC0);
        } else {
          PackTable(depth);
        }
        break;
      default:
        Byte(0xC0);
    }
    lua_pop(lua_, 1);
  }

 private:
  void Byte(int value) { out_->push_back(static_cast<char>(value)); }
  void Big(uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) Byte(static_cast<int>(value >> (8 * i) & 0xFF));
  }
  // A head of the smallest kind that holds `length`; kind 0 where the format has none.
  void Head(size_t length, int fix, size_t fix_max, int kind8, int kind16, int kind32) {
    if (length <= fix_max) {
      Byte(fix | static_cast<int>(length));
    } else if (kind8 != 0 && length <= 0xFF) {
      Byte(kind8);
      Big(length, 1);
    } else if (length <= 0xFFFF) {
      Byte(kind16);
      Big(length, 2);
    } else {
      Byte(kind32);
      Big(length, 4);
    }
  }
  void PackString() {
    size_t length = 0;
    const char* bytes = lua_tolstring(lua_, -1, &length);
    Head(length, 0xA0, 31, 0xD9, 0xDA, 0xDB);
    out_->append(bytes, length);
  }
  void PackNumber(lua_Number number) {
    if (number == std::floor(number) && number >= -9223372036854775808.0 && number < 9223372036854775808.0) {
      return PackInteger(static_cast<int64_t>(number));
    }
    const auto single = static_cast<float>(number);
    if (number == static_cast<lua_Number>(single)) {
      Byte(0xCA);
      uint32_t bits = 0;
      std::memcpy(&bits, &single, sizeof(bits));
      return Big(bits, 4);
    }
    Byte(0xCB);
    uint64_t bits = 0;
    std::memcpy(&bits, &number, sizeof(bits));
    Big(bits, 8);
  }
  void PackInteger(int64_t value) {
    const auto bits = static_cast<uint64_t>(value);
    if (value >= -32 && value <= 127) return Byte(static_cast<int>(bits & 0xFF));
    int size = 8;
    if (value >= 0) {
      size = value <= 0xFF ? 1 : value <= 0xFFFF ? 2 : value <= 0xFFFFFFFF ? 4 : 8;
    } else {
      size = value >= -0x80 ? 1 : value >= -0x8000 ? 2 : value >= -0x80000000LL ? 4 : 8;
    }
    const int step = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
    Byte((value >= 0 ? 0xCC : 0xD0) + step);
    Big(bits, size);
  }
  // Whether the keys are 1 … n.
  bool IsArray(size_t* count) {
    size_t entries = 0;
    lua_Number largest = 0;
    bool is_array = true;
    lua_pushnil(lua_);
    while (lua_next(lua_, -2) != 0) {
      lua_pop(lua_, 1);
      ++entries;
      const lua_Number key = lua_type(lua_, -1) == LUA_TNUMBER ? lua_tonumber(lua_, -1) : 0;
      if (key < 1 || key != std::floor(key)) is_array = false;
      largest = std::max(largest, key);
    }
    *count = entries;
    return is_array && largest == static_cast<lua_Number>(entries);
  }
  void PackTable(int depth) {
    size_t count = 0;
    if (IsArray(&count)) {
      Head(count, 0x90, 15, 0, 0xDC, 0xDD);
      for (size_t i = 1; i <= count; ++i) {
        lua_rawgeti(lua_, -1, static_cast<int>(i));
        Pack(depth + 1);
      }
      return;
    }
    Head(count, 0x80, 15, 0, 0xDE, 0xDF);
    lua_pushnil(lua_);
    while (lua_next(lua_, -2) != 0) {
      lua_pushvalue(lua_, -2);
      Pack(depth + 1);
      Pack(depth + 1);
    }
  }

  lua_State* const lua_;
  std::string* const out_;
};

class Unpacker {
 public:
  Unpacker(lua_State* lua, std::string_view rest) : lua_(lua), rest_(rest) {}
  size_t left() const { return rest_.size(); }

  // Pushes the next value.
  void PushNext() {
    luaL_checkstack(lua_, 4, "too many nested values");
    const auto kind = static_cast<uint8_t>(Take(1)[0]);
    if (kind <= 0x7F) return lua_pushnumber(lua_, kind);
    if (kind >= 0xE0) return lua_pushnumber(lua_, static_cast<int8_t>(kind));
    if (kind <= 0x8F) return PushMap(kind & 0x0F);
    if (kind <= 0x9F) return PushArray(kind & 0x0F);
    if (kind <= 0xBF) return PushString(kind & 0x1F);
    PushByKind(kind);
  }

 private:
  const char* Take(size_t count) {
    if (count > rest_.size()) luaL_error(lua_, "Missing bytes in input.");
    const char* bytes = rest_.data();
    rest_.remove_prefix(count);
    return bytes;
  }
  uint64_t Big(size_t bytes) {
    uint64_t value = 0;
    for (const char c : std::string_view(Take(bytes), bytes)) value = value << 8 | static_cast<uint8_t>(c);
    return value;
  }
  template <typename Signed>
  void PushSigned() {
    lua_pushnumber(lua_, static_cast<lua_Number>(static_cast<Signed>(Big(sizeof(Signed)))));
  }
  void PushUnsigned(size_t bytes) { lua_pushnumber(lua_, static_cast<lua_Number>(Big(bytes))); }
  void PushFloat() {
    const auto bits = static_cast<uint32_t>(Big(4));
    float value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    lua_pushnumber(lua_, value);
  }
  void PushDouble() {
    const uint64_t bits = Big(8);
    double value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    lua_pushnumber(lua_, value);
  }
  void PushString(size_t length) {
    const char* bytes = Take(length);
    lua_pushlstring(lua_, bytes, length);
  }
  void PushArray(uint64_t count) {
    lua_newtable(lua_);
    for (uint64_t i = 1; i <= count; ++i) {
      PushNext();
      lua_rawseti(lua_, -2, static_cast<int>(i));
    }
  }
  void PushMap(uint64_t count) {
    lua_newtable(lua_);
    for (uint64_t i = 0; i < count; ++i) {
      PushNext();
      // What Lua has no key for.
      if (lua_isnil(lua_, -1) || (lua_type(lua_, -1) == LUA_TNUMBER && std::isnan(lua_tonumber(lua_, -1)))) Malformed();
      PushNext();
      lua_rawset(lua_, -3);
    }
  }
  void Malformed() { luaL_error(lua_, "Bad data format in input."); }
  void PushByKind(uint8_t kind) {
    switch (kind) {
      case 0xC0:
        return lua_pushnil(lua_);
      case 0xC2:
      case 0xC3:
        return lua_pushboolean(lua_, kind & 1);
      case 0xC4:
      case 0xD9:
        return PushString(Big(1));
      case 0xC5:
      case 0xDA:
        return PushString(Big(2));
      case 0xC6:
      case 0xDB:
        return PushString(Big(4));
      case 0xCA:
        return PushFloat();
      case 0xCB:
        return PushDouble();
      case 0xCC:
      case 0xCD:
      case 0xCE:
      case 0xCF:
        return PushUnsigned(size_t{1} << (kind - 0xCC));
      case 0xD0:
        return PushSigned<int8_t>();
      case 0xD1:
        return PushSigned<int16_t>();
      case 0xD2:
        return PushSigned<int32_t>();
      case 0xD3:
        return PushSigned<int64_t>();
      case 0xDC:
        return PushArray(Big(2));
      case 0xDD:
        return PushArray(Big(4));
      case 0xDE:
        return PushMap(Big(2));
      case 0xDF:
        return PushMap(Big(4));
      default:
        return Malformed();
    }
  }

  lua_State* const lua_;
  std::string_view rest_;
};

int PackAll(lua_State* lua) {
  const int count = lua_gettop(lua);
  if (count == 0) return luaL_argerror(lua, 0, "MessagePack pack needs input.");
  std::string out;
  Packer packer(lua, &out);
  for (int i = 1; i <= count; ++i) {
    luaL_checkstack(lua, 1, "in function MessagePack check");
    lua_pushvalue(lua, i);
    packer.Pack(0);
  }
  lua_pushlstring(lua, out.data(), out.size());
  return 1;
}

// At most `limit` values from `offset` on; where `tell`, first the offset behind them, -1 at the end.
int UnpackSome(lua_State* lua, int limit, int offset, bool tell) {
  size_t length = 0;
  const char* bytes = luaL_checklstring(lua, 1, &length);
  if (offset < 0 || limit < 0) {
    return luaL_error(lua, "Invalid request to unpack with offset of %d and limit of %d.", offset, limit);
  }
  if (static_cast<size_t>(offset) > length) {
    return luaL_error(lua, "Start offset %d greater than input length %d.", offset, static_cast<int>(length));
  }
  lua_settop(lua, 1);
  Unpacker unpacker(lua, std::string_view(bytes, length).substr(static_cast<size_t>(offset)));
  int count = 0;
  for (; unpacker.left() > 0 && count < limit; ++count) unpacker.PushNext();
  if (!tell) return count;
  luaL_checkstack(lua, 1, "in function mp_unpack");
  lua_pushnumber(lua, unpacker.left() == 0 ? -1 : static_cast<lua_Number>(length - unpacker.left()));
  lua_insert(lua, 2);
  return count + 1;
}

int Unpack(lua_State* lua) { return UnpackSome(lua, std::numeric_limits<int>::max(), 0, false); }
int UnpackOne(lua_State* lua) { return UnpackSome(lua, 1, luaL_optint(lua, 2, 0), true); }
int UnpackLimit(lua_State* lua) { return UnpackSome(lua, luaL_checkint(lua, 2), luaL_optint(lua, 3, 0), true); }

}  // namespace

int OpenMessagePack(lua_State* lua) {
  lua_newtable(lua);
  constexpr luaL_Reg kFunctions[] = {
      {"pack", PackAll}, {"unpack", Unpack}, {"unpack_one", UnpackOne}, {"unpack_limit", UnpackLimit}};
  for (const luaL_Reg& entry : kFunctions) {
    lua_pushcfunction(lua, entry.func);
    lua_setfield(lua, -2, entry.name);
  }
  constexpr std::pair<const char*, const char*> kTexts[] = {
      {"_NAME", "cmsgpack"}, {"_VERSION", "lua-cmsgpack 0.4.0"}, {"_DESCRIPTION", "MessagePack for Lua"}};
  for (const auto& [name, text] : kTexts) {
    lua_pushstring(lua, text);
    lua_setfield(lua, -2, name);
  }
  return 1;
}

}  // namespace tidemark::scripting
