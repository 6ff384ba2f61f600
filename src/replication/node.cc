#include "replication/node.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "env/random.h"
#include "replication/join.h"
#include "replication/psync_link.h"

namespace tidemark::replication {
namespace {

using Json = nlohmann::json;

constexpr const char* kFile = "replication.json";
constexpr std::chrono::milliseconds kTidyEvery{10'000};

// Two threads may know of two positions at once: the later one stays.
void Raise(std::atomic<uint64_t>* position, Lsn to) {
  uint64_t now = position->load();
  while (now < to.value && !position->compare_exchange_weak(now, to.value)) {
  }
}

absl::Status Precondition(std::string_view text) { return Errorf(absl::StatusCode::kFailedPrecondition, "{}", text); }

}  // namespace

absl::StatusOr<Remembered> ReadRemembered(FileSystem& fs, const std::string& folder) {
  const std::string path = folder + "/" + kFile;
  const absl::StatusOr<std::string> text = ReadWholeFile(fs, path);
  if (absl::IsNotFound(text.status())) return Remembered{.node_id = IdToHex(RandomId()), .primary = {}};
  TM_RETURN_IF_ERROR(text.status());
  const Json json = Json::parse(*text, nullptr, false);
  try {
    Remembered remembered{.node_id = json.at("node_id").get<std::string>(), .primary = {}};
    if (json.contains("primary")) {
      remembered.primary =
          Endpoint{json.at("primary").at("host").get<std::string>(), json.at("primary").at("port").get<uint16_t>()};
    }
    return remembered;
  } catch (const Json::exception&) {
    return Errorf(absl::StatusCode::kDataLoss,
                  "{} is damaged. Remove it, and say with REPLICAOF what this node is to be", path);
  }
}

Node::Node(engine::Engine& engine, FileSystem& fs, Clock& clock, NodeOptions options)
    : engine_(engine),
      fs_(fs),
      clock_(clock),
      options_(std::move(options)),
      replicas_(clock),
      source_(engine, fs, clock, replicas_, options_.remembered.node_id, options_.source),
      role_(options_.remembered.primary ? Role::kReplica : Role::kPrimary),
      primary_(options_.remembered.primary) {}

Node::~Node() { Stop(); }

absl::Status Node::Start() {
  TM_RETURN_IF_ERROR(source_.Load());
  std::optional<engine::Identity> identity;
  TM_RETURN_IF_ERROR(ReadIdentity(&identity));
  TM_RETURN_IF_ERROR(Remember(options_.remembered.primary));
  if (!options_.remembered.primary) ForgetPsync();
  source_.Open();
  const MutexLock lock(mutex_);
  if (identity) history_ = HistoryOf(*identity);
  if (primary_ && !wish_) wish_ = Wish{primary_};
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void Node::Stop() {
  std::shared_ptr<Follower> link;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.SignalAll();
    link = link_;
  }
  source_.Close("the node is stopping");
  replicas_.EndWaits();
  source_.Stop();
  if (link != nullptr) link->Stop();
  if (thread_.joinable()) thread_.join();
  {
    const MutexLock lock(mutex_);
    link = std::exchange(link_, nullptr);
  }
  if (link != nullptr) link->Stop();
}

absl::Status Node::ReadIdentity(std::optional<engine::Identity>* identity) const {
  return engine_.Read(kv::Tier::kDisk, [&](kv::Txn& txn) -> absl::Status {
    TM_ASSIGN_OR_RETURN(*identity, engine::ReadIdentity(txn));
    return absl::OkStatus();
  });
}

absl::Status Node::Remember(const std::optional<Endpoint>& primary) {
  Json json{{"node_id", options_.remembered.node_id}};
  if (primary) json["primary"] = {{"host", primary->host}, {"port", primary->port}};
  return ReplaceWholeFile(fs_, options_.folder, kFile, json.dump());
}

void Node::DurableAdvanced(Lsn durable) {
  Raise(&local_durable_, durable);
  replicas_.LocalAdvanced();
  const MutexLock lock(mutex_);
  if (link_ != nullptr) link_->DurableAdvanced();
}

bool Node::link_up() const {
  const MutexLock lock(mutex_);
  return link_ != nullptr && link_->up();
}

replication::Status Node::status() const {
  replication::Status status;
  std::shared_ptr<Follower> link;
  {
    const MutexLock lock(mutex_);
    status.role = role();
    status.history = history_;
    status.failover = failover_state_;
    link = link_;
    if (status.role == Role::kReplica) {
      status.link = LinkStatus{};
      if (primary_) status.link->primary = *primary_;
    }
  }
  if (status.link && link != nullptr) status.link = link->status();
  status.node_id = options_.remembered.node_id;
  {
    const auto pin = engine_.Pin();
    status.end = engine_.last_end();
    if (status.link && (status.history.empty() || status.history.back().timeline != engine_.log().timeline())) {
      std::optional<engine::Identity> identity;
      if (ReadIdentity(&identity).ok() && identity) {
        status.history = HistoryOf(*identity);
        const MutexLock lock(mutex_);
        history_ = status.history;
      }
    }
  }
  // To whoever asks, the position of a Redis's replica is the one in its primary's stream.
  if (link != nullptr) status.end = Lsn{link->foreign_offset().value_or(status.end.value)};
  status.replicas = replicas_.status();
  status.counters = replicas_.counters();
  return status;
}

void Node::Follow(const Endpoint& primary) {
  const MutexLock lock(mutex_);
  if (role_ == Role::kReplica && primary_ == primary && !wish_) return;
  role_ = Role::kReplica;
  primary_ = primary;
  wish_ = Wish{primary};
  changed_.SignalAll();
}

void Node::Promote() {
  const MutexLock lock(mutex_);
  if (role_ == Role::kPrimary) return;
  // The role is the primary's at once, so that writes wait rather than fail.
  held_ = true;
  role_ = Role::kPrimary;
  primary_.reset();
  wish_ = Wish{};
  changed_.SignalAll();
}

uint64_t Node::Wait(Lsn target, size_t replicas, bool durably, bool local, std::chrono::milliseconds timeout,
                    std::function<void(const Waited&)> done) {
  {
    const auto pin = engine_.Pin();
    Raise(&local_durable_, engine_.log().durable());
  }
  return replicas_.Wait(target, replicas, durably, local, timeout, std::move(done),
                        [this] { return Lsn{local_durable_.load()}; });
}

void Node::Run() {
  auto tidy_at = std::chrono::steady_clock::now() + kTidyEvery;
  while (true) {
    std::optional<Wish> wish;
    bool failover = false;
    {
      const MutexLock lock(mutex_);
      while (!stopping_ && !wish_ && !failover_) {
        if (!changed_.WaitUntil(mutex_, tidy_at)) break;
      }
      if (stopping_) return;
      wish = std::exchange(wish_, std::nullopt);
      failover = failover_.has_value();
    }
    if (wish && wish->primary) {
      BecomeReplica(*wish->primary, wish->redis);
    } else if (wish) {
      BecomePrimary();
    } else if (failover) {
      RunFailover();
    }
    if (std::chrono::steady_clock::now() >= tidy_at) {
      source_.Tidy();
      tidy_at = std::chrono::steady_clock::now() + kTidyEvery;
    }
  }
}

void Node::BecomeReplica(const Endpoint& primary, bool redis) {
  options_.report(fmt::format("replication: becomes a replica of {}:{}", primary.host, primary.port));
  std::shared_ptr<Follower> former;
  {
    const MutexLock lock(mutex_);
    former = std::exchange(link_, nullptr);
  }
  // Others may look at it for a moment longer (status), but nothing of it goes on.
  if (former != nullptr) former->Stop();
  // Before anything is received, nothing of our own may still be on its way into the log.
  options_.hooks.stop_writing();
  engine_.SetSweeping(false);
  if (!options_.hooks.exclusively([] {}).ok()) return;
  engine_.SetFollowing(true);
  if (options_.hooks.refuses_writes) options_.hooks.refuses_writes();
  replicas_.EndWaits();
  if (const absl::Status kept = Remember(primary); !kept.ok()) {
    options_.report(fmt::format("replication: the role cannot be written down: {}", Message(kept)));
  }
  LetWrite();
  if (redis) {
    StartPsync(primary);
  } else {
    StartLink(primary);
  }
}

void Node::FollowAs(const Endpoint& primary, bool redis) {
  const MutexLock lock(mutex_);
  if (stopping_ || wish_ || primary_ != primary) return;
  wish_ = Wish{.primary = primary, .redis = redis};
  changed_.SignalAll();
}

// The node's own log goes on: what a Redis sends becomes records of its own, which its replicas and archives can
// follow.
void Node::StartPsync(const Endpoint& primary) {
  engine_.SetFollowing(false);
  const absl::StatusOr<engine::Identity> identity = engine::EnsureIdentity(engine_, clock_);
  if (!identity.ok()) {
    options_.report(fmt::format("replication: {}", Message(identity.status())));
    return StartLink(primary);
  }
  options_.report(fmt::format("replication: {}:{} is a Redis: follows it as its replica", primary.host, primary.port));
  PsyncOptions options;
  options.primary = primary;
  options.announced = options_.announced();
  options.upstream = options_.upstream;
  options.connect = options_.connect_redis;
  options.sink = options_.commands();
  options.retry = options_.retry;
  options.not_redis = [this, primary] { FollowAs(primary, /*redis=*/false); };
  options.report = options_.report;
  auto link = std::make_shared<PsyncLink>(clock_, std::move(options));
  const MutexLock lock(mutex_);
  history_ = HistoryOf(*identity);
  link_ = std::move(link);
}

void Node::ForgetPsync() {
  CommandSink* sink = options_.commands == nullptr ? nullptr : options_.commands();
  if (sink == nullptr) return;
  const absl::StatusOr<std::optional<PsyncPosition>> position = sink->Position();
  absl::Status forgotten = position.status();
  if (position.ok() && *position) forgotten = sink->Apply({}, std::nullopt);
  if (!forgotten.ok()) options_.report(fmt::format("replication: {}", Message(forgotten)));
}

void Node::StartLink(const Endpoint& primary) {
  LinkOptions options;
  options.node_id = options_.remembered.node_id;
  options.primary = primary;
  options.announced = options_.announced;
  options.upstream = options_.upstream;
  options.connect = options_.connect;
  options.folder = options_.folder;
  options.segment_size = options_.segment_size;
  options.retry = options_.retry;
  options.reopen = [this](absl::FunctionRef<absl::Status(Lsn)> between) { return ReopenEngine(between); };
  options.read_archive = options_.read_archive;
  options.take_over = [this] { Promote(); };
  if (options_.connect_redis != nullptr) {
    options.met_redis = [this, primary] { FollowAs(primary, /*redis=*/true); };
  }
  options.met_primary = [this](const std::string& id) { source_.SetPrimary(id); };
  options.report = options_.report;
  auto link = std::make_shared<Link>(engine_, fs_, clock_, std::move(options));
  const MutexLock lock(mutex_);
  link_ = std::move(link);
}

absl::Status Node::ReopenEngine(absl::FunctionRef<absl::Status(Lsn persisted)> between) {
  source_.Close("the node takes up another log");
  source_.LetGo();
  absl::Status done;
  bool broken = false;
  TM_RETURN_IF_ERROR(options_.hooks.exclusively([&] {
    bool ran = false;
    done = engine_.Reopen(/*received=*/true, [&](Lsn persisted) {
      ran = true;
      return between(persisted);
    });
    broken = !ran;
    if (broken) return;
    local_durable_ = engine_.log().durable().value;
    options_.hooks.exchanged();
  }));
  if (broken) return done;
  std::optional<engine::Identity> identity;
  TM_RETURN_IF_ERROR(ReadIdentity(&identity));
  {
    const MutexLock lock(mutex_);
    if (identity) history_ = HistoryOf(*identity);
  }
  source_.Open();
  return done;
}

// What an archive got between a look and the announcement is on the former timeline, beyond the fork: then the fork
// moves, under the next number, until a look after the announcement shows nothing new.
engine::Identity Node::TakeOverArchives(const engine::Identity& former) {
  const auto apply = [this](std::string_view records) -> absl::Status {
    while (!records.empty()) {
      TM_ASSIGN_OR_RETURN(const size_t done, engine_.ApplyReceived(records));
      if (done == 0) return Errorf(absl::StatusCode::kUnavailable, "the store has to catch up first");
      records.remove_prefix(done);
    }
    return absl::OkStatus();
  };
  NodeHooks::Adopted adopted;
  const auto look = [&] {
    if (options_.hooks.adopt == nullptr) return false;
    const absl::StatusOr<NodeHooks::Adopted> found = options_.hooks.adopt(apply);
    if (!found.ok()) {
      options_.report(
          fmt::format("replication: promoted without a look into every archive: {}", Message(found.status())));
      return false;
    }
    adopted.newest = std::max(adopted.newest, found->newest);
    return found->any;
  };
  look();
  Timeline number = std::max({former.timeline, engine_.log().timeline(), adopted.newest});
  while (true) {
    number.value += 1;
    if (const absl::Status synced = engine_.log().SyncTo(engine_.last_end()); !synced.ok()) {
      options_.report(fmt::format("replication: promotion: {}", Message(synced)));
    }
    const log::Log::Tail tail = engine_.Tail();
    engine::Identity next =
        engine::NextTimeline(former, number, tail.end, tail.timestamp, clock_.WallMicros(), "promotion");
    if (options_.hooks.announce == nullptr) return next;
    const absl::Status announced = options_.hooks.announce(former, next);
    if (!announced.ok()) {
      options_.report(fmt::format("replication: promoted before every archive knows it: {}", Message(announced)));
      return next;
    }
    if (!look()) return next;
    number = std::max(number, adopted.newest);
  }
}

absl::Status Node::StartTimeline() {
  std::optional<engine::Identity> identity;
  TM_RETURN_IF_ERROR(ReadIdentity(&identity));
  if (!identity) return absl::OkStatus();  // nothing was ever received: the node is new
  const engine::Identity next = TakeOverArchives(*identity);
  engine_.StartTimeline(next.timeline);
  TM_RETURN_IF_ERROR(engine_.Write(kv::Tier::kDisk, /*growing=*/false, [&](kv::Txn& txn) {
    engine::WriteIdentity(txn, next);
    return absl::OkStatus();
  }));
  engine_.EndTurn();
  TM_RETURN_IF_ERROR(engine_.log().SyncTo(engine_.last_end()));
  options_.report(fmt::format("replication: is the primary, on timeline {} from lsn:{:x} on", next.timeline.value,
                              next.fork.value));
  const MutexLock lock(mutex_);
  history_ = HistoryOf(next);
  return absl::OkStatus();
}

void Node::BecomePrimary() {
  std::shared_ptr<Follower> former;
  {
    const MutexLock lock(mutex_);
    former = std::exchange(link_, nullptr);
  }
  if (former != nullptr) former->Stop();
  engine_.SetFollowing(false);
  if (const absl::Status held = source_.HoldForFormerPrimary(); !held.ok()) {
    options_.report(fmt::format("replication: no log is held for the former primary: {}", Message(held)));
  }
  ForgetPsync();
  source_.SetPrimary({});
  absl::Status started = StartTimeline();
  if (started.ok()) started = Remember(std::nullopt);
  if (!started.ok()) options_.report(fmt::format("replication: promotion: {}", Message(started)));
  engine_.SetSweeping(true);
  options_.hooks.start_writing();
  LetWrite();
}

void Node::LetWrite() {
  const MutexLock lock(mutex_);
  if (!wish_ && !failover_) held_ = false;
}

absl::Status Node::Failover(const FailoverRequest& request) {
  const std::vector<ReplicaStatus> replicas = replicas_.status();
  const MutexLock lock(mutex_);
  if (failover_) return Precondition("FAILOVER already in progress.");
  if (role_ == Role::kReplica) return Precondition("FAILOVER is not valid when server is a replica.");
  const bool any = std::any_of(replicas.begin(), replicas.end(), [](const auto& replica) { return replica.connected; });
  if (!any) return Precondition("FAILOVER requires connected replicas.");
  if (request.to) {
    const bool there = std::any_of(replicas.begin(), replicas.end(), [&](const auto& replica) {
      return replica.connected && replica.address == *request.to;
    });
    if (!there) return Precondition("FAILOVER target HOST and PORT is not a replica.");
  }
  failover_ = request;
  failover_state_ = FailoverState::kWaitForSync;
  failover_until_ =
      request.timeout.count() == 0 ? SteadyTime::max() : std::chrono::steady_clock::now() + request.timeout;
  held_ = true;
  changed_.SignalAll();
  return absl::OkStatus();
}

absl::Status Node::AbortFailover() {
  const MutexLock lock(mutex_);
  if (!failover_) return Precondition("No failover in progress.");
  // The replica may be taking writes already: there is one way on only.
  if (failover_state_ == FailoverState::kInProgress) {
    return Precondition("The failover cannot be aborted any more: the replica was told to take over.");
  }
  failover_.reset();
  failover_state_ = FailoverState::kNone;
  held_ = false;
  changed_.SignalAll();
  return absl::OkStatus();
}

std::optional<ReplicaStatus> Node::Heir(Lsn target) const {
  std::optional<FailoverRequest> request;
  bool late = false;
  {
    const MutexLock lock(mutex_);
    request = failover_;
    late = std::chrono::steady_clock::now() >= failover_until_;
  }
  if (!request) return std::nullopt;
  for (const ReplicaStatus& replica : replicas_.status()) {
    if (!replica.connected || replica.loading) continue;
    if (request->to && replica.address != *request->to) continue;
    if (replica.acknowledged.written >= target || (late && request->force)) return replica;
  }
  return std::nullopt;
}

void Node::EndFailover(const std::string& why) {
  options_.report(fmt::format("replication: the failover has ended: {}", why));
  const MutexLock lock(mutex_);
  failover_.reset();
  failover_state_ = FailoverState::kNone;
}

void Node::RunFailover() {
  // What clients had begun is in the log after this.
  if (!options_.hooks.exclusively([] {}).ok()) return;
  engine_.SetSweeping(false);
  const Lsn target = engine_.last_end();
  engine_.EndTurn();
  engine_.log().RequestSync(target);
  std::optional<ReplicaStatus> heir;
  while (true) {
    heir = Heir(target);
    const MutexLock lock(mutex_);
    if (stopping_ || heir) break;
    const bool over = std::chrono::steady_clock::now() >= failover_until_;
    if (!failover_ || over || wish_) {
      engine_.SetSweeping(true);
      held_ = false;
      failover_.reset();
      failover_state_ = FailoverState::kNone;
      return;
    }
    changed_.WaitUntil(mutex_,
                       std::min(failover_until_, std::chrono::steady_clock::now() + std::chrono::milliseconds(5)));
  }
  if (!heir) return;
  {
    const MutexLock lock(mutex_);
    failover_state_ = FailoverState::kInProgress;
  }
  options_.report(fmt::format("replication: hands over to {}:{}", heir->address.host, heir->address.port));
  source_.HandOver(heir->id);
  // The replica that takes over ends its stream; one that has died has ended it, too.
  while (true) {
    const std::vector<ReplicaStatus> replicas = replicas_.status();
    const bool there = std::any_of(replicas.begin(), replicas.end(),
                                   [&](const auto& replica) { return replica.id == heir->id && replica.connected; });
    const MutexLock lock(mutex_);
    if (stopping_) return;
    if (!there) break;
    changed_.WaitUntil(mutex_, std::chrono::steady_clock::now() + std::chrono::milliseconds(5));
  }
  Follow(heir->address);
  EndFailover(fmt::format("{}:{} is the primary", heir->address.host, heir->address.port));
}

}  // namespace tidemark::replication
