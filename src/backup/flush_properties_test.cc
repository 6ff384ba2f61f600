// Every order in which callers, flush results, failures, pauses and deadlines can meet the flush machine. The world
// around it is small (three callers, three appends), so the set of all states that it can ever reach is finite, and
// it is walked completely; larger worlds are walked at random. What must hold is checked after every event against
// what really is in the archive, and in every state: once failures stop, everybody is answered.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <unordered_map>

#include "backup/flush_machine.h"

namespace tidemark::backup {

// What decides how a machine behaves from here on, as a string; numbers of orders, clocks and counters are left out.
class FlushMachineInspector {
 public:
  static std::string Essence(const FlushMachine& machine) {
    std::string text = fmt::format("{} {} {} {} ", machine.flushed_.lsn.value, static_cast<int>(machine.state_),
                                   machine.restorable_, machine.wanted_);
    if (machine.base_lsn_) text += fmt::format("base {} ", machine.base_lsn_->value);
    if (machine.running_) text += fmt::format("cut {} ", machine.running_->order.cut.value);
    if (machine.look_) text += "looks ";
    for (const auto* waiters :
         {&machine.on_running_, &machine.on_pending_, &machine.on_look_, &machine.on_next_look_}) {
      text += '|';
      for (const auto& [caller, waiter] : *waiters) {
        text += fmt::format("{}:{}/{}/{}/{} ", caller.value, waiter.target.value, static_cast<int>(waiter.mode),
                            waiter.durable_only, waiter.joined);
      }
    }
    return text;
  }
};

namespace {

enum class What : uint8_t {
  kAppend,
  kCall,
  kCallDurableOnly,
  kWant,
  kProgress,
  kDone,
  kDoneShort,
  kPassing,
  kPassingFurther,
  kLasting,
  kLookDone,
  kLookPassing,
  kLookLasting,
  kStale,
  kDeadline,
  kAbandon,
  kState,
  kRestorable,
};

struct Event {
  What what;
  uint64_t argument = 0;  // mode, caller or state
};

struct Limits {
  size_t callers;
  uint64_t appends;
  // Callers are numbered anew once all are answered.
  bool endless = false;
};

struct Caller {
  enum class Life : uint8_t { kNotYet, kWaits, kOver } life = Life::kNotYet;
  FlushMode mode = FlushMode::kWait;
  bool durable_only = false;
  uint64_t target = 0;
  // Flushes that began while it waited.
  int flushes_begun = 0;
  // The newest look that had begun when it came.
  uint64_t look_before = 0;
};

// The machine, and what is true around it. `fault` stays empty as long as everything holds.
class World {
 public:
  explicit World(const Limits& limits) : limits_(limits), callers_(limits.callers), machine_({Lsn{0}, Timestamp{0}}) {}

  std::vector<Event> Possible() const {
    std::vector<Event> events;
    if (end_ < limits_.appends) events.push_back({What::kAppend});
    if (FirstNotYet() < callers_.size()) {
      for (uint64_t mode = 0; mode < 3; ++mode) events.push_back({What::kCall, mode});
      events.push_back({What::kCallDurableOnly});
    }
    events.push_back({What::kWant});
    events.push_back({What::kStale});
    events.push_back({What::kRestorable});
    for (const FlushState state : {FlushState::kOpen, FlushState::kPaused, FlushState::kFenced}) {
      if (state != machine_.state()) events.push_back({What::kState, static_cast<uint64_t>(state)});
    }
    if (order_) {
      for (const What what : {What::kDone, What::kDoneShort, What::kPassing, What::kLasting}) events.push_back({what});
      if (archived_ < order_->cut.value) {
        events.push_back({What::kProgress});
        events.push_back({What::kPassingFurther});
      }
    }
    if (look_) {
      for (const What what : {What::kLookDone, What::kLookPassing, What::kLookLasting}) events.push_back({what});
    }
    for (uint64_t i = 0; i < callers_.size(); ++i) {
      if (callers_[i].life != Caller::Life::kWaits) continue;
      events.push_back({What::kDeadline, i});
      events.push_back({What::kAbandon, i});
    }
    return events;
  }

