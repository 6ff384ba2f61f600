// Backup tasks for tests of what stands above them: every answer is the test's, and flushes end when it says so.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "backup/tasks.h"

namespace tidemark::backup {

inline FlushOutcome DurableOutcome(const std::string& task) {
  return {.task = task,
          .success = true,
          .error = {},
          .target = Lsn{900},
          .target_time = Timestamp{1'500'000},
          .flushed = Lsn{1000},
          .flushed_time = Timestamp{2'000'000},
          .rpo_micros = 0,
          .objects = 2,
          .bytes = 100,
          .waited_micros = 7,
          .joined = true};
}

// Methods may be called from any thread; members that are open to the test only while no call is under way.
class FakeTasks final : public Tasks {
 public:
  struct Flushing {
    FlushRequest request;
    FlushDone done;  // empty once it has ended or was cancelled
  };

  absl::Status Start(const TaskConfig& config) override {
    const std::lock_guard lock(mutex_);
    started.push_back(config);
    if (!next.ok()) return next;
    if (config.storage.empty()) return InvalidArgument("a task needs a storage");
    TaskStatus status;
    status.config = config;
    status.state = TaskState::kNormal;
    status.restorable = true;
    status.checkpoint_time = Timestamp{2'000'000};
    all.push_back(status);
    return absl::OkStatus();
  }
  absl::Status Stop(const std::string& name) override {
    const std::lock_guard lock(mutex_);
    if (!Has(name)) return NoTask(name);
    return Note("stop " + name);
  }
  absl::Status Pause(const std::string& name, const std::string& message, std::chrono::seconds ttl) override {
    const std::lock_guard lock(mutex_);
    return Note(fmt::format("pause {} '{}' {}", name, message, ttl.count()));
  }
  absl::Status Resume(const std::string& name) override {
    const std::lock_guard lock(mutex_);
    return Note("resume " + name);
  }
  absl::StatusOr<archive::RetentionPlan> Truncate(const std::string& name, Timestamp until, bool dry_run) override {
    const std::lock_guard lock(mutex_);
    TM_RETURN_IF_ERROR(Note(fmt::format("truncate {} {} {}", name, until.micros, dry_run)));
    archive::RetentionPlan plan;
    plan.bytes = 7;
    return plan;
  }
  absl::Status TakeBase(const std::string& name) override {
    const std::lock_guard lock(mutex_);
    return Note("base " + name);
  }
  void CancelAll() override {}
  std::vector<TaskStatus> Status() const override {
    const std::lock_guard lock(mutex_);
    return all;
  }
  absl::StatusOr<uint64_t> Flush(const FlushRequest& request, FlushDone done) override {
    const std::lock_guard lock(mutex_);
    for (const std::string& name : request.tasks) {
      if (!Has(name)) return NoTask(name);
    }
    if (all.empty()) return Errorf(absl::StatusCode::kNotFound, "there is no backup task");
    last_request = request;
    flushes[++last_flush_] = {request, std::move(done)};
    changed_.notify_all();
    return last_flush_;
  }
  void CancelFlush(uint64_t id) override {
    const std::lock_guard lock(mutex_);
    cancelled.push_back(id);
    flushes[id].done = nullptr;
    changed_.notify_all();
  }
  uint64_t Subscribe(std::function<void(const FlushEvent&)> listener) override {
    const std::lock_guard lock(mutex_);
    listeners_[++last_listener_] = std::move(listener);
    return last_listener_;
  }
  void Unsubscribe(uint64_t id) override {
    const std::lock_guard lock(mutex_);
    listeners_.erase(id);
    changed_.notify_all();
  }

  // False when it does not come true within 20 s.
  [[nodiscard]] bool WaitFor(const std::function<bool(FakeTasks&)>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return condition(*this); });
  }
  // Ends a flush with the same outcome for each of its tasks; nothing where it has ended.
  void Finish(uint64_t id, const FlushOutcome& outcome) {
    Flushing flushing;
    std::vector<FlushOutcome> outcomes;
    {
      const std::lock_guard lock(mutex_);
      flushing.request = flushes[id].request;
      flushing.done = std::exchange(flushes[id].done, nullptr);
      for (const TaskStatus& task : all) {
        const auto& names = flushing.request.tasks;
        if (!names.empty() && std::ranges::find(names, task.config.name) == names.end()) continue;
        outcomes.push_back(outcome);
        outcomes.back().task = task.config.name;
      }
    }
    if (flushing.done) flushing.done(outcomes);
  }
  // Every flush that waits ends with `outcome`, a yes if none is given.
  void Answer(const FlushOutcome& outcome = DurableOutcome("t")) {
    std::vector<uint64_t> ids;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [id, flushing] : flushes) ids.push_back(id);
    }
    for (const uint64_t id : ids) Finish(id, outcome);
  }
  void Advance(Timestamp checkpoint) {
    const std::lock_guard lock(mutex_);
    for (TaskStatus& task : all) task.checkpoint_time = checkpoint;
    for (const auto& [id, listener] : listeners_) listener({.task = "t", .flushed = {}, .flushed_time = checkpoint});
  }
  // Within WaitFor.
  size_t waiting() const {
    return static_cast<size_t>(std::ranges::count_if(flushes, [](const auto& each) { return !!each.second.done; }));
  }
  size_t listeners() const { return listeners_.size(); }

  absl::Status next;  // what the next calls return
  std::vector<TaskConfig> started;
  std::vector<std::string> calls;
  std::vector<TaskStatus> all;
  std::map<uint64_t, Flushing> flushes;  // all there ever were, by id, the first of which is 1
  FlushRequest last_request;
  std::vector<uint64_t> cancelled;

 private:
  bool Has(const std::string& name) const {
    return std::ranges::any_of(all, [&](const TaskStatus& task) { return task.config.name == name; });
  }
  static absl::Status NoTask(const std::string& name) {
    return Errorf(absl::StatusCode::kNotFound, "there is no backup task '{}'", name);
  }
  absl::Status Note(std::string line) {
    calls.push_back(std::move(line));
    return next;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, std::function<void(const FlushEvent&)>> listeners_;
  uint64_t last_flush_ = 0;
  uint64_t last_listener_ = 0;
};

}  // namespace tidemark::backup
