#include "server/output_buffer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tidemark::server {
namespace {

TEST(OutputBuffer, WhatNeedsNothingLeavesAtOnce) {
  OutputBuffer output;
  output.writer().Ok();
  EXPECT_EQ(output.sendable(), "");
  output.Hold(Lsn{});
  EXPECT_EQ(output.sendable(), "+OK\r\n");
  EXPECT_FALSE(output.holding());
}

TEST(OutputBuffer, AReplyWaitsForItsLsn) {
  OutputBuffer output;
  output.writer().Raw("one");
  output.Hold(Lsn{10});
  output.writer().Raw("two");
  output.Hold(Lsn{20});
  output.Release(Lsn{9});
  EXPECT_EQ(output.sendable(), "");
  output.Release(Lsn{10});
  EXPECT_EQ(output.sendable(), "one");
  output.Sent(1);
  EXPECT_EQ(output.sendable(), "ne");
  output.Release(Lsn{25});
  EXPECT_EQ(output.sendable(), "netwo");
  EXPECT_FALSE(output.holding());
}

// The operator goes from `always` to `everysec` while replies are held: order is kept.
TEST(OutputBuffer, WhatNeedsNothingStillWaitsBehindWhatDoes) {
  OutputBuffer output;
  output.writer().Raw("held");
  output.Hold(Lsn{10});
  output.writer().Raw("free");
  output.Hold(Lsn{});
  EXPECT_EQ(output.sendable(), "");
  output.Release(Lsn{10});
  EXPECT_EQ(output.sendable(), "heldfree");
}

TEST(OutputBuffer, BytesNotHeldYetDoNotLeave) {
  OutputBuffer output;
  output.writer().Raw("a");
  output.Hold(Lsn{});
  output.writer().Raw("b");
  EXPECT_EQ(output.sendable(), "a");
  EXPECT_EQ(output.pending(), 2u);
}

TEST(OutputBuffer, GivesALargeBufferBackWhenAllIsSent) {
  OutputBuffer output;
  output.writer().Raw(std::string(10 << 20, 'x'));
  output.Hold(Lsn{});
  output.Sent(10 << 20);
  EXPECT_EQ(output.pending(), 0u);
  EXPECT_LE(output.writer().buffer().capacity(), OutputBuffer::kKeep);
}

// Random schedules of append, hold, release and partial sends against the plain model: a string and its needs.
TEST(OutputBuffer, NothingLeavesEarlyNothingIsLostOrReordered) {
  for (uint32_t seed = 1; seed <= 50; ++seed) {
    std::mt19937 random(seed);
    OutputBuffer output;
    std::string expected;
    std::vector<uint64_t> needs;  // of each byte of `expected`
    std::string received;
    uint64_t lsn = 0;
    uint64_t durable = 0;
    for (int step = 0; step < 2000; ++step) {
      const std::string piece(random() % 3000, static_cast<char>('a' + step % 26));
      output.writer().Raw(piece);
      expected += piece;
      lsn += random() % 3;
      needs.resize(expected.size(), lsn);
      output.Hold(Lsn{lsn});
      if (random() % 4 == 0) {
        durable = std::min(lsn, durable + random() % 8);
        output.Release(Lsn{durable});
      }
      const std::string_view ready = output.sendable();
      const size_t take = ready.empty() ? 0 : random() % (ready.size() + 1);
      received += ready.substr(0, take);
      output.Sent(take);
      ASSERT_TRUE(received.empty() || needs[received.size() - 1] <= durable) << "seed " << seed << " step " << step;
    }
    output.Release(Lsn{lsn});
    received += output.sendable();
    EXPECT_EQ(received, expected) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tidemark::server
