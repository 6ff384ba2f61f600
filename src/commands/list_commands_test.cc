#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "commands/data_families.h"
#include "commands/testing.h"

namespace tidemark::commands {
namespace {

using ::testing::ElementsAre;

constexpr const char* kWrongType = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
constexpr const char* kSyntax = "(error) ERR syntax error";

class ListCommandsTest : public ::testing::Test {
 protected:
  std::string Run(std::string_view line) { return harness_.Run(line); }
  testing::Harness harness_{{ListCommands(), ListMoveCommands(), KeyCommands(), StringCommands()}};
};

TEST_F(ListCommandsTest, PushesAtBothEndsInRedisOrder) {
  EXPECT_EQ(Run("RPUSH l a b"), "2");
  EXPECT_EQ(Run("LPUSH l c d"), "4");
  EXPECT_EQ(Run("LRANGE l 0 -1"), R"(["d", "c", "a", "b"])");
  EXPECT_EQ(Run("LLEN l"), "4");
  EXPECT_EQ(Run("LPUSHX none a"), "0");
  EXPECT_EQ(Run("RPUSHX none a"), "0");
  EXPECT_EQ(Run("EXISTS none"), "0");
  EXPECT_EQ(Run("RPUSHX l e f"), "6");
  EXPECT_EQ(Run("LPUSHX l g"), "7");
  EXPECT_EQ(Run("LINDEX l -1"), "\"f\"");
  EXPECT_EQ(Run("TYPE l"), "list");
}

TEST_F(ListCommandsTest, PopsOneOrSeveral) {
  Run("RPUSH l a b c d e");
  EXPECT_EQ(Run("LPOP l"), "\"a\"");
  EXPECT_EQ(Run("RPOP l"), "\"e\"");
  EXPECT_EQ(Run("LPOP l 0"), "[]");
  EXPECT_EQ(Run("RPOP l 2"), R"(["d", "c"])");
  EXPECT_EQ(Run("LPOP l 9"), R"(["b"])");
  EXPECT_EQ(Run("EXISTS l"), "0");
  EXPECT_EQ(harness_.RunRaw({"LPOP", "l"}), "$-1\r\n");
  EXPECT_EQ(harness_.RunRaw({"LPOP", "l", "0"}), "*-1\r\n");
  EXPECT_EQ(Run("LPOP l -1"), "(error) ERR value is out of range, must be positive");
  EXPECT_EQ(Run("LPOP l x"), "(error) ERR value is out of range, must be positive");
  EXPECT_EQ(Run("LPOP l 1 2"), "(error) ERR wrong number of arguments for 'lpop' command");
}

TEST_F(ListCommandsTest, IndexesCountFromBothEnds) {
  Run("RPUSH l a b c");
  EXPECT_EQ(Run("LINDEX l 0"), "\"a\"");
  EXPECT_EQ(Run("LINDEX l -3"), "\"a\"");
  EXPECT_EQ(Run("LINDEX l 3"), "nil");
  EXPECT_EQ(Run("LINDEX l -4"), "nil");
  EXPECT_EQ(Run("LINDEX none x"), "nil");
  EXPECT_EQ(Run("LINDEX l x"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Run("LSET l -1 z"), "OK");
  EXPECT_EQ(Run("LSET l 0 y"), "OK");
  EXPECT_EQ(Run("LRANGE l 0 -1"), R"(["y", "b", "z"])");
  EXPECT_EQ(Run("LSET l 3 x"), "(error) ERR index out of range");
  EXPECT_EQ(Run("LSET none 0 x"), "(error) ERR no such key");
  EXPECT_EQ(Run("LSET l x x"), "(error) ERR value is not an integer or out of range");
}

TEST_F(ListCommandsTest, RangesAreCut) {
  Run("RPUSH l a b c d");
  EXPECT_EQ(Run("LRANGE l 1 2"), R"(["b", "c"])");
  EXPECT_EQ(Run("LRANGE l -2 -1"), R"(["c", "d"])");
  EXPECT_EQ(Run("LRANGE l -100 100"), R"(["a", "b", "c", "d"])");
  EXPECT_EQ(Run("LRANGE l 2 1"), "[]");
  EXPECT_EQ(Run("LRANGE l 4 9"), "[]");
  EXPECT_EQ(Run("LRANGE l 0 -9"), "[]");
  EXPECT_EQ(Run("LRANGE none 0 1"), "[]");
  EXPECT_EQ(Run("LRANGE l -9223372036854775808 9223372036854775807"), R"(["a", "b", "c", "d"])");
  EXPECT_EQ(Run("LTRIM l 1 -2"), "OK");
  EXPECT_EQ(Run("LRANGE l 0 -1"), R"(["b", "c"])");
  EXPECT_EQ(Run("LTRIM l 5 9"), "OK");
  EXPECT_EQ(Run("EXISTS l"), "0");
  EXPECT_EQ(Run("LTRIM none 0 1"), "OK");
  EXPECT_EQ(Run("LTRIM none 0 x"), "(error) ERR value is not an integer or out of range");
}

TEST_F(ListCommandsTest, InsertsBesideThePivot) {
  Run("RPUSH l a b a");
  EXPECT_EQ(Run("LINSERT l BEFORE a x"), "4");
  EXPECT_EQ(Run("LINSERT l after b y"), "5");
  EXPECT_EQ(Run("LRANGE l 0 -1"), R"(["x", "a", "b", "y", "a"])");
  EXPECT_EQ(Run("LINSERT l AFTER none y"), "-1");
  EXPECT_EQ(Run("LINSERT none AFTER a y"), "0");
  EXPECT_EQ(Run("LINSERT l BESIDE a y"), kSyntax);
}

TEST_F(ListCommandsTest, RemovesFromEitherEnd) {
  Run("RPUSH l a b a c a");
  EXPECT_EQ(Run("LREM l 1 a"), "1");
  EXPECT_EQ(Run("LRANGE l 0 -1"), R"(["b", "a", "c", "a"])");
  EXPECT_EQ(Run("LREM l -1 a"), "1");
  EXPECT_EQ(Run("LRANGE l 0 -1"), R"(["b", "a", "c"])");
  EXPECT_EQ(Run("LREM l 0 z"), "0");
  Run("RPUSH l a a");
  EXPECT_EQ(Run("LREM l 0 a"), "3");
  EXPECT_EQ(Run("LREM l 0 b"), "1");
  EXPECT_EQ(Run("LREM l 9 c"), "1");
  EXPECT_EQ(Run("EXISTS l"), "0");
}

TEST_F(ListCommandsTest, FindsPositions) {
  Run("RPUSH l a b c a b c a");
  EXPECT_EQ(Run("LPOS l a"), "0");
  EXPECT_EQ(Run("LPOS l a RANK 2"), "3");
  EXPECT_EQ(Run("LPOS l a RANK -1"), "6");
  EXPECT_EQ(Run("LPOS l a RANK -2 COUNT 0"), "[3, 0]");
  EXPECT_EQ(Run("LPOS l a COUNT 2"), "[0, 3]");
  EXPECT_EQ(Run("LPOS l a COUNT 0 MAXLEN 4"), "[0, 3]");
  EXPECT_EQ(Run("LPOS l a RANK -1 MAXLEN 1"), "6");
  EXPECT_EQ(Run("LPOS l c MAXLEN 2"), "nil");
  EXPECT_EQ(Run("LPOS l z"), "nil");
  EXPECT_EQ(Run("LPOS l z COUNT 0"), "[]");
  EXPECT_EQ(Run("LPOS none a"), "nil");
  EXPECT_EQ(Run("LPOS none a COUNT 1"), "[]");
  EXPECT_EQ(Run("LPOS l a RANK 0"),
            "(error) ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use "
            "negative to start from the end of the list");
  EXPECT_EQ(Run("LPOS l a COUNT -1"), "(error) ERR COUNT can't be negative");
  EXPECT_EQ(Run("LPOS l a MAXLEN -1"), "(error) ERR MAXLEN can't be negative");
  EXPECT_EQ(Run("LPOS l a RANK"), kSyntax);
}

TEST_F(ListCommandsTest, MovesBetweenListsAndWithinOne) {
  Run("RPUSH a 1 2 3");
  EXPECT_EQ(Run("LMOVE a b LEFT RIGHT"), "\"1\"");
  EXPECT_EQ(Run("LMOVE a b right left"), "\"3\"");
  EXPECT_EQ(Run("LRANGE b 0 -1"), R"(["3", "1"])");
  EXPECT_EQ(Run("LMOVE b b LEFT RIGHT"), "\"3\"");
  EXPECT_EQ(Run("LRANGE b 0 -1"), R"(["1", "3"])");
  EXPECT_EQ(Run("RPOPLPUSH b b"), "\"3\"");
  EXPECT_EQ(Run("RPOPLPUSH a a"), "\"2\"");
  EXPECT_EQ(Run("RPOPLPUSH a b"), "\"2\"");
  EXPECT_EQ(Run("EXISTS a"), "0");
  EXPECT_EQ(Run("LRANGE b 0 -1"), R"(["2", "3", "1"])");
  EXPECT_EQ(Run("LMOVE a b LEFT LEFT"), "nil");
  EXPECT_EQ(Run("LMOVE a b UP LEFT"), kSyntax);
}

TEST_F(ListCommandsTest, PopsManyFromTheFirstListThatHasAny) {
  Run("RPUSH b 1 2 3 4");
  EXPECT_EQ(Run("LMPOP 2 a b LEFT"), R"(["b", ["1"]])");
  EXPECT_EQ(Run("LMPOP 2 a b RIGHT COUNT 2"), R"(["b", ["4", "3"]])");
  EXPECT_EQ(Run("LMPOP 1 b RIGHT COUNT 10"), R"(["b", ["2"]])");
  EXPECT_EQ(harness_.RunRaw({"LMPOP", "1", "b", "LEFT"}), "*-1\r\n");
  EXPECT_EQ(Run("LMPOP 0 b LEFT"), "(error) ERR numkeys should be greater than 0");
  EXPECT_EQ(Run("LMPOP x b LEFT"), "(error) ERR numkeys should be greater than 0");
  EXPECT_EQ(Run("LMPOP 1 b LEFT COUNT 0"), "(error) ERR count should be greater than 0");
  EXPECT_EQ(Run("LMPOP 1 b MIDDLE"), kSyntax);
  EXPECT_EQ(Run("LMPOP 2 b LEFT"), kSyntax);
  EXPECT_EQ(Run("LMPOP 9223372036854775807 b LEFT"), kSyntax);
  EXPECT_EQ(Run("LMPOP 1 b LEFT COUNT"), kSyntax);
  EXPECT_EQ(Run("LMPOP 1 b LEFT COUNT 1 COUNT 1"), kSyntax);
}

TEST_F(ListCommandsTest, WhereNothingMayWaitTheReplyMeansNothingIsThere) {
  EXPECT_EQ(harness_.RunRaw({"BLPOP", "a", "b", "0"}), "*-1\r\n");
  EXPECT_EQ(harness_.RunRaw({"BLMOVE", "a", "b", "LEFT", "LEFT", "0"}), "$-1\r\n");
  EXPECT_EQ(harness_.RunRaw({"BRPOPLPUSH", "a", "b", "0"}), "$-1\r\n");
  EXPECT_EQ(harness_.RunRaw({"BLMPOP", "0", "1", "a", "LEFT"}), "*-1\r\n");
  Run("RPUSH b 1 2 3 4");
  EXPECT_EQ(Run("BLPOP a b 0"), R"(["b", "1"])");
  EXPECT_EQ(Run("BRPOP a b 0"), R"(["b", "4"])");
  EXPECT_EQ(Run("BLMOVE b c LEFT LEFT 0"), "\"2\"");
  EXPECT_EQ(Run("BLMPOP 0 2 a c LEFT"), R"(["c", ["2"]])");
}

TEST_F(ListCommandsTest, TimesToWaitAreChecked) {
  EXPECT_EQ(Run("BLPOP a x"), "(error) ERR timeout is not a float or out of range");
  EXPECT_EQ(Run("BLPOP a nan"), "(error) ERR timeout is not a float or out of range");
  EXPECT_EQ(Run("BLPOP a -1"), "(error) ERR timeout is negative");
  EXPECT_EQ(Run("BLPOP a inf"), "(error) ERR timeout is negative");
  EXPECT_EQ(Run("BLMOVE a b LEFT UP x"), kSyntax);
  EXPECT_EQ(Run("BLMPOP x 0 a LEFT"), "(error) ERR numkeys should be greater than 0");
  EXPECT_EQ(Run("BLMPOP x 1 a LEFT"), "(error) ERR timeout is not a float or out of range");
}

TEST_F(ListCommandsTest, OtherTypesAreRefused) {
  Run("SET s text");
  Run("RPUSH l 1");
  for (const char* line :
       {"LPUSH s a", "LPUSHX s a", "LPOP s", "LPOP s 1", "LLEN s", "LINDEX s x", "LSET s x a", "LRANGE s 0 1",
        "LTRIM s 0 1", "LINSERT s BEFORE a b", "LREM s 0 a", "LPOS s a", "LMOVE s l LEFT LEFT", "LMOVE l s LEFT LEFT",
        "LMPOP 2 none s LEFT", "BLPOP s 0", "BLMOVE s l LEFT LEFT 0", "BLMPOP 0 1 s LEFT"}) {
    EXPECT_EQ(Run(line), kWrongType) << line;
  }
  EXPECT_EQ(Run("LMOVE none s LEFT LEFT"), "nil");
  EXPECT_EQ(Run("LLEN l"), "1");
}

TEST_F(ListCommandsTest, AnExpiryStaysWithTheList) {
  Run("RPUSH l a b");
  Run("EXPIRE l 100");
  Run("RPUSH l c");
  Run("LPOP l");
  Run("LTRIM l 0 0");
  EXPECT_EQ(Run("TTL l"), "100");
}

TEST_F(ListCommandsTest, EveryChangeIsToldToWatchers) {
  Run("RPUSH l a b c");
  for (const char* line : {"LSET l 0 a", "LPUSH l z", "LPOP l", "LMOVE l l LEFT RIGHT", "LREM l 1 a"}) {
    Run(line);
    EXPECT_EQ(harness_.txn().touched().size(), 1u) << line;
  }
  for (const char* line : {"LREM l 1 none", "LPOP none", "LINSERT l BEFORE none x", "LPUSHX none x"}) {
    Run(line);
    EXPECT_TRUE(harness_.txn().touched().empty()) << line;
  }
}

TEST_F(ListCommandsTest, KeysOfCountedCommandsAreFound) {
  const std::string_view lmpop[] = {"lmpop", "2", "a", "b", "LEFT"};
  EXPECT_THAT(FindKeys(*CommandTable::Get().Find("lmpop"), lmpop), ElementsAre(2, 3));
  const std::string_view blmpop[] = {"blmpop", "0", "1", "a", "LEFT"};
  EXPECT_THAT(FindKeys(*CommandTable::Get().Find("blmpop"), blmpop), ElementsAre(3));
  const std::string_view few[] = {"lmpop", "9", "a"};
  EXPECT_TRUE(FindKeys(*CommandTable::Get().Find("lmpop"), few).empty());
  const std::string_view blpop[] = {"blpop", "a", "b", "0"};
  EXPECT_THAT(FindKeys(*CommandTable::Get().Find("blpop"), blpop), ElementsAre(1, 2));
}

}  // namespace
}  // namespace tidemark::commands
