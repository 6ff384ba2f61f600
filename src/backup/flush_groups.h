// One call of force flush over several tasks: gathers an answer from each, ends the wait at the deadline, and tells the
// caller once. Cancelled calls hear nothing.
//
// Threads: any. The callback runs on the thread that brings the last answer, without a lock held. Deadlines are kept by
// a thread of its own, since a task's driver may be busy with the store.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "backup/task.h"
#include "backup/tasks.h"
#include "base/mutex.h"

namespace tidemark::backup {

class FlushGroups {
 public:
  FlushGroups();
  ~FlushGroups();

  // Calls every task; returns the call's id. `tasks` is not empty.
  uint64_t Begin(const std::vector<std::shared_ptr<Task>>& tasks, const FlushRequest& request, Tasks::FlushDone done);
  // `done` is not called after this returns: a call of it that is under way on another thread is waited for.
  void Cancel(uint64_t id);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  using Deadlines = std::multimap<SteadyTime, uint64_t>;
  struct Group {
    Tasks::FlushDone done;
    std::vector<std::shared_ptr<Task>> tasks;
    std::vector<CallerId> callers;
    std::vector<FlushOutcome> outcomes;
    size_t open = 0;
    std::optional<Deadlines::iterator> deadline{};
    // The thread that calls `done`, once all have answered.
    std::thread::id telling{};
  };

  void Erase(std::map<uint64_t, Group>::iterator group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Answered(uint64_t id, size_t index, FlushOutcome outcome);
  void KeepDeadlines();

  Mutex mutex_;
  CondVar told_;      // a group has gone
  CondVar deadline_;  // for the thread
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_caller_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<uint64_t, Group> groups_ ABSL_GUARDED_BY(mutex_);
  Deadlines deadlines_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace tidemark::backup
