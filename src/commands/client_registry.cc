#include "commands/client_registry.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "commands/acl.h"
#include "commands/command.h"
#include "commands/deferred.h"
#include "commands/tracking.h"

namespace tidemark::commands {
namespace {

// As networking.c's getClientFlagsString: of Redis's letters those that Tidemark's clients can have.
std::string Flags(const Client& client) {
  std::string flags;
  if (client.monitor) flags += 'O';
  if (TypeOf(client) == ClientType::kPubsub) flags += 'P';
  if (client.in_multi) flags += 'x';
  if (client.blocked) flags += 'b';
  if (client.watch_broken.load(std::memory_order_relaxed)) flags += 'd';
  if (client.tracking != nullptr) {
    flags += 't';
    if (client.tracking->broken.load(std::memory_order_relaxed)) flags += 'R';
    if (client.tracking->bcast) flags += 'B';
  }
  if (client.no_evict) flags += 'e';
  if (flags.empty()) flags += 'N';
  return flags;
}

// -1: not tracked; 0: its messages go to itself.
int64_t RedirectOf(const Client& client) {
  return client.tracking == nullptr ? -1 : static_cast<int64_t>(client.tracking->redirect);
}

// The fields of Redis 7.0's catClientInfoString in its order. `own`: the caller's thread owns the client, so that what
// is not published to others may be read too.
std::string Line(const Client& client, uint64_t now_ms, bool own) {
  const auto seconds_since = [now_ms](uint64_t then_ms) { return now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0; };
  const CommandSpec* last = client.last_command;
  const int queued = !client.in_multi ? -1 : own ? static_cast<int>(client.queued.size()) : 0;
  const size_t input = client.input_bytes();
  const size_t output = client.output_bytes();
  return fmt::format(
      "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} qbuf={} "
      "qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} oll=0 omem=0 tot-mem={} events=r cmd={} user={} "
      "redir={} resp={}",
      client.id, client.address, client.local_address, client.fd, client.name, seconds_since(client.created_ms),
      seconds_since(client.last_interaction_ms), Flags(client), client.db.load().value, client.channel_count.load(),
      client.pattern_count.load(), client.shard_channel_count.load(), queued, input, output,
      sizeof(Client) + input + output, last == nullptr ? "NULL" : CommandTable::Get().row(*last).full_name,
      Acl::NameOf(client), RedirectOf(client), client.protocol.load());
}

bool Fits(const ClientFilter& filter, const Client& client) {
  if (&client == filter.except) return false;
  if (filter.type && TypeOf(client) != *filter.type) return false;
  if (!filter.ids.empty() && std::find(filter.ids.begin(), filter.ids.end(), client.id) == filter.ids.end()) {
    return false;
  }
  if (!filter.address.empty() && client.address != filter.address) return false;
  if (!filter.local_address.empty() && client.local_address != filter.local_address) return false;
  return !filter.user || *filter.user == Acl::NameOf(client);
}

}  // namespace

std::optional<ClientType> ParseClientType(std::string_view name) {
  if (EqualsIgnoreCase(name, "normal")) return ClientType::kNormal;
  if (EqualsIgnoreCase(name, "master")) return ClientType::kMaster;
  if (EqualsIgnoreCase(name, "replica") || EqualsIgnoreCase(name, "slave")) return ClientType::kReplica;
  if (EqualsIgnoreCase(name, "pubsub")) return ClientType::kPubsub;
  return std::nullopt;
}

ClientType TypeOf(const Client& client) {
  const bool subscribed = client.channel_count + client.pattern_count + client.shard_channel_count > 0;
  return subscribed ? ClientType::kPubsub : ClientType::kNormal;
}

void ClientRegistry::Add(Client& client) {
  received_.fetch_add(1, std::memory_order_relaxed);
  MutexLock lock(mutex_);
  client.id = ++last_id_;
  clients_.emplace(client.id, &client);
}

void ClientRegistry::Remove(Client& client) {
  MutexLock lock(mutex_);
  TM_CHECK(clients_.erase(client.id) == 1, "client {} is not registered", client.id);
}

std::string ClientRegistry::Describe(const Client& client, uint64_t now_ms) const {
  MutexLock lock(mutex_);
  return Line(client, now_ms, true);
}

std::string ClientRegistry::List(const ClientFilter& filter, uint64_t now_ms) const {
  std::string lines;
  MutexLock lock(mutex_);
  for (const auto& [id, client] : clients_) {
    if (!Fits(filter, *client)) continue;
    lines += Line(*client, now_ms, false);
    lines += '\n';
  }
  return lines;
}

size_t ClientRegistry::Kill(const ClientFilter& filter, const Client& self) {
  size_t killed = 0;
  MutexLock lock(mutex_);
  for (const auto& [id, client] : clients_) {
    if (!Fits(filter, *client)) continue;
    client->RequestClose(/*after_replies=*/client == &self);
    ++killed;
  }
  return killed;
}

void ClientRegistry::CloseAfterReplies(uint64_t id) {
  MutexLock lock(mutex_);
  if (const auto found = clients_.find(id); found != clients_.end()) found->second->RequestClose(true);
}

absl::Status ClientRegistry::SetName(Client& client, std::string_view name) {
  for (const char c : name) {
    if (c < '!' || c > '~') {
      return InvalidArgument("ERR Client names cannot contain spaces, newlines or special characters.");
    }
  }
  MutexLock lock(mutex_);
  client.name = name;
  return absl::OkStatus();
}

void ClientRegistry::SetUser(Client& client, std::shared_ptr<const AclUser> user) {
  const MutexLock lock(mutex_);
  client.user.swap(user);
}

void ClientRegistry::SetTracking(Client& client, std::shared_ptr<ClientTracking> tracking) {
  const MutexLock lock(mutex_);
  client.tracking.swap(tracking);
}

bool ClientRegistry::With(uint64_t id, const std::function<void(Client&)>& use) {
  const MutexLock lock(mutex_);
  const auto found = clients_.find(id);
  if (found == clients_.end()) return false;
  use(*found->second);
  return true;
}

void ClientRegistry::EndIf(const std::function<bool(const Client&)>& ends, const Client* self) {
  const MutexLock lock(mutex_);
  for (const auto& [id, client] : clients_) {
    if (ends(*client)) client->RequestClose(/*after_replies=*/client == self);
  }
}

void ClientRegistry::BeginWait(Client& client, std::shared_ptr<Deferred> deferred) {
  client.blocked = true;
  MutexLock lock(mutex_);
  waiting_[client.id] = std::move(deferred);
}

void ClientRegistry::EndWait(Client& client) {
  client.blocked = false;
  MutexLock lock(mutex_);
  waiting_.erase(client.id);
}

bool ClientRegistry::Unblock(uint64_t id, bool with_error) {
  std::shared_ptr<Deferred> deferred;
  {
    MutexLock lock(mutex_);
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) return false;
    deferred = found->second;
  }
  return deferred->Unblock(with_error);
}

