// A backup task as it is kept: the system row "task/NAME", JSON. It travels with the log, so replicas, snapshots and
// restored stores have it; the cluster's id in it tells a restored store that the task is not its own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backup/tasks.h"
#include "base/id.h"
#include "base/status.h"
#include "engine/engine.h"

namespace tidemark::backup {

struct TaskRow {
  TaskConfig config{};
  Id128 cluster_id{};
  uint64_t created_micros = 0;
  bool paused = false;
  std::string pause_message{};
  uint64_t paused_until_micros = 0;  // wall clock; 0: until resumed
};

// INVALID_ARGUMENT says which field is wrong and what it may be.
absl::Status CheckConfig(const TaskConfig& config);

std::string EncodeTaskRow(const TaskRow& row);
// DATA_LOSS when malformed. Fields that are missing have their defaults.
absl::StatusOr<TaskRow> DecodeTaskRow(std::string_view json);

// The name of the task's lease on the log.
inline constexpr std::string_view kLeasePrefix = "archive:";
std::string LeaseName(std::string_view task);

// Rows in the store. Block; not on an I/O thread. A write is durable when it returns. What is wrong with rows that
// cannot be read goes to `damaged`.
absl::StatusOr<std::vector<TaskRow>> ReadTaskRows(engine::Engine& engine, std::vector<std::string>* damaged);
absl::Status WriteTaskRow(engine::Engine& engine, const TaskRow& row);
absl::Status DeleteTaskRow(engine::Engine& engine, std::string_view name);

}  // namespace tidemark::backup
