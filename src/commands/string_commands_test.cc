// Strings as clients see them, where a mistake would cost data: conditions, expiry and types together, numbers at their
// limits, bytes of any value, and nothing changed by a refused command.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "commands/string_handlers.h"
#include "commands/testing.h"

namespace tidemark::commands::testing {
namespace {

constexpr char kWrongType[] = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
constexpr char kSyntax[] = "(error) ERR syntax error";
constexpr char kNotInteger[] = "(error) ERR value is not an integer or out of range";
constexpr char kTooLong[] = "(error) ERR string exceeds maximum allowed size (proto-max-bulk-len)";

class StringCommandsTest : public ::testing::Test {
 protected:
  std::string Run(std::string_view line) { return harness_.Run(line); }
  std::string Run(const std::vector<std::string>& words) { return harness_.Run(words); }

  uint64_t now_ms() { return harness_.txn().now_ms(); }
  void Pass(uint64_t ms) { harness_.txn().set_now_ms(now_ms() + ms); }
  // When `name` expires, from now on; 0 for never.
  uint64_t TtlMs(std::string_view name) {
    const types::Key key = *harness_.keys().Find(name);
    TM_CHECK(key, "no key '{}'", name);
    return key.expire_ms == 0 ? 0 : key.expire_ms - now_ms();
  }
  void MakeHash(std::string_view name) {
    harness_.txn().Begin(true);
    types::Keyspace keys = harness_.keys();
    types::Key key = *keys.Find(name);
    keys.PutCollection(&key, types::Type::kHash, harness_.txn().NewCollectionId(), 1, 0);
    harness_.txn().Commit();
  }
  // Runs `line` and proves that it changed no row, count or watcher.
  std::string RunUnchanged(std::string_view line) {
    const types::testing::MemoryTxn before = harness_.txn();
    const std::string reply = Run(line);
    EXPECT_EQ(Contents(before), Contents(harness_.txn())) << line;
    EXPECT_EQ(before.db({0}).keys, harness_.txn().db({0}).keys) << line;
    EXPECT_EQ(before.db({0}).expires, harness_.txn().db({0}).expires) << line;
    return reply;
  }

  Harness harness_{StringCommands()};

