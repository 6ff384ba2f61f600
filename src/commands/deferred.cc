#include "commands/deferred.h"

#include <utility>

#include "base/check.h"

namespace tidemark::commands {

bool Deferred::End(std::function<void()>* cancel, std::function<std::string()>* timed_out) {
  const MutexLock lock(mutex_);
  *cancel = std::move(cancel_);
  *timed_out = std::move(timed_out_);
  return !std::exchange(ended_, true);
}

void Deferred::Reply(std::string reply) {
  std::function<void()> wake;
  {
    const MutexLock lock(mutex_);
    reply_ = std::move(reply);
    wake = std::move(wake_);
  }
  if (wake) wake();
}

void Deferred::Answer(std::string reply) {
  std::function<void()> cancel;
  std::function<std::string()> timed_out;
  if (End(&cancel, &timed_out)) Reply(std::move(reply));
}

void Deferred::Stream(std::string beginning, std::shared_ptr<ReplyStream> rest) {
  {
    const MutexLock lock(mutex_);
    rest_ = std::move(rest);
  }
  Answer(std::move(beginning));
}

std::shared_ptr<ReplyStream> Deferred::TakeRest() {
  const MutexLock lock(mutex_);
  return std::move(rest_);
}

bool Deferred::Claim() {
  std::function<void()> cancel;
  std::function<std::string()> timed_out;
  return End(&cancel, &timed_out);
}

void Deferred::Finish(std::string reply, Lsn wrote) {
  {
    const MutexLock lock(mutex_);
    wrote_ = wrote;
  }
  Reply(std::move(reply));
}

Lsn Deferred::wrote() const {
  const MutexLock lock(mutex_);
  return wrote_;
}

void Deferred::OnCancel(std::function<void()> cancel) {
  const MutexLock lock(mutex_);
  if (!ended_) cancel_ = std::move(cancel);
}

void Deferred::OnTimeout(std::function<std::string()> timed_out) {
  const MutexLock lock(mutex_);
  if (!ended_) timed_out_ = std::move(timed_out);
}

bool Deferred::Park(std::function<void()> wake) {
  const MutexLock lock(mutex_);
  if (reply_) return false;
  wake_ = std::move(wake);
  return true;
}

std::string Deferred::Take() {
  const MutexLock lock(mutex_);
  TM_CHECK(reply_.has_value(), "there is no reply yet");
  return *std::exchange(reply_, std::nullopt);
}

void Deferred::Abandon() {
  std::function<void()> cancel;
  std::function<std::string()> timed_out;
  if (End(&cancel, &timed_out) && cancel) cancel();
}

bool Deferred::Unblock(bool with_error) {
  std::function<void()> cancel;
  std::function<std::string()> timed_out;
  if (!End(&cancel, &timed_out)) return false;
  if (cancel) cancel();
  if (with_error) {
    Reply("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
  } else {
    Reply(timed_out ? timed_out() : "*-1\r\n");
  }
  return true;
}

}  // namespace tidemark::commands
