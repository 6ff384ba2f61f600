#include "backup/task.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tidemark::backup {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

absl::StatusCode CodeOf(FlushError error, const absl::Status& trouble) {
  switch (error) {
    case FlushError::kNone:
      return absl::StatusCode::kOk;
    case FlushError::kDeadline:
      return absl::StatusCode::kDeadlineExceeded;
    case FlushError::kBusy:
    case FlushError::kNotCovered:
      return absl::StatusCode::kAborted;
    case FlushError::kFailed:
      return trouble.ok() ? absl::StatusCode::kUnavailable : trouble.code();
    default:
      return absl::StatusCode::kFailedPrecondition;
  }
}

Lsn LeasedFrom(log::Log& log, const std::string& name) {
  for (const log::Lease& lease : log.Leases()) {
    if (lease.name == name && lease.broken.empty()) return lease.position;
  }
  return {};
}

void Add(const FlushMachine::Counters& more, FlushMachine::Counters* sum) {
  sum->flushes += more.flushes;
  sum->retries += more.retries;
  sum->callers += more.callers;
}

}  // namespace

Task::Task(const TaskParts& parts, const TaskRow& row)
    : parts_(parts),
      config_(row.config),
      lease_name_(LeaseName(row.config.name)),
      tick_(std::clamp(row.config.flush_interval / 10, milliseconds(5), parts.timings.tick)),
      row_(row),
      phase_(row.paused ? Phase::kPaused : Phase::kConnecting) {
  watched_ = !row.paused;
  // Until the archive has been asked, the lease says how far it is at least. Only figures are made of it.
  checkpoint_ = LeasedFrom(parts_.engine.log(), lease_name_).value;
  first_unflushed_lsn_ = Lsn{UINT64_MAX};
  not_looked_since_ = parts_.engine.clock().Now();
}

Task::~Task() { Halt(/*release=*/false); }

void Task::Begin() {
  driver_ = std::thread([this] { Drive(); });
}

void Task::Cancel(const std::string& why) {
  Deliveries out;
  {
    const MutexLock lock(mutex_);
    if (phase_ != Phase::kHalted) {
      phase_ = Phase::kHalted;
      watched_ = false;
      out = SetMachineState(FlushState::kStopped, why);
    }
    for (const auto& store : stores_) store->Cancel();
    changed_.SignalAll();
  }
  Deliver(std::move(out));
}

void Task::Halt(bool release) {
  Cancel(release ? "stopped by an operator" : "the server is stopping");
  std::shared_ptr<Upkeep> upkeep;
  {
    const MutexLock lock(mutex_);
    upkeep = upkeep_;
  }
  if (driver_.joinable()) driver_.join();
  if (upkeep != nullptr) upkeep->Stop();
  uploader_.reset();
  if (!release) return;
  const absl::Status released = parts_.engine.log().ReleaseLease(lease_name_);
  if (!released.ok() && !absl::IsNotFound(released)) {
    parts_.report(fmt::format("backup {}: its lease stays: {}", config_.name, Message(released)));
  }
}

TaskRow Task::row() const {
  const MutexLock lock(mutex_);
  return row_;
}

Moment Task::Now() const {
  return {.end = parts_.engine.log().appended(), .monotonic_micros = parts_.clock.MonotonicMicros()};
}

milliseconds Task::Backoff() const {
  milliseconds wait = parts_.timings.backoff_min;
  for (uint64_t i = 1; i < failing_ && wait < parts_.timings.backoff_max; ++i) wait *= 2;
  return std::min(wait, parts_.timings.backoff_max);
}

// ---- callers

FlushError Task::Refusal(std::string* message) const {
  switch (phase_) {
    case Phase::kHalted:
      *message = "the task is stopped";
      return FlushError::kStopped;
    case Phase::kPaused:
      *message = row_.pause_message.empty() ? "the task is paused" : "the task is paused: " + row_.pause_message;
      return FlushError::kPaused;
    case Phase::kFenced:
      *message = fmt::format("the task is fenced: {}", Message(trouble_));
      return FlushError::kFenced;
    case Phase::kConnecting:
      if (gap_cause_.empty()) return FlushError::kNone;
      *message = "the task is broken: " + gap_cause_;
      return FlushError::kBroken;
    case Phase::kRunning:
      return FlushError::kNone;
  }
  return FlushError::kNone;
}

