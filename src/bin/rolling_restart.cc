#include "bin/rolling_restart.h"

#include <fmt/format.h>
#include <netdb.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "bin/output.h"
#include "bin/rolling_plan.h"

namespace tidemark::bin {
namespace {

constexpr int kUsage = 1;
constexpr int kDeadline = 3;
constexpr int kFailed = 4;

using Clock = std::chrono::steady_clock;
using Millis = std::chrono::milliseconds;
using Words = std::vector<std::string>;

constexpr Millis kAnswerTimeout(5000);
// Writes wait as long as a hand-over lasts: one that takes longer is given up.
constexpr Millis kHandOverLimit(10000);

uint64_t MicrosSince(Clock::time_point then) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - then).count());
}

absl::Status Doubt(std::string text) { return Errorf(absl::StatusCode::kFailedPrecondition, "{}", text); }
absl::Status About(std::string_view what, const absl::Status& status) {
  return Errorf(status.code(), "{}: {}", what, Message(status));
}
bool Passes(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status); }

void Say(std::string_view text) { fmt::print(stderr, "tidemark: {}\n", text); }

// The numeric addresses of a host's name; none when it has none.
std::vector<std::string> HostsOf(const std::string& name) {
  struct addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  struct addrinfo* found = nullptr;
  if (getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return {};
  const std::unique_ptr<struct addrinfo, void (*)(struct addrinfo*)> owner(found, freeaddrinfo);
  std::vector<std::string> hosts;
  for (const struct addrinfo* at = found; at != nullptr; at = at->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0) {
      hosts.emplace_back(text);
    }
  }
  return hosts;
}

// Asks `missing` until it says nothing. What it says last, and the errors that pass by themselves, are told once the
// time is over; any other error ends the wait at once.
absl::Status Await(Millis timeout, const std::function<absl::StatusOr<std::string>()>& missing) {
  constexpr Millis kLongestPause(100);
  const Clock::time_point end = Clock::now() + timeout;
  for (Millis pause(1);; pause = std::min(2 * pause, kLongestPause)) {
    const absl::StatusOr<std::string> answer = missing();
    if (answer.ok() && answer->empty()) return absl::OkStatus();
    if (!answer.ok() && !Passes(answer.status())) return answer.status();
    if (Clock::now() >= end) {
      return Errorf(absl::StatusCode::kDeadlineExceeded, "after {}: {}",
                    HumanDuration(static_cast<uint64_t>(timeout.count()) * 1000),
                    answer.ok() ? std::string_view(*answer) : Message(answer.status()));
    }
    std::this_thread::sleep_for(pause);
  }
}

// Starts the command with the node in its environment, its standard output on our standard error. Its process id.
absl::StatusOr<pid_t> Start(const std::string& command, const NodeAddress& node) {
  std::vector<std::string> ours = {"TIDEMARK_NODE=" + node.text(), "TIDEMARK_HOST=" + node.host,
                                   "TIDEMARK_PORT=" + std::to_string(node.port)};
  std::vector<char*> environment = {ours[0].data(), ours[1].data(), ours[2].data()};
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view text(*at);
    const bool replaced = std::ranges::any_of(
        ours, [&](std::string_view one) { return text.starts_with(one.substr(0, one.find('=') + 1)); });
    if (!replaced) environment.push_back(*at);
  }
  environment.push_back(nullptr);
  std::string words[] = {"sh", "-c", command};
  char* argv[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, "/bin/sh", &actions, nullptr, argv, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Doubt(fmt::format("cannot start /bin/sh: {}", std::strerror(error)));
  return pid;
}

absl::Status RunCommand(const std::string& command, const NodeAddress& node, Millis timeout) {
  TM_ASSIGN_OR_RETURN(const pid_t pid, Start(command, node));
  int result = 0;
  TM_RETURN_IF_ERROR(Await(timeout, [&]() -> absl::StatusOr<std::string> {
    const pid_t ended = waitpid(pid, &result, WNOHANG);
    if (ended < 0 && errno != EINTR) return Doubt(fmt::format("waitpid: {}", std::strerror(errno)));
    return ended == pid ? std::string()
                        : fmt::format("the restart command for {} still runs as process {}, and is left to it",
                                      node.text(), pid);
  }));
  if (WIFEXITED(result) && WEXITSTATUS(result) == 0) return absl::OkStatus();
  if (WIFEXITED(result)) {
    return Doubt(fmt::format("the restart command for {} ended with {}", node.text(), WEXITSTATUS(result)));
  }
  return Doubt(fmt::format("the restart command for {} was ended by signal {}", node.text(), WTERMSIG(result)));
}