  void Apply(const Event& event) {
    event_ = event;
    switch (event.what) {
      case What::kAppend:
        ++end_;
        break;
      case What::kCall:
        Call(static_cast<FlushMode>(event.argument), false);
        break;
      case What::kCallDurableOnly:
        Call(FlushMode::kWait, true);
        break;
      case What::kWant:
        Take(machine_.WantFlush(Now()));
        break;
      case What::kProgress:
        ++archived_;
        Take(machine_.Progress(Report()));
        break;
      case What::kLookDone:
      case What::kLookPassing:
      case What::kLookLasting:
        EndLook();
        break;
      case What::kStale:
        Stale();
        break;
      case What::kDeadline:
        Take(machine_.Deadline(CallerId{event.argument}, Now()));
        if (callers_[event.argument].life != Caller::Life::kOver) Fault("a deadline was not answered");
        break;
      case What::kAbandon:
        machine_.Abandon(CallerId{event.argument});
        callers_[event.argument].life = Caller::Life::kOver;
        break;
      case What::kState:
        Take(machine_.SetState(static_cast<FlushState>(event.argument), "because"));
        if (machine_.state() != FlushState::kOpen) look_.reset();
        break;
      case What::kRestorable:
        restorable_ = !restorable_;
        // A base begins at the end of what was flushed before.
        base_ = restorable_ ? std::nullopt : std::optional(archived_);
        machine_.SetRestorable(restorable_, "no base", base_ ? std::optional(Lsn{*base_}) : std::nullopt);
        break;
      default:
        End(event.what);
    }
    Check();
  }

  // From here on nothing fails: is everybody answered, with at most the running and one more flush?
  void CheckLiveness() {
    for (int looks = 0; looks < 2 && look_; ++looks) Apply({What::kLookDone});
    for (int flushes = 0; flushes < 2 && order_; ++flushes) Apply({What::kDone});
    if (machine_.waiters() != 0) Fault("a caller is stranded");
  }

  std::string Essence() const {
    std::string text = FlushMachineInspector::Essence(machine_) + fmt::format("end {}", end_);
    for (const Caller& caller : callers_) {
      text += fmt::format(" {}{}", static_cast<int>(caller.life),
                          caller.life == Caller::Life::kWaits ? caller.flushes_begun : 0);
    }
    return text;
  }

  std::string fault;
  const FlushMachine& machine() const { return machine_; }

 private:
  void Fault(std::string what) {
    if (fault.empty()) fault = std::move(what);
  }
  Moment Now() const { return {Lsn{end_}, 7}; }
  FlushReport Report() const { return {order_ ? order_->order : 0, {Lsn{archived_}, Timestamp{archived_}}, 1, 1}; }
  size_t FirstNotYet() const {
    return static_cast<size_t>(std::find_if(callers_.begin(), callers_.end(),
                                            [](const Caller& c) { return c.life == Caller::Life::kNotYet; }) -
                               callers_.begin());
  }

  void Call(FlushMode mode, bool durable_only) {
    const size_t index = FirstNotYet();
    callers_[index] = {Caller::Life::kWaits, mode, durable_only, end_, 0, last_look_};
    // What begins with a call is not yet a flush that it had to wait for besides its own.
    Take(machine_.Call({CallerId{index}, mode, Lsn{end_}, durable_only}, Now()));
  }

  void End(What what) {
    if (what == What::kDone) archived_ = order_->cut.value;
    if (what == What::kPassingFurther) ++archived_;
    const FlushReport report = Report();
    last_order_ = std::exchange(order_, std::nullopt);
    const FlushEnd end = what == What::kDone || what == What::kDoneShort ? FlushEnd::kDone
                         : what == What::kLasting                        ? FlushEnd::kLasting
                                                                         : FlushEnd::kPassing;
    Take(machine_.Ended(report, end, "503", Now()));
  }

  void EndLook() {
    const uint64_t look = std::exchange(look_, std::nullopt)->look;
    ended_look_ = look;
    const FlushEnd end = event_.what == What::kLookDone      ? FlushEnd::kDone
                         : event_.what == What::kLookLasting ? FlushEnd::kLasting
                                                             : FlushEnd::kPassing;
    Take(machine_.Looked(look, end, "503"));
  }

  // Reports of an order that is over, and of one that never was, change nothing.
  void Stale() {
    const std::string before = FlushMachineInspector::Essence(machine_);
    for (const uint64_t order : {uint64_t{0}, last_order_ ? last_order_->order : 0}) {
      const FlushReport report{order, {Lsn{end_}, Timestamp{end_}}, 9, 9};
      for (const FlushEnd end : {FlushEnd::kDone, FlushEnd::kPassing, FlushEnd::kLasting}) {
        Take(machine_.Ended(report, end, "late", Now()));
      }
      Take(machine_.Progress(report));
    }
    for (const uint64_t look : {uint64_t{0}, last_look_ + 1, ended_look_}) {
      for (const FlushEnd end : {FlushEnd::kDone, FlushEnd::kPassing, FlushEnd::kLasting}) {
        Take(machine_.Looked(look, end, "late"));
      }
    }
    if (FlushMachineInspector::Essence(machine_) != before) Fault("a stale report counted");
  }

  void Take(const FlushActions& actions) {
    for (const FlushAnswer& answer : actions.answers) Heard(answer);
    if (actions.order) Ordered(*actions.order);
    if (!actions.look) return;
    if (look_) Fault("a second look while one is under way");
    if (actions.look->look <= last_look_) Fault("a look of the same name");
    look_ = actions.look;
    last_look_ = look_->look;
  }

