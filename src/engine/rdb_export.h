// Everything that users have in a store, as an RDB file that Redis 7.0 loads, as of one LSN: the way back to Redis. It
// is made without stopping writes, in memory for a piece of it.
#pragma once

#include <cstdint>
#include <functional>

#include "base/status.h"
#include "base/types.h"
#include "engine/digest.h"
#include "engine/engine.h"
#include "format/rdb_writer.h"
#include "kv/persisted_view.h"

namespace tidemark::engine {

struct RdbExport {
  Lsn lsn;
  uint64_t keys = 0;
};

// `flush` gets the file piece by piece. What has expired and not been removed yet is in it, with its expiry: Redis
// leaves it out as it loads. UNIMPLEMENTED names a key that RDB cannot hold. `cancelled` as for a digest.
absl::StatusOr<RdbExport> WriteRdb(const kv::PersistedView& view, uint64_t now_seconds, const format::RdbFlush& flush,
                                   const Cancelled& cancelled);

// As of an LSN that is not before the call. Persists the store, then reads all of it from the disk: on a worker thread.
absl::StatusOr<RdbExport> WriteRdbNow(Engine& engine, uint64_t now_seconds, const format::RdbFlush& flush,
                                      const Cancelled& cancelled);

}  // namespace tidemark::engine
