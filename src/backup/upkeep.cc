#include "backup/upkeep.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "backup/archive_claim.h"
#include "backup/uploader.h"
#include "env/random.h"
#include "log/peek.h"

namespace tidemark::backup {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kNiceness = 10;

// The file names of a base are those of the server that took it.
std::string SnapshotName(const TaskConfig& config, uint64_t number) {
  return fmt::format("backup-{}-{}", config.name, number);
}

// Whatever is tried next would fail in the same way. Damage of an object, a key that is missing, or another's object
// are no errors of the store.
bool IsOfTheStore(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) || absl::IsCancelled(status);
}

}  // namespace

absl::StatusOr<std::unique_ptr<BaseSnapshot>> BaseSnapshot::Take(engine::Engine& engine, Timeline timeline,
                                                                 const std::string& name) {
  TM_ASSIGN_OR_RETURN(const Lsn lsn, engine.SnapshotAs(name));
  std::unique_ptr<BaseSnapshot> snapshot(
      new BaseSnapshot(engine.SnapshotFolder(name), {.timeline = timeline, .lsn = lsn, .timestamp = {}}));
  // The moment of the base lies at or after its last record and before the first that is not in it.
  TM_ASSIGN_OR_RETURN(const engine::Engine::ClosePoint point, engine.Closed());
  if (point.end == lsn) {
    snapshot->base_.timestamp = point.closed;
    return snapshot;
  }
  engine.EndTurn();
  TM_ASSIGN_OR_RETURN(const log::RecordPeek next, log::PeekRecord(engine.log(), lsn));
  snapshot->base_.timestamp = Timestamp{next.timestamp.micros - 1};
  snapshot->last_crc_ = next.previous_crc;
  return snapshot;
}

BaseSnapshot::~BaseSnapshot() {
  std::error_code ignored;  // what is left is removed at the next start
  std::filesystem::remove_all(folder_, ignored);
}

Upkeep::Upkeep(Parts parts, uint64_t last_base_micros) : parts_(std::move(parts)), database_id_(RandomId()) {
  const microseconds interval = parts_.config.base_interval;
  const uint64_t now = parts_.clock.WallMicros();
  const microseconds age(now > last_base_micros ? now - last_base_micros : 0);
  {
    const MutexLock lock(mutex_);
    base_due_ = steady_clock::now() + std::max(interval - age, microseconds(0));
  }
  thread_ = std::thread([this] { Loop(); });
}

Upkeep::~Upkeep() { Stop(); }

void Upkeep::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    if (progress_ != nullptr) progress_->cancel = true;
    changed_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Upkeep::UploadBase(std::unique_ptr<BaseSnapshot> snapshot) {
  const MutexLock lock(mutex_);
  if (progress_ != nullptr) progress_->cancel = true;
  next_base_ = std::move(snapshot);
  state_.base_progress = 0;
  changed_.SignalAll();
}

absl::Status Upkeep::WantBase() {
  const MutexLock lock(mutex_);
  if (progress_ != nullptr || next_base_ != nullptr || base_wanted_) {
    return Errorf(absl::StatusCode::kFailedPrecondition, "a base of task {} is on its way already", parts_.config.name);
  }
  base_wanted_ = true;
  base_retry_ = {};
  changed_.SignalAll();
  return absl::OkStatus();
}

void Upkeep::SetPaused(bool paused) {
  const MutexLock lock(mutex_);
  paused_ = paused;
  if (paused && progress_ != nullptr) progress_->cancel = true;
  changed_.SignalAll();
}

Upkeep::State Upkeep::state() const {
  const MutexLock lock(mutex_);
  State state = state_;
  if (progress_ != nullptr) {
    const uint64_t total = progress_->bytes_total;
    state.base_progress =
        total == 0 ? 0 : std::min(1.0, static_cast<double>(progress_->bytes_done) / static_cast<double>(total));
  }
  return state;
}

bool Upkeep::BaseDue() const {
  if (next_base_ != nullptr) return true;
  const auto now = steady_clock::now();
  if (now < base_retry_) return false;
  return base_wanted_ || (parts_.config.base_interval.count() > 0 && now >= base_due_);
}

void Upkeep::NoteTrouble(std::string_view what, const absl::Status& status) {
  if (absl::IsCancelled(status)) return;
  const MutexLock lock(mutex_);
  if (status.ok()) {
    // The same step has succeeded since.
    if (state_.trouble.starts_with(what)) state_.trouble.clear();
    return;
  }
  ++state_.failures;
  state_.trouble = fmt::format("{}: {}", what, Message(status));
}

