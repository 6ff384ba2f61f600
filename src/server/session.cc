#include "server/session.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "commands/deferred.h"
#include "commands/reply_stream.h"

namespace tidemark::server {
namespace {

// A connection without traffic for this long gives back what its buffers have grown.
constexpr uint64_t kShrinkAfterMs = 2000;
// Who takes nothing of a streamed reply for so long is closed: its rows hold room on the disk.
constexpr uint64_t kStreamStandsStillMs = 60'000;
// A wait that is given longer than this has no end: a steady clock counts nanoseconds in 63 bits.
constexpr std::chrono::hours kLongestWait(24 * 365 * 100);

}  // namespace

Session::Session(Socket socket, IoThread& thread, SessionServices& services)
    : socket_(std::move(socket)), thread_(thread), services_(services) {
  services_.connections.fetch_add(1, std::memory_order_relaxed);
}

void Session::Start() {
  created_ms = thread_.now_ms();
  last_interaction_ms = created_ms;
  thread_.Register(shared_from_this());
  services_.clients.Add(*this);
  if (!thread_.poller().Add(socket_.fd(), *this)) Close();
}

void Session::OnEvents(Poller::Events events) {
  readable_ = readable_ || events.readable;
  writable_ = writable_ || events.writable;
  ended_ = ended_ || events.ended;
  if (CanContinue()) JoinReady();
}

void Session::JoinReady() {
  if (ready_ || closed_) return;
  ready_ = true;
  thread_.AddReady(shared_from_this());
}

void Session::Continue() {
  ready_ = false;
  if (closed_) return;
  if (writing_ && writable_) {
    writing_ = false;
    Send();
    if (!closed_ && OverOutputLimit()) Close();
  }
  if (readable_ && WantsToRead()) Read();
}

// Not while a request stands in the input: its words are views into it.
bool Session::WantsToRead() const {
  if (closed_ || busy_ || parked_ || has_request_ || end_of_input_ || close_when_sent_) return false;
  return (!paused_ && deferred == nullptr && stream_ == nullptr) || input_.size() < kPauseInput;
}

// A read that comes back short has emptied the socket, unless the end of the stream is still to be read.
void Session::Read() {
  input_.MakeRoom(parser_.BytesWanted());
  const size_t room = input_.room_size();
  const ssize_t count = ::recv(socket_.fd(), input_.room(), room, 0);
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR) {
      readable_ = errno == EINTR;
      if (readable_) JoinReady();
    } else {
      Close();
    }
    return;
  }
  if (count == 0) {
    // Who waits for a reply and hangs up does not want it any more, as in Redis.
    if (deferred != nullptr) {
      Close();
      return;
    }
    end_of_input_ = true;
  } else {
    readable_ = ended_ || static_cast<size_t>(count) == room;
    input_.Arrived(static_cast<size_t>(count));
    last_interaction_ms = thread_.now_ms();
    thread_.CountRead(static_cast<size_t>(count));
  }
  Process();
}

void Session::Process() {
  last_end_nanos = 0;
  limits_.max_bulk = services_.settings.max_bulk_bytes.load(std::memory_order_relaxed);
  size_t commands = 0;
  while (MayExecute() && (has_request_ || ParseRequest()) && ExecuteRequest()) ++commands;
  thread_.CountCommands(commands);
  if (closed_) return;
  input_bytes_.store(input_.size(), std::memory_order_relaxed);
  if (output_.pending() > 0 || close_when_sent_) JoinTurn();
  if (CanContinue()) JoinReady();
}

bool Session::MayExecute() {
  if (closed_ || busy_ || parked_ || close_when_sent_ || deferred != nullptr || stream_ != nullptr) return false;
  if (close_request_.load(std::memory_order_relaxed) != CloseRequest::kNone) {
    ApplyCloseRequest();
    return false;
  }
  paused_ = output_.pending() >= kPauseOutput;
  return !paused_;
}

