// A look at one record: what snapshots and replicas need to be joined to the log that goes on from them.
#pragma once

#include "base/status.h"
#include "base/types.h"
#include "log/log.h"

namespace tidemark::log {

struct RecordPeek {
  Timestamp timestamp;
  Timeline timeline;
  uint32_t previous_crc = 0;  // CRC field of the record before
};
// The record that begins at `at`, durable or not. NOT_FOUND while nothing was written there; else as OpenCursor.
absl::StatusOr<RecordPeek> PeekRecord(Log& log, Lsn at);

}  // namespace tidemark::log
