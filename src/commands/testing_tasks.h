// Backup tasks whose every answer the test chooses: what commands make of backup::Tasks, without an archive.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backup/tasks.h"
#include "base/status.h"

namespace tidemark::commands::testing {

class FakeTasks : public backup::Tasks {
 public:
  struct Flushing {
    backup::FlushRequest request;
    FlushDone done;
  };

  absl::Status Start(const backup::TaskConfig& config) override {
    started.push_back(config);
    if (!next.ok()) return next;
    backup::TaskStatus status;
    status.config = config;
    status.state = backup::TaskState::kNormal;
    status.restorable = true;
    all.push_back(status);
    return absl::OkStatus();
  }
  absl::Status Stop(const std::string& name) override { return Note("stop " + name); }
  absl::Status Pause(const std::string& name, const std::string& message, std::chrono::seconds ttl) override {
    return Note(fmt::format("pause {} '{}' {}", name, message, ttl.count()));
  }
  absl::Status Resume(const std::string& name) override { return Note("resume " + name); }
  absl::StatusOr<archive::RetentionPlan> Truncate(const std::string& name, Timestamp until, bool dry_run) override {
    TM_RETURN_IF_ERROR(Note(fmt::format("truncate {} {} {}", name, until.micros, dry_run)));
    archive::RetentionPlan plan;
    plan.bytes = 7;
    return plan;
  }
  absl::Status TakeBase(const std::string& name) override { return Note("base " + name); }
  void CancelAll() override {}
  std::vector<backup::TaskStatus> Status() const override { return all; }

  absl::StatusOr<uint64_t> Flush(const backup::FlushRequest& request, FlushDone done) override {
    for (const std::string& name : request.tasks) {
      if (std::none_of(all.begin(), all.end(), [&](const auto& task) { return task.config.name == name; })) {
        return absl::NotFoundError("there is no backup task '" + name + "'");
      }
    }
    if (all.empty()) return absl::NotFoundError("there is no backup task");
    flushes[++last_flush] = {request, std::move(done)};
    return last_flush;
  }
  void CancelFlush(uint64_t id) override { cancelled.push_back(id); }
  uint64_t Subscribe(std::function<void(const backup::FlushEvent&)> /*listener*/) override { return 0; }
  void Unsubscribe(uint64_t /*id*/) override {}

  // Ends a flush with the same outcome for each of its tasks.
  void Finish(uint64_t id, const backup::FlushOutcome& outcome) {
    const Flushing flushing = std::exchange(flushes[id], {});
    std::vector<backup::FlushOutcome> outcomes;
    for (const backup::TaskStatus& task : all) {
      const auto& names = flushing.request.tasks;
      if (!names.empty() && std::find(names.begin(), names.end(), task.config.name) == names.end()) continue;
      outcomes.push_back(outcome);
      outcomes.back().task = task.config.name;
    }
    flushing.done(outcomes);
  }

  absl::Status Note(std::string line) {
    calls.push_back(std::move(line));
    return next;
  }

  absl::Status next;  // what the next calls return
  std::vector<backup::TaskConfig> started;
  std::vector<std::string> calls;
  std::vector<backup::TaskStatus> all;
  std::map<uint64_t, Flushing> flushes;
  uint64_t last_flush = 0;
  std::vector<uint64_t> cancelled;
};

}  // namespace tidemark::commands::testing
