#include "commands/backup_waits.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "backup/tasks.h"
#include "base/numbers.h"
#include "commands/backup_replies.h"
#include "commands/client.h"
#include "commands/command_stats.h"
#include "commands/deferred.h"
#include "commands/server.h"

namespace tidemark::commands {
namespace {

constexpr uint64_t kLongestWaitMs = std::numeric_limits<int32_t>::max();

absl::StatusOr<backup::FlushMode> ModeArg(std::string_view word) {
  if (EqualsIgnoreCase(word, "wait")) return backup::FlushMode::kWait;
  if (EqualsIgnoreCase(word, "join")) return backup::FlushMode::kJoin;
  if (EqualsIgnoreCase(word, "nowait")) return backup::FlushMode::kNowait;
  return InvalidArgument("ERR MODE is WAIT, JOIN or NOWAIT");
}

absl::StatusOr<backup::FlushRequest> ParseFlush(Args args, const config::Config& config) {
  backup::FlushRequest request = DefaultFlush(config);
  for (size_t i = 2; i < args.size(); ++i) {
    const bool has_value = i + 1 < args.size();
    if (EqualsIgnoreCase(args[i], "DURABLEONLY")) {
      request.durable_only = true;
    } else if (EqualsIgnoreCase(args[i], "TASK") && has_value) {
      request.tasks.emplace_back(args[++i]);
    } else if (EqualsIgnoreCase(args[i], "MODE") && has_value) {
      TM_ASSIGN_OR_RETURN(request.mode, ModeArg(args[++i]));
    } else if (EqualsIgnoreCase(args[i], "TIMEOUT") && has_value) {
      TM_ASSIGN_OR_RETURN(const uint64_t millis, CountArg("TIMEOUT", "milliseconds", args[++i], kLongestWaitMs));
      request.timeout = std::chrono::milliseconds(millis);
    } else {
      return SyntaxError();
    }
  }
  return request;
}

std::string Encode(const std::vector<backup::FlushOutcome>& outcomes, int protocol) {
  resp::Writer out;
  out.SetProtocol(protocol);
  WriteFlushOutcomes(outcomes, out);
  return std::move(out.buffer());
}

// What CLIENT UNBLOCK leaves of a force flush: how far each task has got by now.
std::vector<backup::FlushOutcome> Unblocked(const backup::Tasks& tasks, const std::vector<std::string>& names,
                                            Lsn target) {
  std::vector<backup::FlushOutcome> outcomes;
  for (const backup::TaskStatus& task : tasks.Status()) {
    const std::string& name = task.config.name;
    if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
    backup::FlushOutcome outcome;
    outcome.task = name;
    outcome.error = Errorf(absl::StatusCode::kDeadlineExceeded,
                           "CLIENT UNBLOCK ended the wait; the archive is complete up to LSN {} of {}, and the flush "
                           "goes on",
                           task.checkpoint.value, target.value);
    outcome.target = target;
    outcome.flushed = task.checkpoint;
    outcome.flushed_time = task.checkpoint_time;
    outcome.rpo_micros = task.rpo_micros;
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

// Whether all that lies before `target` could be restored from the task's archive. Of a fenced task's archive that is
// not known any more: who took it over goes on from where it was promoted.
bool Has(const backup::TaskStatus& task, Lsn target) {
  return task.state != backup::TaskState::kFenced && task.restorable && task.checkpoint >= target;
}

// One LOGBACKUP WAIT: a force flush of each task of its own, so that one slow archive does not hide the others.
class Fence {
 public:
  Fence(std::shared_ptr<Deferred> deferred, size_t wanted, size_t tasks)
      : deferred_(std::move(deferred)), wanted_(wanted), open_(tasks) {}

  void OnOutcome(bool success) {
    {
      const MutexLock lock(mutex_);
      --open_;
      if (success) ++have_;
    }
    AnswerIfOver();
  }
  // Every flush has been asked for: from now on the wanted number suffices.
  void AllStarted() {
    {
      const MutexLock lock(mutex_);
      started_ = true;
    }
    AnswerIfOver();
  }
  size_t have() const {
    const MutexLock lock(mutex_);
    return have_;
  }

 private:
  void AnswerIfOver() {
    size_t have = 0;
    {
      const MutexLock lock(mutex_);
      if (!started_ || (have_ < wanted_ && open_ > 0)) return;
      have = have_;
    }
    deferred_->Answer(fmt::format(":{}\r\n", have));
  }

  const std::shared_ptr<Deferred> deferred_;
  const size_t wanted_;
  mutable Mutex mutex_;
  size_t open_ ABSL_GUARDED_BY(mutex_);
  size_t have_ ABSL_GUARDED_BY(mutex_) = 0;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
};

void StartFence(backup::Tasks& tasks, const std::vector<backup::TaskStatus>& all, Lsn target,
                std::chrono::milliseconds timeout, size_t wanted, const std::shared_ptr<Deferred>& deferred) {
  const auto fence = std::make_shared<Fence>(deferred, wanted, all.size());
  std::vector<uint64_t> flushes;
  for (const backup::TaskStatus& task : all) {
    backup::FlushRequest request;
    request.tasks = {task.config.name};
    request.timeout = timeout;
    request.target = target;
    const auto flush = tasks.Flush(request, [fence](const std::vector<backup::FlushOutcome>& outcomes) {
      fence->OnOutcome(!outcomes.empty() && outcomes.front().success);
    });
    if (flush.ok()) {
      flushes.push_back(*flush);
    } else {
      fence->OnOutcome(false);  // stopped since we looked
    }
  }
  deferred->OnCancel([&tasks, flushes] {
    for (const uint64_t flush : flushes) tasks.CancelFlush(flush);
  });
  deferred->OnTimeout([fence] { return fmt::format(":{}\r\n", fence->have()); });
  fence->AllStarted();
}

}  // namespace

absl::StatusOr<uint64_t> CountArg(std::string_view option, std::string_view unit, std::string_view word, uint64_t max) {
  const std::optional<uint64_t> value = ParseUint64(word);
  if (!value || *value > max) return InvalidArgument("ERR {} is a number of {} from 0 to {}", option, unit, max);
  return *value;
}

absl::Status NoTask(std::string_view name) {
  if (name.empty()) return InvalidArgument("ERR there is no backup task; LOGBACKUP START makes one");
  return InvalidArgument("ERR there is no backup task '{}'", name.substr(0, 64));
}

absl::Status ForClient(const absl::Status& status) {
  return status.ok() ? status : InvalidArgument("ERR {}", Message(status));
}

backup::FlushRequest DefaultFlush(const config::Config& config) {
  backup::FlushRequest request;
  // The option takes no other words.
  request.mode = ModeArg(config.Text("backup-flush-mode")).value_or(backup::FlushMode::kWait);
  request.timeout = std::chrono::milliseconds(config.Integer("backup-flush-timeout"));
  return request;
}

absl::Status LogbackupFlush(Context& ctx) {
  TM_ASSIGN_OR_RETURN(backup::FlushRequest request, ParseFlush(ctx.args, ctx.server.config));
  backup::Tasks& tasks = ctx.server.tasks;
  const int protocol = ctx.client.protocol;
  const Lsn target = ctx.server.engine.last_end();
  const auto deferred = std::make_shared<Deferred>();
  const auto flush = tasks.Flush(request, [deferred, protocol](const std::vector<backup::FlushOutcome>& outcomes) {
    deferred->Answer(Encode(outcomes, protocol));
  });
  if (!flush.ok()) return ForClient(flush.status());
  deferred->OnCancel([&tasks, id = *flush] { tasks.CancelFlush(id); });
  deferred->OnTimeout([&tasks, names = std::move(request.tasks), target, protocol] {
    return Encode(Unblocked(tasks, names, target), protocol);
  });
  ctx.client.deferred = deferred;
  return absl::OkStatus();
}

absl::Status LogbackupWait(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const uint64_t wanted, CountArg("numtasks", "tasks", ctx.args[2], kLongestWaitMs));
  TM_ASSIGN_OR_RETURN(const uint64_t millis, CountArg("timeout", "milliseconds", ctx.args[3], kLongestWaitMs));
  const Lsn target = ctx.client.last_write_end;
  const std::vector<backup::TaskStatus> all = ctx.server.tasks.Status();
  const auto have = static_cast<uint64_t>(
      std::count_if(all.begin(), all.end(), [target](const backup::TaskStatus& task) { return Has(task, target); }));
  if (all.empty() && wanted > 0) return NoTask("");
  if (have >= wanted || !ctx.may_wait) {
    ctx.out.Integer(static_cast<int64_t>(have));
    return absl::OkStatus();
  }
  const auto deferred = std::make_shared<Deferred>();
  StartFence(ctx.server.tasks, all, target, std::chrono::milliseconds(millis), wanted, deferred);
  ctx.client.deferred = deferred;
  return absl::OkStatus();
}

}  // namespace tidemark::commands
