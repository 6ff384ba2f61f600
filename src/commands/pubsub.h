// Who listens to which channel, and the way of a message to all of them.
//
// A message is spelled once for each protocol and shared by all who receive it. One mutex orders everything: two
// messages reach all their common receivers in the same order, and after Unsubscribe or Remove has returned nothing
// more is delivered for it. Client::Deliver is called under the mutex.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "commands/client.h"

namespace tidemark::commands {

class Pubsub {
 public:
  // Channels of SUBSCRIBE, patterns of PSUBSCRIBE, shard channels of SSUBSCRIBE: three separate sets of names.
  enum class Kind : uint8_t { kChannel, kPattern, kShard };

  // On the client's own thread. False when it was (not) subscribed already. The client's own sets are kept in step.
  bool Subscribe(Kind kind, Client& client, std::string_view name) ABSL_LOCKS_EXCLUDED(mutex_);
  bool Unsubscribe(Kind kind, Client& client, std::string_view name) ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends all subscriptions, of a client that disconnects or sends RESET.
  void Remove(Client& client) ABSL_LOCKS_EXCLUDED(mutex_);

  // Returns how many deliveries were made: a client that listens to a channel and two matching patterns counts three
  // times. `kind` is kChannel or kShard.
  size_t Publish(Kind kind, std::string_view channel, std::string_view message) ABSL_LOCKS_EXCLUDED(mutex_);

  // Whether a client, of any thread, is subscribed to something that `chosen` says yes to, which is called under the
  // mutex.
  bool Listens(const Client& client, const std::function<bool(Kind, std::string_view)>& chosen) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // How many deliveries Publish would make now.
  size_t Receivers(Kind kind, std::string_view channel) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Names with listeners that match `pattern`; all for an empty one.
  std::vector<std::string> Channels(Kind kind, std::string_view pattern) const ABSL_LOCKS_EXCLUDED(mutex_);
  size_t Listeners(Kind kind, std::string_view name) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Number of different names of that kind with listeners.
  size_t Count(Kind kind) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Table = absl::flat_hash_map<std::string, absl::flat_hash_set<Client*>>;

  mutable Mutex mutex_;
  Table tables_[3] ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::commands
