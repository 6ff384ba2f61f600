#include "rpc/upstream.h"

#include <absl/strings/escaping.h>
#include <tidemark/v1/replication.grpc.pb.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rpc/blocking_reader.h"
#include "rpc/credentials.h"
#include "rpc/replication_messages.h"
#include "rpc/rpc_port.h"

namespace tidemark::rpc {
namespace {

using std::chrono::milliseconds;

// A Redis port answers in milliseconds; a stop of this node does not wait longer for one that does not.
constexpr milliseconds kAskMax{5000};
// Connections for the files of a snapshot, so that neither they nor the log wait for the other's bytes.
constexpr size_t kFileConnections = 2;

class FollowStream final
    : public BlockingReader<grpc::ClientBidiReactor<v1::FollowRequest, v1::FollowResponse>, v1::FollowResponse> {
 public:
  void Start(v1::Replication::Stub& stub, v1::FollowRequest first) {
    outgoing_ = std::move(first);
    {
      const MutexLock lock(mutex_);
      writing_ = true;
    }
    stub.async()->Follow(&context(), this);
    StartWrite(&outgoing_);
    Begin();
  }

  // One thread. Waits for the message before.
  absl::Status Send(v1::FollowRequest message, milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    {
      const MutexLock lock(mutex_);
      bool late = false;
      while (writing_ && !closing_ && !cancelled_ && !late) late = !changed_.WaitUntil(mutex_, deadline);
      if (cancelled_) return absl::CancelledError("the connection to the primary is cancelled");
      if (writing_ || closing_) return absl::UnavailableError("the primary takes no acknowledgement");
      writing_ = true;
      AddHold();  // while the reader's still stands
    }
    outgoing_ = std::move(message);
    StartWrite(&outgoing_);
    RemoveHold();
    return absl::OkStatus();
  }

  void OnWriteDone(bool /*ok*/) override {
    const MutexLock lock(mutex_);
    writing_ = false;
    changed_.SignalAll();
  }

 private:
  v1::FollowRequest outgoing_;  // gRPC's while `writing_`
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
};

class FileStream final : public BlockingReader<grpc::ClientReadReactor<v1::FilePart>, v1::FilePart> {
 public:
  ~FileStream() override { Close(); }
  void Start(v1::Replication::Stub& stub, const v1::ReadFileRequest& request) {
    request_ = request;
    stub.async()->ReadFile(&context(), &request_, this);
    Begin();
  }

 private:
  v1::ReadFileRequest request_;
};

class UpstreamImpl final : public replication::Upstream {
 public:
  // The first channel is the log's, the others are the files'.
  UpstreamImpl(const std::vector<std::shared_ptr<grpc::Channel>>& channels, replication::UpstreamOptions options)
      : options_(std::move(options)) {
    for (const auto& channel : channels) stubs_.push_back(v1::Replication::NewStub(channel));
    Authorize(follow_.context());
    calls_.insert(&follow_);
  }
  ~UpstreamImpl() override {
    UpstreamImpl::Cancel();
    follow_.Close();
  }

  absl::StatusOr<replication::Welcome> Join(const replication::Hello& hello) override {
    if (joined_) return Errorf(absl::StatusCode::kFailedPrecondition, "this connection has joined before");
    joined_ = true;
    v1::FollowRequest first;
    Write(hello, first.mutable_hello());
    follow_.Start(*stubs_.front(), std::move(first));
    TM_ASSIGN_OR_RETURN(const v1::FollowResponse response, NextResponse());
    if (!response.has_welcome()) return absl::UnavailableError("the primary begins with another message than Welcome");
    return Read(response.welcome());
  }

  absl::StatusOr<replication::Chunk> Next() override {
    if (!joined_) return Errorf(absl::StatusCode::kFailedPrecondition, "this connection has not joined");
    TM_ASSIGN_OR_RETURN(v1::FollowResponse response, NextResponse());
    if (!response.has_chunk()) return absl::UnavailableError("the primary says Welcome twice");
    return Read(std::move(*response.mutable_chunk()));
  }

  absl::Status Acknowledge(const replication::Ack& ack) override {
    if (!joined_) return Errorf(absl::StatusCode::kFailedPrecondition, "this connection has not joined");
    v1::FollowRequest message;
    Write(ack, message.mutable_ack());
    return follow_.Send(std::move(message), options_.timeout);
  }

