// The backup tasks as every surface beside the Redis protocol has them (gRPC, HTTP): those of the primary. On a replica
// whatever would change or flush them is refused with FAILED_PRECONDITION and the primary's address; looking is
// allowed.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "backup/tasks.h"
#include "replication/replication.h"

namespace tidemark::commands {

// OK on a primary; else FAILED_PRECONDITION, with whom to ask.
absl::Status RefuseOnReplica(const replication::Replication& replication);

class PrimaryTasks final : public backup::Tasks {
 public:
  // Both outlive it.
  PrimaryTasks(backup::Tasks& tasks, const replication::Replication& replication)
      : tasks_(tasks), replication_(replication) {}

  absl::Status Start(const backup::TaskConfig& config) override {
    TM_RETURN_IF_ERROR(RefuseOnReplica(replication_));
    return tasks_.Start(config);
  }
  absl::Status Stop(const std::string& name) override {
    TM_RETURN_IF_ERROR(RefuseOnReplica(replication_));
    return tasks_.Stop(name);
  }
  absl::Status Pause(const std::string& name, const std::string& message, std::chrono::seconds ttl) override {
    TM_RETURN_IF_ERROR(RefuseOnReplica(replication_));
    return tasks_.Pause(name, message, ttl);
  }
  absl::Status Resume(const std::string& name) override {
    TM_RETURN_IF_ERROR(RefuseOnReplica(replication_));
    return tasks_.Resume(name);
  }
  absl::StatusOr<archive::RetentionPlan> Truncate(const std::string& name, Timestamp until, bool dry_run) override {
    TM_RETURN_IF_ERROR(RefuseOnReplica(replication_));
    return tasks_.Truncate(name, until, dry_run);
  }
  absl::Status TakeBase(const std::string& name) override {
    TM_RETURN_IF_ERROR(RefuseOnReplica(replication_));
    return tasks_.TakeBase(name);
  }
  absl::StatusOr<uint64_t> Flush(const backup::FlushRequest& request, FlushDone done) override {
    TM_RETURN_IF_ERROR(RefuseOnReplica(replication_));
    return tasks_.Flush(request, std::move(done));
  }

  std::vector<backup::TaskStatus> Status() const override { return tasks_.Status(); }
  void CancelAll() override { tasks_.CancelAll(); }
  void CancelFlush(uint64_t id) override { tasks_.CancelFlush(id); }
  uint64_t Subscribe(std::function<void(const backup::FlushEvent&)> listener) override {
    return tasks_.Subscribe(std::move(listener));
  }
  void Unsubscribe(uint64_t id) override { tasks_.Unsubscribe(id); }

 private:
  backup::Tasks& tasks_;
  const replication::Replication& replication_;
};

}  // namespace tidemark::commands
