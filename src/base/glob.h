// Patterns as KEYS, SCAN MATCH, PSUBSCRIBE and CONFIG GET take them: '*', '?', sets "[a-z]" and "[^x]", '\' before a
// character that stands for itself. Same matches as Redis 7.0's stringmatchlen, in time bounded by the product of
// the two lengths whatever the pattern ("a*a*a*a*b" is no attack), without recursion.
#pragma once

#include <string_view>

namespace tidemark {

// `nocase` compares ASCII letters without their case. A set that is never closed ends with the pattern.
bool GlobMatch(std::string_view pattern, std::string_view text, bool nocase = false);

}  // namespace tidemark
