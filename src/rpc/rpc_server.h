// The gRPC port: TiKV's LogBackup, tidemark.v1.Backup, tidemark.v1.Replication, health and reflection.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backup/tasks.h"
#include "base/status.h"
#include "replication/feed.h"
#include "rpc/tls_files.h"

namespace tidemark::rpc {

struct RpcOptions {
  std::vector<std::string> addresses;  // as `bind` has them; a leading '-': may be missing
  uint16_t port = 0;                   // 0: any free one (tests)
  TlsFiles tls;
};

// Whether a caller may use the port: `loopback` says where he calls from; user and password are what he sent (HTTP's
// Basic scheme in "authorization"), empty when nothing. Any thread.
using AccessCheck = std::function<absl::Status(bool loopback, std::string_view user, std::string_view password)>;

class RpcServer {
 public:
  virtual ~RpcServer() = default;
  // Listens and serves until Stop; `tasks` outlives the server. FAILED_PRECONDITION names the address or the file.
  // `run`: runs a job that blocks on a thread that may wait. `default_flush`: what FlushNow asks for. `feed`: what
  // replicas read, and outlives the server; null: nothing.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const RpcOptions& options, backup::Tasks& tasks,
                                                          AccessCheck access,
                                                          std::function<backup::FlushRequest()> default_flush,
                                                          std::function<void(std::function<void()>)> run,
                                                          replication::Feed* feed = nullptr);
  // Ends every call, those of replicas at once; returns when none is left, so not before the feed's Join has returned.
  virtual void Stop() = 0;
  virtual uint16_t port() const = 0;
};

}  // namespace tidemark::rpc
