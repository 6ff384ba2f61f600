#include "replication/astray.h"

#include <algorithm>
#include <chrono>
#include <memory>

namespace tidemark::replication {

absl::StatusOr<std::string> SaveAstray(FileSystem& fs, Clock& clock, log::Log& log, Lsn from, Lsn end,
                                       const std::string& folder) {
  TM_RETURN_IF_ERROR(log.SyncTo(end));
  from = std::max(from, log.oldest());
  if (from >= end) return std::string();
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<log::Cursor> cursor, log.OpenCursor(from));
  const std::string path = fmt::format("{}/torn-{:016x}-{}.bak", folder, from.value, clock.WallMicros());
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<File> out, fs.Open(path, FileSystem::Mode::kCreateNew));
  for (uint64_t at = 0; cursor->position() < end;) {
    TM_ASSIGN_OR_RETURN(const log::Record record, cursor->Next(std::chrono::milliseconds(0)));
    TM_RETURN_IF_ERROR(out->Write(at, record.raw));
    at += record.raw.size();
  }
  TM_RETURN_IF_ERROR(out->Sync());
  TM_RETURN_IF_ERROR(fs.SyncFolder(folder));
  return path;
}

}  // namespace tidemark::replication
