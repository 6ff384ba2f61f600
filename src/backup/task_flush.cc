// The driver of a task: waits for what is due, and does it.
#include <algorithm>
#include <utility>

#include "backup/task.h"
#include "base/check.h"
#include "log/peek.h"

namespace tidemark::backup {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// While the store fails, this often it is looked whether the log was let go. Also how often a capped lease is touched
// by a task that has nothing to send.
constexpr milliseconds kLookAtLeaseEvery{1000};
constexpr milliseconds kLongSleep{3'600'000};
constexpr size_t kSupersededAtOnce = 4;

}  // namespace

void Task::Drive() {
  if (checkpoint() != Lsn{}) LookAtFirstUnflushed();
  while (true) {
    FlushOrder order;
    Next next = Next::kWait;
    {
      const MutexLock lock(mutex_);
      while ((next = Decide(&order)) == Next::kWait) changed_.WaitUntil(mutex_, NextWake());
    }
    if (next == Next::kEnd) return;
    Do(next, order);
  }
}

void Task::Do(Next next, const FlushOrder& order) {
  switch (next) {
    case Next::kConnect:
      return TryConnect();
    case Next::kFlush:
      return Execute(order);
    case Next::kLook:
      return LookForSuccessor();
    case Next::kClosed:
      return PutClosed();
    case Next::kPeek:
      return LookAtFirstUnflushed();
    case Next::kLookAtLease:
      return LookAtLease();
    case Next::kLetGo:
      return LetGo();
    case Next::kWait:
    case Next::kEnd:
      return;
  }
}

Task::Next Task::Decide(FlushOrder* order) {
  const SteadyTime now = steady_clock::now();
  switch (phase_) {
    case Phase::kHalted:
      return Next::kEnd;
    case Phase::kConnecting:
      if (now >= connect_at_) return Next::kConnect;
      return now >= lease_look_ ? Next::kLookAtLease : Next::kWait;
    case Phase::kRunning: {
      const Next next = DecideRunning(now);
      if (next == Next::kFlush) *order = *std::exchange(order_, std::nullopt);
      return next;
    }
    case Phase::kPaused: {
      const uint64_t until = row_.paused_until_micros;
      return until != 0 && !let_go_ && parts_.clock.WallMicros() >= until ? Next::kLetGo : Next::kWait;
    }
    case Phase::kFenced:
      return Next::kWait;
  }
  return Next::kWait;
}

Task::Next Task::DecideRunning(SteadyTime now) {
  // First, as it is short.
  if (look_ && now >= look_at_) return Next::kLook;
  const Lsn end = parts_.engine.log().appended();
  const Lsn flushed = machine_->flushed().lsn;
  if (!machine_->running() && end > flushed) {
    // A size that is reached does not wait for the interval, unless the store is failing.
    const bool large = failing_ == 0 && end - flushed >= config_.flush_bytes;
    if (large || now >= flush_due_) Apply(machine_->WantFlush(Now()));  // answers nobody
  }
  if (order_ && now >= order_at_) return Next::kFlush;
  if (failing_ > 0 && now >= lease_look_) return Next::kLookAtLease;
  if (end > flushed) return first_unflushed_lsn_ != flushed && now >= peek_at_ ? Next::kPeek : Next::kWait;
  return now >= closed_due_ ? Next::kClosed : Next::kWait;
}

Task::SteadyTime Task::NextWake() const {
  const SteadyTime now = steady_clock::now();
  switch (phase_) {
    case Phase::kConnecting:
      return std::min(connect_at_, lease_look_);
    case Phase::kRunning: {
      SteadyTime wake = now + tick_;
      if (order_) wake = std::min(wake, order_at_);
      if (look_) wake = std::min(wake, look_at_);
      return wake;
    }
    case Phase::kPaused:
      if (row_.paused_until_micros != 0 && !let_go_) return now + parts_.timings.tick;
      return now + kLongSleep;
    case Phase::kFenced:
    case Phase::kHalted:
      return now + kLongSleep;
  }
  return now;
}

// ---- a flush

