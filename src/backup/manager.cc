#include "backup/manager.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

namespace tidemark::backup {
namespace {

using std::chrono::steady_clock;

constexpr std::string_view kSnapshotPrefix = "backup-";

// Snapshots of bases that were on their way when the server ended.
void RemoveLeftSnapshots(engine::Engine& engine) {
  const std::filesystem::path folder = std::filesystem::path(engine.SnapshotFolder(kSnapshotPrefix)).parent_path();
  std::error_code ignored;
  std::vector<std::filesystem::path> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().filename().string().starts_with(kSnapshotPrefix)) left.push_back(entry.path());
  }
  for (const std::filesystem::path& path : left) std::filesystem::remove_all(path, ignored);
}

std::string OneLine(const FlushOutcome& outcome) {
  if (outcome.success) {
    return fmt::format("backup {}: everything up to lsn:{:x} is in the archive, nothing would be lost", outcome.task,
                       outcome.flushed.value);
  }
  // The error names the task.
  return fmt::format("backup: RPO {:.3f} s is left: {}", static_cast<double>(outcome.rpo_micros) / 1e6,
                     Message(outcome.error));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Manager>> Manager::Open(engine::Engine& engine, FileSystem& fs, Clock& clock,
                                                       ManagerOptions options) {
  TM_ASSIGN_OR_RETURN(const engine::Identity identity, engine::EnsureIdentity(engine, clock));
  RemoveLeftSnapshots(engine);
  std::unique_ptr<Manager> manager(new Manager(engine, fs, clock, std::move(options), identity));
  TM_RETURN_IF_ERROR(manager->TakeUpTasks());
  return manager;
}

Manager::Manager(engine::Engine& engine, FileSystem& fs, Clock& clock, ManagerOptions options,
                 engine::Identity identity)
    : engine_(engine),
      fs_(fs),
      clock_(clock),
      options_(std::move(options)),
      identity_(std::move(identity)),
      watchdog_([this] { WatchLoop(); }) {}

Manager::~Manager() { HaltAll(); }

void Manager::Halt() {
  HaltAll();
  const MutexLock operate(operate_mutex_);
  HaltAll();  // what that operation may have started
}

absl::Status Manager::MayOperate() const {
  const MutexLock lock(mutex_);
  if (!stopping_) return absl::OkStatus();
  return Errorf(absl::StatusCode::kFailedPrecondition, "the backup tasks of this node have been halted");
}

void Manager::HaltAll() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  if (watchdog_.joinable()) watchdog_.join();
  for (const std::shared_ptr<Task>& task : All()) task->Halt(/*release=*/false);
}

TaskParts Manager::Parts() {
  return {.engine = engine_,
          .fs = fs_,
          .clock = clock_,
          .identity = identity_,
          .open_store = options_.open_store,
          .timings = options_.timings,
          .on_flushed = [this](const FlushEvent& event) { Tell(event); },
          .report = options_.report};
}

absl::Status Manager::TakeUpTasks() {
  std::vector<std::string> damaged;
  TM_ASSIGN_OR_RETURN(const std::vector<TaskRow> rows, ReadTaskRows(engine_, &damaged));
  for (const std::string& what : damaged) options_.report("backup: a task is left off: " + what);
  ReleaseOrphanLeases(rows, damaged.empty());
  for (const TaskRow& row : rows) {
    if (row.cluster_id != identity_.cluster_id) {
      options_.report(fmt::format("backup {}: left off: it is a task of cluster {}, from which this one was restored",
                                  row.config.name, IdToHex(row.cluster_id)));
      continue;
    }
    auto task = std::make_shared<Task>(Parts(), row);
    {
      const MutexLock lock(mutex_);
      tasks_[row.config.name] = task;
    }
    task->Begin();
  }
  return absl::OkStatus();
}

