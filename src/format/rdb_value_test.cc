#include "format/rdb_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tidemark::format {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

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
constexpr std::string_view kList = "1201020a0a0000000100816102ff0a0009b9edf594ded995";
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

std::string DecodeString(std::string_view hex) {
  const absl::StatusOr<RdbValue> value = DecodeRdbPayload(FromHex(hex));
  if (!value.ok()) return "error: " + std::string(Message(value.status()));
  EXPECT_EQ(value->kind, RdbValue::Kind::kString);
  return value->string;
}

absl::StatusOr<RdbValue> DecodeHash(std::string_view hex) {
  absl::StatusOr<RdbValue> value = DecodeRdbPayload(FromHex(hex));
  EXPECT_TRUE(!value.ok() || value->kind == RdbValue::Kind::kHash);
  return value;
}

TEST(RdbValueTest, StringsOfRedis) {
  EXPECT_EQ(DecodeString(kHello), "hello");
  EXPECT_EQ(DecodeString(kEmpty), "");
  EXPECT_EQ(DecodeString(kInt8), "-128");
  EXPECT_EQ(DecodeString(kInt16), "300");
  EXPECT_EQ(DecodeString(kInt32), "-2147483648");
  EXPECT_EQ(DecodeString(kBeyond32), "2147483648");
  EXPECT_EQ(DecodeString(kLeadingZeros), "007");
  EXPECT_EQ(DecodeString(kLength14), std::string(70, 'x'));
  std::string repeated;
  for (int i = 0; i < 20; ++i) repeated += "abcabcabc";
  EXPECT_EQ(DecodeString(kLzf), repeated + std::string(400, 'z'));
}

TEST(RdbValueTest, StringsAreWrittenAsRedisWritesThem) {
  EXPECT_EQ(RdbStringPayload("hello"), FromHex(kHello));
  EXPECT_EQ(RdbStringPayload(""), FromHex(kEmpty));
  EXPECT_EQ(RdbStringPayload("-128"), FromHex(kInt8));
  EXPECT_EQ(RdbStringPayload("300"), FromHex(kInt16));
  EXPECT_EQ(RdbStringPayload("-2147483648"), FromHex(kInt32));
  EXPECT_EQ(RdbStringPayload("2147483648"), FromHex(kBeyond32));
  EXPECT_EQ(RdbStringPayload("007"), FromHex(kLeadingZeros));
  EXPECT_EQ(RdbStringPayload(std::string(70, 'x')), FromHex(kLength14));
}

TEST(RdbValueTest, HashesOfRedis) {
  EXPECT_THAT(
      DecodeHash(kListpack)->fields,
      ElementsAre(Pair("a", "1"), Pair("b", "-1"), Pair("c", "4095"), Pair("d", "-4096"), Pair("e", "-4097"),
                  Pair("f", "32767"), Pair("g", "8388607"), Pair("h", "-8388608"), Pair("i", "2147483647"),
                  Pair("j", "-9223372036854775808"), Pair("k", std::string(63, 'x')), Pair("l", std::string(64, 'y'))));
  EXPECT_THAT(DecodeHash(kHashtable)->fields, UnorderedElementsAre(Pair("f1", "v"), Pair("f2", "10")));
  EXPECT_THAT(DecodeHash(kListpackLzf)->fields, ElementsAre(Pair(std::string(200, 'f'), std::string(5000, 'v'))));
  EXPECT_THAT(DecodeHash(kZiplist)->fields,
              ElementsAre(Pair("a", "0"), Pair("b", "12"), Pair("c", "-128"), Pair("d", "-300"), Pair("e", "-70000"),
                          Pair("f", "-2147483648"), Pair("g", "-9223372036854775808"), Pair("h", std::string(300, 'y')),
                          Pair("i", "")));
}

TEST(RdbValueTest, HashesAreWrittenAsRedisWritesThem) {
  std::string fields;
  const RdbValue hash = DecodeHash(kHashtable).value();
  for (const auto& [field, value] : hash.fields) {
    AppendRdbString(field, &fields);
    AppendRdbString(value, &fields);
  }
  EXPECT_EQ(RdbHashPayload(2, fields), FromHex(kHashtable));
}

TEST(RdbValueTest, LongLengthsComeBack) {
  for (const size_t length : {63, 64, 16383, 16384, 100000}) {
    const std::string value(length, 'x');
    EXPECT_EQ(DecodeRdbPayload(RdbStringPayload(value))->string, value);
  }
}

TEST(RdbValueTest, EveryFlippedBitAndEveryCutIsFound) {
  for (const std::string_view hex : {kHello, kListpack, kZiplist, kLzf}) {
    const std::string payload = FromHex(hex);
    for (size_t i = 0; i < payload.size(); ++i) {
      EXPECT_TRUE(absl::IsDataLoss(DecodeRdbPayload(payload.substr(0, i)).status())) << i;
      std::string damaged = payload;
      damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
      EXPECT_TRUE(absl::IsDataLoss(DecodeRdbPayload(damaged).status())) << i;
    }
  }
}

TEST(RdbValueTest, AnotherTypeOrVersionIsRefused) {
  EXPECT_TRUE(absl::IsUnimplemented(DecodeRdbPayload(FromHex(kList)).status()));
  std::string newer = FromHex(kHello);
  newer[newer.size() - 10] = 11;
  EXPECT_TRUE(absl::IsDataLoss(DecodeRdbPayload(newer).status()));
}

TEST(RdbValueTest, MalformedHashesAreRefused) {
  const std::string pair(
      "\x01"
      "a\x01"
      "b",
      4);
  const auto refused = [](const std::string& body) { return absl::IsInvalidArgument(DecodeRdbBody(body).status()); };
  EXPECT_TRUE(DecodeRdbBody("\x04\x01" + pair).ok());
  EXPECT_TRUE(refused("\x04\x02" + pair)) << "a field is missing";
  EXPECT_TRUE(refused("\x04\x02" + pair + pair)) << "a field stands twice";
  EXPECT_TRUE(refused("\x04\x01" + pair + "x")) << "bytes are left over";
  EXPECT_TRUE(refused(std::string("\x04\0", 2))) << "no fields";
  EXPECT_TRUE(refused("\x04\xc0" + pair)) << "an integer where a count must be";
  EXPECT_TRUE(refused("")) << "nothing";
}

// Whatever stands inside a right footer is either a value or an error, and never a read beyond the bytes (under the
// sanitizers).
TEST(RdbValueTest, NoBytesAreTrusted) {
  std::mt19937_64 random(9);
  for (const std::string_view hex : {kListpack, kZiplist, kLzf, kListpackLzf, kHashtable}) {
    const std::string payload = FromHex(hex);
    for (int round = 0; round < 3000; ++round) {
      std::string body = payload.substr(0, payload.size() - 10);
      for (uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
        body[random() % body.size()] = static_cast<char>(random());
      }
      if (random() % 4 == 0) body.resize(random() % body.size());
      const absl::StatusOr<RdbValue> value = DecodeRdbBody(body);
      EXPECT_TRUE(!value.ok() || value->kind == RdbValue::Kind::kString || !value->fields.empty());
    }
  }
}

}  // namespace
}  // namespace tidemark::format
