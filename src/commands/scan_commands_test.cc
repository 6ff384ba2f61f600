#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "commands/testing.h"
#include "types/pages.h"

namespace tidemark::commands {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class ScanCommandsTest : public ::testing::Test {
 protected:
  std::string Run(std::string_view line) { return harness_.Run(line); }
  std::string Scan(const char* cursor) { return harness_.Run(std::vector<std::string>{"SCAN", cursor}); }
  void Add(const std::string& name) {
    harness_.txn().Begin(true);
    types::Keyspace keys = harness_.keys();
    types::Key key = keys.Find(name).value();
    keys.PutString(&key, "v", 0);
  }
  types::KeyPage Page(uint64_t cursor, size_t count) {
    harness_.txn().Begin(false);
    types::Keyspace keys = harness_.keys();
    return types::ReadKeyPage(keys, cursor, count, [](const types::Key&) { return true; }).value();
  }

  testing::Harness harness_{{ScanCommands(), KeyCommands(), HashCommands()}};
};

// Names whose 32-bit hash is the same; `prefix` decides the slot.
std::vector<std::string> NamesOfOneHash(std::string_view prefix) {
  std::unordered_map<uint32_t, std::string> names;
  for (int i = 0;; ++i) {
    std::string name = fmt::format("{}{}", prefix, i);
    const auto [other, is_new] = names.emplace(static_cast<uint32_t>(Hash64(name)), name);
    if (!is_new) return {other->second, name};
  }
}

TEST_F(ScanCommandsTest, WalksEverythingOnce) {
  std::set<std::string> names;
  for (int i = 0; i < 500; ++i) {
    names.insert(fmt::format("key:{}", i));
    Add(fmt::format("key:{}", i));
  }
  for (const size_t count : {1, 7, 10, 499, 500, 501, 100000}) {
    std::set<std::string> seen;
    uint64_t cursor = 0;
    do {
      const types::KeyPage page = Page(cursor, count);
      EXPECT_LE(page.names.size(), count);
      for (const std::string& name : page.names) EXPECT_TRUE(seen.insert(name).second) << name;
      cursor = page.next;
    } while (cursor != 0);
    EXPECT_EQ(seen, names) << count;
  }
}

TEST_F(ScanCommandsTest, ReadsNoMoreRowsThanAsked) {
  for (int i = 0; i < 200; ++i) Add(fmt::format("key:{}", i));
  harness_.txn().Begin(false);
  types::Keyspace keys = harness_.keys();
  int looked_at = 0;
  const auto none = [&](const types::Key&) {
    ++looked_at;
    return false;
  };
  const types::KeyPage page = types::ReadKeyPage(keys, 0, 10, none).value();
  EXPECT_EQ(looked_at, 11);
  EXPECT_THAT(page.names, SizeIs(0));
  EXPECT_NE(page.next, 0U);
}

TEST_F(ScanCommandsTest, KeysOfOneOrderStandInOnePage) {
  const std::vector<std::string> pair = NamesOfOneHash("{t}");
  ASSERT_EQ(types::KeyOrder(pair[0]), types::KeyOrder(pair[1]));
  for (const std::string& name : pair) Add(name);
  const types::KeyPage only = Page(0, 1);
  EXPECT_THAT(only.names, UnorderedElementsAre(pair[0], pair[1]));
  EXPECT_EQ(only.next, 0U);
  for (int i = 0; i < 100; ++i) Add(fmt::format("other:{}", i));
  for (const size_t count : {1, 2, 3}) {
    int pages_with_both = 0;
    uint64_t cursor = 0;
    do {
      const types::KeyPage page = Page(cursor, count);
      const std::set<std::string> names(page.names.begin(), page.names.end());
      EXPECT_EQ(names.contains(pair[0]), names.contains(pair[1]));
      pages_with_both += names.contains(pair[0]) ? 1 : 0;
      cursor = page.next;
    } while (cursor != 0);
    EXPECT_EQ(pages_with_both, 1);
  }
}

TEST_F(ScanCommandsTest, FieldsOfOneOrderStandInOnePage) {
  const std::vector<std::string> pair = NamesOfOneHash("f");
  ASSERT_EQ(types::MemberOrder(pair[0]), types::MemberOrder(pair[1]));
  harness_.Run({"HSET", "h", pair[0], "1", pair[1], "2", "x", "3", "y", "4", "z", "5"});
  uint64_t cursor = 0;
  int pages_with_both = 0;
  do {
    harness_.txn().Begin(false);
    types::Keyspace keys = harness_.keys();
    const types::Key key = keys.Find("h").value();
    const types::MemberPage page =
        types::ReadMemberPage(keys, key.collection, cursor, 1, [](std::string_view) { return true; }).value();
    if (page.members.size() == 2) ++pages_with_both;
    cursor = page.next;
  } while (cursor != 0);
  EXPECT_EQ(pages_with_both, 1);
}

// What stays from the first page to the last is returned exactly once, whatever comes and goes meanwhile; nothing
// twice.
TEST_F(ScanCommandsTest, ReturnsWhatStaysExactlyOnceAmidChanges) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 20; ++round) {
    Run("FLUSHDB");
    std::set<std::string> stays;
    std::set<std::string> ever;
    const auto name = [&] { return fmt::format("{}{}", random() % 2 == 0 ? "{a}" : "", random() % 400); };
    for (int i = 0; i < 200; ++i) {
      const std::string key = name();
      Add(key);
      stays.insert(key);
      ever.insert(key);
    }
    std::map<std::string, int> seen;
    uint64_t cursor = 0;
    do {
      const types::KeyPage page = Page(cursor, 1 + random() % 10);
      for (const std::string& key : page.names) ++seen[key];
      ASSERT_TRUE(page.next == 0 || page.next > cursor);
      cursor = page.next;
      for (int i = 0; i < 4; ++i) {
        const std::string key = name();
        if (random() % 2 == 0) {
          ever.insert(key);
          Add(key);
        } else {
          stays.erase(key);
          harness_.Run({"DEL", key});
        }
      }
    } while (cursor != 0);
    for (const std::string& key : stays) EXPECT_EQ(seen[key], 1) << key;
    for (const auto& [key, times] : seen) EXPECT_TRUE(times == 0 || (times == 1 && ever.contains(key))) << key;
  }
}

