// TiKV's logbackup.LogBackup on our tasks: one region, id 1, all keys; checkpoints as TSO, milliseconds << 18.
#pragma once

#include <logbackuppb.grpc.pb.h>

#include "rpc/caller.h"

namespace tidemark::rpc {

class LogBackupService final : public logbackup::LogBackup::CallbackService {
 public:
  explicit LogBackupService(const Services& services) : services_(services) {}

  grpc::ServerUnaryReactor* FlushNow(grpc::CallbackServerContext* context, const logbackup::FlushNowRequest* request,
                                     logbackup::FlushNowResponse* response) override;
  grpc::ServerUnaryReactor* GetLastFlushTSOfRegion(grpc::CallbackServerContext* context,
                                                   const logbackup::GetLastFlushTSOfRegionRequest* request,
                                                   logbackup::GetLastFlushTSOfRegionResponse* response) override;
  grpc::ServerWriteReactor<logbackup::SubscribeFlushEventResponse>* SubscribeFlushEvent(
      grpc::CallbackServerContext* context, const logbackup::SubscribeFlushEventRequest* request) override;

 private:
  const Services& services_;
};

}  // namespace tidemark::rpc
