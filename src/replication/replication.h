// Replication of one node, as everything above sees it: REPLICAOF, ROLE, INFO, WAIT, the metrics and a clean stop all
// use this interface.
//
// Threads: every method from any thread, none blocks. Callbacks run on a thread of the node and must be quick and not
// call back in.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "replication/wire.h"

namespace tidemark::replication {

enum class Role : uint8_t { kPrimary, kReplica };

// A replica's link to its primary, with Redis's words in INFO and ROLE.
enum class LinkState : uint8_t {
  kConnect,     // about to connect, or to try again
  kConnecting,  // on the way
  kSync,        // a snapshot or a piece of the archive is on its way
  kConnected,   // the log streams
};

struct LinkStatus {
  Endpoint primary;
  LinkState state = LinkState::kConnect;
  std::string problem;         // why the last attempt failed; empty when none did
  uint64_t down_since_ms = 0;  // wall clock; 0 while connected
  uint64_t last_io_ms = 0;     // wall clock of the last message
  Lsn received;                // end of what came
  Lsn primary_end;             // end of the primary's log when it last said
  uint64_t sync_bytes_total = 0;
  uint64_t sync_bytes_read = 0;
  uint64_t sync_last_io_ms = 0;
};

// A replica that this node serves, or has served and still holds a lease for.
struct ReplicaStatus {
  std::string id;
  Endpoint address;
  bool connected = false;
  bool loading = false;  // takes a snapshot
  Ack acknowledged;
  uint64_t last_ack_ms = 0;  // wall clock
};

struct Counters {
  uint64_t full_syncs = 0;     // snapshots that replicas began to take
  uint64_t partial_syncs = 0;  // replicas that went on where they were
  uint64_t archive_catch_ups = 0;
  // Replicas that needed a second full sync within ten minutes: the alarm for the loop that must not be.
  uint64_t repeated_full_syncs = 0;
  uint64_t snapshot_bytes_sent = 0;
};

enum class FailoverState : uint8_t { kNone, kWaitForSync, kInProgress };

struct Status {
  Role role = Role::kPrimary;
  std::string node_id;
  History history;
  Lsn end;                         // of the own log
  std::optional<LinkStatus> link;  // of a replica
  std::vector<ReplicaStatus> replicas;
  Counters counters;
  FailoverState failover = FailoverState::kNone;
};

struct FailoverRequest {
  std::optional<Endpoint> to;            // none: the replica that is first to have everything
  std::chrono::milliseconds timeout{0};  // 0: none
  bool force = false;  // hand over when the time is out though the replica lacks something; needs `to`
};

class Replication {
 public:
  virtual ~Replication() = default;

  virtual Role role() const = 0;
  // Writes wait: a promotion or a hand-over is under way. Tried again as under CLIENT PAUSE WRITE.
  virtual bool writes_held() const = 0;
  virtual Status status() const = 0;
  // The state of the link alone, without a lock: asked by each read when replica-serve-stale-data is no.
  virtual bool link_up() const = 0;

  // Becomes, or stays, a replica of `primary`. What the own log has beyond the primary's is saved aside and cut; the
  // data of another cluster go once the primary's are here. Takes effect for writes before it returns.
  virtual void Follow(const Endpoint& primary) = 0;
  // Becomes the primary, on a timeline of its own; nothing to do for one that is. Reads and writes wait no longer than
  // the promotion takes.
  virtual void Promote() = 0;

  // How many replicas are connected, not loading, and have answered within `lag`.
  virtual size_t ReplicasWithin(std::chrono::seconds lag) const = 0;

  struct Waited {
    size_t replicas = 0;
    bool local = false;  // this node's log is durable up to the target
  };
  // Calls `done` once `replicas` replicas have acknowledged `target` (durably: as durable), and with `local` the own
  // log is durable up to there, or when the time is over (0: never), or when this node becomes a replica. Perhaps
  // before returning. Returns an id for CancelWait.
  virtual uint64_t Wait(Lsn target, size_t replicas, bool durably, bool local, std::chrono::milliseconds timeout,
                        std::function<void(const Waited&)> done) = 0;
  // `done` will not be called any more.
  virtual void CancelWait(uint64_t id) = 0;

  // Begins a hand-over: writes wait until it has ended. FAILED_PRECONDITION when one is under way, when there is no
  // such replica, or on a replica; the message is whole, in Redis's words.
  virtual absl::Status Failover(const FailoverRequest& request) = 0;
  // FAILED_PRECONDITION when none is under way.
  virtual absl::Status AbortFailover() = 0;
};

}  // namespace tidemark::replication
