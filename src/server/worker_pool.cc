#include "server/worker_pool.h"

#include <pthread.h>

#include <utility>

namespace tidemark::server {

WorkerPool::WorkerPool(int threads) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] {
      pthread_setname_np(pthread_self(), "tm-worker");
      Work();
    });
  }
}

void WorkerPool::Run(std::function<void()> job) {
  {
    const MutexLock lock(mutex_);
    if (stopping_) return;
    jobs_.push_back(std::move(job));
  }
  wake_.Signal();
}

void WorkerPool::Stop() {
  std::deque<std::function<void()>> dropped;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    dropped.swap(jobs_);
  }
  wake_.SignalAll();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void WorkerPool::Pause() {
  const MutexLock lock(mutex_);
  paused_ = true;
  while (running_ > 0) idle_.Wait(mutex_);
}

void WorkerPool::Resume() {
  {
    const MutexLock lock(mutex_);
    paused_ = false;
  }
  wake_.SignalAll();
}

void WorkerPool::Work() {
  while (true) {
    std::function<void()> job;
    {
      const MutexLock lock(mutex_);
      while (!stopping_ && (paused_ || jobs_.empty())) wake_.Wait(mutex_);
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      ++running_;
    }
    job();
    const MutexLock lock(mutex_);
    if (--running_ == 0) idle_.SignalAll();
  }
}

}  // namespace tidemark::server
