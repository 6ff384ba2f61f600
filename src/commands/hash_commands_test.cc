#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

#include "commands/testing.h"
#include "types/pages.h"
#include "types/random_members.h"

namespace tidemark::commands {
namespace {

using ::testing::SizeIs;

class HashCommandsTest : public ::testing::Test {
 protected:
  std::string Run(std::string_view line) { return harness_.Run(line); }
  size_t DeadCollections() {
    size_t dead = 0;
    for (const auto& [row, value] : harness_.txn().rows()) dead += types::ParseDeadRow(row) ? 1 : 0;
    return dead;
  }
  testing::Harness harness_{{HashCommands(), KeyCommands()}};
};

TEST_F(HashCommandsTest, HSetCountsNewFieldsAndTheKeyRowFollows) {
  EXPECT_EQ(Run("HSET h a 1 b 2"), "2");
  EXPECT_EQ(Run("HSET h a 3 c 4 c 5"), "1");
  EXPECT_EQ(Run("HLEN h"), "3");
  EXPECT_EQ(Run("HGET h a"), "\"3\"");
  EXPECT_EQ(Run("HGET h c"), "\"5\"");
  EXPECT_EQ(Run("HGET h z"), "nil");
  EXPECT_EQ(Run("HGET none a"), "nil");
  EXPECT_EQ(Run("HSET fresh a 1 a 2"), "1");
  EXPECT_EQ(Run("HLEN fresh"), "1");
  EXPECT_EQ(Run("HMSET h x 1"), "OK");
  EXPECT_EQ(harness_.txn().db({0}).keys, 2);
}

TEST_F(HashCommandsTest, PairsMustBeWhole) {
  EXPECT_EQ(Run("HSET h a 1 b"), "(error) ERR wrong number of arguments for 'hset' command");
  EXPECT_EQ(Run("HMSET h a 1 b"), "(error) ERR wrong number of arguments for 'hmset' command");
}

TEST_F(HashCommandsTest, EveryChangeIsToldToWatchers) {
  for (const char* command : {"HSET h a 1", "HSET h a 1", "HINCRBY h a 1", "HSETNX h b 1", "HDEL h b", "HDEL h a"}) {
    Run(command);
    EXPECT_THAT(harness_.txn().touched(), SizeIs(1)) << command;
  }
  for (const char* command : {"HDEL h a", "HSETNX x f 1", "HSETNX x f 2"}) Run(command);
  EXPECT_THAT(harness_.txn().touched(), SizeIs(0));
}

TEST_F(HashCommandsTest, LastFieldTakesTheKeyWithItAndNothingOldComesBack) {
  Run("HSET h a 1 b 2");
  EXPECT_EQ(Run("HDEL h a x a b"), "2");
  EXPECT_EQ(Run("EXISTS h"), "0");
  EXPECT_EQ(harness_.txn().db({0}).keys, 0);
  EXPECT_EQ(DeadCollections(), 1U);
  Run("HSET h c 3");
  EXPECT_EQ(Run("HGETALL h"), R"(["c", "3"])");
}

TEST_F(HashCommandsTest, AnExpiredHashIsEmptyAndMakesWayForANewOne) {
  Run("HSET h a 1");
  Run("PEXPIRE h 100");
  harness_.txn().set_now_ms(harness_.txn().now_ms() + 100);
  EXPECT_EQ(Run("HGETALL h"), "[]");
  EXPECT_EQ(Run("HDEL h a"), "0");
  EXPECT_EQ(Run("HSET h b 2"), "1");
  EXPECT_EQ(Run("HGETALL h"), R"(["b", "2"])");
  EXPECT_EQ(Run("TTL h"), "-1");
  EXPECT_EQ(DeadCollections(), 1U);
}

TEST_F(HashCommandsTest, ChangesKeepTheExpiry) {
  Run("HSET h a 1");
  Run("PEXPIRE h 5000");
  Run("HSET h b 2");
  EXPECT_EQ(Run("PTTL h"), "5000");
}

TEST_F(HashCommandsTest, ReadsOfFields) {
  Run("HSET h a hello b 2");
  EXPECT_EQ(Run("HMGET h a x b"), R"(["hello", nil, "2"])");
  EXPECT_EQ(Run("HMGET none a b"), "[nil, nil]");
  EXPECT_EQ(Run("HEXISTS h a"), "1");
  EXPECT_EQ(Run("HEXISTS h x"), "0");
  EXPECT_EQ(Run("HSTRLEN h a"), "5");
  EXPECT_EQ(Run("HSTRLEN h x"), "0");
  EXPECT_EQ(Run("HLEN none"), "0");
  EXPECT_EQ(Run("HSETNX h a 9"), "0");
  EXPECT_EQ(Run("HSETNX h n 9"), "1");
  EXPECT_EQ(Run("HGET h a"), "\"hello\"");
}

TEST_F(HashCommandsTest, WholeHashInBothProtocols) {
  Run("HSET h a 1");
  EXPECT_EQ(Run("HGETALL h"), R"(["a", "1"])");
  EXPECT_EQ(Run("HKEYS h"), R"(["a"])");
  EXPECT_EQ(Run("HVALS h"), R"(["1"])");
  harness_.client().protocol = 3;
  EXPECT_EQ(Run("HGETALL h"), R"({"a": "1"})");
  EXPECT_EQ(Run("HGETALL none"), "{}");
  EXPECT_EQ(Run("HKEYS h"), R"(["a"])");
  EXPECT_EQ(Run("HRANDFIELD h 1 WITHVALUES"), R"([["a", "1"]])");
}

TEST_F(HashCommandsTest, HIncrBy) {
  EXPECT_EQ(Run("HINCRBY h n 5"), "5");
  EXPECT_EQ(Run("HINCRBY h n -7"), "-2");
  EXPECT_EQ(Run("HGET h n"), "\"-2\"");
  Run("HSET h text abc spaced 1x max 9223372036854775807 min -9223372036854775808");
  EXPECT_EQ(Run("HINCRBY h text 1"), "(error) ERR hash value is not an integer");
  EXPECT_EQ(Run("HINCRBY h spaced 1"), "(error) ERR hash value is not an integer");
  EXPECT_EQ(Run("HINCRBY h max 1"), "(error) ERR increment or decrement would overflow");
  EXPECT_EQ(Run("HINCRBY h min -1"), "(error) ERR increment or decrement would overflow");
  EXPECT_EQ(Run("HINCRBY h n 1.5"), "(error) ERR value is not an integer or out of range");
}

TEST_F(HashCommandsTest, HIncrByFloat) {
  EXPECT_EQ(Run("HINCRBYFLOAT h n 2.5"), "\"2.5\"");
  EXPECT_EQ(Run("HINCRBYFLOAT h n -0.5"), "\"2\"");
  EXPECT_EQ(Run("HINCRBYFLOAT h n inf"), "(error) ERR value is NaN or Infinity");
  EXPECT_EQ(Run("HINCRBYFLOAT h n nan"), "(error) ERR value is not a valid float");
  Run("HSET h text abc");
  EXPECT_EQ(Run("HINCRBYFLOAT h text 1"), "(error) ERR hash value is not a float");
  EXPECT_EQ(Run("HINCRBYFLOAT h text x"), "(error) ERR value is not a valid float");
}

TEST_F(HashCommandsTest, AnotherTypeIsRefused) {
  types::Keyspace keys = harness_.keys();
  absl::StatusOr<types::Key> key = keys.Find("s");
  keys.PutString(&*key, "text", 0);
  for (const char* command :
       {"HSET s a 1", "HGET s a", "HMGET s a", "HGETALL s", "HDEL s a", "HLEN s", "HINCRBY s a 1", "HSCAN s 0",
        "HRANDFIELD s", "HRANDFIELD s 2", "HSTRLEN s a", "HINCRBYFLOAT s a 1", "HSETNX s a 1"}) {
    EXPECT_EQ(Run(command), "(error) WRONGTYPE Operation against a key holding the wrong kind of value") << command;
  }
}

TEST_F(HashCommandsTest, AFieldHasALimitedLength) {
  const std::string field(types::kMaxKeyBytes + 1, 'f');
  EXPECT_EQ(harness_.Run({"HSET", "h", field, "1"}),
            "(error) ERR field of 8388609 bytes is longer than the limit of 8388608 bytes");
}

TEST_F(HashCommandsTest, HRandFieldArguments) {
  Run("HSET h a 1");
  EXPECT_EQ(Run("HRANDFIELD h"), "\"a\"");
  EXPECT_EQ(Run("HRANDFIELD none"), "nil");
  EXPECT_EQ(Run("HRANDFIELD none 5"), "[]");
  EXPECT_EQ(Run("HRANDFIELD h 0"), "[]");
  EXPECT_EQ(Run("HRANDFIELD h 9223372036854775807"), R"(["a"])");
  EXPECT_EQ(Run("HRANDFIELD h -3 WITHVALUES"), R"(["a", "1", "a", "1", "a", "1"])");
  EXPECT_EQ(Run("HRANDFIELD h 1 foo"), "(error) ERR syntax error");
  EXPECT_EQ(Run("HRANDFIELD h 1 WITHVALUES x"), "(error) ERR syntax error");
  EXPECT_EQ(Run("HRANDFIELD none x"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Run("HRANDFIELD h -9223372036854775808"),
            "(error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
  EXPECT_EQ(Run("HRANDFIELD h -9223372036854770000 WITHVALUES"), "(error) ERR value is out of range");
  EXPECT_EQ(Run("HRANDFIELD h -9223372036854770000"), "(error) ERR value is out of range");
}

// Draws from a hash of `fields` fields until each is expected 20 times; the statistic of the chi-squared test over its
// degrees of freedom, which is near 1 for an even choice.
double Unevenness(types::Keyspace keys, uint64_t fields, uint64_t count, bool repeat) {
  const types::Key key = keys.Find("h").value();
  std::mt19937_64 random(7);
  std::map<std::string, double> seen;
  double drawn = 0;
  while (drawn < 20.0 * static_cast<double>(fields)) {
    const std::vector<types::RandomMember> fields_drawn =
        types::RandomMembers(keys, key, count, repeat, random).value();
    for (const types::RandomMember& field : fields_drawn) ++seen[field.name];
    drawn += static_cast<double>(fields_drawn.size());
  }
  double chi = 0;
  const double expected = drawn / static_cast<double>(fields);
  for (uint64_t i = 0; i < fields; ++i) {
    const double difference = seen[fmt::format("f{}", i)] - expected;
    chi += difference * difference / expected;
  }
  return chi / static_cast<double>(fields - 1);
}

TEST_F(HashCommandsTest, HRandFieldChoosesEvenly) {
  std::vector<std::string> words = {"HSET", "h"};
  for (int i = 0; i < 300; ++i) words.insert(words.end(), {fmt::format("f{}", i), "v"});
  ASSERT_EQ(harness_.Run(words), "300");
  harness_.txn().Begin(false);
  EXPECT_LT(Unevenness(harness_.keys(), 300, 300, true), 1.4);
  EXPECT_LT(Unevenness(harness_.keys(), 300, 100, true), 1.4);
  EXPECT_LT(Unevenness(harness_.keys(), 300, 100, false), 1.4);
  // One at a time, near a random point: uneven by about 1/sqrt(32), which adds 20/32 to the statistic.
  EXPECT_LT(Unevenness(harness_.keys(), 300, 1, true), 1.4 + 2 * 20.0 / 32);
}

TEST_F(HashCommandsTest, HRandFieldWithoutRepeatsHasNone) {
  std::vector<std::string> words = {"HSET", "h"};
  for (int i = 0; i < 1000; ++i) words.insert(words.end(), {fmt::format("f{}", i), fmt::format("v{}", i)});
  harness_.Run(words);
  harness_.txn().Begin(false);
  types::Keyspace keys = harness_.keys();
  const types::Key key = *keys.Find("h");
  std::mt19937_64 random(11);
  for (const uint64_t count : {1, 10, 31, 32, 333, 334, 999, 1000, 1001}) {
    std::set<std::string> names;
    const std::vector<types::RandomMember> drawn = types::RandomMembers(keys, key, count, false, random).value();
    for (const types::RandomMember& field : drawn) {
      names.insert(field.name);
      EXPECT_EQ(field.value, "v" + field.name.substr(1));
    }
    EXPECT_EQ(names.size(), std::min<uint64_t>(count, 1000)) << count;
  }
  EXPECT_THAT(*types::RandomMembers(keys, key, 5000, true, random), SizeIs(5000));
  EXPECT_THAT(*types::RandomMembers(keys, key, 20, true, random), SizeIs(20));
}

TEST_F(HashCommandsTest, HScanPagesAndFilters) {
  std::vector<std::string> words = {"HSET", "h"};
  for (int i = 0; i < 100; ++i) words.insert(words.end(), {fmt::format("f{}", i), "v"});
  harness_.Run(words);
  EXPECT_EQ(Run("HSCAN h 0 COUNT 1000 MATCH f42"), R"(["0", ["f42", "v"]])");
  EXPECT_EQ(Run("HSCAN none 0"), R"(["0", []])");
  EXPECT_EQ(Run("HSCAN none 0 COUNT x"), R"(["0", []])");
  EXPECT_EQ(Run("HSCAN h 0 COUNT 0"), "(error) ERR syntax error");
  EXPECT_EQ(Run("HSCAN h 0 COUNT x"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Run("HSCAN h 0 TYPE hash"), "(error) ERR syntax error");
  EXPECT_EQ(Run("HSCAN h 0 COUNT"), "(error) ERR syntax error");
  EXPECT_EQ(Run("HSCAN h x"), "(error) ERR invalid cursor");
  EXPECT_EQ(Run("HSCAN h 99999999999999999999"), "(error) ERR invalid cursor");
  EXPECT_EQ(Run("HSCAN h 4294967296"), R"(["0", []])");
}

// Members named by their number, all of which the model knows; those that stay from the first page to the last must be
// returned exactly once, and nothing that was not there at some time.
TEST_F(HashCommandsTest, HScanReturnsWhatStaysExactlyOnceAmidChanges) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 20; ++round) {
    std::set<std::string> stays;
    std::set<std::string> ever;
    const std::string name = fmt::format("h{}", round);
    const auto change = [&] {
      const std::string field = fmt::format("{}", random() % 300);
      ever.insert(field);
      if (random() % 2 == 0) {
        harness_.Run({"HSET", name, field, "v"});
      } else {
        harness_.Run({"HDEL", name, field});
        stays.erase(field);
      }
    };
    for (int i = 0; i < 200; ++i) {
      const std::string field = fmt::format("{}", random() % 300);
      harness_.Run({"HSET", name, field, "v"});
      stays.insert(field);
      ever.insert(field);
    }
    std::map<std::string, int> seen;
    uint64_t cursor = 0;
    do {
      harness_.txn().Begin(false);
      types::Keyspace keys = harness_.keys();
      const types::Key key = *keys.Find(name);
      if (!key) break;
      const types::MemberPage page = *types::ReadMemberPage(keys, key.collection, cursor, 1 + random() % 10,
                                                            [](std::string_view) { return true; });
      for (const auto& member : page.members) ++seen[member.name];
      ASSERT_TRUE(page.next == 0 || page.next > cursor);
      cursor = page.next;
      for (int i = 0; i < 3; ++i) change();
    } while (cursor != 0);
    for (const std::string& field : stays) EXPECT_EQ(seen[field], 1) << field;
    for (const auto& [field, times] : seen) EXPECT_TRUE(times == 1 && ever.contains(field)) << field;
  }
}

}  // namespace
}  // namespace tidemark::commands
