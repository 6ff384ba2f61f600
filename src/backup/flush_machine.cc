#include "backup/flush_machine.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tidemark::backup {
namespace {

FlushError ErrorOf(FlushState state) {
  switch (state) {
    case FlushState::kOpen:
      return FlushError::kNone;
    case FlushState::kPaused:
      return FlushError::kPaused;
    case FlushState::kStopped:
      return FlushError::kStopped;
    case FlushState::kBroken:
      return FlushError::kBroken;
    case FlushState::kFenced:
      return FlushError::kFenced;
  }
  return FlushError::kStopped;
}

std::string_view Name(FlushState state) {
  switch (state) {
    case FlushState::kOpen:
      return "open";
    case FlushState::kPaused:
      return "paused";
    case FlushState::kStopped:
      return "stopped";
    case FlushState::kBroken:
      return "broken";
    case FlushState::kFenced:
      return "fenced";
  }
  return "stopped";
}

std::string StateMessage(FlushState state, std::string_view cause) {
  return cause.empty() ? fmt::format("the task is {}", Name(state))
                       : fmt::format("the task is {}: {}", Name(state), cause);
}

}  // namespace

FlushActions FlushMachine::Call(const FlushCall& call, Moment now) {
  TM_CHECK(call.target <= now.end, "a caller asks for {}, the log ends at {}", call.target.value, now.end.value);
  for (const Waiters* waiters : {&on_running_, &on_pending_, &on_look_, &on_next_look_}) {
    TM_CHECK(!waiters->contains(call.caller), "caller {} waits already", call.caller.value);
  }
  ++counters_.callers;
  FlushActions actions;
  Waiter waiter{call.mode, call.target, call.durable_only, false};
  if (state_ != FlushState::kOpen) {
    actions.answers.push_back(
        Refuse(call.caller, waiter, ErrorOf(state_), StateMessage(state_, state_cause_), now.monotonic_micros));
  } else if (call.target <= flushed_.lsn) {
    AskForLook(call.caller, waiter, &actions);
  } else if (!running_) {
    on_running_.emplace(call.caller, waiter);
    Start(now, &actions);
  } else if (call.mode == FlushMode::kNowait) {
    actions.answers.push_back(Refuse(call.caller, waiter, FlushError::kBusy,
                                     fmt::format("a flush up to LSN {} is running", running_->order.cut.value),
                                     now.monotonic_micros));
  } else if (call.target <= running_->order.cut || call.mode == FlushMode::kJoin) {
    waiter.joined = true;
    on_running_.emplace(call.caller, waiter);
  } else {
    waiter.joined = pending();
    on_pending_.emplace(call.caller, waiter);
  }
  if (waiter.joined) ++counters_.joined;
  return actions;
}

FlushActions FlushMachine::Deadline(CallerId caller, Moment now) {
  FlushActions actions;
  for (Waiters* waiters : {&on_running_, &on_pending_}) {
    const auto found = waiters->find(caller);
    if (found == waiters->end()) continue;
    std::string message = fmt::format("the deadline passed: LSN {} was asked for, the archive has {}",
                                      found->second.target.value, HowFar());
    if (!running_->last_failure.empty()) message += "; the last attempt failed: " + running_->last_failure;
    actions.answers.push_back(
        Refuse(caller, found->second, FlushError::kDeadline, std::move(message), now.monotonic_micros));
    waiters->erase(found);
    return actions;
  }
  for (Waiters* waiters : {&on_look_, &on_next_look_}) {
    const auto found = waiters->find(caller);
    if (found == waiters->end()) continue;
    std::string message = fmt::format(
        "the deadline passed: the archive has {}, but it could not be asked whether a newer timeline has taken it over",
        HowFar());
    if (!last_look_failure_.empty()) message += "; the last attempt failed: " + last_look_failure_;
    actions.answers.push_back(
        Refuse(caller, found->second, FlushError::kDeadline, std::move(message), now.monotonic_micros));
    waiters->erase(found);
    return actions;
  }
  return actions;
}

void FlushMachine::Abandon(CallerId caller) {
  for (Waiters* waiters : {&on_running_, &on_pending_, &on_look_, &on_next_look_}) {
    counters_.abandoned += waiters->erase(caller);
  }
}

FlushActions FlushMachine::WantFlush(Moment now) {
  FlushActions actions;
  if (state_ != FlushState::kOpen) return actions;
  if (running_) {
    wanted_ = true;
  } else if (now.end > flushed_.lsn) {
    Start(now, &actions);
  }
  return actions;
}

