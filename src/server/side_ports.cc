#include "server/side_ports.h"

#include <spdlog/spdlog.h>

#include <utility>
#include <vector>

#include "commands/access.h"
#include "commands/backup_waits.h"
#include "http/metrics_page.h"
#include "server/listener.h"

namespace tidemark::server {
namespace {

// The value of rpc-port by which a replica that knows the Redis port finds the log without a word of configuration.
constexpr int64_t kFromRedisPort = -1;

uint16_t RpcPort(const config::Config& config) {
  const int64_t port = config.Integer("rpc-port");
  if (port != kFromRedisPort) return static_cast<uint16_t>(port);
  const int64_t redis = config.Integer("port");
  if (redis == 0) return 0;
  return static_cast<uint16_t>(redis + 10000 > 65535 ? redis - 10000 : redis + 10000);
}

}  // namespace

rpc::TlsFiles SidePorts::Tls(const config::Config& config) {
  return {.certificate = config.Text("tls-cert-file"),
          .key = config.Text("tls-key-file"),
          .authority = config.Text("tls-ca-cert-file")};
}

absl::StatusOr<std::unique_ptr<SidePorts>> SidePorts::Start(commands::Server& server, backup::Tasks& all_tasks,
                                                            replication::Feed* feed) {
  auto ports = std::make_unique<SidePorts>();
  ports->tasks_ = std::make_unique<commands::PrimaryTasks>(all_tasks, server.replication);
  backup::Tasks& tasks = *ports->tasks_;
  const config::Config& config = server.config;
  const auto access = [&server](bool loopback, std::string_view user, std::string_view password) {
    return commands::CheckAccess(*server.acl, server.config, loopback, user, password);
  };
  const auto default_flush = [&config] { return commands::DefaultFlush(config); };
  if (const uint16_t port = RpcPort(config); port != 0) {
    absl::StatusOr<std::unique_ptr<rpc::RpcServer>> started = rpc::RpcServer::Start(
        {.addresses = BindAddresses(config), .port = port, .tls = Tls(config)}, tasks, access, default_flush,
        [&server](std::function<void()> job) { server.host.RunInBackground(std::move(job)); }, feed);
    if (started.ok()) {
      ports->rpc_ = *std::move(started);
      server.rpc_port = ports->rpc_->port();
      spdlog::info("Ready to accept gRPC calls on port {}", ports->rpc_->port());
    } else if (config.Integer("rpc-port") == kFromRedisPort && absl::IsFailedPrecondition(started.status())) {
      spdlog::warn("No gRPC port, so no replica can follow this server: {}", Message(started.status()));
    } else {
      return started.status();
    }
  }
  if (const auto port = static_cast<uint16_t>(config.Integer("http-port")); port != 0) {
    TM_ASSIGN_OR_RETURN(
        ports->http_,
        http::HttpServer::Start(
            {.addresses = BindAddresses(config),
             .port = port,
             .certificate_file = config.Text("tls-cert-file"),
             .key_file = config.Text("tls-key-file")},
            {.tasks = tasks, .access = access, .default_flush = default_flush, .metrics = [&server, &tasks] {
               return http::MetricsPage(server, tasks);
             }}));
    spdlog::info("Ready to accept HTTP requests on port {}", ports->http_->port());
  }
  return ports;
}

void SidePorts::Stop() {
  if (rpc_ != nullptr) rpc_->Stop();
  if (http_ != nullptr) http_->Stop();
}

}  // namespace tidemark::server
