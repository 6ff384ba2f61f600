#include "commands/tracking.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <utility>

#include "resp/writer.h"

namespace tidemark::commands {
namespace {

constexpr std::string_view kChannel = "__redis__:invalidate";

// What the transaction of this thread that committed last has changed.
struct Changes {
  std::vector<std::string> keys;
  bool flushed = false;
};
thread_local Changes changes;

// The message as `receiver` takes it; empty where it can take none.
std::string MessageFor(const Client& receiver, bool redirected, const std::vector<std::string_view>* keys) {
  resp::Writer out;
  out.SetProtocol(receiver.protocol);
  if (receiver.protocol > 2) {
    out.Push(2);
    out.Bulk("invalidate");
  } else if (redirected && TypeOf(receiver) == ClientType::kPubsub) {
    out.Push(3);
    out.Bulk("message");
    out.Bulk(kChannel);
  } else {
    return {};
  }
  if (keys == nullptr) {
    out.Null();
  } else {
    out.Array(keys->size());
    for (const std::string_view key : *keys) out.Bulk(key);
  }
  return std::move(out.buffer());
}

std::string BrokenRedirect(uint64_t id) {
  resp::Writer out;
  out.SetProtocol(3);
  out.Push(2);
  out.Bulk("tracking-redir-broken");
  out.Integer(static_cast<int64_t>(id));
  return std::move(out.buffer());
}

absl::Status CheckModes(const ClientTracking* now, const ClientTracking& wanted) {
  if (!wanted.bcast && !wanted.prefixes.empty()) {
    return InvalidArgument("ERR PREFIX option requires BCAST mode to be enabled");
  }
  if (now != nullptr && now->bcast != wanted.bcast) {
    return InvalidArgument(
        "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it "
        "with a different mode.");
  }
  if (wanted.bcast && (wanted.optin || wanted.optout)) {
    return InvalidArgument("ERR OPTIN and OPTOUT are not compatible with BCAST");
  }
  if (wanted.optin && wanted.optout) return InvalidArgument("ERR You can't specify both OPTIN mode and OPTOUT mode");
  if (now != nullptr && ((wanted.optin && now->optout) || (wanted.optout && now->optin))) {
    return InvalidArgument(
        "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it "
        "with a different mode.");
  }
  return absl::OkStatus();
}

bool Overlap(std::string_view a, std::string_view b) { return a.starts_with(b) || b.starts_with(a); }

absl::Status CheckPrefixes(const ClientTracking* now, const std::vector<std::string>& wanted) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    for (const std::string& known : now == nullptr ? std::vector<std::string>() : now->prefixes) {
      if (!Overlap(known, wanted[i])) continue;
      return InvalidArgument(
          "ERR Prefix '{}' overlaps with an existing prefix '{}'. Prefixes for a single client must not overlap.",
          wanted[i], known);
    }
    for (size_t j = i + 1; j < wanted.size(); ++j) {
      if (!Overlap(wanted[i], wanted[j])) continue;
      return InvalidArgument(
          "ERR Prefix '{}' overlaps with another provided prefix '{}'. Prefixes for a single client must not overlap.",
          wanted[i], wanted[j]);
    }
  }
  return absl::OkStatus();
}

// Whether what the next command reads is remembered.
bool Wants(const ClientTracking& tracking) {
  return !tracking.bcast && (!tracking.optin || tracking.caching) && (!tracking.optout || !tracking.caching);
}

// Places of the request's keys that are keys (channels of SPUBLISH are not).
std::vector<int> KeysOf(const CommandSpec& spec, Args args) {
  if ((spec.flags & kPubsub) != 0) return {};
  return FindKeys(spec, args);
}

}  // namespace

Tracking::Tracking(config::Config& config, ClientRegistry& clients) : config_(config), clients_(clients) {
  config.OnChange("tracking-table-max-keys", [this] {
    const MutexLock lock(mutex_);
    Trim();
    return absl::OkStatus();
  });
}

absl::Status Tracking::Enable(Client& client, const ClientTracking& wanted) {
  const ClientTracking* now = client.tracking.get();
  TM_RETURN_IF_ERROR(CheckModes(now, wanted));
  TM_RETURN_IF_ERROR(CheckPrefixes(now, wanted.prefixes));
  auto tracking = std::make_shared<ClientTracking>();
  tracking->bcast = wanted.bcast;
  tracking->optin = wanted.optin;
  tracking->optout = wanted.optout;
  tracking->noloop = wanted.noloop;
  tracking->redirect = wanted.redirect;
  if (now != nullptr) tracking->prefixes = now->prefixes;
  std::vector<std::string> added = wanted.prefixes;
  // Without prefixes BCAST means every key, which the empty prefix says.
  if (wanted.bcast && added.empty()) added.emplace_back();
  for (std::string& prefix : added) {
    const bool known =
        std::find(tracking->prefixes.begin(), tracking->prefixes.end(), prefix) != tracking->prefixes.end();
    if (!known) tracking->prefixes.push_back(std::move(prefix));
  }
  clients_.SetTracking(client, tracking);
  const MutexLock lock(mutex_);
  for (const std::string& prefix : tracking->prefixes) prefixes_[prefix].insert(client.id);
  tracking_.insert_or_assign(client.id, Tracked{&client, std::move(tracking)});
  tracked_.store(tracking_.size(), std::memory_order_relaxed);
  return absl::OkStatus();
}

