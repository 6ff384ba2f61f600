// LOGBACKUP: backup tasks over the Redis protocol. Everything it does is backup/tasks.h; here are words, numbers and
// replies. What touches an archive blocks, so it runs on a worker thread and answers later.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "backup/tasks.h"
#include "commands/backup_replies.h"
#include "commands/backup_waits.h"
#include "commands/client.h"
#include "commands/command_stats.h"
#include "commands/deferred.h"
#include "commands/replication_state.h"
#include "commands/server.h"
#include "restore/target.h"

namespace tidemark::commands {
namespace {

// Of the worker threads, which cold rows need too, at most so many wait for archives.
constexpr int kJobsAtOnce = 4;
constexpr uint64_t kLongestSeconds = 100ull * 366 * 86400;

// Writes the reply, or returns the error.
using Job = std::function<absl::Status(backup::Tasks& tasks, resp::Writer& out)>;

// Runs `job` on a worker thread; the client waits for it. When the client goes, the job is done all the same.
absl::Status Later(Context& ctx, Job job) {
  Server& server = ctx.server;
  if (server.backup_jobs.fetch_add(1) >= kJobsAtOnce) {
    server.backup_jobs.fetch_sub(1);
    return InvalidArgument("ERR {} commands about backup tasks are under way; try again later", kJobsAtOnce);
  }
  const auto deferred = std::make_shared<Deferred>();
  server.host.RunInBackground([&server, deferred, job = std::move(job), protocol = ctx.client.protocol.load()] {
    resp::Writer out;
    out.SetProtocol(protocol);
    if (const absl::Status status = ForClient(job(server.tasks, out)); !status.ok()) {
      server.stats.CountError(Message(status));
      out.Truncate(0);
      out.Error(Message(status));
    }
    server.backup_jobs.fetch_sub(1);
    deferred->Answer(std::move(out.buffer()));
  });
  ctx.client.deferred = deferred;
  return absl::OkStatus();
}

// The same for what has no reply but OK.
absl::Status LaterOk(Context& ctx, std::function<absl::Status(backup::Tasks& tasks)> job) {
  return Later(ctx, [job = std::move(job)](backup::Tasks& tasks, resp::Writer& out) -> absl::Status {
    TM_RETURN_IF_ERROR(job(tasks));
    out.Ok();
    return absl::OkStatus();
  });
}

// Options as "NAME value" behind the subcommand. False: no such option. What a client wrote is never part of an error
// here: it may be a URI with credentials.
using Options = std::function<absl::StatusOr<bool>(std::string_view name, std::string_view value)>;
absl::Status ReadOptions(Args words, const Options& take) {
  for (size_t i = 0; i < words.size(); i += 2) {
    if (i + 1 == words.size()) return SyntaxError();
    TM_ASSIGN_OR_RETURN(const bool known, take(words[i], words[i + 1]));
    if (!known) return SyntaxError();
  }
  return absl::OkStatus();
}

absl::Status Store(absl::StatusOr<uint64_t> number, uint64_t* out) {
  if (!number.ok()) return std::move(number).status();
  *out = *number;
  return absl::OkStatus();
}

absl::StatusOr<bool> StartNumber(std::string_view name, std::string_view value, backup::TaskConfig* config) {
  uint64_t number = 0;
  if (EqualsIgnoreCase(name, "COMPRESSION")) {
    TM_RETURN_IF_ERROR(Store(CountArg("COMPRESSION", "zstd's level", value, 22), &number));
    config->compression_level = static_cast<int>(number);
  } else if (EqualsIgnoreCase(name, "FLUSHINTERVAL")) {
    TM_RETURN_IF_ERROR(Store(CountArg("FLUSHINTERVAL", "milliseconds", value, 3'600'000), &number));
    if (number < 10) return InvalidArgument("ERR FLUSHINTERVAL is at least 10 milliseconds");
    config->flush_interval = std::chrono::milliseconds(number);
  } else if (EqualsIgnoreCase(name, "BASEINTERVAL")) {
    TM_RETURN_IF_ERROR(Store(CountArg("BASEINTERVAL", "seconds", value, kLongestSeconds), &number));
    config->base_interval = std::chrono::seconds(number);
  } else if (EqualsIgnoreCase(name, "KEEP")) {
    TM_RETURN_IF_ERROR(Store(CountArg("KEEP", "seconds", value, kLongestSeconds), &number));
    config->keep = std::chrono::seconds(number);
  } else if (EqualsIgnoreCase(name, "HOLDBYTES")) {
    TM_RETURN_IF_ERROR(Store(CountArg("HOLDBYTES", "bytes", value, INT64_MAX), &config->hold_bytes));
  } else if (EqualsIgnoreCase(name, "HOLDTIME")) {
    TM_RETURN_IF_ERROR(Store(CountArg("HOLDTIME", "seconds", value, kLongestSeconds), &number));
    config->hold_time = std::chrono::seconds(number);
  } else if (EqualsIgnoreCase(name, "RATELIMIT")) {
    TM_RETURN_IF_ERROR(Store(CountArg("RATELIMIT", "bytes a second", value, INT64_MAX), &config->rate_limit));
  } else {
    return false;
  }
  return true;
}

absl::StatusOr<backup::TaskConfig> ParseStart(Args args) {
  backup::TaskConfig config;
  TM_RETURN_IF_ERROR(
      ReadOptions(args.subspan(2), [&config](std::string_view name, std::string_view value) -> absl::StatusOr<bool> {
        if (EqualsIgnoreCase(name, "TASK")) {
          config.name = value;
        } else if (EqualsIgnoreCase(name, "STORAGE")) {
          config.storage = value;
        } else if (EqualsIgnoreCase(name, "CRYPTERKEYFILE")) {
          config.key_file = value;
        } else {
          return StartNumber(name, value, &config);
        }
        return true;
      }));
  if (config.name.empty() || config.storage.empty()) return InvalidArgument("ERR START needs TASK and STORAGE");
  return config;
}

// `text` without what stands behind the '?' of `uri`, where credentials are.
std::string WithoutSecrets(std::string_view text, const std::string& uri) {
  std::string clean(text);
  const size_t query = uri.find('?');
  if (query == std::string::npos) return clean;
  const std::string_view secret = std::string_view(uri).substr(query);
  for (size_t at = clean.find(secret); at != std::string::npos; at = clean.find(secret)) clean.erase(at, secret.size());
  return clean;
}

absl::Status Start(Context& ctx) {
  TM_ASSIGN_OR_RETURN(backup::TaskConfig config, ParseStart(ctx.args));
  return LaterOk(ctx, [config = std::move(config)](backup::Tasks& tasks) -> absl::Status {
    const absl::Status started = tasks.Start(config);
    const std::string text = WithoutSecrets(Message(started), config.storage);
    return absl::Status(started.code(), text);
  });
}

// The task's name out of "TASK name" with `more` beside it.
absl::StatusOr<std::string> TaskArg(Context& ctx, const Options& more) {
  std::string task;
  TM_RETURN_IF_ERROR(
      ReadOptions(ctx.args.subspan(2), [&](std::string_view name, std::string_view value) -> absl::StatusOr<bool> {
        if (!EqualsIgnoreCase(name, "TASK")) return more(name, value);
        task = value;
        return true;
      }));
  if (task.empty()) return InvalidArgument("ERR TASK is missing");
  return task;
}
absl::StatusOr<std::string> TaskArg(Context& ctx) {
  return TaskArg(ctx, [](std::string_view, std::string_view) -> absl::StatusOr<bool> { return false; });
}

absl::Status Stop(Context& ctx) {
  TM_ASSIGN_OR_RETURN(std::string task, TaskArg(ctx));
  return LaterOk(ctx, [task = std::move(task)](backup::Tasks& tasks) { return tasks.Stop(task); });
}

absl::Status Resume(Context& ctx) {
  TM_ASSIGN_OR_RETURN(std::string task, TaskArg(ctx));
  return LaterOk(ctx, [task = std::move(task)](backup::Tasks& tasks) { return tasks.Resume(task); });
}

absl::Status Base(Context& ctx) {
  TM_ASSIGN_OR_RETURN(std::string task, TaskArg(ctx));
  return LaterOk(ctx, [task = std::move(task)](backup::Tasks& tasks) { return tasks.TakeBase(task); });
}

absl::Status Pause(Context& ctx) {
  std::string message;
  uint64_t seconds = 0;
  TM_ASSIGN_OR_RETURN(std::string task,
                      TaskArg(ctx, [&](std::string_view name, std::string_view value) -> absl::StatusOr<bool> {
                        if (EqualsIgnoreCase(name, "MESSAGE")) {
                          message = value;
                          return true;
                        }
                        if (!EqualsIgnoreCase(name, "TTL")) return false;
                        TM_RETURN_IF_ERROR(Store(CountArg("TTL", "seconds", value, kLongestSeconds), &seconds));
                        return true;
                      }));
  return LaterOk(ctx, [task = std::move(task), message = std::move(message), seconds](backup::Tasks& tasks) {
    return tasks.Pause(task, message, std::chrono::seconds(seconds));
  });
}

absl::StatusOr<Timestamp> MomentArg(std::string_view word) {
  const absl::StatusOr<restore::Target> target = restore::ParseTarget(word);
  if (!target.ok()) return ForClient(target.status());
  if (target->kind != restore::Target::Kind::kTime) return InvalidArgument("ERR UNTIL is a moment");
  return target->time;
}

absl::Status Truncate(Context& ctx) {
  bool dry_run = false;
  std::string task;
  std::string_view until;
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    const bool has_value = i + 1 < ctx.args.size();
    if (EqualsIgnoreCase(ctx.args[i], "DRYRUN")) {
      dry_run = true;
    } else if (EqualsIgnoreCase(ctx.args[i], "TASK") && has_value) {
      task = ctx.args[++i];
    } else if (EqualsIgnoreCase(ctx.args[i], "UNTIL") && has_value) {
      until = ctx.args[++i];
    } else {
      return SyntaxError();
    }
  }
  if (task.empty() || until.empty()) return InvalidArgument("ERR TRUNCATE needs TASK and UNTIL");
  TM_ASSIGN_OR_RETURN(const Timestamp moment, MomentArg(until));
  return Later(ctx, [task = std::move(task), moment, dry_run](backup::Tasks& tasks, resp::Writer& out) -> absl::Status {
    TM_ASSIGN_OR_RETURN(const archive::RetentionPlan plan, tasks.Truncate(task, moment, dry_run));
    WriteRetentionPlan(plan, dry_run, out);
    return absl::OkStatus();
  });
}

absl::Status Status(Context& ctx) {
  std::string name;
  TM_RETURN_IF_ERROR(ReadOptions(ctx.args.subspan(2),
                                 [&name](std::string_view option, std::string_view value) -> absl::StatusOr<bool> {
                                   name = value;
                                   return EqualsIgnoreCase(option, "TASK");
                                 }));
  std::vector<backup::TaskStatus> tasks = ctx.server.tasks.Status();
  if (!name.empty()) {
    std::erase_if(tasks, [&name](const backup::TaskStatus& task) { return task.config.name != name; });
    if (tasks.empty()) return NoTask(name);
  }
  WriteTaskStatuses(tasks, ctx.out);
  return absl::OkStatus();
}

absl::Status Help(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "BASE TASK <name>",
      "    Take a base snapshot into the task's archive now.",
      "FLUSH [TASK <name>] [MODE WAIT|JOIN|NOWAIT] [TIMEOUT <ms>] [DURABLEONLY]",
      "    Make everything acknowledged so far durable in the archives, and tell how far each one got.",
      "PAUSE TASK <name> [MESSAGE <text>] [TTL <seconds>]",
      "    Stop uploading; the log is kept.",
      "RESUME TASK <name>",
      "    Go on after PAUSE.",
      "START TASK <name> STORAGE <uri> [COMPRESSION <level>] [CRYPTERKEYFILE <path>] [FLUSHINTERVAL <ms>]",
      "    [BASEINTERVAL <s>] [KEEP <s>] [HOLDBYTES <n>] [HOLDTIME <s>] [RATELIMIT <n>]",
      "    Start a task: the archive follows the log from now on.",
      "STATUS [TASK <name>]",
      "    Describe the tasks.",
      "STOP TASK <name>",
      "    End the task; its archive stays.",
      "TRUNCATE TASK <name> UNTIL <time> [DRYRUN]",
      "    Delete from the archive what only moments before that time need.",
      "WAIT <numtasks> <timeout ms>",
      "    Wait until so many tasks have this connection's writes; tell how many do.",
  };
  HelpReply(ctx, "LOGBACKUP", kLines);
  return absl::OkStatus();
}