FlushActions FlushMachine::Progress(const FlushReport& report) {
  FlushActions actions;
  if (IsCurrent(report)) Confirm(report, &actions.answers);
  return actions;
}

FlushActions FlushMachine::Ended(const FlushReport& report, FlushEnd end, std::string_view cause, Moment now) {
  FlushActions actions;
  if (!IsCurrent(report)) return actions;
  Confirm(report, &actions.answers);
  const Lsn cut = running_->order.cut;
  if (end != FlushEnd::kLasting && flushed_.lsn >= cut) {
    ++counters_.flushes_done;
    Finish(now, &actions);
  } else if (end == FlushEnd::kDone) {
    Retry(fmt::format("the flush ended at LSN {}, short of its cut {}", flushed_.lsn.value, cut.value), &actions);
  } else if (end == FlushEnd::kPassing) {
    Retry(cause, &actions);
  } else {
    running_.reset();
    wanted_ = false;
    Refuse({&on_running_, &on_pending_}, FlushError::kFailed, cause, &actions.answers);
  }
  return actions;
}

FlushActions FlushMachine::Looked(uint64_t look, FlushEnd end, std::string_view cause) {
  FlushActions actions;
  if (!look_ || look_->look != look) return actions;
  const int attempt = look_->attempt;
  look_.reset();
  last_look_failure_.clear();
  if (end == FlushEnd::kDone) {
    for (const auto& [caller, waiter] : std::exchange(on_look_, {})) {
      actions.answers.push_back(AnswerDurable(caller, waiter));
    }
    std::swap(on_look_, on_next_look_);
    if (!on_look_.empty()) StartLook(1, &actions);
    return actions;
  }
  // What begins now serves all who are there.
  on_look_.merge(on_next_look_);
  if (end == FlushEnd::kPassing) {
    last_look_failure_ = cause;
    if (!on_look_.empty()) StartLook(attempt + 1, &actions);
    return actions;
  }
  Refuse({&on_look_}, FlushError::kFailed, cause, &actions.answers);
  return actions;
}

FlushActions FlushMachine::SetState(FlushState state, std::string_view cause) {
  FlushActions actions;
  state_ = state;
  state_cause_ = cause;
  if (state != FlushState::kOpen) {
    wanted_ = false;
    const std::string message = StateMessage(state, cause);
    Refuse({&on_running_, &on_pending_, &on_look_, &on_next_look_}, ErrorOf(state), message, &actions.answers);
    look_.reset();
    last_look_failure_.clear();
  }
  return actions;
}

void FlushMachine::SetRestorable(bool restorable, std::string_view why_not, std::optional<Lsn> base_lsn) {
  restorable_ = restorable;
  base_lsn_ = restorable ? std::nullopt : base_lsn;
  why_not_restorable_ = restorable ? std::string_view() : why_not;
}

void FlushMachine::RestartAt(Checkpoint checkpoint) {
  TM_CHECK(state_ != FlushState::kOpen && !running_, "the archive can't skip to {} below a running task",
           checkpoint.lsn.value);
  TM_CHECK(checkpoint.lsn >= flushed_.lsn, "the archive can't go back from {} to {}", flushed_.lsn.value,
           checkpoint.lsn.value);
  flushed_ = checkpoint;
  SetRestorable(false, "the base after the gap has not begun", checkpoint.lsn);
}

std::string FlushMachine::HowFar() const {
  if (!base_lsn_) return fmt::format("everything up to LSN {}", flushed_.lsn.value);
  if (flushed_.lsn <= *base_lsn_)
    return fmt::format("nothing up to LSN {} without the base that is to begin there", base_lsn_->value);
  return fmt::format("the log from LSN {} to {}, but not the base that is to begin there", base_lsn_->value,
                     flushed_.lsn.value);
}

FlushAnswer FlushMachine::Refuse(CallerId caller, const Waiter& waiter, FlushError error, std::string message,
                                 uint64_t now_micros) {
  ++counters_.no;
  FlushAnswer answer{.caller = caller, .error = error, .message = std::move(message)};
  answer.target = waiter.target;
  answer.flushed = flushed_;
  answer.joined = waiter.joined;
  if (running_) {
    answer.running_cut = running_->order.cut;
    answer.running_age_micros = now_micros > running_->since_micros ? now_micros - running_->since_micros : 0;
  }
  return answer;
}

bool FlushMachine::IsOutOfReach(const Waiter& waiter) const {
  const bool only_in_base = base_lsn_ && waiter.target <= *base_lsn_;
  return !restorable_ && (!waiter.durable_only || only_in_base);
}

