#include "rpc/backup_service.h"

#include <algorithm>

#include "rpc/checkpoint_stream.h"
#include "rpc/flush_call.h"

namespace tidemark::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

backup::TaskConfig ReadConfig(const v1::TaskConfig& in) {
  backup::TaskConfig out;
  out.name = in.name();
  out.storage = in.storage();
  out.key_file = in.key_file();
  out.keep = seconds(in.keep_seconds());
  out.hold_bytes = in.hold_bytes();
  out.hold_time = seconds(in.hold_seconds());
  out.rate_limit = in.rate_limit();
  if (in.has_compression_level()) out.compression_level = in.compression_level();
  if (in.flush_interval_ms() != 0) out.flush_interval = milliseconds(in.flush_interval_ms());
  if (in.flush_bytes() != 0) out.flush_bytes = in.flush_bytes();
  if (in.has_base_interval_seconds()) out.base_interval = seconds(in.base_interval_seconds());
  return out;
}

void WriteConfig(const backup::TaskConfig& in, v1::TaskConfig* out) {
  out->set_name(in.name);
  out->set_storage(in.storage);
  out->set_compression_level(in.compression_level);
  out->set_key_file(in.key_file);
  out->set_flush_interval_ms(static_cast<uint64_t>(in.flush_interval.count()));
  out->set_flush_bytes(in.flush_bytes);
  out->set_base_interval_seconds(static_cast<uint64_t>(in.base_interval.count()));
  out->set_keep_seconds(static_cast<uint64_t>(in.keep.count()));
  out->set_hold_bytes(in.hold_bytes);
  out->set_hold_seconds(static_cast<uint64_t>(in.hold_time.count()));
  out->set_rate_limit(in.rate_limit);
}

void WriteStatus(const backup::TaskStatus& in, v1::TaskStatus* out) {
  WriteConfig(in.config, out->mutable_config());
  out->set_state(std::string(backup::TaskStateName(in.state)));
  out->set_cause(in.cause);
  out->set_stalled(in.stalled);
  out->set_timeline(in.timeline.value);
  out->set_checkpoint_lsn(in.checkpoint.value);
  out->set_checkpoint_time(in.checkpoint_time.micros);
  out->set_log_end_lsn(in.log_end.value);
  out->set_rpo_micros(in.rpo_micros);
  out->set_lag_bytes(in.lag_bytes);
  out->set_restorable(in.restorable);
  out->set_not_restorable(in.not_restorable);
  out->set_restorable_from(in.restorable_from.micros);
  out->set_last_base(in.last_base.micros);
  out->set_base_progress(in.base_progress);
  out->set_flushes(in.flushes);
  out->set_forced_flushes(in.forced_flushes);
  out->set_failures(in.failures);
  out->set_objects(in.objects);
  out->set_bytes_plain(in.bytes_plain);
  out->set_bytes_stored(in.bytes_stored);
  out->set_gaps(in.gaps);
}

void WriteOutcome(const backup::FlushOutcome& in, v1::FlushResult* out) {
  out->set_task(in.task);
  out->set_success(in.success);
  if (!in.success) out->set_error(std::string(Message(in.error)));
  out->set_target_lsn(in.target.value);
  out->set_target_time(in.target_time.micros);
  out->set_flushed_lsn(in.flushed.value);
  out->set_flushed_time(in.flushed_time.micros);
  out->set_rpo_micros(in.rpo_micros);
  out->set_objects(in.objects);
  out->set_bytes(in.bytes);
  out->set_waited_micros(in.waited_micros);
  out->set_joined(in.joined);
}

backup::FlushMode ReadMode(v1::FlushMode mode) {
  switch (mode) {
    case v1::FLUSH_MODE_JOIN:
      return backup::FlushMode::kJoin;
    case v1::FLUSH_MODE_NOWAIT:
      return backup::FlushMode::kNowait;
    default:
      return backup::FlushMode::kWait;
  }
}

// The checkpoint that has moved least lately is the one a watcher wants to see: the oldest of all tasks.
v1::CheckpointEvent OldestCheckpoint(const std::vector<backup::TaskStatus>& tasks) {
  v1::CheckpointEvent event;
  const auto oldest = std::min_element(
      tasks.begin(), tasks.end(), [](const auto& a, const auto& b) { return a.checkpoint_time < b.checkpoint_time; });
  if (oldest == tasks.end()) return event;
  event.set_task(oldest->config.name);
  event.set_lsn(oldest->checkpoint.value);
  event.set_time(oldest->checkpoint_time.micros);
  return event;
}

}  // namespace

