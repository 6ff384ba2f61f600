// RESP to Lua and back, as Redis's documentation has it ("Redis Lua API reference", data type conversion).
#include <charconv>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "scripting/state.h"

namespace tidemark::scripting {
namespace {

// Slots that one level of a reply or of a result needs.
constexpr int kSlotsPerLevel = 6;

class ReplyReader {
 public:
  ReplyReader(lua_State* lua, std::string_view rest) : lua_(lua), rest_(rest) {}

  void PushNext() {
    luaL_checkstack(lua_, kSlotsPerLevel, "a reply is nested too deeply");
    const char type = rest_[0];
    rest_.remove_prefix(1);
    switch (type) {
      case '+':
        return PushField("ok", Line());
      case '-':
        return PushField("err", Line());
      case ':':
        return lua_pushnumber(lua_, static_cast<lua_Number>(Number(Line())));
      case '$':
        return PushBulk();
      case '*':
        return PushArray();
      case '_':
        Line();
        return lua_pushnil(lua_);
      case '#':
        return lua_pushboolean(lua_, static_cast<int>(Line() == "t"));
      case ',':
        return PushDouble();
      case '(':
        return PushField("big_number", Line());
      case '=':
        return PushVerbatim();
      case '%':
        return PushMap();
      case '~':
      case '>':
        return PushSet();
      case '|':
        return SkipAttribute();
      default:
        TM_CHECK(false, "no RESP type '{}'", type);
    }
  }

 private:
  std::string_view Line() {
    const size_t end = rest_.find("\r\n");
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + 2);
    return line;
  }
  static int64_t Number(std::string_view digits) {
    int64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  }
  std::string_view Bytes() {
    const auto length = static_cast<size_t>(Number(Line()));
    const std::string_view bytes = rest_.substr(0, length);
    rest_.remove_prefix(length + 2);
    return bytes;
  }
  void PushString(std::string_view bytes) { lua_pushlstring(lua_, bytes.data(), bytes.size()); }
  void PushField(const char* name, std::string_view text) {
    lua_createtable(lua_, 0, 1);
    PushString(text);
    lua_setfield(lua_, -2, name);
  }
  void PushBulk() {
    if (rest_.starts_with("-1")) {
      Line();
      return lua_pushboolean(lua_, 0);
    }
    PushString(Bytes());
  }
  void PushArray() {
    const int64_t count = Number(Line());
    if (count < 0) return lua_pushboolean(lua_, 0);
    lua_createtable(lua_, static_cast<int>(count), 0);
    for (int i = 1; i <= count; ++i) {
      PushNext();
      lua_rawseti(lua_, -2, i);
    }
  }
  void PushDouble() {
    const std::string text(Line());
    lua_createtable(lua_, 0, 1);
    lua_pushnumber(lua_, std::strtod(text.c_str(), nullptr));
    lua_setfield(lua_, -2, "double");
  }
  void PushVerbatim() {
    const std::string_view bytes = Bytes();
    lua_createtable(lua_, 0, 1);
    lua_createtable(lua_, 0, 2);
    PushString(bytes.substr(4));
    lua_setfield(lua_, -2, "string");
    PushString(bytes.substr(0, 3));
    lua_setfield(lua_, -2, "format");
    lua_setfield(lua_, -2, "verbatim_string");
  }
  void PushMap() {
    const int64_t count = Number(Line());
    lua_createtable(lua_, 0, 1);
    lua_createtable(lua_, 0, static_cast<int>(count));
    for (int64_t i = 0; i < count; ++i) {
      PushNext();
      PushNext();
      lua_rawset(lua_, -3);
    }
    lua_setfield(lua_, -2, "map");
  }
  void PushSet() {
    const int64_t count = Number(Line());
    lua_createtable(lua_, 0, 1);
    lua_createtable(lua_, 0, static_cast<int>(count));
    for (int64_t i = 0; i < count; ++i) {
      PushNext();
      lua_pushboolean(lua_, 1);
      lua_rawset(lua_, -3);
    }
    lua_setfield(lua_, -2, "set");
  }
  // Scripts see the reply that follows alone.
  void SkipAttribute() {
    const int64_t count = Number(Line());
    for (int64_t i = 0; i < 2 * count; ++i) {
      PushNext();
      lua_pop(lua_, 1);
    }
    PushNext();
  }

  lua_State* const lua_;
  std::string_view rest_;
};

std::string_view StringAt(lua_State* lua, int index) {
  size_t size = 0;
  const char* bytes = lua_tolstring(lua, index, &size);
  return {bytes, size};
}

int64_t Truncated(lua_Number number) {
  if (number >= -9223372036854775808.0 && number < 9223372036854775808.0) return static_cast<int64_t>(number);
  return std::numeric_limits<int64_t>::min();
}

// Pushes the field as it stands in the table, whatever metatable that has.
int PushRawField(lua_State* lua, const char* name) {
  lua_pushstring(lua, name);
  lua_rawget(lua, -2);
  return lua_type(lua, -1);
}

class ResultWriter {
 public:
  ResultWriter(lua_State* lua, resp::Writer& out) : lua_(lua), out_(out) {}