FlushAnswer FlushMachine::AnswerDurable(CallerId caller, const Waiter& waiter) {
  if (IsOutOfReach(waiter)) {
    return Refuse(caller, waiter, FlushError::kNotRestorable,
                  fmt::format("the archive has {}, a restore can't use it yet: {}", HowFar(), why_not_restorable_));
  }
  ++counters_.yes;
  FlushAnswer answer{.caller = caller, .success = true};
  answer.target = waiter.target;
  answer.flushed = flushed_;
  answer.joined = waiter.joined;
  return answer;
}

void FlushMachine::AnswerReached(Waiters* waiters, std::vector<FlushAnswer>* answers) {
  for (auto each = waiters->begin(); each != waiters->end();) {
    if (each->second.target > flushed_.lsn) {
      ++each;
      continue;
    }
    FlushAnswer answer = AnswerDurable(each->first, each->second);
    answer.objects = running_->objects;
    answer.bytes = running_->bytes;
    answers->push_back(std::move(answer));
    each = waiters->erase(each);
  }
}

void FlushMachine::Refuse(std::initializer_list<Waiters*> all, FlushError error, std::string_view message,
                          std::vector<FlushAnswer>* answers) {
  for (Waiters* waiters : all) {
    for (const auto& [caller, waiter] : std::exchange(*waiters, {})) {
      answers->push_back(Refuse(caller, waiter, error, std::string(message)));
    }
  }
}

// What is left of those on the running flush when it has reached its cut.
void FlushMachine::RefuseJoiners(std::vector<FlushAnswer>* answers) {
  for (const auto& [caller, waiter] : on_running_) {
    TM_CHECK(waiter.mode == FlushMode::kJoin, "a flush up to {} left a caller waiting for {}", flushed_.lsn.value,
             waiter.target.value);
    answers->push_back(Refuse(caller, waiter, FlushError::kNotCovered,
                              fmt::format("the flush that was running ended at LSN {}, before {}",
                                          running_->order.cut.value, waiter.target.value)));
  }
  on_running_.clear();
}

void FlushMachine::Confirm(const FlushReport& report, std::vector<FlushAnswer>* answers) {
  TM_CHECK(report.reached.lsn <= running_->order.cut, "a flush up to {} reports {}", running_->order.cut.value,
           report.reached.lsn.value);
  running_->objects = std::max(running_->objects, report.objects);
  running_->bytes = std::max(running_->bytes, report.bytes);
  const bool further = report.reached.lsn > flushed_.lsn;
  flushed_ = std::max(flushed_, report.reached);
  AnswerReached(&on_running_, answers);
  if (!further) return;
  for (Waiters* waiters : {&on_look_, &on_next_look_}) {
    for (const auto& [caller, waiter] : std::exchange(*waiters, {})) answers->push_back(AnswerDurable(caller, waiter));
  }
}

// A no needs no look.
void FlushMachine::AskForLook(CallerId caller, const Waiter& waiter, FlushActions* actions) {
  if (IsOutOfReach(waiter)) {
    actions->answers.push_back(AnswerDurable(caller, waiter));
  } else if (look_) {
    on_next_look_.emplace(caller, waiter);
  } else {
    on_look_.emplace(caller, waiter);
    StartLook(1, actions);
  }
}

void FlushMachine::StartLook(int attempt, FlushActions* actions) {
  ++counters_.looks;
  look_ = FenceLook{.look = ++last_look_, .attempt = attempt};
  actions->look = look_;
}

FlushOrder FlushMachine::NextOrder(Lsn cut, int attempt) {
  return {.order = ++last_order_, .from = flushed_.lsn, .cut = cut, .attempt = attempt};
}

void FlushMachine::Start(Moment now, FlushActions* actions) {
  TM_CHECK(!running_);
  ++counters_.flushes;
  running_ = Running{.order = NextOrder(now.end, 1), .since_micros = now.monotonic_micros};
  actions->order = running_->order;
}

// The driver's timers try again where nobody waits.
void FlushMachine::Retry(std::string_view cause, FlushActions* actions) {
  if (flush_waiters() == 0) {
    running_.reset();
    wanted_ = false;
    return;
  }
  ++counters_.retries;
  running_->last_failure = cause;
  running_->order = NextOrder(running_->order.cut, running_->order.attempt + 1);
  actions->order = running_->order;
}

void FlushMachine::Finish(Moment now, FlushActions* actions) {
  RefuseJoiners(&actions->answers);
  running_.reset();
  const bool wanted = std::exchange(wanted_, false);
  std::swap(on_running_, on_pending_);
  if (!on_running_.empty() || (wanted && now.end > flushed_.lsn)) Start(now, actions);
}

}  // namespace tidemark::backup
