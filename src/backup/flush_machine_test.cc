// The flush machine event by event, and the eight ways in which the force flush of TiKV's log backup (read at 8e964719)
// can mislead its caller, each a test named after it. flush_properties_test.cc tries every order of events.
#include "backup/flush_machine.h"

#include <gtest/gtest.h>

namespace tidemark::backup {
namespace {

constexpr Lsn At(uint64_t lsn) { return Lsn{4096 + lsn}; }
constexpr Checkpoint Point(uint64_t lsn) { return {At(lsn), Timestamp{1000 + lsn}}; }
constexpr CallerId kAnna{1};
constexpr CallerId kBert{2};
constexpr CallerId kCleo{3};

// A machine, the log that it looks at, and the order that it gave last.
class FlushMachineTest : public testing::Test {
 protected:
  FlushMachineTest() { machine_.SetRestorable(true, ""); }

  Moment Now() { return {At(end_), ++micros_}; }
  void Write(uint64_t bytes) { end_ += bytes; }

  std::vector<FlushAnswer> Take(FlushActions actions) {
    if (actions.order) order_ = *actions.order;
    if (actions.look) look_ = *actions.look;
    return std::move(actions.answers);
  }
  std::vector<FlushAnswer> Call(CallerId caller, FlushMode mode = FlushMode::kWait, bool durable_only = false) {
    return Take(machine_.Call({caller, mode, At(end_), durable_only}, Now()));
  }
  std::vector<FlushAnswer> Deadline(CallerId caller) { return Take(machine_.Deadline(caller, Now())); }
  FlushReport Report(uint64_t reached, uint64_t objects = 0, uint64_t bytes = 0) const {
    return {order_.order, Point(reached), objects, bytes};
  }
  std::vector<FlushAnswer> Progress(uint64_t reached) { return Take(machine_.Progress(Report(reached, 1, 100))); }
  std::vector<FlushAnswer> Done() {
    const uint64_t cut = order_.cut - At(0);
    return Take(machine_.Ended(Report(cut, 2, 200), FlushEnd::kDone, "", Now()));
  }
  std::vector<FlushAnswer> Fails(uint64_t reached, FlushEnd end, std::string_view cause) {
    return Take(machine_.Ended(Report(reached), end, cause, Now()));
  }
  std::vector<FlushAnswer> SetState(FlushState state, std::string_view cause) {
    return Take(machine_.SetState(state, cause));
  }
  std::vector<FlushAnswer> Looked(FlushEnd end = FlushEnd::kDone, std::string_view cause = "") {
    return Take(machine_.Looked(look_.look, end, cause));
  }
  // For one whose target is in the archive: nothing, before there was a look.
  std::vector<FlushAnswer> CallAndLook(CallerId caller, FlushMode mode = FlushMode::kWait) {
    EXPECT_TRUE(Call(caller, mode).empty());
    return Looked();
  }
  uint64_t flushes() const { return machine_.counters().flushes; }

  FlushMachine machine_{Point(0)};
  uint64_t end_ = 0;
  uint64_t micros_ = 1'000'000;
  FlushOrder order_;
  FenceLook look_;
};

// The eight of TiKV.

// "An upload error is swallowed between router.do_flush and endpoint.do_flush; success=true."
TEST_F(FlushMachineTest, FalseSuccess) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_TRUE(Fails(0, FlushEnd::kPassing, "PUT log/…: 503 SlowDown").empty());
  // Not even a driver that calls a failed upload done gets a yes out of it.
  EXPECT_TRUE(Take(machine_.Ended(Report(60), FlushEnd::kDone, "", Now())).empty());
  EXPECT_EQ(machine_.flushed(), Point(60));
  EXPECT_EQ(machine_.running()->last_failure, "the flush ended at LSN 4156, short of its cut 4196");
  const auto answers = Fails(60, FlushEnd::kLasting, "PUT log/…: 403 the credentials have expired");
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_FALSE(answers[0].success);
  EXPECT_EQ(answers[0].error, FlushError::kFailed);
  EXPECT_EQ(answers[0].message, "PUT log/…: 403 the credentials have expired");
  EXPECT_EQ(answers[0].flushed, Point(60));
}

// "The running flush counts: writes made after its freeze are not in it, and success is reported."
TEST_F(FlushMachineTest, RunningFlushCounts) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  Write(1);
  EXPECT_TRUE(Call(kBert).empty());
  auto answers = Done();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].caller, kAnna);
  EXPECT_TRUE(answers[0].success);
  EXPECT_EQ(order_.cut, At(101));
  answers = Done();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].caller, kBert);
  EXPECT_TRUE(answers[0].success);
  EXPECT_EQ(answers[0].flushed, Point(101));
}

