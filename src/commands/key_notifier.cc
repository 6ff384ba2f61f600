#include "commands/key_notifier.h"

#include <utility>

#include "config/value.h"

namespace tidemark::commands {
namespace {

constexpr int64_t kChannels = config::kKeyspaceChannel | config::kKeyeventChannel;

int64_t BitOf(types::EventClass event_class) {
  switch (event_class) {
    case types::EventClass::kGeneric:
      return config::kEventGeneric;
    case types::EventClass::kString:
      return config::kEventString;
    case types::EventClass::kList:
      return config::kEventList;
    case types::EventClass::kSet:
      return config::kEventSet;
    case types::EventClass::kHash:
      return config::kEventHash;
    case types::EventClass::kZset:
      return config::kEventZset;
    case types::EventClass::kStream:
      return config::kEventStream;
    case types::EventClass::kExpired:
      return config::kEventExpired;
    case types::EventClass::kKeyMiss:
      return config::kEventKeyMiss;
    case types::EventClass::kNew:
      return config::kEventNew;
  }
  return 0;
}

}  // namespace

bool KeyNotifier::on() const {
  const int64_t flags = flags_.load(std::memory_order_relaxed);
  return (flags & kChannels) != 0 && (flags & ~kChannels) != 0;
}

void KeyNotifier::Publish(uint64_t place, Events events) {
  const MutexLock lock(mutex_);
  waiting_.emplace(place, std::move(events));
  for (auto next = waiting_.begin(); next != waiting_.end() && next->first == sent_; next = waiting_.erase(next)) {
    for (const types::KeyEvent& event : next->second) Send(event);
    ++sent_;
  }
}

void KeyNotifier::OnKeyExpired(DbIndex db, std::string_view key) {
  if (!on()) return;
  Events events;
  events.push_back({types::EventClass::kExpired, "expired", std::string(key), db});
  Publish(TakePlace(), std::move(events));
}

void KeyNotifier::Send(const types::KeyEvent& event) {
  const int64_t flags = flags_.load(std::memory_order_relaxed);
  if ((flags & BitOf(event.event_class)) == 0) return;
  if ((flags & config::kKeyspaceChannel) != 0) {
    pubsub_.Publish(Pubsub::Kind::kChannel, fmt::format("__keyspace@{}__:{}", event.db.value, event.name), event.event);
  }
  if ((flags & config::kKeyeventChannel) != 0) {
    pubsub_.Publish(Pubsub::Kind::kChannel, fmt::format("__keyevent@{}__:{}", event.db.value, event.event), event.name);
  }
}

}  // namespace tidemark::commands
