#include "server/io_thread.h"

#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "env/clock.h"
#include "server/session.h"

namespace tidemark::server {
namespace {

constexpr std::chrono::milliseconds kNoPatience(0);
constexpr std::chrono::milliseconds kTick(500);
constexpr std::chrono::milliseconds kParkRetry(5);
// A pause may be for ever (the server stops); then looking now and then does no harm.
constexpr uint64_t kPauseRetryMs = 3'600'000;

}  // namespace

IoThread::IoThread(int number, engine::Engine& engine, const Settings& settings, commands::ClientRegistry& clients)
    : number_(number), engine_(engine), settings_(settings), clients_(clients) {}

IoThread::~IoThread() = default;

void IoThread::Run() {
  // Number 0 is the main thread, whose name is the process's.
  if (number_ != 0) pthread_setname_np(pthread_self(), fmt::format("tm-io-{}", number_).c_str());
  ScheduleTick();
  while (!stopping_) {
    StartTurn();
    poller_.Wait(Patience());
    RunTimers();
    // While there is something for the log, what arrives joins in: the more commands share one write of it, the better.
    do {
      RunPosted();
      RunReady();
    } while (TurnHasRoom() && engine_.log().written() < engine_.last_end() && poller_.Wait(kNoPatience));
    EndTurn();
    if (bytes_read_ + bytes_sent_ > 0) clients_.CountTraffic(bytes_read_, bytes_sent_);
  }
}

void IoThread::Stop() {
  Post([this] { stopping_ = true; });
}

void IoThread::Post(std::function<void()> job) {
  bool first;
  {
    const MutexLock lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(job));
    has_posted_.store(true, std::memory_order_relaxed);
  }
  if (first) poller_.Wake();
}

void IoThread::RunPosted() {
  if (!has_posted_.load(std::memory_order_relaxed)) return;
  std::vector<std::function<void()>> jobs;
  {
    const MutexLock lock(mutex_);
    jobs.swap(posted_);
    has_posted_.store(false, std::memory_order_relaxed);
  }
  for (std::function<void()>& job : jobs) job();
}

IoThread::Timer IoThread::RunAfter(std::chrono::milliseconds delay, std::function<void()> job) {
  return timers_.emplace(std::chrono::steady_clock::now() + delay, std::move(job));
}

void IoThread::RunTimers() {
  const SteadyTime now = std::chrono::steady_clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const auto due = timers_.extract(timers_.begin());
    due.mapped()();
  }
}

// Until the next timer, which the tick sees to that there always is; a millisecond more rather than less.
std::chrono::milliseconds IoThread::Patience() const {
  if (!ready_.empty()) return kNoPatience;
  const auto left = timers_.begin()->first - std::chrono::steady_clock::now();
  return std::max(std::chrono::ceil<std::chrono::milliseconds>(left), kNoPatience);
}

// One round: who becomes ready in it again waits for the next.
void IoThread::RunReady() {
  std::vector<std::shared_ptr<Session>> round;
  round.swap(ready_);
  size_t done = 0;
  while (done < round.size() && TurnHasRoom()) round[done++]->Continue();
  round.erase(round.begin(), round.begin() + static_cast<ptrdiff_t>(done));
  if (ready_.empty()) {
    ready_.swap(round);
  } else {
    ready_.insert(ready_.begin(), std::make_move_iterator(round.begin()), std::make_move_iterator(round.end()));
  }
}

// The waiter stores has_waiters_ and then reads durable(); the sync thread stores durable() and then reads
// has_waiters_. With a full fence between the two on either side, at least one of them sees the other.
void IoThread::DurableAdvanced() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!has_waiters_.load(std::memory_order_relaxed)) return;
  if (wake_posted_.exchange(true)) return;
  Post([this] {
    wake_posted_.store(false);
    ReleaseWaiters();
  });
}

void IoThread::ReleaseWaiters() {
  const Lsn durable = engine_.log().durable();
  size_t kept = 0;
  for (std::shared_ptr<Session>& session : waiting_) {
    if (session->ReleaseReplies(durable)) waiting_[kept++] = std::move(session);
  }
  waiting_.resize(kept);
  has_waiters_.store(kept > 0, std::memory_order_relaxed);
}