void Task::Execute(const FlushOrder& order) {
  const SteadyTime since = steady_clock::now();
  {
    const MutexLock lock(mutex_);
    flush_due_ = since + config_.flush_interval;
  }
  if (order.cut != cut_) {
    cut_ = order.cut;
    cut_closed_.reset();
    // Without it the last record says what is closed.
    if (parts_.engine.log().appended() == cut_) {
      const absl::StatusOr<engine::Engine::ClosePoint> point = parts_.engine.Closed();
      if (point.ok() && point->end == cut_) cut_closed_ = point->closed;
    }
  }
  if (order.attempt == 1) shipped_before_ = {};
  last_confirm_ = since;
  Shipped confirmed{.lsn = order.from, .closed = {}};
  const absl::Status status = UploadOrder(order, &confirmed);
  shipped_before_.objects += confirmed.objects;
  shipped_before_.stored_bytes += confirmed.stored_bytes;
  EndOrder(order, confirmed, status, since);
}

absl::Status Task::UploadOrder(const FlushOrder& order, Shipped* confirmed) {
  if (const absl::Status synced = parts_.engine.log().SyncTo(order.cut); !synced.ok()) {
    return Errorf(absl::StatusCode::kInternal, "syncing the log: {}", Message(synced));
  }
  Shipped latest = *confirmed;
  const UploadRange range{.from = order.from, .cut = order.cut, .closed = cut_closed_, .previous_crc = last_crc_};
  absl::Status status = uploader_->Upload(range, [&](const Shipped& shipped) -> absl::Status {
    latest = shipped;
    if (shipped.lsn == order.cut || steady_clock::now() < last_confirm_ + parts_.timings.confirm_every) {
      return absl::OkStatus();
    }
    return Confirm(order, shipped, confirmed);
  });
  if (latest.lsn == confirmed->lsn) return status;
  // What came through counts, also when what follows it did not; the last of it is reported with the end.
  const absl::Status fence = CheckFences(confirmed->lsn);
  if (fence.ok()) {
    *confirmed = latest;
    last_crc_ = latest.last_crc;
  }
  return status.ok() || IsFenced(fence) ? fence : status;
}

// Whether the archive is still ours alone: no successor's, and no twin's beyond what is confirmed.
absl::Status Task::CheckFences(Lsn confirmed) {
  TM_RETURN_IF_ERROR(CheckFence(*store_, parts_.identity.timeline));
  return uploader_->CheckAlone(confirmed);
}

// For those whose writes are in the archive already.
void Task::LookForSuccessor() {
  FenceLook look;
  {
    const MutexLock lock(mutex_);
    if (!look_) return;
    look = *std::exchange(look_, std::nullopt);
  }
  const absl::Status status = CheckFence(*store_, parts_.identity.timeline);
  Deliveries out;
  {
    const MutexLock lock(mutex_);
    FlushEnd end = FlushEnd::kDone;
    if (!status.ok()) end = objstore::IsPassing(status) ? FlushEnd::kPassing : FlushEnd::kLasting;
    if (phase_ == Phase::kRunning && IsFenced(status)) {
      out = Fence(status);
    } else if (phase_ == Phase::kRunning && !status.ok() && !absl::IsCancelled(status)) {
      NoteFailure(status);
    } else if (phase_ == Phase::kRunning && status.ok() && !machine_->running()) {
      failing_ = 0;
      trouble_ = absl::OkStatus();
    }
    RefreshRestorable();
    std::ranges::move(Apply(machine_->Looked(look.look, end, Message(status))), std::back_inserter(out));
  }
  Deliver(std::move(out));
}

// A long flush tells how far it is.
absl::Status Task::Confirm(const FlushOrder& order, const Shipped& shipped, Shipped* confirmed) {
  TM_RETURN_IF_ERROR(CheckFences(confirmed->lsn));
  *confirmed = shipped;
  last_crc_ = shipped.last_crc;
  last_confirm_ = steady_clock::now();
  Deliveries out;
  {
    const MutexLock lock(mutex_);
    RefreshRestorable();
    const FlushActions actions = machine_->Progress(ReportOf(order, shipped));
    NoteFlushed(shipped.closed);
    out = Apply(actions);
  }
  Deliver(std::move(out));
  AfterFlush(true);
  const MutexLock lock(mutex_);
  return phase_ == Phase::kRunning ? absl::OkStatus() : absl::CancelledError("the task was paused or stopped");
}

FlushReport Task::ReportOf(const FlushOrder& order, const Shipped& confirmed) const {
  return {.order = order.order,
          .reached = {.lsn = confirmed.lsn, .timestamp = confirmed.closed},
          .objects = shipped_before_.objects + confirmed.objects,
          .bytes = shipped_before_.stored_bytes + confirmed.stored_bytes};
}

