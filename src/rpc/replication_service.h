// What a node gives to its replicas, over gRPC: proto/tidemark/v1/replication.proto on a replication::Feed.
//
// Threads: one for each call (a feed blocks), acknowledgements on gRPC's.
#pragma once

#include <tidemark/v1/replication.grpc.pb.h>

#include <set>

#include "base/mutex.h"
#include "replication/feed.h"
#include "rpc/call_threads.h"
#include "rpc/caller.h"

namespace tidemark::rpc {

class ReplicationService final : public v1::Replication::CallbackService {
 public:
  // A call that may be ended from outside.
  class Call {
   public:
    virtual ~Call() = default;
    virtual void End() = 0;
  };

  ReplicationService(const Services& services, replication::Feed& feed) : services_(services), feed_(feed) {}
  // Waits for the calls: Stop, and the server's own stop, come first.
  ~ReplicationService() override;

  // Ends every call, but waits for none; later ones are refused. Any thread.
  void Stop();

  grpc::ServerBidiReactor<v1::FollowRequest, v1::FollowResponse>* Follow(grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::FilePart>* ReadFile(grpc::CallbackServerContext* context,
                                                   const v1::ReadFileRequest* request) override;

  // For the calls.
  replication::Feed& feed() { return feed_; }
  void Run(std::function<void()> body) { threads_.Run(std::move(body)); }
  bool stopped();
  void Add(Call* call);
  void Remove(Call* call);

 private:
  grpc::Status AdmitCall(const grpc::ServerContextBase& context);

  const Services& services_;
  replication::Feed& feed_;
  Mutex mutex_;
  CondVar changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<Call*> calls_ ABSL_GUARDED_BY(mutex_);
  CallThreads threads_;
};

}  // namespace tidemark::rpc
