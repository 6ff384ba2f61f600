#include "rpc/rpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/support/server_interceptor.h>

#include "base/address.h"
#include "rpc/backup_service.h"
#include "rpc/caller.h"
#include "rpc/credentials.h"
#include "rpc/log_backup_service.h"
#include "rpc/replication_service.h"

namespace tidemark::rpc {
namespace {

constexpr std::chrono::seconds kStopWithin{2};

// Reflection is gRPC's own service and asks nobody: a stranger's calls of it are cut off before they are answered.
class ReflectionGuard final : public grpc::experimental::Interceptor {
 public:
  ReflectionGuard(const Services& services, grpc::experimental::ServerRpcInfo* info)
      : services_(services), info_(info) {}
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA) &&
        !Admit(services_, *info_->server_context()).ok()) {
      info_->server_context()->TryCancel();
    }
    methods->Proceed();
  }

 private:
  const Services& services_;
  grpc::experimental::ServerRpcInfo* const info_;
};

class ReflectionGuardFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit ReflectionGuardFactory(const Services& services) : services_(services) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    return std::string_view(info->method()).starts_with("/grpc.reflection.") ? new ReflectionGuard(services_, info)
                                                                             : nullptr;
  }

 private:
  const Services& services_;
};

// An address of `bind`, whose wildcards gRPC spells differently.
std::string ListenAddress(std::string_view address, uint16_t port) {
  if (address == "*") return GrpcAddress("0.0.0.0", port);
  return GrpcAddress(address == "::*" ? "::" : address, port);
}

// A replica that lost its power is noticed though nothing is sent to it; and its own asking is no flood.
void KeepAlive(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
}

class RpcServerImpl final : public RpcServer {
 public:
  RpcServerImpl(Services services, replication::Feed* feed) : services_(std::move(services)) {
    if (feed != nullptr) replication_ = std::make_unique<ReplicationService>(services_, *feed);
  }
  ~RpcServerImpl() override { Stop(); }

  absl::Status Listen(const RpcOptions& options) {
    TM_ASSIGN_OR_RETURN(const auto credentials, ServerCredentials(options.tls));
    // One server an address: gRPC makes a whole server fail when one address of it does.
    return ListenOnEach(options.addresses, [&](std::string_view address) -> absl::Status {
      // gRPC's IPv4 wildcard takes IPv6 as well.
      if (address == "::*" && all_ && !servers_.empty()) return absl::OkStatus();
      const uint16_t port = options.port != 0 ? options.port : port_;
      all_ = all_ || address == "*" || address == "0.0.0.0";
      if (Serve(ListenAddress(address, port), credentials)) return absl::OkStatus();
      return Errorf(absl::StatusCode::kFailedPrecondition, "rpc-port: cannot listen on {}",
                    ListenAddress(address, port));
    });
  }

  void Stop() override {
    if (replication_ != nullptr) replication_->Stop();
    const auto deadline = std::chrono::system_clock::now() + kStopWithin;
    for (const auto& server : servers_) server->Shutdown(deadline);
    servers_.clear();
  }
  uint16_t port() const override { return port_; }

 private:
  bool Serve(const std::string& address, const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    grpc::ServerBuilder builder;
    int chosen = 0;
    builder.AddListeningPort(address, credentials, &chosen);
    // Without this a second server on the same port would take half of the calls.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.RegisterService(&log_backup_);
    builder.RegisterService(&backup_);
    if (replication_ != nullptr) {
      builder.RegisterService(replication_.get());
      KeepAlive(builder);
    }
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> guards;
    guards.push_back(std::make_unique<ReflectionGuardFactory>(services_));
    builder.experimental().SetInterceptorCreators(std::move(guards));
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr || chosen == 0) return false;
    port_ = static_cast<uint16_t>(chosen);
    servers_.push_back(std::move(server));
    return true;
  }

  const Services services_;
  LogBackupService log_backup_{services_};
  BackupService backup_{services_};
  std::unique_ptr<ReplicationService> replication_;
  uint16_t port_ = 0;
  bool all_ = false;  // the IPv4 wildcard is among what is listened on
  std::vector<std::unique_ptr<grpc::Server>> servers_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const RpcOptions& options, backup::Tasks& tasks,
                                                            AccessCheck access,
                                                            std::function<backup::FlushRequest()> default_flush,
                                                            std::function<void(std::function<void()>)> run,
                                                            replication::Feed* feed) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto server = std::make_unique<RpcServerImpl>(Services{.tasks = tasks,
                                                         .access = std::move(access),
                                                         .default_flush = std::move(default_flush),
                                                         .run = std::move(run)},
                                                feed);
  TM_RETURN_IF_ERROR(server->Listen(options));
  return server;
}

}  // namespace tidemark::rpc
