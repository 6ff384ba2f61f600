// `cjson`: Lua values as JSON (RFC 8259) and back, with the functions, limits and errors of the library of that name
// (Lua CJSON 2.1, manual), on which scripts rely. Settings last for one run.
#include <strings.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "scripting/state.h"

namespace tidemark::scripting {
namespace {

constexpr int kSlotsPerLevel = 4;

std::string_view StringAt(lua_State* lua, int index) {
  size_t size = 0;
  const char* bytes = lua_tolstring(lua, index, &size);
  return {bytes, size};
}

class Encoder {
 public:
  Encoder(lua_State* lua, std::string* out) : lua_(lua), options_(State::Of(lua).json), out_(out) {}

  // Writes the value on top and leaves it there.
  void Encode(int depth) {
    switch (lua_type(lua_, -1)) {
      case LUA_TSTRING:
        return AppendString(StringAt(lua_, -1));
      case LUA_TNUMBER:
        return AppendNumber(-1);
      case LUA_TBOOLEAN:
        out_->append(lua_toboolean(lua_, -1) != 0 ? "true" : "false");
        return;
      case LUA_TTABLE:
        return EncodeTable(depth + 1);
      case LUA_TNIL:
        out_->append("null");
        return;
      case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(lua_, -1) == nullptr) {
          out_->append("null");
          return;
        }
        [[fallthrough]];
      default:
        Refuse(-1, "type not supported");
    }
  }

 private:
  void Refuse(int index, const char* why) {
    luaL_error(lua_, "Cannot serialise %s: %s", lua_typename(lua_, lua_type(lua_, index)), why);
  }

  void AppendString(std::string_view text) {
    static constexpr char kDigits[] = "0123456789abcdef";
    out_->push_back('"');
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (const char* shorthand = Shorthand(c)) {
        out_->append(shorthand);
      } else if (byte < 0x20 || byte == 0x7F) {
        out_->append("\\u00");
        out_->push_back(kDigits[byte >> 4]);
        out_->push_back(kDigits[byte & 15]);
      } else {
        out_->push_back(c);
      }
    }
    out_->push_back('"');
  }
  static const char* Shorthand(char c) {
    switch (c) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '/':
        return "\\/";
      case '\b':
        return "\\b";
      case '\f':
        return "\\f";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      default:
        return nullptr;
    }
  }

  void AppendNumber(int index) {
    const lua_Number number = lua_tonumber(lua_, index);
    if (std::isnan(number) || std::isinf(number)) {
      if (options_.encode_invalid == JsonOptions::Invalid::kRefuse) Refuse(index, "must not be NaN or Inf");
      if (options_.encode_invalid == JsonOptions::Invalid::kNull) {
        out_->append("null");
        return;
      }
      if (std::isnan(number)) {
        out_->append("nan");
        return;
      }
    }
    char text[40];
    const int size = std::snprintf(text, sizeof(text), "%.*g", options_.precision, number);
    out_->append(text, static_cast<size_t>(size));
  }

  // Length of the array that the table is; -1 for an object.
  int ArrayLength() {
    int largest = 0;
    int items = 0;
    lua_pushnil(lua_);
    while (lua_next(lua_, -2) != 0) {
      lua_pop(lua_, 1);
      const lua_Number key = lua_type(lua_, -1) == LUA_TNUMBER ? lua_tonumber(lua_, -1) : 0;
      if (key < 1 || key != std::floor(key) || key > 2147483647.0) {
        lua_pop(lua_, 1);
        return -1;
      }
      largest = std::max(largest, static_cast<int>(key));
      ++items;
    }
    const bool sparse = options_.sparse_ratio > 0 && largest > options_.sparse_safe &&
                        static_cast<int64_t>(largest) > static_cast<int64_t>(items) * options_.sparse_ratio;
    if (!sparse) return largest;
    if (!options_.convert_sparse) Refuse(-1, "excessively sparse array");
    return -1;
  }

  void EncodeTable(int depth) {
    if (depth > options_.encode_depth_max || lua_checkstack(lua_, kSlotsPerLevel) == 0) {
      luaL_error(lua_, "Cannot serialise, excessive nesting (%d)", depth);
    }
    const int length = ArrayLength();
    // An empty table is an object.
    if (length > 0) {
      EncodeArray(length, depth);
    } else {
      EncodeObject(depth);
    }
  }

  void EncodeArray(int length, int depth) {
    out_->push_back('[');
    for (int i = 1; i <= length; ++i) {
      if (i > 1) out_->push_back(',');
      lua_rawgeti(lua_, -1, i);
      Encode(depth);
      lua_pop(lua_, 1);
    }
    out_->push_back(']');
  }

  void EncodeObject(int depth) {
    out_->push_back('{');
    bool first = true;
    lua_pushnil(lua_);
    while (lua_next(lua_, -2) != 0) {
      if (!first) out_->push_back(',');
      first = false;
      if (lua_type(lua_, -2) == LUA_TNUMBER) {
        out_->push_back('"');
        AppendNumber(-2);
        out_->push_back('"');
      } else if (lua_type(lua_, -2) == LUA_TSTRING) {
        AppendString(StringAt(lua_, -2));
      } else {
        Refuse(-2, "table key must be a number or string");
      }
      out_->push_back(':');
      Encode(depth);
      lua_pop(lua_, 1);
    }
    out_->push_back('}');
  }

  lua_State* const lua_;
  const JsonOptions& options_;
  std::string* const out_;
};

