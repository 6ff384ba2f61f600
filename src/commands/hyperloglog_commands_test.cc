#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "commands/data_families.h"
#include "commands/testing.h"
#include "commands/testing_server.h"

namespace tidemark::commands {
namespace {

class HyperLogLogCommandsTest : public ::testing::Test {
 protected:
  HyperLogLogCommandsTest() { harness_.set_server(&server_.server()); }
  std::string Run(std::string_view line) { return harness_.Run(line); }

  testing::TestServer server_;
  testing::Harness harness_{{HyperLogLogCommands(), KeyCommands(), StringCommands(), SetCommands()}};
};

TEST_F(HyperLogLogCommandsTest, AddsAndCounts) {
  EXPECT_EQ(Run("PFADD h"), "1");
  EXPECT_EQ(Run("PFADD h"), "0");
  EXPECT_EQ(Run("PFCOUNT h"), "0");
  EXPECT_EQ(Run("STRLEN h"), "18");
  EXPECT_EQ(Run("PFADD h a b c"), "1");
  EXPECT_EQ(Run("PFADD h a b c"), "0");
  EXPECT_THAT(harness_.txn().touched(), ::testing::IsEmpty());
  EXPECT_EQ(Run("PFCOUNT h"), "3");
  EXPECT_EQ(Run("PFCOUNT none"), "0");
  EXPECT_EQ(Run("PFADD g c d"), "1");
  EXPECT_EQ(Run("PFCOUNT h g none"), "4");
}

TEST_F(HyperLogLogCommandsTest, AddingKeepsTheExpiryAndTellsItsEvent) {
  Run("PFADD h a");
  Run("PEXPIRE h 5000");
  Run("PFADD h b");
  ASSERT_EQ(harness_.events().size(), 1U);
  EXPECT_EQ(harness_.events()[0].event, "pfadd");
  EXPECT_EQ(harness_.events()[0].name, "h");
  EXPECT_EQ(Run("PTTL h"), "5000");
}

TEST_F(HyperLogLogCommandsTest, MergesIntoADestinationThatCounts) {
  Run("PFADD a 1 2 3");
  Run("PFADD b 3 4");
  EXPECT_EQ(Run("PFMERGE d a b none"), "OK");
  EXPECT_EQ(Run("PFCOUNT d"), "4");
  EXPECT_EQ(Run("PFDEBUG ENCODING d"), "sparse");
  Run("PFADD c 9");
  EXPECT_EQ(Run("PFDEBUG TODENSE c"), "1");
  EXPECT_EQ(Run("PFDEBUG TODENSE c"), "0");
  EXPECT_EQ(Run("PFMERGE d c"), "OK");
  EXPECT_EQ(Run("PFCOUNT d"), "5");
  EXPECT_EQ(Run("PFDEBUG ENCODING d"), "dense");
  EXPECT_EQ(Run("PFMERGE fresh"), "OK");
  EXPECT_EQ(Run("PFCOUNT fresh"), "0");
}

TEST_F(HyperLogLogCommandsTest, WhatIsNoHyperLogLogIsRefused) {
  Run("SET text v");
  Run("SADD set a");
  Run("PFADD h a");
  for (const char* command :
       {"PFADD text a", "PFCOUNT text", "PFCOUNT h text", "PFMERGE text h", "PFMERGE h text", "PFDEBUG GETREG text"}) {
    EXPECT_EQ(Run(command), "(error) WRONGTYPE Key is not a valid HyperLogLog string value.") << command;
  }
  for (const char* command : {"PFADD set a", "PFCOUNT set", "PFMERGE set h", "PFMERGE h set", "PFDEBUG DECODE set"}) {
    EXPECT_EQ(Run(command), "(error) WRONGTYPE Operation against a key holding the wrong kind of value") << command;
  }
  Run("APPEND h hello");
  for (const char* command : {"PFCOUNT h", "PFCOUNT h h", "PFMERGE d h", "PFDEBUG GETREG h", "PFDEBUG DECODE h"}) {
    EXPECT_EQ(Run(command), "(error) INVALIDOBJ Corrupted HLL object detected") << command;
  }
}

TEST_F(HyperLogLogCommandsTest, DebugShowsTheInside) {
  Run("PFADD h a");
  EXPECT_EQ(Run("PFDEBUG DECODE h"), "\"Z:12711 v:2,1 Z:3672\"");
  EXPECT_EQ(Run("PFDEBUG x h"), "(error) ERR Unknown PFDEBUG subcommand 'x'");
  EXPECT_EQ(Run("PFDEBUG ENCODING none"), "(error) ERR The specified key does not exist");
  EXPECT_TRUE(Run("PFDEBUG GETREG h").starts_with("[0, 0, "));
  EXPECT_EQ(Run("PFDEBUG DECODE h"), "(error) ERR HLL encoding is not sparse");
  EXPECT_EQ(Run("PFSELFTEST"), "OK");
}

}  // namespace
}  // namespace tidemark::commands