// "Retry after a failed upload re-sends only the old frozen files while the checkpoint is computed anew."
TEST_F(FlushMachineTest, RetryPassesTheCheckpoint) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  const FlushOrder first = order_;
  Write(900);
  EXPECT_TRUE(Fails(40, FlushEnd::kPassing, "connection reset").empty());
  // The same range goes again, less what is confirmed, though the log has grown; and only the range counts.
  EXPECT_NE(order_.order, first.order);
  EXPECT_EQ(order_.attempt, 2);
  EXPECT_EQ(order_.from, At(40));
  EXPECT_EQ(order_.cut, first.cut);
  EXPECT_TRUE(Call(kBert).empty());
  ASSERT_EQ(Done().size(), 1u);
  EXPECT_EQ(machine_.flushed(), Point(100));
  EXPECT_EQ(order_.from, At(100));
  EXPECT_EQ(order_.cut, At(1000));
  EXPECT_DEATH(static_cast<void>(Progress(1001)), "a flush up to 5096 reports 5097");
}

// "A second FlushNow fails the first: another waiter enters and this one was aborted."
TEST_F(FlushMachineTest, OneWaiterATask) {
  for (uint64_t caller = 1; caller <= 1000; ++caller) {
    Write(1);
    EXPECT_TRUE(Call(CallerId{caller}).empty());
  }
  EXPECT_EQ(machine_.waiters(), 1000u);
  auto answers = Done();
  for (FlushAnswer& answer : Done()) answers.push_back(std::move(answer));
  EXPECT_EQ(answers.size(), 1000u);
  for (const FlushAnswer& answer : answers) {
    EXPECT_TRUE(answer.success);
    EXPECT_LE(answer.target, answer.flushed.lsn);
  }
  EXPECT_EQ(flushes(), 2u);
  EXPECT_EQ(machine_.counters().joined, 998u);
  EXPECT_FALSE(machine_.running());
}

// "The flag clears before the result is handled; a new waiter can get the previous result."
TEST_F(FlushMachineTest, StaleNotification) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  const FlushReport late{order_.order, Point(100), 1, 100};
  EXPECT_EQ(Fails(0, FlushEnd::kLasting, "no such bucket").size(), 1u);
  EXPECT_TRUE(Call(kBert).empty());
  // Whatever the attempt before still says, it says it to nobody.
  EXPECT_TRUE(Take(machine_.Progress(late)).empty());
  EXPECT_TRUE(Take(machine_.Ended(late, FlushEnd::kDone, "", Now())).empty());
  EXPECT_TRUE(Take(machine_.Ended(late, FlushEnd::kLasting, "no such bucket", Now())).empty());
  EXPECT_EQ(machine_.flushed(), Point(0));
  EXPECT_EQ(machine_.waiters(), 1u);
  ASSERT_EQ(Done().size(), 1u);
}