void Upkeep::Loop() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNiceness);
  auto merge_at = steady_clock::now() + parts_.timings.merge_every;
  auto retention_at = steady_clock::now() + parts_.timings.retention_every;
  mutex_.Lock();
  while (!stopping_) {
    const auto now = steady_clock::now();
    if (!paused_ && BaseDue()) {
      std::unique_ptr<BaseSnapshot> snapshot = std::move(next_base_);
      mutex_.Unlock();
      RunBase(std::move(snapshot));
      mutex_.Lock();
    } else if (!paused_ && now >= merge_at) {
      mutex_.Unlock();
      NoteTrouble("merging", RunMerge());
      merge_at = steady_clock::now() + parts_.timings.merge_every;
      mutex_.Lock();
    } else if (!paused_ && now >= retention_at) {
      mutex_.Unlock();
      NoteTrouble("retention", RunRetention());
      retention_at = steady_clock::now() + parts_.timings.retention_every;
      mutex_.Lock();
    } else {
      auto until = std::min(merge_at, retention_at);
      if (parts_.config.base_interval.count() > 0) until = std::min(until, base_due_);
      if (base_retry_ > now) until = std::min(until, base_retry_);
      if (paused_) {
        changed_.Wait(mutex_);
      } else {
        changed_.WaitUntil(mutex_, std::max(until, now + parts_.timings.tick));
      }
    }
  }
  mutex_.Unlock();
}

absl::StatusOr<archive::Manifest> Upkeep::SendBase(const BaseSnapshot& snapshot) {
  archive::Manifest manifest;
  manifest.name = snapshot.base();
  manifest.cluster_id = parts_.identity.cluster_id;
  manifest.timeline_id = parts_.identity.timeline_id;
  std::optional<uint32_t> crc = snapshot.last_crc();
  if (!crc) {
    if (const auto next = log::PeekRecord(parts_.engine.log(), snapshot.base().lsn); next.ok())
      crc = next->previous_crc;
  }
  manifest.last_crc_known = crc.has_value();
  manifest.last_crc = crc.value_or(0);
  manifest.created_micros = parts_.clock.WallMicros();
  manifest.database_id = IdToHex(database_id_);
  archive::BaseOptions options;
  options.codec = parts_.codec;
  options.clock = &parts_.clock;
  options.may_complete = [this] { return StillOwner(); };
  const auto progress = std::make_shared<archive::BaseProgress>();
  {
    const MutexLock lock(mutex_);
    if (stopping_ || paused_ || next_base_ != nullptr) return absl::CancelledError("not now");
    progress_ = progress;
  }
  absl::StatusOr<archive::Manifest> sent = archive::UploadBase(parts_.store, snapshot.folder(), std::move(manifest),
                                                               previous_.get(), options, progress.get());
  const MutexLock lock(mutex_);
  progress_.reset();
  state_.bytes_stored += progress->bytes_sent;
  return sent;
}

void Upkeep::RunBase(std::unique_ptr<BaseSnapshot> snapshot) {
  if (snapshot == nullptr) {
    std::string name;
    {
      const MutexLock lock(mutex_);
      name = SnapshotName(parts_.config, ++snapshots_);
    }
    absl::StatusOr<std::unique_ptr<BaseSnapshot>> taken =
        BaseSnapshot::Take(parts_.engine, parts_.identity.timeline, name);
    if (!taken.ok()) {
      NoteTrouble("taking a base", taken.status());
      const MutexLock lock(mutex_);
      base_retry_ = steady_clock::now() + parts_.timings.backoff_max;
      return;
    }
    snapshot = *std::move(taken);
  }
  absl::StatusOr<archive::Manifest> sent = SendBase(*snapshot);
  if (!sent.ok()) {
    NoteTrouble("uploading a base", sent.status());
    const MutexLock lock(mutex_);
    if (stopping_ || next_base_ != nullptr) return;
    // What has arrived is not sent again; the thread comes back to it after a while.
    changed_.WaitUntil(mutex_, steady_clock::now() + parts_.timings.backoff_max);
    if (!stopping_ && next_base_ == nullptr) next_base_ = std::move(snapshot);
    return;
  }
  previous_ = std::make_unique<archive::Manifest>(*std::move(sent));
  {
    const MutexLock lock(mutex_);
    base_wanted_ = false;
    base_due_ = steady_clock::now() + parts_.config.base_interval;
    state_.base_progress = -1;
    state_.last_base = snapshot->base().timestamp;
    state_.objects += previous_->files.size() + 1;
    state_.trouble.clear();
  }
  parts_.report(fmt::format("backup {}: base at lsn:{:x} is complete ({} files, {} bytes)", parts_.config.name,
                            snapshot->base().lsn.value, previous_->files.size(), previous_->bytes()));
  parts_.on_base(snapshot->base());
}