bool Session::ParseRequest() {
  size_t consumed = 0;
  limits_.authenticated = authenticated;
  switch (parser_.Parse(input_.view(), limits_, &consumed, &request_)) {
    case resp::ParseResult::kRequest:
      consumed_ = consumed;
      has_request_ = true;
      attempt_ = 0;
      if (looked_ahead_ > 0) {
        --looked_ahead_;
      } else {
        looked_ahead_ = thread_.prefetcher().Ahead(*this, input_.view().substr(consumed), limits_);
      }
      return true;
    case resp::ParseResult::kIncomplete:
      input_.Consume(consumed);
      if (end_of_input_) {
        close_when_sent_ = true;
      } else if (input_.size() > services_.settings.max_input_bytes.load(std::memory_order_relaxed)) {
        Close();
      }
      return false;
    case resp::ParseResult::kError:
      input_.Consume(consumed);
      output_.writer().Error("ERR " + parser_.error());
      close_when_sent_ = true;
      return false;
  }
  return false;
}

// False when the request cannot be answered now.
bool Session::ExecuteRequest() {
  resp::Writer& out = output_.writer();
  out.SetProtocol(protocol);
  const size_t reply_start = out.size();
  switch (services_.dispatcher.Execute(*this, request_.args, out, attempt_)) {
    case commands::Outcome::kReplied:
      FinishRequest(reply_start);
      return true;
    case commands::Outcome::kCold:
      RehearseOnWorker();
      return false;
    case commands::Outcome::kStalled:
      parked_ = true;
      thread_.Park(shared_from_this());
      return false;
    case commands::Outcome::kDeferred:
      return AwaitDeferred();
  }
  return false;
}

// CLIENT REPLY as in Redis: SKIP drops the reply of the next command, OFF all until ON, whose own reply is sent.
// Messages are sent in any case.
void Session::ApplyReplyMode(size_t reply_start) {
  if (reply_mode != commands::ReplyMode::kOn) [[unlikely]] {
    if (!std::exchange(sends_message, false)) output_.writer().Truncate(reply_start);
    if (reply_mode == commands::ReplyMode::kSkipping) reply_mode = commands::ReplyMode::kOn;
    if (reply_mode == commands::ReplyMode::kSkipNext) reply_mode = commands::ReplyMode::kSkipping;
  }
}

void Session::ConsumeRequest() {
  input_.Consume(consumed_);
  has_request_ = false;
}

void Session::FinishRequest(size_t reply_start) {
  ApplyReplyMode(reply_start);
  ConsumeRequest();
  if (inbox_full_.load(std::memory_order_relaxed)) TakeInbox();
}

// True when the answer is there already. Whoever answers later does so from a thread of his own, perhaps when this
// session has gone.
bool Session::AwaitDeferred() {
  ConsumeRequest();
  const bool waits = deferred->Park([weak = weak_from_this(), &thread = thread_] {
    thread.Post([weak] {
      if (const std::shared_ptr<Session> self = weak.lock()) self->OnDeferredAnswered();
    });
  });
  if (waits) {
    services_.clients.BeginWait(*this, deferred);
    if (const auto timeout = deferred->timeout()) {
      wait_timer_ = thread_.RunAfter(std::min<std::chrono::milliseconds>(*timeout, kLongestWait), [this] {
        wait_timer_.reset();
        deferred->Unblock(/*with_error=*/false);
      });
    }
  } else {
    SendDeferred();
  }
  return !waits;
}

void Session::EndWait() {
  services_.clients.EndWait(*this);
  if (wait_timer_) thread_.Cancel(*std::exchange(wait_timer_, std::nullopt));
}

void Session::OnDeferredAnswered() {
  if (closed_) return;
  EndWait();
  SendDeferred();
  Process();
}

void Session::SendDeferred() {
  const size_t reply_start = output_.writer().size();
  output_.writer().Raw(deferred->Take());
  last_write_end = std::max(last_write_end, deferred->wrote());
  stream_ = deferred->TakeRest();
  deferred.reset();
  ApplyReplyMode(reply_start);
  if (stream_ != nullptr) ContinueStream();
  if (inbox_full_.load(std::memory_order_relaxed)) TakeInbox();
}

