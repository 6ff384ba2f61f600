// `tidemark rolling-restart`: restarts the nodes of a replicated store one after the other, the primary last and only
// after it has handed over, and stops at the first doubt.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "bin/redis_client.h"

namespace tidemark::bin {

struct RollingRestartArguments {
  std::vector<NodeAddress> nodes;
  Credentials credentials;
  std::string command;                             // run by sh once per node
  std::chrono::milliseconds timeout{60000};        // of each wait
  std::chrono::milliseconds flush_timeout{60000};  // of each force flush
  bool dry_run = false;
};

// 0 all nodes are restarted, 3 a wait was longer than its time, 4 a node or the command failed, or a doubt. The report
// is on standard output; progress, the command's output, and after a failure where each node stands, on standard error.
int RollingRestart(const RollingRestartArguments& arguments);

// Adds the subcommand `rolling-restart` to `app`. Running it sets *exit_code, 1 for wrong use.
void AddRollingRestartCommand(CLI::App& app, int* exit_code);

}  // namespace tidemark::bin
