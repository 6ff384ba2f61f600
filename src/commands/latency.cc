#include "commands/latency.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::commands {

void LatencyMonitor::Add(std::string_view event, uint64_t millis, uint64_t unix_seconds) {
  MutexLock lock(mutex_);
  Event& entry = events_[std::string(event)];
  entry.max_millis = std::max(entry.max_millis, millis);
  if (!entry.samples.empty() && entry.samples.back().unix_seconds == unix_seconds) {
    entry.samples.back().millis = std::max(entry.samples.back().millis, millis);
    return;
  }
  entry.samples.push_back({unix_seconds, millis});
  if (entry.samples.size() > kSamples) entry.samples.pop_front();
}

LatencyMonitor::Events LatencyMonitor::events() const {
  MutexLock lock(mutex_);
  return events_;
}

size_t LatencyMonitor::Reset(const std::vector<std::string>& names) {
  MutexLock lock(mutex_);
  if (names.empty()) {
    const size_t count = events_.size();
    events_.clear();
    return count;
  }
  size_t count = 0;
  for (const std::string& name : names) count += events_.erase(name);
  return count;
}

namespace {

std::string Age(uint64_t seconds) {
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m", seconds / 60);
  if (seconds < 86400) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86400);
}

// Columns of '#' with a '_', 'o' or '#' on top for the part of the last row, on `rows` rows.
std::string Columns(const std::deque<LatencyMonitor::Sample>& samples, uint64_t low, uint64_t high, size_t rows) {
  constexpr std::string_view kTops = "_o#";
  std::string text;
  for (size_t row = rows; row-- > 0;) {
    for (const LatencyMonitor::Sample& sample : samples) {
      const uint64_t steps = rows * kTops.size() - 1;
      const uint64_t height = high == low ? 0 : (sample.millis - low) * steps / (high - low);
      const uint64_t full = height / kTops.size();
      text += full > row ? '|' : full == row ? kTops[height % kTops.size()] : ' ';
    }
    text += '\n';
  }
  return text;
}

}  // namespace

std::string LatencyGraph(std::string_view name, const LatencyMonitor::Event& event, uint64_t now_seconds) {
  const auto less = [](const auto& a, const auto& b) { return a.millis < b.millis; };
  const auto [lowest, highest] = std::minmax_element(event.samples.begin(), event.samples.end(), less);
  const uint64_t low = event.samples.empty() ? 0 : lowest->millis;
  const uint64_t high = event.samples.empty() ? 0 : highest->millis;
  std::string text =
      fmt::format("{} - high {} ms, low {} ms (all time high {} ms)\n", name, high, low, event.max_millis);
  text += std::string(80, '-') + "\n";
  text += Columns(event.samples, low, high, 4);
  std::vector<std::string> ages;
  size_t longest = 0;
  for (const LatencyMonitor::Sample& sample : event.samples) {
    ages.push_back(Age(now_seconds > sample.unix_seconds ? now_seconds - sample.unix_seconds : 0));
    longest = std::max(longest, ages.back().size());
  }
  text += '\n';
  for (size_t row = 0; row < longest; ++row) {
    for (const std::string& age : ages) text += row < age.size() ? age[row] : ' ';
    text += '\n';
  }
  return text;
}

std::string LatencyReport(const LatencyMonitor::Events& events) {
  if (events.empty()) {
    return "No latency spike was seen since the monitor was switched on or reset. It is switched on with "
           "\"CONFIG SET latency-monitor-threshold <milliseconds>\".\n";
  }
  std::string text = "Latency spikes were seen. What was slow, how often, and how slow:\n\n";
  for (const auto& [name, event] : events) {
    uint64_t sum = 0;
    for (const LatencyMonitor::Sample& sample : event.samples) sum += sample.millis;
    text += fmt::format("- {}: {} spikes (average {} ms, worst {} ms)\n", name, event.samples.size(),
                        event.samples.empty() ? 0 : sum / event.samples.size(), event.max_millis);
  }
  text +=
      "\n\"command\" and \"fast-command\" name commands that ran long: SLOWLOG GET shows which, with their arguments. "
      "Other events name work of the server itself; INFO's Log and Store sections show whether the disk keeps up.\n";
  return text;
}

}  // namespace tidemark::commands