  void Ordered(const FlushOrder& order) {
    if (order_) Fault("a second order while one is under way");
    if (order.from >= order.cut) Fault("a flush of nothing");
    if (order.from.value != archived_) Fault("an order that leaves out or sends twice");
    if (order.attempt == 1 && order.cut.value != end_) Fault("a cut that is not the end of the log");
    if (order.attempt > 1 && (!last_order_ || order.cut != last_order_->cut))
      Fault("another cut at the second attempt");
    if (machine_.state() != FlushState::kOpen) Fault("a flush of a task that is not open");
    order_ = order;
    if (order.attempt > 1) return;
    for (Caller& caller : callers_) {
      if (caller.life == Caller::Life::kWaits && caller.target > archived_) ++caller.flushes_begun;
    }
  }

  void Heard(const FlushAnswer& answer) {
    Caller& caller = callers_[answer.caller.value];
    if (caller.life != Caller::Life::kWaits) Fault("an answer to one who does not wait");
    caller.life = Caller::Life::kOver;
    if (answer.target.value != caller.target) Fault("the answer to another question");
    if (answer.flushed.lsn.value != archived_) Fault("an answer that is wrong about the archive");
    if (answer.success != (answer.error == FlushError::kNone)) Fault("both yes and no");
    if (answer.success != answer.message.empty()) Fault("a no without a reason, or a yes with one");
    const bool durable = caller.target <= archived_;
    if (answer.success && !durable) Fault("a yes that is not durable");
    if (answer.success && !IsAfterALook(caller)) Fault("a yes without a look for a newer timeline");
    if (answer.success && !restorable_ && !caller.durable_only) Fault("a yes that can't be restored");
    if (answer.success && base_ && caller.target <= *base_) Fault("a yes for what only a base will have");
    if (answer.success && machine_.state() != FlushState::kOpen) Fault("a yes of a task that is not open");
    if (!answer.success && !IsFair(answer, caller, durable)) Fault("no, for a reason that is none");
  }

  // A flush that got further has looked before it said so.
  bool IsAfterALook(const Caller& caller) const {
    switch (event_.what) {
      case What::kProgress:
      case What::kDone:
      case What::kPassingFurther:
        return true;
      case What::kLookDone:
        return ended_look_ > caller.look_before;
      default:
        return false;
    }
  }

  bool IsFair(const FlushAnswer& answer, const Caller& caller, bool durable) const {
    switch (answer.error) {
      case FlushError::kNone:
        return false;
      case FlushError::kDeadline:
        return event_.what == What::kDeadline && event_.argument == answer.caller.value && (!durable || look_);
      case FlushError::kBusy:
        return caller.mode == FlushMode::kNowait && order_ && answer.running_cut == order_->cut;
      case FlushError::kNotCovered:
        return caller.mode == FlushMode::kJoin && !durable &&
               (event_.what == What::kDone || event_.what == What::kDoneShort || event_.what == What::kPassing ||
                event_.what == What::kPassingFurther) &&
               archived_ >= last_order_->cut.value;
      case FlushError::kNotRestorable:
        return durable && !restorable_ && (!caller.durable_only || (base_ && caller.target <= *base_));
      case FlushError::kFailed:
        return event_.what == (durable ? What::kLookLasting : What::kLasting);
      case FlushError::kPaused:
        return machine_.state() == FlushState::kPaused;
      case FlushError::kFenced:
        return machine_.state() == FlushState::kFenced;
      case FlushError::kStopped:
      case FlushError::kBroken:
        return false;
    }
    return false;
  }

  void Check() {
    if (machine_.flushed().lsn.value != archived_) Fault("flushed is not what is in the archive");
    if (machine_.running().has_value() != order_.has_value()) Fault("a flush runs without an order, or the reverse");
    size_t waiting = 0;
    for (const Caller& caller : callers_) {
      if (caller.life != Caller::Life::kWaits) continue;
      ++waiting;
      if (caller.target <= archived_ && !look_) Fault("a caller waits for what is there");
      if (caller.target > archived_ && !order_) Fault("a caller waits for what nobody sends");
      if (caller.flushes_begun > 1) Fault("a caller waits for more than the next flush");
    }
    if (machine_.waiters() != waiting) Fault("a caller was forgotten");
    if (machine_.pending() && !order_) Fault("a flush is pending behind none");
    if (limits_.endless && FirstNotYet() == callers_.size() && waiting == 0) {
      for (Caller& caller : callers_) caller = {};
    }
  }

