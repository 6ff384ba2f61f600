#include "backup/task_row.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/mutex.h"
#include "types/rows.h"

namespace tidemark::backup {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kPrefix = "task/";
constexpr size_t kNameMax = 64;
constexpr uint64_t kSmallestObject = 4096;
constexpr uint64_t kLargestObject = 1ull << 30;
// The store catches up with what was written within seconds; whoever starts a task can wait for that.
constexpr std::chrono::seconds kStallPatience{30};
constexpr std::chrono::milliseconds kStallRetry{20};

std::string RowName(std::string_view task) { return fmt::format("{}{}", kPrefix, task); }

bool IsNameCharacter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// Commits `body`, waiting out the moments in which the store has to catch up, and syncs.
absl::Status Commit(engine::Engine& engine, engine::TxnFunction body) {
  const auto give_up = std::chrono::steady_clock::now() + kStallPatience;
  absl::Status status = engine.Write(kv::Tier::kDisk, /*growing=*/false, body);
  Mutex mutex;
  CondVar never;
  while (engine::IsStalled(status) && std::chrono::steady_clock::now() < give_up) {
    {
      const MutexLock lock(mutex);
      never.WaitUntil(mutex, std::chrono::steady_clock::now() + kStallRetry);
    }
    status = engine.Write(kv::Tier::kDisk, /*growing=*/false, body);
  }
  TM_RETURN_IF_ERROR(status);
  engine.EndTurn();
  return engine.log().SyncTo(engine.last_end());
}

}  // namespace

absl::Status CheckConfig(const TaskConfig& config) {
  if (config.name.empty() || config.name.size() > kNameMax ||
      !std::all_of(config.name.begin(), config.name.end(), IsNameCharacter)) {
    return InvalidArgument("a task's name has 1 to {} characters of 0-9, a-z, A-Z and _", kNameMax);
  }
  if (config.storage.empty()) return InvalidArgument("task {}: no storage given", config.name);
  // A server that is started from another folder would look for it there.
  if (!config.key_file.empty() && !config.key_file.starts_with('/')) {
    return InvalidArgument("task {}: the key file '{}' needs its whole path, from / on, on the server's machine",
                           config.name, config.key_file);
  }
  if (config.compression_level < 0 || config.compression_level > 19) {
    return InvalidArgument("task {}: compression level {}, it can be 0 (none) to 19", config.name,
                           config.compression_level);
  }
  if (config.flush_interval < std::chrono::milliseconds(10) || config.flush_interval > std::chrono::hours(24)) {
    return InvalidArgument("task {}: flush interval {} ms, it can be 10 ms to a day", config.name,
                           config.flush_interval.count());
  }
  if (config.flush_bytes < kSmallestObject || config.flush_bytes > kLargestObject) {
    return InvalidArgument("task {}: objects of {} bytes, they can have {} to {}", config.name, config.flush_bytes,
                           kSmallestObject, kLargestObject);
  }
  if (config.base_interval.count() < 0 || config.keep.count() < 0 || config.hold_time.count() < 0) {
    return InvalidArgument("task {}: times can't be negative", config.name);
  }
  return absl::OkStatus();
}

std::string EncodeTaskRow(const TaskRow& row) {
  const TaskConfig& config = row.config;
  return Json{{"version", 1},
              {"name", config.name},
              {"storage", config.storage},
              {"compression_level", config.compression_level},
              {"key_file", config.key_file},
              {"flush_interval_ms", config.flush_interval.count()},
              {"flush_bytes", config.flush_bytes},
              {"base_interval_s", config.base_interval.count()},
              {"keep_s", config.keep.count()},
              {"hold_bytes", config.hold_bytes},
              {"hold_time_s", config.hold_time.count()},
              {"rate_limit", config.rate_limit},
              {"cluster_id", IdToHex(row.cluster_id)},
              {"created_micros", row.created_micros},
              {"paused", row.paused},
              {"pause_message", row.pause_message},
              {"paused_until_micros", row.paused_until_micros}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<TaskRow> DecodeTaskRow(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (!parsed.is_object()) return Errorf(absl::StatusCode::kDataLoss, "the row of a backup task is damaged");
  TaskRow row;
  TaskConfig& config = row.config;
  try {
    config.name = parsed.at("name").get<std::string>();
    config.storage = parsed.at("storage").get<std::string>();
    config.compression_level = parsed.value("compression_level", config.compression_level);
    config.key_file = parsed.value("key_file", config.key_file);
    config.flush_interval =
        std::chrono::milliseconds(parsed.value("flush_interval_ms", int64_t{config.flush_interval.count()}));
    config.flush_bytes = parsed.value("flush_bytes", config.flush_bytes);
    config.base_interval = std::chrono::seconds(parsed.value("base_interval_s", int64_t{config.base_interval.count()}));
    config.keep = std::chrono::seconds(parsed.value("keep_s", int64_t{0}));
    config.hold_bytes = parsed.value("hold_bytes", uint64_t{0});
    config.hold_time = std::chrono::seconds(parsed.value("hold_time_s", int64_t{0}));
    config.rate_limit = parsed.value("rate_limit", uint64_t{0});
    row.cluster_id = IdFromHex(parsed.at("cluster_id").get<std::string>()).value_or(Id128{});
    row.created_micros = parsed.value("created_micros", uint64_t{0});
    row.paused = parsed.value("paused", false);
    row.pause_message = parsed.value("pause_message", std::string());
    row.paused_until_micros = parsed.value("paused_until_micros", uint64_t{0});
  } catch (const Json::exception& error) {
    return Errorf(absl::StatusCode::kDataLoss, "the row of a backup task is damaged: {}", error.what());
  }
  return row;
}

std::string LeaseName(std::string_view task) { return fmt::format("{}{}", kLeasePrefix, task); }

absl::StatusOr<std::vector<TaskRow>> ReadTaskRows(engine::Engine& engine, std::vector<std::string>* damaged) {
  std::vector<std::string> values;
  const types::RowKey begin = types::SystemRow(kPrefix);
  TM_RETURN_IF_ERROR(engine.Read(kv::Tier::kDisk, [&](kv::Txn& txn) {
    values.clear();
    return txn.Scan(begin.view(), begin.PrefixEnd().view(), SIZE_MAX, [&](std::string_view, const kv::Value& value) {
      values.emplace_back(value.view());
      return true;
    });
  }));
  std::vector<TaskRow> rows;
  for (const std::string& value : values) {
    absl::StatusOr<TaskRow> row = DecodeTaskRow(value);
    if (row.ok()) {
      rows.push_back(*std::move(row));
    } else {
      damaged->emplace_back(Message(row.status()));
    }
  }
  return rows;
}

absl::Status WriteTaskRow(engine::Engine& engine, const TaskRow& row) {
  return Commit(engine, [&](kv::Txn& txn) {
    txn.Put(types::SystemRow(RowName(row.config.name)).view(), EncodeTaskRow(row));
    return absl::OkStatus();
  });
}

absl::Status DeleteTaskRow(engine::Engine& engine, std::string_view name) {
  return Commit(engine, [&](kv::Txn& txn) {
    txn.Delete(types::SystemRow(RowName(name)).view());
    return absl::OkStatus();
  });
}

}  // namespace tidemark::backup
