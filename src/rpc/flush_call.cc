#include "rpc/flush_call.h"

namespace tidemark::rpc {

FlushCall::FlushCall(backup::Tasks& tasks, const backup::FlushRequest& request,
                     std::function<void(const Outcomes&)> fill, std::function<grpc::Status(const absl::Status&)> none)
    : tasks_(tasks), fill_(std::move(fill)) {
  shared_->call = this;
  const auto shared = shared_;
  const absl::StatusOr<uint64_t> id = tasks.Flush(request, [shared](const Outcomes& outcomes) {
    const std::lock_guard lock(shared->mutex);
    FlushCall* call = std::exchange(shared->call, nullptr);
    if (call == nullptr) return;
    call->fill_(outcomes);
    call->Finish(grpc::Status::OK);
  });
  // From here on the call may have finished, and with it this object: only `shared` is sure to be there.
  const std::lock_guard lock(shared->mutex);
  if (shared->call == nullptr) return;
  if (id.ok()) {
    id_ = *id;
  } else {
    shared->call = nullptr;
    Finish(none(id.status()));
  }
}

void FlushCall::OnCancel() {
  std::optional<uint64_t> id;
  {
    const std::lock_guard lock(shared_->mutex);
    if (std::exchange(shared_->call, nullptr) == nullptr) return;
    id = id_;
  }
  if (id.has_value()) tasks_.CancelFlush(*id);
  Finish(grpc::Status::CANCELLED);
}

void FlushCall::OnDone() { delete this; }

}  // namespace tidemark::rpc
