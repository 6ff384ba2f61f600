#include "commands/command_stats.h"

#include <gtest/gtest.h>

#include <thread>

namespace tidemark::commands {
namespace {

TEST(LatencyBucketsTest, EachDurationFallsIntoABucketThatEndsAtMostAnEighthAboveIt) {
  size_t last = 0;
  for (uint64_t nanos = 0; nanos < 100'000'000'000; nanos += 1 + nanos / 50) {
    const size_t bucket = LatencyBuckets::Of(nanos);
    ASSERT_LT(bucket, LatencyBuckets::kCount);
    ASSERT_GE(bucket, last);
    ASSERT_GE(LatencyBuckets::UpperNanos(bucket), nanos);
    ASSERT_LE(LatencyBuckets::UpperNanos(bucket), nanos + nanos / 8);
    last = bucket;
  }
  EXPECT_EQ(LatencyBuckets::Of(UINT64_MAX), LatencyBuckets::kCount - 1);
}

TEST(CommandStatsTest, AddsUpWhatThreadsCounted) {
  CommandStats stats;
  const CommandTable& table = CommandTable::Get();
  const CommandSpec& ping = *table.Find("ping");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) stats.CountCall(ping, i < 990 ? 1000 : 1'000'000, i != 0);
      stats.CountRejected(ping);
      stats.CountError("WRONGTYPE Operation against …");
    });
  }
  for (std::thread& thread : threads) {
    stats.sum(table.Number(ping));
    thread.join();
  }
  const CommandStats::Sum sum = stats.sum(table.Number(ping));
  EXPECT_EQ(sum.calls, 4000U);
  EXPECT_EQ(sum.nanos, 4 * (990U * 1000 + 10 * 1'000'000));
  EXPECT_EQ(sum.failed, 4U);
  EXPECT_EQ(sum.rejected, 4U);
  EXPECT_NEAR(static_cast<double>(sum.Percentile(50)), 1000, 125);
  EXPECT_NEAR(static_cast<double>(sum.Percentile(99.9)), 1'000'000, 125'000);
  EXPECT_EQ(stats.errors().at("WRONGTYPE"), 4U);
  EXPECT_EQ(stats.calls(), 4000U);
}

TEST(CommandStatsTest, CountsFromZeroAfterAReset) {
  CommandStats stats;
  const CommandSpec& ping = *CommandTable::Get().Find("ping");
  const size_t number = CommandTable::Get().Number(ping);
  stats.CountCall(ping, 5000, true);
  stats.CountError("ERR x");
  stats.Reset();
  EXPECT_EQ(stats.sum(number).calls, 0U);
  EXPECT_TRUE(stats.sum(number).buckets.empty());
  EXPECT_TRUE(stats.errors().empty());
  stats.CountCall(ping, 70, false);
  EXPECT_EQ(stats.sum(number).calls, 1U);
  EXPECT_EQ(stats.sum(number).failed, 1U);
  EXPECT_EQ(stats.sum(number).nanos, 70U);
  EXPECT_EQ(stats.calls(), 1U);
}

}  // namespace
}  // namespace tidemark::commands
