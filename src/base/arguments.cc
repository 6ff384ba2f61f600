#include "base/arguments.h"

#include <fmt/format.h>

#include <cstddef>

namespace tidemark {
namespace {

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char Unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Reads what follows an opening double quote, closing quote included.
bool ReadDoubleQuoted(std::string_view* rest, std::string* word) {
  while (!rest->empty()) {
    const char c = rest->front();
    if (c == '"') {
      rest->remove_prefix(1);
      return rest->empty() || IsSpace(rest->front());
    }
    if (c != '\\' || rest->size() < 2) {
      word->push_back(c);
      rest->remove_prefix(1);
    } else if ((*rest)[1] == 'x' && rest->size() >= 4 && HexValue((*rest)[2]) >= 0 && HexValue((*rest)[3]) >= 0) {
      word->push_back(static_cast<char>(HexValue((*rest)[2]) * 16 + HexValue((*rest)[3])));
      rest->remove_prefix(4);
    } else {
      word->push_back(Unescape((*rest)[1]));
      rest->remove_prefix(2);
    }
  }
  return false;
}

bool ReadSingleQuoted(std::string_view* rest, std::string* word) {
  while (!rest->empty()) {
    if (rest->front() == '\'') {
      rest->remove_prefix(1);
      return rest->empty() || IsSpace(rest->front());
    }
    if (rest->front() == '\\' && rest->size() >= 2 && (*rest)[1] == '\'') rest->remove_prefix(1);
    word->push_back(rest->front());
    rest->remove_prefix(1);
  }
  return false;
}

bool ReadWord(std::string_view* rest, std::string* word) {
  while (!rest->empty()) {
    const char c = rest->front();
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') return true;
    rest->remove_prefix(1);
    if (c == '"') return ReadDoubleQuoted(rest, word);
    if (c == '\'') return ReadSingleQuoted(rest, word);
    word->push_back(c);
  }
  return true;
}

}  // namespace

bool SplitArguments(std::string_view line, std::string* storage, std::vector<std::string_view>* out) {
  out->clear();
  storage->clear();
  storage->reserve(line.size());  // words are never longer than their spelling, so views stay valid
  std::string_view rest = line.substr(0, line.find('\0'));
  while (true) {
    while (!rest.empty() && IsSpace(rest.front())) rest.remove_prefix(1);
    if (rest.empty()) return true;
    const size_t start = storage->size();
    if (!ReadWord(&rest, storage)) {
      out->clear();
      return false;
    }
    out->emplace_back(storage->data() + start, storage->size() - start);
  }
}

std::string QuoteArgument(std::string_view text) {
  bool bare = !text.empty() && text[0] != '#';
  for (const char c : text) bare &= c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\';
  if (bare) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c >= ' ' && c < 0x7f) {
      quoted += c;
    } else {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  quoted += '"';
  return quoted;
}

}  // namespace tidemark