// Writes nothing: deletes a key that nobody has. Yet the server takes it only where and when it takes writes.
Words WriteProbe() {
  return {"DEL", fmt::format("tidemark:rolling-restart:{}:{}", getpid(), Clock::now().time_since_epoch().count())};
}

struct Restarted {
  NodeAddress node;
  bool was_primary = false;
  uint64_t micros = 0;
  std::optional<uint64_t> rpo_micros;  // none: no backup task
};

class Runner {
 public:
  explicit Runner(const RollingRestartArguments& arguments) : arguments_(arguments) {
    for (const NodeAddress& node : arguments.nodes) hosts_.push_back(HostsOf(node.host));
  }

  absl::Status Run() {
    TM_ASSIGN_OR_RETURN(const std::vector<NodeView> views, Look());
    TM_ASSIGN_OR_RETURN(const RollingPlan plan, PlanRollingRestart(views));
    PrintPlan(views, plan);
    if (arguments_.dry_run) return absl::OkStatus();
    primary_ = plan.primary;
    // Known before anything is restarted, not in the middle of a hand-over.
    absl::Status takes_writes = Ask(primary_, WriteProbe()).status();
    if (!takes_writes.ok()) return About("the primary does not take writes", takes_writes);
    for (const size_t node : plan.order) {
      const absl::Status done = RestartOne(node);
      if (!done.ok()) return About(fmt::format("{} of {} nodes are restarted", done_.size(), plan.order.size()), done);
    }
    return absl::OkStatus();
  }

  void PrintReport() const {
    std::vector<std::vector<std::string>> rows = {{"NODE", "WAS", "TOOK", "RPO"}};
    std::optional<uint64_t> greatest;
    for (const Restarted& one : done_) {
      rows.push_back({one.node.text(), one.was_primary ? "primary" : "replica", HumanDuration(one.micros),
                      one.rpo_micros ? HumanDuration(*one.rpo_micros) : "-"});
      if (one.rpo_micros) greatest = std::max(greatest.value_or(0), *one.rpo_micros);
    }
    fmt::print("{}", Table(rows));
    fmt::print("Primary: {}\n", name(primary_));
    fmt::print("Greatest RPO: {}\n", greatest ? HumanDuration(*greatest) : "- (the primary has no backup task)");
    fmt::print("Longest write pause: {}\n", pause_micros_ ? HumanDuration(*pause_micros_) : "- (no hand-over)");
  }

  // Where everything stands, for who has to go on by hand.
  void PrintStates() const {
    std::vector<std::vector<std::string>> rows = {{"NODE", "RESTARTED", "ROLE", "FOLLOWS", "LINK", "OFFSET"}};
    for (size_t i = 0; i < arguments_.nodes.size(); ++i) {
      const bool done = std::ranges::any_of(done_, [&](const Restarted& one) { return one.node.text() == name(i); });
      const absl::StatusOr<NodeView> view = LookAt(i);
      std::vector<std::string> row = {name(i), done ? "yes" : "no"};
      if (!view.ok()) {
        row.emplace_back(Message(view.status()));
      } else if (view->primary) {
        row.insert(row.end(),
                   {view->failing_over ? "primary, hands over" : "primary", "-", "-", std::to_string(view->end)});
      } else {
        row.insert(row.end(),
                   {"replica", view->follows.text(), view->link_up ? "up" : "down", std::to_string(view->end)});
      }
      rows.push_back(std::move(row));
    }
    fmt::print(stderr, "{}", Table(rows));
  }

 private:
  std::string name(size_t node) const { return arguments_.nodes[node].text(); }

