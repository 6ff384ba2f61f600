#include "backup/tasks_of_role.h"

#include <utility>

namespace tidemark::backup {
namespace {

constexpr int kGenerationShift = 40;

}  // namespace

void TasksOfRole::Attach(std::unique_ptr<Manager> manager) {
  manager->Subscribe([this](const FlushEvent& event) {
    const MutexLock lock(listener_mutex_);
    for (const auto& [id, listener] : listeners_) listener(event);
  });
  const MutexLock lock(mutex_);
  manager_ = std::move(manager);
  ++generation_;
}

void TasksOfRole::Detach(const std::string& reason) {
  std::shared_ptr<Manager> former;
  {
    const MutexLock lock(mutex_);
    former = std::exchange(manager_, nullptr);
    reason_ = reason;
  }
  // A call under way holds it too, and may be what ends it: the tasks must be over when this returns.
  if (former == nullptr) return;
  former->CancelAll();
  former->Halt();
}

absl::StatusOr<std::shared_ptr<Manager>> TasksOfRole::Use() const {
  const MutexLock lock(mutex_);
  if (manager_ == nullptr) return Errorf(absl::StatusCode::kFailedPrecondition, "{}", reason_);
  return manager_;
}

absl::Status TasksOfRole::Start(const TaskConfig& config) {
  TM_ASSIGN_OR_RETURN(const auto manager, Use());
  return manager->Start(config);
}

absl::Status TasksOfRole::Stop(const std::string& name) {
  TM_ASSIGN_OR_RETURN(const auto manager, Use());
  return manager->Stop(name);
}

absl::Status TasksOfRole::Pause(const std::string& name, const std::string& message, std::chrono::seconds ttl) {
  TM_ASSIGN_OR_RETURN(const auto manager, Use());
  return manager->Pause(name, message, ttl);
}

absl::Status TasksOfRole::Resume(const std::string& name) {
  TM_ASSIGN_OR_RETURN(const auto manager, Use());
  return manager->Resume(name);
}

absl::StatusOr<archive::RetentionPlan> TasksOfRole::Truncate(const std::string& name, Timestamp until, bool dry_run) {
  TM_ASSIGN_OR_RETURN(const auto manager, Use());
  return manager->Truncate(name, until, dry_run);
}

absl::Status TasksOfRole::TakeBase(const std::string& name) {
  TM_ASSIGN_OR_RETURN(const auto manager, Use());
  return manager->TakeBase(name);
}

std::vector<TaskStatus> TasksOfRole::Status() const {
  const auto manager = Use();
  return manager.ok() ? (*manager)->Status() : std::vector<TaskStatus>{};
}

void TasksOfRole::CancelAll() {
  if (const auto manager = Use(); manager.ok()) (*manager)->CancelAll();
}

absl::StatusOr<uint64_t> TasksOfRole::Flush(const FlushRequest& request, FlushDone done) {
  std::shared_ptr<Manager> manager;
  uint64_t generation = 0;
  {
    const MutexLock lock(mutex_);
    if (manager_ == nullptr) return Errorf(absl::StatusCode::kFailedPrecondition, "{}", reason_);
    manager = manager_;
    generation = generation_;
  }
  TM_ASSIGN_OR_RETURN(const uint64_t id, manager->Flush(request, std::move(done)));
  return id | generation << kGenerationShift;
}

void TasksOfRole::CancelFlush(uint64_t id) {
  std::shared_ptr<Manager> manager;
  {
    const MutexLock lock(mutex_);
    if (id >> kGenerationShift != generation_) return;
    manager = manager_;
  }
  if (manager != nullptr) manager->CancelFlush(id & ((1ull << kGenerationShift) - 1));
}

uint64_t TasksOfRole::Subscribe(std::function<void(const FlushEvent&)> listener) {
  const MutexLock lock(listener_mutex_);
  listeners_[++last_listener_] = std::move(listener);
  return last_listener_;
}

void TasksOfRole::Unsubscribe(uint64_t id) {
  const MutexLock lock(listener_mutex_);
  listeners_.erase(id);
}

}  // namespace tidemark::backup
