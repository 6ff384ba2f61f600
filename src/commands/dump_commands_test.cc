#include <gtest/gtest.h>

#include <string>

#include "base/bytes.h"
#include "commands/data_families.h"
#include "commands/testing.h"
#include "format/rdb_writer.h"

namespace tidemark::commands {
namespace {

// DUMP of redis-server 7.0.15: SET k hello; HSET k f1 v f2 10 (hash-max-listpack-entries 0).
const std::string kHello("\x00\x05hello\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a", 17);
const std::string kHash("\x04\x02\x02\x66\x32\xc0\x0a\x02\x66\x31\x01\x76\x0a\x00\xa1\x7b\x46\x4c\x58\x6c\x9d\x38", 22);

class DumpCommandsTest : public ::testing::Test {
 protected:
  std::string Run(std::string_view line) { return harness_.Run(line); }
  std::string Restore(const std::string& key, const std::string& ttl, const std::string& payload,
                      const std::vector<std::string>& options = {}) {
    std::vector<std::string> words = {"RESTORE", key, ttl, payload};
    words.insert(words.end(), options.begin(), options.end());
    return harness_.Run(words);
  }
  std::string GetString(std::string_view name) { return std::string(harness_.keys().Find(name).value().string); }

  // DUMP's reply as the payload that it is.
  std::string Dump(const std::string& key) {
    const std::string reply = harness_.RunRaw({"DUMP", key});
    const size_t end = reply.find("\r\n");
    return reply.substr(end + 2, reply.size() - end - 4);
  }

  testing::Harness harness_{{KeyCommands(), HashCommands(), ListCommands(), SetCommands()}};
};

TEST_F(DumpCommandsTest, RestoresWhatRedisDumped) {
  EXPECT_EQ(Restore("s", "0", kHello), "OK");
  EXPECT_EQ(GetString("s"), "hello");
  EXPECT_EQ(Run("TTL s"), "-1");
  EXPECT_EQ(Restore("h", "5000", kHash), "OK");
  EXPECT_EQ(Run("HLEN h"), "2");
  EXPECT_EQ(Run("HMGET h f1 f2"), R"(["v", "10"])");
  EXPECT_EQ(Run("PTTL h"), "5000");
}

TEST_F(DumpCommandsTest, DumpsWhatRedisWould) {
  Restore("s", "0", kHello);
  EXPECT_EQ(harness_.RunRaw({"DUMP", "s"}), "$17\r\n" + kHello + "\r\n");
  Run("HSET h f1 v f2 10");
  std::string reply = harness_.RunRaw({"DUMP", "h"});
  EXPECT_EQ(Restore("copy", "0", reply.substr(5, 22)), "OK");
  EXPECT_EQ(Run("HMGET copy f1 f2"), R"(["v", "10"])");
  EXPECT_EQ(Run("DUMP x"), "nil");
}

// DUMP of redis-server 7.0.15: RPUSH l a b; SADD s 1 -5 70000.
TEST_F(DumpCommandsTest, ListsAndSets) {
  const std::string list("\x12\x01\x02\x0d\x0d\x00\x00\x00\x02\x00\x81\x61\x02\x81\x62\x02\xff", 17);
  const std::string set("\x0b\x14\x04\x00\x00\x00\x03\x00\x00\x00\xfb\xff\xff\xff\x01\x00\x00\x00\x70\x11\x01\x00", 22);
  const auto payload = [](std::string body) {
    AppendLittle<uint16_t>(&body, format::kRdbVersion);
    AppendLittle<uint64_t>(&body, format::Crc64(body));
    return body;
  };
  EXPECT_EQ(Restore("l", "0", payload(list)), "OK");
  EXPECT_EQ(Run("LRANGE l 0 -1"), R"(["a", "b"])");
  Run("LPUSH l first");
  Run("RPUSH l last");
  EXPECT_EQ(Restore("copy", "5000", Dump("l")), "OK");
  EXPECT_EQ(Run("LRANGE copy 0 -1"), R"(["first", "a", "b", "last"])");
  EXPECT_EQ(Run("PTTL copy"), "5000");
  EXPECT_EQ(Restore("s", "0", payload(set)), "OK");
  EXPECT_EQ(Run("SCARD s"), "3");
  EXPECT_EQ(Restore("copy", "0", Dump("s"), {"REPLACE"}), "OK");
  EXPECT_EQ(Run("SMISMEMBER copy -5 1 70000 2"), "[1, 1, 1, 0]");
}

TEST_F(DumpCommandsTest, ATakenNameIsReplacedOnlyWhenAsked) {
  Restore("k", "0", kHello);
  EXPECT_EQ(Restore("k", "0", kHash), "(error) BUSYKEY Target key name already exists.");
  EXPECT_EQ(Restore("k", "0", kHash, {"REPLACE"}), "OK");
  EXPECT_EQ(Run("TYPE k"), "hash");
  EXPECT_EQ(harness_.txn().db({0}).keys, 1);
}

TEST_F(DumpCommandsTest, TimesToLive) {
  EXPECT_EQ(Restore("k", "1700000005000", kHello, {"ABSTTL"}), "OK");
  EXPECT_EQ(Run("PTTL k"), "5000");
  EXPECT_EQ(Restore("k", "1600000000000", kHello, {"ABSTTL", "REPLACE"}), "OK");
  EXPECT_EQ(Run("EXISTS k"), "0");
  EXPECT_EQ(Restore("k", "-1", kHello), "(error) ERR Invalid TTL value, must be >= 0");
  EXPECT_EQ(Restore("k", "x", kHello), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Restore("k", "9223372036854775807", kHello), "(error) ERR invalid expire time in 'restore' command");
}

TEST_F(DumpCommandsTest, Options) {
  EXPECT_EQ(Restore("k", "0", kHello, {"IDLETIME", "5"}), "OK");
  EXPECT_EQ(Restore("k", "0", kHello, {"FREQ", "255", "REPLACE"}), "OK");
  EXPECT_EQ(Restore("k", "0", kHello, {"IDLETIME", "-1"}), "(error) ERR Invalid IDLETIME value, must be >= 0");
  EXPECT_EQ(Restore("k", "0", kHello, {"FREQ", "256"}), "(error) ERR Invalid FREQ value, must be >= 0 and <= 255");
  EXPECT_EQ(Restore("k", "0", kHello, {"FREQ", "1", "IDLETIME", "1"}), "(error) ERR syntax error");
  EXPECT_EQ(Restore("k", "0", kHello, {"FREQ"}), "(error) ERR syntax error");
  EXPECT_EQ(Restore("k", "0", kHello, {"FOO"}), "(error) ERR syntax error");
}

TEST_F(DumpCommandsTest, BadPayloads) {
  EXPECT_EQ(Restore("k", "0", "abc"), "(error) ERR DUMP payload version or checksum are wrong");
  EXPECT_EQ(Restore("k", "0", kHello + "x"), "(error) ERR DUMP payload version or checksum are wrong");
  format::RdbValueWriter twice;
  ASSERT_TRUE(twice.Begin(format::RdbKind::kHash, 2).ok());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(twice.Field("a", "b", 0).ok());
  ASSERT_TRUE(twice.End().ok());
  twice.FinishPayload();
  EXPECT_EQ(Restore("k", "0", twice.bytes()), "(error) ERR Bad data format");
  EXPECT_EQ(Run("EXISTS k"), "0");
}

}  // namespace
}  // namespace tidemark::commands
