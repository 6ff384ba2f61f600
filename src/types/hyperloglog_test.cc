#include "types/hyperloglog.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

namespace tidemark::types {
namespace {

constexpr size_t kSparseMax = 3000;

TEST(HyperLogLogTest, OfNothingIsOneRunOfZeros) {
  const HyperLogLog empty;
  EXPECT_EQ(empty.bytes(), std::string("HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", 18));
  EXPECT_EQ(empty.Cardinality().value(), 0U);
  EXPECT_EQ(empty.Runs().value(), "Z:16384");
}

// What redis-server 7.0.15 makes of PFADD h a, and of PFADD h a b.
TEST(HyperLogLogTest, BytesAreThoseOfRedis) {
  HyperLogLog one;
  EXPECT_TRUE(one.Add("a", kSparseMax).value());
  EXPECT_FALSE(one.Add("a", kSparseMax).value());
  EXPECT_EQ(one.Runs().value(), "Z:12711 v:2,1 Z:3672");
  EXPECT_EQ(one.bytes(), std::string("HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x71\xa6\x84\x4e\x57", 21));
}

TEST(HyperLogLogTest, RegistersAreKeptInEitherEncoding) {
  std::mt19937_64 random(1);
  for (const size_t sparse_max : {size_t{0}, kSparseMax, size_t{16000}}) {
    HyperLogLog log;
    HyperLogLog::Registers expected{};
    for (int i = 0; i < 20000; ++i) {
      const size_t index = random() % 3 == 0 ? random() % HyperLogLog::kRegisters : random() % 500;
      const auto value = static_cast<uint8_t>(1 + random() % (i < 10000 ? 32 : 63));
      EXPECT_EQ(log.Raise(index, value, sparse_max).value(), value > expected[index]);
      expected[index] = std::max(expected[index], value);
    }
    HyperLogLog::Registers found{};
    ASSERT_TRUE(log.MergeInto(&found).ok());
    EXPECT_EQ(found, expected);
    EXPECT_TRUE(log.is_dense());
  }
}

TEST(HyperLogLogTest, SparseStaysSmallAndBecomesDenseByItsLimit) {
  HyperLogLog log;
  for (int i = 0; !log.is_dense(); ++i) {
    ASSERT_LE(log.bytes().size(), 16 + kSparseMax);
    ASSERT_LT(i, 5000);
    ASSERT_TRUE(log.Add(fmt::format("{}", i), kSparseMax).ok());
  }
  EXPECT_EQ(log.bytes().size(), 16U + 12288U);
  HyperLogLog high;
  ASSERT_TRUE(high.Raise(7, 32, kSparseMax).ok());
  EXPECT_FALSE(high.is_dense());
  ASSERT_TRUE(high.Raise(8, 33, kSparseMax).ok());
  EXPECT_TRUE(high.is_dense());
}

TEST(HyperLogLogTest, EstimatesAreNearTheTruthAndEqualInBothEncodings) {
  HyperLogLog sparse;
  HyperLogLog dense;
  EXPECT_TRUE(dense.MakeDense().value());
  EXPECT_FALSE(dense.MakeDense().value());
  for (int count = 1; count <= 100'000; ++count) {
    const std::string element = fmt::format("element-{}", count);
    ASSERT_TRUE(sparse.Add(element, kSparseMax).ok());
    ASSERT_TRUE(dense.Add(element, kSparseMax).ok());
    if (count % 997 != 0 && count > 20) continue;
    const auto estimate = static_cast<double>(dense.Cardinality().value());
    // Standard error 1.04 / sqrt(16384) = 0.8 %.
    ASSERT_LE(std::abs(estimate - count), 0.04 * count + 1) << count;
    ASSERT_EQ(sparse.Cardinality().value(), dense.Cardinality().value()) << count;
  }
  EXPECT_TRUE(sparse.is_dense());
}

TEST(HyperLogLogTest, ACachedCardinalityCountsUntilARegisterChanges) {
  std::string bytes = HyperLogLog().bytes();
  bytes[8] = 42;
  HyperLogLog log = HyperLogLog::Parse(bytes).value();
  EXPECT_EQ(log.Cardinality().value(), 42U);
  ASSERT_TRUE(log.Add("a", kSparseMax).ok());
  EXPECT_EQ(log.Cardinality().value(), 1U);
}

TEST(HyperLogLogTest, WhatIsNoHyperLogLogIsRefused) {
  const std::string good = HyperLogLog().bytes();
  HyperLogLog dense;
  ASSERT_TRUE(dense.MakeDense().ok());
  for (const std::string& bad :
       {std::string(), good.substr(0, 15), "h" + good.substr(1), std::string("HYLL\x02") + good.substr(5),
        std::string("HYLL\0", 5) + good.substr(5), dense.bytes() + "x", dense.bytes().substr(1)}) {
    const auto parsed = HyperLogLog::Parse(bad);
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(Message(parsed.status()), "WRONGTYPE Key is not a valid HyperLogLog string value.");
  }
}

TEST(HyperLogLogTest, DamagedRunsAreFoundAndNothingElseHappens) {
  const std::string header = std::string("HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80", 16);
  const std::string all("\x7f\xff", 2);
  for (const std::string& runs : {std::string(), std::string("\x7f"), std::string("\x7f\xfe", 2), all + "hello",
                                  all + all, all + "\xff", all + "\x7f"}) {
    HyperLogLog log = HyperLogLog::Parse(header + runs).value();
    HyperLogLog::Registers registers{};
    EXPECT_FALSE(log.Cardinality().ok());
    EXPECT_FALSE(log.MergeInto(&registers).ok());
    EXPECT_FALSE(log.Runs().ok());
    EXPECT_FALSE(log.MakeDense().ok());
    EXPECT_EQ(Message(log.Cardinality().status()), "INVALIDOBJ Corrupted HLL object detected");
  }
  // Random damage: any answer, but an answer.
  std::mt19937_64 random(2);
  for (int round = 0; round < 3000; ++round) {
    HyperLogLog log;
    for (uint64_t i = random() % 300; i > 0; --i) ASSERT_TRUE(log.Add(fmt::format("{}", random()), kSparseMax).ok());
    std::string bytes = log.bytes();
    for (uint64_t i = 1 + random() % 5; i > 0; --i) bytes[random() % bytes.size()] = static_cast<char>(random());
    absl::StatusOr<HyperLogLog> damaged = HyperLogLog::Parse(bytes);
    if (!damaged.ok()) continue;
    (void)damaged->Cardinality();
    for (int i = 0; i < 20; ++i)
      (void)damaged->Raise(random() % HyperLogLog::kRegisters, 1 + random() % 51, kSparseMax);
    (void)damaged->MakeDense();
    (void)damaged->Cardinality();
  }
}

}  // namespace
}  // namespace tidemark::types
