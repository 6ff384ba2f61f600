#include "bin/import_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tidemark::bin {
namespace {

using ::testing::ElementsAre;

TEST(AofManifestTest, BaseThenIncrementsInOrder) {
  const auto names = ParseAofManifest(
      "# a note\n"
      "file appendonly.aof.2.base.rdb seq 2 type b\n"
      "file appendonly.aof.1.incr.aof seq 1 type h\n"
      "file appendonly.aof.11.incr.aof seq 11 type i\r\n"
      "file \"odd name.9.incr.aof\" seq 9 type i\n");
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(*names, ElementsAre("appendonly.aof.2.base.rdb", "odd name.9.incr.aof", "appendonly.aof.11.incr.aof"));
}

TEST(AofManifestTest, NonsenseIsNamed) {
  EXPECT_FALSE(ParseAofManifest("").ok());
  EXPECT_FALSE(ParseAofManifest("file a seq x type b\n").ok());
  EXPECT_FALSE(ParseAofManifest("file a seq 1 type z\n").ok());
  EXPECT_FALSE(ParseAofManifest("file ../a seq 1 type b\n").ok());
}

}  // namespace
}  // namespace tidemark::bin
