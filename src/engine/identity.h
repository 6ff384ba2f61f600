// Who this server's data are: the cluster and the timeline, as a row. So every replica, snapshot and restored store
// knows them, and a restore gives new ones by a record like any other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "base/types.h"
#include "engine/engine.h"
#include "kv/txn.h"

namespace tidemark::engine {

// A timeline before the present one: its number, random id, and where it left the one before it.
struct Ancestor {
  Timeline timeline;
  Id128 id{};
  Lsn fork;
};

struct Identity {
  Id128 cluster_id{};
  // Of the timeline that the log is on: its number, random id, and where it left its parent (0: none).
  Timeline timeline;
  Id128 timeline_id{};
  Timeline parent;
  Lsn fork;
  Timestamp fork_timestamp;
  uint64_t created_micros = 0;
  std::string reason;  // "created", "restore to …", "promotion"
  // The timelines that led here, oldest first; a restored cluster knows none.
  std::vector<Ancestor> ancestors{};
};

std::string EncodeIdentity(const Identity& identity);
// DATA_LOSS when malformed.
absl::StatusOr<Identity> DecodeIdentity(std::string_view json);

// Within a transaction. nullopt when the store has none yet.
absl::StatusOr<std::optional<Identity>> ReadIdentity(kv::Txn& txn);
void WriteIdentity(kv::Txn& txn, const Identity& identity);

// The same cluster on timeline `number` with a random id, which leaves that of `now` at `fork`.
Identity NextTimeline(const Identity& now, Timeline number, Lsn fork, Timestamp fork_timestamp, uint64_t created_micros,
                      std::string reason);

// The identity, made (random, one record) if there is none yet. Blocks; not on an I/O thread.
absl::StatusOr<Identity> EnsureIdentity(Engine& engine, Clock& clock);

}  // namespace tidemark::engine