  absl::StatusOr<Reply> Ask(size_t node, const Words& words, Millis timeout = kAnswerTimeout) const {
    TM_ASSIGN_OR_RETURN(RedisClient client,
                        RedisClient::Connect(arguments_.nodes[node], arguments_.credentials, kAnswerTimeout));
    return client.Call(words, timeout);
  }

  absl::StatusOr<NodeView> LookAt(size_t node) const {
    TM_ASSIGN_OR_RETURN(RedisClient client,
                        RedisClient::Connect(arguments_.nodes[node], arguments_.credentials, kAnswerTimeout));
    std::string info;
    for (const char* section : {"server", "replication"}) {
      TM_ASSIGN_OR_RETURN(const Reply reply, client.Call({"INFO", section}, kAnswerTimeout));
      info += reply.text + "\r\n";
    }
    return ParseView(arguments_.nodes[node], hosts_[node], info);
  }

  absl::StatusOr<std::vector<NodeView>> Look() const {
    std::vector<NodeView> views;
    for (size_t i = 0; i < arguments_.nodes.size(); ++i) {
      TM_ASSIGN_OR_RETURN(NodeView view, LookAt(i));
      views.push_back(std::move(view));
    }
    return views;
  }

  void PrintPlan(const std::vector<NodeView>& views, const RollingPlan& plan) const {
    std::string text;
    for (size_t i = 0; i < plan.order.size(); ++i) {
      const bool last = plan.order[i] == plan.primary;
      text += fmt::format("{}. {} ({})\n", i + 1, name(plan.order[i]),
                          last ? "primary, after it has handed over" : "replica");
    }
    for (const NodeAddress& node : plan.unnamed) {
      text +=
          fmt::format("not named, left alone: {}, a replica of {}\n", node.text(), views[plan.primary].address.text());
    }
    fmt::print(arguments_.dry_run ? stdout : stderr, "{}", text);
  }

  absl::Status RestartOne(size_t node) {
    const Clock::time_point begun = Clock::now();
    const bool is_primary = node == primary_;
    Say(fmt::format("{}: {}", name(node), is_primary ? "hands over and restarts" : "restarts"));
    TM_ASSIGN_OR_RETURN(const std::vector<NodeView> views, Look());
    TM_ASSIGN_OR_RETURN(const RollingPlan now, PlanRollingRestart(views));
    if (now.primary != primary_) {
      return Doubt(fmt::format("{} is the primary, and was not when {} was restarted", name(now.primary), name(node)));
    }
    TM_RETURN_IF_ERROR(AwaitCaughtUp());
    TM_ASSIGN_OR_RETURN(std::optional<uint64_t> rpo_micros, Flush());
    if (is_primary) {
      TM_RETURN_IF_ERROR(HandOver());
      // The tasks are the new primary's, and what the former one took since the first flush is in its log.
      TM_ASSIGN_OR_RETURN(rpo_micros, Flush());
    }
    TM_RETURN_IF_ERROR(RunCommand(arguments_.command, arguments_.nodes[node], arguments_.timeout));
    TM_RETURN_IF_ERROR(AwaitBack(node, views[node].run_id));
    TM_RETURN_IF_ERROR(AwaitCaughtUp());
    done_.push_back({arguments_.nodes[node], is_primary, MicrosSince(begun), rpo_micros});
    return absl::OkStatus();
  }

  // All replicas have what the primary had when this was called: under writers no two offsets are ever equal.
  absl::Status AwaitCaughtUp() const {
    std::optional<uint64_t> end;
    return Await(arguments_.timeout, [&]() -> absl::StatusOr<std::string> {
      TM_ASSIGN_OR_RETURN(const NodeView primary, LookAt(primary_));
      if (!primary.primary) return Doubt(fmt::format("{} is not the primary any more", name(primary_)));
      if (!end) end = primary.end;
      std::vector<NodeView> views;
      for (size_t i = 0; i < arguments_.nodes.size(); ++i) {
        views.push_back({.address = arguments_.nodes[i], .hosts = hosts_[i]});
      }
      return MissingBelow(*end, primary, views);
    });
  }