BackupService::Reactor* BackupService::Run(Context* context, std::function<absl::Status()> body) {
  Reactor* reactor = context->DefaultReactor();
  if (const grpc::Status status = Admit(services_, *context); !status.ok()) {
    reactor->Finish(status);
  } else {
    services_.run([reactor, body = std::move(body)] { reactor->Finish(ToGrpc(body())); });
  }
  return reactor;
}

BackupService::Reactor* BackupService::Start(Context* context, const v1::StartRequest* request,
                                             v1::StartResponse* /*response*/) {
  return Run(context, [this, request] { return services_.tasks.Start(ReadConfig(request->task())); });
}

BackupService::Reactor* BackupService::Stop(Context* context, const v1::StopRequest* request,
                                            v1::StopResponse* /*response*/) {
  return Run(context, [this, request] { return services_.tasks.Stop(request->name()); });
}

BackupService::Reactor* BackupService::Pause(Context* context, const v1::PauseRequest* request,
                                             v1::PauseResponse* /*response*/) {
  return Run(context, [this, request] {
    return services_.tasks.Pause(request->name(), request->message(), seconds(request->ttl_seconds()));
  });
}

BackupService::Reactor* BackupService::Resume(Context* context, const v1::ResumeRequest* request,
                                              v1::ResumeResponse* /*response*/) {
  return Run(context, [this, request] { return services_.tasks.Resume(request->name()); });
}

BackupService::Reactor* BackupService::Truncate(Context* context, const v1::TruncateRequest* request,
                                                v1::TruncateResponse* response) {
  return Run(context, [this, request, response]() -> absl::Status {
    TM_ASSIGN_OR_RETURN(const archive::RetentionPlan plan,
                        services_.tasks.Truncate(request->name(), Timestamp{request->until()}, request->dry_run()));
    for (const archive::BaseEntry& base : plan.bases) response->add_bases(base.key);
    response->set_log_objects(plan.log.size());
    response->set_files(plan.files.size());
    response->set_bytes(plan.bytes);
    response->set_oldest_restorable(plan.oldest_restorable.micros);
    return absl::OkStatus();
  });
}

BackupService::Reactor* BackupService::TakeBase(Context* context, const v1::TakeBaseRequest* request,
                                                v1::TakeBaseResponse* /*response*/) {
  return Run(context, [this, request] { return services_.tasks.TakeBase(request->name()); });
}

BackupService::Reactor* BackupService::Status(Context* context, const v1::StatusRequest* request,
                                              v1::StatusResponse* response) {
  return Run(context, [this, request, response]() -> absl::Status {
    for (const backup::TaskStatus& task : services_.tasks.Status()) {
      if (request->name().empty() || request->name() == task.config.name) WriteStatus(task, response->add_tasks());
    }
    if (!request->name().empty() && response->tasks().empty()) {
      return Errorf(absl::StatusCode::kNotFound, "there is no backup task '{}'", request->name());
    }
    return absl::OkStatus();
  });
}

BackupService::Reactor* BackupService::Flush(Context* context, const v1::FlushRequest* request,
                                             v1::FlushResponse* response) {
  if (const grpc::Status status = Admit(services_, *context); !status.ok()) {
    Reactor* reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }
  backup::FlushRequest flush;
  flush.tasks.assign(request->tasks().begin(), request->tasks().end());
  flush.mode = ReadMode(request->mode());
  flush.timeout = milliseconds(request->timeout_ms());
  flush.durable_only = request->durable_only();
  return new FlushCall(
      services_.tasks, flush,
      [response](const FlushCall::Outcomes& outcomes) {
        for (const backup::FlushOutcome& outcome : outcomes) WriteOutcome(outcome, response->add_results());
      },
      ToGrpc);
}

grpc::ServerWriteReactor<v1::CheckpointEvent>* BackupService::Subscribe(Context* context,
                                                                        const v1::SubscribeRequest* /*request*/) {
  if (const grpc::Status status = Admit(services_, *context); !status.ok()) {
    return new RefusedStream<v1::CheckpointEvent>(status);
  }
  return new CheckpointStream<v1::CheckpointEvent>(services_, OldestCheckpoint);
}

}  // namespace tidemark::rpc
