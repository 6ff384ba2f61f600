#include "backup/tasks.h"

#include <algorithm>

#include "base/mutex.h"

namespace tidemark::backup {

std::string_view TaskStateName(TaskState state) {
  switch (state) {
    case TaskState::kStarting:
      return "starting";
    case TaskState::kNormal:
      return "normal";
    case TaskState::kErroring:
      return "erroring";
    case TaskState::kPaused:
      return "paused";
    case TaskState::kGap:
      return "gap";
    case TaskState::kFenced:
      return "fenced";
    case TaskState::kStopped:
      return "stopped";
  }
  return "unknown";
}

absl::StatusOr<std::vector<FlushOutcome>> Tasks::FlushAndWait(const FlushRequest& request) {
  struct Shared {
    Mutex mutex;
    CondVar changed;
    bool done ABSL_GUARDED_BY(mutex) = false;
    std::vector<FlushOutcome> outcomes ABSL_GUARDED_BY(mutex);
  };
  const auto shared = std::make_shared<Shared>();
  const absl::StatusOr<uint64_t> id = Flush(request, [shared](std::vector<FlushOutcome> outcomes) {
    const MutexLock lock(shared->mutex);
    shared->outcomes = std::move(outcomes);
    shared->done = true;
    shared->changed.SignalAll();
  });
  TM_RETURN_IF_ERROR(id.status());
  const MutexLock lock(shared->mutex);
  while (!shared->done) shared->changed.Wait(shared->mutex);
  return std::move(shared->outcomes);
}

std::optional<uint64_t> Tasks::Rpo() const {
  std::optional<uint64_t> worst;
  for (const TaskStatus& task : Status()) worst = std::max(worst.value_or(0), task.rpo_micros);
  return worst;
}

}  // namespace tidemark::backup
