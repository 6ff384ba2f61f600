// LOGBACKUP FLUSH and LOGBACKUP WAIT: the two that wait for an archive. Each starts what it waits for on the tasks' own
// threads and leaves the reply to their callback.
#pragma once

#include "backup/tasks.h"
#include "commands/command.h"
#include "config/config.h"

namespace tidemark::commands {

// What a caller asks for who names neither mode nor time-out: the configuration's. On every surface. Any thread.
backup::FlushRequest DefaultFlush(const config::Config& config);

absl::Status LogbackupFlush(Context& ctx);
absl::Status LogbackupWait(Context& ctx);

// A number of an option: from 0 to `max`. The error names the option and its unit.
absl::StatusOr<uint64_t> CountArg(std::string_view option, std::string_view unit, std::string_view word, uint64_t max);
absl::Status NoTask(std::string_view name);
// A status of the tasks as an error line for a client.
absl::Status ForClient(const absl::Status& status);

}  // namespace tidemark::commands