// "Stranded waiter when the joined flush fails to get its timestamp."
TEST_F(FlushMachineTest, StrandedWaiter) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_TRUE(Call(kBert).empty());
  Write(1);
  EXPECT_TRUE(Call(kCleo).empty());
  // The flush that two joined fails before it has done anything: it is tried again for them and for the third.
  const uint64_t failed = order_.order;
  EXPECT_TRUE(Fails(0, FlushEnd::kPassing, "connection refused").empty());
  EXPECT_GT(order_.order, failed);
  EXPECT_EQ(Done().size(), 2u);
  // And one that fails for good leaves nobody behind.
  const auto answers = Fails(100, FlushEnd::kLasting, "no such bucket");
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].caller, kCleo);
  EXPECT_EQ(machine_.waiters(), 0u);
}

// "Durable is not yet restorable: restore reads global_checkpoint/*.ts, which ticks publish later."
TEST_F(FlushMachineTest, DurableIsNotRestorable) {
  machine_.SetRestorable(false, "the first base is 43 % uploaded");
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_TRUE(Call(kBert, FlushMode::kWait, true).empty());
  auto answers = Done();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_FALSE(answers[0].success);
  EXPECT_EQ(answers[0].error, FlushError::kNotRestorable);
  EXPECT_EQ(answers[0].flushed, Point(100));
  EXPECT_EQ(answers[0].message,
            "the archive has everything up to LSN 4196, a restore can't use it yet: the first base is 43 % uploaded");
  EXPECT_TRUE(answers[1].success);
  answers = Call(kAnna);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error, FlushError::kNotRestorable);
  machine_.SetRestorable(true, "");
  answers = CallAndLook(kAnna);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0].success);
}

// What only a base will have is not there because the log goes on behind it.
TEST_F(FlushMachineTest, WhatLiesBelowABaseOnItsWayIsNotDurable) {
  machine_.SetRestorable(false, "the first base is 43 % uploaded", At(0));
  auto answers = Call(kAnna, FlushMode::kWait, true);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error, FlushError::kNotRestorable);
  EXPECT_EQ(answers[0].message,
            "the archive has nothing up to LSN 4096 without the base that is to begin there, a restore can't use it "
            "yet: the first base is 43 % uploaded");
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_TRUE(Call(kBert, FlushMode::kWait, true).empty());
  answers = Done();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].message,
            "the archive has the log from LSN 4096 to 4196, but not the base that is to begin there, a restore can't "
            "use it yet: the first base is 43 % uploaded");
  EXPECT_TRUE(answers[1].success);
  machine_.SetRestorable(true, "");
  Write(10);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_TRUE(Done()[0].success);
}

// "The answer has no position, time or byte count."
TEST_F(FlushMachineTest, AnswerWithoutPosition) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  Write(20);
  EXPECT_TRUE(Call(kBert).empty());
  auto answers = Done();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].target, At(100));
  EXPECT_EQ(answers[0].flushed, Point(100));
  EXPECT_EQ(answers[0].objects, 2u);
  EXPECT_EQ(answers[0].bytes, 200u);
  EXPECT_FALSE(answers[0].joined);
  micros_ += 5'000'000;
  answers = Deadline(kBert);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error, FlushError::kDeadline);
  EXPECT_EQ(answers[0].target, At(120));
  EXPECT_EQ(answers[0].flushed, Point(100));
  EXPECT_EQ(answers[0].running_cut, At(120));
  EXPECT_EQ(answers[0].running_age_micros, 5'000'001u);
}

// The rest, event by event.

TEST_F(FlushMachineTest, WhatIsInTheArchiveNeedsALookAndNoFlush) {
  auto answers = CallAndLook(kAnna);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0].success);
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_EQ(Done().size(), 1u);
  for (const FlushMode mode : {FlushMode::kWait, FlushMode::kJoin, FlushMode::kNowait}) {
    answers = CallAndLook(kBert, mode);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_TRUE(answers[0].success);
    EXPECT_EQ(answers[0].objects, 0u);
  }
  EXPECT_EQ(flushes(), 1u);
}

