#include "bin/rolling_plan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/numbers.h"

namespace tidemark::bin {
namespace {

// Cuts the text before `end` off `*text`, and `end`.
std::string_view Take(std::string_view* text, std::string_view end) {
  const size_t at = text->find(end);
  const std::string_view piece = text->substr(0, at);
  text->remove_prefix(at == std::string_view::npos ? text->size() : at + end.size());
  return piece;
}

using Fields = std::map<std::string_view, std::string_view>;

Fields Split(std::string_view text, std::string_view end, char between) {
  Fields fields;
  while (!text.empty()) {
    const std::string_view piece = Take(&text, end);
    const size_t at = piece.find(between);
    if (at != std::string_view::npos) fields[piece.substr(0, at)] = piece.substr(at + 1);
  }
  return fields;
}

std::string_view Get(const Fields& fields, std::string_view name) {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string_view() : found->second;
}

uint64_t Number(const Fields& fields, std::string_view name) { return ParseUint64(Get(fields, name)).value_or(0); }

NodeAddress Address(const Fields& fields, std::string_view host, std::string_view port) {
  return {.host = std::string(Get(fields, host)), .port = static_cast<uint16_t>(Number(fields, port))};
}

bool IsOneOf(const NodeView& node, const NodeAddress& address) {
  return node.address.port == address.port &&
         (node.address.host == address.host || std::ranges::find(node.hosts, address.host) != node.hosts.end());
}

absl::Status Doubt(std::string text) { return Errorf(absl::StatusCode::kFailedPrecondition, "{}", text); }

absl::Status CheckDistinct(const std::vector<NodeView>& views) {
  std::map<std::string_view, const NodeView*> seen;
  for (const NodeView& view : views) {
    const auto [earlier, is_new] = seen.emplace(view.run_id, &view);
    if (is_new) continue;
    return Doubt(fmt::format("{} and {} are the same node", earlier->second->address.text(), view.address.text()));
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> OnlyPrimary(const std::vector<NodeView>& views) {
  std::optional<size_t> primary;
  for (size_t i = 0; i < views.size(); ++i) {
    if (!views[i].primary) continue;
    if (primary) {
      return Doubt(fmt::format("{} and {} both say that they are the primary", views[*primary].address.text(),
                               views[i].address.text()));
    }
    primary = i;
  }
  if (!primary) return Doubt("none of the nodes says that it is the primary; it must be named, too");
  return *primary;
}

// What forbids to restart one of several when this node is a replica of `primary`; empty when nothing does.
std::string DoubtOf(const NodeView& node, const NodeView& primary) {
  const std::string name = node.address.text();
  if (!node.link_up) return fmt::format("the link of {} to its primary {} is down", name, node.follows.text());
  const ListedReplica* listed = FindReplica(primary, node);
  if (listed == nullptr) {
    return fmt::format("the primary {} has no replica {}, which says that it follows {}", primary.address.text(), name,
                       node.follows.text());
  }
  if (!listed->online) return fmt::format("{} still takes the snapshot of its primary", name);
  return "";
}

}  // namespace

absl::StatusOr<NodeView> ParseView(const NodeAddress& address, std::vector<std::string> hosts, std::string_view info) {
  const Fields fields = Split(info, "\r\n", ':');
  const std::string_view role = Get(fields, "role");
  for (const std::string_view needed : {"run_id", "role", "master_repl_offset"}) {
    if (Get(fields, needed).empty()) return InvalidArgument("{}: INFO has no {}", address.text(), needed);
  }
  NodeView view{.address = address, .hosts = std::move(hosts), .run_id = std::string(Get(fields, "run_id"))};
  view.primary = role == "master";
  const std::string_view failover = Get(fields, "master_failover_state");
  view.failing_over = !failover.empty() && failover != "no-failover";
  view.follows = Address(fields, "master_host", "master_port");
  view.link_up = Get(fields, "master_link_status") == "up";
  view.end = Number(fields, "master_repl_offset");
  for (size_t i = 0;; ++i) {
    const std::string name = fmt::format("slave{}", i);
    if (Get(fields, name).empty()) break;
    const Fields replica = Split(Get(fields, name), ",", '=');
    view.replicas.push_back({.address = Address(replica, "ip", "port"),
                             .online = Get(replica, "state") == "online",
                             .offset = Number(replica, "offset")});
  }
  return view;
}

const ListedReplica* FindReplica(const NodeView& primary, const NodeView& node) {
  for (const ListedReplica& replica : primary.replicas) {
    if (IsOneOf(node, replica.address)) return &replica;
  }
  return nullptr;
}

absl::StatusOr<RollingPlan> PlanRollingRestart(const std::vector<NodeView>& views) {
  TM_RETURN_IF_ERROR(CheckDistinct(views));
  RollingPlan plan;
  TM_ASSIGN_OR_RETURN(plan.primary, OnlyPrimary(views));
  const NodeView& primary = views[plan.primary];
  if (primary.failing_over) return Doubt(fmt::format("{} is handing over", primary.address.text()));
  for (size_t i = 0; i < views.size(); ++i) {
    if (i == plan.primary) continue;
    if (std::string doubt = DoubtOf(views[i], primary); !doubt.empty()) return Doubt(std::move(doubt));
    plan.order.push_back(i);
  }
  if (plan.order.empty()) {
    return Doubt(fmt::format("{} cannot hand over: no replica of it is named", primary.address.text()));
  }
  plan.order.push_back(plan.primary);
  for (const ListedReplica& replica : primary.replicas) {
    const bool named = std::ranges::any_of(views, [&](const NodeView& view) { return IsOneOf(view, replica.address); });
    if (!named) plan.unnamed.push_back(replica.address);
  }
  return plan;
}

std::string MissingBelow(uint64_t end, const NodeView& primary, const std::vector<NodeView>& views) {
  for (const NodeView& view : views) {
    if (view.address.text() == primary.address.text()) continue;
    const ListedReplica* listed = FindReplica(primary, view);
    if (listed == nullptr) return fmt::format("{} has no replica {}", primary.address.text(), view.address.text());
    if (!listed->online) return fmt::format("{} takes a snapshot", view.address.text());
    if (listed->offset < end) {
      return fmt::format("{} is at offset {} and lacks {} bytes", view.address.text(), listed->offset,
                         end - listed->offset);
    }
  }
  return "";
}

const NodeView* MostAdvanced(const NodeView& primary, const std::vector<NodeView>& views) {
  const NodeView* best = nullptr;
  uint64_t offset = 0;
  for (const NodeView& view : views) {
    const ListedReplica* listed = FindReplica(primary, view);
    if (listed == nullptr || !listed->online || (best != nullptr && listed->offset <= offset)) continue;
    best = &view;
    offset = listed->offset;
  }
  return best;
}

}  // namespace tidemark::bin
