// Keyspace notifications: what commands told of the keys they changed (types::Keyspace::Notify) goes to the channels
// __keyspace@<db>__:<key> and __keyevent@<db>__:<event>, as notify-keyspace-events asks.
//
// Events leave after the commit, in the order of the commits: at the end of a transaction, still under the commit lock,
// its events take a place in line, and whoever hands in events after the commit also sends those that waited for them.
// So no thread waits for another, and what was rolled back leaves its place empty.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/container/btree_map.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "commands/pubsub.h"
#include "config/config.h"
#include "engine/engine.h"
#include "types/keyspace.h"

namespace tidemark::commands {

// Thread-safe.
class KeyNotifier final : public engine::ChangeListener {
 public:
  using Events = std::vector<types::KeyEvent>;

  // Both outlive this.
  KeyNotifier(const config::Config& config, Pubsub& pubsub)
      : flags_(config.Cell("notify-keyspace-events")), pubsub_(pubsub) {}

  // Whether events are worth gathering: one load.
  bool on() const;

  // At the end of a transaction's body, under the commit lock. Every place is given back to Publish, once.
  uint64_t TakePlace() { return next_place_.fetch_add(1, std::memory_order_relaxed); }
  // After the transaction; `events` empty when it came to nothing.
  void Publish(uint64_t place, Events events) ABSL_LOCKS_EXCLUDED(mutex_);

  // The sweeper's keys: under the commit lock. What else changes comes as events.
  bool listening() const override { return false; }
  void OnKeyChanged(DbIndex, std::string_view) override {}
  void OnContentsReplaced(DbIndex) override {}
  void OnKeyExpired(DbIndex db, std::string_view key) override;

 private:
  void Send(const types::KeyEvent& event);

  const std::atomic<int64_t>& flags_;
  Pubsub& pubsub_;
  std::atomic<uint64_t> next_place_{0};
  Mutex mutex_;                                // held while sending, which keeps the order
  uint64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;  // places below it are done
  absl::btree_map<uint64_t, Events> waiting_ ABSL_GUARDED_BY(mutex_);
};

// The events of one transaction: gathered where somebody wants them, sent once it has committed, dropped otherwise.
class GatheredEvents {
 public:
  // `notifier` may be null, and outlives this.
  explicit GatheredEvents(KeyNotifier* notifier)
      : notifier_(notifier != nullptr && notifier->on() ? notifier : nullptr) {}
  GatheredEvents(const GatheredEvents&) = delete;
  GatheredEvents& operator=(const GatheredEvents&) = delete;
  ~GatheredEvents() {
    if (place_) notifier_->Publish(*place_, {});
  }

  // For Keyspace::GatherEvents, when the transaction's body begins; it may begin again.
  KeyNotifier::Events* Begin() {
    events_.clear();
    return notifier_ == nullptr ? nullptr : &events_;
  }
  // When the body ends well, within the transaction.
  void End() {
    if (!events_.empty()) place_ = notifier_->TakePlace();
  }
  // After the commit.
  void Publish() {
    if (!place_) return;
    notifier_->Publish(*place_, std::move(events_));
    place_.reset();
  }

 private:
  KeyNotifier* const notifier_;
  KeyNotifier::Events events_;
  std::optional<uint64_t> place_;
};

}  // namespace tidemark::commands
