// What a node wrote on its own, beyond what it has in common with its new primary, kept for people when its log goes.
#pragma once

#include <string>

#include "env/clock.h"
#include "env/file.h"
#include "log/log.h"

namespace tidemark::replication {

// Saves the records of `log` from `from` to `end` (both LSNs of records, or the end), as far as the log still has them,
// as folder/torn-<lsn>-<micros>.bak, durably: the bytes of the records, as log::Cut saves them. Returns the file's
// path; empty when there is nothing. Blocks.
absl::StatusOr<std::string> SaveAstray(FileSystem& fs, Clock& clock, log::Log& log, Lsn from, Lsn end,
                                       const std::string& folder);

}  // namespace tidemark::replication
