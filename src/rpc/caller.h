// Who makes a call, and whether he may: shared by all services.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <string>

#include "rpc/rpc_server.h"

namespace tidemark::rpc {

// What the services share. Outlives every call.
struct Services {
  backup::Tasks& tasks;
  AccessCheck access;
  // What a call that names neither takes: mode and time-out of the configuration.
  std::function<backup::FlushRequest()> default_flush;
  // Runs a job that blocks on a thread that may wait.
  std::function<void(std::function<void()>)> run;
};

// UNAUTHENTICATED unless the caller may use the port.
grpc::Status Admit(const Services& services, const grpc::ServerContextBase& context);

// The address that the call comes from, without its port.
std::string PeerHost(const grpc::ServerContextBase& context);

// The same code and message.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace tidemark::rpc
