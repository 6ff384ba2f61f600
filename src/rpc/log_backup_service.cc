#include "rpc/log_backup_service.h"

#include <algorithm>

#include "rpc/checkpoint_stream.h"
#include "rpc/flush_call.h"

namespace tidemark::rpc {
namespace {

constexpr uint64_t kRegion = 1;

// Rounded down: a checkpoint must not promise more than is there.
uint64_t Tso(Timestamp time) { return time.millis() << 18; }

// The lowest of all tasks; 0 without one.
uint64_t Checkpoint(const std::vector<backup::TaskStatus>& tasks) {
  const auto lowest = std::min_element(
      tasks.begin(), tasks.end(), [](const auto& a, const auto& b) { return a.checkpoint_time < b.checkpoint_time; });
  return lowest == tasks.end() ? 0 : Tso(lowest->checkpoint_time);
}

void Fill(const backup::FlushOutcome& outcome, logbackup::FlushResult* out) {
  out->set_task_name(outcome.task);
  out->set_success(outcome.success);
  if (!outcome.success) out->set_error_message(std::string(Message(outcome.error)));
  out->set_target_lsn(outcome.target.value);
  out->set_flushed_lsn(outcome.flushed.value);
  out->set_flushed_time(outcome.flushed_time.micros);
  out->set_rpo_micros(outcome.rpo_micros);
  out->set_objects(outcome.objects);
  out->set_bytes(outcome.bytes);
  out->set_waited_micros(outcome.waited_micros);
  out->set_joined(outcome.joined);
}

}  // namespace

grpc::ServerUnaryReactor* LogBackupService::FlushNow(grpc::CallbackServerContext* context,
                                                     const logbackup::FlushNowRequest* /*request*/,
                                                     logbackup::FlushNowResponse* response) {
  if (const grpc::Status status = Admit(services_, *context); !status.ok()) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }
  return new FlushCall(
      services_.tasks, services_.default_flush(),
      [response](const FlushCall::Outcomes& outcomes) {
        for (const backup::FlushOutcome& outcome : outcomes) Fill(outcome, response->add_results());
      },
      // As TiKV answers without a task: no results, and no error.
      [](const absl::Status& error) { return absl::IsNotFound(error) ? grpc::Status::OK : ToGrpc(error); });
}

grpc::ServerUnaryReactor* LogBackupService::GetLastFlushTSOfRegion(
    grpc::CallbackServerContext* context, const logbackup::GetLastFlushTSOfRegionRequest* request,
    logbackup::GetLastFlushTSOfRegionResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (const grpc::Status status = Admit(services_, *context); !status.ok()) {
    reactor->Finish(status);
    return reactor;
  }
  const std::vector<backup::TaskStatus> tasks = services_.tasks.Status();
  for (const logbackup::RegionIdentity& region : request->regions()) {
    logbackup::RegionCheckpoint* checkpoint = response->add_checkpoints();
    *checkpoint->mutable_region() = region;
    if (region.id() != kRegion) {
      checkpoint->mutable_err()->set_message(fmt::format("there is one region, {}, for all keys", kRegion));
    } else if (tasks.empty()) {
      checkpoint->mutable_err()->set_message("there is no backup task");
    } else {
      checkpoint->set_checkpoint(Checkpoint(tasks));
    }
  }
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<logbackup::SubscribeFlushEventResponse>* LogBackupService::SubscribeFlushEvent(
    grpc::CallbackServerContext* context, const logbackup::SubscribeFlushEventRequest* /*request*/) {
  using Response = logbackup::SubscribeFlushEventResponse;
  if (const grpc::Status status = Admit(services_, *context); !status.ok()) {
    return new RefusedStream<Response>(status);
  }
  return new CheckpointStream<Response>(services_, [](const std::vector<backup::TaskStatus>& tasks) {
    Response response;
    response.add_events()->set_checkpoint(Checkpoint(tasks));  // both keys empty: everything
    return response;
  });
}

}  // namespace tidemark::rpc