void Tracking::Disable(Client& client) {
  if (client.tracking == nullptr) return;
  const std::shared_ptr<ClientTracking> had = client.tracking;
  clients_.SetTracking(client, nullptr);
  const MutexLock lock(mutex_);
  for (const std::string& prefix : had->prefixes) {
    const auto listeners = prefixes_.find(prefix);
    listeners->second.erase(client.id);
    if (listeners->second.empty()) prefixes_.erase(listeners);
  }
  tracking_.erase(client.id);
  tracked_.store(tracking_.size(), std::memory_order_relaxed);
}

void Tracking::RememberKeys(Client& client, const CommandSpec& spec, Args args) {
  if (!Wants(*client.tracking)) return;
  const std::vector<int> keys = KeysOf(spec, args);
  if (keys.empty()) return;
  const MutexLock lock(mutex_);
  for (const int key : keys) items_ += readers_[std::string(args[static_cast<size_t>(key)])].insert(client.id).second;
  Trim();
}

bool Tracking::StillRemembers(const Client& client, const CommandSpec& spec, Args args) const {
  if (client.tracking == nullptr || (spec.flags & kReadonly) == 0 || !Wants(*client.tracking)) return true;
  const MutexLock lock(mutex_);
  for (const int key : KeysOf(spec, args)) {
    const auto found = readers_.find(std::string(args[static_cast<size_t>(key)]));
    if (found == readers_.end() || !found->second.contains(client.id)) return false;
  }
  return true;
}

void Tracking::EndCommand(Client& client, const CommandSpec& spec) {
  if (client.tracking == nullptr || client.in_multi || spec.name == "caching") return;
  client.tracking->caching = false;
}

// As many as tracking-table-max-keys allows; who loses a key is told that it changed, as in Redis.
void Tracking::Trim() {
  const auto most = static_cast<size_t>(config_.Integer("tracking-table-max-keys"));
  while (most != 0 && readers_.size() > most) TellOfKey(std::string(readers_.begin()->first), nullptr);
}

bool Tracking::HasChanges() { return changes.flushed || !changes.keys.empty(); }

void Tracking::NoteFlush() { changes.flushed = true; }

void Tracking::OnKeyChanged(DbIndex, std::string_view key) {
  if (listening()) changes.keys.emplace_back(key);
}

void Tracking::OnContentsReplaced(DbIndex) { changes.flushed = changes.flushed || listening(); }

// The sweeper's thread tells nothing afterwards.
void Tracking::OnKeyExpired(DbIndex, std::string_view key) {
  changes = {};
  if (!listening()) return;
  const std::vector<std::string> keys = {std::string(key)};
  const MutexLock lock(mutex_);
  TellOfKey(key, nullptr);
  TellPrefixes(keys, nullptr);
}

void Tracking::Tell(const Client* origin) {
  Changes told = std::exchange(changes, {});
  // Each once, in the order of the first change.
  absl::flat_hash_set<std::string_view> seen;
  std::vector<std::string> keys;
  for (const std::string& key : told.keys) {
    if (seen.insert(key).second) keys.push_back(key);
  }
  told.keys = std::move(keys);
  const MutexLock lock(mutex_);
  if (told.flushed) TellFlush();
  for (const std::string& key : told.keys) TellOfKey(key, origin);
  TellPrefixes(told.keys, origin);
}

void Tracking::TellOfKey(std::string_view key, const Client* origin) {
  const auto found = readers_.find(std::string(key));
  if (found == readers_.end()) return;
  const Ids readers = std::move(found->second);
  items_ -= readers.size();
  readers_.erase(found);
  const std::vector<std::string_view> keys = {key};
  for (const uint64_t reader : readers) {
    // Who has gone over to prefixes since is told by those.
    const auto tracked = tracking_.find(reader);
    if (tracked != tracking_.end() && !tracked->second.how->bcast) SendTo(reader, keys, origin);
  }
}

void Tracking::TellPrefixes(const std::vector<std::string>& keys, const Client* origin) {
  for (const auto& [prefix, listeners] : prefixes_) {
    std::vector<std::string_view> fitting;
    for (const std::string& key : keys) {
      if (key.starts_with(prefix)) fitting.push_back(key);
    }
    if (fitting.empty()) continue;
    for (const uint64_t listener : listeners) SendTo(listener, fitting, origin);
  }
}

void Tracking::TellFlush() {
  for (const auto& [id, tracked] : tracking_) Send(tracked, nullptr);
  readers_.clear();
  items_ = 0;
}

void Tracking::SendTo(uint64_t id, const std::vector<std::string_view>& keys, const Client* origin) {
  const auto found = tracking_.find(id);
  if (found == tracking_.end()) return;
  const bool own = found->second.client == origin;
  if (!own || !found->second.how->noloop) Send(found->second, &keys);
}

void Tracking::Send(const Tracked& tracked, const std::vector<std::string_view>* keys) {
  Client& client = *tracked.client;
  const ClientTracking& tracking = *tracked.how;
  const auto send = [keys](Client& receiver, bool redirected) {
    std::string message = MessageFor(receiver, redirected, keys);
    if (!message.empty()) receiver.Deliver(std::make_shared<const std::string>(std::move(message)));
  };
  if (tracking.redirect == 0) {
    send(client, false);
    return;
  }
  const bool found = clients_.With(tracking.redirect, [&](Client& receiver) { send(receiver, true); });
  if (found) return;
  tracking.broken.store(true, std::memory_order_relaxed);
  if (client.protocol > 2) client.Deliver(std::make_shared<const std::string>(BrokenRedirect(tracking.redirect)));
}

Tracking::Stats Tracking::stats() const {
  const MutexLock lock(mutex_);
  return {.clients = tracking_.size(), .keys = readers_.size(), .items = items_, .prefixes = prefixes_.size()};
}

}  // namespace tidemark::commands
