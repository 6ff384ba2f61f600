// An id that reads back as another would let one cluster write into the archive of another.
#include "base/id.h"

#include <gtest/gtest.h>

namespace tidemark {
namespace {

TEST(Id, ReadsBackWhatItPrints) {
  Id128 id{};
  for (size_t i = 0; i < id.size(); ++i) id[i] = static_cast<uint8_t>(i * 17);
  EXPECT_EQ(IdToHex(id), "00112233445566778899aabbccddeeff");
  EXPECT_EQ(IdFromHex(IdToHex(id)), id);
}

TEST(Id, RefusesWhatIsNot32HexadecimalDigits) {
  EXPECT_FALSE(IdFromHex(""));
  EXPECT_FALSE(IdFromHex("00112233445566778899aabbccddeef"));
  EXPECT_FALSE(IdFromHex("00112233445566778899aabbccddeeff0"));
  EXPECT_FALSE(IdFromHex("00112233445566778899aabbccddeegg"));
  EXPECT_FALSE(IdFromHex("00112233445566778899AABBCCDDEEFF"));
  EXPECT_FALSE(IdFromHex("-0112233445566778899aabbccddeeff"));
}

}  // namespace
}  // namespace tidemark
