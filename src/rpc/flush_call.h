// One force flush over gRPC: waits for the tasks without a thread, and leaves no waiter behind when the caller goes.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "rpc/caller.h"

namespace tidemark::rpc {

class FlushCall final : public grpc::ServerUnaryReactor {
 public:
  using Outcomes = std::vector<backup::FlushOutcome>;

  // `fill` writes the outcomes into the response; `none` is what a call gets when there is no task to flush.
  FlushCall(backup::Tasks& tasks, const backup::FlushRequest& request, std::function<void(const Outcomes&)> fill,
            std::function<grpc::Status(const absl::Status&)> none);

  void OnCancel() override;
  void OnDone() override;

 private:
  // Outlives the call: the tasks hold it in their callback.
  struct Shared {
    std::mutex mutex;
    FlushCall* call = nullptr;  // null once it has finished
  };

  backup::Tasks& tasks_;
  const std::function<void(const Outcomes&)> fill_;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::optional<uint64_t> id_;  // guarded by shared_->mutex
};

}  // namespace tidemark::rpc
