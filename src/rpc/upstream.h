// A replica's connection to its primary, over gRPC: found through the primary's Redis port, as people name it.
#pragma once

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "replication/upstream.h"
#include "rpc/tls_files.h"

namespace tidemark::rpc {

// The node's own way to its primary; with a certificate, by TLS. The files are read at every connection. A primary
// whose Redis port does not answer within `timeout`, or 5 s, is UNAVAILABLE; see rpc_port.h for the other errors.
replication::Connect UpstreamOver(const TlsFiles& tls);

// To the gRPC port itself. Connects no sooner than Join.
absl::StatusOr<std::unique_ptr<replication::Upstream>> ConnectToRpcPort(const replication::Endpoint& endpoint,
                                                                        const replication::UpstreamOptions& options,
                                                                        const TlsFiles& tls);

}  // namespace tidemark::rpc
