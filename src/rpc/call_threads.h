// Threads of calls that block for long: one each, since the server's few threads would not do.
#pragma once

#include <functional>
#include <list>
#include <thread>

#include "base/mutex.h"

namespace tidemark::rpc {

class CallThreads {
 public:
  // Waits for all of them.
  ~CallThreads();
  // Any thread.
  void Run(std::function<void()> body);

 private:
  struct Entry {
    std::thread thread;
    bool ended = false;
  };
  Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::rpc
