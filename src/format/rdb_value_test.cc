#include "format/rdb_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "format/rdb_commands.h"
#include "format/rdb_describe.h"
#include "format/rdb_file.h"
#include "format/rdb_writer.h"

namespace tidemark::format {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

// DUMP of redis-server 7.0.15, and the value that was dumped.
constexpr std::string_view kHello = "000568656c6c6f0a006372df766534200a";
constexpr std::string_view kEmpty = "00000a005d9b5c400f7fa2da";
constexpr std::string_view kInt8 = "00c0800a009966326d2f0c5bd9";
constexpr std::string_view kInt16 = "00c12c010a00954261f265825c10";
constexpr std::string_view kInt32 = "00c2000000800a00c74f873e33558187";
constexpr std::string_view kBeyond32 = "000a323134373438333634380a00e7b129a34c1d76ee";
constexpr std::string_view kLeadingZeros = "00033030370a007258e27b4c69bad9";
constexpr std::string_view kLzf = "00c31342440361626361e0a702007ae0ff00e07c00017a7a0a00ae56cd484eb10607";
constexpr std::string_view kLength14 =
    "0040467878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
    "78787878787878787878787878787878787878787878780a009f6dcf762c8b0a6a";
constexpr std::string_view kListpack =
    "1040dcdc00000018008161020101816202dfff02816302cfff02816402d00002816502f1ffef03816602f1ff7f03816702f2"
    "ffff7f04816802f200008004816902f3ffffff7f05816a02f4000000000000008009816b02bf787878787878787878787878"
    "7878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
    "7840816c02e04079797979797979797979797979797979797979797979797979797979797979797979797979797979797979"
    "79797979797979797979797979797979797979797942ff0a0092571c9e58accbfc";
constexpr std::string_view kHashtable = "0402026632c00a02663101760a00a17b464c586c9d38";
constexpr std::string_view kListpackLzf =
    "10c34053546208621400000200e0c866e0be000701caf08813000076e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0"
    "ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ee0002278dff0a0092229d6bb7ffee80";
// A ziplist of every encoding, laid out by the rules of Redis 6 and accepted by redis-server 7.0.15 with
// sanitize-dump-payload.
constexpr std::string_view kZiplist =
    "0d417b7b01000078010000120000016103f102016203fd02016303fe8003016403c0d4fe04016503f090eefe05016603d000"
    "00008006016703e000000000000000800a016803412c79797979797979797979797979797979797979797979797979797979"
    "7979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979"
    "7979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979"
    "7979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979"
    "7979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979"
    "7979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979"
    "79797979797979797979797979797979797979797979fe2f01000001690700ff0900b1c6d5cda1f1affe";
constexpr std::string_view kQuicklist2 =
    "1203020c0c00000002008161020101ff02c31340530b530000000200ded402e04678e03c000148ff020c0c00000001008365"
    "6e6404ff0a00de8d14578c782a5c";
constexpr std::string_view kQuicklist2Plain =
    "1203020a0a0000000100816102ff01c30c412c017979e0ff00e01700017979020a0a0000000100816202ff0a00c15d0c3da8"
    "6da290";
constexpr std::string_view kIntset = "0b140400000003000000fbffffff01000000701101000a0086a0bbcf3a22ed25";
constexpr std::string_view kIntset64 = "0b180800000002000000010000000000000000000000000100000a003122f06df542c0b4";
constexpr std::string_view kSet = "0202016201610a0075d99d835ef85f65";
constexpr std::string_view kZsetListpack =
    "1126260000000800816402842d696e6605816202842d312e3505816102010181630283696e6604ff0a0036f2b606640c3b52";
constexpr std::string_view kZset2 =
    "05040163000000000000f07f0161000000000000f03f0162000000000000f8bf0164000000000000f0ff0a005fb5ff98b3fd"
    "97a1";
constexpr std::string_view kStream =
    "13011000000000000000050000000000000001404e4e0000001f000301010102018166028167020001020100010001817602"
    "010105010201000101018177020201050101010101dfff0201018168028178020601020102010601817102dffd020501ff03"
    "070705010600040205656d707479070781ffffffffffffffff00000267310707040300000000000000050000000000000001"
    "737b5500a20100000100000000000000050000000000000002737b5500a20100000100000000000000070000000000000007"
    "737b5500a2010000010305616c696365737b5500a20100000200000000000000050000000000000001000000000000000500"
    "0000000000000203626f62737b5500a201000001000000000000000700000000000000070469646c65737b5500a201000000"
    "0a0088c93524ce489fab";
constexpr std::string_view kStreamEmpty = "13000001010000010101000a00cda16212d34bf396";
// Encodings of older versions, laid out by their rules and accepted by redis-server 7.0.15 with sanitize-dump-payload.
constexpr std::string_view kListLinked = "010301610162c00709009ee09901f5e57f22";
constexpr std::string_view kListZiplist = "0a171700000012000000040000016103f402fe9c03027a7aff0900d852f1442745e6ce";
constexpr std::string_view kQuicklist =
    "0e0210100000000d000000020000016103f4ff13130000000e000000020000c0e80304027a7aff090067cb4446c17a8829";
constexpr std::string_view kZsetText = "0303016103312e350162fe0163ff0900d624e41d4f566bfe";
constexpr std::string_view kZsetZiplist = "0c181800000012000000040000016103f20201620303322e35ff09008ca54c51c0e9cd06";
constexpr std::string_view kZipmap = "09110201610302666f6f2e2e026262010078ff090020d9d5db6507811a";

constexpr std::string_view kAll[] = {
    kHello,       kEmpty,           kInt8,   kInt16,    kInt32,     kBeyond32,     kListpack,   kHashtable,
    kListpackLzf, kZiplist,         kLzf,    kSet,      kZset2,     kQuicklist2,   kIntset,     kIntset64,
    kStream,      kQuicklist2Plain, kZipmap, kZsetText, kQuicklist, kZsetListpack, kListLinked, kListZiplist,
    kStreamEmpty, kZsetZiplist};

std::string Describe(std::string_view hex) { return DescribeRdbPayload(FromHex(hex)); }

// Knows how many elements come, as a writer has to.
struct Counter : RdbNullSink {
  uint64_t count = 0;
  absl::Status Tell() {
    ++count;
    return absl::OkStatus();
  }
  absl::Status String(std::string_view) override { return Tell(); }
  absl::Status Element(std::string_view) override { return Tell(); }
  absl::Status Member(std::string_view) override { return Tell(); }
  absl::Status Scored(std::string_view, double) override { return Tell(); }
  absl::Status Field(std::string_view, std::string_view, uint64_t) override { return Tell(); }
  absl::Status Entry(const RdbStreamId&, std::span<const std::string>) override { return Tell(); }
};

struct Rewriter : RdbValueWriter {
  using RdbValueWriter::RdbValueWriter;
  uint64_t count = 0;
  absl::Status Begin(RdbKind kind, std::optional<uint64_t> /*claimed*/) override {
    return RdbValueWriter::Begin(kind, count);
  }
};

std::string Rewrite(const std::string& payload) {
  Counter counter;
  EXPECT_TRUE(ReadRdbPayload(payload, &counter).ok());
  Rewriter writer;
  writer.count = counter.count;
  EXPECT_TRUE(ReadRdbPayload(payload, &writer).ok());
  writer.FinishPayload();
  return writer.bytes();
}

std::string Payload(std::string_view body, uint16_t version = kRdbVersion) {
  std::string payload(body);
  AppendLittle<uint16_t>(&payload, version);
  AppendLittle<uint64_t>(&payload, Crc64(payload));
  return payload;
}

TEST(RdbValueTest, StringsOfRedis) {
  EXPECT_EQ(Describe(kHello), "string hello .");
  EXPECT_EQ(Describe(kEmpty), "string  .");
  EXPECT_EQ(Describe(kInt8), "string -128 .");
  EXPECT_EQ(Describe(kInt16), "string 300 .");
  EXPECT_EQ(Describe(kInt32), "string -2147483648 .");
  EXPECT_EQ(Describe(kBeyond32), "string 2147483648 .");
  EXPECT_EQ(Describe(kLeadingZeros), "string 007 .");
  EXPECT_EQ(Describe(kLength14), "string " + std::string(70, 'x') + " .");
  EXPECT_EQ(Describe(kLzf), "string ax580 .");
}

TEST(RdbValueTest, StringsAreWrittenAsRedisWritesThem) {
  for (const std::string_view hex : {kHello, kEmpty, kInt8, kInt16, kInt32, kBeyond32, kLeadingZeros, kLength14}) {
    EXPECT_EQ(Rewrite(FromHex(hex)), FromHex(hex));
  }
}

TEST(RdbValueTest, HashesOfRedis) {
  EXPECT_EQ(Describe(kListpack),
            "hash a=1 b=-1 c=4095 d=-4096 e=-4097 f=32767 g=8388607 h=-8388608 i=2147483647 "
            "j=-9223372036854775808 k=" +
                std::string(63, 'x') + " l=" + std::string(64, 'y') + " .");
  EXPECT_EQ(Describe(kHashtable), "hash f2=10 f1=v .");
  EXPECT_EQ(Describe(kListpackLzf), "hash fx200=vx5000 .");
  EXPECT_EQ(Describe(kZiplist),
            "hash a=0 b=12 c=-128 d=-300 e=-70000 f=-2147483648 g=-9223372036854775808 h=yx300 i= .");
  EXPECT_EQ(Describe(kZipmap), "hash a=foo bb=x .");
}

TEST(RdbValueTest, ListsOfRedis) {
  EXPECT_EQ(Describe(kQuicklist2), "list a 1 -300 " + std::string(70, 'x') + " end .");
  EXPECT_EQ(Describe(kQuicklist2Plain), "list a yx300 b .");
  EXPECT_EQ(Describe(kListLinked), "list a b 7 .");
  EXPECT_EQ(Describe(kListZiplist), "list a 3 -100 zz .");
  EXPECT_EQ(Describe(kQuicklist), "list a 3 1000 zz .");
}

TEST(RdbValueTest, SetsOfRedis) {
  EXPECT_EQ(Describe(kIntset), "set -5 1 70000 .");
  EXPECT_EQ(Describe(kIntset64), "set 1 1099511627776 .");
  EXPECT_THAT(Describe(kSet), HasSubstr(" a"));
  EXPECT_EQ(DescribeRdbPayload(Payload(std::string("\x14\x0c\x0c\0\0\0\x02\0\x05\x01\x81x\x02\xff", 14), 11)),
            "set 5 x .");
}

TEST(RdbValueTest, SortedSetsOfRedis) {
  EXPECT_EQ(Describe(kZsetListpack), "zset d:-inf b:-1.5 a:1 c:inf .");
  EXPECT_EQ(Describe(kZset2), "zset c:inf a:1 b:-1.5 d:-inf .");
  EXPECT_EQ(Describe(kZsetText), "zset a:1.5 b:inf c:-inf .");
  EXPECT_EQ(Describe(kZsetZiplist), "zset a:1 b:2.5 .");
}

TEST(RdbValueTest, StreamsOfRedis) {
  EXPECT_EQ(Describe(kStream),
            "stream 5-1(f,v,g,1) 5-2(f,w,g,2) 7-7(f,q,g,-3) length=3 last=7-7 first=5-1 deleted=6-0 added=4 groups=2 "
            "group empty 7-7 -1 group g1 7-7 4 consumer alice 1795301931891 pending 5-1 1795301931891 1 pending 5-2 "
            "1795301931891 1 consumer bob "
            "1795301931891 pending 7-7 1795301931891 1 consumer idle 1795301931891 .");
  EXPECT_EQ(Describe(kStreamEmpty), "stream length=0 last=1-1 first=0-0 deleted=1-1 added=1 groups=0 .");
}

TEST(RdbValueTest, WhatIsWrittenReadsAsTheSame) {
  for (const std::string_view hex : kAll) {
    const std::string payload = FromHex(hex);
    EXPECT_EQ(DescribeRdbPayload(Rewrite(payload)), DescribeRdbPayload(payload));
  }
}

TEST(RdbValueTest, LongStreamsComeBack) {
  RdbValueWriter writer;
  constexpr uint64_t kEntries = 1000;
  ASSERT_TRUE(writer.Begin(RdbKind::kStream, kEntries).ok());
  for (uint64_t i = 1; i <= kEntries; ++i) {
    // Sequences that go down while the time goes up, and fields that change.
    std::vector<std::string> fields = {"f", std::string(i * 7 % 5000, 'v')};
    if (i % 10 == 0) fields.insert(fields.end(), {"g", "1"});
    ASSERT_TRUE(writer.Entry({1000 * i, kEntries - i}, fields).ok());
  }
  ASSERT_TRUE(writer.State({kEntries, {1000 * kEntries, 0}, {1000, kEntries - 1}, {}, kEntries, 0}).ok());
  ASSERT_TRUE(writer.End().ok());
  writer.FinishPayload();
  const std::string once = DescribeRdbPayload(writer.bytes());
  EXPECT_THAT(once, StartsWith("stream 1000-999(f,vvvvvvv) 2000-998("));
  EXPECT_THAT(once, HasSubstr("length=1000 last=1000000-0 first=1000-999"));
}

TEST(RdbValueTest, AWriterThatWasToldAnotherCountSaysSo) {
  RdbValueWriter writer;
  ASSERT_TRUE(writer.Begin(RdbKind::kSet, 2).ok());
  ASSERT_TRUE(writer.Member("a").ok());
  EXPECT_TRUE(absl::IsDataLoss(writer.End()));
}

TEST(RdbValueTest, EveryFlippedBitAndEveryCutIsFound) {
  for (const std::string_view hex : kAll) {
    const std::string payload = FromHex(hex);
    RdbNullSink sink;
    for (size_t i = 0; i < payload.size(); ++i) {
      EXPECT_TRUE(absl::IsDataLoss(ReadRdbPayload(payload.substr(0, i), &sink))) << i;
      std::string damaged = payload;
      damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
      EXPECT_TRUE(absl::IsDataLoss(ReadRdbPayload(damaged, &sink))) << i;
    }
  }
}

TEST(RdbValueTest, AnotherTypeOrVersionIsRefused) {
  RdbNullSink sink;
  EXPECT_TRUE(absl::IsUnimplemented(ReadRdbPayload(Payload("\x1a\x01"), &sink)));
  EXPECT_TRUE(absl::IsUnimplemented(ReadRdbPayload(Payload("\x07\x01"), &sink))) << "a module's";
  EXPECT_TRUE(ReadRdbPayload(Payload(std::string("\0\x01x", 3), 12), &sink).ok());
  EXPECT_TRUE(ReadRdbPayload(Payload(std::string("\0\x01x", 3), 80), &sink).ok());
  EXPECT_TRUE(absl::IsDataLoss(ReadRdbPayload(Payload(std::string("\0\x01x", 3), 13), &sink)));
}

TEST(RdbValueTest, FieldsWithTimesToLive) {
  std::string metadata("\x18", 1);
  AppendLittle<uint64_t>(&metadata, 5000);
  metadata += std::string(
      "\x02\x00\x01"
      "a\x01"
      "b\x0b\x01"
      "c\x01"
      "d",
      11);
  EXPECT_EQ(DescribeRdbPayload(Payload(metadata, 12)), "hash a=b c=d@5010 .");
  std::string valkey(
      "\x16\x01\x01"
      "a\x01"
      "b",
      6);
  AppendLittle<int64_t>(&valkey, -1);
  EXPECT_EQ(DescribeRdbPayload(Payload(valkey, 80)), "hash a=b .");
  EXPECT_THAT(DescribeRdbPayload(Payload(valkey, 12)), HasSubstr("RDB type 22"));
}

TEST(RdbValueTest, MalformedValuesAreRefused) {
  const std::string pair(
      "\x01"
      "a\x01"
      "b",
      4);
  const auto refused = [](const std::string& body) {
    RdbNullSink sink;
    return absl::IsInvalidArgument(ReadRdbBody(body, &sink));
  };
  EXPECT_FALSE(refused("\x04\x01" + pair));
  EXPECT_TRUE(refused("\x04\x02" + pair)) << "a field is missing";
  EXPECT_TRUE(refused("\x04\x01" + pair + "x")) << "bytes are left over";
  EXPECT_TRUE(refused(std::string("\x04\0", 2))) << "no fields";
  EXPECT_TRUE(refused(std::string("\x01\0", 2))) << "no elements";
  EXPECT_TRUE(refused("\x04\xc0" + pair)) << "an integer where a count must be";
  EXPECT_TRUE(refused("")) << "nothing";
  EXPECT_TRUE(refused(std::string("\x03\x01\x01x\xfd", 5))) << "a score that is no number";
  EXPECT_TRUE(refused(std::string("\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff", 10))) << "more elements than bytes";
  EXPECT_TRUE(refused(std::string("\0\x81\xff\xff\xff\xff\xff\xff\xff\xff", 10))) << "a string longer than any";
}

// Whatever stands inside a right footer is either a value or an error, and never a read beyond the bytes (under the
// sanitizers).
TEST(RdbValueTest, NoBytesAreTrusted) {
  std::mt19937_64 random(9);
  for (const std::string_view hex : kAll) {
    const std::string payload = FromHex(hex);
    if (payload.size() < 12) continue;
    for (int round = 0; round < 2000; ++round) {
      std::string body = payload.substr(0, payload.size() - 10);
      for (uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
        body[random() % body.size()] = static_cast<char>(random());
      }
      if (random() % 4 == 0) body.resize(random() % body.size());
      RdbDescriber describer;
      const bool read = ReadRdbBody(body, &describer).ok();
      EXPECT_TRUE(!read || describer.text.ends_with(" ."));
    }
  }
}

std::string Commands(std::string_view hex, bool drop_field_expiries = false) {
  std::string text;
  RdbCommands commands([&](std::span<const std::string_view> words) {
    text += fmt::format("{}\n", fmt::join(words, " "));
    return absl::OkStatus();
  });
  commands.SetKey("k", /*has_expiry=*/true, 5);
  commands.DropFieldExpiries(drop_field_expiries);
  const absl::Status read = ReadRdbPayload(FromHex(hex), &commands);
  return read.ok() ? text : std::string(Message(read));
}

TEST(RdbCommandsTest, AValueIsMadeByCommands) {
  EXPECT_EQ(Commands(kHello), "SET k hello\nPEXPIREAT k 5\n");
  EXPECT_EQ(Commands(kListLinked), "RPUSH k a b 7\nPEXPIREAT k 5\n");
  EXPECT_EQ(Commands(kIntset), "SADD k -5 1 70000\nPEXPIREAT k 5\n");
  EXPECT_EQ(Commands(kZsetListpack), "ZADD k -inf d -1.5 b 1 a inf c\nPEXPIREAT k 5\n");
  EXPECT_EQ(Commands(kHashtable), "HSET k f2 10 f1 v\nPEXPIREAT k 5\n");
  EXPECT_EQ(Commands(kStreamEmpty),
            "XADD k MAXLEN 0 1-1 x y\nXSETID k 1-1 ENTRIESADDED 1 MAXDELETEDID 1-1\nPEXPIREAT k 5\n");
  EXPECT_EQ(Commands(kStream),
            "XADD k 5-1 f v g 1\nXADD k 5-2 f w g 2\nXADD k 7-7 f q g -3\n"
            "XSETID k 7-7 ENTRIESADDED 4 MAXDELETEDID 6-0\n"
            "XGROUP CREATE k empty 7-7\n"
            "XGROUP CREATE k g1 7-7 ENTRIESREAD 4\n"
            "XGROUP CREATECONSUMER k g1 alice\n"
            "XCLAIM k g1 alice 0 5-1 TIME 1795301931891 RETRYCOUNT 1 JUSTID FORCE\n"
            "XCLAIM k g1 alice 0 5-2 TIME 1795301931891 RETRYCOUNT 1 JUSTID FORCE\n"
            "XGROUP CREATECONSUMER k g1 bob\n"
            "XCLAIM k g1 bob 0 7-7 TIME 1795301931891 RETRYCOUNT 1 JUSTID FORCE\n"
            "XGROUP CREATECONSUMER k g1 idle\n"
            "PEXPIREAT k 5\n");
}

TEST(RdbCommandsTest, ALargeValueComesInPieces) {
  RdbValueWriter writer;
  constexpr uint64_t kMembers = 2000;
  ASSERT_TRUE(writer.Begin(RdbKind::kSet, kMembers).ok());
  for (uint64_t i = 0; i < kMembers; ++i) ASSERT_TRUE(writer.Member(fmt::format("m{}", i)).ok());
  ASSERT_TRUE(writer.End().ok());
  writer.FinishPayload();
  std::vector<size_t> sizes;
  RdbCommands commands([&](std::span<const std::string_view> words) {
    sizes.push_back(words.size());
    return absl::OkStatus();
  });
  commands.SetKey("k", false, 0);
  ASSERT_TRUE(ReadRdbPayload(writer.bytes(), &commands).ok());
  EXPECT_THAT(sizes, ElementsAre(514, 514, 514, 466));
}

struct FileDescriber final : RdbVisitor {
  std::string text;
  RdbDescriber values;

