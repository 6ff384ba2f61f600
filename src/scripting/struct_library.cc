// `struct`: numbers and strings as bytes of a given layout, after the description of Lua's struct library
// (inf.puc-rio.br/~roberto/struct): pack(format, …), unpack(format, bytes[, position]), size(format).
#include <bit>
#include <cstring>
#include <string>

#include "scripting/state.h"

namespace tidemark::scripting {
namespace {

constexpr int kIntegerSizeMax = 32;
constexpr size_t kNativeAlignment = 8;
// Lua's strings and lengths stay below.
constexpr size_t kSizeMax = size_t{1} << 31;

// Walks a format; each Next is one option with its size and the padding before it.
class Format {
 public:
  Format(lua_State* lua, const char* text) : lua_(lua), rest_(text) {}

  bool Next(char* option, size_t* size) {
    while (*rest_ != '\0') {
      *option = *rest_++;
      if (!ReadControl(*option)) {
        *size = SizeOf(*option);
        return true;
      }
    }
    return false;
  }
  // Bytes before an option of that size at `offset`.
  size_t Padding(char option, size_t size, size_t offset) const {
    if (size == 0 || option == 'c') return 0;
    const size_t alignment = std::min(size, alignment_);
    if (alignment <= 1) return 0;
    if ((alignment & (alignment - 1)) != 0)
      luaL_error(lua_, "alignment %d is not a power of 2", static_cast<int>(alignment));
    return (alignment - (offset & (alignment - 1))) & (alignment - 1);
  }
  bool little() const { return little_; }

 private:
  bool IsDigit() const { return *rest_ >= '0' && *rest_ <= '9'; }
  size_t Number(size_t otherwise) {
    if (!IsDigit()) return otherwise;
    size_t value = 0;
    while (IsDigit()) {
      value = value * 10 + static_cast<size_t>(*rest_++ - '0');
      if (value >= kSizeMax) luaL_error(lua_, "integral size overflow");
    }
    return value;
  }
  bool ReadControl(char option) {
    switch (option) {
      case ' ':
        return true;
      case '<':
        little_ = true;
        return true;
      case '>':
        little_ = false;
        return true;
      case '!': {
        alignment_ = Number(kNativeAlignment);
        if (alignment_ == 0 || (alignment_ & (alignment_ - 1)) != 0) luaL_error(lua_, "alignment is not a power of 2");
        return true;
      }
      default:
        return false;
    }
  }
  size_t SizeOf(char option) {
    switch (option) {
      case 'B':
      case 'b':
      case 'x':
        return 1;
      case 'H':
      case 'h':
        return sizeof(int16_t);
      case 'L':
      case 'l':
      case 'T':
      case 'd':
      case 'n':
        return sizeof(int64_t);
      case 'f':
        return sizeof(float);
      case 'c':
        return Number(1);
      case 's':
        return 0;
      case 'i':
      case 'I': {
        const size_t size = Number(sizeof(int));
        if (size > kIntegerSizeMax) {
          luaL_error(lua_, "integral size %d is larger than limit of %d", static_cast<int>(size), kIntegerSizeMax);
        }
        return size;
      }
      default:
        luaL_error(lua_, "invalid format option '%c'", option);
        return 0;
    }
  }

