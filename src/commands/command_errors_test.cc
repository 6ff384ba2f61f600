#include <gtest/gtest.h>

#include "commands/testing.h"

namespace tidemark::commands::testing {
namespace {

TEST(CommandErrors, AreRedissWords) {
  EXPECT_EQ(Message(SyntaxError()), "ERR syntax error");
  EXPECT_EQ(Message(WrongArity("config|get")), "ERR wrong number of arguments for 'config|get' command");
  EXPECT_EQ(Message(InvalidExpire("set")), "ERR invalid expire time in 'set' command");
  EXPECT_EQ(Message(IntegerArg(" 1").status()), "ERR value is not an integer or out of range");
  EXPECT_EQ(*IntegerArg("-9223372036854775808"), INT64_MIN);
}

TEST(CommandErrors, CaseIsAsciiOnly) {
  EXPECT_TRUE(EqualsIgnoreCase("KeepTTL", "keepttl"));
  EXPECT_FALSE(EqualsIgnoreCase("[", "{"));
  EXPECT_FALSE(EqualsIgnoreCase("GET", "GETS"));
}

TEST(Readable, ShowsNestedReplies) {
  EXPECT_EQ(Readable("*3\r\n:1\r\n$3\r\na\"\x01\r\n%1\r\n+k\r\n_\r\n"), "[1, \"a\\\"\\x01\", {k: nil}]");
}

}  // namespace
}  // namespace tidemark::commands::testing