void Task::Flush(CallerId caller, FlushMode mode, std::optional<Lsn> target, bool durable_only, Answered answered) {
  Deliveries out;
  {
    const MutexLock lock(mutex_);
    const Moment now = Now();
    const FlushCall call{.caller = caller,
                         .mode = mode,
                         .target = std::min(target.value_or(now.end), now.end),
                         .durable_only = durable_only};
    callers_[caller] = {.answered = std::move(answered),
                        .since_micros = now.monotonic_micros,
                        .target = call.target,
                        .target_time = parts_.engine.clock().Now()};
    std::string message;
    if (const FlushError refusal = Refusal(&message); refusal != FlushError::kNone) {
      Compose({.caller = caller, .error = refusal, .message = message, .target = call.target}, &out);
    } else if (phase_ == Phase::kConnecting) {
      early_.push_back(call);
      // What only somebody's doing could cure may have been done.
      if (!trouble_.ok() && !objstore::IsPassing(trouble_)) connect_at_ = {};
    } else {
      RefreshRestorable();
      out = Apply(machine_->Call(call, now));
    }
    changed_.SignalAll();
  }
  Deliver(std::move(out));
}

void Task::Deadline(CallerId caller) {
  Deliveries out;
  {
    const MutexLock lock(mutex_);
    const auto early =
        std::find_if(early_.begin(), early_.end(), [&](const FlushCall& c) { return c.caller == caller; });
    if (early != early_.end()) {
      std::string message = "the deadline passed before the archive could be reached";
      if (!trouble_.ok()) message += fmt::format(": {}", Message(trouble_));
      Compose({.caller = caller, .error = FlushError::kDeadline, .message = message, .target = early->target}, &out);
      early_.erase(early);
    } else if (machine_) {
      out = Apply(machine_->Deadline(caller, Now()));
    }
  }
  Deliver(std::move(out));
}

void Task::Abandon(CallerId caller) {
  const MutexLock lock(mutex_);
  callers_.erase(caller);
  std::erase_if(early_, [&](const FlushCall& call) { return call.caller == caller; });
  if (machine_) machine_->Abandon(caller);
}

Task::Deliveries Task::Apply(const FlushActions& actions) {
  Deliveries out;
  for (const FlushAnswer& answer : actions.answers) Compose(answer, &out);
  if (actions.order) {
    order_ = actions.order;
    order_at_ = steady_clock::now();
    if (order_->attempt > 1) order_at_ += Backoff();
    changed_.SignalAll();
  }
  if (actions.look) {
    look_ = actions.look;
    look_at_ = steady_clock::now();
    if (look_->attempt > 1) look_at_ += Backoff();
    changed_.SignalAll();
  }
  return out;
}

absl::Status Task::StatusOf(const FlushAnswer& answer) const {
  if (answer.success) return absl::OkStatus();
  std::string text = fmt::format("task {}: {}", config_.name, answer.message);
  const bool says_how_far = answer.error == FlushError::kDeadline || answer.error == FlushError::kNotRestorable;
  if (machine_ && !says_how_far) {
    text += fmt::format("; the archive has {}", machine_->HowFar());
  }
  return absl::Status(CodeOf(answer.error, trouble_), text);
}

void Task::Compose(const FlushAnswer& answer, Deliveries* out) {
  auto found = callers_.extract(answer.caller);
  if (found.empty()) return;
  Caller& caller = found.mapped();
  const uint64_t now = parts_.clock.MonotonicMicros();
  FlushOutcome outcome{.task = config_.name,
                       .success = answer.success,
                       .error = StatusOf(answer),
                       .target = caller.target,
                       .target_time = caller.target_time,
                       .flushed = machine_ ? machine_->flushed().lsn : Lsn{},
                       .flushed_time = closed_,
                       .rpo_micros = RpoMicros(),
                       .objects = answer.objects,
                       .bytes = answer.bytes,
                       .waited_micros = now > caller.since_micros ? now - caller.since_micros : 0,
                       .joined = answer.joined,
                       .awaits_base = answer.error == FlushError::kNotRestorable};
  out->push_back({std::move(caller.answered), std::move(outcome)});
}

void Task::Deliver(Deliveries deliveries) {
  for (Delivery& each : deliveries) each.answered(std::move(each.outcome));
}

Task::Deliveries Task::RefuseEarly(FlushError error, const std::string& message) {
  Deliveries out;
  for (const FlushCall& call : std::exchange(early_, {})) {
    Compose({.caller = call.caller, .error = error, .message = message, .target = call.target}, &out);
  }
  return out;
}

