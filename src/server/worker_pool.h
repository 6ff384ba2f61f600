// Threads for what must not hold up an I/O thread: reading cold rows from the disk, snapshots, DEBUG SLEEP.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace tidemark::server {

// Jobs start in the order they came. The queue is not bounded here but by who fills it: a session has at most one job
// at a time, and stops reading its socket meanwhile.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  ~WorkerPool() { Stop(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Any thread, also from within a job. After Stop has begun the job is dropped.
  void Run(std::function<void()> job);
  // Waits for the jobs under way; those not begun are dropped.
  void Stop();
  // Waits for the jobs under way, and begins none until Resume. Not from within a job.
  void Pause();
  void Resume();

 private:
  void Work();

  Mutex mutex_;
  CondVar wake_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  CondVar idle_;
  std::vector<std::thread> threads_;
};

}  // namespace tidemark::server
