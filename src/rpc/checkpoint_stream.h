// A stream of checkpoints to one subscriber. A slow one is told the latest, not every one in between: what waits for
// him is bounded, and a checkpoint stands for all before it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <mutex>

#include "rpc/caller.h"

namespace tidemark::rpc {

// A stream that ends at once.
template <typename Response>
class RefusedStream final : public grpc::ServerWriteReactor<Response> {
 public:
  explicit RefusedStream(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

// `Response` is made by `fill` from the state of the tasks, on a thread that may block.
template <typename Response>
class CheckpointStream final : public grpc::ServerWriteReactor<Response> {
 public:
  using Fill = std::function<Response(const std::vector<backup::TaskStatus>&)>;

  CheckpointStream(const Services& services, Fill fill)
      : services_(services), fill_(std::move(fill)), shared_(std::make_shared<Shared>()) {
    shared_->stream = this;
    subscription_ = services.tasks.Subscribe(
        [shared = shared_, run = services.run](const backup::FlushEvent&) { run([shared] { Pump(*shared); }); });
    services.run([shared = shared_] { Pump(*shared); });
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(shared_->mutex);
    writing_ = false;
    if (!ok) {
      End(grpc::Status::OK);
    } else if (dirty_) {
      services_.run([shared = shared_] { Pump(*shared); });
    }
  }
  void OnCancel() override {
    const std::lock_guard lock(shared_->mutex);
    End(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    services_.tasks.Unsubscribe(subscription_);
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->stream = nullptr;
    }
    delete this;
  }

 private:
  // Outlives the stream: jobs on their way hold it.
  struct Shared {
    std::mutex mutex;
    CheckpointStream* stream = nullptr;  // null once it has ended
  };

  // Sends the state as it is now, unless a write is under way, which asks again when it is done.
  static void Pump(Shared& shared) {
    const std::lock_guard lock(shared.mutex);
    CheckpointStream* stream = shared.stream;
    if (stream == nullptr || stream->ended_) return;
    stream->dirty_ = stream->writing_;
    if (stream->writing_) return;
    stream->writing_ = true;
    stream->response_ = stream->fill_(stream->services_.tasks.Status());
    stream->StartWrite(&stream->response_);
  }
  void End(const grpc::Status& status) {
    if (ended_) return;
    ended_ = true;
    this->Finish(status);
  }

  const Services& services_;
  const Fill fill_;
  const std::shared_ptr<Shared> shared_;
  uint64_t subscription_ = 0;
  // Guarded by shared_->mutex.
  Response response_;
  bool writing_ = false;
  bool dirty_ = false;
  bool ended_ = false;
};

}  // namespace tidemark::rpc
