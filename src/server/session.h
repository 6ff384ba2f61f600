// One connection: bytes in, requests to the dispatcher, replies out, in order, within limits.
//
// A session belongs to one I/O thread, which alone runs it; only Deliver, RequestClose and the byte counts may be used
// from elsewhere. While a worker rehearses a request (a cold row), the session neither parses nor reads: the request's
// words are views into its input buffer. While it waits for a deferred reply (commands/deferred.h) it reads on, so that
// it notices the end of the connection, and executes nothing. A session that is closed meanwhile stays registered until
// the worker is done.
//
// What bounds its memory: unread replies past kPauseOutput stop the execution of further requests, requests not yet
// executed past kPauseInput stop the reading, client-query-buffer-limit closes on one request that is larger, and
// client-output-buffer-limit on replies (a single large one, messages of pub/sub) that nobody reads.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "commands/acl.h"
#include "commands/client.h"
#include "commands/client_registry.h"
#include "commands/dispatcher.h"
#include "commands/pubsub.h"
#include "resp/parser.h"
#include "server/input_buffer.h"
#include "server/io_thread.h"
#include "server/output_buffer.h"
#include "server/poller.h"
#include "server/settings.h"
#include "server/socket.h"
#include "server/worker_pool.h"

namespace tidemark::server {

// What sessions share; outlives them.
struct SessionServices {
  commands::Dispatcher& dispatcher;
  WorkerPool& workers;
  const Settings& settings;
  commands::ClientRegistry& clients;
  commands::Pubsub& pubsub;
  const commands::Acl& acl;
  // Sessions made and not yet closed, for maxclients.
  std::atomic<size_t> connections{0};
};

class Session final : public commands::Client, public Poller::Source, public std::enable_shared_from_this<Session> {
 public:
  static constexpr size_t kPauseOutput = 4 << 20;
  static constexpr size_t kPauseInput = 32 << 20;

  Session(Socket socket, IoThread& thread, SessionServices& services);

  void Deliver(std::shared_ptr<const std::string> bytes) override;
  void RequestClose(bool after_replies) override;
  size_t output_bytes() const override { return output_bytes_.load(std::memory_order_relaxed); }
  size_t input_bytes() const override { return input_bytes_.load(std::memory_order_relaxed); }

  // The following are for the session's I/O thread.
  void Start();
  void OnEvents(Poller::Events events) override;
  // Goes on with what has become possible: sends, or reads once and executes what came.
  void Continue();
  // The turn's changes are with the operating system: sends what was made in it, or holds it until the log is durable
  // up to `needed`.
  void FinishTurn(Lsn needed);
  // Sends what waited for no more than `durable`. True while something is still held.
  bool ReleaseReplies(Lsn durable);
  // Tries the request again that could not go on when the session was parked.
  void Retry();
  // Several times a second: timeouts and limits that depend on time, memory of idle connections.
  void Tick();
  void Close();
  // Gives up a reply under way, and with it the connection: the store that it is read from goes. No worker runs.
  void CloseStream();
  // No worker has the request any more and none will: lets a closed session leave.
  void ForgetWorker() {
    busy_ = false;
    DropStream();
  }

  // Index in the thread's list.
  size_t place() const { return place_; }
  void set_place(size_t place) { place_ = place; }

 private:
  enum class CloseRequest : uint8_t { kNone, kAfterReplies, kNow };

  bool WantsToRead() const;
  bool CanContinue() const { return (writing_ && writable_) || (readable_ && WantsToRead()); }
  void JoinReady();
  void Read();
  void Process();
  bool MayExecute();
  bool ParseRequest();
  bool ExecuteRequest();
  void FinishRequest(size_t reply_start);
  void ConsumeRequest();
  void ApplyReplyMode(size_t reply_start);
  bool AwaitDeferred();
  void EndWait();
  void OnDeferredAnswered();
  void SendDeferred();
  void RehearseOnWorker();
  void OnRehearsed(bool final, std::string_view reply);
  void ContinueStream();
  void DropStream();
  void OnStreamed(const absl::StatusOr<bool>& more, std::string_view part);
  void ApplyCloseRequest();
  void TakeInbox();
  void JoinTurn();
  void Send();
  void ResumeIfDrained();
  bool OverOutputLimit();
  void Leave();

  Socket socket_;
  IoThread& thread_;
  SessionServices& services_;
  size_t place_ = 0;

  InputBuffer input_;
  resp::Parser parser_;
  // Requests behind the last one parsed for which the prefetcher has looked ahead already.
  size_t looked_ahead_ = 0;
  resp::Limits limits_;
  resp::Request request_;
  // Bytes of input_ that request_ stands in, while has_request_.
  size_t consumed_ = 0;
  bool has_request_ = false;
  int attempt_ = 0;

  OutputBuffer output_;
  // When the output went past the soft limit; 0 while it is below.
  uint64_t over_soft_since_ms_ = 0;

  // What the poller said last and no system call has disproved since.
  bool readable_ = false;
  bool writable_ = true;
  bool ended_ = false;    // the other side, or the connection: reading goes on to the end of what arrived
  bool ready_ = false;    // IoThread::AddReady has it
  bool writing_ = false;  // waits for the socket to take more
  bool busy_ = false;     // a worker has the request
  bool parked_ = false;   // IoThread::Park has it
  bool paused_ = false;   // too much output
  bool in_turn_ = false;  // IoThread::AddToTurn has it
  bool waiting_ = false;  // IoThread::AddWaiter has it
  std::optional<IoThread::Timer> wait_timer_;  // ends the wait for a deferred reply
  bool end_of_input_ = false;
  bool close_when_sent_ = false;
  bool closed_ = false;
  bool left_ = false;

  // The rest of the reply under way, made a part at a time.
  std::shared_ptr<commands::ReplyStream> stream_;
  bool stream_waits_ = false;  // it goes on once the client has taken more

  std::atomic<CloseRequest> close_request_{CloseRequest::kNone};
  std::atomic<size_t> output_bytes_{0};
  std::atomic<size_t> input_bytes_{0};

  std::atomic<bool> inbox_full_{false};
  Mutex inbox_mutex_;
  std::vector<std::shared_ptr<const std::string>> inbox_ ABSL_GUARDED_BY(inbox_mutex_);
};

}  // namespace tidemark::server