 private:
  static std::map<std::string, std::string> Contents(const types::testing::MemoryTxn& txn) {
    std::map<std::string, std::string> contents;
    for (const auto& [row, value] : txn.rows()) contents.emplace(row, value.view());
    return contents;
  }
};

TEST_F(StringCommandsTest, SetAndGetKeepAnyBytes) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  for (const std::string& value : {all, std::string(), std::string("\r\n"), std::string(100'000, 'x')}) {
    EXPECT_EQ(Run({"SET", all, value}), "OK");
    EXPECT_EQ(harness_.RunRaw({"GET", all}), "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n");
  }
  EXPECT_EQ(Run("GET absent"), "nil");
}

TEST_F(StringCommandsTest, SetReplacesAnythingAndForgetsTheExpiry) {
  Run("SET k v EX 100");
  EXPECT_EQ(Run("SET k w"), "OK");
  EXPECT_EQ(TtlMs("k"), 0u);
  MakeHash("h");
  EXPECT_EQ(Run("SET h now-a-string"), "OK");
  EXPECT_EQ(Run("GET h"), "\"now-a-string\"");
}

TEST_F(StringCommandsTest, SetConditionsAndGet) {
  EXPECT_EQ(RunUnchanged("SET k v XX"), "nil");
  EXPECT_EQ(Run("SET k 1 NX"), "OK");
  EXPECT_EQ(RunUnchanged("SET k 2 NX"), "nil");
  EXPECT_EQ(RunUnchanged("SET k 2 NX GET"), "\"1\"");
  EXPECT_EQ(Run("SET k 2 XX GET"), "\"1\"");
  EXPECT_EQ(Run("SET k 3 get xx ex 100"), "\"2\"");
  EXPECT_EQ(TtlMs("k"), 100'000u);
  EXPECT_EQ(RunUnchanged("SET other v XX GET"), "nil");
  EXPECT_EQ(Run("SET other v NX GET"), "nil");
  EXPECT_EQ(Run("GET other"), "\"v\"");
  MakeHash("h");
  EXPECT_EQ(RunUnchanged("SET h v GET"), kWrongType);
  EXPECT_EQ(RunUnchanged("SET h v NX"), "nil");
}

TEST_F(StringCommandsTest, SetExpiryInEveryUnit) {
  const std::string at_s = std::to_string(now_ms() / 1000 + 50);
  const std::string at_ms = std::to_string(now_ms() + 777);
  EXPECT_EQ(Run("SET k v EX 10"), "OK");
  EXPECT_EQ(TtlMs("k"), 10'000u);
  EXPECT_EQ(Run("SET k v PX 10"), "OK");
  EXPECT_EQ(TtlMs("k"), 10u);
  EXPECT_EQ(Run("SET k v EXAT " + at_s), "OK");
  EXPECT_EQ(TtlMs("k"), 50'000u);
  EXPECT_EQ(Run("SET k v PXAT " + at_ms), "OK");
  EXPECT_EQ(TtlMs("k"), 777u);
  EXPECT_EQ(Run("SET k w KEEPTTL"), "OK");
  EXPECT_EQ(TtlMs("k"), 777u);
  Pass(777);
  EXPECT_EQ(Run("GET k"), "nil");
  // What has expired has no expiry to keep, and is not there for XX.
  EXPECT_EQ(RunUnchanged("SET k x XX"), "nil");
  EXPECT_EQ(Run("SET k x KEEPTTL"), "OK");
  EXPECT_EQ(TtlMs("k"), 0u);
}

TEST_F(StringCommandsTest, SetWithAnExpiryInThePastLeavesNoValue) {
  Run("SET k old");
  EXPECT_EQ(Run("SET k new EXAT 1"), "OK");
  EXPECT_EQ(Run("GET k"), "nil");
  Run("SET k old");
  EXPECT_EQ(Run("SET k new GET PXAT 1"), "\"old\"");
  EXPECT_EQ(Run("STRLEN k"), "0");
}

TEST_F(StringCommandsTest, ContradictingOptionsAreRefused) {
  Run("SET k v EX 100");
  for (const char* options : {"NX XX", "XX NX", "EX 10 PX 10", "EX 10 KEEPTTL", "KEEPTTL EX 10", "EXAT 10 PXAT 10",
                              "EX", "PERSIST", "GETS", "10"}) {
    EXPECT_EQ(RunUnchanged(std::string("SET k w ") + options), kSyntax) << options;
  }
  for (const char* options : {"EX 10 PERSIST", "PERSIST EX 10", "EX 10 PX 10", "KEEPTTL", "NX", "EX"}) {
    EXPECT_EQ(RunUnchanged(std::string("GETEX k ") + options), kSyntax) << options;
  }
}

TEST_F(StringCommandsTest, ImpossibleExpiriesAreRefused) {
  Run("SET k v");
  for (const char* option : {"EX 0", "EX -1", "PX 0", "PXAT -1", "EX 9223372036854775807", "EX 9223372036854775",
                             "PX 9223372036854775807", "EXAT 9223372036854776"}) {
    EXPECT_EQ(RunUnchanged(std::string("SET k w ") + option), "(error) ERR invalid expire time in 'set' command");
    EXPECT_EQ(RunUnchanged(std::string("GETEX k ") + option), "(error) ERR invalid expire time in 'getex' command");
  }
  EXPECT_EQ(RunUnchanged("SET k w EX 9223372036854775808"), kNotInteger);
  EXPECT_EQ(RunUnchanged("SETEX k 0 w"), "(error) ERR invalid expire time in 'setex' command");
  EXPECT_EQ(RunUnchanged("PSETEX k -5 w"), "(error) ERR invalid expire time in 'psetex' command");
  EXPECT_EQ(RunUnchanged("SETEX k 1.5 w"), kNotInteger);
}

TEST_F(StringCommandsTest, OlderFormsOfSet) {
  EXPECT_EQ(Run("SETNX k 1"), "1");
  EXPECT_EQ(RunUnchanged("SETNX k 2"), "0");
  EXPECT_EQ(Run("SETEX k 9 3"), "OK");
  EXPECT_EQ(TtlMs("k"), 9'000u);
  EXPECT_EQ(Run("PSETEX k 9 4"), "OK");
  EXPECT_EQ(TtlMs("k"), 9u);
  EXPECT_EQ(Run("GETSET k 5"), "\"4\"");
  EXPECT_EQ(TtlMs("k"), 0u);
  EXPECT_EQ(Run("GETSET fresh 1"), "nil");
  MakeHash("h");
  EXPECT_EQ(RunUnchanged("GETSET h 1"), kWrongType);
  EXPECT_EQ(RunUnchanged("SETNX h 1"), "0");
}

TEST_F(StringCommandsTest, GetdelAndGetex) {
  Run("SET k v");
  EXPECT_EQ(Run("GETEX k EX 10"), "\"v\"");
  EXPECT_EQ(TtlMs("k"), 10'000u);
  EXPECT_EQ(RunUnchanged("GETEX k"), "\"v\"");
  EXPECT_EQ(Run("GETEX k PERSIST"), "\"v\"");
  EXPECT_EQ(TtlMs("k"), 0u);
  EXPECT_EQ(RunUnchanged("GETEX absent EX 10"), "nil");
  EXPECT_EQ(Run("GETEX k PXAT 1"), "\"v\"");
  EXPECT_TRUE(harness_.txn().rows().empty());
  Run("SET k v EX 10");
  EXPECT_EQ(Run("GETDEL k"), "\"v\"");
  EXPECT_EQ(Run("GETDEL k"), "nil");
  EXPECT_TRUE(harness_.txn().rows().empty());
  MakeHash("h");
  EXPECT_EQ(RunUnchanged("GETDEL h"), kWrongType);
  EXPECT_EQ(RunUnchanged("GETEX h EX 10"), kWrongType);
}

TEST_F(StringCommandsTest, SeveralKeys) {
  EXPECT_EQ(Run("MSET a 1 b 2 a 3"), "OK");
  MakeHash("h");
  EXPECT_EQ(Run("MGET a h absent b a"), "[\"3\", nil, nil, \"2\", \"3\"]");
  EXPECT_EQ(RunUnchanged("MSETNX c 1 b 9"), "0");
  EXPECT_EQ(RunUnchanged("MSETNX c 1 h 9"), "0");
  EXPECT_EQ(Run("MSETNX c 1 d 2 c 3"), "1");
  EXPECT_EQ(Run("MGET c d"), "[\"3\", \"2\"]");
  EXPECT_EQ(RunUnchanged("MSET a 1 b"), "(error) ERR wrong number of arguments for 'mset' command");
  EXPECT_EQ(RunUnchanged("MSETNX x 1 y"), "(error) ERR wrong number of arguments for 'msetnx' command");
}

TEST_F(StringCommandsTest, IntegersUpToTheirLimits) {
  EXPECT_EQ(Run("INCR n"), "1");
  EXPECT_EQ(Run("INCRBY n -3"), "-2");
  EXPECT_EQ(Run("DECRBY n -9223372036854775807"), "9223372036854775805");
  EXPECT_EQ(Run("INCRBY n 2"), "9223372036854775807");
  EXPECT_EQ(RunUnchanged("INCR n"), "(error) ERR increment or decrement would overflow");
  EXPECT_EQ(Run("SET n -9223372036854775808"), "OK");
  EXPECT_EQ(RunUnchanged("DECR n"), "(error) ERR increment or decrement would overflow");
  EXPECT_EQ(RunUnchanged("DECRBY n -9223372036854775808"), "(error) ERR decrement would overflow");
  EXPECT_EQ(Run("INCR n"), "-9223372036854775807");
}

TEST_F(StringCommandsTest, WhatIsNoIntegerIsLeftAsItIs) {
  for (const char* value : {"", " 11", "11 ", "+1", "01", "-0", "1.0", "9223372036854775808", "x"}) {
    Run({"SET", "n", value});
    EXPECT_EQ(RunUnchanged("INCR n"), kNotInteger) << value;
  }
  Run("SET n 5 EX 100");
  EXPECT_EQ(RunUnchanged("INCRBY n 1.5"), kNotInteger);
  EXPECT_EQ(Run("INCR n"), "6");
  EXPECT_EQ(TtlMs("n"), 100'000u);
  Pass(100'000);
  EXPECT_EQ(Run("INCR n"), "1");
  EXPECT_EQ(TtlMs("n"), 0u);
  MakeHash("h");
  EXPECT_EQ(RunUnchanged("INCR h"), kWrongType);
}

TEST_F(StringCommandsTest, Decimals) {
  EXPECT_EQ(Run("INCRBYFLOAT f 0.1"), "\"0.1\"");
  EXPECT_EQ(Run("INCRBYFLOAT f 0.2"), "\"0.3\"");
  EXPECT_EQ(Run("INCRBYFLOAT f 5.0e3"), "\"5000.29999999999999982\"");
  Run("SET f 3 EX 100");
  EXPECT_EQ(Run("INCRBYFLOAT f 1.25"), "\"4.25\"");
  EXPECT_EQ(TtlMs("f"), 100'000u);
  EXPECT_EQ(RunUnchanged("INCRBYFLOAT f x"), "(error) ERR value is not a valid float");
  EXPECT_EQ(RunUnchanged("INCRBYFLOAT f nan"), "(error) ERR value is not a valid float");
  EXPECT_EQ(RunUnchanged("INCRBYFLOAT f inf"), "(error) ERR increment would produce NaN or Infinity");
  Run({"SET", "f", " 1"});
  EXPECT_EQ(RunUnchanged("INCRBYFLOAT f 1"), "(error) ERR value is not a valid float");
}

TEST_F(StringCommandsTest, AppendAndRanges) {
  EXPECT_EQ(Run("APPEND k Hello"), "5");
  harness_.Run("GETEX k EX 100");
  EXPECT_EQ(Run({"APPEND", "k", std::string("\0!", 2)}), "7");
  EXPECT_EQ(Run("GET k"), "\"Hello\\x00!\"");
  EXPECT_EQ(Run("SETRANGE k 1 ipp"), "7");
  EXPECT_EQ(Run("SETRANGE k 9 z"), "10");
  EXPECT_EQ(Run("GET k"), "\"Hippo\\x00!\\x00\\x00z\"");
  EXPECT_EQ(TtlMs("k"), 100'000u);
  EXPECT_EQ(Run("SETRANGE fresh 2 x"), "3");
  EXPECT_EQ(Run("GET fresh"), "\"\\x00\\x00x\"");
  EXPECT_EQ(RunUnchanged("SETRANGE absent 5 "), "0");
  EXPECT_EQ(RunUnchanged("SETRANGE k 500 "), "10");
  EXPECT_EQ(RunUnchanged("SETRANGE k -1 x"), "(error) ERR offset is out of range");
  MakeHash("h");
  EXPECT_EQ(RunUnchanged("APPEND h x"), kWrongType);
  EXPECT_EQ(RunUnchanged("SETRANGE h 0 x"), kWrongType);
}

TEST_F(StringCommandsTest, NoStringGrowsOverTheLimit) {
  Run("SET k v");
  EXPECT_EQ(RunUnchanged("SETRANGE k 536870912 x"), kTooLong);
  EXPECT_EQ(RunUnchanged("SETRANGE k 9223372036854775807 x"), kTooLong);
  EXPECT_EQ(RunUnchanged("SETRANGE absent 536870911 xy"), kTooLong);
  EXPECT_TRUE(CheckStringLength(kMaxStringBytes).ok());
  EXPECT_FALSE(CheckStringLength(kMaxStringBytes + 1).ok());
}

TEST_F(StringCommandsTest, Getrange) {
  Run({"SET", "k", "This is a string"});
  EXPECT_EQ(Run("GETRANGE k 0 3"), "\"This\"");
  EXPECT_EQ(Run("GETRANGE k -3 -1"), "\"ing\"");
  EXPECT_EQ(Run("GETRANGE k 10 100"), "\"string\"");
  EXPECT_EQ(Run("SUBSTR k 5 3"), "\"\"");
  EXPECT_EQ(Run("GETRANGE k -1 -3"), "\"\"");
  EXPECT_EQ(Run("GETRANGE k 0 -100"), "\"T\"");
  EXPECT_EQ(Run("GETRANGE k -9223372036854775808 9223372036854775807"), "\"This is a string\"");
  EXPECT_EQ(Run("GETRANGE absent 0 -1"), "\"\"");
  Run({"SET", "empty", ""});
  EXPECT_EQ(Run("GETRANGE empty 0 -1"), "\"\"");
  EXPECT_EQ(Run("GETRANGE k a 1"), kNotInteger);
}

TEST_F(StringCommandsTest, Lcs) {
  Run("MSET a ohmytext b mynewtext");
  EXPECT_EQ(Run("LCS a b"), "\"mytext\"");
  EXPECT_EQ(Run("LCS a b LEN"), "6");
  EXPECT_EQ(Run("LCS a b IDX"), "[\"matches\", [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], \"len\", 6]");
  EXPECT_EQ(Run("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN"), "[\"matches\", [[[4, 7], [5, 8], 4]], \"len\", 6]");
  EXPECT_EQ(Run("LCS a absent"), "\"\"");
  EXPECT_EQ(Run("LCS absent absent IDX"), "[\"matches\", [], \"len\", 0]");
  harness_.client().protocol = 3;
  EXPECT_EQ(Run("LCS a b IDX MINMATCHLEN 5"), "{\"matches\": [], \"len\": 6}");
  EXPECT_EQ(Run("LCS a b LEN IDX"), "(error) ERR If you want both the length and indexes, please just use IDX.");
  EXPECT_EQ(Run("LCS a b MINMATCHLEN"), kSyntax);
  MakeHash("h");
  EXPECT_EQ(Run("LCS a h"), "(error) ERR The specified keys must contain string values");
  Run({"MSET", "a", std::string(20'000, 'x'), "b", std::string(20'000, 'x')});
  EXPECT_EQ(Run("LCS a b"), "(error) ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
}

TEST_F(StringCommandsTest, NilsAreThoseOfTheProtocol) {
  EXPECT_EQ(harness_.RunRaw({"GET", "absent"}), "$-1\r\n");
  harness_.client().protocol = 3;
  EXPECT_EQ(harness_.RunRaw({"GET", "absent"}), "_\r\n");
  EXPECT_EQ(harness_.RunRaw({"SET", "absent", "v", "XX"}), "_\r\n");
}

}  // namespace
}  // namespace tidemark::commands::testing