  // Writes what is on top and leaves it there.
  void Write() {
    switch (lua_type(lua_, -1)) {
      case LUA_TSTRING:
        return out_.Bulk(StringAt(lua_, -1));
      case LUA_TNUMBER:
        return out_.Integer(Truncated(lua_tonumber(lua_, -1)));
      case LUA_TBOOLEAN:
        return WriteBool();
      case LUA_TTABLE:
        if (lua_checkstack(lua_, kSlotsPerLevel) == 0) return out_.Error("ERR reached lua stack limit");
        return WriteTable();
      default:
        return out_.Null();
    }
  }

 private:
  void WriteBool() {
    const bool value = lua_toboolean(lua_, -1) != 0;
    if (State::Of(lua_).reply.protocol() >= 3) return out_.Bool(value);
    if (value) return out_.Integer(1);
    out_.Null();
  }

  void WriteTable() {
    if (WriteNamed()) return;
    const auto list = out_.BeginDeferred(resp::Writer::Kind::kArray);
    size_t count = 0;
    for (int i = 1;; ++i) {
      lua_rawgeti(lua_, -1, i);
      if (lua_isnil(lua_, -1)) break;
      Write();
      lua_pop(lua_, 1);
      ++count;
    }
    lua_pop(lua_, 1);
    out_.EndDeferred(list, count);
  }

  // A table with a field that says what it is.
  bool WriteNamed() {
    bool known = true;
    if (PushRawField(lua_, "err") == LUA_TSTRING) {
      out_.Error(StringAt(lua_, -1));
    } else if (Next("ok") == LUA_TSTRING) {
      out_.Simple(StringAt(lua_, -1));
    } else if (Next("double") == LUA_TNUMBER) {
      out_.Double(lua_tonumber(lua_, -1));
    } else if (Next("map") == LUA_TTABLE) {
      WriteMap();
    } else if (Next("set") == LUA_TTABLE) {
      WriteSet();
    } else if (Next("big_number") == LUA_TSTRING) {
      WriteBigNumber();
    } else if (Next("verbatim_string") == LUA_TTABLE) {
      known = WriteVerbatim();
    } else {
      known = false;
    }
    lua_pop(lua_, 1);
    return known;
  }
  int Next(const char* name) {
    lua_pop(lua_, 1);
    return PushRawField(lua_, name);
  }

  void WriteMap() {
    const auto map = out_.BeginDeferred(resp::Writer::Kind::kMap);
    size_t count = 0;
    lua_pushnil(lua_);
    while (lua_next(lua_, -2) != 0) {
      lua_pushvalue(lua_, -2);
      Write();
      lua_pop(lua_, 1);
      Write();
      lua_pop(lua_, 1);
      ++count;
    }
    out_.EndDeferred(map, count);
  }

  void WriteSet() {
    const auto set = out_.BeginDeferred(resp::Writer::Kind::kSet);
    size_t count = 0;
    lua_pushnil(lua_);
    while (lua_next(lua_, -2) != 0) {
      lua_pop(lua_, 1);
      lua_pushvalue(lua_, -1);
      Write();
      lua_pop(lua_, 1);
      ++count;
    }
    out_.EndDeferred(set, count);
  }

  void WriteBigNumber() {
    std::string digits(StringAt(lua_, -1));
    for (char& c : digits) {
      if (c == '\r' || c == '\n') c = ' ';
    }
    out_.BigNumber(digits);
  }

  bool WriteVerbatim() {
    PushRawField(lua_, "format");
    lua_insert(lua_, -2);
    PushRawField(lua_, "string");
    lua_insert(lua_, -2);
    // Now: format, string, table.
    const bool whole = lua_type(lua_, -3) == LUA_TSTRING && lua_type(lua_, -2) == LUA_TSTRING;
    if (whole) {
      std::string format(StringAt(lua_, -3));
      format.resize(3, ' ');
      out_.Verbatim(format, StringAt(lua_, -2));
    }
    lua_remove(lua_, -2);
    lua_remove(lua_, -2);
    return whole;
  }

  lua_State* const lua_;
  resp::Writer& out_;
};

}  // namespace

void PushReply(lua_State* lua, std::string_view reply) { ReplyReader(lua, reply).PushNext(); }

void WriteResult(lua_State* lua, resp::Writer& out) {
  ResultWriter(lua, out).Write();
  lua_pop(lua, 1);
}

}  // namespace tidemark::scripting