  absl::Status ReadFile(const std::string& snapshot, const std::string& name, uint64_t offset,
                        absl::FunctionRef<absl::Status(const replication::FilePart&)> take) override {
    v1::ReadFileRequest request;
    request.set_snapshot(snapshot);
    request.set_name(name);
    request.set_offset(offset);
    FileStream stream;
    Authorize(stream.context());
    Add(&stream);
    stream.Start(*stubs_[1 + next_file_.fetch_add(1) % (stubs_.size() - 1)], request);
    absl::Status status = TakeParts(stream, take);
    Remove(&stream);
    return status;
  }

  void Cancel() override {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    for (ClientCall* call : calls_) call->Cancel();
  }

 private:
  // Not the beats of a primary that makes a snapshot.
  absl::StatusOr<v1::FollowResponse> NextResponse() {
    while (true) {
      TM_ASSIGN_OR_RETURN(std::optional<v1::FollowResponse> response, follow_.Next(options_.timeout));
      if (!response) return absl::UnavailableError("the primary has ended the stream");
      if (response->body_case() != v1::FollowResponse::BODY_NOT_SET) return *std::move(response);
    }
  }

  absl::Status TakeParts(FileStream& stream, absl::FunctionRef<absl::Status(const replication::FilePart&)> take) {
    bool last = false;
    while (true) {
      TM_ASSIGN_OR_RETURN(std::optional<v1::FilePart> message, stream.Next(options_.timeout));
      if (!message) break;
      const replication::FilePart part = Read(*std::move(message));
      last = part.last;
      TM_RETURN_IF_ERROR(take(part));
    }
    return last ? absl::OkStatus() : absl::UnavailableError("the primary has ended the file before its last part");
  }

  void Authorize(grpc::ClientContext& context) const {
    if (options_.password.empty()) return;
    const std::string user = options_.user.empty() ? "default" : options_.user;
    context.AddMetadata("authorization", "Basic " + absl::Base64Escape(user + ":" + options_.password));
  }

  void Add(ClientCall* call) {
    const MutexLock lock(mutex_);
    calls_.insert(call);
    if (cancelled_) call->Cancel();
  }
  void Remove(ClientCall* call) {
    const MutexLock lock(mutex_);
    calls_.erase(call);
  }

  const replication::UpstreamOptions options_;
  std::vector<std::unique_ptr<v1::Replication::Stub>> stubs_;
  std::atomic<size_t> next_file_{0};
  FollowStream follow_;
  std::atomic<bool> joined_{false};
  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<ClientCall*> calls_ ABSL_GUARDED_BY(mutex_);
};

grpc::ChannelArguments ChannelArguments(milliseconds timeout) {
  const int half = static_cast<int>(std::clamp<int64_t>(timeout.count() / 2, 1000, 60'000));
  grpc::ChannelArguments arguments;
  // A chunk is as long as its longest record, and that is as long as a value may be.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, half);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, half);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, half);
  // A connection of its own for every channel, which knows nothing of failures before.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

absl::StatusOr<std::unique_ptr<replication::Upstream>> ConnectToRpcPort(const replication::Endpoint& endpoint,
                                                                        const replication::UpstreamOptions& options,
                                                                        const TlsFiles& tls) {
  TM_ASSIGN_OR_RETURN(const auto credentials, ClientCredentials(tls));
  const grpc::ChannelArguments arguments = ChannelArguments(options.timeout);
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (size_t i = 0; i < 1 + kFileConnections; ++i) {
    channels.push_back(grpc::CreateCustomChannel(GrpcAddress(endpoint.host, endpoint.port), credentials, arguments));
  }
  return std::make_unique<UpstreamImpl>(channels, options);
}

replication::Connect UpstreamOver(const TlsFiles& tls) {
  return [tls](const replication::Endpoint& primary,
               const replication::UpstreamOptions& options) -> absl::StatusOr<std::unique_ptr<replication::Upstream>> {
    TM_ASSIGN_OR_RETURN(const uint16_t port, AskForRpcPort(primary, options, std::min(options.timeout, kAskMax)));
    return ConnectToRpcPort({.host = primary.host, .port = port}, options, tls);
  };
}

}  // namespace tidemark::rpc
