// A reply that comes later than its handler returns: the one way in which a command waits (for a flush, for a slow
// store, for what other clients do), so that an I/O thread never does.
//
// A handler that may wait (Context::may_wait) makes a Deferred, hands it to whoever will answer, puts it into
// client.deferred as the last thing it does, and returns OK without having written. From then on nothing of this
// connection runs: requests behind this one stay in its input buffer. The waiting ends by the first of
//   Answer    from any thread, also before the handler has returned;
//   Unblock   CLIENT UNBLOCK from another connection;
//   Abandon   the connection has ended.
// What comes after the first does nothing. Where a handler may not wait (EXEC), it answers at once with what it knows.
#pragma once

#include <absl/base/thread_annotations.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "base/types.h"

namespace tidemark::commands {

class ReplyStream;  // reply_stream.h

class Deferred {
 public:
  // Any thread. `reply` is one whole value as RESP, in the protocol that the client had when the handler ran.
  void Answer(std::string reply) ABSL_LOCKS_EXCLUDED(mutex_);

  // For the handler: a reply that begins with `beginning` and goes on with what `rest` makes.
  void Stream(std::string beginning, std::shared_ptr<ReplyStream> rest) ABSL_LOCKS_EXCLUDED(mutex_);

  // For an answer whose making cannot be taken back (an element is gone from its list): Claim ends the waiting, unless
  // that is over already (false); nothing else ends it then, and its caller owes the reply by Finish. `wrote`: end of
  // the log after what was written for it.
  bool Claim() ABSL_LOCKS_EXCLUDED(mutex_);
  void Finish(std::string reply, Lsn wrote) ABSL_LOCKS_EXCLUDED(mutex_);

  // For the handler, before it returns. `cancel` is called at most once, when the waiting ends without Answer: on some
  // I/O thread, so it must not block. `timed_out` makes the reply to CLIENT UNBLOCK … TIMEOUT, the same as if the time
  // that the client gave were over; without it the reply is a null.
  void OnCancel(std::function<void()> cancel) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnTimeout(std::function<std::string()> timed_out) ABSL_LOCKS_EXCLUDED(mutex_);
  // Likewise: the connection calls Unblock(false) when so much time has passed.
  void SetTimeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }

  // For the connection. False: there is a reply, take it. True: `wake` will be called once there is, from any thread.
  bool Park(std::function<void()> wake) ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<std::chrono::milliseconds> timeout() const { return timeout_; }
  // The reply, once it is there.
  std::string Take() ABSL_LOCKS_EXCLUDED(mutex_);
  // After Take: the rest of the reply, if it is a stream.
  std::shared_ptr<ReplyStream> TakeRest() ABSL_LOCKS_EXCLUDED(mutex_);
  // After Take: what Finish said, or nothing.
  Lsn wrote() const ABSL_LOCKS_EXCLUDED(mutex_);
  void Abandon() ABSL_LOCKS_EXCLUDED(mutex_);

  // Any thread. False when the waiting was over already.
  bool Unblock(bool with_error) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // The one that ends the waiting gets true, and the hooks as they were.
  bool End(std::function<void()>* cancel, std::function<std::string()>* timed_out);
  void Reply(std::string reply);

  std::optional<std::chrono::milliseconds> timeout_;
  mutable Mutex mutex_;
  Lsn wrote_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<ReplyStream> rest_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::string> reply_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> wake_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> cancel_ ABSL_GUARDED_BY(mutex_);
  std::function<std::string()> timed_out_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::commands
