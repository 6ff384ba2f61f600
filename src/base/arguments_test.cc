#include "base/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Split(std::string_view line) {
  std::string storage;
  std::vector<std::string_view> words;
  if (!SplitArguments(line, &storage, &words)) return {"<unbalanced>"};
  return {words.begin(), words.end()};
}

TEST(ArgumentsTest, WordsAndQuotes) {
  EXPECT_THAT(Split("  SET  a\tb "), ElementsAre("SET", "a", "b"));
  EXPECT_THAT(Split(" \t "), IsEmpty());
  EXPECT_THAT(Split("\"\" ''"), ElementsAre("", ""));
  EXPECT_THAT(Split(R"("a\n\r\t\b\a\x4a\q\"" b)"), ElementsAre("a\n\r\t\b\aJq\"", "b"));
  EXPECT_THAT(Split(R"('a\n\'b' c)"), ElementsAre("a\\n'b", "c"));
  EXPECT_THAT(Split(R"("\xzz")"), ElementsAre("xzz"));
  EXPECT_THAT(Split("pre\"fix ed\""), ElementsAre("prefix ed"));
  EXPECT_THAT(Split(std::string_view("a\0b c", 5)), ElementsAre("a"));
}

TEST(ArgumentsTest, UnbalancedIsRefused) {
  for (const char* line : {"\"a", "'a", "\"a\"b", "'a'b", "x \"", "\"a\\", "\"a\\\""}) {
    EXPECT_THAT(Split(line), ElementsAre("<unbalanced>")) << line;
  }
}

TEST(ArgumentsTest, QuotedWordsReadBack) {
  EXPECT_EQ(QuoteArgument("plain"), "plain");
  EXPECT_EQ(QuoteArgument(""), "\"\"");
  std::string every;
  for (int c = 0; c < 256; ++c) every.push_back(static_cast<char>(c));
  for (const std::string& text :
       {every, std::string("a b"), std::string("#x"), std::string("it's"), std::string("\\")}) {
    EXPECT_THAT(Split(QuoteArgument(text)), ElementsAre(text));
  }
}

}  // namespace
}  // namespace tidemark
