// What users were denied, newest first: ACL LOG. The same denial again within a minute is counted, not repeated.
#pragma once

#include <absl/base/thread_annotations.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "commands/acl_rules.h"

namespace tidemark::commands {

// Thread-safe.
class AclLog {
 public:
  struct Entry {
    uint64_t count = 1;
    AclDenial reason = AclDenial::kNone;
    std::string_view context;  // "toplevel", "multi", "lua"
    std::string object;        // the command, key or channel
    std::string user;
    std::string client;  // as CLIENT LIST has it
    uint64_t when_ms = 0;
  };

  // Keeps at most `max_length` entries.
  void Add(Entry entry, size_t max_length) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<Entry> Newest(size_t count) const ABSL_LOCKS_EXCLUDED(mutex_);
  void Reset() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable Mutex mutex_;
  std::deque<Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

// "command", "key", "channel", "auth".
std::string_view ReasonName(AclDenial denial);

}  // namespace tidemark::commands
