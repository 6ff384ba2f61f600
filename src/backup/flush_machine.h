// Force flush as a state machine: events in, orders and answers out. One machine a backup task.
//
// A flush makes the log durable in the archive up to its *cut*, the end of the log at the moment it starts. A caller
// asks for a *target*, the end of the log at its arrival, and is told yes once `flushed`, what the archive is confirmed
// to hold, has reached it. At most one flush runs and at most one is pending: a caller whose target lies beyond the
// running cut joins the pending one, which takes its own cut when it starts. So any number of callers costs at most
// two flushes.
//
// A caller whose target is in the archive already needs no flush, but a *look*: a server that has been replaced must
// not say yes of writes that its successor does not have. Looks are shared as flushes are: one runs, and whoever comes
// meanwhile is for the next. A report that confirms more serves them too, as it comes after a look of its own.
//
// Invariants, for any order of events:
//   1. Every caller gets exactly one answer, or none if it was abandoned.
//   2. A yes: target ≤ flushed, and the archive is restorable unless the caller asked for durable only. Then the target
//      lies above the base that is on its way, if one is.
//   3. `flushed` rises only by what reports confirm, never by a cut; a report beyond the cut is a bug of the driver.
//   4. An attempt that is tried again has the same cut: what a checkpoint says and what is sent cannot drift apart.
//   5. Reports name their order; one that names another than the last order is ignored, so that no waiter can get the
//      result of an attempt that was over before.
//   6. Nobody waits for nothing: while there are waiters, a flush or a look runs whose end will be reported.
//   7. No yes without a look at the archive for a newer timeline that ended after the caller had come.
//
// The driver holds one lock around all calls and reads the end of the log inside it. It syncs the log to the cut,
// uploads [from, cut), checks that no newer timeline fences us, and only then reports. An order must always end: by
// Ended, when the uploader was restarted too (as a passing failure). The same holds of a look, by Looked.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backup/flush_mode.h"
#include "base/types.h"

namespace tidemark::backup {

// A caller of force flush, named by the driver. Not used again while its answer is open.
struct CallerId {
  uint64_t value = 0;
  auto operator<=>(const CallerId&) const = default;
};

// Whether the task takes force flushes: kOpen while it runs, with or without errors.
enum class FlushState : uint8_t { kOpen, kPaused, kStopped, kBroken, kFenced };

enum class FlushError : uint8_t {
  kNone,
  kDeadline,       // the caller's time was over; the flush goes on
  kBusy,           // kNowait: a flush runs
  kNotCovered,     // kJoin: the flush that ran did not reach the target
  kNotRestorable,  // flushed, but a restore could not use it yet
  kFailed,         // the archive can't be written until somebody does something
  kPaused,
  kStopped,
  kBroken,  // the archive has a gap
  kFenced,  // a newer timeline writes this archive
};

// Up to where the archive is complete: every record below `lsn`, the newest of which has `timestamp`.
struct Checkpoint {
  Lsn lsn;
  Timestamp timestamp;
  auto operator<=>(const Checkpoint&) const = default;
};

// What the driver reads when an event arrives.
struct Moment {
  // End of the log: appended, not yet durable.
  Lsn end;
  uint64_t monotonic_micros = 0;
};

struct FlushCall {
  CallerId caller;
  FlushMode mode = FlushMode::kWait;
  // End of the log when the call arrived; lower for a caller that asks for its own writes alone.
  Lsn target;
  bool durable_only = false;
};

// What an attempt has put into the archive so far, over all attempts of its flush, confirmed after the check for a
// newer timeline.
struct FlushReport {
  uint64_t order = 0;
  Checkpoint reached;
  uint64_t objects = 0;
  uint64_t bytes = 0;
};

enum class FlushEnd : uint8_t {
  kDone,     // the cut is reached. An end that claims so and has not reached it counts as kPassing
  kPassing,  // a reset, a 503: tried again while anybody waits; done all the same where the cut was reached before
  kLasting,  // credentials, no bucket, a wrong key: all who wait are told the cause
};

// Upload everything from `from` up to `cut`. The first attempt of a flush starts at once, a later one after a backoff
// of the driver's choice.
struct FlushOrder {
  uint64_t order = 0;  // no other order of this machine has it
  Lsn from;
  Lsn cut;
  int attempt = 1;
};

// Look whether a newer timeline is in the archive. The first attempt starts at once, a later one after a backoff.
struct FenceLook {
  uint64_t look = 0;  // no other look of this machine has it
  int attempt = 1;
};

struct FlushAnswer {
  CallerId caller{};
  bool success = false;
  FlushError error = FlushError::kNone;
  // Why not, for people; empty on success.
  std::string message{};
  Lsn target{};
  Checkpoint flushed{};
  // The flush that runs, where the answer is no and one does.
  std::optional<Lsn> running_cut{};
  uint64_t running_age_micros = 0;  // where the event that led to the answer brought a Moment, else 0
  // It shared a flush that was running or pending when it came.
  bool joined = false;
  // What the flush that served the caller had written when it did; 0 when nothing had to be.
  uint64_t objects = 0;
  uint64_t bytes = 0;
};

struct FlushActions {
  // At most one: there is never more than one order without an end.
  std::optional<FlushOrder> order;
  // Likewise; but one whose callers were told no meanwhile is replaced, and its end is not heard.
  std::optional<FenceLook> look;
  std::vector<FlushAnswer> answers;
};

class FlushMachine {
 public:
  // `flushed`: what the archive is known to hold, at least (the task's checkpoint, or what a listing found). Begins
  // open, and not restorable.
  explicit FlushMachine(Checkpoint flushed) : flushed_(flushed) {}

