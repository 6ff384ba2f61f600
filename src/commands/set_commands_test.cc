#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include "commands/data_families.h"
#include "commands/testing.h"

namespace tidemark::commands {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kWrongType[] = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";

class SetCommandsTest : public ::testing::Test {
 protected:
  std::string Run(std::string_view line) { return harness_.Run(line); }
  // The members in a reply, which is a set or an array of bulk strings.
  std::multiset<std::string> Members(const std::vector<std::string>& words) {
    const std::string raw = harness_.RunRaw(words);
    std::multiset<std::string> members;
    for (size_t at = raw.find("\r\n") + 2; at < raw.size();) {
      const size_t line_end = raw.find("\r\n", at);
      const size_t length = std::stoul(raw.substr(at + 1, line_end - at - 1));
      members.insert(raw.substr(line_end + 2, length));
      at = line_end + 2 + length + 2;
    }
    return members;
  }
  std::multiset<std::string> Members(std::string_view line) {
    std::vector<std::string> words(1);
    for (const char c : line) c == ' ' ? words.emplace_back() : words.back() += c;
    return Members(words);
  }
  void Fill(const std::string& name, int members) {
    std::vector<std::string> words = {"SADD", name};
    for (int i = 0; i < members; ++i) words.push_back(fmt::format("m{}", i));
    ASSERT_EQ(harness_.Run(words), fmt::format("{}", members));
  }
  std::vector<std::string> Events() {
    std::vector<std::string> events;
    for (const types::KeyEvent& event : harness_.events()) {
      if (event.event_class == types::EventClass::kNew || event.event_class == types::EventClass::kKeyMiss) continue;
      events.push_back(fmt::format("{} {} {}", static_cast<char>(event.event_class), event.event, event.name));
    }
    return events;
  }

