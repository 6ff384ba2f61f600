// Finding the end of a log after a stop of any kind, and cutting it there. Looking and changing are apart, since
// `wal inspect` looks only.
//
// The rule (docs/formats/log.md, "Recovery"): where the chain of whole records breaks at LSN x, anything that shows a
// durable LSN above x — a record before or after x, a segment header, the leases file — makes it damage; with no such
// evidence it is a torn tail, which a power failure may leave and which nobody was told to be durable.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "env/file.h"
#include "format/log_format.h"

namespace tidemark::log {

struct FoundSegment {
  std::string path;
  format::SegmentId id;
};

// The segment files of a folder in the order of their positions.
absl::StatusOr<std::vector<FoundSegment>> ListSegments(FileSystem& fs, const std::string& folder);

struct EndOfLog {
  // Oldest first. Empty: a new log.
  std::vector<FoundSegment> segments;
  // The first segment whose records were walked; all before it is known to be durable.
  size_t first_walked = 0;
  // Where the log ends, in segments[index]; `index` == segments.size() when not even the first header is whole.
  size_t index = 0;
  Lsn end = format::kFirstLsn;
  Timeline timeline = format::kFirstTimeline;
  uint32_t last_crc = 0;
  Timestamp last_timestamp;
  // Bytes or segments follow the end and have to be cut; why the record there is none.
  bool torn = false;
  std::string torn_cause;
};

// Looks for the end; changes nothing. `known_durable`: from the leases file. `own`: the records were written here, so
// the durable LSNs in them count as evidence. DATA_LOSS for damage, naming file, byte offset and the way on.
absl::StatusOr<EndOfLog> FindEnd(FileSystem& fs, const std::string& folder, Lsn known_durable, bool own = true);
// The same over segments named by the caller, at least one; `folder` is for messages.
absl::StatusOr<EndOfLog> JudgeEnd(FileSystem& fs, const std::string& folder, std::vector<FoundSegment> segments,
                                  Lsn known_durable);

struct CutReport {
  // Bytes of records removed, not counting zeros after the last of them, and the first file they were saved to.
  uint64_t bytes = 0;
  std::string saved_to;
};

// Saves what stands at and after `at` aside (`torn-<lsn>-<micros>.bak`, one for each segment touched), then makes the
// log end at `at` in segments[index]: later segments removed, the rest of this one zeroed, all synced. A crash on the
// way leaves a log on which the same call does the rest.
absl::StatusOr<CutReport> CutLog(FileSystem& fs, const std::string& folder, const std::vector<FoundSegment>& segments,
                                 size_t index, Lsn at, uint64_t now_micros);

}  // namespace tidemark::log
