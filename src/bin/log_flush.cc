#include "bin/log_flush.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "bin/output.h"
#include "bin/reply_json.h"

namespace tidemark::bin {
namespace {

constexpr int kDeadlineExit = 3;
constexpr int kFailedExit = 4;

using Clock = std::chrono::steady_clock;
using Millis = std::chrono::milliseconds;

// What is left of the time all nodes share.
class Patience {
 public:
  explicit Patience(Millis timeout) {
    if (timeout.count() > 0) end_ = Clock::now() + timeout;
  }
  bool endless() const { return !end_.has_value(); }
  // Zero once the time is over; without an end, zero too, which the server and the client take for "none".
  Millis left() const {
    if (!end_) return Millis(0);
    return std::max(std::chrono::duration_cast<Millis>(*end_ - Clock::now()), Millis(0));
  }
  bool over() const { return end_ && left().count() == 0; }
  // At most `time`, and not beyond the end.
  Millis Capped(Millis time) const { return endless() ? time : std::min(time, left()); }

 private:
  std::optional<Clock::time_point> end_;
};

struct NodeResult {
  absl::Status status;
  std::vector<Reply> tasks;
};

absl::StatusOr<Reply> AskOnce(const NodeAddress& node, const LogFlushArguments& arguments, const Patience& patience) {
  // Beyond the server's own deadline, so that its answer, which tells how far it got, still arrives.
  constexpr Millis kGrace(2000);
  TM_ASSIGN_OR_RETURN(RedisClient client,
                      RedisClient::Connect(node, arguments.credentials, patience.Capped(Millis(5000)) + Millis(1)));
  const bool over = !patience.endless() && patience.over();
  std::vector<std::string> words = {"LOGBACKUP", "FLUSH", "TIMEOUT",
                                    std::to_string(over ? 1 : patience.left().count())};
  for (const std::string& task : arguments.tasks) words.insert(words.end(), {"TASK", task});
  if (!arguments.mode.empty()) words.insert(words.end(), {"MODE", arguments.mode});
  if (arguments.durable_only) words.emplace_back("DURABLEONLY");
  return client.Call(words, patience.endless() ? Millis(0) : patience.left() + kGrace);
}

// A node that restarts or cannot be reached is asked again until the time is over: asking twice costs nothing, since
// the second call joins what the first began.
NodeResult FlushNode(const NodeAddress& node, const LogFlushArguments& arguments, const Patience& patience) {
  constexpr Millis kLongestPause(1000);
  Millis pause(50);
  while (true) {
    absl::StatusOr<Reply> reply = AskOnce(node, arguments, patience);
    if (reply.ok()) return {absl::OkStatus(), std::move(reply->elements)};
    if (!absl::IsUnavailable(reply.status())) return {reply.status(), {}};
    if (patience.over()) {
      return {
          Errorf(absl::StatusCode::kDeadlineExceeded, "{} (tried until the time was over)", Message(reply.status())),
          {}};
    }
    std::this_thread::sleep_for(patience.Capped(pause));
    pause = std::min(2 * pause, kLongestPause);
  }
}

int ExitCode(const std::vector<NodeResult>& results) {
  bool late = false;
  bool failed = false;
  for (const NodeResult& result : results) {
    if (!result.status.ok()) (absl::IsDeadlineExceeded(result.status) ? late : failed) = true;
    for (const Reply& task : result.tasks) {
      if (task.Number("success") != 0) continue;
      (task.Text("code") == "deadline_exceeded" ? late : failed) = true;
    }
  }
  return failed ? kFailedExit : late ? kDeadlineExit : 0;
}

void PrintAsJson(const LogFlushArguments& arguments, const std::vector<NodeResult>& results, int exit_code) {
  nlohmann::ordered_json nodes = nlohmann::json::array();
  for (size_t i = 0; i < results.size(); ++i) {
    nlohmann::ordered_json node = {{"node", arguments.nodes[i].text()},
                                   {"error", std::string(Message(results[i].status))}};
    node["tasks"] = nlohmann::json::array();
    for (const Reply& task : results[i].tasks) node["tasks"].push_back(ToJson(task));
    nodes.push_back(std::move(node));
  }
  PrintJson({{"success", exit_code == 0}, {"nodes", std::move(nodes)}});
}

void PrintTable(const LogFlushArguments& arguments, const std::vector<NodeResult>& results) {
  std::vector<std::vector<std::string>> rows = {
      {"NODE", "TASK", "RESULT", "ARCHIVED UP TO", "LSN", "RPO", "SENT", "WAITED"}};
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string node = arguments.nodes[i].text();
    if (!results[i].status.ok()) {
      rows.push_back({node, "-", "FAILED"});
      PrintFailure(results[i].status);
    }
    for (const Reply& task : results[i].tasks) {
      const bool success = task.Number("success") != 0;
      const auto number = [&task](std::string_view field) { return static_cast<uint64_t>(task.Number(field)); };
      rows.push_back({node, task.Text("task"), success ? "durable" : task.Text("code"),
                      HumanTime(number("flushed_time")), fmt::format("lsn:{:x}", number("flushed")),
                      HumanDuration(number("rpo_micros")), HumanSize(number("bytes")),
                      HumanDuration(number("waited_micros"))});
      if (!success) fmt::print(stderr, "tidemark: {}: task {}: {}\n", node, task.Text("task"), task.Text("error"));
    }
  }
  fmt::print("{}", Table(rows));
}

}  // namespace

int LogFlush(const LogFlushArguments& arguments) {
  const Patience patience(arguments.timeout);
  std::vector<NodeResult> results(arguments.nodes.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] { results[i] = FlushNode(arguments.nodes[i], arguments, patience); });
  }
  for (std::thread& thread : threads) thread.join();
  const int exit_code = ExitCode(results);
  if (arguments.json) {
    PrintAsJson(arguments, results, exit_code);
  } else {
    PrintTable(arguments, results);
  }
  return exit_code;
}

}  // namespace tidemark::bin