  testing::Harness harness_{{SetCommands(), KeyCommands(), StringCommands()}};
};

TEST_F(SetCommandsTest, MembersComeAndGoAndTheKeyRowFollows) {
  EXPECT_EQ(Run("SADD s a b a"), "2");
  EXPECT_EQ(Run("SADD s b c"), "1");
  EXPECT_EQ(Run("SCARD s"), "3");
  EXPECT_EQ(Run("SISMEMBER s a"), "1");
  EXPECT_EQ(Run("SISMEMBER s z"), "0");
  EXPECT_EQ(Run("SISMEMBER none z"), "0");
  EXPECT_EQ(Run("SMISMEMBER s a z c"), "[1, 0, 1]");
  EXPECT_EQ(Run("SMISMEMBER none a b"), "[0, 0]");
  EXPECT_THAT(Members("SMEMBERS s"), ElementsAre("a", "b", "c"));
  EXPECT_EQ(Run("SREM s a z a"), "1");
  EXPECT_EQ(Run("SREM s b c"), "2");
  EXPECT_EQ(Run("EXISTS s"), "0");
  EXPECT_EQ(Run("SCARD s"), "0");
  EXPECT_EQ(harness_.txn().db({0}).keys, 0);
  EXPECT_EQ(Run("SADD s d"), "1");
  EXPECT_THAT(Members("SMEMBERS s"), ElementsAre("d"));
}

TEST_F(SetCommandsTest, SetsAreSetsInRESP3) {
  harness_.client().protocol = 3;
  Run("SADD s a");
  EXPECT_EQ(Run("SMEMBERS s"), "~[\"a\"]");
  EXPECT_EQ(Run("SMEMBERS none"), "~[]");
  EXPECT_EQ(Run("SINTER s s"), "~[\"a\"]");
  EXPECT_EQ(Run("SUNION none s"), "~[\"a\"]");
  EXPECT_EQ(Run("SDIFF s none"), "~[\"a\"]");
  EXPECT_EQ(Run("SRANDMEMBER s 2"), "[\"a\"]");
  EXPECT_EQ(Run("SMISMEMBER s a"), "[1]");
  EXPECT_EQ(Run("SSCAN s 0"), "[\"0\", [\"a\"]]");
  EXPECT_EQ(Run("SPOP none 3"), "~[]");
  EXPECT_EQ(Run("SPOP s 3"), "~[\"a\"]");
}

TEST_F(SetCommandsTest, AnotherTypeIsRefused) {
  Run("SET k v");
  Run("SADD s a");
  for (const char* command : {"SADD k a",
                              "SREM k a",
                              "SISMEMBER k a",
                              "SMISMEMBER k a",
                              "SMEMBERS k",
                              "SCARD k",
                              "SPOP k",
                              "SPOP k 2",
                              "SRANDMEMBER k",
                              "SRANDMEMBER k 2",
                              "SMOVE k s a",
                              "SMOVE s k a",
                              "SINTER k",
                              "SINTER none k",
                              "SINTER k none",
                              "SINTERCARD 2 none k",
                              "SINTERSTORE d none k",
                              "SUNION s k",
                              "SUNIONSTORE d s k",
                              "SDIFF none k",
                              "SDIFFSTORE d none k",
                              "SSCAN k 0"}) {
    EXPECT_EQ(Run(command), kWrongType) << command;
  }
  EXPECT_EQ(Run("SMOVE none k a"), "0");
  EXPECT_EQ(Run("SINTERSTORE k s s"), "1");
  EXPECT_THAT(Members("SMEMBERS k"), ElementsAre("a"));
}

TEST_F(SetCommandsTest, AMemberHasALimitedLength) {
  const std::string member(types::kMaxKeyBytes + 1, 'm');
  EXPECT_EQ(harness_.Run({"SADD", "s", member}),
            "(error) ERR member of 8388609 bytes is longer than the limit of 8388608 bytes");
}

TEST_F(SetCommandsTest, SMoveTakesFromOneAndGivesToTheOther) {
  Run("SADD a x y");
  Run("SADD b y");
  EXPECT_EQ(Run("SMOVE a b x"), "1");
  EXPECT_EQ(Run("SMOVE a b z"), "0");
  EXPECT_EQ(Run("SMOVE a a y"), "1");
  EXPECT_EQ(Run("SMOVE a a z"), "0");
  EXPECT_EQ(Run("SMOVE none b y"), "0");
  EXPECT_EQ(Run("SMOVE a b y"), "1");
  EXPECT_EQ(Run("EXISTS a"), "0");
  EXPECT_THAT(Members("SMEMBERS b"), ElementsAre("x", "y"));
  EXPECT_EQ(Run("SMOVE b fresh x"), "1");
  EXPECT_THAT(Members("SMEMBERS fresh"), ElementsAre("x"));
}

TEST_F(SetCommandsTest, EventsAreThoseOfRedis) {
  const auto events_of = [&](const char* command) {
    Run(command);
    return Events();
  };
  EXPECT_THAT(events_of("SADD s a b c d"), ElementsAre("s sadd s"));
  EXPECT_THAT(events_of("SADD s a"), IsEmpty());
  EXPECT_THAT(events_of("SREM s z"), IsEmpty());
  EXPECT_THAT(events_of("SREM s a"), ElementsAre("s srem s"));
  EXPECT_THAT(events_of("SMOVE s t b"), ElementsAre("s srem s", "s sadd t"));
  Run("SADD s b");
  EXPECT_THAT(events_of("SMOVE s t b"), ElementsAre("s srem s"));
  EXPECT_THAT(events_of("SPOP s"), ElementsAre("s spop s"));
  EXPECT_THAT(events_of("SPOP s 0"), IsEmpty());
  EXPECT_THAT(events_of("SPOP s"), ElementsAre("s spop s", "g del s"));
  EXPECT_THAT(events_of("SPOP s"), IsEmpty());
  EXPECT_THAT(events_of("SUNIONSTORE u t"), ElementsAre("s sunionstore u"));
  EXPECT_THAT(events_of("SINTERSTORE u t none"), ElementsAre("g del u"));
  EXPECT_THAT(events_of("SDIFFSTORE u t t"), IsEmpty());
  EXPECT_THAT(events_of("SREM t b"), ElementsAre("s srem t", "g del t"));
}

TEST_F(SetCommandsTest, OnlyChangesAreToldToWatchers) {
  for (const char* command : {"SADD s a b c", "SREM s a", "SPOP s", "SUNIONSTORE d s"}) {
    Run(command);
    EXPECT_THAT(harness_.txn().touched(), SizeIs(1)) << command;
  }
  for (const char* command :
       {"SADD s d", "SADD s d", "SMOVE s s d", "SREM s z", "SPOP none", "SDIFFSTORE none d s s"}) {
    Run(command);
  }
  EXPECT_THAT(harness_.txn().touched(), SizeIs(0));
}

TEST_F(SetCommandsTest, StoresReplaceWhateverStandsThereAndItsExpiry) {
  Run("SADD a 1 2 3");
  Run("SADD b 2 3 4");
  Run("SET d text");
  Run("PEXPIRE d 100000");
  EXPECT_EQ(Run("SINTERSTORE d a b"), "2");
  EXPECT_EQ(Run("PTTL d"), "-1");
  EXPECT_THAT(Members("SMEMBERS d"), ElementsAre("2", "3"));
  EXPECT_EQ(Run("SUNIONSTORE a a b"), "4");
  EXPECT_THAT(Members("SMEMBERS a"), ElementsAre("1", "2", "3", "4"));
  EXPECT_EQ(Run("SDIFFSTORE a a b"), "1");
  EXPECT_EQ(Run("SDIFFSTORE a none a"), "0");
  EXPECT_EQ(Run("EXISTS a"), "0");
}

TEST_F(SetCommandsTest, SInterCardCountsUpToALimit) {
  Run("SADD a 1 2 3 4");
  Run("SADD b 2 3 4 5");
  EXPECT_EQ(Run("SINTERCARD 2 a b"), "3");
  EXPECT_EQ(Run("SINTERCARD 2 a b LIMIT 0"), "3");
  EXPECT_EQ(Run("SINTERCARD 2 a b limit 2"), "2");
  EXPECT_EQ(Run("SINTERCARD 2 a b LIMIT 1 LIMIT 9"), "3");
  EXPECT_EQ(Run("SINTERCARD 0 a"), "(error) ERR numkeys should be greater than 0");
  EXPECT_EQ(Run("SINTERCARD x a"), "(error) ERR numkeys should be greater than 0");
  EXPECT_EQ(Run("SINTERCARD 3 a b"), "(error) ERR Number of keys can't be greater than number of args");
  EXPECT_EQ(Run("SINTERCARD 1 a b"), "(error) ERR syntax error");
  EXPECT_EQ(Run("SINTERCARD 1 a LIMIT"), "(error) ERR syntax error");
  EXPECT_EQ(Run("SINTERCARD 1 a LIMIT -1"), "(error) ERR LIMIT can't be negative");
  EXPECT_EQ(Run("SINTERCARD 1 a LIMIT x"), "(error) ERR LIMIT can't be negative");
}

// Random sets of small and of several pages' size against std::set, by every way that the algebra may go.
TEST_F(SetCommandsTest, AlgebraIsThatOfSets) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 40; ++round) {
    const size_t sets = 1 + random() % 4;
    std::vector<std::set<std::string>> model(sets);
    std::vector<std::string> names;
    for (size_t i = 0; i < sets; ++i) {
      const std::string name = fmt::format("r{}-{}", round, i);
      names.push_back(name);
      const size_t members = random() % 8 == 0 ? 2000 : random() % 60;
      std::vector<std::string> words = {"SADD", name};
      for (size_t n = 0; n < members; ++n) words.push_back(fmt::format("{}", random() % 3000));
      model[i].insert(words.begin() + 2, words.end());
      if (members > 0) harness_.Run(words);
    }
    std::multiset<std::string> both(model[0].begin(), model[0].end());
    std::multiset<std::string> left = both;
    std::set<std::string> any;
    for (const auto& set : model) {
      std::erase_if(both, [&](const std::string& member) { return !set.contains(member); });
      if (&set != &model[0]) std::erase_if(left, [&](const std::string& member) { return set.contains(member); });
      any.insert(set.begin(), set.end());
    }
    const auto with_names = [&](std::vector<std::string> words) {
      words.insert(words.end(), names.begin(), names.end());
      return words;
    };
    EXPECT_EQ(Members(with_names({"SINTER"})), both);
    EXPECT_EQ(Members(with_names({"SDIFF"})), left);
    EXPECT_EQ(Members(with_names({"SUNION"})), std::multiset<std::string>(any.begin(), any.end()));
    EXPECT_EQ(harness_.Run(with_names({"SINTERCARD", fmt::format("{}", sets)})), fmt::format("{}", both.size()));
    EXPECT_EQ(harness_.Run(with_names({"SUNIONSTORE", names[0]})), fmt::format("{}", any.size()));
    EXPECT_EQ(harness_.Run({"SCARD", names[0]}), fmt::format("{}", any.size()));
  }
}

