#include "kv/meta_rows.h"

#include <gtest/gtest.h>

namespace tidemark::kv {
namespace {

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{}{:02x}", hex.empty() ? "" : " ", static_cast<uint8_t>(c));
  return hex;
}

// The example of docs/formats/store.md.
TEST(MetaRows, AreTheBytesOfTheirDocument) {
  EXPECT_EQ(Hex(DbRowKey(DbIndex{1})), "00 64 62 00 01");
  EXPECT_EQ(Hex(EncodeDbState(DbState{CollectionId{4096, 2}, 3, 1})),
            "01 00 00 00 00 00 00 10 00 00 02 03 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00");
  EXPECT_EQ(Hex(kLsnRowKey), "00 6c 73 6e");
  EXPECT_EQ(Hex(EncodeLsn(Lsn{8192})), "00 20 00 00 00 00 00 00");
  EXPECT_EQ(Hex(kFormatRowKey), "00 76 65 72 73 69 6f 6e");
  EXPECT_EQ(Hex(EncodeFormat(kStoreFormat)), "01 00 00 00");
}

TEST(MetaRows, WhatCannotBeReadIsDataLoss) {
  EXPECT_EQ(DecodeLsn("short").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeFormat("").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeDbRowKey("\0db").status().code(), absl::StatusCode::kDataLoss);
  std::string state = EncodeDbState(DbState{});
  state[0] = 2;
  EXPECT_EQ(DecodeDbState(state).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace tidemark::kv
