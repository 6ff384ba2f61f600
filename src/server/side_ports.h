// The ports beside the Redis port: gRPC and HTTP. Made from the configuration, started last, stopped first.
#pragma once

#include <memory>

#include "backup/tasks.h"
#include "base/status.h"
#include "commands/primary_tasks.h"
#include "commands/server.h"
#include "http/http_server.h"
#include "replication/feed.h"
#include "rpc/rpc_server.h"

namespace tidemark::server {

class SidePorts {
 public:
  // Listens on rpc-port and http-port where they are not 0, and sets server.rpc_port. `feed`: what replicas read; null:
  // nothing. What is handed in outlives the object.
  static absl::StatusOr<std::unique_ptr<SidePorts>> Start(commands::Server& server, backup::Tasks& all_tasks,
                                                          replication::Feed* feed = nullptr);
  // The files of tls-cert-file and its like, for the node's own connection to its primary too.
  static rpc::TlsFiles Tls(const config::Config& config);
  // No call is under way any more when it returns.
  void Stop();

 private:
  std::unique_ptr<commands::PrimaryTasks> tasks_;
  std::unique_ptr<rpc::RpcServer> rpc_;
  std::unique_ptr<http::HttpServer> http_;
};

}  // namespace tidemark::server
