// INFO's section about the backup tasks: what could be lost, first of all.
#include "backup/tasks.h"
#include "commands/info_fields.h"
#include "commands/server.h"
#include "commands/server_families.h"

namespace tidemark::commands {

void WriteBackupSection(Server& server, std::string* out) {
  const std::vector<backup::TaskStatus> tasks = server.tasks.Status();
  uint64_t rpo_micros = 0;
  for (const backup::TaskStatus& task : tasks) rpo_micros = std::max(rpo_micros, task.rpo_micros);
  Field(out, "cluster_id", server.cluster_id);
  Field(out, "backup_tasks", tasks.size());
  // Of the task that is worst off; -1 where nothing is archived at all.
  if (tasks.empty()) {
    Field(out, "backup_rpo_ms", -1);
  } else {
    Field(out, "backup_rpo_ms", (rpo_micros + 999) / 1000);
  }
  size_t number = 0;
  for (const backup::TaskStatus& task : tasks) {
    fmt::format_to(std::back_inserter(*out),
                   "task{}:name={},state={},rpo_ms={},checkpoint={},checkpoint_time={},lag_bytes={},restorable={},"
                   "stalled={},flushes={},forced_flushes={},failures={},objects={},bytes_stored={}\r\n",
                   number++, task.config.name, backup::TaskStateName(task.state), (task.rpo_micros + 999) / 1000,
                   task.checkpoint.value, task.checkpoint_time.micros, task.lag_bytes, task.restorable ? 1 : 0,
                   task.stalled ? 1 : 0, task.flushes, task.forced_flushes, task.failures, task.objects,
                   task.bytes_stored);
  }
}

}  // namespace tidemark::commands
