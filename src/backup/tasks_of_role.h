// The backup tasks of a node whose role may change: those of its manager while it is the primary; on a replica, whose
// primary runs them, none, and every call says so. Waiters, subscribers and everything else that holds a Tasks never
// notice the difference but by the answers.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backup/manager.h"
#include "base/mutex.h"

namespace tidemark::backup {

// Threads: as tasks.h says; Attach and Detach from one thread at a time.
class TasksOfRole final : public Tasks {
 public:
  ~TasksOfRole() override { Detach("the server is stopping"); }

  void Attach(std::unique_ptr<Manager> manager);
  // Ends every task's work; they are there for the next Attach, here or at the node that is the primary then. `reason`
  // answers calls from here on.
  void Detach(const std::string& reason);

  absl::Status Start(const TaskConfig& config) override;
  absl::Status Stop(const std::string& name) override;
  absl::Status Pause(const std::string& name, const std::string& message, std::chrono::seconds ttl) override;
  absl::Status Resume(const std::string& name) override;
  absl::StatusOr<archive::RetentionPlan> Truncate(const std::string& name, Timestamp until, bool dry_run) override;
  absl::Status TakeBase(const std::string& name) override;
  std::vector<TaskStatus> Status() const override;
  void CancelAll() override;
  absl::StatusOr<uint64_t> Flush(const FlushRequest& request, FlushDone done) override;
  void CancelFlush(uint64_t id) override;
  uint64_t Subscribe(std::function<void(const FlushEvent&)> listener) override;
  void Unsubscribe(uint64_t id) override;

 private:
  // The manager, held for one call; or why there is none.
  absl::StatusOr<std::shared_ptr<Manager>> Use() const;

  mutable Mutex mutex_;
  std::shared_ptr<Manager> manager_ ABSL_GUARDED_BY(mutex_);
  std::string reason_ ABSL_GUARDED_BY(mutex_) = "the server is starting";
  // Flush numbers of one manager say nothing to the next.
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;

  // Held while listeners are called: Unsubscribe waits for them.
  Mutex listener_mutex_;
  uint64_t last_listener_ ABSL_GUARDED_BY(listener_mutex_) = 0;
  std::map<uint64_t, std::function<void(const FlushEvent&)>> listeners_ ABSL_GUARDED_BY(listener_mutex_);
};

}  // namespace tidemark::backup
