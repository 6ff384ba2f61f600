// Our own service: all that the tasks can do, typed. proto/tidemark/v1/backup.proto.
#pragma once

#include <tidemark/v1/backup.grpc.pb.h>

#include "rpc/caller.h"

namespace tidemark::rpc {

class BackupService final : public tidemark::v1::Backup::CallbackService {
 public:
  explicit BackupService(const Services& services) : services_(services) {}

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;
  Reactor* Start(Context* context, const v1::StartRequest* request, v1::StartResponse* response) override;
  Reactor* Stop(Context* context, const v1::StopRequest* request, v1::StopResponse* response) override;
  Reactor* Pause(Context* context, const v1::PauseRequest* request, v1::PauseResponse* response) override;
  Reactor* Resume(Context* context, const v1::ResumeRequest* request, v1::ResumeResponse* response) override;
  Reactor* Truncate(Context* context, const v1::TruncateRequest* request, v1::TruncateResponse* response) override;
  Reactor* TakeBase(Context* context, const v1::TakeBaseRequest* request, v1::TakeBaseResponse* response) override;
  Reactor* Status(Context* context, const v1::StatusRequest* request, v1::StatusResponse* response) override;
  Reactor* Flush(Context* context, const v1::FlushRequest* request, v1::FlushResponse* response) override;
  grpc::ServerWriteReactor<v1::CheckpointEvent>* Subscribe(Context* context,
                                                           const v1::SubscribeRequest* request) override;

 private:
  // Runs `body` where it may block and finishes the call with what it returns; request and response live that long.
  Reactor* Run(Context* context, std::function<absl::Status()> body);

  const Services& services_;
};

}  // namespace tidemark::rpc
