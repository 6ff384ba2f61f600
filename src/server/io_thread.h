// One thread of the event loop and its turns. A turn reads every socket that is ready, parses and executes what came,
// then hands all of it to the log in one write, and only then lets the replies leave. So commands of all connections
// commit as one group, at the cost of one system call.
//
//   wait ─▶ read, execute │ read, execute │ … (bounded) ─▶ Engine::EndTurn ─▶ send │ send │ … ─▶ wait
//
// A session that may go on (bytes arrived, room to send, a worker has finished) stands in the list of the ready, each
// once, and gets one read at a time, so that none starves the others.
//
// Under `appendfsync always` replies stay in their sessions until the log's durable listener wakes the thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "commands/client_registry.h"
#include "commands/prefetch.h"
#include "engine/engine.h"
#include "server/poller.h"
#include "server/settings.h"

namespace tidemark::server {

class Session;

// Methods without another note are for the thread itself.
class IoThread {
 public:
  IoThread(int number, engine::Engine& engine, const Settings& settings, commands::ClientRegistry& clients);
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // Turns until Stop. The caller's thread becomes this I/O thread.
  void Run();
  // Ends Run after the turn under way. Any thread.
  void Stop();
  // Runs `job` in a turn of this thread, after those posted before it; many posts wake the thread once. Any thread.
  void Post(std::function<void()> job);
  // The log is durable further than before: lets held replies go. Any thread; cheap when nobody waits.
  void DurableAdvanced();

  using SteadyTime = std::chrono::steady_clock::time_point;
  using Timer = std::multimap<SteadyTime, std::function<void()>>::iterator;
  // Runs `job` in a turn of this thread once `delay` has passed; not at all when Run ends before.
  Timer RunAfter(std::chrono::milliseconds delay, std::function<void()> job);
  // The job, which has not run yet, shall not.
  void Cancel(Timer timer) { timers_.erase(timer); }

  Poller& poller() { return poller_; }
  int number() const { return number_; }
  // Wall clock in milliseconds, read at most once a turn.
  uint64_t now_ms();
  commands::Prefetcher& prefetcher() { return prefetcher_; }
  // Connections of this thread. Any thread.
  size_t sessions() const { return session_count_.load(std::memory_order_relaxed); }

  // The session has something to do. It is in the list once, until its Continue is called.
  void AddReady(std::shared_ptr<Session> session) { ready_.push_back(std::move(session)); }
  // The session has output to send at the end of the turn.
  void AddToTurn(std::shared_ptr<Session> session) { turn_.push_back(std::move(session)); }
  // The session has output held until the log is durable.
  void AddWaiter(std::shared_ptr<Session> session) { waiting_.push_back(std::move(session)); }
  // The session waits for a pause to end, and is tried again then, or for the store to catch up, and is tried again
  // every few milliseconds.
  void Park(std::shared_ptr<Session> session);
  // The pause is over: those who wait for that go on.
  void RetryPaused();
  // Work accounted to the turn, which ends when it has had its share.
  void CountCommands(size_t commands) { commands_left_ -= std::min(commands, commands_left_); }
  void CountRead(size_t bytes) { bytes_read_ += bytes; }
  void CountSent(size_t bytes) { bytes_sent_ += bytes; }

  // Closes the sessions whose replies wait for the log to become durable: that log is gone, and whether they hold is
  // not known. While the thread is kept from running.
  void CloseWaiting();
  // Closes the sessions whose replies are read from the store a part at a time: it is about to go. While the thread is
  // kept from running, and no worker runs.
  void CloseStreams();
  void Register(std::shared_ptr<Session> session);
  void Unregister(const std::shared_ptr<Session>& session);
  // After Run has returned: sends what may leave and closes every session of this thread.
  void CloseSessions();

 private:
  static constexpr size_t kCommandsPerTurn = 10000;
  static constexpr size_t kBytesPerTurn = 1 << 20;

  void StartTurn();
  bool TurnHasRoom() const { return commands_left_ > 0 && bytes_read_ < kBytesPerTurn && !stopping_; }
  std::chrono::milliseconds Patience() const;
  void RunTimers();
  void RunReady();
  void EndTurn();
  void SendTurn(Lsn needed);
  void ReleaseWaiters();
  void RunPosted();
  void RetryParked();
  void ScheduleTick();

  const int number_;
  engine::Engine& engine_;
  commands::Prefetcher prefetcher_{engine_};
  const Settings& settings_;
  commands::ClientRegistry& clients_;
  Poller poller_;
  std::multimap<SteadyTime, std::function<void()>> timers_;
  bool stopping_ = false;
  // 0: not read in this turn.
  uint64_t now_ms_ = 0;
  size_t commands_left_ = 0;
  size_t bytes_read_ = 0;
  size_t bytes_sent_ = 0;

  std::vector<std::shared_ptr<Session>> ready_;
  std::vector<std::shared_ptr<Session>> turn_;
  std::vector<std::shared_ptr<Session>> waiting_;
  std::vector<std::shared_ptr<Session>> parked_;
  std::vector<std::shared_ptr<Session>> paused_;
  std::vector<std::shared_ptr<Session>> sessions_;
  std::atomic<size_t> session_count_{0};

  // True while waiting_ is not empty; see DurableAdvanced.
  std::atomic<bool> has_waiters_{false};
  std::atomic<bool> wake_posted_{false};

  // posted_ is not empty.
  std::atomic<bool> has_posted_{false};
  Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::server
