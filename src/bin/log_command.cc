#include "bin/log_command.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "bin/log_flush.h"
#include "bin/log_metadata.h"
#include "bin/log_status.h"
#include "bin/output.h"
#include "bin/redis_client.h"
#include "bin/reply_json.h"
#include "bin/wal_command.h"

namespace tidemark::bin {
namespace {

constexpr int kUsage = 1;
constexpr int kDeadline = 3;
constexpr int kFailed = 4;
constexpr std::chrono::milliseconds kConnectTimeout(5000);
// Starting a task and truncating an archive talk to the store for as long as that takes.
constexpr std::chrono::milliseconds kForever(0);

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 wrong use (or not confirmed), 3 the node did not answer in time, 4 it cannot be reached, or "
    "refused; the message says why";
constexpr const char* kFlushExitCodes =
    "Exit codes: 0 everything acknowledged before is durable in every archive asked for, and restorable; 1 wrong use; "
    "3 the time was over first (the flush goes on); 4 a node or a task said no, the message says why. A node that "
    "cannot be reached, and in the mode wait a task whose base is on its way, is asked again until the time is over; "
    "standard error says so";

using Words = std::vector<std::string>;

// What every subcommand that talks to a node has, and what the words of one say.
struct Arguments {
  std::string node = "127.0.0.1:6379";
  std::string nodes;
  Credentials credentials;
  std::string task;
  bool json = false;

  std::string storage;
  std::string compression;
  std::string key_file;
  std::string flush_interval;
  std::string base_interval;
  std::string keep;
  std::string hold_bytes;
  std::string hold_time;
  std::string rate_limit;
  std::string cluster_id;

  std::string message;
  std::string ttl;
  std::string until;
  bool dry_run = false;
  bool yes = false;

