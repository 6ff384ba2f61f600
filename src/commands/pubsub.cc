#include "commands/pubsub.h"

#include <algorithm>

#include "base/glob.h"
#include "resp/writer.h"

namespace tidemark::commands {
namespace {

absl::btree_set<std::string>& Names(Pubsub::Kind kind, Client& client) {
  switch (kind) {
    case Pubsub::Kind::kChannel:
      return client.channels;
    case Pubsub::Kind::kPattern:
      return client.patterns;
    case Pubsub::Kind::kShard:
      break;
  }
  return client.shard_channels;
}

void PublishCounts(Client& client) {
  client.channel_count = static_cast<uint32_t>(client.channels.size());
  client.pattern_count = static_cast<uint32_t>(client.patterns.size());
  client.shard_channel_count = static_cast<uint32_t>(client.shard_channels.size());
}

// One message in the spelling of each protocol, made when the first receiver asks for it.
class Message {
 public:
  // The elements in order; views that outlive this object.
  explicit Message(std::vector<std::string_view> elements) : elements_(std::move(elements)) {}

  const std::shared_ptr<const std::string>& In(int protocol) {
    std::shared_ptr<const std::string>& bytes = protocol == 2 ? resp2_ : resp3_;
    if (bytes == nullptr) {
      resp::Writer writer;
      writer.SetProtocol(protocol);
      writer.Push(elements_.size());
      for (const std::string_view element : elements_) writer.Bulk(element);
      bytes = std::make_shared<const std::string>(std::move(writer.buffer()));
    }
    return bytes;
  }

 private:
  std::vector<std::string_view> elements_;
  std::shared_ptr<const std::string> resp2_;
  std::shared_ptr<const std::string> resp3_;
};

size_t DeliverTo(const absl::flat_hash_set<Client*>& listeners, Message message) {
  for (Client* client : listeners) client->Deliver(message.In(client->protocol));
  return listeners.size();
}

}  // namespace

bool Pubsub::Subscribe(Kind kind, Client& client, std::string_view name) {
  MutexLock lock(mutex_);
  if (!Names(kind, client).emplace(name).second) return false;
  PublishCounts(client);
  tables_[static_cast<size_t>(kind)][std::string(name)].insert(&client);
  return true;
}

bool Pubsub::Unsubscribe(Kind kind, Client& client, std::string_view name) {
  const std::string key(name);
  MutexLock lock(mutex_);
  if (Names(kind, client).erase(key) == 0) return false;
  PublishCounts(client);
  Table& table = tables_[static_cast<size_t>(kind)];
  const auto found = table.find(key);
  found->second.erase(&client);
  if (found->second.empty()) table.erase(found);
  return true;
}

void Pubsub::Remove(Client& client) {
  for (const Kind kind : {Kind::kChannel, Kind::kPattern, Kind::kShard}) {
    while (!Names(kind, client).empty()) Unsubscribe(kind, client, std::string(*Names(kind, client).begin()));
  }
}

size_t Pubsub::Receivers(Kind kind, std::string_view channel) const {
  size_t receivers = Listeners(kind, channel);
  if (kind == Kind::kShard) return receivers;
  MutexLock lock(mutex_);
  for (const auto& [pattern, listeners] : tables_[static_cast<size_t>(Kind::kPattern)]) {
    if (GlobMatch(pattern, channel)) receivers += listeners.size();
  }
  return receivers;
}

size_t Pubsub::Publish(Kind kind, std::string_view channel, std::string_view message) {
  const std::string key(channel);
  size_t deliveries = 0;
  MutexLock lock(mutex_);
  const Table& table = tables_[static_cast<size_t>(kind)];
  if (const auto found = table.find(key); found != table.end()) {
    const std::string_view type = kind == Kind::kShard ? "smessage" : "message";
    deliveries += DeliverTo(found->second, Message({type, channel, message}));
  }
  if (kind == Kind::kShard) return deliveries;
  for (const auto& [pattern, listeners] : tables_[static_cast<size_t>(Kind::kPattern)]) {
    if (!GlobMatch(pattern, channel)) continue;
    deliveries += DeliverTo(listeners, Message({"pmessage", pattern, channel, message}));
  }
  return deliveries;
}

bool Pubsub::Listens(const Client& client, const std::function<bool(Kind, std::string_view)>& chosen) const {
  const MutexLock lock(mutex_);
  const auto any = [&](Kind kind, const absl::btree_set<std::string>& names) {
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return chosen(kind, name); });
  };
  return any(Kind::kChannel, client.channels) || any(Kind::kPattern, client.patterns) ||
         any(Kind::kShard, client.shard_channels);
}

std::vector<std::string> Pubsub::Channels(Kind kind, std::string_view pattern) const {
  std::vector<std::string> names;
  MutexLock lock(mutex_);
  for (const auto& [name, listeners] : tables_[static_cast<size_t>(kind)]) {
    if (pattern.empty() || GlobMatch(pattern, name)) names.push_back(name);
  }
  return names;
}

size_t Pubsub::Listeners(Kind kind, std::string_view name) const {
  const std::string key(name);
  MutexLock lock(mutex_);
  const Table& table = tables_[static_cast<size_t>(kind)];
  const auto found = table.find(key);
  return found == table.end() ? 0 : found->second.size();
}

size_t Pubsub::Count(Kind kind) const {
  MutexLock lock(mutex_);
  return tables_[static_cast<size_t>(kind)].size();
}

}  // namespace tidemark::commands
