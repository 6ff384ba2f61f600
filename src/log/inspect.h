// Looking into segment files, and the way on after damage: what `tidemark wal inspect` and `tidemark wal cut` do.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>

#include "base/status.h"
#include "env/clock.h"
#include "env/file.h"
#include "format/log_format.h"
#include "log/recovery.h"

namespace tidemark::log {

struct InspectedRecord {
  format::RecordHeader header;
  // The CRC of the record before is what this one says.
  bool follows = false;
  // Valid during the call only.
  std::string_view payload;
  std::string_view path;
  uint64_t file_offset = 0;
};

struct InspectOptions {
  // Records before it are walked but not shown.
  Lsn from;
  uint64_t limit = std::numeric_limits<uint64_t>::max();
};

struct InspectSummary {
  uint64_t records = 0;
  // Where the chain ends or breaks.
  Lsn end;
  // Bytes follow the end that nothing shows to have been durable: the server cuts them at its next start.
  std::string torn;
  // DATA_LOSS, naming file and offset, where there is damage.
  absl::Status verdict;
};

// Walks one segment file, a tail that was saved aside (torn-….bak), or all of a folder in order, and shows each whole
// record up to the first that is none. Changes nothing; a server may be running. Errors are of the file system, or of a
// name that is no segment's.
absl::StatusOr<InspectSummary> Inspect(FileSystem& fs, const std::string& path, const InspectOptions& options,
                                       const std::function<void(const InspectedRecord&)>& show);

// The entries of a payload in readable form, one a line. Says so where it is no write batch.
std::string DescribePayload(std::string_view payload);

// Makes the log in `folder` end at `at`: a record's LSN, the damaged place, or the end. What is removed is saved aside
// first. FAILED_PRECONDITION while a server has the log open, INVALID_ARGUMENT when no record begins there,
// OUT_OF_RANGE outside the log. `timeline`: that of the records that will follow; segments of later timelines go too,
// though they may begin at `at`.
absl::StatusOr<CutReport> Cut(FileSystem& fs, Clock& clock, const std::string& folder, Lsn at,
                              std::optional<Timeline> timeline = {});

}  // namespace tidemark::log