  std::vector<std::string> tasks;
  std::string mode;
  std::string timeout = "60s";
  bool durable_only = false;
};

int Fail(const absl::Status& status) {
  PrintFailure(status);
  return absl::IsDeadlineExceeded(status) ? kDeadline : kFailed;
}
int FailUsage(const absl::Status& status) {
  PrintFailure(status);
  return kUsage;
}

absl::StatusOr<RedisClient> Connect(const Arguments& arguments) {
  TM_ASSIGN_OR_RETURN(const NodeAddress node, ParseNode(arguments.node));
  return RedisClient::Connect(node, arguments.credentials, kConnectTimeout);
}

absl::StatusOr<Reply> Ask(const Arguments& arguments, const Words& words) {
  TM_ASSIGN_OR_RETURN(RedisClient client, Connect(arguments));
  return client.Call(words, kForever);
}

// Adds "OPTION number" where the flag was given; `unit` is what the server counts.
absl::Status AddDuration(std::string_view option, const std::string& text, std::chrono::milliseconds unit,
                         Words* words) {
  if (text.empty()) return absl::OkStatus();
  TM_ASSIGN_OR_RETURN(const std::chrono::milliseconds time, ParseDuration(text, unit));
  words->insert(words->end(), {std::string(option), std::to_string(time.count() / unit.count())});
  return absl::OkStatus();
}

absl::Status AddSize(std::string_view option, const std::string& text, Words* words) {
  if (text.empty()) return absl::OkStatus();
  TM_ASSIGN_OR_RETURN(const uint64_t bytes, ParseSize(text));
  words->insert(words->end(), {std::string(option), std::to_string(bytes)});
  return absl::OkStatus();
}

absl::StatusOr<Words> StartWords(const Arguments& arguments) {
  constexpr std::chrono::milliseconds kMillisecond(1);
  constexpr std::chrono::milliseconds kSecond(1000);
  Words words = {"LOGBACKUP", "START", "TASK", arguments.task, "STORAGE", arguments.storage};
  if (!arguments.compression.empty()) {
    const std::string& level = arguments.compression;
    words.insert(words.end(), {"COMPRESSION", level == "none" ? "0" : level == "zstd" ? "1" : level});
  }
  if (!arguments.key_file.empty()) {
    words.insert(words.end(), {"CRYPTERKEYFILE", std::filesystem::absolute(arguments.key_file).lexically_normal()});
  }
  TM_RETURN_IF_ERROR(AddDuration("FLUSHINTERVAL", arguments.flush_interval, kMillisecond, &words));
  TM_RETURN_IF_ERROR(AddDuration("BASEINTERVAL", arguments.base_interval, kSecond, &words));
  TM_RETURN_IF_ERROR(AddDuration("KEEP", arguments.keep, kSecond, &words));
  TM_RETURN_IF_ERROR(AddSize("HOLDBYTES", arguments.hold_bytes, &words));
  TM_RETURN_IF_ERROR(AddDuration("HOLDTIME", arguments.hold_time, kSecond, &words));
  TM_RETURN_IF_ERROR(AddSize("RATELIMIT", arguments.rate_limit, &words));
  return words;
}

// The node's own cluster id, from INFO.
absl::Status CheckCluster(RedisClient* client, const std::string& wanted) {
  TM_ASSIGN_OR_RETURN(const Reply info, client->Call({"INFO", "backup"}, kForever));
  constexpr std::string_view kField = "cluster_id:";
  const size_t at = info.text.find(kField);
  const size_t begin = at == std::string::npos ? info.text.size() : at + kField.size();
  const std::string id = info.text.substr(begin, info.text.find('\r', begin) - begin);
  if (id == wanted) return absl::OkStatus();
  return Errorf(absl::StatusCode::kFailedPrecondition, "the node is of cluster '{}', not '{}'", id, wanted);
}

int Start(const Arguments& arguments) {
  const absl::StatusOr<Words> words = StartWords(arguments);
  if (!words.ok()) return FailUsage(words.status());
  absl::StatusOr<RedisClient> client = Connect(arguments);
  if (!client.ok()) return Fail(client.status());
  if (!arguments.cluster_id.empty()) {
    if (const absl::Status same = CheckCluster(&*client, arguments.cluster_id); !same.ok()) return Fail(same);
  }
  if (const auto reply = client->Call(*words, kForever); !reply.ok()) return Fail(reply.status());
  fmt::print("Task {} has started. See it with: tidemark log status --task-name {}\n", arguments.task, arguments.task);
  return 0;
}

int Status(const Arguments& arguments) {
  Words words = {"LOGBACKUP", "STATUS"};
  if (!arguments.task.empty()) words.insert(words.end(), {"TASK", arguments.task});
  const absl::StatusOr<Reply> reply = Ask(arguments, words);
  if (!reply.ok()) return Fail(reply.status());
  PrintStatus(*reply, arguments.json);
  return 0;
}

// A command that answers OK, and what to say then.
int Control(const Arguments& arguments, const Words& words, std::string_view done) {
  const absl::StatusOr<Reply> reply = Ask(arguments, words);
  if (!reply.ok()) return Fail(reply.status());
  fmt::print("Task {} {}\n", arguments.task, done);
  return 0;
}

int Pause(const Arguments& arguments) {
  Words words = {"LOGBACKUP", "PAUSE", "TASK", arguments.task};
  if (!arguments.message.empty()) words.insert(words.end(), {"MESSAGE", arguments.message});
  const absl::Status ttl = AddDuration("TTL", arguments.ttl, std::chrono::milliseconds(1000), &words);
  if (!ttl.ok()) return FailUsage(ttl);
  return Control(arguments, words, "is paused; its log is kept");
}

void PrintPlan(const Reply& plan, std::string_view verb) {
  fmt::print("{} {} log objects, {} bases and {} files, {}; what can be restored then begins at {}\n", verb,
             plan.Number("log"), plan.Number("bases"), plan.Number("files"),
             HumanSize(static_cast<uint64_t>(plan.Number("bytes"))),
             HumanTime(static_cast<uint64_t>(plan.Number("oldest_restorable"))));
  if (const std::string held = plan.Text("held_by"); !held.empty()) fmt::print("More is kept for {}\n", held);
}

bool Confirmed() {
  fmt::print("Delete them? [y/N] ");
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y";
}

int Truncate(const Arguments& arguments) {
  const Words words = {"LOGBACKUP", "TRUNCATE", "TASK", arguments.task, "UNTIL", arguments.until};
  Words dry = words;
  dry.emplace_back("DRYRUN");
  if (arguments.dry_run || !arguments.yes) {
    if (!arguments.dry_run && ::isatty(STDIN_FILENO) == 0) {
      return FailUsage(InvalidArgument("truncating needs -y when nobody can be asked; --dry-run shows what would go"));
    }
    const absl::StatusOr<Reply> plan = Ask(arguments, dry);
    if (!plan.ok()) return Fail(plan.status());
    if (arguments.json) {
      PrintJson(ToJson(*plan));
    } else {
      PrintPlan(*plan, "Would delete");
    }
    if (arguments.dry_run) return 0;
    if (!Confirmed()) return kUsage;
  }
  const absl::StatusOr<Reply> done = Ask(arguments, words);
  if (!done.ok()) return Fail(done.status());
  if (arguments.json) {
    PrintJson(ToJson(*done));
  } else {
    PrintPlan(*done, "Deleted");
  }
  return 0;
}

int Flush(const Arguments& arguments) {
  LogFlushArguments flush;
  const auto nodes = ParseNodes(arguments.nodes.empty() ? arguments.node : arguments.nodes);
  if (!nodes.ok()) return FailUsage(nodes.status());
  const auto timeout = ParseDuration(arguments.timeout, std::chrono::milliseconds(1));
  if (!timeout.ok()) return FailUsage(timeout.status());
  flush.nodes = *nodes;
  flush.credentials = arguments.credentials;
  flush.tasks = arguments.tasks;
  flush.mode = arguments.mode;
  flush.timeout = *timeout;
  flush.durable_only = arguments.durable_only;
  flush.json = arguments.json;
  return LogFlush(flush);
}

int Metadata(const Arguments& arguments) {
  const absl::Status shown = PrintMetadata(arguments.storage, arguments.json);
  return shown.ok() ? 0 : Fail(shown);
}

// The parts from which the subcommands are put together.
class LogCommand {
 public:
  LogCommand(CLI::App& app, int* exit_code)
      : exit_code_(exit_code), log_(app.add_subcommand("log", "Backup tasks of running nodes")) {
    log_->require_subcommand(1);
    log_->fallthrough();
    Arguments& a = *arguments_;
    log_->add_option("--node", a.node, "Node to talk to, host:port")->capture_default_str();
    log_->add_option("--user", a.credentials.user, "User name");
    log_->add_option("--password", a.credentials.password, "Password; better in the environment")
        ->envname("REDISCLI_AUTH");
  }

