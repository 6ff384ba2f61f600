#include "backup/flush_groups.h"

#include <utility>

namespace tidemark::backup {
namespace {
using std::chrono::steady_clock;
}  // namespace

FlushGroups::FlushGroups() : thread_([this] { KeepDeadlines(); }) {}

FlushGroups::~FlushGroups() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    deadline_.SignalAll();
  }
  thread_.join();
}

uint64_t FlushGroups::Begin(const std::vector<std::shared_ptr<Task>>& tasks, const FlushRequest& request,
                            Tasks::FlushDone done) {
  const SteadyTime start = steady_clock::now();
  uint64_t id = 0;
  std::vector<CallerId> callers;
  {
    const MutexLock lock(mutex_);
    id = ++last_id_;
    for (size_t i = 0; i < tasks.size(); ++i) callers.push_back(CallerId{++last_caller_});
    groups_[id] = {.done = std::move(done),
                   .tasks = tasks,
                   .callers = callers,
                   .outcomes = std::vector<FlushOutcome>(tasks.size()),
                   .open = tasks.size(),
                   .deadline = {}};
  }
  for (size_t i = 0; i < tasks.size(); ++i) {
    tasks[i]->Flush(callers[i], request.mode, request.target, request.durable_only,
                    [this, id, i](FlushOutcome outcome) { Answered(id, i, std::move(outcome)); });
  }
  if (request.timeout.count() <= 0) return id;
  // Only now: a deadline must not come before the call that it ends.
  const MutexLock lock(mutex_);
  if (const auto found = groups_.find(id); found != groups_.end() && found->second.open > 0) {
    found->second.deadline = deadlines_.emplace(start + request.timeout, id);
    deadline_.Signal();
  }
  return id;
}

void FlushGroups::Erase(std::map<uint64_t, Group>::iterator group) {
  if (group->second.deadline) deadlines_.erase(*group->second.deadline);
  groups_.erase(group);
}

void FlushGroups::Answered(uint64_t id, size_t index, FlushOutcome outcome) {
  Tasks::FlushDone done;
  std::vector<FlushOutcome> outcomes;
  {
    const MutexLock lock(mutex_);
    const auto found = groups_.find(id);
    if (found == groups_.end()) return;
    Group& group = found->second;
    group.outcomes[index] = std::move(outcome);
    if (--group.open > 0) return;
    group.telling = std::this_thread::get_id();
    done = std::move(group.done);
    outcomes = std::move(group.outcomes);
  }
  done(std::move(outcomes));
  done = nullptr;  // what it holds goes before anybody is told that it is over
  const MutexLock lock(mutex_);
  Erase(groups_.find(id));
  told_.SignalAll();
}

void FlushGroups::Cancel(uint64_t id) {
  Group group;
  {
    const MutexLock lock(mutex_);
    const auto found = groups_.find(id);
    if (found == groups_.end()) return;
    if (found->second.open == 0) {
      if (found->second.telling == std::this_thread::get_id()) return;
      while (groups_.contains(id)) told_.Wait(mutex_);
      return;
    }
    group.tasks = std::move(found->second.tasks);
    group.callers = std::move(found->second.callers);
    group.done = std::move(found->second.done);
    Erase(found);
  }
  for (size_t i = 0; i < group.tasks.size(); ++i) group.tasks[i]->Abandon(group.callers[i]);
}

void FlushGroups::KeepDeadlines() {
  while (true) {
    std::vector<std::shared_ptr<Task>> tasks;
    std::vector<CallerId> callers;
    {
      const MutexLock lock(mutex_);
      while (!stopping_ && (deadlines_.empty() || deadlines_.begin()->first > steady_clock::now())) {
        if (deadlines_.empty()) {
          deadline_.Wait(mutex_);
        } else {
          deadline_.WaitUntil(mutex_, deadlines_.begin()->first);
        }
      }
      if (stopping_) return;
      const uint64_t id = deadlines_.begin()->second;
      deadlines_.erase(deadlines_.begin());
      Group& group = groups_.at(id);
      group.deadline.reset();
      tasks = group.tasks;
      callers = group.callers;
    }
    for (size_t i = 0; i < tasks.size(); ++i) tasks[i]->Deadline(callers[i]);
  }
}

}  // namespace tidemark::backup
