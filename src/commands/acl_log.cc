#include "commands/acl_log.h"

#include <algorithm>

namespace tidemark::commands {
namespace {

constexpr uint64_t kSameWithinMs = 60'000;
// How many of the newest entries are looked at for an equal one, as in Redis.
constexpr ptrdiff_t kLookedAt = 10;

}  // namespace

void AclLog::Add(Entry entry, size_t max_length) {
  const MutexLock lock(mutex_);
  const auto end = entries_.begin() + std::min<ptrdiff_t>(kLookedAt, std::ssize(entries_));
  const auto same = std::find_if(entries_.begin(), end, [&](const Entry& known) {
    return known.reason == entry.reason && known.context == entry.context && known.object == entry.object &&
           known.user == entry.user && entry.when_ms - known.when_ms <= kSameWithinMs;
  });
  if (same != end) {
    entry.count += same->count;
    entries_.erase(same);
  }
  entries_.push_front(std::move(entry));
  while (entries_.size() > max_length) entries_.pop_back();
}

std::vector<AclLog::Entry> AclLog::Newest(size_t count) const {
  const MutexLock lock(mutex_);
  const auto taken = static_cast<ptrdiff_t>(std::min(count, entries_.size()));
  return {entries_.begin(), entries_.begin() + taken};
}

void AclLog::Reset() {
  const MutexLock lock(mutex_);
  entries_.clear();
}

std::string_view ReasonName(AclDenial denial) {
  switch (denial) {
    case AclDenial::kKey:
      return "key";
    case AclDenial::kChannel:
      return "channel";
    case AclDenial::kAuth:
      return "auth";
    default:
      return "command";
  }
}

}  // namespace tidemark::commands