  void AddAll() {
    AddStart();
    AddJson(Sub("status", "Show the tasks: state, what can be restored, RPO, last error", Status))
        ->add_option("--task-name", arguments_->task, "Only this task");
    AddPause();
    Named(Sub("resume", "Let a paused task go on", [](const Arguments& a) {
      return Control(a, {"LOGBACKUP", "RESUME", "TASK", a.task}, "goes on");
    }));
    Named(Sub("stop", "End a task; its archive stays", [](const Arguments& a) {
      return Control(a, {"LOGBACKUP", "STOP", "TASK", a.task}, "has ended; its archive stays");
    }));
    Named(Sub("base", "Take a base snapshot now", [](const Arguments& a) {
      return Control(a, {"LOGBACKUP", "BASE", "TASK", a.task}, "takes a base");
    }));
    AddTruncate();
    AddJson(Sub("metadata", "Show what an archive holds, without a node", Metadata))
        ->add_option("-s,--storage", arguments_->storage, "Archive's URI")
        ->required();
    AddFlush();
  }

 private:
  CLI::App* Sub(const std::string& name, const std::string& text, std::function<int(const Arguments&)> run) {
    CLI::App* sub = log_->add_subcommand(name, text);
    sub->fallthrough();
    sub->footer(kExitCodes);
    sub->callback(
        [arguments = arguments_, exit_code = exit_code_, run = std::move(run)] { *exit_code = run(*arguments); });
    return sub;
  }
  CLI::App* Named(CLI::App* sub) {
    sub->add_option("--task-name", arguments_->task, "Name of the task")->required();
    return sub;
  }
  CLI::App* AddJson(CLI::App* sub) {
    sub->add_flag("--json", arguments_->json, "JSON on standard output, and nothing else there");
    return sub;
  }

