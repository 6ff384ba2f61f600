#include "commands/latency.h"

#include <gmock/gmock.h>

namespace tidemark::commands {
namespace {

using ::testing::HasSubstr;

TEST(LatencyTest, KeepsTheWorstOfASecondAndTheLast160Seconds) {
  LatencyMonitor monitor;
  EXPECT_FALSE(monitor.Wants(1'000'000)) << "off until a threshold is set";
  monitor.SetThreshold(10);
  EXPECT_FALSE(monitor.Wants(9));
  EXPECT_TRUE(monitor.Wants(10));
  monitor.Add("command", 900, 1);
  for (uint64_t second = 2; second <= 200; ++second) {
    monitor.Add("command", 20, second);
    monitor.Add("command", 30, second);
    monitor.Add("command", 10, second);
  }
  const LatencyMonitor::Event event = monitor.events().at("command");
  EXPECT_EQ(event.samples.size(), LatencyMonitor::kSamples);
  EXPECT_EQ(event.samples.back().unix_seconds, 200U);
  EXPECT_EQ(event.samples.back().millis, 30U);
  EXPECT_EQ(event.max_millis, 900U);
}

TEST(LatencyTest, ForgetsWhatItIsToldTo) {
  LatencyMonitor monitor;
  monitor.Add("a", 1, 1);
  monitor.Add("b", 1, 1);
  monitor.Add("c", 1, 1);
  EXPECT_EQ(monitor.Reset({"a", "none"}), 1U);
  EXPECT_EQ(monitor.Reset({}), 2U);
  EXPECT_TRUE(monitor.events().empty());
}

TEST(LatencyTest, DrawsAndExplains) {
  LatencyMonitor monitor;
  monitor.Add("fork", 10, 100);
  monitor.Add("fork", 80, 160);
  const auto events = monitor.events();
  const std::string graph = LatencyGraph("fork", events.at("fork"), 165);
  EXPECT_THAT(graph, HasSubstr("fork - high 80 ms, low 10 ms (all time high 80 ms)"));
  EXPECT_THAT(graph, HasSubstr(" #\n |\n |\n_|\n"));
  EXPECT_THAT(graph, HasSubstr("15\nms\n"));
  EXPECT_THAT(LatencyReport(events), HasSubstr("fork: 2 spikes (average 45 ms, worst 80 ms)"));
}

}  // namespace
}  // namespace tidemark::commands
