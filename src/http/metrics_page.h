// What GET /metrics says: redis_exporter's names for what it has, tidemark_* for log, leases, tasks, flushes and RPO.
// docs/operations.md lists them; deploy/ has alert rules and a dashboard that use them.
#pragma once

#include <string>

#include "backup/tasks.h"
#include "commands/server.h"

namespace tidemark::http {

// Any thread. A few hundred microseconds.
std::string MetricsPage(commands::Server& server, const backup::Tasks& tasks);

}  // namespace tidemark::http
