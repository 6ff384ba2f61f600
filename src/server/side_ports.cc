#include "server/side_ports.h"

#include <iterator>
#include <sstream>
#include <utility>
#include <vector>

#include "commands/access.h"
#include "commands/backup_waits.h"
#include "http/metrics_page.h"

namespace tidemark::server {
namespace {

std::vector<std::string> Addresses(const config::Config& config) {
  std::istringstream words(config.Text("bind"));
  return {std::istream_iterator<std::string>(words), {}};
}

}  // namespace

absl::StatusOr<std::unique_ptr<SidePorts>> SidePorts::Start(commands::Server& server, backup::Tasks& tasks) {
  auto ports = std::make_unique<SidePorts>();
  const config::Config& config = server.config;
  const auto access = [&config](bool loopback, std::string_view user, std::string_view password) {
    return commands::CheckAccess(config, loopback, user, password);
  };
  const auto default_flush = [&config] { return commands::DefaultFlush(config); };
  if (const auto port = static_cast<uint16_t>(config.Integer("rpc-port")); port != 0) {
    TM_ASSIGN_OR_RETURN(ports->rpc_,
                        rpc::RpcServer::Start({.addresses = Addresses(config),
                                               .port = port,
                                               .certificate_file = config.Text("tls-cert-file"),
                                               .key_file = config.Text("tls-key-file"),
                                               .authority_file = config.Text("tls-ca-cert-file")},
                                              tasks, access, default_flush, [&server](std::function<void()> job) {
                                                server.host.RunInBackground(std::move(job));
                                              }));
  }
  if (const auto port = static_cast<uint16_t>(config.Integer("http-port")); port != 0) {
    TM_ASSIGN_OR_RETURN(
        ports->http_,
        http::HttpServer::Start(
            {.addresses = Addresses(config),
             .port = port,
             .certificate_file = config.Text("tls-cert-file"),
             .key_file = config.Text("tls-key-file")},
            {.tasks = tasks, .access = access, .default_flush = default_flush, .metrics = [&server, &tasks] {
               return http::MetricsPage(server, tasks);
             }}));
  }
  return ports;
}

void SidePorts::Stop() {
  if (rpc_ != nullptr) rpc_->Stop();
  if (http_ != nullptr) http_->Stop();
}

}  // namespace tidemark::server