std::optional<size_t> ClientRegistry::Deliver(uint64_t id, std::shared_ptr<const std::string> bytes) {
  const MutexLock lock(mutex_);
  const auto found = clients_.find(id);
  if (found == clients_.end()) return std::nullopt;
  if (bytes != nullptr) found->second->Deliver(std::move(bytes));
  return found->second->output_bytes();
}

uint64_t ClientRegistry::MonotonicMillis() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

void ClientRegistry::Pause(PauseState state, uint64_t until_ms) {
  uint64_t old = pause_.load(std::memory_order_relaxed);
  uint64_t wanted = 0;
  do {
    const bool under_way = old != 0 && old / 2 > MonotonicMillis();
    const bool all = state == PauseState::kAll || (under_way && (old & 1) != 0);
    const uint64_t end = under_way ? std::max(old / 2, until_ms) : until_ms;
    wanted = end * 2 + (all ? 1 : 0);
  } while (!pause_.compare_exchange_weak(old, wanted, std::memory_order_relaxed));
}

void ClientRegistry::Unpause() {
  uint64_t old = pause_.load(std::memory_order_relaxed);
  while (old / 2 < kForever && !pause_.compare_exchange_weak(old, 0, std::memory_order_relaxed)) {
  }
  unpaused_();
}

PauseState ClientRegistry::StateOf(uint64_t pause) {
  if (MonotonicMillis() >= pause / 2) return PauseState::kNone;
  return (pause & 1) != 0 ? PauseState::kAll : PauseState::kWrite;
}

uint64_t ClientRegistry::PauseLeft() const {
  const uint64_t end = pause_.load(std::memory_order_relaxed) / 2;
  const uint64_t now = MonotonicMillis();
  return end > now ? end - now : 0;
}

ClientRegistry::Stats ClientRegistry::stats() const {
  Stats stats;
  stats.received = received_.load(std::memory_order_relaxed);
  stats.rejected = rejected_.load(std::memory_order_relaxed);
  stats.bytes_in = bytes_in_.load(std::memory_order_relaxed);
  stats.bytes_out = bytes_out_.load(std::memory_order_relaxed);
  MutexLock lock(mutex_);
  stats.connected = clients_.size();
  stats.blocked = waiting_.size();
  for (const auto& [id, client] : clients_) {
    if (TypeOf(*client) == ClientType::kPubsub) ++stats.pubsub;
    const size_t input = client->input_bytes();
    const size_t output = client->output_bytes();
    stats.max_input_bytes = std::max(stats.max_input_bytes, input);
    stats.max_output_bytes = std::max(stats.max_output_bytes, output);
    stats.buffer_bytes += input + output;
  }
  return stats;
}

void ClientRegistry::ResetStats() {
  received_.store(0, std::memory_order_relaxed);
  rejected_.store(0, std::memory_order_relaxed);
  bytes_in_.store(0, std::memory_order_relaxed);
  bytes_out_.store(0, std::memory_order_relaxed);
}

size_t ClientRegistry::connected() const {
  MutexLock lock(mutex_);
  return clients_.size();
}

}  // namespace tidemark::commands
