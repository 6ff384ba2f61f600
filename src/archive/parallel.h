// The same work on many items by a few threads: what uploads, downloads and checks of many files share.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"

namespace tidemark::archive {

// Calls work(0) … work(count - 1), each once, in order of beginning, on up to `jobs` threads; on the caller's alone
// when that is one. After an error nothing new is begun; returns the first error once all that had begun have ended.
inline absl::Status ForEach(int jobs, size_t count, const std::function<absl::Status(size_t index)>& work) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  Mutex mutex;
  absl::Status first_error;
  const auto run = [&] {
    while (!failed.load()) {
      const size_t index = next.fetch_add(1);
      if (index >= count) return;
      const absl::Status status = work(index);
      if (status.ok()) continue;
      const MutexLock lock(mutex);
      if (!failed.exchange(true)) first_error = status;
    }
  };
  const size_t threads = std::min(count, static_cast<size_t>(std::max(jobs, 1)));
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; ++i) others.emplace_back(run);
  run();
  for (std::thread& thread : others) thread.join();
  return first_error;
}

}  // namespace tidemark::archive