// Its archive has all that is asked for, on a timeline that is not the cluster's any more.
TEST_F(FlushMachineTest, WhoWasReplacedSaysNoOfWhatIsInTheArchive) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_EQ(Done().size(), 1u);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_TRUE(Call(kBert).empty());
  const auto answers = SetState(FlushState::kFenced, "timeline 2 has taken over the archive");
  ASSERT_EQ(answers.size(), 2u);
  for (const FlushAnswer& answer : answers) EXPECT_EQ(answer.error, FlushError::kFenced);
  EXPECT_TRUE(Looked().empty());
}

TEST_F(FlushMachineTest, ALookServesThoseWhoCameBeforeItAndAThousandShareTwo) {
  EXPECT_TRUE(Call(kAnna).empty());
  for (uint64_t caller = 2; caller <= 1000; ++caller) EXPECT_TRUE(Call(CallerId{caller}).empty());
  auto answers = Looked();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].caller, kAnna);
  EXPECT_EQ(Looked().size(), 999u);
  EXPECT_EQ(machine_.counters().looks, 2u);
  EXPECT_EQ(machine_.waiters(), 0u);
}

TEST_F(FlushMachineTest, ALookThatFailsIsTakenAgainOrTold) {
  EXPECT_TRUE(Call(kAnna).empty());
  const uint64_t first = look_.look;
  EXPECT_TRUE(Looked(FlushEnd::kPassing, "503 SlowDown").empty());
  EXPECT_EQ(look_.attempt, 2);
  EXPECT_TRUE(Take(machine_.Looked(first, FlushEnd::kDone, "")).empty()) << "that one is over";
  EXPECT_TRUE(Call(kBert).empty());
  auto answers = Deadline(kAnna);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error, FlushError::kDeadline);
  EXPECT_EQ(answers[0].message,
            "the deadline passed: the archive has everything up to LSN 4096, but it could not be asked whether a newer "
            "timeline has taken it over; the last attempt failed: 503 SlowDown");
  answers = Looked(FlushEnd::kLasting, "403 the access key does not exist");
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].caller, kBert);
  EXPECT_EQ(answers[0].error, FlushError::kFailed);
  EXPECT_TRUE(Call(kCleo).empty());
  machine_.Abandon(kCleo);
  EXPECT_TRUE(Looked(FlushEnd::kPassing, "503 SlowDown").empty());
  EXPECT_EQ(machine_.counters().looks, 3u) << "nobody waits for a fourth";
}

TEST_F(FlushMachineTest, AFlushThatGetsFurtherHasLookedForThemToo) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_TRUE(Take(machine_.Call({kBert, FlushMode::kWait, At(0), false}, Now())).empty());
  EXPECT_EQ(Progress(10).size(), 1u);
  EXPECT_TRUE(Looked().empty());
  EXPECT_TRUE(Take(machine_.Call({kBert, FlushMode::kWait, At(0), false}, Now())).empty());
  // What could not be put has not been looked at.
  EXPECT_TRUE(Fails(10, FlushEnd::kPassing, "503").empty());
  EXPECT_EQ(Fails(10, FlushEnd::kLasting, "403").size(), 1u) << "the one whom the flush was for";
  EXPECT_TRUE(Looked()[0].success);
}

TEST_F(FlushMachineTest, ACallerIsServedByTheStepThatReachesIt) {
  Write(100);
  EXPECT_TRUE(Take(machine_.Call({kAnna, FlushMode::kWait, At(30), false}, Now())).empty());
  EXPECT_TRUE(Progress(29).empty());
  const auto answers = Progress(31);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0].success);
  EXPECT_EQ(answers[0].objects, 1u);
  // What was confirmed does not go back, whatever a later report says.
  EXPECT_TRUE(Progress(10).empty());
  EXPECT_EQ(machine_.flushed(), Point(31));
}

