// A streaming call as its client sees it, for threads that block: reads with a time-out, and an end from any thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "base/status.h"

namespace tidemark::rpc {

// What every call of a client can do; not for a template.
class ClientCall {
 public:
  virtual ~ClientCall() = default;
  // Ends the call. Any thread.
  virtual void Cancel() = 0;
};

// What the end of a call means for a replica.
inline absl::Status EndOfCall(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return absl::OkStatus();
    case grpc::StatusCode::UNIMPLEMENTED:
      return Errorf(absl::StatusCode::kFailedPrecondition, "the primary serves no replicas: {}",
                    status.error_message());
    case grpc::StatusCode::CANCELLED:  // by the primary: whoever cancels here is told so before
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::INTERNAL:  // a connection that broke in the middle of a frame
      return Errorf(absl::StatusCode::kUnavailable, "the primary has ended the call: {}", status.error_message());
    default:
      return Errorf(static_cast<absl::StatusCode>(status.error_code()), "{}", status.error_message());
  }
}

// `Reactor`: a client's reactor that reads `Response`s. Whoever derives starts the call with Begin, and is gone only
// after Close.
template <typename Reactor, typename Response>
class BlockingReader : public Reactor, public ClientCall {
 public:
  grpc::ClientContext& context() { return context_; }

  // The next message; none when the call has ended well. One thread. UNAVAILABLE when nothing comes for `silence`.
  absl::StatusOr<std::optional<Response>> Next(std::chrono::milliseconds silence) {
    const auto deadline = std::chrono::steady_clock::now() + silence;
    std::optional<Response> message;
    {
      const MutexLock lock(mutex_);
      bool silent = false;
      while (!arrived_ && !end_ && !cancelled_ && !silent) silent = !changed_.WaitUntil(mutex_, deadline);
      if (cancelled_) return absl::CancelledError("the connection to the primary is cancelled");
      if (!arrived_ && !end_) {
        context_.TryCancel();
        return Errorf(absl::StatusCode::kUnavailable, "the primary has said nothing for {} ms", silence.count());
      }
      if (!arrived_) {
        TM_RETURN_IF_ERROR(EndOfCall(*end_));
        return message;
      }
      arrived_ = false;
      message = std::move(incoming_);
    }
    this->StartRead(&incoming_);
    return message;
  }

  void Cancel() override {
    {
      const MutexLock lock(mutex_);
      cancelled_ = true;
      changed_.SignalAll();
    }
    context_.TryCancel();
  }

  // Ends the call, and waits until gRPC knows nothing of it any more. Not beside Next.
  void Close() {
    context_.TryCancel();
    while (true) {
      {
        const MutexLock lock(mutex_);
        while (begun_ && !arrived_ && !end_) changed_.Wait(mutex_);
        if (!begun_ || end_) return;
        arrived_ = false;
      }
      this->StartRead(&incoming_);
    }
  }

  void OnReadDone(bool ok) override {
    {
      const MutexLock lock(mutex_);
      (ok ? arrived_ : closing_) = true;
      changed_.SignalAll();
    }
    if (!ok) this->RemoveHold();
  }
  void OnDone(const grpc::Status& status) override {
    const MutexLock lock(mutex_);
    end_ = status;
    changed_.SignalAll();
  }

 protected:
  // After the stub has bound the call to this object.
  void Begin() {
    {
      const MutexLock lock(mutex_);
      begun_ = true;
    }
    this->AddHold();  // until the last read has ended: reads begin outside of gRPC's reactions
    this->StartRead(&incoming_);
    this->StartCall();
  }

  Mutex mutex_;
  CondVar changed_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;             // no further message
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);  // gRPC is done with the call

 private:
  grpc::ClientContext context_;
  Response incoming_;  // gRPC's unless `arrived_`
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  bool arrived_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tidemark::rpc
