// Records out of the archive, in order and checked: what restore, verify, inspect and a replica that catches up read.
// Downloads and decodes ahead on `jobs` threads, within `memory` bytes (more only where a single object as stored, or a
// single record, is larger); hands records out on the caller's thread.
//
// Threads: a reader belongs to one thread at a time; destroying it waits for the downloads under way.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "archive/catalog.h"
#include "archive/codec.h"
#include "base/status.h"
#include "log/log.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

struct LogReaderOptions {
  int jobs = 4;
  uint64_t memory = 256ull << 20;
  std::shared_ptr<const KeyRing> keys = KeyRing::Empty();
  // Only objects of this cluster; all zero: whatever the archive says it is.
  format::Id128 cluster_id{};
  // Told stored and plain bytes as they arrive; from any thread.
  std::function<void(uint64_t stored, uint64_t plain)> on_bytes{};
};

class LogReader {
 public:
  virtual ~LogReader() = default;
  // Reads `stretches` one after the other from `from` (a record's LSN) on. `previous_crc`: CRC field of the record
  // before `from` where known (a base's manifest has it), so that the chain is checked from the first record on.
  // The store outlives the reader.
  static std::unique_ptr<LogReader> Open(objstore::ObjectStore& store, std::vector<Stretch> stretches, Lsn from,
                                         std::optional<uint32_t> previous_crc, const LogReaderOptions& options);
  // The next record; its views last until the next call. OUT_OF_RANGE at the end of the last stretch. DATA_LOSS names
  // the object that is damaged, foreign or breaks the chain; PERMISSION_DENIED the one whose key is missing. An object
  // that is gone (404) is looked for again by a new listing: a merged one may have taken its place; if nothing has,
  // NOT_FOUND names it. After an error every call returns it again.
  //
  // At the first record of a timeline that continues another, a CRC of 0 for the record before is taken for "not
  // known".
  virtual absl::StatusOr<log::Record> Next() = 0;
  // CRC field of the last record handed out.
  virtual uint32_t last_crc() const = 0;
};

}  // namespace tidemark::archive
