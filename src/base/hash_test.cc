#include "base/hash.h"

#include <gtest/gtest.h>

namespace tidemark {
namespace {

// RFC 3720, B.4 and the customary check value.
TEST(Crc32c, KnownAnswers) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string_view("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32)),
            0x8a9136aau);
}

TEST(Crc32c, ContinuesFromASeed) { EXPECT_EQ(Crc32c("6789", Crc32c("12345")), Crc32c("123456789")); }

// xxHash 0.8, XXH3_128bits of nothing.
TEST(WideHash, KnownAnswer) {
  EXPECT_EQ(WideHash(""), (Hash128{.high = 0x99aa06d3014798d8, .low = 0x6001c324468d497f}));
  EXPECT_NE(WideHash("a"), WideHash("b"));
}

// Redis Cluster specification: CRC16("123456789") = 0x31C3; tags choose the hashed part.
TEST(HashSlot, FollowsTheClusterSpecification) {
  EXPECT_EQ(HashSlot("123456789"), 0x31c3 & 16383);
  EXPECT_EQ(HashSlot("{user1000}.following"), HashSlot("{user1000}.followers"));
  EXPECT_EQ(HashSlot("foo{}{bar}"), HashSlot("foo{}{bar}"));
  EXPECT_EQ(HashSlot("foo{bar}{zap}"), HashSlot("bar"));
  EXPECT_NE(HashSlot("foo{}"), HashSlot(""));
}

}  // namespace
}  // namespace tidemark