  // The greatest RPO that is left in the primary's archives; none without tasks.
  absl::StatusOr<std::optional<uint64_t>> Flush() const {
    std::optional<uint64_t> rpo_micros;
    TM_RETURN_IF_ERROR(Await(arguments_.flush_timeout, [&]() -> absl::StatusOr<std::string> {
      TM_ASSIGN_OR_RETURN(const Reply tasks, Ask(primary_, {"LOGBACKUP", "STATUS"}));
      if (tasks.elements.empty()) return std::string();
      return FlushTasks(&rpo_micros);
    }));
    return rpo_micros;
  }

  // Says which task waits for a base that is on its way.
  absl::StatusOr<std::string> FlushTasks(std::optional<uint64_t>* rpo_micros) const {
    constexpr Millis kGrace(2000);
    const Millis limit = arguments_.flush_timeout;
    TM_ASSIGN_OR_RETURN(
        const Reply outcomes,
        Ask(primary_, {"LOGBACKUP", "FLUSH", "TIMEOUT", std::to_string(limit.count())}, limit + kGrace));
    uint64_t greatest = 0;
    for (const Reply& task : outcomes.elements) {
      const auto left = static_cast<uint64_t>(task.Number("rpo_micros"));
      greatest = std::max(greatest, left);
      if (task.Number("success") != 0) continue;
      std::string problem = fmt::format("force flush of task {} on {}: {}; RPO {}", task.Text("task"), name(primary_),
                                        task.Text("error"), HumanDuration(left));
      if (task.Number("awaits_base") != 0) return problem;
      const bool late = task.Text("code") == "deadline_exceeded";
      return Errorf(late ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kFailedPrecondition, "{}", problem);
    }
    *rpo_micros = greatest;
    return std::string();
  }

  absl::Status HandOver() {
    TM_ASSIGN_OR_RETURN(const std::vector<NodeView> views, Look());
    const NodeView* heir = MostAdvanced(views[primary_], views);
    if (heir == nullptr) return Doubt(fmt::format("{} has no replica to hand over to", name(primary_)));
    const size_t former = primary_;
    const NodeAddress known = FindReplica(views[former], *heir)->address;
    const Millis limit = std::min(arguments_.timeout, kHandOverLimit);
    const auto heir_index = static_cast<size_t>(heir - views.data());
    const Clock::time_point begun = Clock::now();
    TM_RETURN_IF_ERROR(Ask(former, {"FAILOVER", "TO", known.host, std::to_string(known.port), "TIMEOUT",
                                    std::to_string(limit.count())})
                           .status());
    TM_RETURN_IF_ERROR(AwaitWrites(heir_index, limit + kAnswerTimeout));
    pause_micros_ = std::max(pause_micros_.value_or(0), MicrosSince(begun));
    primary_ = heir_index;
    Say(fmt::format("{} has handed over to {} in {}", name(former), name(primary_), HumanDuration(*pause_micros_)));
    return Gather(former, known);
  }

  // Asked each millisecond on one connection, since it is a pause that is measured.
  absl::Status AwaitWrites(size_t node, Millis limit) const {
    const Clock::time_point end = Clock::now() + limit;
    std::optional<RedisClient> client;
    const Words probe = WriteProbe();
    while (true) {
      absl::Status status;
      if (!client) {
        auto connected = RedisClient::Connect(arguments_.nodes[node], arguments_.credentials, kAnswerTimeout);
        status = connected.status();
        if (connected.ok()) client = *std::move(connected);
      }
      if (client) status = client->Call(probe, kAnswerTimeout).status();
      if (status.ok()) return status;
      if (!absl::IsInvalidArgument(status)) client.reset();
      if (Clock::now() >= end) {
        return Errorf(absl::StatusCode::kDeadlineExceeded, "the hand-over did not come about: {}", Message(status));
      }
      std::this_thread::sleep_for(Millis(1));
    }
  }

  // The other replicas still follow the former primary, which is about to stop.
  absl::Status Gather(size_t former, const NodeAddress& known) const {
    TM_RETURN_IF_ERROR(Await(arguments_.timeout, [&]() -> absl::StatusOr<std::string> {
      TM_ASSIGN_OR_RETURN(const NodeView view, LookAt(former));
      if (view.primary) return fmt::format("{} still says that it is the primary", name(former));
      return view.link_up ? std::string() : fmt::format("{} does not follow {} yet", name(former), name(primary_));
    }));
    for (size_t i = 0; i < arguments_.nodes.size(); ++i) {
      if (i == former || i == primary_) continue;
      TM_RETURN_IF_ERROR(Ask(i, {"REPLICAOF", known.host, std::to_string(known.port)}).status());
    }
    return AwaitCaughtUp();
  }