// A task whose row went and whose lease stayed, because the server died between the two, would hold the log for ever.
void Manager::ReleaseOrphanLeases(const std::vector<TaskRow>& rows, bool all_known) {
  for (const log::Lease& lease : engine_.log().Leases()) {
    if (!lease.name.starts_with(kLeasePrefix) || !all_known) continue;
    const bool known = std::any_of(rows.begin(), rows.end(), [&](const TaskRow& row) {
      return row.cluster_id == identity_.cluster_id && lease.name == LeaseName(row.config.name);
    });
    if (known) continue;
    const absl::Status released = engine_.log().ReleaseLease(lease.name);
    options_.report(fmt::format("backup: lease {} of a task that is not there any more is {}", lease.name,
                                released.ok() ? "released" : Message(released)));
  }
}

std::vector<std::string> Manager::Shutdown(std::chrono::milliseconds deadline) {
  std::vector<std::string> lines;
  FlushRequest request;
  request.timeout = std::max(deadline, std::chrono::milliseconds(1));
  const absl::StatusOr<std::vector<FlushOutcome>> outcomes = FlushAndWait(request);
  if (outcomes.ok()) {
    for (const FlushOutcome& outcome : *outcomes) lines.push_back(OneLine(outcome));
  }
  HaltAll();
  return lines;
}

absl::StatusOr<std::shared_ptr<Task>> Manager::Find(const std::string& name) const {
  const MutexLock lock(mutex_);
  const auto found = tasks_.find(name);
  if (found != tasks_.end()) return found->second;
  return Errorf(absl::StatusCode::kNotFound, "there is no backup task {}", name);
}

std::vector<std::shared_ptr<Task>> Manager::All() const {
  const MutexLock lock(mutex_);
  std::vector<std::shared_ptr<Task>> all;
  all.reserve(tasks_.size());
  for (const auto& [name, task] : tasks_) all.push_back(task);
  return all;
}

void Manager::CancelAll() {
  std::vector<std::shared_ptr<Task>> tasks = All();
  {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    if (starting_ != nullptr) tasks.push_back(starting_);
  }
  for (const std::shared_ptr<Task>& task : tasks) task->Cancel("the server is stopping");
}

// Within reach of CancelAll.
absl::Status Manager::Claim(const std::shared_ptr<Task>& task) {
  {
    const MutexLock lock(mutex_);
    if (cancelled_) return absl::CancelledError("the server is stopping");
    starting_ = task;
  }
  const absl::Status claimed = task->Claim();
  const MutexLock lock(mutex_);
  starting_.reset();
  return cancelled_ ? absl::CancelledError("the server is stopping") : claimed;
}

absl::Status Manager::Start(const TaskConfig& config) {
  TM_RETURN_IF_ERROR(CheckConfig(config));
  const MutexLock operate(operate_mutex_);
  TM_RETURN_IF_ERROR(MayOperate());
  if (Find(config.name).ok()) {
    return Errorf(absl::StatusCode::kAlreadyExists, "there is a backup task {} already", config.name);
  }
  const TaskRow row{.config = config, .cluster_id = identity_.cluster_id, .created_micros = clock_.WallMicros()};
  auto task = std::make_shared<Task>(Parts(), row);
  // What fails here leaves no trace but, perhaps, our name on the archive.
  TM_RETURN_IF_ERROR(Claim(task));
  for (const std::shared_ptr<Task>& other : All()) {
    if (other->display_uri() == task->display_uri()) {
      return Errorf(absl::StatusCode::kFailedPrecondition, "task {} writes to {} already: two tasks need two places",
                    other->name(), other->display_uri());
    }
  }
  TM_RETURN_IF_ERROR(WriteTaskRow(engine_, row));
  {
    const MutexLock lock(mutex_);
    tasks_[config.name] = task;
  }
  task->Begin();
  return absl::OkStatus();
}