class Decoder {
 public:
  // `text` ends with a NUL, as Lua's strings do.
  Decoder(lua_State* lua, std::string_view text) : lua_(lua), options_(State::Of(lua).json), text_(text) {}

  // Pushes the value of the whole text.
  void Decode() {
    if (text_.size() >= 2 && (text_[0] == '\0' || text_[1] == '\0')) {
      luaL_error(lua_, "JSON parser does not support UTF-16 or UTF-32");
    }
    Advance();
    PushValue();
    Advance();
    if (token_ != Token::kEnd) Unexpected("the end");
  }

 private:
  enum class Token : uint8_t {
    kObjectBegin,
    kObjectEnd,
    kArrayBegin,
    kArrayEnd,
    kString,
    kNumber,
    kBoolean,
    kNull,
    kColon,
    kComma,
    kEnd,
    kError,
  };
  static const char* Name(Token token) {
    static constexpr const char* kNames[] = {"T_OBJ_BEGIN", "T_OBJ_END", "T_ARR_BEGIN", "T_ARR_END",
                                             "T_STRING",    "T_NUMBER",  "T_BOOLEAN",   "T_NULL",
                                             "T_COLON",     "T_COMMA",   "T_END",       "T_ERROR"};
    return kNames[static_cast<size_t>(token)];
  }

  void Unexpected(const char* expected) {
    const char* found = token_ == Token::kError ? error_ : Name(token_);
    luaL_error(lua_, "Expected %s but found %s at character %d", expected, found, static_cast<int>(token_at_ + 1));
  }

  char Peek(size_t ahead = 0) const { return place_ + ahead < text_.size() ? text_[place_ + ahead] : '\0'; }
  void Simple(Token token, size_t length) {
    token_ = token;
    place_ += length;
  }
  void Fail(const char* error) {
    token_ = Token::kError;
    error_ = error;
    token_at_ = place_;
  }