TEST_F(FlushMachineTest, JoinReturnsWithTheRunningFlush) {
  Write(100);
  EXPECT_TRUE(Call(kAnna, FlushMode::kJoin).empty());
  Write(1);
  EXPECT_TRUE(Call(kBert, FlushMode::kJoin).empty());
  EXPECT_TRUE(Fails(50, FlushEnd::kPassing, "connection reset").empty());
  const auto answers = Done();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_TRUE(answers[0].success);
  EXPECT_FALSE(answers[0].joined);
  EXPECT_EQ(answers[1].caller, kBert);
  EXPECT_EQ(answers[1].error, FlushError::kNotCovered);
  EXPECT_EQ(answers[1].flushed, Point(100));
  EXPECT_TRUE(answers[1].joined);
  EXPECT_FALSE(machine_.running());
}

TEST_F(FlushMachineTest, NowaitIsRefusedWhileAFlushRuns) {
  Write(100);
  EXPECT_TRUE(Call(kAnna, FlushMode::kNowait).empty());
  micros_ += 2'000'000;
  const auto answers = Call(kBert, FlushMode::kNowait);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error, FlushError::kBusy);
  EXPECT_EQ(answers[0].running_cut, At(100));
  EXPECT_EQ(answers[0].running_age_micros, 2'000'001u);
  EXPECT_EQ(Done().size(), 1u);
}

TEST_F(FlushMachineTest, ADeadlineEndsTheWaitAndNotTheFlush) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_TRUE(Fails(0, FlushEnd::kPassing, "503 SlowDown").empty());
  const auto answers = Deadline(kAnna);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].message,
            "the deadline passed: LSN 4196 was asked for, the archive has everything up to LSN 4096; the last attempt "
            "failed: 503 SlowDown");
  EXPECT_TRUE(machine_.running());
  EXPECT_TRUE(Deadline(kAnna).empty());
  EXPECT_TRUE(Done().empty());
  EXPECT_EQ(CallAndLook(kAnna).size(), 1u);
}

TEST_F(FlushMachineTest, WhoHasGoneHearsNothing) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  machine_.Abandon(kAnna);
  machine_.Abandon(kBert);
  EXPECT_EQ(machine_.counters().abandoned, 1u);
  EXPECT_TRUE(Done().empty());
  EXPECT_EQ(machine_.flushed(), Point(100));
}

TEST_F(FlushMachineTest, ATimerNeverAddsASecondPendingFlush) {
  EXPECT_TRUE(Take(machine_.WantFlush(Now())).empty());
  EXPECT_EQ(flushes(), 0u);
  Write(100);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Take(machine_.WantFlush(Now())).empty());
  Write(1);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_TRUE(machine_.pending());
  EXPECT_TRUE(Done().empty());
  EXPECT_EQ(order_.cut, At(101));
  EXPECT_FALSE(machine_.pending());
  EXPECT_EQ(Done().size(), 1u);
  EXPECT_EQ(flushes(), 2u);
  EXPECT_FALSE(machine_.running());
}

TEST_F(FlushMachineTest, AWishWithNothingNewIsForgotten) {
  Write(100);
  EXPECT_TRUE(Take(machine_.WantFlush(Now())).empty());
  EXPECT_TRUE(Take(machine_.WantFlush(Now())).empty());
  EXPECT_TRUE(Done().empty());
  EXPECT_FALSE(machine_.running());
}

// Nobody waits: the backoff is the timer's.
TEST_F(FlushMachineTest, AFlushForNobodyIsNotTriedAgainAtOnce) {
  Write(100);
  EXPECT_TRUE(Take(machine_.WantFlush(Now())).empty());
  EXPECT_TRUE(Take(machine_.WantFlush(Now())).empty());
  EXPECT_TRUE(Fails(10, FlushEnd::kPassing, "connection refused").empty());
  EXPECT_FALSE(machine_.running());
  EXPECT_FALSE(machine_.pending());
  EXPECT_TRUE(Take(machine_.WantFlush(Now())).empty());
  EXPECT_EQ(order_.from, At(10));
  EXPECT_EQ(flushes(), 2u);
}