Task::Deliveries Task::SetMachineState(FlushState state, const std::string& cause) {
  Deliveries out;
  std::string message;
  if (const FlushError refusal = Refusal(&message); refusal != FlushError::kNone) out = RefuseEarly(refusal, message);
  if (!machine_) return out;
  look_.reset();
  std::ranges::move(Apply(machine_->SetState(state, cause)), std::back_inserter(out));
  if (const std::optional<FlushOrder> order = std::exchange(order_, std::nullopt)) {
    // One that waited for its retry; nobody else will end it.
    const FlushReport report{.order = order->order, .reached = machine_->flushed()};
    std::ranges::move(Apply(machine_->Ended(report, FlushEnd::kPassing, cause, Now())), std::back_inserter(out));
  }
  return out;
}

// ---- operators

void Task::Pause(const TaskRow& row) {
  Deliveries out;
  std::shared_ptr<Upkeep> upkeep;
  {
    const MutexLock lock(mutex_);
    row_ = row;
    if (phase_ == Phase::kHalted) return;
    phase_ = Phase::kPaused;
    watched_ = false;
    // A pause made longer does not bring back the lease that the one before has outlived.
    let_go_ = let_go_ && LeasedFrom(parts_.engine.log(), lease_name_) == Lsn{};
    out = SetMachineState(FlushState::kPaused, row.pause_message);
    upkeep = upkeep_;
    changed_.SignalAll();
  }
  if (upkeep != nullptr) upkeep->SetPaused(true);
  Deliver(std::move(out));
}

void Task::Resume(const TaskRow& row) {
  std::shared_ptr<Upkeep> upkeep;
  {
    const MutexLock lock(mutex_);
    row_ = row;
    if (phase_ != Phase::kPaused && phase_ != Phase::kFenced) return;
    phase_ = Phase::kConnecting;
    watched_ = true;
    connect_at_ = {};
    failing_ = 0;
    trouble_ = absl::OkStatus();
    upkeep = upkeep_;
    changed_.SignalAll();
  }
  if (upkeep != nullptr) upkeep->SetPaused(false);
}

absl::StatusOr<archive::RetentionPlan> Task::Truncate(Timestamp until, bool dry_run) {
  std::shared_ptr<Upkeep> upkeep;
  {
    const MutexLock lock(mutex_);
    upkeep = upkeep_;
    if (upkeep == nullptr) {
      return Errorf(absl::StatusCode::kUnavailable, "task {} has not reached its archive yet{}{}", config_.name,
                    trouble_.ok() ? "" : ": ", Message(trouble_));
    }
  }
  return upkeep->Truncate(until, dry_run);
}

absl::Status Task::TakeBase() {
  std::shared_ptr<Upkeep> upkeep;
  {
    const MutexLock lock(mutex_);
    std::string message;
    if (Refusal(&message) != FlushError::kNone || upkeep_ == nullptr) {
      return Errorf(absl::StatusCode::kFailedPrecondition, "task {} takes no base now: {}", config_.name,
                    message.empty() ? "it has not reached its archive yet" : message);
    }
    upkeep = upkeep_;
  }
  return upkeep->WantBase();
}

std::string Task::display_uri() const {
  const MutexLock lock(mutex_);
  return stores_.empty() ? objstore::RedactUri(config_.storage) : stores_.front()->display_uri();
}

// ---- figures

std::string Task::WhyNotRestorable() const {
  if (restorable_) return {};
  if (!machine_) return "unknown until the archive can be read";
  const double progress = upkeep_ == nullptr ? -1 : upkeep_->state().base_progress;
  if (progress < 0) return "a base has to be taken first";
  return fmt::format("the base it starts from is {:.0f} % uploaded", progress * 100);
}

void Task::RefreshRestorable() {
  // When the chain has broken and its successor has not begun, what the archive has is the old one.
  const bool begun = phase_ != Phase::kConnecting;
  machine_->SetRestorable(restorable_, WhyNotRestorable(), begun ? std::optional(chain_from_) : std::nullopt);
}