void Task::EndOrder(const FlushOrder& order, const Shipped& confirmed, const absl::Status& status, SteadyTime since) {
  Deliveries out;
  bool moved = false;
  {
    const MutexLock lock(mutex_);
    const Lsn before = machine_->flushed().lsn;
    // The earlier attempts are counted in shipped_before_ already, this one too.
    FlushReport report = ReportOf(order, {.lsn = confirmed.lsn, .closed = confirmed.closed});
    FlushEnd end = FlushEnd::kDone;
    if (!status.ok()) end = objstore::IsPassing(status) ? FlushEnd::kPassing : FlushEnd::kLasting;
    if (phase_ != Phase::kRunning || absl::IsCancelled(status)) {
      end = FlushEnd::kPassing;
    } else if (status.ok()) {
      failing_ = 0;
      trouble_ = absl::OkStatus();
      totals_.last_flush_micros =
          static_cast<uint64_t>(std::chrono::duration_cast<microseconds>(steady_clock::now() - since).count());
    } else if (IsFenced(status)) {
      out = Fence(status);
    } else if (absl::IsOutOfRange(status)) {
      out = BreakOff(std::string(Message(status)));
    } else {
      NoteFailure(status);
      flush_due_ = std::max(flush_due_, steady_clock::now() + Backoff());
    }
    totals_.objects += confirmed.objects;
    totals_.bytes_plain += confirmed.plain_bytes;
    totals_.bytes_stored += confirmed.stored_bytes;
    RefreshRestorable();
    const FlushActions actions = machine_->Ended(report, end, Message(status), Now());
    moved = machine_->flushed().lsn > before;
    // Before the answers are made: they tell the RPO.
    if (confirmed.lsn > order.from) NoteFlushed(confirmed.closed);
    std::ranges::move(Apply(actions), std::back_inserter(out));
  }
  Deliver(std::move(out));
  AfterFlush(moved);
}

void Task::NoteFailure(const absl::Status& status) {
  ++failing_;
  ++totals_.failures;
  if (failing_ == 1) {
    parts_.report(fmt::format("backup {}: {}; will go on trying", config_.name, Message(status)));
    lease_look_ = steady_clock::now() + kLookAtLeaseEvery;
  }
  trouble_ = status;
}

void Task::NoteFlushed(Timestamp closed) {
  checkpoint_ = machine_->flushed().lsn.value;
  closed_ = std::max(closed_, closed);
  peek_at_ = {};
}

Task::Deliveries Task::Fence(const absl::Status& status) {
  trouble_ = status;
  phase_ = Phase::kFenced;
  // The archive is another's by now: neither bases nor retention nor merging go on.
  if (upkeep_ != nullptr) upkeep_->SetPaused(true);
  parts_.report(fmt::format("backup {}: fenced: {}", config_.name, Message(status)));
  return SetMachineState(FlushState::kFenced, std::string(Message(status)));
}

std::string Task::WhyLetGo() const {
  for (const log::Lease& lease : parts_.engine.log().Leases()) {
    if (lease.name == lease_name_ && !lease.broken.empty()) return "the log was let go: it " + lease.broken;
  }
  return {};
}

Task::Deliveries Task::BreakOff(std::string cause) {
  if (std::string why = WhyLetGo(); !why.empty()) cause = std::move(why);
  gap_cause_ = cause;
  restorable_to_ = RestorableTo();
  restorable_lsn_ = RestorableLsn();
  restorable_ = false;
  phase_ = Phase::kConnecting;
  connect_at_ = {};
  parts_.report(fmt::format("backup {}: the chain is broken: {}", config_.name, cause));
  return SetMachineState(FlushState::kBroken, cause);
}

// What callers need not wait for.
void Task::AfterFlush(bool moved) {
  if (moved) {
    FlushEvent event{.task = config_.name, .flushed = {}, .flushed_time = {}};
    {
      const MutexLock lock(mutex_);
      event.flushed = machine_->flushed().lsn;
      event.flushed_time = RestorableTo();
      closed_due_ = steady_clock::now() + parts_.timings.closed_every;
    }
    if (!closed_key_.empty()) superseded_.push_back(std::exchange(closed_key_, {}));
    HoldLease();
    parts_.on_flushed(event);
  }
}

// ---- the lease