  // A caller arrives. Needs `call.target` ≤ `now.end`.
  [[nodiscard]] FlushActions Call(const FlushCall& call, Moment now);
  // The caller's time is over: the answer tells how far the archive got. Nothing if it was answered already.
  [[nodiscard]] FlushActions Deadline(CallerId caller, Moment now);
  // The caller has gone and hears no answer.
  void Abandon(CallerId caller);

  // A timer or a size asks for a flush: one starts if the log has anything new. While one runs, the wish is kept and
  // the pending flush starts with the end of the running one; any number of wishes is one.
  [[nodiscard]] FlushActions WantFlush(Moment now);

  // The order goes on and has got so far.
  [[nodiscard]] FlushActions Progress(const FlushReport& report);
  // The order is over. A driver that found a newer timeline says SetState(kFenced) first. After a lasting failure
  // nothing runs until the next call or WantFlush. `cause` is for people: what failed, and on what.
  [[nodiscard]] FlushActions Ended(const FlushReport& report, FlushEnd end, std::string_view cause, Moment now);

  // The look is over. kDone: no newer timeline is there. A driver that found one says SetState(kFenced) first.
  [[nodiscard]] FlushActions Looked(uint64_t look, FlushEnd end, std::string_view cause);

  // In any other state than kOpen all who wait and all who come are told no, with `cause`. An order under way still
  // has to be ended. Back in kOpen, flushes start with the next call or WantFlush.
  [[nodiscard]] FlushActions SetState(FlushState state, std::string_view cause);
  // Whether a restore can use what is durable: an unbroken chain from a complete base, or from the log's origin.
  // `why_not` for people: "the first base is 43 % uploaded". Who waits is told when its target is durable.
  // `base_lsn`: where the log in the archive begins, at a base on its way. What is below is in that base alone: until
  // it is complete, no target at or below is durable. Not set: the archive has the log from its origin.
  void SetRestorable(bool restorable, std::string_view why_not, std::optional<Lsn> base_lsn = {});
  // After a gap the archive goes on at `checkpoint`, with a new base that is not there yet. Only while not kOpen and
  // without an order.
  void RestartAt(Checkpoint checkpoint);

