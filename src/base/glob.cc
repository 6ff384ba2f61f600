#include "base/glob.h"

#include <cstddef>
#include <utility>

namespace tidemark {
namespace {

unsigned char Fold(char c, bool nocase) {
  const auto byte = static_cast<unsigned char>(c);
  return nocase && byte >= 'A' && byte <= 'Z' ? static_cast<unsigned char>(byte + ('a' - 'A')) : byte;
}

// Whether `c` is in the set that begins after the '[' at pattern[*at]; leaves *at behind the set.
bool MatchSet(std::string_view pattern, size_t* at, char c, bool nocase) {
  size_t i = *at + 1;
  const bool inverted = i < pattern.size() && pattern[i] == '^';
  if (inverted) ++i;
  const unsigned char wanted = Fold(c, nocase);
  bool found = false;
  for (; i < pattern.size() && pattern[i] != ']'; ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      ++i;
      found |= Fold(pattern[i], nocase) == wanted;
    } else if (i + 2 < pattern.size() && pattern[i + 1] == '-') {
      unsigned char low = Fold(pattern[i], nocase);
      unsigned char high = Fold(pattern[i + 2], nocase);
      if (low > high) std::swap(low, high);
      found |= low <= wanted && wanted <= high;
      i += 2;
    } else {
      found |= Fold(pattern[i], nocase) == wanted;
    }
  }
  *at = i < pattern.size() ? i + 1 : i;
  return found != inverted;
}

// Whether one element of the pattern, not a star, takes `c`; moves *at behind the element when it does.
bool MatchOne(std::string_view pattern, size_t* at, char c, bool nocase) {
  size_t i = *at;
  if (i == pattern.size()) return false;
  if (pattern[i] == '[') {
    if (!MatchSet(pattern, &i, c, nocase)) return false;
  } else if (pattern[i] == '?') {
    ++i;
  } else {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    if (Fold(pattern[i], nocase) != Fold(c, nocase)) return false;
    ++i;
  }
  *at = i;
  return true;
}

// Redis gives a match up at this many stars within one another; what depends on it must not differ.
constexpr int kStarsMax = 1000;

}  // namespace

// Only the last star met is ever tried again: what an earlier one took more would only leave less for it.
bool GlobMatch(std::string_view pattern, std::string_view text, bool nocase) {
  constexpr size_t kNone = std::string_view::npos;
  size_t p = 0;
  size_t t = 0;
  size_t after_star = kNone;
  size_t star_ends = 0;
  int stars = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      while (p < pattern.size() && pattern[p] == '*') ++p;
      if (p == pattern.size()) return true;
      if (++stars > kStarsMax) return false;
      after_star = p;
      star_ends = t;
    } else if (MatchOne(pattern, &p, text[t], nocase)) {
      ++t;
    } else {
      if (after_star == kNone) return false;
      p = after_star;
      t = ++star_ends;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace tidemark
