#include "commands/replication_state.h"

#include <algorithm>

#include "base/id.h"
#include "commands/primary_tasks.h"

namespace tidemark::commands {

std::string ReplicationId(std::string_view cluster_id, const replication::TimelineStep& timeline) {
  return fmt::format("{}{:0<8}", IdToHex(timeline.id), cluster_id.substr(0, 8));
}

bool IsOnline(const replication::ReplicaStatus& replica) { return replica.connected && !replica.loading; }

size_t CountAcknowledged(const replication::Status& status, Lsn target, bool durably) {
  const auto has = [&](const replication::ReplicaStatus& replica) {
    return IsOnline(replica) && (durably ? replica.acknowledged.durable : replica.acknowledged.written) >= target;
  };
  return static_cast<size_t>(std::count_if(status.replicas.begin(), status.replicas.end(), has));
}

uint64_t HeldBytes(const log::Lease& lease, Lsn end) {
  return lease.broken.empty() && end > lease.position ? end - lease.position : 0;
}

uint64_t AgeSeconds(const log::Lease& lease, uint64_t now_micros) {
  return now_micros > lease.touched_micros ? (now_micros - lease.touched_micros) / 1'000'000 : 0;
}

std::string_view ClassName(const log::Lease& lease) {
  return lease.lease_class == log::LeaseClass::kRequired ? "required" : "bounded";
}

absl::Status RefuseOnReplica(const replication::Replication& replication) {
  if (replication.role() == replication::Role::kPrimary) return absl::OkStatus();
  const replication::Status status = replication.status();
  if (!status.link) return absl::OkStatus();  // promoted since
  const replication::Endpoint& primary = status.link->primary;
  return Errorf(absl::StatusCode::kFailedPrecondition, "this server is a replica; ask its primary at {}:{}",
                primary.host, primary.port);
}

absl::Status OnlyOnPrimary(const Server& server) {
  const absl::Status refused = RefuseOnReplica(server.replication);
  return refused.ok() ? refused : InvalidArgument("ERR {}", Message(refused));
}

void RecordPrimary(Server& server) {
  const replication::Status status = server.replication.status();
  std::string primary;
  if (status.link) primary = fmt::format("{} {}", status.link->primary.host, status.link->primary.port);
  server.config.Record("replicaof", primary);
}

}  // namespace tidemark::commands
