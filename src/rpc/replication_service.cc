#include "rpc/replication_service.h"

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "rpc/blocking_writer.h"
#include "rpc/replication_messages.h"

namespace tidemark::rpc {
namespace {

// More than all replicas of a node need, less than what takes its threads away.
constexpr size_t kCallsMax = 256;
// How often a replica hears of a primary that makes a snapshot for it.
constexpr std::chrono::seconds kBeat{1};

absl::Status Gone() { return absl::CancelledError("the replica has gone"); }

template <typename Reactor>
class RefusedCall final : public Reactor {
 public:
  explicit RefusedCall(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

using FollowReactor = grpc::ServerBidiReactor<v1::FollowRequest, v1::FollowResponse>;

class FollowCall final : public BlockingWriter<FollowReactor, v1::FollowResponse>, public ReplicationService::Call {
 public:
  FollowCall(ReplicationService& service, grpc::CallbackServerContext& context) : service_(service), context_(context) {
    service_.Add(this);
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!greeted_) {
      if (const absl::Status status = Greet(ok); !status.ok()) Finish(ToGrpc(status));
      return;
    }
    // A replica that says no more has gone.
    if (!ok) return Leave();
    {
      const MutexLock lock(mutex_);
      if (session_ == nullptr) return;
      if (request_.has_ack()) session_->Acknowledge(Read(request_.ack()));
    }
    StartRead(&request_);
  }
  void Leave() override {
    BlockingWriter::Leave();
    End();
  }
  void OnDone() override {
    service_.Remove(this);
    delete this;
  }

  void End() override {
    {
      const MutexLock lock(mutex_);
      ended_ = true;
      // Its replica is sent what is under way, and the reason.
      if (session_ != nullptr) return session_->Cancel();
      if (closing_) return;
    }
    context_.TryCancel();
  }

 private:
  // The first message.
  absl::Status Greet(bool ok) {
    if (!ok) return Gone();
    if (!request_.has_hello()) return InvalidArgument("the first message must be Hello");
    TM_ASSIGN_OR_RETURN(hello_, Read(request_.hello()));
    greeted_ = true;
    service_.Run([this] { Serve(); });
    return absl::OkStatus();
  }

  void Serve() {
    absl::Status status = Feed();
    std::unique_ptr<replication::FeedSession> session;
    {
      const MutexLock lock(mutex_);
      session = std::move(session_);
      closing_ = true;
    }
    // The replica may come back as soon as it sees the end.
    session.reset();
    if (absl::IsCancelled(status)) {
      status = absl::UnavailableError(service_.stopped() ? "the primary is shutting down" : status.message());
    }
    SendStatus(ToGrpc(status));
  }

  absl::Status Feed() {
    TM_ASSIGN_OR_RETURN(std::unique_ptr<replication::FeedSession> joined, Join());
    replication::FeedSession& session = *joined;
    {
      const MutexLock lock(mutex_);
      if (ended_) return Gone();
      session_ = std::move(joined);
    }
    StartRead(&request_);
    v1::FollowResponse welcome;
    Write(session.welcome(), welcome.mutable_welcome());
    bool sent = Send(std::move(welcome));
    while (sent) {
      TM_ASSIGN_OR_RETURN(replication::Chunk chunk, session.Next());
      v1::FollowResponse response;
      Write(std::move(chunk), response.mutable_chunk());
      sent = Send(std::move(response));
    }
    return Gone();
  }

  absl::StatusOr<std::unique_ptr<replication::FeedSession>> Join() {
    auto joined = std::async(std::launch::async, [this] { return service_.feed().Join(hello_, PeerHost(context_)); });
    while (joined.wait_for(kBeat) != std::future_status::ready) Send({});
    return joined.get();
  }

  ReplicationService& service_;
  grpc::CallbackServerContext& context_;
  v1::FollowRequest request_;  // gRPC's while it reads
  bool greeted_ = false;       // read and written in OnReadDone alone
  replication::Hello hello_;   // of the thread, once there is one
  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<replication::FeedSession> session_ ABSL_GUARDED_BY(mutex_);  // of a replica that has joined
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;                               // the status is on its way
};

class ReadFileCall final : public BlockingWriter<grpc::ServerWriteReactor<v1::FilePart>, v1::FilePart>,
                           public ReplicationService::Call {
 public:
  ReadFileCall(ReplicationService& service, grpc::CallbackServerContext& context, const v1::ReadFileRequest& request)
      : service_(service), context_(context), request_(request) {
    service_.Add(this);
    service_.Run([this] { SendStatus(ToGrpc(Serve())); });
  }
  void OnDone() override {
    service_.Remove(this);
    delete this;
  }
  void End() override { context_.TryCancel(); }

 private:
  absl::Status Serve() {
    return service_.feed().ReadFile(request_.snapshot(), request_.name(), request_.offset(),
                                    [this](const replication::FilePart& part) {
                                      v1::FilePart message;
                                      Write(part, &message);
                                      return Send(std::move(message)) ? absl::OkStatus() : Gone();
                                    });
  }

  ReplicationService& service_;
  grpc::CallbackServerContext& context_;
  const v1::ReadFileRequest& request_;
};

}  // namespace

ReplicationService::~ReplicationService() {
  const MutexLock lock(mutex_);
  while (!calls_.empty()) changed_.Wait(mutex_);
}

void ReplicationService::Stop() {
  const MutexLock lock(mutex_);
  stopped_ = true;
  for (Call* call : calls_) call->End();
}

bool ReplicationService::stopped() {
  const MutexLock lock(mutex_);
  return stopped_;
}

void ReplicationService::Add(Call* call) {
  const MutexLock lock(mutex_);
  calls_.insert(call);
  if (stopped_) call->End();
}

void ReplicationService::Remove(Call* call) {
  const MutexLock lock(mutex_);
  calls_.erase(call);
  changed_.SignalAll();
}

grpc::Status ReplicationService::AdmitCall(const grpc::ServerContextBase& context) {
  if (grpc::Status status = Admit(services_, context); !status.ok()) return status;
  const MutexLock lock(mutex_);
  if (stopped_) return {grpc::StatusCode::UNAVAILABLE, "the primary is shutting down"};
  if (calls_.size() >= kCallsMax) return {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many calls of replicas"};
  return grpc::Status::OK;
}

FollowReactor* ReplicationService::Follow(grpc::CallbackServerContext* context) {
  const grpc::Status status = AdmitCall(*context);
  if (!status.ok()) return new RefusedCall<FollowReactor>(status);
  return new FollowCall(*this, *context);
}

grpc::ServerWriteReactor<v1::FilePart>* ReplicationService::ReadFile(grpc::CallbackServerContext* context,
                                                                     const v1::ReadFileRequest* request) {
  const grpc::Status status = AdmitCall(*context);
  if (!status.ok()) return new RefusedCall<grpc::ServerWriteReactor<v1::FilePart>>(status);
  return new ReadFileCall(*this, *context, *request);
}

}  // namespace tidemark::rpc