  absl::Status AwaitBack(size_t node, const std::string& former_run_id) const {
    return Await(arguments_.timeout, [&]() -> absl::StatusOr<std::string> {
      TM_RETURN_IF_ERROR(Ask(node, {"PING"}).status());
      TM_ASSIGN_OR_RETURN(const NodeView view, LookAt(node));
      if (view.run_id == former_run_id) {
        return fmt::format("{} was not restarted: its run_id is the one it had", name(node));
      }
      if (view.primary) return Doubt(fmt::format("{} came back as a primary", name(node)));
      return view.link_up ? std::string()
                          : fmt::format("the link of {} to {} is down", name(node), view.follows.text());
    });
  }

  const RollingRestartArguments& arguments_;
  std::vector<std::vector<std::string>> hosts_;
  size_t primary_ = 0;
  std::vector<Restarted> done_;
  std::optional<uint64_t> pause_micros_;
};

struct Texts {
  std::string nodes;
  std::string timeout = "60s";
  std::string flush_timeout = "60s";
  RollingRestartArguments arguments;
};

absl::Status Parse(Texts* texts) {
  TM_ASSIGN_OR_RETURN(texts->arguments.nodes, ParseNodes(texts->nodes));
  TM_ASSIGN_OR_RETURN(texts->arguments.timeout, ParseDuration(texts->timeout, Millis(1)));
  TM_ASSIGN_OR_RETURN(texts->arguments.flush_timeout, ParseDuration(texts->flush_timeout, Millis(1)));
  if (texts->arguments.timeout.count() <= 0 || texts->arguments.flush_timeout.count() <= 0) {
    return InvalidArgument("a time-out is greater than 0");
  }
  return absl::OkStatus();
}

}  // namespace

int RollingRestart(const RollingRestartArguments& arguments) {
  Runner runner(arguments);
  const absl::Status status = runner.Run();
  if (status.ok()) {
    if (!arguments.dry_run) runner.PrintReport();
    return 0;
  }
  PrintFailure(status);
  runner.PrintStates();
  return absl::IsDeadlineExceeded(status) ? kDeadline : kFailed;
}

void AddRollingRestartCommand(CLI::App& app, int* exit_code) {
  const auto texts = std::make_shared<Texts>();
  RollingRestartArguments& a = texts->arguments;
  CLI::App* sub = app.add_subcommand("rolling-restart", "Restart nodes one by one; the primary hands over first");
  sub->add_option("--nodes", texts->nodes, "All nodes, the primary too: host:port,host:port")->required();
  sub->add_option(
         "--restart-command", a.command,
         "Run by sh for each node, which is TIDEMARK_NODE, TIDEMARK_HOST and TIDEMARK_PORT in its environment; "
         "returns once the restart is on its way")
      ->required();
  sub->add_option("--user", a.credentials.user, "User name");
  sub->add_option("--password", a.credentials.password, "Password; better in the environment")
      ->envname("REDISCLI_AUTH");
  sub->add_option("--timeout", texts->timeout, "Of each wait: to catch up, for the command, to be back")
      ->capture_default_str();
  sub->add_option("--flush-timeout", texts->flush_timeout, "Of each force flush")->capture_default_str();
  sub->add_flag("--dry-run", a.dry_run, "Only look at the nodes and show the plan");
  sub->footer(
      "Exit codes: 0 done, 1 wrong use, 3 a wait was longer than its time, 4 a node or the command failed, or "
      "something "
      "is in doubt; the message says what, and where each node stands");
  sub->callback([texts, exit_code] {
    const absl::Status parsed = Parse(texts.get());
    if (!parsed.ok()) PrintFailure(parsed);
    *exit_code = parsed.ok() ? RollingRestart(texts->arguments) : kUsage;
  });
}

}  // namespace tidemark::bin