uint64_t Task::RpoMicros() const {
  const Lsn flushed = checkpoint();
  const uint64_t now = parts_.engine.clock().Now().micros;
  const auto since = [now](uint64_t micros) { return now > micros ? now - micros : 0; };
  if (machine_ && !restorable_) {
    // However much log is there: without its base all since then is lost.
    const Timestamp last = RestorableTo();
    return std::max<uint64_t>(1, since(last.micros == 0 ? row_.created_micros : last.micros));
  }
  if (flushed == Lsn{}) return since(row_.created_micros);
  if (!machine_) {
    // What the lease says of the archive was so when this server last ran.
    const uint64_t not_looked = std::max<uint64_t>(1, since(not_looked_since_.micros));
    return first_unflushed_lsn_ == flushed ? std::max(not_looked, since(first_unflushed_.micros)) : not_looked;
  }
  if (flushed >= parts_.engine.log().appended()) return 0;
  if (first_unflushed_lsn_ == flushed) return since(first_unflushed_.micros);
  // The record at the checkpoint has not been looked at; what is closed is older than it.
  return since(std::max(closed_.micros, row_.created_micros));
}

TaskState Task::StateLocked(const Upkeep::State& upkeep, std::string* cause) const {
  switch (phase_) {
    case Phase::kHalted:
      return TaskState::kStopped;
    case Phase::kPaused:
      *cause = let_go_ ? row_.pause_message + " (its time is over: the log is not held any more)" : row_.pause_message;
      return TaskState::kPaused;
    case Phase::kFenced:
      *cause = Message(trouble_);
      return TaskState::kFenced;
    case Phase::kConnecting:
    case Phase::kRunning:
      break;
  }
  if (!gap_cause_.empty()) {
    *cause = gap_cause_;
    if (failing_ > 0) *cause += fmt::format("; {}", Message(trouble_));
    return TaskState::kGap;
  }
  if (failing_ > 0) {
    *cause = Message(trouble_);
    return TaskState::kErroring;
  }
  if (!upkeep.trouble.empty()) {
    *cause = upkeep.trouble;
    return TaskState::kErroring;
  }
  return phase_ == Phase::kRunning && restorable_ ? TaskState::kNormal : TaskState::kStarting;
}

TaskStatus Task::Status() const {
  const MutexLock lock(mutex_);
  TaskStatus status = totals_;
  const Upkeep::State upkeep = upkeep_ == nullptr ? Upkeep::State{} : upkeep_->state();
  status.config = config_;
  status.config.storage = objstore::RedactUri(config_.storage);
  status.state = StateLocked(upkeep, &status.cause);
  status.stalled = stalled_;
  status.timeline = parts_.identity.timeline;
  status.checkpoint = machine_ ? RestorableLsn() : checkpoint();
  status.checkpoint_time = RestorableTo();
  status.log_end = parts_.engine.log().appended();
  status.lag_bytes = status.log_end > checkpoint() ? status.log_end - checkpoint() : 0;
  status.rpo_micros = RpoMicros();
  status.restorable = restorable_;
  status.restorable_known = machine_.has_value();
  status.not_restorable = WhyNotRestorable();
  status.restorable_from = upkeep.restorable_from.micros != 0 ? upkeep.restorable_from : restorable_from_;
  status.last_base = std::max(last_base_, upkeep.last_base);
  status.base_progress = upkeep.base_progress;
  FlushMachine::Counters counters = counted_;
  if (machine_) Add(machine_->counters(), &counters);
  status.flushes = counters.flushes;
  status.forced_flushes = counters.callers;
  status.retries = counters.retries;
  for (const auto& store : stores_) status.retries += store->stats().retries;
  status.failures += upkeep.failures;
  status.objects += upkeep.objects;
  status.bytes_stored += upkeep.bytes_stored;
  status.merged_objects = upkeep.merged_objects;
  status.deleted_objects += upkeep.deleted_objects;
  status.created_micros = row_.created_micros;
  status.pause_message = row_.pause_message;
  status.paused_until_micros = row_.paused_until_micros;
  status.conditional_put = capabilities_.conditional_put;
  return status;
}

void Task::Watch() {
  const uint64_t now = parts_.clock.MonotonicMicros();
  const uint64_t here = checkpoint_;
  const bool behind = parts_.engine.log().appended().value > here;
  if (watch_since_micros_ == 0 || !watched_ || !behind || here != watch_checkpoint_) {
    watch_checkpoint_ = here;
    watch_since_micros_ = now;
    stalled_ = false;
    return;
  }
  const auto limit = std::chrono::microseconds(std::max(10 * config_.flush_interval, parts_.timings.stall_min));
  if (now - watch_since_micros_ <= static_cast<uint64_t>(limit.count())) return;
  if (!stalled_.exchange(true)) {
    parts_.report(fmt::format("backup {}: stalled: the archive has stood at lsn:{:x} for {} s while the log grows",
                              config_.name, here, (now - watch_since_micros_) / 1'000'000));
  }
}

}  // namespace tidemark::backup
