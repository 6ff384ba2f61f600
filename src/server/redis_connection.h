// The socket over which this node follows a Redis.
#pragma once

#include "replication/psync_port.h"

namespace tidemark::server {

// Over TCP. UNAVAILABLE, naming the address, when it cannot be had.
replication::ConnectBytes RedisConnections();

}  // namespace tidemark::server
