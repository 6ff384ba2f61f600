#include "commands/blocked_clients.h"

#include <algorithm>
#include <chrono>

#include "commands/client_registry.h"

namespace tidemark::commands {
namespace {

thread_local int serves_itself = 0;

// Further waits than this have no end; milliseconds are signed in std::chrono.
constexpr uint64_t kLongestWaitMs = INT64_MAX;

}  // namespace

BlockedClients::StandIn::StandIn(const Client& client) {
  id = client.id;
  address = client.address;
  local_address = client.local_address;
  name = client.name;
  fd = client.fd;
  db = client.db.load();
  protocol = client.protocol.load();
  authenticated = client.authenticated;
  user = client.user;
}

BlockedClients::Waiter::Waiter(uint64_t arrival, const Client& caller, const CommandSpec& command, Args words,
                               KeyWait key_wait)
    : number(arrival),
      spec(&command),
      args(key_wait.args.empty() ? std::vector<std::string>(words.begin(), words.end()) : key_wait.args),
      wait(std::move(key_wait)),
      client(caller) {}

std::shared_ptr<Deferred> BlockedClients::Add(const Client& client, const CommandSpec& spec, Args args, KeyWait wait) {
  const MutexLock lock(mutex_);
  const uint64_t number = ++last_number_;
  const auto waiter = std::make_shared<Waiter>(number, client, spec, args, std::move(wait));
  waiter->deferred->OnCancel([this, number] { Remove(number); });
  waiter->deferred->OnTimeout([reply = waiter->wait.timed_out] { return reply; });
  if (const uint64_t timeout = waiter->wait.timeout_ms; timeout != 0) {
    waiter->deferred->SetTimeout(std::chrono::milliseconds(std::min(timeout, kLongestWaitMs)));
  }
  for (const std::string& key : waiter->wait.keys) {
    Lines& lines = lines_[Place(waiter->client.db.load().value, key)];
    auto line = std::find_if(lines.begin(), lines.end(), [&](const auto& each) { return each.first == spec.group; });
    if (line == lines.end()) line = lines.insert(line, {spec.group, Line()});
    line->second.emplace(number, waiter);
  }
  waiters_.emplace(number, waiter);
  waiting_.store(waiters_.size(), std::memory_order_relaxed);
  return waiter->deferred;
}

void BlockedClients::Remove(uint64_t number) {
  const MutexLock lock(mutex_);
  const auto found = waiters_.find(number);
  if (found == waiters_.end()) return;
  const std::shared_ptr<Waiter> waiter = found->second;
  waiters_.erase(found);
  waiting_.store(waiters_.size(), std::memory_order_relaxed);
  for (const std::string& key : waiter->wait.keys) {
    const auto lines = lines_.find(Place(waiter->client.db.load().value, key));
    if (lines == lines_.end()) continue;  // the client named the key twice
    for (auto& [group, line] : lines->second) line.erase(number);
    std::erase_if(lines->second, [](const auto& each) { return each.second.empty(); });
    if (lines->second.empty()) lines_.erase(lines);
  }
}

void BlockedClients::UnblockAll(ClientRegistry& clients) {
  std::vector<std::shared_ptr<Waiter>> all;
  {
    const MutexLock lock(mutex_);
    for (const auto& [number, waiter] : waiters_) all.push_back(waiter);
  }
  for (const std::shared_ptr<Waiter>& waiter : all) {
    Remove(waiter->number);
    if (!waiter->deferred->Claim()) continue;
    waiter->deferred->Finish(
        "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n", Lsn{});
    clients.CloseAfterReplies(waiter->client.id);
  }
}

BlockedClients::ServesItself::ServesItself() { ++serves_itself; }
BlockedClients::ServesItself::~ServesItself() { --serves_itself; }

void BlockedClients::Signal(const Place& place) {
  if (!is_ready_.insert(place).second) return;
  ready_.push_back(place);
  has_ready_.store(true, std::memory_order_relaxed);
  if (serves_itself == 0) neglected_();
}

void BlockedClients::OnKeyChanged(DbIndex db, std::string_view key) {
  if (!listening()) return;
  const Place place(db.value, key);
  const MutexLock lock(mutex_);
  if (lines_.contains(place)) Signal(place);
}

void BlockedClients::OnContentsReplaced(DbIndex db) {
  if (!listening()) return;
  const MutexLock lock(mutex_);
  std::vector<std::pair<uint64_t, const Place*>> places;
  for (const auto& [place, lines] : lines_) {
    if (place.first == db.value) places.emplace_back(lines.front().second.begin()->first, &place);
  }
  // The map has no order; who came first shall be served first.
  std::sort(places.begin(), places.end());
  for (const auto& [number, place] : places) Signal(*place);
}

std::optional<BlockedClients::Place> BlockedClients::TakeReady() {
  const MutexLock lock(mutex_);
  if (ready_.empty()) {
    has_ready_.store(false, std::memory_order_relaxed);
    return std::nullopt;
  }
  Place place = std::move(ready_.front());
  ready_.pop_front();
  is_ready_.erase(place);
  return place;
}

void BlockedClients::PutBack(Place place) {
  {
    const MutexLock lock(mutex_);
    if (is_ready_.insert(place).second) ready_.push_front(std::move(place));
    has_ready_.store(false, std::memory_order_relaxed);
  }
  neglected_();
}

std::shared_ptr<BlockedClients::Waiter> BlockedClients::Next(const Place& place, Pass* pass) {
  const MutexLock lock(mutex_);
  if (pass->until == 0) pass->until = last_number_;
  const auto lines = lines_.find(place);
  if (lines == lines_.end()) return nullptr;
  std::shared_ptr<Waiter> next;
  for (const auto& [group, line] : lines->second) {
    if (std::find(pass->without.begin(), pass->without.end(), group) != pass->without.end()) continue;
    const auto waiter = line.upper_bound(pass->after);
    if (waiter == line.end() || waiter->first > pass->until) continue;
    if (next == nullptr || waiter->first < next->number) next = waiter->second;
  }
  if (next != nullptr) pass->after = next->number;
  return next;
}

}  // namespace tidemark::commands
