// The tasks of one server: their rows, their names, who listens to them, and their watchdog.
//
// Threads: as tasks.h says. Starting, stopping, pausing and resuming come one at a time (`operate_mutex_`); `mutex_`
// guards the map only, so that status and force flush never wait for a store.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backup/flush_groups.h"
#include "backup/task.h"
#include "backup/tasks.h"
#include "backup/timings.h"

namespace tidemark::backup {

struct ManagerOptions {
  OpenStore open_store = [](const std::string& uri, const objstore::OpenOptions& options) {
    return objstore::Open(uri, options);
  };
  Timings timings;
  // Told of events worth a line in the server's log; from any thread.
  std::function<void(const std::string& line)> report = [](const std::string&) {};
};

class Manager final : public Tasks {
 public:
  // Gives the cluster an identity if it has none, and takes up the tasks found in the store, each in its own time: a
  // store that cannot be reached makes its task erring, never this call fail. Engine, file system and clock outlive it.
  static absl::StatusOr<std::unique_ptr<Manager>> Open(engine::Engine& engine, FileSystem& fs, Clock& clock,
                                                       ManagerOptions options);
  // Stops the threads, without a flush; the tasks are there at the next start.
  ~Manager() override;

  // A clean stop, once no more writes come: flushes all tasks within `deadline`, then stops them. Says for each task
  // how much a restore would lack. No other call may follow but Status.
  std::vector<std::string> Shutdown(std::chrono::milliseconds deadline);

  // Ends the work of every task, waits for an operation under way, and refuses those to come. What was asked for before
  // stays in the rows. Status goes on to answer.
  void Halt();

  absl::Status Start(const TaskConfig& config) override;
  absl::Status Stop(const std::string& name) override;
  absl::Status Pause(const std::string& name, const std::string& message, std::chrono::seconds ttl) override;
  absl::Status Resume(const std::string& name) override;
  absl::StatusOr<archive::RetentionPlan> Truncate(const std::string& name, Timestamp until, bool dry_run) override;
  absl::Status TakeBase(const std::string& name) override;
  std::vector<TaskStatus> Status() const override;
  void CancelAll() override;
  absl::StatusOr<uint64_t> Flush(const FlushRequest& request, FlushDone done) override;
  void CancelFlush(uint64_t id) override { groups_.Cancel(id); }
  uint64_t Subscribe(std::function<void(const FlushEvent&)> listener) override;
  void Unsubscribe(uint64_t id) override;

  const engine::Identity& identity() const { return identity_; }

 private:
  using Listener = std::function<void(const FlushEvent&)>;

  Manager(engine::Engine& engine, FileSystem& fs, Clock& clock, ManagerOptions options, engine::Identity identity);
  absl::Status TakeUpTasks();
  void ReleaseOrphanLeases(const std::vector<TaskRow>& rows, bool all_known);
  TaskParts Parts();
  absl::Status MayOperate() const;
  absl::StatusOr<std::shared_ptr<Task>> Find(const std::string& name) const;
  std::vector<std::shared_ptr<Task>> All() const;
  void Tell(const FlushEvent& event);
  void WatchLoop();
  absl::Status Claim(const std::shared_ptr<Task>& task);
  void HaltAll();

  engine::Engine& engine_;
  FileSystem& fs_;
  Clock& clock_;
  const ManagerOptions options_;
  const engine::Identity identity_;

  Mutex operate_mutex_;
  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::shared_ptr<Task>> tasks_ ABSL_GUARDED_BY(mutex_);
  // Claims its archive, and is not among the tasks yet.
  std::shared_ptr<Task> starting_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;

  // Held while listeners are called: Unsubscribe waits for them.
  Mutex listener_mutex_;
  uint64_t last_listener_ ABSL_GUARDED_BY(listener_mutex_) = 0;
  std::map<uint64_t, Listener> listeners_ ABSL_GUARDED_BY(listener_mutex_);

  FlushGroups groups_;
  std::thread watchdog_;
};

}  // namespace tidemark::backup
