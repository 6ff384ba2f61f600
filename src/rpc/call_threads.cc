#include "rpc/call_threads.h"

#include <utility>

namespace tidemark::rpc {

CallThreads::~CallThreads() {
  std::list<Entry> entries;
  {
    const MutexLock lock(mutex_);
    entries.swap(entries_);
  }
  for (Entry& entry : entries) entry.thread.join();
}

void CallThreads::Run(std::function<void()> body) {
  const MutexLock lock(mutex_);
  entries_.remove_if([](Entry& entry) {
    if (entry.ended) entry.thread.join();
    return entry.ended;
  });
  Entry& entry = entries_.emplace_back();
  entry.thread = std::thread([this, &entry, body = std::move(body)] {
    body();
    const MutexLock locked(mutex_);
    entry.ended = true;
  });
}

}  // namespace tidemark::rpc
