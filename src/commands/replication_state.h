// What ROLE, INFO, WAIT and the metrics make of a node's replication::Status: one reading of it for all of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/types.h"
#include "commands/server.h"
#include "log/log.h"
#include "replication/replication.h"

namespace tidemark::commands {

// 40 hexadecimal digits for Redis's replication id: the timeline's own id and the beginning of the cluster's. A
// promotion begins a timeline, as it makes a new replication id in Redis.
std::string ReplicationId(std::string_view cluster_id, const replication::TimelineStep& timeline);

// Connected, and past its full sync: what Redis calls online.
bool IsOnline(const replication::ReplicaStatus& replica);
// How many replicas that are online have said that they have everything before `target`, or have it on disk.
size_t CountAcknowledged(const replication::Status& status, Lsn target, bool durably);

// What a lease keeps of the log that ends at `end`, in bytes; a broken one keeps nothing.
uint64_t HeldBytes(const log::Lease& lease, Lsn end);
// Seconds since it was taken or raised.
uint64_t AgeSeconds(const log::Lease& lease, uint64_t now_micros);
std::string_view ClassName(const log::Lease& lease);

// For commands that only a primary can do: on a replica, an error that names the primary. Any thread.
absl::Status OnlyOnPrimary(const Server& server);

// Makes the configuration say whom the node follows now, by whatever means it came to do so.
void RecordPrimary(Server& server);

}  // namespace tidemark::commands