  lua_State* const lua_;
  const char* rest_;
  bool little_ = true;
  size_t alignment_ = 1;
};

void AppendInteger(std::string* out, uint64_t value, size_t size, bool little, bool negative) {
  const size_t start = out->size();
  for (size_t i = 0; i < size; ++i) {
    out->push_back(i < 8 ? static_cast<char>(value >> (8 * i)) : static_cast<char>(negative ? 0xFF : 0));
  }
  if (!little) std::reverse(out->begin() + static_cast<ptrdiff_t>(start), out->end());
}

template <typename Float>
void AppendFloat(std::string* out, Float value, bool little) {
  char bytes[sizeof(Float)];
  std::memcpy(bytes, &value, sizeof(Float));
  if (!little) std::reverse(std::begin(bytes), std::end(bytes));
  out->append(bytes, sizeof(Float));
}

void PackOne(lua_State* lua, int* argument, char option, size_t size, bool little, std::string* out) {
  switch (option) {
    case 'x':
      out->push_back('\0');
      return;
    case 'f':
      return AppendFloat(out, static_cast<float>(luaL_checknumber(lua, (*argument)++)), little);
    case 'd':
    case 'n':
      return AppendFloat(out, luaL_checknumber(lua, (*argument)++), little);
    case 'c':
    case 's': {
      size_t length = 0;
      const char* bytes = luaL_checklstring(lua, *argument, &length);
      if (size == 0) size = length;
      luaL_argcheck(lua, length >= size, *argument, "string too short");
      ++*argument;
      out->append(bytes, size);
      if (option == 's') out->push_back('\0');
      return;
    }
    default: {
      const lua_Number number = luaL_checknumber(lua, (*argument)++);
      const bool negative = number < 0;
      const uint64_t value =
          negative ? static_cast<uint64_t>(static_cast<int64_t>(number)) : static_cast<uint64_t>(number);
      AppendInteger(out, value, size, little, negative);
    }
  }
}

int Pack(lua_State* lua) {
  Format format(lua, luaL_checkstring(lua, 1));
  std::string out;
  int argument = 2;
  char option = 0;
  for (size_t size = 0; format.Next(&option, &size);) {
    out.append(format.Padding(option, size, out.size()), '\0');
    PackOne(lua, &argument, option, size, format.little(), &out);
  }
  lua_pushlstring(lua, out.data(), out.size());
  return 1;
}

void PushInteger(lua_State* lua, const char* bytes, size_t size, bool little, bool is_signed) {
  uint64_t value = 0;
  for (size_t i = std::min<size_t>(size, 8); i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(little ? bytes[i] : bytes[size - 1 - i]);
  }
  if (!is_signed) return lua_pushnumber(lua, static_cast<lua_Number>(value));
  if (size < 8 && size > 0 && (value >> (8 * size - 1)) != 0) value |= ~uint64_t{0} << (8 * size);
  lua_pushnumber(lua, static_cast<lua_Number>(static_cast<int64_t>(value)));
}

template <typename Float>
void PushFloat(lua_State* lua, const char* bytes, bool little) {
  char ordered[sizeof(Float)];
  std::memcpy(ordered, bytes, sizeof(Float));
  if (!little) std::reverse(std::begin(ordered), std::end(ordered));
  Float value;
  std::memcpy(&value, ordered, sizeof(Float));
  lua_pushnumber(lua, static_cast<lua_Number>(value));
}

// Returns how many bytes it took.
size_t UnpackOne(lua_State* lua, char option, size_t size, bool little, std::string_view rest, int* results) {
  switch (option) {
    case 'x':
      return size;
    case 'f':
      PushFloat<float>(lua, rest.data(), little);
      break;
    case 'd':
    case 'n':
      PushFloat<double>(lua, rest.data(), little);
      break;
    case 'c':
      if (size == 0) {
        if (*results == 0 || lua_isnumber(lua, -1) == 0) luaL_error(lua, "format 'c0' needs a previous size");
        const lua_Number wanted = lua_tonumber(lua, -1);
        lua_pop(lua, 1);
        --*results;
        luaL_argcheck(lua, wanted >= 0 && wanted <= static_cast<lua_Number>(rest.size()), 2, "data string too short");
        size = static_cast<size_t>(wanted);
      }
      lua_pushlstring(lua, rest.data(), size);
      break;
    case 's': {
      const size_t end = rest.find('\0');
      if (end == std::string_view::npos) luaL_error(lua, "unfinished string in data");
      lua_pushlstring(lua, rest.data(), end);
      size = end + 1;
      break;
    }
    default:
      PushInteger(lua, rest.data(), size, little, option >= 'a' && option <= 'z');
  }
  ++*results;
  return size;
}

int Unpack(lua_State* lua) {
  Format format(lua, luaL_checkstring(lua, 1));
  size_t length = 0;
  const char* bytes = luaL_checklstring(lua, 2, &length);
  const std::string_view data(bytes, length);
  const lua_Number position = luaL_optnumber(lua, 3, 1);
  luaL_argcheck(lua, position >= 1, 3, "offset must be 1 or greater");
  size_t offset = static_cast<size_t>(std::min(position - 1, static_cast<lua_Number>(kSizeMax)));
  lua_settop(lua, 2);
  int results = 0;
  char option = 0;
  for (size_t size = 0; format.Next(&option, &size);) {
    offset += format.Padding(option, size, offset);
    luaL_argcheck(lua, offset <= length && size <= length - offset, 2, "data string too short");
    luaL_checkstack(lua, 2, "too many results");
    offset += UnpackOne(lua, option, size, format.little(), data.substr(offset), &results);
  }
  lua_pushnumber(lua, static_cast<lua_Number>(offset + 1));
  return results + 1;
}

int Size(lua_State* lua) {
  Format format(lua, luaL_checkstring(lua, 1));
  size_t total = 0;
  char option = 0;
  for (size_t size = 0; format.Next(&option, &size);) {
    if (option == 's') luaL_argerror(lua, 1, "variable-length format");
    if (option == 'c' && size == 0) luaL_argerror(lua, 1, "variable-length format");
    total += format.Padding(option, size, total) + size;
    luaL_argcheck(lua, total < kSizeMax, 1, "format result too large");
  }
  lua_pushnumber(lua, static_cast<lua_Number>(total));
  return 1;
}

}  // namespace

int OpenStruct(lua_State* lua) {
  lua_newtable(lua);
  constexpr luaL_Reg kFunctions[] = {{"pack", Pack}, {"unpack", Unpack}, {"size", Size}};
  for (const luaL_Reg& entry : kFunctions) {
    lua_pushcfunction(lua, entry.func);
    lua_setfield(lua, -2, entry.name);
  }
  return 1;
}

}  // namespace tidemark::scripting
