// What LOGBACKUP answers: statuses and outcomes as maps, whose fields have the names and units of backup/tasks.h.
// Times are microseconds since 1970, positions are LSNs, 0 where there is none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "archive/upkeep.h"
#include "backup/tasks.h"
#include "resp/writer.h"

namespace tidemark::commands {

void WriteTaskStatuses(const std::vector<backup::TaskStatus>& tasks, resp::Writer& out);
void WriteFlushOutcomes(const std::vector<backup::FlushOutcome>& outcomes, resp::Writer& out);
void WriteRetentionPlan(const archive::RetentionPlan& plan, bool dry_run, resp::Writer& out);

// "ok", "deadline_exceeded", …: what a program acts on, where the message is for people.
std::string_view CodeName(absl::StatusCode code);

}  // namespace tidemark::commands
