#include "commands/backup_replies.h"

#include <chrono>

namespace tidemark::commands {
namespace {

// One map: its fields in the order in which they are added.
class MapReply {
 public:
  explicit MapReply(resp::Writer& out) : out_(out), length_(out.BeginDeferred(resp::Writer::Kind::kMap)) {}
  ~MapReply() { out_.EndDeferred(length_, fields_); }
  MapReply(const MapReply&) = delete;
  MapReply& operator=(const MapReply&) = delete;

  void Text(std::string_view name, std::string_view value) {
    Name(name);
    out_.Bulk(value);
  }
  void Number(std::string_view name, uint64_t value) {
    Name(name);
    out_.Integer(static_cast<int64_t>(value));
  }
  void Bool(std::string_view name, bool value) {
    Name(name);
    out_.Bool(value);
  }
  void Ratio(std::string_view name, double value) {
    Name(name);
    out_.Double(value);
  }

 private:
  void Name(std::string_view name) {
    out_.Bulk(name);
    ++fields_;
  }

  resp::Writer& out_;
  const resp::Writer::DeferredLength length_;
  size_t fields_ = 0;
};

void AddConfig(const backup::TaskConfig& config, MapReply* map) {
  map->Text("name", config.name);
  map->Text("storage", config.storage);
  map->Number("compression_level", static_cast<uint64_t>(config.compression_level));
  map->Text("key_file", config.key_file);
  map->Number("flush_interval_ms", static_cast<uint64_t>(config.flush_interval.count()));
  map->Number("flush_bytes", config.flush_bytes);
  map->Number("base_interval_s", static_cast<uint64_t>(config.base_interval.count()));
  map->Number("keep_s", static_cast<uint64_t>(config.keep.count()));
  map->Number("hold_bytes", config.hold_bytes);
  map->Number("hold_time_s", static_cast<uint64_t>(config.hold_time.count()));
  map->Number("rate_limit", config.rate_limit);
}

void AddState(const backup::TaskStatus& task, MapReply* map) {
  map->Text("state", backup::TaskStateName(task.state));
  map->Text("cause", task.cause);
  map->Bool("stalled", task.stalled);
  map->Number("timeline", task.timeline.value);
  map->Number("checkpoint", task.checkpoint.value);
  map->Number("checkpoint_time", task.checkpoint_time.micros);
  map->Number("log_end", task.log_end.value);
  map->Number("rpo_micros", task.rpo_micros);
  map->Number("lag_bytes", task.lag_bytes);
  map->Bool("restorable", task.restorable);
  map->Text("not_restorable", task.not_restorable);
  map->Bool("restorable_known", task.restorable_known);
  map->Number("restorable_from", task.restorable_from.micros);
  map->Number("last_base", task.last_base.micros);
  map->Ratio("base_progress", task.base_progress);
  map->Text("pause_message", task.pause_message);
  map->Number("paused_until_micros", task.paused_until_micros);
}

void AddCounts(const backup::TaskStatus& task, MapReply* map) {
  map->Number("flushes", task.flushes);
  map->Number("forced_flushes", task.forced_flushes);
  map->Number("failures", task.failures);
  map->Number("retries", task.retries);
  map->Number("objects", task.objects);
  map->Number("bytes_plain", task.bytes_plain);
  map->Number("bytes_stored", task.bytes_stored);
  map->Number("gaps", task.gaps);
  map->Number("merged_objects", task.merged_objects);
  map->Number("deleted_objects", task.deleted_objects);
  map->Number("last_flush_micros", task.last_flush_micros);
  map->Number("created_micros", task.created_micros);
  map->Bool("conditional_put", task.conditional_put);
}

}  // namespace

std::string_view CodeName(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return "ok";
    case absl::StatusCode::kDeadlineExceeded:
      return "deadline_exceeded";
    case absl::StatusCode::kFailedPrecondition:
      return "failed_precondition";
    case absl::StatusCode::kAborted:
      return "aborted";
    case absl::StatusCode::kCancelled:
      return "cancelled";
    case absl::StatusCode::kNotFound:
      return "not_found";
    case absl::StatusCode::kPermissionDenied:
      return "permission_denied";
    case absl::StatusCode::kUnavailable:
      return "unavailable";
    case absl::StatusCode::kResourceExhausted:
      return "resource_exhausted";
    case absl::StatusCode::kDataLoss:
      return "data_loss";
    default:
      return "error";
  }
}

void WriteTaskStatuses(const std::vector<backup::TaskStatus>& tasks, resp::Writer& out) {
  out.Array(tasks.size());
  for (const backup::TaskStatus& task : tasks) {
    MapReply map(out);
    AddConfig(task.config, &map);
    AddState(task, &map);
    AddCounts(task, &map);
  }
}

void WriteFlushOutcomes(const std::vector<backup::FlushOutcome>& outcomes, resp::Writer& out) {
  out.Array(outcomes.size());
  for (const backup::FlushOutcome& outcome : outcomes) {
    MapReply map(out);
    map.Text("task", outcome.task);
    map.Bool("success", outcome.success);
    map.Text("code", CodeName(outcome.error.code()));
    map.Text("error", Message(outcome.error));
    map.Number("target", outcome.target.value);
    map.Number("target_time", outcome.target_time.micros);
    map.Number("flushed", outcome.flushed.value);
    map.Number("flushed_time", outcome.flushed_time.micros);
    map.Number("rpo_micros", outcome.rpo_micros);
    map.Number("objects", outcome.objects);
    map.Number("bytes", outcome.bytes);
    map.Number("waited_micros", outcome.waited_micros);
    map.Bool("joined", outcome.joined);
    map.Bool("awaits_base", outcome.awaits_base);
  }
}

void WriteRetentionPlan(const archive::RetentionPlan& plan, bool dry_run, resp::Writer& out) {
  MapReply map(out);
  map.Bool("dry_run", dry_run);
  map.Number("bases", plan.bases.size());
  map.Number("log", plan.log.size());
  map.Number("files", plan.files.size());
  map.Number("bytes", plan.bytes);
  map.Number("oldest_restorable", plan.oldest_restorable.micros);
  map.Text("held_by", plan.held_by);
}

}  // namespace tidemark::commands
