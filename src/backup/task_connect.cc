// How a task finds out where it stands: by asking the archive, holding the log there, and taking a base where the two
// no longer meet.
#include <algorithm>
#include <map>
#include <utility>

#include "archive/base.h"
#include "backup/task.h"
#include "env/random.h"
#include "format/log_format.h"

namespace tidemark::backup {
namespace {

using std::chrono::steady_clock;

// A flush has the task's patience; of the rest, what is large is not begun again for every reset.
constexpr int kFlushRetries = 2;
constexpr int kUpkeepRetries = 6;
constexpr const char* kLogGone = "the log no longer has what follows the archive";

}  // namespace

absl::Status Task::Publish(std::unique_ptr<objstore::ObjectStore> store,
                           std::unique_ptr<objstore::ObjectStore> upkeep) {
  const MutexLock lock(mutex_);
  if (phase_ == Phase::kHalted) return absl::CancelledError("the task has stopped");
  store_ = store.get();
  stores_.push_back(std::move(store));
  stores_.push_back(std::move(upkeep));
  return absl::OkStatus();
}

// Opens what the configuration names; what is open stays open.
absl::Status Task::OpenStores() {
  if (keys_ == nullptr) {
    if (config_.key_file.empty()) {
      keys_ = archive::KeyRing::Empty();
    } else {
      TM_ASSIGN_OR_RETURN(keys_, archive::KeyRing::Load(parts_.fs, config_.key_file));
    }
  }
  if (store_ == nullptr) {
    TM_ASSIGN_OR_RETURN(auto store, parts_.open_store(config_.storage, {.retries = kFlushRetries}));
    TM_ASSIGN_OR_RETURN(
        auto upkeep, parts_.open_store(config_.storage, {.retries = kUpkeepRetries, .rate_limit = config_.rate_limit}));
    TM_RETURN_IF_ERROR(Publish(std::move(store), std::move(upkeep)));
  }
  if (uploader_ != nullptr) return absl::OkStatus();
  TM_ASSIGN_OR_RETURN(const objstore::Capabilities capabilities, store_->Probe(IdToHex(RandomId())));
  {
    const MutexLock lock(mutex_);
    capabilities_ = capabilities;
  }
  const UploaderOptions options{.codec = {.zstd_level = config_.compression_level, .keys = keys_},
                                .origin = {.cluster_id = parts_.identity.cluster_id,
                                           .timeline = parts_.identity.timeline,
                                           .timeline_id = parts_.identity.timeline_id},
                                .object_bytes = config_.flush_bytes,
                                .parallel = parts_.timings.parallel};
  uploader_ = std::make_unique<Uploader>(parts_.engine.log(), *store_, options);
  return absl::OkStatus();
}

absl::Status Task::Claim() {
  TM_RETURN_IF_ERROR(OpenStores());
  return ClaimArchive(*store_, parts_.identity, parts_.clock.WallMicros());
}

absl::Status Task::TakeLease(Lsn position) {
  const bool capped = config_.hold_bytes != 0 || config_.hold_time.count() != 0;
  const auto age = std::chrono::microseconds(config_.hold_time).count();
  return parts_.engine.log().TakeLease({.name = lease_name_,
                                        .lease_class = capped ? log::LeaseClass::kBounded : log::LeaseClass::kRequired,
                                        .position = position,
                                        .max_bytes = config_.hold_bytes,
                                        .max_age_micros = static_cast<uint64_t>(age)});
}

// An object at the end of the chain that cannot be read is put out of the way, until there is none: then what it held
// is sent again, or, where the log no longer has it, a base leads on behind it.
absl::StatusOr<Task::Connection> Task::Connect() {
  TM_RETURN_IF_ERROR(Claim());
  std::string damage;
  while (true) {
    std::map<std::string, absl::Status> documents;
    TM_ASSIGN_OR_RETURN(const archive::Catalog catalog,
                        archive::Catalog::Load(*store_, /*with_files=*/false, &documents));
    if (!documents.empty()) {
      return Errorf(absl::StatusCode::kFailedPrecondition, "the archive at {} is damaged: {}", store_->display_uri(),
                    Message(documents.begin()->second));
    }
    TM_ASSIGN_OR_RETURN(ArchivePosition position, FindPosition(*store_, catalog, parts_.identity));
    const Lsn end = parts_.engine.log().appended();
    if (position.end > end) {
      return FencedError(
          fmt::format("the archive at {} has timeline {} up to lsn:{:x}, this server's log ends at lsn:{:x}: it has "
                      "lost its end, or another server writes there. What it lacks is in the archive: "
                      "restore from it",
                      store_->display_uri(), parts_.identity.timeline.value, position.end.value, end.value));
    }
    std::string damaged = position.damaged;
    if (damaged.empty()) {
      absl::StatusOr<Connection> connection = ConnectAt(position, damage, &damaged);
      if (connection.ok() || damaged.empty()) return connection;
      position.damage = Message(connection.status());
    }
    damage = position.damage;
    TM_RETURN_IF_ERROR(PutOutOfTheWay(damaged, damage));
  }
}

absl::Status Task::PutOutOfTheWay(const std::string& key, const std::string& damage) {
  if (const absl::Status aside = SetAside(*store_, key); !aside.ok()) {
    return Errorf(aside.code(), "{}; it could not be set aside: {}", damage, Message(aside));
  }
  parts_.report(
      fmt::format("backup {}: {}. It was set aside as {}{}", config_.name, damage, format::kSetAsideFolder, key));
  return absl::OkStatus();
}

// `damage`: what was set aside before; `damaged`: with an error, the object that it is about, if it is one's own.
absl::StatusOr<Task::Connection> Task::ConnectAt(ArchivePosition position, const std::string& damage,
                                                 std::string* damaged) {
  // The archive has promised that nothing at or below this comes any more; who promised it may have been another
  // server, from which this one's data were restored.
  parts_.engine.clock().RaiseFloor(position.closed);
  // From where the log still has all that the archive lacks; a base further on does not replace what leads to it.
  bool gap = false;
  std::vector<ChainEnd> chains = position.shorter;
  if (position.found) chains.push_back(position);
  for (const ChainEnd& chain : chains) {
    const absl::Status held = TakeLease(chain.end);
    if (held.ok()) return GoOn(chain, gap && chain.bare_base, std::move(position), damaged);
    if (!absl::IsFailedPrecondition(held)) return held;
    gap = gap || !chain.at_origin;
  }
  // The log no longer has what follows any of them.
  TM_ASSIGN_OR_RETURN(Connection connection, StartWithBase(gap || !damage.empty()));
  connection.gap_cause = damage;
  if (position.found && !position.at_origin) {
    connection.restorable_to = position.closed;
    connection.restorable_lsn = position.end;
  }
  return connection;
}

absl::StatusOr<Task::Connection> Task::GoOn(const ChainEnd& chain, bool gap, ArchivePosition position,
                                            std::string* damaged) {
  Connection connection{.flushed = {.lsn = chain.end, .timestamp = chain.closed},
                        .last_crc = chain.last_crc,
                        .restorable = true,
                        .gap = gap,
                        .gap_cause = {},
                        .restorable_to = {},
                        .restorable_lsn = {},
                        .restorable_from = chain.restorable_from,
                        .last_base = position.last_base,
                        .snapshot = nullptr,
                        .superseded = std::move(position.superseded)};
  if (!chain.last_crc && chain.bare_base) {
    const archive::BaseEntry base{.name = *chain.bare_base, .key = format::BaseKey(*chain.bare_base)};
    absl::StatusOr<archive::Manifest> manifest = archive::ReadManifest(*store_, base);
    // An answer can be damaged, too.
    if (absl::IsDataLoss(manifest.status())) manifest = archive::ReadManifest(*store_, base);
    if (absl::IsDataLoss(manifest.status())) *damaged = base.key;
    TM_RETURN_IF_ERROR(manifest.status());
    if (manifest->last_crc_known) connection.last_crc = manifest->last_crc;
  }
  return connection;
}

// The log is held before the snapshot marks where it goes on: nothing can be purged between the two.
absl::StatusOr<Task::Connection> Task::StartWithBase(bool gap) {
  log::Log& log = parts_.engine.log();
  TM_RETURN_IF_ERROR(TakeLease(log.appended()));
  const std::string name = fmt::format("backup-{}-first-{}", config_.name, ++snapshots_);
  TM_ASSIGN_OR_RETURN(std::unique_ptr<BaseSnapshot> snapshot,
                      BaseSnapshot::Take(parts_.engine, parts_.identity.timeline, name));
  const format::BaseName base = snapshot->base();
  TM_RETURN_IF_ERROR(log.RaiseLease(lease_name_, base.lsn));
  Connection connection;
  connection.flushed = {.lsn = base.lsn, .timestamp = base.timestamp};
  connection.last_crc = snapshot->last_crc();
  connection.gap = gap;
  connection.snapshot = std::move(snapshot);
  return connection;
}

void Task::TryConnect() {
  absl::StatusOr<Connection> connection = Connect();
  Deliveries out;
  {
    const MutexLock lock(mutex_);
    // Paused or stopped meanwhile: it will be looked at again, or never.
    if (phase_ != Phase::kConnecting) return;
    out = connection.ok() ? Install(*std::move(connection)) : NoteConnectFailure(connection.status());
  }
  Deliver(std::move(out));
}

Task::Deliveries Task::NoteConnectFailure(const absl::Status& status) {
  if (IsFenced(status)) return Fence(status);
  NoteFailure(status);
  connect_at_ = steady_clock::now() + Backoff();
  lease_look_ = {};
  if (objstore::IsPassing(status)) return {};
  return RefuseEarly(FlushError::kFailed, std::string(Message(status)));
}

void Task::MakeUpkeep(Timestamp last_base) {
  if (upkeep_ != nullptr) return;
  upkeep_ = std::make_shared<Upkeep>(Upkeep::Parts{.engine = parts_.engine,
                                                   .clock = parts_.clock,
                                                   .store = *stores_.back(),
                                                   .identity = parts_.identity,
                                                   .config = config_,
                                                   .codec = {.zstd_level = config_.compression_level, .keys = keys_},
                                                   .timings = parts_.timings,
                                                   .settled = [this] { return checkpoint(); },
                                                   .on_base = [this](const format::BaseName& base) { OnBase(base); },
                                                   .report = parts_.report},
                                     std::max(last_base.micros, row_.created_micros));
}

Task::Deliveries Task::Install(Connection connection) {
  phase_ = Phase::kRunning;
  failing_ = 0;
  trouble_ = absl::OkStatus();
  let_go_ = false;
  // A gap is counted once, however often its base is where the task goes on.
  if (connection.gap && connection.flushed.lsn != chain_from_) {
    ++totals_.gaps;
    if (!connection.gap_cause.empty()) gap_cause_ = connection.gap_cause;
    if (gap_cause_.empty()) gap_cause_ = kLogGone;
    parts_.report(fmt::format("backup {}: gap before lsn:{:x}: {}. {}", config_.name, connection.flushed.lsn.value,
                              gap_cause_,
                              connection.restorable ? "A base leads on from there" : "A new base is on its way"));
  }
  if (connection.restorable) {
    gap_cause_.clear();
  } else if (connection.gap && gap_cause_.empty()) {
    gap_cause_ = kLogGone;
  }
  restorable_to_ = std::max(RestorableTo(), connection.restorable_to);
  restorable_lsn_ = std::max(RestorableLsn(), connection.restorable_lsn);
  restorable_ = connection.restorable;
  restorable_from_ = connection.restorable_from;
  last_base_ = connection.last_base;
  chain_from_ = connection.flushed.lsn;
  last_crc_ = connection.last_crc;
  closed_key_.clear();
  superseded_ = std::move(connection.superseded);

  if (machine_) {
    const FlushMachine::Counters& last = machine_->counters();
    counted_.flushes += last.flushes;
    counted_.retries += last.retries;
    counted_.callers += last.callers;
  }
  machine_.emplace(connection.flushed);
  order_.reset();
  look_.reset();
  closed_ = {};
  NoteFlushed(connection.flushed.timestamp);
  flush_due_ = steady_clock::now();
  closed_due_ = flush_due_ + parts_.timings.closed_every;
  MakeUpkeep(connection.last_base);
  if (connection.snapshot != nullptr) upkeep_->UploadBase(std::move(connection.snapshot));
  RefreshRestorable();

  Deliveries out;
  for (const FlushCall& call : std::exchange(early_, {})) {
    std::ranges::move(Apply(machine_->Call(call, Now())), std::back_inserter(out));
  }
  return out;
}

void Task::OnBase(const format::BaseName& base) {
  const MutexLock lock(mutex_);
  last_base_ = std::max(last_base_, base.timestamp);
  // One from before a gap does not lead to what is flushed now.
  if (restorable_ || base.lsn < chain_from_ || !machine_) return;
  restorable_ = true;
  restorable_from_ = base.timestamp;
  gap_cause_.clear();
  RefreshRestorable();
}

}  // namespace tidemark::backup