void Session::RehearseOnWorker() {
  busy_ = true;
  services_.workers.Run([self = shared_from_this()] {
    resp::Writer reply;
    reply.SetProtocol(self->protocol);
    const bool final = self->services_.dispatcher.Rehearse(*self, self->request_.args, reply);
    self->thread_.Post([self, final, bytes = std::move(reply.buffer())]() { self->OnRehearsed(final, bytes); });
  });
}

void Session::OnRehearsed(bool final, std::string_view reply) {
  busy_ = false;
  if (closed_) {
    Leave();
    return;
  }
  if (final) {
    const size_t reply_start = output_.writer().size();
    output_.writer().Raw(reply);
    FinishRequest(reply_start);
  } else {
    ++attempt_;
  }
  Process();
}

// Has the next part of the reply made by a worker, since it may wait for the disk.
void Session::ContinueStream() {
  busy_ = true;
  stream_waits_ = false;
  services_.workers.Run([self = shared_from_this()] {
    resp::Writer part;
    part.SetProtocol(self->protocol);
    absl::StatusOr<bool> more = absl::CancelledError("the store has been exchanged");
    if (self->stream_ != nullptr) more = self->stream_->Next(part);
    self->thread_.Post([self, more = std::move(more), bytes = std::move(part.buffer())] {  //
      self->OnStreamed(more, bytes);
    });
  });
}

void Session::OnStreamed(const absl::StatusOr<bool>& more, std::string_view part) {
  busy_ = false;
  if (closed_) {
    DropStream();
    Leave();
    return;
  }
  // Given up meanwhile, and the connection with it.
  if (stream_ == nullptr) return;
  if (!more.ok()) {
    spdlog::error("A reply ends early: {}", Message(more.status()));
    Close();
    return;
  }
  output_.writer().Raw(part);
  JoinTurn();
  if (!*more) {
    DropStream();
    TakeInbox();
    Process();
  } else if (output_.pending() < kPauseOutput) {
    ContinueStream();
  } else {
    stream_waits_ = true;
    last_interaction_ms = thread_.now_ms();
  }
}

void Session::DropStream() {
  stream_.reset();
  stream_waits_ = false;
}

void Session::CloseStream() {
  if (stream_ == nullptr) return;
  DropStream();
  RequestClose(/*after_replies=*/false);
}

void Session::Retry() {
  parked_ = false;
  if (!closed_) Process();
}

void Session::RequestClose(bool after_replies) {
  const CloseRequest wish = after_replies ? CloseRequest::kAfterReplies : CloseRequest::kNow;
  CloseRequest before = close_request_.load();
  while (before < wish && !close_request_.compare_exchange_weak(before, wish)) {
  }
  if (before < wish) {
    thread_.Post([self = shared_from_this()] { self->ApplyCloseRequest(); });
  }
}

void Session::ApplyCloseRequest() {
  if (closed_) return;
  if (close_request_.load() == CloseRequest::kNow) {
    Close();
  } else {
    TakeInbox();
    close_when_sent_ = true;
    JoinTurn();
  }
}

void Session::Deliver(std::shared_ptr<const std::string> bytes) {
  bool first;
  {
    const MutexLock lock(inbox_mutex_);
    first = inbox_.empty();
    inbox_.push_back(std::move(bytes));
    inbox_full_.store(true, std::memory_order_relaxed);
  }
  if (first) {
    thread_.Post([self = shared_from_this()] { self->TakeInbox(); });
  }
}

void Session::TakeInbox() {
  // Messages may not get into the middle of a reply.
  if (stream_ != nullptr && !closed_) return;
  std::vector<std::shared_ptr<const std::string>> messages;
  {
    const MutexLock lock(inbox_mutex_);
    messages.swap(inbox_);
    inbox_full_.store(false, std::memory_order_relaxed);
  }
  if (closed_ || close_when_sent_ || messages.empty()) return;
  for (const auto& message : messages) output_.writer().Raw(*message);
  JoinTurn();
  if (OverOutputLimit()) RequestClose(false);
}