TEST_F(ScanCommandsTest, FiltersWithinThePage) {
  Add("string1");
  Add("string2");
  Run("HSET hash1 f v");
  EXPECT_EQ(Run("SCAN 0 TYPE hash COUNT 100"), R"(["0", ["hash1"]])");
  EXPECT_EQ(Run("SCAN 0 TYPE HASH COUNT 100"), R"(["0", ["hash1"]])");
  EXPECT_EQ(Run("SCAN 0 TYPE nosuchtype COUNT 100"), R"(["0", []])");
  EXPECT_EQ(Run("SCAN 0 MATCH *1 TYPE string COUNT 100"), R"(["0", ["string1"]])");
  EXPECT_EQ(Run("SCAN 0 MATCH none*"), R"(["0", []])");
}

TEST_F(ScanCommandsTest, WhatExpiredIsNotReturned) {
  Add("a");
  Add("b");
  Run("PEXPIRE a 10");
  harness_.txn().set_now_ms(harness_.txn().now_ms() + 10);
  EXPECT_EQ(Run("SCAN 0"), R"(["0", ["b"]])");
}

TEST_F(ScanCommandsTest, Arguments) {
  Add("a");
  EXPECT_EQ(Run("SCAN 0 COUNT 0"), "(error) ERR syntax error");
  EXPECT_EQ(Run("SCAN 0 COUNT -5"), "(error) ERR syntax error");
  EXPECT_EQ(Run("SCAN 0 COUNT x"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Run("SCAN 0 COUNT"), "(error) ERR syntax error");
  EXPECT_EQ(Run("SCAN 0 FOO 1"), "(error) ERR syntax error");
  EXPECT_EQ(Run("SCAN 0 COUNT 9223372036854775807"), R"(["0", ["a"]])");
  for (const char* cursor : {"x", "1x", "-", "18446744073709551616"}) {
    EXPECT_EQ(Scan(cursor), "(error) ERR invalid cursor") << cursor;
  }
  EXPECT_EQ(Scan(" 1"), "(error) ERR invalid cursor");
  for (const char* cursor : {"-1", "70368744177664", "18446744073709551615"}) {
    EXPECT_EQ(Scan(cursor), R"(["0", []])") << cursor;
  }
  EXPECT_EQ(Scan(""), R"(["0", ["a"]])");
}

}  // namespace
}  // namespace tidemark::commands
