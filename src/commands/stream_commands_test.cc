#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "commands/data_families.h"
#include "commands/testing.h"

namespace tidemark::commands {
namespace {

using ::testing::HasSubstr;

constexpr const char* kSyntax = "(error) ERR syntax error";
constexpr const char* kBadId = "(error) ERR Invalid stream ID specified as stream command argument";

class StreamCommandsTest : public ::testing::Test {
 protected:
  std::string Run(std::string_view line) { return harness_.Run(line); }
  testing::Harness harness_{{StreamCommands(), KeyCommands(), StringCommands()}};
};

TEST_F(StreamCommandsTest, IdsRiseWhateverTheClockDoes) {
  harness_.txn().set_now_ms(1000);
  EXPECT_EQ(Run("XADD s * f v"), "\"1000-0\"");
  EXPECT_EQ(Run("XADD s * f v"), "\"1000-1\"");
  harness_.txn().set_now_ms(900);
  EXPECT_EQ(Run("XADD s * f v"), "\"1000-2\"");
  EXPECT_EQ(Run("XADD s 1000-* f v"), "\"1000-3\"");
  EXPECT_EQ(Run("XADD s 1001-* f v"), "\"1001-0\"");
  EXPECT_EQ(Run("XADD s 1001-0 f v"),
            "(error) ERR The ID specified in XADD is equal or smaller than the target stream top item");
  EXPECT_EQ(Run("XADD s 999-* f v"),
            "(error) ERR The ID specified in XADD is equal or smaller than the target stream top item");
  EXPECT_EQ(Run("XADD s 0-0 f v"), "(error) ERR The ID specified in XADD must be greater than 0-0");
  EXPECT_EQ(Run("XADD s 18446744073709551615-18446744073709551615 f v"),
            "\"18446744073709551615-18446744073709551615\"");
  EXPECT_EQ(Run("XADD s * f v"), "(error) ERR The stream has exhausted the last possible ID, unable to add more items");
  EXPECT_EQ(Run("XLEN s"), "6");
}

TEST_F(StreamCommandsTest, RangesAreInclusiveUnlessABracketSaysOtherwise) {
  for (const char* id : {"1-0", "1-1", "2-0", "3-0"}) Run(std::string("XADD s ") + id + " f v");
  EXPECT_EQ(Run("XRANGE s 1 1"), R"([["1-0", ["f", "v"]], ["1-1", ["f", "v"]]])");
  EXPECT_EQ(Run("XRANGE s (1-0 (2"), R"([["1-1", ["f", "v"]], ["2-0", ["f", "v"]]])");
  EXPECT_EQ(Run("XREVRANGE s + - COUNT 1"), R"([["3-0", ["f", "v"]]])");
  EXPECT_EQ(Run("XREVRANGE s (3 2"), R"([["3-0", ["f", "v"]], ["2-0", ["f", "v"]]])");
  EXPECT_EQ(Run("XRANGE s - + COUNT 0"), "nil");
  EXPECT_EQ(Run("XRANGE s (- +"), kBadId);
  EXPECT_EQ(Run("XRANGE s (18446744073709551615-18446744073709551615 +"),
            "(error) ERR invalid start ID for the interval");
  EXPECT_EQ(Run("XRANGE s - (0-0"), "(error) ERR invalid end ID for the interval");
  EXPECT_EQ(Run("XRANGE s - + COUNT"), kSyntax);
  EXPECT_EQ(Run("XRANGE none - +"), "[]");
}

TEST_F(StreamCommandsTest, TrimmingKeepsTheNewest) {
  for (int i = 1; i <= 9; ++i) Run(fmt::format("XADD s {}-0 f v", i));
  EXPECT_EQ(Run("XTRIM s MAXLEN = 7"), "2");
  EXPECT_EQ(Run("XTRIM s MINID 5"), "2");
  EXPECT_EQ(Run("XADD s MAXLEN 3 10-0 f v"), "\"10-0\"");
  EXPECT_EQ(Run("XRANGE s - + COUNT 1"), R"([["8-0", ["f", "v"]]])");
  EXPECT_EQ(Run("XTRIM s MAXLEN 3 LIMIT 4"),
            "(error) ERR syntax error, LIMIT cannot be used without the special ~ option");
  EXPECT_EQ(Run("XTRIM s MAXLEN 3 MINID 4"),
            "(error) ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
  EXPECT_EQ(Run("XTRIM s LIMIT 3"),
            "(error) ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
  EXPECT_EQ(Run("XTRIM s MAXLEN 0"), "3");
  EXPECT_EQ(Run("EXISTS s"), "1");
  EXPECT_EQ(Run("XADD none NOMKSTREAM * f v"), "nil");
}

TEST_F(StreamCommandsTest, AGroupGivesEachEntryOnceAndRemembersUntilItIsAcknowledged) {
  harness_.txn().set_now_ms(5000);
  EXPECT_EQ(Run("XGROUP CREATE s g $"),
            "(error) ERR The XGROUP subcommand requires the key to exist. Note that for "
            "CREATE you may want to use the MKSTREAM option to create an empty stream "
            "automatically.");
  EXPECT_EQ(Run("XGROUP CREATE s g $ MKSTREAM"), "OK");
  EXPECT_EQ(Run("XGROUP CREATE s g $"), "(error) BUSYGROUP Consumer Group name already exists");
  Run("XADD s 1-0 a 1");
  Run("XADD s 2-0 b 2");
  EXPECT_EQ(Run("XREADGROUP GROUP g c COUNT 1 STREAMS s >"), R"([["s", [["1-0", ["a", "1"]]]]])");
  EXPECT_EQ(Run("XREADGROUP GROUP g d STREAMS s >"), R"([["s", [["2-0", ["b", "2"]]]]])");
  EXPECT_EQ(Run("XREADGROUP GROUP g d STREAMS s >"), "nil");
  EXPECT_EQ(Run("XPENDING s g"), R"([2, "1-0", "2-0", [["c", "1"], ["d", "1"]]])");
  Run("XDEL s 1-0");
  harness_.txn().set_now_ms(5100);
  EXPECT_EQ(Run("XREADGROUP GROUP g c STREAMS s 0"), R"([["s", [["1-0", nil]]]])");
  EXPECT_EQ(Run("XREADGROUP GROUP g d STREAMS s 0"), R"([["s", [["2-0", ["b", "2"]]]]])");
  EXPECT_EQ(Run("XPENDING s g - + 9 d"), R"([["2-0", "d", 0, 2]])");
  EXPECT_EQ(Run("XPENDING s g IDLE 50 - + 9"), R"([["1-0", "c", 100, 1]])");
  EXPECT_EQ(Run("XACK s g 1-0 2-0 3-0"), "2");
  EXPECT_EQ(Run("XPENDING s g"), "[0, nil, nil, nil]");
  EXPECT_EQ(Run("XREADGROUP GROUP none c STREAMS s >"),
            "(error) NOGROUP No such key 's' or consumer group 'none' in XREADGROUP with GROUP option");
  EXPECT_EQ(Run("XGROUP DESTROY s g"), "1");
  EXPECT_EQ(Run("XINFO GROUPS s"), "[]");
}

TEST_F(StreamCommandsTest, ClaimsGoToWhoAsks) {
  harness_.txn().set_now_ms(5000);
  for (int i = 1; i <= 3; ++i) Run(fmt::format("XADD s {}-0 f v", i));
  Run("XGROUP CREATE s g 0");
  Run("XREADGROUP GROUP g a STREAMS s >");
  Run("XDEL s 2-0");
  harness_.txn().set_now_ms(6000);
  EXPECT_EQ(Run("XCLAIM s g b 2000 1-0"), "[]");
  EXPECT_EQ(Run("XCLAIM s g b 1000 1-0 JUSTID"), R"(["1-0"])");
  EXPECT_EQ(Run("XAUTOCLAIM s g b 1000 - COUNT 2"), R"(["0-0", [["3-0", ["f", "v"]]], ["2-0"]])");
  EXPECT_EQ(Run("XPENDING s g - + 9"), R"([["1-0", "b", 0, 1], ["3-0", "b", 0, 2]])");
  EXPECT_EQ(Run("XCLAIM s g b 0 1-0 FOO"), "(error) ERR Unrecognized XCLAIM option 'FOO'");
  EXPECT_EQ(Run("XGROUP DELCONSUMER s g b"), "2");
  EXPECT_EQ(Run("XINFO CONSUMERS s g"), R"([["name", "a", "pending", 0, "idle", 1000]])");
}

TEST_F(StreamCommandsTest, XreadTellsOfWhatItIsGiven) {
  Run("XADD s 1-0 f v");
  Run("XADD t 5-0 f v");
  EXPECT_EQ(Run("XREAD STREAMS s t none 0 5 0"), R"([["s", [["1-0", ["f", "v"]]]]])");
  EXPECT_EQ(Run("XREAD STREAMS s $"), "nil");
  EXPECT_EQ(Run("XREAD COUNT 1 STREAMS s"),
            "(error) ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.");
  EXPECT_EQ(Run("XREAD STREAMS s t 0"),
            "(error) ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.");
  EXPECT_EQ(Run("XREAD BLOCK -1 STREAMS s 0"), "(error) ERR timeout is negative");
  EXPECT_EQ(Run("XREAD STREAMS s >"),
            "(error) ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> "
            "option.");
}

TEST_F(StreamCommandsTest, XinfoCountsWhatAGroupHasNotRead) {
  for (int i = 1; i <= 4; ++i) Run(fmt::format("XADD s {}-0 f v", i));
  Run("XGROUP CREATE s g 0");
  Run("XREADGROUP GROUP g a COUNT 1 STREAMS s >");
  EXPECT_THAT(Run("XINFO GROUPS s"), HasSubstr(R"("entries-read", 1, "lag", 3)"));
  Run("XDEL s 3-0");
  EXPECT_THAT(Run("XINFO GROUPS s"), HasSubstr(R"("entries-read", 1, "lag", nil)"));
  EXPECT_THAT(Run("XINFO STREAM s"), HasSubstr(R"("max-deleted-entry-id", "3-0", "entries-added", 4)"));
  EXPECT_EQ(Run("XSETID s 1-0"), "(error) ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
  EXPECT_EQ(Run("XSETID s 9-0 ENTRIESADDED 50"), "OK");
  EXPECT_THAT(Run("XINFO STREAM s FULL"), HasSubstr(R"("last-generated-id", "9-0")"));
}

TEST_F(StreamCommandsTest, OtherTypesAreRefused) {
  Run("SET k v");
  for (const char* line :
       {"XADD k * f v", "XLEN k", "XRANGE k - +", "XDEL k 1", "XTRIM k MAXLEN 1", "XREAD STREAMS k 0",
        "XGROUP CREATE k g $", "XACK k g 1", "XPENDING k g", "XINFO STREAM k", "XSETID k 1"}) {
    EXPECT_EQ(Run(line), "(error) WRONGTYPE Operation against a key holding the wrong kind of value") << line;
  }
}

}  // namespace
}  // namespace tidemark::commands