void Session::JoinTurn() {
  if (in_turn_) return;
  in_turn_ = true;
  thread_.AddToTurn(shared_from_this());
}

void Session::FinishTurn(Lsn needed) {
  in_turn_ = false;
  if (closed_) return;
  output_.Hold(needed);
  Send();
  if (closed_) return;
  if (output_.holding() && !waiting_) {
    waiting_ = true;
    thread_.AddWaiter(shared_from_this());
  }
  if (OverOutputLimit()) Close();
}

bool Session::ReleaseReplies(Lsn durable) {
  if (!closed_) {
    output_.Release(durable);
    Send();
  }
  waiting_ = !closed_ && output_.holding();
  return waiting_;
}

void Session::Send() {
  if (writing_) return;
  while (!output_.sendable().empty()) {
    const std::string_view bytes = output_.sendable();
    const ssize_t sent = ::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) {
        Close();
        return;
      }
    } else {
      output_.Sent(static_cast<size_t>(sent));
      if (stream_waits_) last_interaction_ms = thread_.now_ms();
      thread_.CountSent(static_cast<size_t>(sent));
    }
    if (sent < static_cast<ssize_t>(bytes.size())) {
      writing_ = true;
      writable_ = false;
      break;
    }
  }
  output_bytes_.store(output_.pending(), std::memory_order_relaxed);
  if (close_when_sent_ && output_.pending() == 0) {
    Close();
  } else {
    ResumeIfDrained();
  }
}

void Session::ResumeIfDrained() {
  if (stream_waits_ && output_.pending() < kPauseOutput / 2) ContinueStream();
  if (!paused_ || output_.pending() >= kPauseOutput / 2) return;
  paused_ = false;
  thread_.Post([self = shared_from_this()] {
    if (!self->closed_) self->Process();
  });
}

bool Session::OverOutputLimit() {
  const OutputLimit& limit = subscriptions() > 0 || monitor ? services_.settings.pubsub : services_.settings.normal;
  const size_t pending = output_.pending();
  const uint64_t hard = limit.hard.load(std::memory_order_relaxed);
  const uint64_t soft = limit.soft.load(std::memory_order_relaxed);
  if (hard > 0 && pending >= hard) return true;
  if (soft == 0 || pending < soft) {
    over_soft_since_ms_ = 0;
    return false;
  }
  const uint64_t now = thread_.now_ms();
  if (over_soft_since_ms_ == 0) over_soft_since_ms_ = now;
  return now > over_soft_since_ms_ + 1000 * limit.soft_seconds.load(std::memory_order_relaxed);
}

void Session::Tick() {
  if (closed_) return;
  const uint64_t now = thread_.now_ms();
  const uint64_t last = last_interaction_ms;
  const uint64_t idle_ms = now > last ? now - last : 0;
  const uint64_t allowed = services_.settings.idle_seconds.load(std::memory_order_relaxed) * 1000;
  const bool may_idle = busy_ || parked_ || deferred != nullptr || stream_ != nullptr || subscriptions() > 0;
  const bool stands_still = stream_waits_ && idle_ms > kStreamStandsStillMs;
  if (OverOutputLimit() || stands_still || (allowed > 0 && idle_ms > allowed && !may_idle)) {
    Close();
    return;
  }
  // Not while a request stands in the input.
  if (idle_ms > kShrinkAfterMs && WantsToRead() &&
      input_.capacity() > std::max(InputBuffer::kSmallest, 2 * input_.size())) {
    input_.Shrink();
  }
}

void Session::Close() {
  if (!closed_) {
    closed_ = true;
    socket_.Close();
    if (deferred != nullptr) {
      EndWait();
      std::exchange(deferred, nullptr)->Abandon();
    }
  }
  if (!busy_) {
    DropStream();
    Leave();
  }
}

void Session::Leave() {
  if (left_) return;
  left_ = true;
  services_.pubsub.Remove(*this);
  services_.dispatcher.Forget(*this);
  services_.clients.Remove(*this);
  services_.connections.fetch_sub(1, std::memory_order_relaxed);
  thread_.Unregister(shared_from_this());
}

}  // namespace tidemark::server
