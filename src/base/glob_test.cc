#include "base/glob.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tidemark {
namespace {

TEST(GlobTest, Elements) {
  EXPECT_TRUE(GlobMatch("*", "anything"));
  EXPECT_TRUE(GlobMatch("**", ""));
  EXPECT_TRUE(GlobMatch("h?llo", "hello"));
  EXPECT_FALSE(GlobMatch("h?llo", "hllo"));
  EXPECT_TRUE(GlobMatch("h*llo", "heeeello"));
  EXPECT_TRUE(GlobMatch("foo*bar*", "foo-bar-bar-x"));
  EXPECT_FALSE(GlobMatch("foo*bar", "foobarx"));
  EXPECT_TRUE(GlobMatch("", ""));
  EXPECT_FALSE(GlobMatch("", "a"));
  EXPECT_FALSE(GlobMatch("a", ""));
  EXPECT_TRUE(GlobMatch("a*", "a"));
}

TEST(GlobTest, Sets) {
  EXPECT_TRUE(GlobMatch("h[ae]llo", "hallo"));
  EXPECT_FALSE(GlobMatch("h[ae]llo", "hillo"));
  EXPECT_TRUE(GlobMatch("h[^e]llo", "hallo"));
  EXPECT_FALSE(GlobMatch("h[^e]llo", "hello"));
  EXPECT_TRUE(GlobMatch("h[a-c]llo", "hbllo"));
  EXPECT_TRUE(GlobMatch("h[c-a]llo", "hbllo"));
  EXPECT_TRUE(GlobMatch("[\\]]", "]"));
  EXPECT_TRUE(GlobMatch("[a\\-z]", "-"));
  EXPECT_FALSE(GlobMatch("[a\\-z]", "b"));
  EXPECT_TRUE(GlobMatch("*[0-9]", "key7"));
  EXPECT_FALSE(GlobMatch("[]", "a"));
}

TEST(GlobTest, UnclosedSetEndsWithThePattern) {
  EXPECT_TRUE(GlobMatch("[abc", "b"));
  EXPECT_FALSE(GlobMatch("[abc", "d"));
  EXPECT_FALSE(GlobMatch("[", "x"));
  EXPECT_TRUE(GlobMatch("[^", "x"));
  EXPECT_TRUE(GlobMatch("[a-", "-"));
  EXPECT_TRUE(GlobMatch("[a\\", "\\"));
}

TEST(GlobTest, Escapes) {
  EXPECT_TRUE(GlobMatch("a\\*b", "a*b"));
  EXPECT_FALSE(GlobMatch("a\\*b", "axb"));
  EXPECT_TRUE(GlobMatch("a\\", "a\\"));
  EXPECT_TRUE(GlobMatch("\\[x", "[x"));
}

TEST(GlobTest, CaseIsFoldedOnlyWhenAsked) {
  EXPECT_FALSE(GlobMatch("MaxMem*", "maxmemory"));
  EXPECT_TRUE(GlobMatch("MaxMem*", "maxmemory", true));
  EXPECT_TRUE(GlobMatch("[A-C]x", "bX", true));
}

TEST(GlobTest, HostilePatternEndsSoon) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "a*";
  pattern += "b";
  EXPECT_FALSE(GlobMatch(pattern, std::string(20'000, 'a')));
  EXPECT_TRUE(GlobMatch(pattern, std::string(20'000, 'a') + "b"));
}

// The definition, by recursion: what the fast matcher must agree with on every short input.
bool Naive(std::string_view p, std::string_view t) {
  if (p.empty()) return t.empty();
  if (p[0] == '*') return Naive(p.substr(1), t) || (!t.empty() && Naive(p, t.substr(1)));
  return !t.empty() && (p[0] == '?' || p[0] == t[0]) && Naive(p.substr(1), t.substr(1));
}

TEST(GlobTest, AgreesWithTheDefinition) {
  std::mt19937 random(7);
  const auto word = [&](std::string_view alphabet) {
    std::string s(random() % 8, ' ');
    for (char& c : s) c = alphabet[random() % alphabet.size()];
    return s;
  };
  for (int i = 0; i < 20'000; ++i) {
    const std::string pattern = word("ab*?");
    const std::string text = word("ab");
    ASSERT_EQ(GlobMatch(pattern, text), Naive(pattern, text)) << pattern << " on " << text;
  }
}

TEST(GlobTest, GivesUpWhereRedisDoes) {
  const auto stars = [](int count) {
    std::string pattern;
    for (int i = 0; i < count; ++i) pattern += "*?";
    return pattern;
  };
  const std::string text(50'000, 'a');
  EXPECT_TRUE(GlobMatch(stars(1000), text));
  EXPECT_FALSE(GlobMatch(stars(1001), text));
}

}  // namespace
}  // namespace tidemark