TEST_F(FlushMachineTest, ALastingFailureIsToldToAllWhoWait) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  Write(1);
  EXPECT_TRUE(Call(kBert).empty());
  const auto answers = Fails(0, FlushEnd::kLasting, "403 the access key does not exist");
  ASSERT_EQ(answers.size(), 2u);
  for (const FlushAnswer& answer : answers) {
    EXPECT_EQ(answer.error, FlushError::kFailed);
    EXPECT_EQ(answer.message, "403 the access key does not exist");
  }
  EXPECT_FALSE(machine_.running());
  // The next caller has it tried again.
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_EQ(Done().size(), 1u);
}

TEST_F(FlushMachineTest, WhatAFailureHadConfirmedIsAYes) {
  Write(100);
  EXPECT_TRUE(Take(machine_.Call({kAnna, FlushMode::kWait, At(50), false}, Now())).empty());
  EXPECT_TRUE(Call(kBert).empty());
  const auto answers = Fails(60, FlushEnd::kLasting, "403");
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_TRUE(answers[0].success);
  EXPECT_FALSE(answers[1].success);
}

TEST_F(FlushMachineTest, ATaskThatIsNotOpenSaysNoAtOnce) {
  const std::pair<FlushState, FlushError> cases[] = {{FlushState::kPaused, FlushError::kPaused},
                                                     {FlushState::kStopped, FlushError::kStopped},
                                                     {FlushState::kBroken, FlushError::kBroken},
                                                     {FlushState::kFenced, FlushError::kFenced}};
  for (const auto& [state, error] : cases) {
    Write(100);
    EXPECT_TRUE(Call(kAnna).empty());
    Write(1);
    EXPECT_TRUE(Call(kBert).empty());
    auto answers = SetState(state, "because");
    ASSERT_EQ(answers.size(), 2u);
    EXPECT_EQ(answers[0].error, error);
    EXPECT_TRUE(answers[0].message.ends_with(": because")) << answers[0].message;
    answers = Call(kCleo);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].error, error);
    EXPECT_TRUE(Take(machine_.WantFlush(Now())).empty());
    // The order under way may end well all the same; nothing follows it.
    EXPECT_TRUE(Done().empty());
    EXPECT_FALSE(machine_.running());
    EXPECT_TRUE(SetState(FlushState::kOpen, "").empty());
  }
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_EQ(Done().size(), 1u);
}

TEST_F(FlushMachineTest, AfterAResumeTheOrderUnderWayServesWhomItCovers) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_EQ(SetState(FlushState::kPaused, "by hand").size(), 1u);
  EXPECT_TRUE(SetState(FlushState::kOpen, "").empty());
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_EQ(flushes(), 1u);
  EXPECT_TRUE(Fails(0, FlushEnd::kPassing, "cancelled by the pause").empty());
  const auto answers = Done();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0].success);
}

TEST_F(FlushMachineTest, AfterAGapTheArchiveGoesOnAtTheNewBase) {
  Write(500);
  EXPECT_TRUE(SetState(FlushState::kBroken, "the log from 4096 on was let go").empty());
  machine_.RestartAt(Point(400));
  EXPECT_TRUE(SetState(FlushState::kOpen, "").empty());
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_EQ(order_.from, At(400));
  auto answers = Done();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error, FlushError::kNotRestorable);
  machine_.SetRestorable(true, "");
  answers = CallAndLook(kAnna);
  EXPECT_TRUE(answers[0].success);
}

TEST_F(FlushMachineTest, MisuseByTheDriverStopsTheProcess) {
  Write(100);
  EXPECT_TRUE(Call(kAnna).empty());
  EXPECT_DEATH(static_cast<void>(Call(kAnna)), "caller 1 waits already");
  EXPECT_DEATH(static_cast<void>(machine_.Call({kBert, FlushMode::kWait, At(101), false}, Now())),
               "a caller asks for 4197, the log ends at 4196");
  EXPECT_DEATH(machine_.RestartAt(Point(100)), "below a running task");
}

}  // namespace
}  // namespace tidemark::backup