  void Advance() {
    while (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r') ++place_;
    token_at_ = place_;
    if (place_ == text_.size()) return Simple(Token::kEnd, 0);
    switch (Peek()) {
      case '{':
        return Simple(Token::kObjectBegin, 1);
      case '}':
        return Simple(Token::kObjectEnd, 1);
      case '[':
        return Simple(Token::kArrayBegin, 1);
      case ']':
        return Simple(Token::kArrayEnd, 1);
      case ':':
        return Simple(Token::kColon, 1);
      case ',':
        return Simple(Token::kComma, 1);
      case '"':
        return ReadString();
      default:
        return ReadWord();
    }
  }

  void ReadWord() {
    const std::string_view rest = text_.substr(place_);
    if (Peek() == '-' || (Peek() >= '0' && Peek() <= '9')) {
      if (!options_.decode_invalid && IsUnusualNumber()) return Fail("invalid number");
      return ReadNumber();
    }
    if (rest.starts_with("true") || rest.starts_with("false")) {
      boolean_ = rest[0] == 't';
      return Simple(Token::kBoolean, boolean_ ? 4 : 5);
    }
    if (rest.starts_with("null")) return Simple(Token::kNull, 4);
    if (options_.decode_invalid && IsUnusualNumber()) return ReadNumber();
    Fail("invalid token");
  }

  // One that strtod takes and JSON does not: signs, leading zeros, hexadecimal, infinity, not a number.
  bool IsUnusualNumber() const {
    const char* p = text_.data() + place_;
    if (*p == '+') return true;
    if (*p == '-') ++p;
    if (*p == '0') return (p[1] | 0x20) == 'x' || (p[1] >= '0' && p[1] <= '9');
    if (*p <= '9') return false;
    return strncasecmp(p, "inf", 3) == 0 || strncasecmp(p, "nan", 3) == 0;
  }

  void ReadNumber() {
    const char* begin = text_.data() + place_;
    char* end = nullptr;
    number_ = std::strtod(begin, &end);
    if (end == begin) return Fail("invalid number");
    Simple(Token::kNumber, static_cast<size_t>(end - begin));
  }

  void ReadString() {
    string_.clear();
    ++place_;
    while (true) {
      if (place_ >= text_.size()) return Fail("unexpected end of string");
      const char c = Peek();
      if (c == '"') return Simple(Token::kString, 1);
      if (c != '\\') {
        string_.push_back(c);
        ++place_;
      } else if (Peek(1) == 'u') {
        if (!ReadUnicode()) return Fail("invalid unicode escape code");
      } else {
        const char plain = Unescaped(Peek(1));
        if (plain == '\0') return Fail("invalid escape code");
        string_.push_back(plain);
        place_ += 2;
      }
    }
  }
  static char Unescaped(char c) {
    switch (c) {
      case '"':
      case '\\':
      case '/':
        return c;
      case 'b':
        return '\b';
      case 'f':
        return '\f';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      default:
        return '\0';
    }
  }

  // The four digits behind \u at `place_` + `ahead`; -1 when they are none.
  int Hex(size_t ahead) const {
    int value = 0;
    for (size_t i = 0; i < 4; ++i) {
      const char c = Peek(ahead + i);
      const char lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        value = value * 16 + (c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value * 16 + (lower - 'a' + 10);
      } else {
        return -1;
      }
    }
    return value;
  }
  bool ReadUnicode() {
    int code = Hex(2);
    if (code < 0) return false;
    size_t length = 6;
    if ((code & 0xF800) == 0xD800) {
      if ((code & 0x400) != 0 || Peek(6) != '\\' || Peek(7) != 'u') return false;
      const int low = Hex(8);
      if (low < 0 || (low & 0xFC00) != 0xDC00) return false;
      code = ((code & 0x3FF) << 10 | (low & 0x3FF)) + 0x10000;
      length = 12;
    }
    AppendUtf8(code);
    place_ += length;
    return true;
  }
  void AppendUtf8(int code) {
    const auto tail = [&](int shift) { string_.push_back(static_cast<char>(0x80 | (code >> shift & 0x3F))); };
    if (code < 0x80) {
      string_.push_back(static_cast<char>(code));
    } else if (code < 0x800) {
      string_.push_back(static_cast<char>(0xC0 | code >> 6));
      tail(0);
    } else if (code < 0x10000) {
      string_.push_back(static_cast<char>(0xE0 | code >> 12));
      tail(6);
      tail(0);
    } else {
      string_.push_back(static_cast<char>(0xF0 | code >> 18));
      tail(12);
      tail(6);
      tail(0);
    }
  }

  // The token at hand begins a value.
  void PushValue() {
    switch (token_) {
      case Token::kString:
        return lua_pushlstring(lua_, string_.data(), string_.size());
      case Token::kNumber:
        return lua_pushnumber(lua_, number_);
      case Token::kBoolean:
        return lua_pushboolean(lua_, static_cast<int>(boolean_));
      case Token::kNull:
        return lua_pushlightuserdata(lua_, nullptr);
      case Token::kObjectBegin:
        return PushObject();
      case Token::kArrayBegin:
        return PushArray();
      default:
        Unexpected("value");
    }
  }

  void Descend() {
    ++depth_;
    if (depth_ > options_.decode_depth_max || lua_checkstack(lua_, kSlotsPerLevel) == 0) {
      luaL_error(lua_, "Found too many nested data structures (%d) at character %d", depth_, static_cast<int>(place_));
    }
    lua_newtable(lua_);
  }

  void PushObject() {
    Descend();
    Advance();
    while (token_ != Token::kObjectEnd) {
      if (token_ != Token::kString) Unexpected("object key string");
      lua_pushlstring(lua_, string_.data(), string_.size());
      Advance();
      if (token_ != Token::kColon) Unexpected("colon");
      Advance();
      PushValue();
      lua_rawset(lua_, -3);
      Advance();
      if (token_ == Token::kObjectEnd) break;
      if (token_ != Token::kComma) Unexpected("comma or object end");
      Advance();
      if (token_ == Token::kObjectEnd) Unexpected("object key string");
    }
    --depth_;
  }

  void PushArray() {
    Descend();
    Advance();
    for (int i = 1; token_ != Token::kArrayEnd; ++i) {
      PushValue();
      lua_rawseti(lua_, -2, i);
      Advance();
      if (token_ == Token::kArrayEnd) break;
      if (token_ != Token::kComma) Unexpected("comma or array end");
      Advance();
      if (token_ == Token::kArrayEnd) Unexpected("value");
    }
    --depth_;
  }

  lua_State* const lua_;
  const JsonOptions& options_;
  const std::string_view text_;
  size_t place_ = 0;
  int depth_ = 0;

  Token token_ = Token::kEnd;
  size_t token_at_ = 0;
  const char* error_ = nullptr;
  std::string string_;
  double number_ = 0;
  bool boolean_ = false;
};

int Encode(lua_State* lua) {
  luaL_argcheck(lua, lua_gettop(lua) == 1, 1, "expected 1 argument");
  std::string out;
  Encoder(lua, &out).Encode(0);
  lua_pushlstring(lua, out.data(), out.size());
  return 1;
}

int Decode(lua_State* lua) {
  luaL_argcheck(lua, lua_gettop(lua) == 1, 1, "expected 1 argument");
  size_t size = 0;
  const char* text = luaL_checklstring(lua, 1, &size);
  Decoder(lua, {text, size}).Decode();
  return 1;
}

void CheckCount(lua_State* lua, int most) {
  luaL_argcheck(lua, lua_gettop(lua) <= most, most + 1, "found too many arguments");
  lua_settop(lua, most);
}

// Settings take their new value as argument `index`, if there is one, and return what then holds.
int SetInteger(lua_State* lua, int index, int least, int most, int* setting) {
  if (!lua_isnil(lua, index)) {
    const int value = luaL_checkint(lua, index);
    char wanted[64];
    std::snprintf(wanted, sizeof(wanted), "expected integer between %d and %d", least, most);
    luaL_argcheck(lua, value >= least && value <= most, index, wanted);
    *setting = value;
  }
  lua_pushnumber(lua, *setting);
  return 1;
}

// Also by the words "off" and "on".
int SetBool(lua_State* lua, int index, bool* setting) {
  static const char* const kWords[] = {"off", "on", nullptr};
  if (lua_isboolean(lua, index)) {
    *setting = lua_toboolean(lua, index) != 0;
  } else if (!lua_isnil(lua, index)) {
    *setting = luaL_checkoption(lua, index, nullptr, kWords) == 1;
  }
  lua_pushboolean(lua, static_cast<int>(*setting));
  return 1;
}

int EncodeSparseArray(lua_State* lua) {
  JsonOptions& options = State::Of(lua).json;
  CheckCount(lua, 3);
  SetBool(lua, 1, &options.convert_sparse);
  SetInteger(lua, 2, 0, 2147483647, &options.sparse_ratio);
  SetInteger(lua, 3, 0, 2147483647, &options.sparse_safe);
  return 3;
}
int EncodeMaxDepth(lua_State* lua) {
  CheckCount(lua, 1);
  return SetInteger(lua, 1, 1, 2147483647, &State::Of(lua).json.encode_depth_max);
}
int DecodeMaxDepth(lua_State* lua) {
  CheckCount(lua, 1);
  return SetInteger(lua, 1, 1, 2147483647, &State::Of(lua).json.decode_depth_max);
}
int EncodeNumberPrecision(lua_State* lua) {
  CheckCount(lua, 1);
  return SetInteger(lua, 1, 1, 14, &State::Of(lua).json.precision);
}
int EncodeKeepBuffer(lua_State* lua) {
  CheckCount(lua, 1);
  return SetBool(lua, 1, &State::Of(lua).json.keep_buffer);
}
int DecodeInvalidNumbers(lua_State* lua) {
  CheckCount(lua, 1);
  return SetBool(lua, 1, &State::Of(lua).json.decode_invalid);
}
int EncodeInvalidNumbers(lua_State* lua) {
  static const char* const kWords[] = {"off", "on", "null", nullptr};
  using Invalid = JsonOptions::Invalid;
  Invalid& setting = State::Of(lua).json.encode_invalid;
  CheckCount(lua, 1);
  if (lua_isboolean(lua, 1)) {
    setting = lua_toboolean(lua, 1) != 0 ? Invalid::kAllow : Invalid::kRefuse;
  } else if (!lua_isnil(lua, 1)) {
    setting = static_cast<Invalid>(luaL_checkoption(lua, 1, nullptr, kWords));
  }
  if (setting == Invalid::kNull) {
    lua_pushliteral(lua, "null");
  } else {
    lua_pushboolean(lua, static_cast<int>(setting == Invalid::kAllow));
  }
  return 1;
}

}  // namespace

int OpenJson(lua_State* lua) {
  constexpr luaL_Reg kFunctions[] = {
      {"encode", Encode},
      {"decode", Decode},
      {"encode_sparse_array", EncodeSparseArray},
      {"encode_max_depth", EncodeMaxDepth},
      {"decode_max_depth", DecodeMaxDepth},
      {"encode_number_precision", EncodeNumberPrecision},
      {"encode_keep_buffer", EncodeKeepBuffer},
      {"encode_invalid_numbers", EncodeInvalidNumbers},
      {"decode_invalid_numbers", DecodeInvalidNumbers},
      {"new", OpenJson},
  };
  lua_newtable(lua);
  for (const luaL_Reg& entry : kFunctions) {
    lua_pushcfunction(lua, entry.func);
    lua_setfield(lua, -2, entry.name);
  }
  lua_pushlightuserdata(lua, nullptr);
  lua_setfield(lua, -2, "null");
  lua_pushliteral(lua, "cjson");
  lua_setfield(lua, -2, "_NAME");
  lua_pushliteral(lua, "2.1.0");
  lua_setfield(lua, -2, "_VERSION");
  return 1;
}

}  // namespace tidemark::scripting
