// A streaming call that a thread answers which may block: it hands one message after the other to gRPC, and makes the
// next while the last is on its way.
#pragma once

#include <grpcpp/grpcpp.h>

#include <utility>

#include "base/mutex.h"

namespace tidemark::rpc {

// `Reactor`: a server's reactor that writes `Message`s.
template <typename Reactor, typename Message>
class BlockingWriter : public Reactor {
 public:
  void OnWriteDone(bool ok) override {
    const MutexLock lock(mutex_);
    writing_ = false;
    if (!ok) gone_ = true;
    changed_.SignalAll();
  }
  // The client has gone, or the server's time to stop is over.
  void OnCancel() override { Leave(); }

  // No further message; what is under way is still sent. Any thread.
  virtual void Leave() {
    const MutexLock lock(mutex_);
    gone_ = true;
  }

 protected:
  // One thread. Waits until the message before is sent; false when there is nobody to send to.
  bool Send(Message message) {
    {
      const MutexLock lock(mutex_);
      while (writing_) changed_.Wait(mutex_);
      if (gone_) return false;
      writing_ = true;
      out_ = std::move(message);
    }
    this->StartWrite(&out_);
    return true;
  }
  // The same thread, once, as the last thing it does: the object may be gone when it returns.
  void SendStatus(const grpc::Status& status) {
    {
      const MutexLock lock(mutex_);
      while (writing_) changed_.Wait(mutex_);
    }
    this->Finish(status);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  Message out_;  // gRPC's while `writing_`
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tidemark::rpc
