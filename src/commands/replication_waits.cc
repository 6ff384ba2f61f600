// WAIT and WAITAOF: until replicas have what this connection wrote. A replica gets only what is durable here, so both
// make the log sync at once, whatever the durability configured.
#include <chrono>
#include <limits>
#include <memory>
#include <utility>

#include "commands/client.h"
#include "commands/deferred.h"
#include "commands/replication_state.h"
#include "commands/server.h"
#include "commands/server_families.h"
#include "commands/spec.h"

namespace tidemark::commands {
namespace {

struct Wanted {
  Lsn target;
  size_t replicas = 0;
  bool durably = false;
  bool local = false;
  std::chrono::milliseconds timeout{0};
};
using Encode = std::string (*)(const replication::Replication::Waited& waited);

absl::StatusOr<std::chrono::milliseconds> TimeoutArg(std::string_view word) {
  const auto timeout = IntegerArg(word);
  if (!timeout.ok()) return InvalidArgument("ERR timeout is not an integer or out of range");
  if (*timeout < 0) return InvalidArgument("ERR timeout is negative");
  if (*timeout > std::numeric_limits<int64_t>::max() / 1'000'000) return InvalidArgument("ERR timeout is out of range");
  return std::chrono::milliseconds(*timeout);
}

replication::Replication::Waited Now(Server& server, const Wanted& wanted) {
  return {.replicas = CountAcknowledged(server.replication.status(), wanted.target, wanted.durably),
          .local = server.engine.log().durable() >= wanted.target};
}

absl::Status WaitFor(Context& ctx, const Wanted& wanted, Encode encode) {
  Server& server = ctx.server;
  const replication::Replication::Waited now = Now(server, wanted);
  if (!ctx.may_wait || (now.replicas >= wanted.replicas && (now.local || !wanted.local))) {
    ctx.out.Raw(encode(now));
    return absl::OkStatus();
  }
  // The write may have come in this same turn, which has not handed it to the system yet.
  server.engine.EndTurn();
  server.engine.log().RequestSync(wanted.target);
  const auto deferred = std::make_shared<Deferred>();
  const uint64_t id = server.replication.Wait(
      wanted.target, wanted.replicas, wanted.durably, wanted.local, wanted.timeout,
      [deferred, encode](const replication::Replication::Waited& waited) { deferred->Answer(encode(waited)); });
  deferred->OnCancel([&server, id] { server.replication.CancelWait(id); });
  deferred->OnTimeout([&server, wanted, encode] { return encode(Now(server, wanted)); });
  ctx.client.deferred = deferred;
  return absl::OkStatus();
}

absl::Status Wait(Context& ctx) {
  if (ctx.server.replication.role() == replication::Role::kReplica) {
    return InvalidArgument(
        "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is "
        "configured to be writable (which is not the default) writes to replicas are just local and are not "
        "propagated.");
  }
  TM_ASSIGN_OR_RETURN(const int64_t replicas, IntegerArg(ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const std::chrono::milliseconds timeout, TimeoutArg(ctx.args[2]));
  const Wanted wanted{.target = ctx.client.last_write_end,
                      .replicas = static_cast<size_t>(std::max<int64_t>(replicas, 0)),
                      .timeout = timeout};
  return WaitFor(ctx, wanted, [](const auto& waited) { return fmt::format(":{}\r\n", waited.replicas); });
}

absl::Status Waitaof(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const int64_t local, IntegerArg(ctx.args[1]));
  if (local < 0 || local > 1) return InvalidArgument("ERR value is out of range, value must between 0 and 1");
  const auto replicas = IntegerArg(ctx.args[2]);
  if (!replicas.ok() || *replicas < 0) return InvalidArgument("ERR value is out of range, must be positive");
  TM_ASSIGN_OR_RETURN(const std::chrono::milliseconds timeout, TimeoutArg(ctx.args[3]));
  if (ctx.server.replication.role() == replication::Role::kReplica) {
    return InvalidArgument(
        "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local "
        "and are not propagated.");
  }
  const Wanted wanted{.target = ctx.client.last_write_end,
                      .replicas = static_cast<size_t>(*replicas),
                      .durably = true,
                      .local = local == 1,
                      .timeout = timeout};
  return WaitFor(ctx, wanted, [](const auto& waited) {
    return fmt::format("*2\r\n:{}\r\n:{}\r\n", waited.local ? 1 : 0, waited.replicas);
  });
}

constexpr CommandSpec kCommands[] = {
    MakeSpec("generic", "wait", 3, kNoScript, kNoKeys, "", "3.0.0", Wait, "numreplicas timeout", "O(1)",
             "Waits until replicas have what this connection wrote."),
    MakeSpec("generic", "waitaof", 4, kNoScript, kNoKeys, "", "7.2.0", Waitaof, "numlocal numreplicas timeout", "O(1)",
             "Waits until what this connection wrote is on this server's disk, and on those of replicas."),
};

}  // namespace

std::span<const CommandSpec> ReplicationWaits() { return kCommands; }

}  // namespace tidemark::commands
