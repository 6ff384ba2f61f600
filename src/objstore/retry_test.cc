#include "objstore/retry.h"

#include <gtest/gtest.h>

#include <thread>

namespace tidemark::objstore {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RetryTest, WaitsGrowAreJitteredAndCapped) {
  for (int attempt = 1; attempt < 40; ++attempt) {
    const microseconds most = std::min(milliseconds(100) * (1 << std::min(attempt - 1, 10)), milliseconds(5000));
    EXPECT_EQ(BackoffTime(attempt, false, seconds(0), 0), microseconds(0));
    EXPECT_EQ(BackoffTime(attempt, false, seconds(0), static_cast<uint64_t>(most.count())), most);
    for (const uint64_t random : {uint64_t{1}, uint64_t{123456789}, UINT64_MAX}) {
      EXPECT_LE(BackoffTime(attempt, true, seconds(0), random), seconds(5));
    }
  }
}

TEST(RetryTest, AStoreThatAsksForLessGetsLess) {
  EXPECT_GE(BackoffTime(1, true, seconds(0), 0), milliseconds(200));
  EXPECT_EQ(BackoffTime(1, true, seconds(2), 0), seconds(2));
  EXPECT_EQ(BackoffTime(1, true, seconds(86400), 0), seconds(5));
  EXPECT_EQ(BackoffTime(1, false, seconds(-9), 0), seconds(0));
}

TEST(StopperTest, EndsEverySleepForGood) {
  Stopper stopper;
  EXPECT_TRUE(stopper.Sleep(microseconds(1)));
  bool slept_out = true;
  std::thread sleeper([&] { slept_out = stopper.Sleep(std::chrono::hours(1)); });
  stopper.Stop();
  sleeper.join();
  EXPECT_FALSE(slept_out);
  EXPECT_FALSE(stopper.Sleep(microseconds(1)));
}

TEST(RateLimiterTest, ThreadsShareOneRate) {
  Stopper stopper;
  RateLimiter limiter(1'000'000);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 10; ++n) EXPECT_TRUE(limiter.Take(5'000, stopper));
    });
  }
  for (std::thread& thread : threads) thread.join();
  // The last 5,000 of 200,000 bytes wait for those before them.
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(194));
  RateLimiter unlimited(0);
  for (int n = 0; n < 1000; ++n) EXPECT_TRUE(unlimited.Take(UINT64_MAX / 2, stopper));
}

TEST(RateLimiterTest, StoppingEndsTheWait) {
  Stopper stopper;
  RateLimiter limiter(1);
  EXPECT_TRUE(limiter.Take(1'000'000, stopper));
  std::thread stopping([&] { stopper.Stop(); });
  EXPECT_FALSE(limiter.Take(1, stopper));
  stopping.join();
}

}  // namespace
}  // namespace tidemark::objstore
