// `tidemark log flush`: a force flush of several nodes at once, with patience for what passes by itself.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "bin/redis_client.h"

namespace tidemark::bin {

struct LogFlushArguments {
  std::vector<NodeAddress> nodes;
  Credentials credentials;
  std::vector<std::string> tasks;            // empty: all
  std::string mode;                          // empty: as the node is configured
  std::chrono::milliseconds timeout{60000};  // 0: none
  bool durable_only = false;
  bool json = false;

  // Whether a base that is on its way is worth waiting for.
  bool waits() const { return mode.empty() || mode == "wait"; }
};

// 0 everything durable everywhere, 3 the time was over first, 4 a node or a task failed otherwise. Says on standard
// error why it asks a node again.
int LogFlush(const LogFlushArguments& arguments);

}  // namespace tidemark::bin