// Tasks belong to the primary; its replicas know them, and where to send who asks.
template <Handler handler>
absl::Status OnPrimary(Context& ctx) {
  TM_RETURN_IF_ERROR(OnlyOnPrimary(ctx.server));
  return handler(ctx);
}

constexpr uint32_t kControl = kAdmin | kNoScript | kNoMulti | kStale;

constexpr CommandSpec MakeRow(std::string_view name, int arity, uint32_t flags, std::string_view summary,
                              std::string_view complexity, std::string_view syntax, Handler handler) {
  return {.name = name,
          .arity = arity,
          .flags = flags,
          .group = "backup",
          .since = "0.1.0",
          .summary = summary,
          .complexity = complexity,
          .syntax = syntax,
          .handler = handler};
}

constexpr CommandSpec kSubcommands[] = {
    MakeRow("base", 4, kControl, "Takes a base snapshot into a task's archive now.", "O(1)", "TASK name",
            OnPrimary<Base>),
    MakeRow("flush", -2, kControl | kBlocking,
            "Makes everything acknowledged so far durable in the archives and waits for it.",
            "O(N) with N the bytes not yet archived",
            "[TASK name [TASK name ...]] [MODE <WAIT | JOIN | NOWAIT>] [TIMEOUT milliseconds] [DURABLEONLY]",
            OnPrimary<LogbackupFlush>),
    MakeRow("help", 2, kLoading | kStale, "Lists the subcommands.", "O(1)", "", Help),
    MakeRow("pause", -4, kControl, "Pauses a task; the log is kept.", "O(1)", "TASK name [MESSAGE text] [TTL seconds]",
            OnPrimary<Pause>),
    MakeRow("resume", 4, kControl, "Lets a paused task go on.", "O(1)", "TASK name", OnPrimary<Resume>),
    MakeRow("start", -6, kControl | kSkipSlowlog | kSkipMonitor, "Starts a backup task.",
            "O(1); the first base is taken in the background",
            "TASK name STORAGE uri [COMPRESSION level] [CRYPTERKEYFILE path] [FLUSHINTERVAL milliseconds] "
            "[BASEINTERVAL seconds] [KEEP seconds] [HOLDBYTES bytes] [HOLDTIME seconds] [RATELIMIT bytes]",
            OnPrimary<Start>),
    MakeRow("status", -2, kAdmin | kNoScript | kStale, "Describes the backup tasks.", "O(N) with N the number of tasks",
            "[TASK name]", Status),
    MakeRow("stop", 4, kControl, "Ends a task; its archive stays.", "O(1)", "TASK name", OnPrimary<Stop>),
    MakeRow("truncate", -6, kControl, "Deletes from an archive what only moments before a time need.",
            "O(N) with N the objects of the archive", "TASK name UNTIL time [DRYRUN]", OnPrimary<Truncate>),
    MakeRow("wait", 4, kNoScript | kBlocking, "Waits until the archives have what this connection wrote.", "O(N)",
            "numtasks timeout", OnPrimary<LogbackupWait>),
};

constexpr CommandSpec kCommands[] = {
    {.name = "logbackup",
     .arity = -2,
     .flags = 0,
     .group = "backup",
     .since = "0.1.0",
     .summary = "About backup tasks: their start and end, their state, and force flush.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kSubcommands},
};

}  // namespace

std::span<const CommandSpec> BackupCommands() { return kCommands; }

}  // namespace tidemark::commands