// The driver sees a successor only when it next flushes. Nothing is completed or deleted here meanwhile.
absl::Status Upkeep::StillOwner() { return CheckFence(parts_.store, parts_.identity.timeline); }

absl::Status Upkeep::RunMerge() {
  const MutexLock carry(carry_mutex_);
  TM_ASSIGN_OR_RETURN(const archive::Catalog catalog, archive::Catalog::Load(parts_.store, false));
  const std::vector<archive::Window> windows = archive::RestorableWindows(catalog);
  const archive::MergePlan plan = archive::PlanMerge(catalog, parts_.identity.timeline, parts_.settled(),
                                                     parts_.timings.merge, parts_.clock.WallMicros());
  // One damaged object does not hold back what has nothing to do with it.
  absl::Status trouble;
  size_t troubles = 0;
  const auto note = [&](const absl::Status& status) {
    if (trouble.ok()) trouble = status;
    ++troubles;
  };
  for (const archive::Replacement& replaced : plan.replaced) {
    TM_RETURN_IF_ERROR(StillOwner());
    const absl::StatusOr<size_t> deleted = archive::DeleteReplaced(parts_.store, replaced, *parts_.codec.keys);
    if (IsOfTheStore(deleted.status())) return deleted.status();
    if (!deleted.ok()) {
      note(deleted.status());
      continue;
    }
    const MutexLock lock(mutex_);
    state_.deleted_objects += *deleted;
  }
  for (const std::vector<archive::LogEntry>& run : plan.runs) {
    {
      const MutexLock lock(mutex_);
      if (stopping_ || paused_ || BaseDue()) break;
    }
    TM_RETURN_IF_ERROR(StillOwner());
    const absl::StatusOr<archive::LogEntry> merged = archive::Merge(parts_.store, run, *parts_.codec.keys);
    if (IsOfTheStore(merged.status())) return merged.status();
    if (!merged.ok()) {
      note(merged.status());
      continue;
    }
    const MutexLock lock(mutex_);
    state_.merged_objects += run.size();
    state_.bytes_stored += merged->size;
    ++state_.objects;
  }
  {
    const MutexLock lock(mutex_);
    if (!windows.empty()) state_.restorable_from = windows.back().from;
  }
  if (troubles <= 1) return trouble;
  return Errorf(trouble.code(), "{}; and {} more, the rest was merged", Message(trouble), troubles - 1);
}

absl::Status Upkeep::RunRetention() {
  if (parts_.config.keep.count() == 0) return absl::OkStatus();
  const auto keep = static_cast<uint64_t>(microseconds(parts_.config.keep).count());
  const uint64_t now = parts_.engine.clock().Now().micros;
  return Truncate(Timestamp{now > keep ? now - keep : 0}, /*dry_run=*/false).status();
}

absl::StatusOr<archive::RetentionPlan> Upkeep::Truncate(Timestamp until, bool dry_run) {
  const MutexLock carry(carry_mutex_);
  TM_ASSIGN_OR_RETURN(const archive::Catalog catalog, archive::Catalog::Load(parts_.store, true));
  TM_ASSIGN_OR_RETURN(const archive::RetentionPlan plan,
                      archive::PlanRetention(parts_.store, catalog, until, parts_.clock.WallMicros()));
  if (dry_run) return plan;
  // Of a timeline that begins after this the carrying out takes care.
  TM_RETURN_IF_ERROR(StillOwner());
  TM_RETURN_IF_ERROR(archive::CarryOut(parts_.store, plan, parts_.clock));
  const MutexLock lock(mutex_);
  state_.deleted_objects += plan.bases.size() + plan.log.size() + plan.files.size();
  if (plan.oldest_restorable.micros != 0) state_.restorable_from = plan.oldest_restorable;
  return plan;
}

}  // namespace tidemark::backup