  Limits limits_;
  uint64_t end_ = 0;
  uint64_t archived_ = 0;
  bool restorable_ = false;
  std::optional<uint64_t> base_;
  std::vector<Caller> callers_;
  std::optional<FlushOrder> order_;
  std::optional<FlushOrder> last_order_;
  std::optional<FenceLook> look_;
  uint64_t last_look_ = 0;
  uint64_t ended_look_ = 0;
  Event event_{};
  FlushMachine machine_;
};

std::string Name(const Event& event) {
  constexpr std::array<std::string_view, 18> kNames = {
      "append",    "call",        "call durable-only",   "want",           "progress",
      "done",      "done, short", "passing failure",     "passing, later", "lasting failure",
      "look done", "look fails",  "look fails for good", "stale reports",  "deadline",
      "abandon",   "state",       "restorable"};
  return fmt::format("{} {}", kNames[static_cast<size_t>(event.what)], event.argument);
}

// Breadth first, so that the way to a fault is the shortest there is.
class Walk {
 public:
  explicit Walk(const Limits& limits) {
    World start(limits);
    seen_.emplace(start.Essence(), 0);
    steps_.push_back({0, {}});
    open_.push_back({std::move(start), 0});
  }

  // The first fault with the way to it; empty when there is none.
  std::string Go() {
    while (!open_.empty()) {
      const auto [world, at] = std::move(open_.front());
      open_.pop_front();
      for (const Event& event : world.Possible()) {
        World next = world;
        next.Apply(event);
        ++transitions;
        if (!next.fault.empty()) return next.fault + " after" + WayTo(at) + ", " + Name(event);
        const auto [found, is_new] = seen_.emplace(next.Essence(), steps_.size());
        if (!is_new) continue;
        steps_.push_back({at, event});
        World ending = next;
        ending.CheckLiveness();
        if (!ending.fault.empty()) return ending.fault + " after" + WayTo(found->second);
        open_.push_back({std::move(next), found->second});
      }
    }
    return {};
  }

  size_t states() const { return seen_.size(); }
  size_t transitions = 0;

 private:
  std::string WayTo(size_t at) const {
    std::string way;
    for (; at != 0; at = steps_[at].first) way = ", " + Name(steps_[at].second) + way;
    return way;
  }

  std::unordered_map<std::string, size_t> seen_;
  // How each state was reached first: from which, by what.
  std::vector<std::pair<size_t, Event>> steps_;
  std::deque<std::pair<World, size_t>> open_;
};

TEST(FlushProperties, HoldInEveryStateThatCanBeReached) {
  Walk walk({.callers = 3, .appends = 2});
  EXPECT_EQ(walk.Go(), "");
  RecordProperty("states", static_cast<int>(walk.states()));
  RecordProperty("transitions", static_cast<int>(walk.transitions));
  EXPECT_GT(walk.states(), 10'000u);
}

TEST(FlushProperties, HoldOnLongWalksWithManyCallers) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    World world({.callers = 12, .appends = 1000, .endless = true});
    for (int step = 0; step < 600; ++step) {
      const std::vector<Event> events = world.Possible();
      world.Apply(events[random() % events.size()]);
      ASSERT_EQ(world.fault, "") << "seed " << seed << ", step " << step;
      if (step % 20 != 0) continue;
      World ending = world;
      ending.CheckLiveness();
      ASSERT_EQ(ending.fault, "") << "seed " << seed << ", step " << step;
    }
  }
}

// Whatever has happened before: a thousand callers at once cause at most two flushes beyond the one that runs.
TEST(FlushProperties, AThousandCallersCauseTwoFlushes) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    std::mt19937_64 random(seed);
    FlushMachine machine({Lsn{0}, Timestamp{0}});
    machine.SetRestorable(true, "");
    uint64_t end = 1 + random() % 1000;
    std::vector<FlushAnswer> answers;
    std::optional<FlushOrder> order;
    const auto take = [&](FlushActions actions) {
      if (actions.order) order = actions.order;
      for (FlushAnswer& answer : actions.answers) answers.push_back(std::move(answer));
    };
    for (uint64_t caller = 0; caller < 1000; ++caller) {
      if (random() % 2 == 0) ++end;
      take(machine.Call({CallerId{caller}, FlushMode::kWait, Lsn{end}, false}, {Lsn{end}, 0}));
    }
    while (order) {
      const FlushReport report{order->order, {random() % 3 == 0 ? order->from : order->cut, Timestamp{0}}, 0, 0};
      order.reset();
      take(machine.Ended(report, FlushEnd::kDone, "", {Lsn{end}, 0}));
    }
    ASSERT_EQ(answers.size(), 1000u);
    for (const FlushAnswer& answer : answers) ASSERT_TRUE(answer.success) << answer.message;
    ASSERT_LE(machine.counters().flushes, 2u);
  }
}

}  // namespace
}  // namespace tidemark::backup
