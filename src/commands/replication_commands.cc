// Replication as clients, Sentinel and replicas ask for it: whom to follow, what role, hand over, what the log is kept
// for. All it does is replication/replication.h; here are words and replies.
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "commands/client.h"
#include "commands/replication_state.h"
#include "commands/server.h"
#include "commands/server_families.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

using replication::Endpoint;
using replication::FailoverState;
using replication::LinkState;

// A status of the node as an error line for a client.
absl::Status ErrorLine(const absl::Status& status) {
  if (status.ok()) return status;
  const std::string_view text = Message(status);
  return text.starts_with("ERR ") ? InvalidArgument("{}", text) : InvalidArgument("ERR {}", text);
}

// It stands in INFO, in the configuration file and in addresses, one word a line.
bool IsHost(std::string_view host) {
  return !host.empty() && host.size() <= 255 &&
         std::all_of(host.begin(), host.end(), [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\''; });
}

absl::Status Follow(Context& ctx) {
  replication::Replication& replication = ctx.server.replication;
  const auto port = IntegerArg(ctx.args[2]);
  if (!port.ok() || *port < 0 || *port > 65535) return InvalidArgument("ERR Invalid master port");
  if (!IsHost(ctx.args[1])) return InvalidArgument("ERR Invalid master host");
  const Endpoint primary{std::string(ctx.args[1]), static_cast<uint16_t>(*port)};
  const auto link = replication.status().link;
  if (link && EqualsIgnoreCase(link->primary.host, primary.host) && link->primary.port == primary.port) {
    ctx.out.Simple("OK Already connected to specified master");
    return absl::OkStatus();
  }
  replication.Follow(primary);
  if (replication.role() == replication::Role::kPrimary) return InvalidArgument("ERR this server cannot be a replica");
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Replicaof(Context& ctx) {
  replication::Replication& replication = ctx.server.replication;
  if (replication.status().failover != FailoverState::kNone) {
    return InvalidArgument("ERR REPLICAOF not allowed while failing over.");
  }
  if (!EqualsIgnoreCase(ctx.args[1], "NO") || !EqualsIgnoreCase(ctx.args[2], "ONE")) return Follow(ctx);
  replication.Promote();
  ctx.out.Ok();
  return absl::OkStatus();
}

// A row of its own needs a handler of its own.
absl::Status Slaveof(Context& ctx) { return Replicaof(ctx); }

std::string_view StateName(LinkState state) {
  switch (state) {
    case LinkState::kConnect:
      return "connect";
    case LinkState::kConnecting:
      return "connecting";
    case LinkState::kSync:
      return "sync";
    case LinkState::kConnected:
      return "connected";
  }
  return "unknown";
}

absl::Status Role(Context& ctx) {
  const replication::Status status = ctx.server.replication.status();
  if (status.link) {
    ctx.out.Array(5);
    ctx.out.Bulk("slave");
    ctx.out.Bulk(status.link->primary.host);
    ctx.out.Integer(status.link->primary.port);
    ctx.out.Bulk(StateName(status.link->state));
    ctx.out.Integer(static_cast<int64_t>(status.end.value));
    return absl::OkStatus();
  }
  ctx.out.Array(3);
  ctx.out.Bulk("master");
  ctx.out.Integer(static_cast<int64_t>(status.end.value));
  ctx.out.Array(static_cast<size_t>(std::count_if(status.replicas.begin(), status.replicas.end(), IsOnline)));
  for (const replication::ReplicaStatus& replica : status.replicas) {
    if (!IsOnline(replica)) continue;
    ctx.out.Array(3);
    ctx.out.Bulk(replica.address.host);
    ctx.out.BulkInteger(replica.address.port);
    ctx.out.BulkInteger(static_cast<int64_t>(replica.acknowledged.written.value));
  }
  return absl::OkStatus();
}

absl::StatusOr<replication::FailoverRequest> ParseFailover(Args args) {
  replication::FailoverRequest request;
  for (size_t i = 1; i < args.size(); ++i) {
    if (EqualsIgnoreCase(args[i], "TIMEOUT") && i + 1 < args.size() && request.timeout.count() == 0) {
      TM_ASSIGN_OR_RETURN(const int64_t millis, IntegerArg(args[++i]));
      if (millis <= 0) return InvalidArgument("ERR FAILOVER timeout must be greater than 0");
      request.timeout = std::chrono::milliseconds(millis);
    } else if (EqualsIgnoreCase(args[i], "TO") && i + 2 < args.size() && !request.to) {
      TM_ASSIGN_OR_RETURN(const int64_t port, IntegerArg(args[i + 2]));
      // A port that cannot be is that of no replica.
      const bool possible = port > 0 && port <= 65535;
      request.to = Endpoint{std::string(args[i + 1]), static_cast<uint16_t>(possible ? port : 0)};
      i += 2;
    } else if (EqualsIgnoreCase(args[i], "FORCE") && !request.force) {
      request.force = true;
    } else {
      return SyntaxError();
    }
  }
  return request;
}

// In Redis's order, so that a request with two faults gets the same answer.
absl::Status CheckFailover(const replication::Status& status, const replication::FailoverRequest& request) {
  const auto& replicas = status.replicas;
  if (status.failover != FailoverState::kNone) return InvalidArgument("ERR FAILOVER already in progress.");
  if (status.link) return InvalidArgument("ERR FAILOVER is not valid when server is a replica.");
  if (std::none_of(replicas.begin(), replicas.end(), [](const auto& replica) { return replica.connected; })) {
    return InvalidArgument("ERR FAILOVER requires connected replicas.");
  }
  if (request.force && (request.timeout.count() == 0 || !request.to)) {
    return InvalidArgument("ERR FAILOVER with force option requires both a timeout and target HOST and IP.");
  }
  if (!request.to) return absl::OkStatus();
  const auto target = std::find_if(replicas.begin(), replicas.end(), [&](const auto& replica) {
    return replica.connected && EqualsIgnoreCase(replica.address.host, request.to->host) &&
           replica.address.port == request.to->port;
  });
  if (target == replicas.end()) return InvalidArgument("ERR FAILOVER target HOST and PORT is not a replica.");
  if (!IsOnline(*target)) return InvalidArgument("ERR FAILOVER target replica is not online.");
  return absl::OkStatus();
}

absl::Status Failover(Context& ctx) {
  replication::Replication& replication = ctx.server.replication;
  if (ctx.args.size() == 2 && EqualsIgnoreCase(ctx.args[1], "ABORT")) {
    if (replication.status().failover == FailoverState::kNone) return InvalidArgument("ERR No failover in progress.");
    TM_RETURN_IF_ERROR(ErrorLine(replication.AbortFailover()));
  } else {
    TM_ASSIGN_OR_RETURN(const replication::FailoverRequest request, ParseFailover(ctx.args));
    TM_RETURN_IF_ERROR(CheckFailover(replication.status(), request));
    TM_RETURN_IF_ERROR(ErrorLine(replication.Failover(request)));
  }
  ctx.out.Ok();
  return absl::OkStatus();
}

// What Redis's replicas send. Tidemark's ask only for the RPC port: everything else they say goes over that.
absl::Status Replconf(Context& ctx) {
  const Args args = ctx.args;
  if (args.size() == 2 && EqualsIgnoreCase(args[1], "rpc-port")) {
    ctx.out.Integer(ctx.server.rpc_port.load());
    return absl::OkStatus();
  }
  if (args.size() % 2 == 0) return SyntaxError();
  for (size_t i = 1; i < args.size(); i += 2) {
    const auto is = [option = args[i]](std::string_view name) { return EqualsIgnoreCase(option, name); };
    if (is("listening-port")) {
      TM_RETURN_IF_ERROR(IntegerArg(args[i + 1]).status());
    } else if (is("getack") || is("ack")) {
      // Without a reply, as in Redis; but EXEC has to count replies.
      if (!ctx.may_wait) ctx.out.Ok();
      return absl::OkStatus();
    } else if (!is("ip-address") && !is("capa") && !is("rdb-only") && !is("rdb-filter-only")) {
      return InvalidArgument("ERR Unrecognized REPLCONF option: {}", args[i].substr(0, 128));
    }
  }
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Leases(Context& ctx) {
  log::Log& log = ctx.server.engine.log();
  const std::vector<log::Lease> leases = log.Leases();
  const uint64_t now = Clock::System().WallMicros();
  const Lsn end = log.appended();
  ctx.out.Array(leases.size());
  for (const log::Lease& lease : leases) {
    ctx.out.Map(6);
    ctx.out.Bulk("name");
    ctx.out.Bulk(lease.name);
    ctx.out.Bulk("class");
    ctx.out.Bulk(ClassName(lease));
    ctx.out.Bulk("position");
    ctx.out.Integer(static_cast<int64_t>(lease.position.value));
    ctx.out.Bulk("bytes");
    ctx.out.Integer(static_cast<int64_t>(HeldBytes(lease, end)));
    ctx.out.Bulk("age");
    ctx.out.Integer(static_cast<int64_t>(AgeSeconds(lease, now)));
    ctx.out.Bulk("state");
    ctx.out.Bulk(lease.broken.empty() ? "held" : "broken: " + lease.broken);
  }
  return absl::OkStatus();
}

constexpr CommandSpec kCommands[] = {
    {.name = "failover",
     .arity = -1,
     .flags = kAdmin | kNoScript | kStale,
     .group = "server",
     .since = "6.2.0",
     .summary = "Hands the primary's role over to a replica.",
     .complexity = "O(1)",
     .syntax = "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
     .handler = Failover},
    {.name = "leases",
     .arity = 1,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server",
     .since = "7.0.0",
     .summary = "Tells for whom the log is kept: name, class, position, bytes held, age in seconds and state of each "
                "retention lease.",
     .complexity = "O(N) with N the number of leases",
     .syntax = "",
     .handler = Leases},
    {.name = "replconf",
     .arity = -1,
     .flags = kAdmin | kNoScript | kLoading | kStale | kAllowBusy,
     .group = "server",
     .since = "3.0.0",
     .summary = "What replicas tell and ask their primary over its Redis port.",
     .complexity = "O(1)",
     .syntax = "[option value ...]",
     .handler = Replconf},
    {.name = "replicaof",
     .arity = 3,
     .flags = kAdmin | kNoScript | kStale | kNoAsyncLoading,
     .group = "server",
     .since = "5.0.0",
     .summary = "Makes the server a replica, or a primary again.",
     .complexity = "O(1)",
     .syntax = "<host port | NO ONE>",
     .handler = Replicaof},
    {.name = "role",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast,
     .group = "server",
     .since = "2.8.12",
     .summary = "Tells the role of the server in replication.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = Role},
    {.name = "slaveof",
     .arity = 3,
     .flags = kAdmin | kNoScript | kStale | kNoAsyncLoading,
     .group = "server",
     .since = "1.0.0",
     .summary = "Older name of REPLICAOF.",
     .complexity = "O(1)",
     .syntax = "<host port | NO ONE>",
     .handler = Slaveof},
};

}  // namespace

std::span<const CommandSpec> ReplicationFamily() { return kCommands; }

}  // namespace tidemark::commands
