#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "commands/data_families.h"
#include "commands/testing.h"

namespace tidemark::commands {
namespace {

using ::testing::ElementsAre;

class SortCommandsTest : public ::testing::Test {
 protected:
  std::string Run(std::string_view line) { return harness_.Run(line); }

  testing::Harness harness_{
      {SortCommands(), ListCommands(), SetCommands(), ZsetCommands(), HashCommands(), StringCommands(), KeyCommands()}};
};

TEST_F(SortCommandsTest, NumbersAndWordsUpAndDown) {
  Run("RPUSH l 10 9 2 -1 1.5");
  EXPECT_EQ(Run("SORT l"), R"(["-1", "1.5", "2", "9", "10"])");
  EXPECT_EQ(Run("SORT l DESC"), R"(["10", "9", "2", "1.5", "-1"])");
  EXPECT_EQ(Run("SORT l ALPHA"), R"(["-1", "1.5", "10", "2", "9"])");
  EXPECT_EQ(Run("SORT l ALPHA DESC ASC"), R"(["-1", "1.5", "10", "2", "9"])");
  EXPECT_EQ(Run("SORT_RO l DESC LIMIT 1 2"), R"(["9", "2"])");
  EXPECT_EQ(Run("SORT none"), "[]");
}

TEST_F(SortCommandsTest, LimitIsCutToWhatIsThere) {
  Run("RPUSH l 3 1 2");
  EXPECT_EQ(Run("SORT l LIMIT 0 0"), "[]");
  EXPECT_EQ(Run("SORT l LIMIT 1 -1"), R"(["2", "3"])");
  EXPECT_EQ(Run("SORT l LIMIT -5 2"), R"(["1", "2"])");
  EXPECT_EQ(Run("SORT l LIMIT 9 9"), "[]");
  EXPECT_EQ(Run("SORT l LIMIT 2 9223372036854775807"), R"(["3"])");
  EXPECT_EQ(Run("SORT l BY nosort LIMIT 2 9223372036854775807"), R"(["2"])");
}

TEST_F(SortCommandsTest, ByAndGetFollowStringsAndFields) {
  Run("RPUSH l a b c");
  Run("MSET w_a 3 w_b 1 w_c 2 v_a A v_c C");
  Run("HSET o_a f 1 g x");
  Run("HSET o_b f 2");
  Run("HSET o_c f 0");
  EXPECT_EQ(Run("SORT l BY w_*"), R"(["b", "c", "a"])");
  EXPECT_EQ(Run("SORT l BY w_* DESC GET # GET v_*"), R"(["a", "A", "c", "C", "b", nil])");
  EXPECT_EQ(Run("SORT l BY o_*->f GET o_*->g GET constant"), R"([nil, nil, "x", nil, nil, nil])");
  EXPECT_EQ(Run("SORT l BY w_*->f ALPHA"), R"(["a", "b", "c"])") << "a string has no fields";
  EXPECT_EQ(Run("SORT l BY o_* ALPHA"), R"(["a", "b", "c"])") << "a hash is no string";
  Run("SET x_a-> arrow");
  EXPECT_EQ(Run("SORT l BY nosort LIMIT 0 1 GET x_*->"), R"(["arrow"])");
  Run("DEL w_c");
  EXPECT_EQ(Run("SORT l BY w_*"), R"(["c", "b", "a"])") << "what has no weight weighs nothing";
  EXPECT_EQ(Run("SORT l BY w_* ALPHA"), R"(["c", "b", "a"])");
}

TEST_F(SortCommandsTest, WithoutSortingTheNaturalOrderStays) {
  Run("RPUSH l 2 1 3");
  Run("ZADD z 1 b 2 a 3 c");
  EXPECT_EQ(Run("SORT l BY nosort"), R"(["2", "1", "3"])");
  EXPECT_EQ(Run("SORT l BY nosort DESC"), R"(["3", "1", "2"])");
  EXPECT_EQ(Run("SORT l BY nosort DESC LIMIT 1 1"), R"(["1"])");
  EXPECT_EQ(Run("SORT z BY nosort"), R"(["b", "a", "c"])");
  EXPECT_EQ(Run("SORT z BY nosort DESC LIMIT 0 2"), R"(["c", "a"])");
  EXPECT_EQ(Run("SORT z ALPHA"), R"(["a", "b", "c"])");
  Run("SADD s c a b");
  EXPECT_EQ(Run("SORT s BY nosort STORE d"), "3");
  EXPECT_EQ(Run("LRANGE d 0 -1"), R"(["a", "b", "c"])") << "a set has no order to keep";
  EXPECT_EQ(Run("SORT s BY nosort LIMIT 3 3"), "[]");
}

TEST_F(SortCommandsTest, StoreReplacesTheDestinationByAList) {
  Run("RPUSH l 2 1 3");
  Run("SET v_1 one");
  Run("SET d text");
  EXPECT_EQ(Run("SORT l GET v_* GET # STORE d"), "6");
  EXPECT_EQ(harness_.events().back().event, "sortstore");
  EXPECT_EQ(Run("LRANGE d 0 -1"), R"(["one", "1", "", "2", "", "3"])");
  EXPECT_EQ(Run("SORT l DESC STORE l"), "3");
  EXPECT_EQ(Run("LRANGE l 0 -1"), R"(["3", "2", "1"])");
  EXPECT_EQ(Run("SORT none STORE d"), "0");
  EXPECT_EQ(harness_.events().back().event, "del");
  EXPECT_EQ(Run("EXISTS d"), "0");
}

TEST_F(SortCommandsTest, WhatIsNoNumberIsAnError) {
  Run("RPUSH l 1 x");
  constexpr char kError[] = "(error) ERR One or more scores can't be converted into double";
  EXPECT_EQ(Run("SORT l"), kError);
  EXPECT_EQ(Run("SORT l STORE d"), kError);
  EXPECT_EQ(Run("SORT l ALPHA"), R"(["1", "x"])");
  Run("DEL l");
  Run("RPUSH l nan");
  EXPECT_EQ(Run("SORT l"), kError);
  harness_.Run({"RPUSH", "e", "", "-1", "inf", "1e400"});
  EXPECT_EQ(Run("SORT e"), kError) << "out of range";
  Run("RPOP e");
  EXPECT_EQ(Run("SORT e"), R"(["-1", "", "inf"])");
}

TEST_F(SortCommandsTest, BadRequests) {
  Run("SET k v");
  EXPECT_EQ(Run("SORT k"), "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
  EXPECT_EQ(Run("SORT k LIMIT 1"), "(error) ERR syntax error");
  EXPECT_EQ(Run("SORT none BY"), "(error) ERR syntax error");
  EXPECT_EQ(Run("SORT none LIMIT a b"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Run("SORT_RO none STORE d"), "(error) ERR syntax error");
}

TEST_F(SortCommandsTest, KeysAreTheSourceAndTheLastDestination) {
  const CommandSpec& sort = SortCommands()[0];
  const std::string_view words[] = {"sort",  "abc", "store", "invalid", "get", "store",
                                    "limit", "1",   "2",     "store",   "def"};
  EXPECT_THAT(FindKeys(sort, words), ElementsAre(1, 10));
  EXPECT_THAT(FindKeys(sort, Args(words).first(3)), ElementsAre(1));
  EXPECT_THAT(FindKeys(SortCommands()[1], words), ElementsAre(1));
}

}  // namespace
}  // namespace tidemark::commands
