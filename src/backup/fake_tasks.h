// Backup tasks for tests of what stands above them: flushes end when the test says so.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
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

// Tasks whose flushes end when the test says so.
class FakeTasks final : public Tasks {
 public:
  absl::Status Start(const TaskConfig& config) override {
    const std::lock_guard lock(mutex_);
    if (config.storage.empty()) return InvalidArgument("a task needs a storage");
    TaskStatus status;
    status.config = config;
    status.checkpoint_time = Timestamp{2'000'000};
    tasks_.push_back(status);
    return absl::OkStatus();
  }
  absl::Status Stop(const std::string& name) override {
    return Errorf(absl::StatusCode::kNotFound, "there is no backup task '{}'", name);
  }
  absl::Status Pause(const std::string&, const std::string&, std::chrono::seconds) override { return {}; }
  absl::Status Resume(const std::string&) override { return {}; }
  absl::StatusOr<archive::RetentionPlan> Truncate(const std::string&, Timestamp, bool) override {
    archive::RetentionPlan plan;
    plan.bytes = 5;
    return plan;
  }
  absl::Status TakeBase(const std::string&) override { return {}; }
  void CancelAll() override {}
  std::vector<TaskStatus> Status() const override {
    const std::lock_guard lock(mutex_);
    return tasks_;
  }
  absl::StatusOr<uint64_t> Flush(const FlushRequest& request, FlushDone done) override {
    const std::lock_guard lock(mutex_);
    if (tasks_.empty()) return Errorf(absl::StatusCode::kNotFound, "there is no backup task");
    last_request_ = request;
    waiting_[++last_id_] = std::move(done);
    changed_.notify_all();
    return last_id_;
  }
  void CancelFlush(uint64_t id) override {
    const std::lock_guard lock(mutex_);
    waiting_.erase(id);
    changed_.notify_all();
  }
  uint64_t Subscribe(std::function<void(const FlushEvent&)> listener) override {
    const std::lock_guard lock(mutex_);
    listeners_[++last_id_] = std::move(listener);
    return last_id_;
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
  // Every flush that waits ends with `outcome`, a yes if none is given.
  void Answer(const FlushOutcome& outcome = DurableOutcome("t")) {
    std::map<uint64_t, FlushDone> waiting;
    {
      const std::lock_guard lock(mutex_);
      waiting.swap(waiting_);
    }
    for (const auto& [id, done] : waiting) done({outcome});
  }
  void Advance(Timestamp checkpoint) {
    const std::lock_guard lock(mutex_);
    for (TaskStatus& task : tasks_) task.checkpoint_time = checkpoint;
    for (const auto& [id, listener] : listeners_) listener({.task = "t", .flushed = {}, .flushed_time = checkpoint});
  }
  size_t waiting() const { return waiting_.size(); }
  size_t listeners() const { return listeners_.size(); }
  FlushRequest last_request_;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TaskStatus> tasks_;
  std::map<uint64_t, FlushDone> waiting_;
  std::map<uint64_t, std::function<void(const FlushEvent&)>> listeners_;
  uint64_t last_id_ = 0;
};

}  // namespace tidemark::backup