  void AddStart() {
    Arguments& a = *arguments_;
    CLI::App* sub = Named(Sub("start", "Start a task: the archive follows the log from now on", Start));
    sub->add_option("-s,--storage", a.storage, "Archive: local:///folder or s3://bucket/prefix?endpoint=…")->required();
    sub->add_option("--compression", a.compression, "none, zstd, or zstd's level");
    sub->add_option("--crypter-key-file", a.key_file,
                    "Key file on the node's machine; objects are encrypted. A relative path "
                    "is taken from this command's working directory");
    sub->add_option("--flush-interval", a.flush_interval, "How often the log is uploaded (1s)");
    sub->add_option("--base-interval", a.base_interval, "How often a base is taken (1d); 0 only when needed");
    sub->add_option("--keep", a.keep, "How long back a restore must be able to go (7d); everything when not given");
    sub->add_option("--hold-bytes", a.hold_bytes, "Log to hold for an unreachable store, at most (10GiB)");
    sub->add_option("--hold-time", a.hold_time, "The same as a time (6h)");
    sub->add_option("--ratelimit", a.rate_limit, "Bytes a second of base uploads, at most (50MiB)");
    sub->add_option("--cluster-id", a.cluster_id, "Only if the node is of this cluster");
  }
  void AddPause() {
    CLI::App* sub = Named(Sub("pause", "Stop uploading; the log is kept", Pause));
    sub->add_option("--message", arguments_->message, "Why, for those who look at the status");
    sub->add_option("--ttl,--gc-ttl", arguments_->ttl, "How long the log is kept for the task (24h)");
  }
  void AddTruncate() {
    CLI::App* sub = AddJson(Named(Sub("truncate", "Delete what only moments before a time need", Truncate)));
    sub->add_option("--until", arguments_->until, "RFC 3339 time with zone, or '2018-05-11 01:42:23+0800'")->required();
    sub->add_flag("--dry-run", arguments_->dry_run, "Only show what would go");
    sub->add_flag("-y,--yes", arguments_->yes, "Do not ask");
  }
  void AddFlush() {
    Arguments& a = *arguments_;
    CLI::App* sub = AddJson(Sub("flush", "Make everything acknowledged so far durable in the archives", Flush));
    sub->add_option("--nodes", a.nodes, "Nodes, all at once: host:port,host:port");
    sub->add_option("--task-name", a.tasks, "Only these tasks");
    sub->add_option("--mode", a.mode, "wait, join or nowait; as the node is configured when not given")
        ->check(CLI::IsMember({"wait", "join", "nowait"}));
    sub->add_option("--timeout", a.timeout, "When to stop waiting (500ms, 30s); the flush goes on; 0 never")
        ->capture_default_str();
    sub->footer(kFlushExitCodes);
    sub->add_flag("--durable-only", a.durable_only, "Content with durable, though no base makes it restorable yet");
  }

  int* exit_code_;
  CLI::App* log_;
  std::shared_ptr<Arguments> arguments_ = std::make_shared<Arguments>();
};

}  // namespace

void AddLogCommand(CLI::App& app, int* exit_code) {
  LogCommand(app, exit_code).AddAll();
  AddInspect(*app.get_subcommand("log"), exit_code);
}

}  // namespace tidemark::bin
