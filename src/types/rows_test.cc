#include "types/rows.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "types/testing.h"

namespace tidemark::types {
namespace {

constexpr kv::CollectionId kContents = {.lsn = 4096, .ordinal = 2};
constexpr kv::CollectionId kCart = {.lsn = 8192, .ordinal = 0};
constexpr uint64_t kExpireMs = 1'700'000'000'000;

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); ++i) {
    if (hex[i] == ' ') continue;
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
    ++i;
  }
  return bytes;
}

// Row keys and values of the example in docs/formats/rows.md.
std::vector<std::pair<std::string, std::string>> DocumentedRows() {
  std::vector<std::pair<std::string, std::string>> rows;
  std::ifstream document(TM_SOURCE_DIR "/docs/formats/rows.md");
  bool example = false;
  for (std::string line; std::getline(document, line);) {
    if (line == "```") {
      example = !example;
    } else if (example) {
      const std::string arrow = "→";
      const size_t at = line.find(arrow);
      rows.emplace_back(FromHex(line.substr(0, at)), FromHex(line.substr(at + arrow.size())));
    }
  }
  return rows;
}

std::string Encoded(const KeyValue& value) { return std::string(EncodeKeyValue(value).view()); }

KeyValue StringValue(std::string_view bytes, uint64_t expire_ms) {
  return {.type = Type::kString, .expire_ms = expire_ms, .string = bytes, .collection = {}, .count = 0, .extra = {}};
}

KeyValue CollectionValue(Type type, const kv::CollectionId& id, uint64_t count, uint64_t expire_ms) {
  return {.type = type, .expire_ms = expire_ms, .string = {}, .collection = id, .count = count, .extra = {}};
}

TEST(Rows, DocumentedExampleIsWhatIsWritten) {
  const std::vector<std::pair<std::string, std::string>> written = {
      {std::string(KeyRow(kContents, "greeting").view()), Encoded(StringValue("hello", kExpireMs))},
      {std::string(ExpiryRow(kExpireMs, kContents, "greeting").view()), ""},
      {std::string(KeyRow(kContents, "cart").view()), Encoded(CollectionValue(Type::kHash, kCart, 1, 0))},
      {std::string(MemberRow(kCart, "apple").view()), std::string(EncodeMemberValue("3").view())},
      {std::string(DeadRow(kCart).view()), EncodeDeadValue({.type = Type::kHash, .count = 300})},
  };
  EXPECT_EQ(DocumentedRows(), written);
}

TEST(Rows, DocumentedExampleIsRead) {
  const auto rows = DocumentedRows();
  ASSERT_EQ(rows.size(), 5u);

  const auto greeting = ParseKeyRow(rows[0].first);
  ASSERT_TRUE(greeting);
  EXPECT_EQ(greeting->contents, kContents);
  EXPECT_EQ(greeting->key, "greeting");
  EXPECT_EQ(greeting->order >> 32, HashSlot("greeting"));
  const auto value = DecodeKeyValue(rows[0].second);
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->type, Type::kString);
  EXPECT_EQ(value->expire_ms, kExpireMs);
  EXPECT_EQ(value->string, "hello");

  const auto expiry = ParseExpiryRow(rows[1].first);
  ASSERT_TRUE(expiry);
  EXPECT_EQ(expiry->expire_ms, kExpireMs);
  EXPECT_EQ(expiry->contents, kContents);
  EXPECT_EQ(expiry->key, "greeting");

  const auto cart = DecodeKeyValue(rows[2].second);
  ASSERT_TRUE(cart.ok());
  EXPECT_EQ(cart->type, Type::kHash);
  EXPECT_EQ(cart->expire_ms, 0u);
  EXPECT_EQ(cart->collection, kCart);
  EXPECT_EQ(cart->count, 1u);

  const auto apple = ParseMemberRow(rows[3].first);
  ASSERT_TRUE(apple);
  EXPECT_EQ(apple->collection, kCart);
  EXPECT_EQ(apple->order, MemberOrder("apple"));
  EXPECT_EQ(apple->member, "apple");
  EXPECT_EQ(*DecodeMemberValue(rows[3].second), "3");

  EXPECT_EQ(ParseDeadRow(rows[4].first), kCart);
  const auto dead = DecodeDeadValue(rows[4].second);
  ASSERT_TRUE(dead.ok());
  EXPECT_EQ(dead->type, Type::kHash);
  EXPECT_EQ(dead->count, 300u);
}