TEST_F(SetCommandsTest, SPopTakesEachMemberOnce) {
  Fill("s", 500);
  std::multiset<std::string> taken;
  for (int i = 0; i < 100; ++i) taken.insert(Run("SPOP s"));
  EXPECT_EQ(Run("SCARD s"), "400");
  EXPECT_EQ(std::set<std::string>(taken.begin(), taken.end()).size(), 100U);
  std::multiset<std::string> rest = Members("SPOP s 150");
  EXPECT_EQ(rest.size(), 150U);
  for (const std::string& member : rest) EXPECT_EQ(harness_.Run({"SISMEMBER", "s", member}), "0");
  rest.merge(Members("SPOP s 250"));
  EXPECT_EQ(std::set<std::string>(rest.begin(), rest.end()).size(), 400U);
  EXPECT_EQ(Run("EXISTS s"), "0");
  EXPECT_EQ(Run("SPOP s"), "nil");
  EXPECT_EQ(Run("SPOP s 5"), "[]");
}

TEST_F(SetCommandsTest, SPopArguments) {
  Run("SADD s a");
  EXPECT_EQ(Run("SPOP s 0"), "[]");
  EXPECT_EQ(Run("SPOP s -1"), "(error) ERR value is out of range, must be positive");
  EXPECT_EQ(Run("SPOP s x"), "(error) ERR value is out of range, must be positive");
  EXPECT_EQ(Run("SPOP s 1 2"), "(error) ERR syntax error");
  EXPECT_EQ(Run("SPOP s 9223372036854775807"), "[\"a\"]");
}

