// The order of a rolling restart, and the doubts that forbid one: decided from what the nodes say of themselves,
// without talking to them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bin/redis_client.h"

namespace tidemark::bin {

// A replica as its primary lists it.
struct ListedReplica {
  NodeAddress address;
  bool online = false;
  uint64_t offset = 0;  // what it has acknowledged as written
};

// What a node says in INFO server and INFO replication.
struct NodeView {
  NodeAddress address;                  // as the user names it
  std::vector<std::string> hosts = {};  // what its host's name stands for: by one of these its primary knows it
  std::string run_id = {};
  bool primary = false;
  bool failing_over = false;
  NodeAddress follows = {};  // of a replica
  bool link_up = false;
  uint64_t end = 0;  // of its log
  std::vector<ListedReplica> replicas = {};
};

// INVALID_ARGUMENT when a field that counts is not there, as with another kind of server.
absl::StatusOr<NodeView> ParseView(const NodeAddress& address, std::vector<std::string> hosts, std::string_view info);

// Null when `primary` has no such replica connected.
const ListedReplica* FindReplica(const NodeView& primary, const NodeView& node);

struct RollingPlan {
  size_t primary = 0;                // index of the view
  std::vector<size_t> order;         // replicas as the user named them, then the primary
  std::vector<NodeAddress> unnamed;  // replicas of the primary that nobody named: these are left alone
};

// FAILED_PRECONDITION says which node is in doubt and why: no primary or several, a replica of another node, a link
// that is down, a node named twice, nobody to hand over to.
absl::StatusOr<RollingPlan> PlanRollingRestart(const std::vector<NodeView>& views);

// Empty when every named replica is online and has the primary's log up to `end`; else what is missing, for people.
std::string MissingBelow(uint64_t end, const NodeView& primary, const std::vector<NodeView>& views);

// The named replica with the greatest offset, and among equals the first restarted; null when none is online.
const NodeView* MostAdvanced(const NodeView& primary, const std::vector<NodeView>& views);

}  // namespace tidemark::bin
