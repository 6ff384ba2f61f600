#include "log/peek.h"

#include "format/log_format.h"

namespace tidemark::log {

absl::StatusOr<RecordPeek> PeekRecord(Log& log, Lsn at) {
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<Cursor> cursor, log.OpenCursor(at, ReadLimit::kWritten));
  const absl::StatusOr<Record> record = cursor->Next(std::chrono::milliseconds(0));
  if (absl::IsDeadlineExceeded(record.status())) {
    return Errorf(absl::StatusCode::kNotFound, "nothing was written at LSN {}", at.value);
  }
  TM_RETURN_IF_ERROR(record.status());
  return RecordPeek{.timestamp = record->timestamp,
                    .timeline = record->timeline,
                    .previous_crc = format::DecodeRecordHeader(record->raw.data()).previous_crc};
}

}  // namespace tidemark::log