// Raises it to the checkpoint. One that broke is taken again where the log still has what follows.
void Task::HoldLease() {
  const Lsn flushed = checkpoint();
  const absl::Status raised = parts_.engine.log().RaiseLease(lease_name_, flushed);
  if (raised.ok()) return;
  const absl::Status taken = TakeLease(flushed);
  if (taken.ok()) {
    parts_.report(
        fmt::format("backup {}: {}; the log still has what follows, it is held again", config_.name, Message(raised)));
    return;
  }
  Deliveries out;
  {
    const MutexLock lock(mutex_);
    if (phase_ != Phase::kRunning) return;
    out = BreakOff(std::string(Message(raised)));
  }
  Deliver(std::move(out));
}

// While the store fails: was the log let go?
void Task::LookAtLease() {
  const std::string why = WhyLetGo();
  Deliveries out;
  {
    const MutexLock lock(mutex_);
    lease_look_ = steady_clock::now() + kLookAtLeaseEvery;
    if (why.empty() || !gap_cause_.empty()) return;
    if (phase_ != Phase::kRunning && phase_ != Phase::kConnecting) return;
    const SteadyTime connect_at = connect_at_;
    out = BreakOff(why);
    connect_at_ = std::max(connect_at, steady_clock::now() + Backoff());
  }
  Deliver(std::move(out));
}

// The pause has outlasted its time to live.
void Task::LetGo() {
  const absl::Status released = parts_.engine.log().ReleaseLease(lease_name_);
  parts_.report(
      fmt::format("backup {}: paused for longer than it was to be: the log is not held for it any more", config_.name));
  const MutexLock lock(mutex_);
  let_go_ = released.ok() || absl::IsNotFound(released);
}

// ---- an idle log

void Task::PutClosed() {
  const absl::StatusOr<engine::Engine::ClosePoint> closed = parts_.engine.Closed();
  const engine::Engine::ClosePoint point = closed.value_or(engine::Engine::ClosePoint{});
  {
    const MutexLock lock(mutex_);
    closed_due_ = steady_clock::now() + parts_.timings.closed_every;
    if (phase_ != Phase::kRunning || (closed.ok() && machine_->flushed().lsn != point.end)) return;
  }
  const absl::Status status = closed.ok() ? PutClosedAt(point.end, point.closed) : closed.status();
  DropSuperseded();
  Deliveries out;
  FlushEvent event{.task = config_.name, .flushed = point.end, .flushed_time = {}};
  {
    const MutexLock lock(mutex_);
    if (phase_ != Phase::kRunning) return;
    if (status.ok()) {
      failing_ = 0;
      trouble_ = absl::OkStatus();
      closed_ = std::max(closed_, point.closed);
      event.flushed_time = RestorableTo();
    } else if (IsFenced(status)) {
      out = Fence(status);
    } else if (!absl::IsCancelled(status)) {
      NoteFailure(status);
      closed_due_ = steady_clock::now() + Backoff();
    }
  }
  Deliver(std::move(out));
  if (!status.ok()) return;
  HoldLease();
  parts_.on_flushed(event);
}

absl::Status Task::PutClosedAt(Lsn at, Timestamp closed) {
  TM_RETURN_IF_ERROR(CheckFences(at));
  TM_ASSIGN_OR_RETURN(const Uploader::Closed put, uploader_->PutClosed(at, last_crc_.value_or(0), closed));
  if (!closed_key_.empty() && closed_key_ != put.key) superseded_.push_back(closed_key_);
  closed_key_ = put.key;
  const MutexLock lock(mutex_);
  ++totals_.objects;
  totals_.bytes_stored += put.stored_bytes;
  return absl::OkStatus();
}

void Task::DropSuperseded() {
  for (size_t i = 0; i < kSupersededAtOnce && !superseded_.empty(); ++i) {
    if (!store_->Delete(superseded_.back()).ok()) return;
    superseded_.pop_back();
    const MutexLock lock(mutex_);
    ++totals_.deleted_objects;
  }
}

// For the RPO: when was the first record written that is not in the archive?
void Task::LookAtFirstUnflushed() {
  const Lsn flushed = checkpoint();
  const absl::StatusOr<log::RecordPeek> peek = log::PeekRecord(parts_.engine.log(), flushed);
  const MutexLock lock(mutex_);
  peek_at_ = steady_clock::now() + tick_;
  if (!peek.ok()) return;
  first_unflushed_lsn_ = flushed;
  first_unflushed_ = peek->timestamp;
}

}  // namespace tidemark::backup
