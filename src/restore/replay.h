// Applying the log to a store, as fast as it comes: what a restore and an inspection have in common.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "archive/log_reader.h"
#include "base/status.h"
#include "env/clock.h"
#include "kv/store.h"
#include "restore/restore.h"

namespace tidemark::restore {

// What is known of the last record below some LSN.
struct LastRecord {
  Lsn end;
  uint32_t crc = 0;
  bool crc_known = false;
  Timestamp timestamp;
  Timeline timeline;
};

struct ReplayOutcome {
  LastRecord last;
  uint64_t records = 0;
};

// How a store that is to be filled is opened: much of `memory` for what is not persisted yet, little for reading.
kv::StoreOptions FillingStore(std::string folder, uint64_t memory);
// Bytes of `memory` that the log reader may use beside such a store.
uint64_t ReaderMemory(uint64_t memory);

// Applies the records of the plan that the target covers, from where the store is on, and persists; on a thread of its
// own meanwhile. CANCELLED when progress->cancel is set; what was applied is persisted then too, unless something
// failed. A record is applied whole or not at all.
absl::StatusOr<ReplayOutcome> ReplayLog(kv::Store& store, objstore::ObjectStore& archive, const Plan& plan,
                                        const Target& target, const archive::LogReaderOptions& reader_options,
                                        Progress* progress);

}  // namespace tidemark::restore