TEST(Rows, AnyBytesAreAStringAndAKey) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  for (const std::string& bytes : {std::string(), std::string(1, '\0'), all, std::string(100'000, '\xff')}) {
    for (const uint64_t expire_ms : {uint64_t{0}, uint64_t{1}, UINT64_MAX}) {
      const std::string encoded = Encoded(StringValue(bytes, expire_ms));
      const auto decoded = DecodeKeyValue(encoded);
      ASSERT_TRUE(decoded.ok());
      EXPECT_EQ(decoded->string, bytes);
      EXPECT_EQ(decoded->expire_ms, expire_ms);
    }
    EXPECT_EQ(ParseKeyRow(KeyRow(kContents, bytes).view())->key, bytes);
    EXPECT_EQ(ParseMemberRow(MemberRow(kCart, bytes).view())->member, bytes);
    EXPECT_EQ(ParseExpiryRow(ExpiryRow(7, kContents, bytes).view())->key, bytes);
  }
}

// A value cut anywhere inside its numbers is damage, not a shorter value.
TEST(Rows, CutValuesAreDamage) {
  const std::string collection = Encoded(CollectionValue(Type::kSet, kCart, 1'000'000, kExpireMs));
  for (size_t length = 0; length < collection.size(); ++length) {
    EXPECT_EQ(DecodeKeyValue(collection.substr(0, length)).status().code(), absl::StatusCode::kDataLoss) << length;
  }
  EXPECT_EQ(DecodeKeyValue(collection + "x").status().code(), absl::StatusCode::kDataLoss);
  const std::string text = Encoded(StringValue("", kExpireMs));
  for (size_t length = 0; length < text.size(); ++length) {
    EXPECT_EQ(DecodeKeyValue(text.substr(0, length)).status().code(), absl::StatusCode::kDataLoss) << length;
  }
  const std::string dead = EncodeDeadValue({.type = Type::kHash, .count = 300});
  for (size_t length = 0; length < dead.size(); ++length) {
    EXPECT_EQ(DecodeDeadValue(dead.substr(0, length)).status().code(), absl::StatusCode::kDataLoss) << length;
  }
  EXPECT_EQ(DecodeDeadValue(dead + "x").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeMemberValue("").status().code(), absl::StatusCode::kDataLoss);
}

TEST(Rows, WhatANewerServerWroteIsRefusedNotGuessed) {
  std::string value = Encoded(StringValue("v", 0));
  value[0] = static_cast<char>(0x21);
  EXPECT_EQ(DecodeKeyValue(value).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DecodeMemberValue("\x02v").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DecodeDeadValue("\x22\x01").status().code(), absl::StatusCode::kFailedPrecondition);
  // A flag that this version does not know, a type that there is not.
  EXPECT_EQ(DecodeKeyValue(std::string("\x11\x02v", 3)).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeKeyValue(std::string("\x10\x00", 2)).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeKeyValue(std::string("\x17\x00", 2)).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Rows, KeysOfOtherRowsAreNotMistaken) {
  const std::string key(KeyRow(kContents, "k").view());
  EXPECT_FALSE(ParseMemberRow(key));
  EXPECT_FALSE(ParseExpiryRow(key));
  EXPECT_FALSE(ParseDeadRow(key));
  EXPECT_FALSE(ParseKeyRow(std::string_view(key).substr(0, 16)));
  EXPECT_FALSE(ParseKeyRow(""));
  EXPECT_FALSE(ParseDeadRow(std::string(DeadRow(kCart).view()) + "x"));
}

// Byte order of row keys is the order that scans and the sweeper rely on.
TEST(Rows, OrderOfRowsIsOrderOfNumbers) {
  EXPECT_LT(ExpiryRow(255, kContents, "z").view(), ExpiryRow(256, kContents, "a").view());
  EXPECT_LT(DeadRow({.lsn = 255, .ordinal = 9}).view(), DeadRow({.lsn = 256, .ordinal = 1}).view());
  for (const std::string_view key : {"", "a", "user:{42}:name", "\xff\xff\xff"}) {
    const std::string row(KeyRow(kContents, key).view());
    EXPECT_LE(KeyRowAt(kContents, KeyOrder(key)).view(), row);
    EXPECT_GT(KeyRowAt(kContents, KeyOrder(key) + 1).view(), row);
    EXPECT_LE(KeyRows(kContents).view(), row);
    EXPECT_GT(KeyRows(kContents).PrefixEnd().view(), row);
    EXPECT_LT(KeyOrder(key), uint64_t{1} << kKeyOrderBits);
  }
}

TEST(Rows, PrefixEndCarries) {
  const kv::CollectionId last = {.lsn = UINT64_MAX, .ordinal = UINT16_MAX};
  EXPECT_EQ(MemberRows(last).PrefixEnd().view(), "\x03");
  EXPECT_LT(MemberRow(last, std::string(50, '\xff')).view(), MemberRows(last).PrefixEnd().view());
  EXPECT_EQ(MemberRows({.lsn = 0, .ordinal = 0x00ff}).PrefixEnd().view(),
            std::string_view("\x02\0\0\0\0\0\0\0\0\x01", 10));
}

}  // namespace
}  // namespace tidemark::types
