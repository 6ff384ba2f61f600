// Where a primary's replicas find its log: asked on its Redis port, REPLCONF rpc-port.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/status.h"
#include "replication/upstream.h"

namespace tidemark::rpc {

// Blocks for at most `timeout`. UNAVAILABLE when the port does not answer, UNAUTHENTICATED when it wants another
// password, UNIMPLEMENTED when it is no Tidemark, FAILED_PRECONDITION when it serves no replicas: the message is for
// the operator.
absl::StatusOr<uint16_t> AskForRpcPort(const replication::Endpoint& redis, const replication::UpstreamOptions& options,
                                       std::chrono::milliseconds timeout);

}  // namespace tidemark::rpc