  absl::Status Version(uint16_t version, bool valkey) override {
    text += fmt::format("{}{}\n", valkey ? "valkey " : "", version);
    return absl::OkStatus();
  }
  absl::Status Aux(std::string_view name, std::string_view value) override {
    text += fmt::format("aux {} {}\n", name, value);
    return absl::OkStatus();
  }
  absl::Status Function(std::string_view code) override {
    text += fmt::format("function {}\n", code);
    return absl::OkStatus();
  }
  absl::StatusOr<RdbSink*> Key(const RdbKey& key) override {
    TakeValue();
    text += fmt::format("{} {} {}{} ", key.db, key.name, key.has_expiry ? "@" : "", key.expire_ms);
    return &values;
  }
  absl::Status Module(const RdbKey& key, std::string_view module) override {
    TakeValue();
    text += fmt::format("module {} {}\n", module, key.name);
    return absl::OkStatus();
  }
  void TakeValue() {
    if (values.text.empty()) return;
    text += values.text + "\n";
    values.text.clear();
  }
};

std::string DescribeFile(const std::string& file, size_t piece) {
  size_t at = 0;
  RdbInput in([&](char* to, size_t max) -> absl::StatusOr<size_t> {
    const size_t taken = std::min({piece, max, file.size() - at});
    file.copy(to, taken, at);
    at += taken;
    return taken;
  });
  FileDescriber describer;
  const absl::Status read = ReadRdbFile(&in, &describer);
  if (!read.ok()) return fmt::format("error: {}", Message(read));
  describer.TakeValue();
  return describer.text;
}

std::string WriteFile() {
  std::string file;
  RdbFileWriter writer([&](std::string_view bytes) {
    file.append(bytes);
    return absl::OkStatus();
  });
  EXPECT_TRUE(writer.Begin("1.2", 99).ok());
  EXPECT_TRUE(writer.Function("#!lua name=f").ok());
  EXPECT_TRUE(writer.Database(0, 2, 1).ok());
  EXPECT_TRUE(writer.Key("a", 0).ok());
  EXPECT_TRUE(ReadRdbPayload(FromHex(kHello), writer.value()).ok());
  EXPECT_TRUE(writer.Key("b", 12345).ok());
  EXPECT_TRUE(ReadRdbPayload(FromHex(kHashtable), writer.value()).ok());
  EXPECT_TRUE(writer.Database(3, 1, 0).ok());
  EXPECT_TRUE(writer.Key("12", 0).ok());
  EXPECT_TRUE(ReadRdbPayload(FromHex(kZset2), writer.value()).ok());
  EXPECT_TRUE(writer.Finish().ok());
  return file;
}

TEST(RdbFileTest, WhatIsWrittenReadsAsTheSameInPiecesOfAnySize) {
  const std::string file = WriteFile();
  const std::string expected =
      "10\naux redis-ver 7.0.15\naux redis-bits 64\naux ctime 99\naux tidemark-ver 1.2\nfunction #!lua name=f\n"
      "0 a 0 string hello .\n0 b @12345 hash f2=10 f1=v .\n3 12 0 zset c:inf a:1 b:-1.5 d:-inf .\n";
  for (const size_t piece : {1, 2, 7, 1000}) EXPECT_EQ(DescribeFile(file, piece), expected);
}

TEST(RdbFileTest, DamageAndCutsAreFoundAndNamed) {
  const std::string file = WriteFile();
  for (size_t cut = 0; cut < file.size(); ++cut) {
    EXPECT_THAT(DescribeFile(file.substr(0, cut), 1000), StartsWith("error: byte ")) << cut;
  }
  std::string damaged = file;
  damaged[file.find("hello")] = 'j';
  EXPECT_THAT(DescribeFile(damaged, 1000), HasSubstr("checksum is wrong"));
  EXPECT_THAT(DescribeFile("REDIS0013\xff", 10), HasSubstr("RDB version 13 is not known"));
  EXPECT_THAT(DescribeFile("something else", 10), HasSubstr("no RDB file"));
}

// Laid out by hand: opcodes that Redis 7.0 does not write.
TEST(RdbFileTest, OpcodesOfOtherVersions) {
  std::string file = "VALKEY080";
  file += std::string("\xf4\x05\x02\x01", 4);                     // slot info
  file += std::string("\xf3\x03job\x01\x01\x05", 8);              // slot import
  file += std::string("\xfe\x02\xf8\x40\x80\xf9\x07", 7);         // database, idle time, frequency
  file += std::string("\xfd\x10\x00\x00\x00\x00\x01k\x01v", 10);  // expiry in seconds
  file += std::string("\xf7\x81\x00\x00\x00\x00\x00\x00\x04\x00\x02\x01", 12) + std::string("\x05\x02xy\x00", 5);
  file += std::string("\x07\x01m\x81\x00\x00\x00\x00\x00\x00\x04\x00", 12);  // a module's value
  file += std::string("\x01\x05\x02\x06\x03\0\0\0\0\x04\0\0\0\0\0\0\0\0\x05\x01z\x00", 22);
  file += std::string("\xff\0\0\0\0\0\0\0\0", 9);  // written without a checksum
  EXPECT_EQ(DescribeFile(file, 3), "valkey 80\n2 k @16000 string v .\nmodule AAAAAAAAB \nmodule AAAAAAAAB m\n");
}

}  // namespace
}  // namespace tidemark::format