  struct Running {
    FlushOrder order{};
    // The first attempt's start.
    uint64_t since_micros = 0;
    uint64_t objects = 0;
    uint64_t bytes = 0;
    // Why the last attempt failed; empty on the first.
    std::string last_failure{};
  };
  const std::optional<Running>& running() const { return running_; }
  bool pending() const { return wanted_ || !on_pending_.empty(); }
  Checkpoint flushed() const { return flushed_; }
  FlushState state() const { return state_; }
  const std::string& state_cause() const { return state_cause_; }
  bool restorable() const { return restorable_; }
  const std::string& why_not_restorable() const { return why_not_restorable_; }
  // What the archive holds, for people: "everything up to LSN 4196".
  std::string HowFar() const;
  size_t waiters() const { return on_running_.size() + on_pending_.size() + on_look_.size() + on_next_look_.size(); }

  struct Counters {
    uint64_t flushes = 0;  // started; attempts beyond the first are not counted here
    uint64_t retries = 0;
    uint64_t flushes_done = 0;
    uint64_t looks = 0;
    uint64_t callers = 0;
    uint64_t joined = 0;
    uint64_t yes = 0;
    uint64_t no = 0;
    uint64_t abandoned = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  friend class FlushMachineInspector;  // tests

  struct Waiter {
    FlushMode mode;
    Lsn target;
    bool durable_only;
    bool joined;
  };
  using Waiters = std::map<CallerId, Waiter>;

  // `now_micros`: 0 when the event brought no time.
  FlushAnswer Refuse(CallerId caller, const Waiter& waiter, FlushError error, std::string message,
                     uint64_t now_micros = 0);
  // Whether a restore would not have the caller's target, though the archive does.
  bool IsOutOfReach(const Waiter& waiter) const;
  // The target is in the archive: yes, or why that does not help.
  FlushAnswer AnswerDurable(CallerId caller, const Waiter& waiter);
  void AnswerReached(Waiters* waiters, std::vector<FlushAnswer>* answers);
  void Refuse(std::initializer_list<Waiters*> all, FlushError error, std::string_view message,
              std::vector<FlushAnswer>* answers);
  void RefuseJoiners(std::vector<FlushAnswer>* answers);
  void Confirm(const FlushReport& report, std::vector<FlushAnswer>* answers);
  void AskForLook(CallerId caller, const Waiter& waiter, FlushActions* actions);
  void StartLook(int attempt, FlushActions* actions);
  // Who waits for the flush that runs or is pending.
  size_t flush_waiters() const { return on_running_.size() + on_pending_.size(); }
  FlushOrder NextOrder(Lsn cut, int attempt);
  void Start(Moment now, FlushActions* actions);
  void Retry(std::string_view cause, FlushActions* actions);
  void Finish(Moment now, FlushActions* actions);
  bool IsCurrent(const FlushReport& report) const { return running_ && running_->order.order == report.order; }

  Checkpoint flushed_;
  FlushState state_ = FlushState::kOpen;
  std::string state_cause_;
  bool restorable_ = false;
  std::optional<Lsn> base_lsn_;
  std::string why_not_restorable_ = "the first base has not begun";
  std::optional<Running> running_;
  // A flush is wished for when the running one ends.
  bool wanted_ = false;
  // Those whom the running flush serves, and those for whom the pending one is. Both empty unless a flush runs.
  Waiters on_running_;
  Waiters on_pending_;
  uint64_t last_order_ = 0;
  std::optional<FenceLook> look_;
  std::string last_look_failure_;  // of the look that runs
  // Those whom the running look serves, and those who came after it had begun. Their targets are in the archive.
  Waiters on_look_;
  Waiters on_next_look_;
  uint64_t last_look_ = 0;
  Counters counters_;
};

}  // namespace tidemark::backup