absl::Status Manager::Stop(const std::string& name) {
  const MutexLock operate(operate_mutex_);
  TM_RETURN_IF_ERROR(MayOperate());
  TM_ASSIGN_OR_RETURN(const std::shared_ptr<Task> task, Find(name));
  TM_RETURN_IF_ERROR(DeleteTaskRow(engine_, name));
  {
    const MutexLock lock(mutex_);
    tasks_.erase(name);
  }
  task->Halt(/*release=*/true);
  return absl::OkStatus();
}

absl::Status Manager::Pause(const std::string& name, const std::string& message, std::chrono::seconds ttl) {
  const MutexLock operate(operate_mutex_);
  TM_RETURN_IF_ERROR(MayOperate());
  TM_ASSIGN_OR_RETURN(const std::shared_ptr<Task> task, Find(name));
  TaskRow row = task->row();
  row.paused = true;
  row.pause_message = message;
  row.paused_until_micros =
      ttl.count() <= 0 ? 0 : clock_.WallMicros() + static_cast<uint64_t>(std::chrono::microseconds(ttl).count());
  TM_RETURN_IF_ERROR(WriteTaskRow(engine_, row));
  task->Pause(row);
  return absl::OkStatus();
}

absl::Status Manager::Resume(const std::string& name) {
  const MutexLock operate(operate_mutex_);
  TM_RETURN_IF_ERROR(MayOperate());
  TM_ASSIGN_OR_RETURN(const std::shared_ptr<Task> task, Find(name));
  TaskRow row = task->row();
  row.paused = false;
  row.pause_message.clear();
  row.paused_until_micros = 0;
  TM_RETURN_IF_ERROR(WriteTaskRow(engine_, row));
  task->Resume(row);
  return absl::OkStatus();
}

absl::StatusOr<archive::RetentionPlan> Manager::Truncate(const std::string& name, Timestamp until, bool dry_run) {
  TM_ASSIGN_OR_RETURN(const std::shared_ptr<Task> task, Find(name));
  return task->Truncate(until, dry_run);
}

absl::Status Manager::TakeBase(const std::string& name) {
  TM_ASSIGN_OR_RETURN(const std::shared_ptr<Task> task, Find(name));
  return task->TakeBase();
}

std::vector<TaskStatus> Manager::Status() const {
  std::vector<TaskStatus> status;
  for (const std::shared_ptr<Task>& task : All()) status.push_back(task->Status());
  return status;
}

absl::StatusOr<uint64_t> Manager::Flush(const FlushRequest& request, FlushDone done) {
  std::vector<std::shared_ptr<Task>> tasks;
  if (request.tasks.empty()) {
    tasks = All();
    if (tasks.empty()) return Errorf(absl::StatusCode::kNotFound, "there is no backup task");
  }
  for (const std::string& name : request.tasks) {
    TM_ASSIGN_OR_RETURN(std::shared_ptr<Task> task, Find(name));
    tasks.push_back(std::move(task));
  }
  return groups_.Begin(tasks, request, std::move(done));
}

uint64_t Manager::Subscribe(Listener listener) {
  const MutexLock lock(listener_mutex_);
  listeners_[++last_listener_] = std::move(listener);
  return last_listener_;
}

void Manager::Unsubscribe(uint64_t id) {
  const MutexLock lock(listener_mutex_);
  listeners_.erase(id);
}

void Manager::Tell(const FlushEvent& event) {
  const MutexLock lock(listener_mutex_);
  for (const auto& [id, listener] : listeners_) listener(event);
}

// Apart from the drivers: it has to see when one of them hangs.
void Manager::WatchLoop() {
  while (true) {
    std::vector<std::shared_ptr<Task>> tasks;
    {
      const MutexLock lock(mutex_);
      if (!stopping_) changed_.WaitUntil(mutex_, steady_clock::now() + options_.timings.watch_every);
      if (stopping_) return;
      for (const auto& [name, task] : tasks_) tasks.push_back(task);
    }
    for (const std::shared_ptr<Task>& task : tasks) task->Watch();
  }
}

}  // namespace tidemark::backup