// Which member goes must not follow from how many there are: a queue of the same length all along would starve some.
TEST_F(SetCommandsTest, SPopReachesEveryMemberOfASetThatStaysFull) {
  Fill("s", 200);
  for (int i = 0; i < 4000; ++i) {
    harness_.client().last_write_end = Lsn{static_cast<uint64_t>(i)};
    Run("SPOP s");
    harness_.Run({"SADD", "s", fmt::format("new{}", i)});
  }
  for (int i = 0; i < 200; ++i) EXPECT_EQ(harness_.Run({"SISMEMBER", "s", fmt::format("m{}", i)}), "0") << i;
}

TEST_F(SetCommandsTest, SRandMemberArguments) {
  Run("SADD s a");
  EXPECT_EQ(Run("SRANDMEMBER s"), "\"a\"");
  EXPECT_EQ(Run("SRANDMEMBER none"), "nil");
  EXPECT_EQ(Run("SRANDMEMBER none 5"), "[]");
  EXPECT_EQ(Run("SRANDMEMBER s 0"), "[]");
  EXPECT_EQ(Run("SRANDMEMBER s -3"), R"(["a", "a", "a"])");
  EXPECT_EQ(Run("SRANDMEMBER s 1 2"), "(error) ERR syntax error");
  EXPECT_EQ(Run("SRANDMEMBER s x"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Run("SRANDMEMBER s -9223372036854775808"),
            "(error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
  EXPECT_EQ(Run("SRANDMEMBER s -9223372036854770000"), "(error) ERR value is out of range");
}

TEST_F(SetCommandsTest, SRandMemberWithoutRepeatsHasNone) {
  Fill("s", 300);
  for (const int count : {1, 5, 40, 299, 300, 400}) {
    const std::multiset<std::string> drawn = Members(fmt::format("SRANDMEMBER s {}", count));
    EXPECT_EQ(drawn.size(), static_cast<size_t>(std::min(count, 300)));
    EXPECT_EQ(std::set<std::string>(drawn.begin(), drawn.end()).size(), drawn.size());
  }
  EXPECT_THAT(Members("SRANDMEMBER s -400"), SizeIs(400));
}

TEST_F(SetCommandsTest, SScanReturnsEachMemberOnce) {
  Fill("s", 700);
  std::map<std::string, int> seen;
  std::string cursor = "0";
  do {
    const std::string page = harness_.RunRaw({"SSCAN", "s", cursor, "COUNT", "50"});
    std::string_view rest = page;
    rest.remove_prefix(4);
    const std::string cursor_text = *testing::TakeReadable(&rest);
    cursor = cursor_text.substr(1, cursor_text.size() - 2);
    rest.remove_prefix(rest.find("\r\n") + 2);
    while (!rest.empty()) ++seen[*testing::TakeReadable(&rest)];
  } while (cursor != "0");
  EXPECT_EQ(seen.size(), 700U);
  for (const auto& [member, times] : seen) EXPECT_EQ(times, 1) << member;
  EXPECT_EQ(Run("SSCAN s 0 MATCH m42 COUNT 10000"), R"(["0", ["m42"]])");
  EXPECT_EQ(Run("SSCAN s 0 NOVALUES"), "(error) ERR syntax error");
  EXPECT_EQ(Run("SSCAN s x"), "(error) ERR invalid cursor");
}

}  // namespace
}  // namespace tidemark::commands
