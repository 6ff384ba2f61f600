// INFO replication: every field that Redis 7.0 has, by which Sentinel and monitoring go, then ours. Offsets are LSNs,
// the backlog is the log.
#include <algorithm>

#include "commands/info_fields.h"
#include "commands/replication_state.h"
#include "commands/server.h"
#include "commands/server_families.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

using replication::FailoverState;
using replication::LinkState;

uint64_t SecondsSince(uint64_t then_ms, uint64_t now_ms) { return now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0; }
// -1 for what never happened.
int64_t SecondsAgo(uint64_t then_ms, uint64_t now_ms) {
  return then_ms == 0 ? -1 : static_cast<int64_t>(SecondsSince(then_ms, now_ms));
}

void WriteSync(const replication::LinkStatus& link, uint64_t now_ms, std::string* out) {
  const uint64_t total = std::max(link.sync_bytes_total, link.sync_bytes_read);
  const double percent = total == 0 ? 0 : 100 * static_cast<double>(link.sync_bytes_read) / static_cast<double>(total);
  Field(out, "master_sync_total_bytes", total);
  Field(out, "master_sync_read_bytes", link.sync_bytes_read);
  Field(out, "master_sync_left_bytes", total - link.sync_bytes_read);
  Field(out, "master_sync_perc", fmt::format("{:.2f}", percent));
  Field(out, "master_sync_last_io_seconds_ago", SecondsAgo(link.sync_last_io_ms, now_ms));
}

void WriteLink(Server& server, const replication::LinkStatus& link, Lsn end, uint64_t now_ms, std::string* out) {
  const bool up = link.state == LinkState::kConnected;
  Field(out, "master_host", link.primary.host);
  Field(out, "master_port", link.primary.port);
  Field(out, "master_link_status", up ? "up" : "down");
  // As in Redis, there is such a time only while there is a link.
  Field(out, "master_last_io_seconds_ago",
        up || link.state == LinkState::kSync ? SecondsAgo(link.last_io_ms, now_ms) : -1);
  Field(out, "master_sync_in_progress", link.state == LinkState::kSync ? 1 : 0);
  Field(out, "slave_read_repl_offset", std::max(link.received, end).value);
  Field(out, "slave_repl_offset", end.value);
  if (link.state == LinkState::kSync) WriteSync(link, now_ms, out);
  if (!up) Field(out, "master_link_down_since_seconds", SecondsAgo(link.down_since_ms, now_ms));
  Field(out, "slave_priority", server.config.Integer("replica-priority"));
  Field(out, "slave_read_only", 1);
  Field(out, "replica_announced", server.config.Bool("replica-announced") ? 1 : 0);
}

void WriteReplicas(const replication::Status& status, uint64_t now_ms, std::string* out) {
  size_t number = 0;
  for (const replication::ReplicaStatus& replica : status.replicas) {
    if (!replica.connected) continue;
    fmt::format_to(std::back_inserter(*out), "slave{}:ip={},port={},state={},offset={},lag={}\r\n", number++,
                   replica.address.host, replica.address.port, replica.loading ? "send_bulk" : "online",
                   replica.acknowledged.written.value, replica.loading ? 0 : SecondsSince(replica.last_ack_ms, now_ms));
  }
}

std::string_view FailoverName(FailoverState state) {
  switch (state) {
    case FailoverState::kNone:
      return "no-failover";
    case FailoverState::kWaitForSync:
      return "waiting-for-sync";
    case FailoverState::kInProgress:
      return "failover-in-progress";
  }
  return "";
}

// The timeline that the node is on, and the one that it left last: to Redis, the two replication ids.
void WriteTimelines(const Server& server, const replication::Status& status, std::string* out) {
  const replication::History& history = status.history;
  const replication::TimelineStep now = history.empty() ? replication::TimelineStep{} : history.back();
  Field(out, "master_replid", ReplicationId(server.cluster_id, now));
  Field(out, "master_replid2",
        history.size() < 2 ? std::string(40, '0') : ReplicationId(server.cluster_id, history[history.size() - 2]));
  Field(out, "master_repl_offset", status.end.value);
  // The first offset that is not valid for it any more.
  Field(out, "second_repl_offset", history.size() < 2 ? -1 : static_cast<int64_t>(now.fork.value) + 1);
}

}  // namespace

void WriteReplicationSection(Server& server, std::string* out) {
  const replication::Status status = server.replication.status();
  const uint64_t now_ms = Clock::System().WallMicros() / 1000;
  const Lsn oldest = server.engine.log().oldest();
  const auto good_within = std::chrono::seconds(server.config.Integer("min-replicas-max-lag"));
  Field(out, "role", status.link ? "slave" : "master");
  if (status.link) WriteLink(server, *status.link, status.end, now_ms, out);
  Field(out, "connected_slaves",
        std::count_if(status.replicas.begin(), status.replicas.end(),
                      [](const replication::ReplicaStatus& replica) { return replica.connected; }));
  if (server.config.Integer("min-replicas-to-write") > 0 && good_within.count() > 0) {
    Field(out, "min_slaves_good_slaves", server.replication.ReplicasWithin(good_within));
  }
  WriteReplicas(status, now_ms, out);
  Field(out, "master_failover_state", FailoverName(status.failover));
  WriteTimelines(server, status, out);
  Field(out, "repl_backlog_active", 1);
  Field(out, "repl_backlog_size", server.engine.log().stats().bytes_on_disk);
  Field(out, "repl_backlog_first_byte_offset", oldest.value);
  Field(out, "repl_backlog_histlen", status.end > oldest ? status.end - oldest : 0);
  Field(out, "timeline", status.history.empty() ? 0 : status.history.back().timeline.value);
  if (status.link) Field(out, "master_link_problem", OneLine(status.link->problem));
}

}  // namespace tidemark::commands