uint64_t IoThread::now_ms() {
  if (now_ms_ == 0) now_ms_ = Clock::System().WallMicros() / 1000;
  return now_ms_;
}

void IoThread::StartTurn() {
  now_ms_ = 0;
  commands_left_ = kCommandsPerTurn;
  bytes_read_ = 0;
  bytes_sent_ = 0;
}

void IoThread::EndTurn() {
  // Also without a reply to send: CLIENT REPLY OFF writes too. And a command of this turn may have seen what another
  // thread appended: that must be out of this process's memory before the reply leaves.
  const Lsn end = engine_.last_end();
  if (engine_.log().written() < end) engine_.EndTurn();
  if (turn_.empty()) return;
  if (settings_.sync_always.load(std::memory_order_relaxed) && engine_.log().durable() < end) {
    engine_.log().RequestSync(end);
    SendTurn(end);
  } else {
    SendTurn(Lsn{});
  }
}

void IoThread::SendTurn(Lsn needed) {
  const size_t waiting_before = waiting_.size();
  // Sending may make a session go on with input it had kept, which belongs to the next turn.
  std::vector<std::shared_ptr<Session>> sessions;
  sessions.swap(turn_);
  for (const std::shared_ptr<Session>& session : sessions) session->FinishTurn(needed);
  if (turn_.empty()) {
    sessions.clear();
    turn_.swap(sessions);
  }
  if (waiting_.size() > waiting_before) {
    has_waiters_.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (engine_.log().durable() >= needed) ReleaseWaiters();
  }
}

void IoThread::Park(std::shared_ptr<Session> session) {
  if (const uint64_t left = clients_.PauseLeft(); left > 0) {
    paused_.push_back(std::move(session));
    if (paused_.size() > 1) return;
    RunAfter(std::chrono::milliseconds(std::min(left, kPauseRetryMs)), [this] { RetryPaused(); });
    return;
  }
  parked_.push_back(std::move(session));
  if (parked_.size() > 1) return;
  RunAfter(kParkRetry, [this] { RetryParked(); });
}

void IoThread::RetryParked() {
  std::vector<std::shared_ptr<Session>> sessions;
  sessions.swap(parked_);
  for (const std::shared_ptr<Session>& session : sessions) session->Retry();
}

void IoThread::RetryPaused() {
  std::vector<std::shared_ptr<Session>> sessions;
  sessions.swap(paused_);
  for (const std::shared_ptr<Session>& session : sessions) session->Retry();
}

void IoThread::Register(std::shared_ptr<Session> session) {
  session->set_place(sessions_.size());
  sessions_.push_back(std::move(session));
  session_count_.store(sessions_.size(), std::memory_order_relaxed);
}

void IoThread::Unregister(const std::shared_ptr<Session>& session) {
  const size_t place = session->place();
  TM_CHECK(place < sessions_.size() && sessions_[place] == session, "session {} is not at {}", session->id, place);
  sessions_[place] = std::move(sessions_.back());
  sessions_[place]->set_place(place);
  sessions_.pop_back();
  session_count_.store(sessions_.size(), std::memory_order_relaxed);
}

void IoThread::CloseWaiting() {
  for (const std::shared_ptr<Session>& session : waiting_) session->RequestClose(/*after_replies=*/false);
}

void IoThread::CloseStreams() {
  for (const std::shared_ptr<Session>& session : sessions_) session->CloseStream();
}

void IoThread::CloseSessions() {
  const std::vector<std::shared_ptr<Session>> sessions = sessions_;
  const Lsn durable = engine_.log().durable();
  for (const std::shared_ptr<Session>& session : sessions) {
    session->ForgetWorker();
    session->FinishTurn(Lsn{});
    session->ReleaseReplies(durable);
    session->Close();
  }
  ready_.clear();
  turn_.clear();
  waiting_.clear();
  parked_.clear();
  paused_.clear();
}

void IoThread::ScheduleTick() {
  RunAfter(kTick, [this] {
    const std::vector<std::shared_ptr<Session>> sessions = sessions_;
    for (const std::shared_ptr<Session>& session : sessions) session->Tick();
    ScheduleTick();
  });
}

}  // namespace tidemark::server
