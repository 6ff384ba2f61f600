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

// Says on standard error, once for each cause in a row, what is waited for.
class Teller {
 public:
  Teller(const NodeAddress& node, Millis timeout)
      : node_(node.text()), limit_(timeout.count() > 0 ? ", for at most " + HumanDuration(Micros(timeout)) : "") {}
  void Waits(std::string_view cause) {
    if (cause == said_) return;
    said_ = cause;
    fmt::print(stderr, "tidemark: {}; asking {} again{}\n", cause, node_, limit_);
  }

 private:
  static uint64_t Micros(Millis time) { return static_cast<uint64_t>(std::chrono::microseconds(time).count()); }

  const std::string node_;
  const std::string limit_;
  std::string said_;
};

// The first task that says no for want of a base that is on its way; null when there is none, or when another task's no
// is for a cause that waiting does not cure.
const Reply* AwaitsBase(const std::vector<Reply>& tasks) {
  const Reply* found = nullptr;
  for (const Reply& task : tasks) {
    if (task.Number("success") != 0) continue;
    if (task.Number("awaits_base") == 0) return nullptr;
    if (found == nullptr) found = &task;
  }
  return found;
}

// A node that restarts or cannot be reached, and one whose base is on its way, is asked again until the time is over:
// asking twice costs nothing, since the second call joins what the first began.
NodeResult FlushNode(const NodeAddress& node, const LogFlushArguments& arguments, const Patience& patience) {
  constexpr Millis kLongestPause(1000);
  Teller teller(node, arguments.timeout);
  Millis pause(50);
  while (true) {
    absl::StatusOr<Reply> reply = AskOnce(node, arguments, patience);
    if (!reply.ok() && !absl::IsUnavailable(reply.status())) return {reply.status(), {}};
    if (reply.ok()) {
      const Reply* awaits = arguments.waits() ? AwaitsBase(reply->elements) : nullptr;
      if (awaits == nullptr || patience.over()) return {absl::OkStatus(), std::move(reply->elements)};
      teller.Waits(fmt::format("task {} of {} waits for its base", awaits->Text("task"), node.text()));
    } else {
      if (patience.over()) {
        return {
            Errorf(absl::StatusCode::kDeadlineExceeded, "{} (tried until the time was over)", Message(reply.status())),
            {}};
      }
      teller.Waits(Message(reply.status()));
    }
    std::this_thread::sleep_for(patience.Capped(pause));
    pause = std::min(2 * pause, kLongestPause);
  }
}

// `waits_for_base`: who was still without one when the time was over is late.
int ExitCode(const std::vector<NodeResult>& results, bool waits_for_base) {
  bool late = false;
  bool failed = false;
  for (const NodeResult& result : results) {
    if (!result.status.ok()) (absl::IsDeadlineExceeded(result.status) ? late : failed) = true;
    for (const Reply& task : result.tasks) {
      if (task.Number("success") != 0) continue;
      const bool awaited = waits_for_base && task.Number("awaits_base") != 0;
      (awaited || task.Text("code") == "deadline_exceeded" ? late : failed) = true;
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
      // The error names the task.
      if (!success) fmt::print(stderr, "tidemark: {}: {}\n", node, task.Text("error"));
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
  const int exit_code = ExitCode(results, arguments.waits());
  if (arguments.json) {
    PrintAsJson(arguments, results, exit_code);
  } else {
    PrintTable(arguments, results);
  }
  return exit_code;
}

}  // namespace tidemark::bin
