// What a client generated from TiKV's file, and one of ours, gets over the wire; and that a stranger gets nothing.
#include "rpc/rpc_server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <logbackuppb.grpc.pb.h>
#include <tidemark/v1/backup.grpc.pb.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

namespace tidemark::rpc {
namespace {

using backup::FlushOutcome;
using backup::FlushRequest;
using std::chrono::milliseconds;

FlushOutcome Durable(const std::string& task) {
  return {.task = task,
          .success = true,
          .error = {},
          .target = Lsn{900},
          .target_time = Timestamp{1'500'000},
          .flushed = Lsn{1000},
          .flushed_time = Timestamp{2'000'000},
          .rpo_micros = 0,
          .objects = 2,
          .bytes = 100,
          .waited_micros = 7,
          .joined = true};
}

// Tasks whose flushes end when the test says so.
class FakeTasks final : public backup::Tasks {
 public:
  absl::Status Start(const backup::TaskConfig& config) override {
    const std::lock_guard lock(mutex_);
    if (config.storage.empty()) return InvalidArgument("a task needs a storage");
    backup::TaskStatus status;
    status.config = config;
    status.checkpoint_time = Timestamp{2'000'000};
    tasks_.push_back(status);
    return absl::OkStatus();
  }
  absl::Status Stop(const std::string& name) override {
    return Errorf(absl::StatusCode::kNotFound, "there is no backup task '{}'", name);
  }
  absl::Status Pause(const std::string&, const std::string&, std::chrono::seconds) override { return {}; }
  absl::Status Resume(const std::string&) override { return {}; }
  absl::StatusOr<archive::RetentionPlan> Truncate(const std::string&, Timestamp, bool) override {
    archive::RetentionPlan plan;
    plan.bytes = 5;
    return plan;
  }
  absl::Status TakeBase(const std::string&) override { return {}; }
  std::vector<backup::TaskStatus> Status() const override {
    const std::lock_guard lock(mutex_);
    return tasks_;
  }
  absl::StatusOr<uint64_t> Flush(const FlushRequest& request, FlushDone done) override {
    const std::lock_guard lock(mutex_);
    if (tasks_.empty()) return Errorf(absl::StatusCode::kNotFound, "there is no backup task");
    last_request_ = request;
    waiting_[++last_id_] = std::move(done);
    changed_.notify_all();
    return last_id_;
  }
  void CancelFlush(uint64_t id) override {
    const std::lock_guard lock(mutex_);
    waiting_.erase(id);
    changed_.notify_all();
  }
  uint64_t Subscribe(std::function<void(const backup::FlushEvent&)> listener) override {
    const std::lock_guard lock(mutex_);
    listeners_[++last_id_] = std::move(listener);
    return last_id_;
  }
  void Unsubscribe(uint64_t id) override {
    const std::lock_guard lock(mutex_);
    listeners_.erase(id);
    changed_.notify_all();
  }

  void WaitFor(const std::function<bool(FakeTasks&)>& condition) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return condition(*this); }));
  }
  void Answer() {
    std::map<uint64_t, FlushDone> waiting;
    {
      const std::lock_guard lock(mutex_);
      waiting.swap(waiting_);
    }
    for (const auto& [id, done] : waiting) done({Durable("t")});
  }
  void Advance(Timestamp checkpoint) {
    const std::lock_guard lock(mutex_);
    for (backup::TaskStatus& task : tasks_) task.checkpoint_time = checkpoint;
    for (const auto& [id, listener] : listeners_) listener({.task = "t", .flushed = {}, .flushed_time = checkpoint});
  }
  size_t waiting() const { return waiting_.size(); }
  size_t listeners() const { return listeners_.size(); }
  FlushRequest last_request_;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<backup::TaskStatus> tasks_;
  std::map<uint64_t, FlushDone> waiting_;
  std::map<uint64_t, std::function<void(const backup::FlushEvent&)>> listeners_;
  uint64_t last_id_ = 0;
};

// Runs jobs one after the other on a thread of its own.
class Runner {
 public:
  Runner() : thread_([this] { Loop(); }) {}
  ~Runner() {
    Run(nullptr);
    thread_.join();
  }
  void Run(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    changed_.notify_one();
  }

 private:
  void Loop() {
    while (true) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !jobs_.empty(); });
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.erase(jobs_.begin());
      lock.unlock();
      if (!job) return;
      job();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::function<void()>> jobs_;
  std::thread thread_;
};

class RpcServerTest : public testing::Test {
 protected:
  RpcServerTest() {
    auto server = RpcServer::Start(
        {.addresses = {"127.0.0.1"}, .port = 0, .certificate_file = {}, .key_file = {}, .authority_file = {}}, tasks_,
        [this](bool loopback, std::string_view user, std::string_view password) -> absl::Status {
          EXPECT_TRUE(loopback);
          if (secret_.empty() || (user == "default" && password == secret_)) return absl::OkStatus();
          return Errorf(absl::StatusCode::kPermissionDenied, "authentication required");
        },
        [] {
          FlushRequest request;
          request.timeout = milliseconds(1234);
          return request;
        },
        [this](std::function<void()> job) { runner_.Run(std::move(job)); });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel(fmt::format("127.0.0.1:{}", server_->port()), grpc::InsecureChannelCredentials());
    tikv_ = logbackup::LogBackup::NewStub(channel_);
    ours_ = v1::Backup::NewStub(channel_);
  }
  ~RpcServerTest() override { server_->Stop(); }

  void StartTask() { ASSERT_TRUE(tasks_.Start({.name = "t", .storage = "local:///x", .key_file = {}}).ok()); }

  std::string secret_;
  FakeTasks tasks_;
  Runner runner_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<logbackup::LogBackup::Stub> tikv_;
  std::unique_ptr<v1::Backup::Stub> ours_;
};

TEST_F(RpcServerTest, FlushNowWithoutATaskHasNoResultsAsInTikv) {
  grpc::ClientContext context;
  logbackup::FlushNowResponse response;
  ASSERT_TRUE(tikv_->FlushNow(&context, {}, &response).ok());
  EXPECT_EQ(response.results_size(), 0);
}

TEST_F(RpcServerTest, OurFlushWithoutATaskIsAnError) {
  grpc::ClientContext context;
  v1::FlushResponse response;
  EXPECT_EQ(ours_->Flush(&context, {}, &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(RpcServerTest, FlushNowWaitsAndAnswersWithThePosition) {
  StartTask();
  std::thread answer([this] {
    tasks_.WaitFor([](FakeTasks& tasks) { return tasks.waiting() == 1; });
    tasks_.Answer();
  });
  grpc::ClientContext context;
  logbackup::FlushNowResponse response;
  const grpc::Status status = tikv_->FlushNow(&context, {}, &response);
  answer.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.results_size(), 1);
  EXPECT_EQ(response.results(0).task_name(), "t");
  EXPECT_TRUE(response.results(0).success());
  EXPECT_EQ(response.results(0).flushed_lsn(), 1000u);
  EXPECT_EQ(tasks_.last_request_.timeout, milliseconds(1234));
}

TEST_F(RpcServerTest, ACallerWhoGoesLeavesNoWaiterBehind) {
  StartTask();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(50));
  v1::FlushResponse response;
  EXPECT_EQ(ours_->Flush(&context, {}, &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  tasks_.WaitFor([](FakeTasks& tasks) { return tasks.waiting() == 0; });
}

TEST_F(RpcServerTest, AStrangerGetsNothing) {
  StartTask();
  secret_ = "s";
  {
    grpc::ClientContext context;
    logbackup::FlushNowResponse response;
    EXPECT_EQ(tikv_->FlushNow(&context, {}, &response).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    grpc::ClientContext context;
    v1::StatusResponse response;
    EXPECT_EQ(ours_->Status(&context, {}, &response).error_code(), grpc::StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(response.tasks_size(), 0);
  }
  {
    grpc::ClientContext context;
    auto stream = tikv_->SubscribeFlushEvent(&context, {});
    logbackup::SubscribeFlushEventResponse response;
    EXPECT_FALSE(stream->Read(&response));
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Basic ZGVmYXVsdDpz");  // default:s
    v1::StatusResponse response;
    EXPECT_TRUE(ours_->Status(&context, {}, &response).ok());
    EXPECT_EQ(response.tasks_size(), 1);
  }
}

TEST_F(RpcServerTest, CheckpointsAreTsosOfTheOneRegion) {
  StartTask();
  grpc::ClientContext context;
  logbackup::GetLastFlushTSOfRegionRequest request;
  request.add_regions()->set_id(1);
  request.add_regions()->set_id(2);
  logbackup::GetLastFlushTSOfRegionResponse response;
  ASSERT_TRUE(tikv_->GetLastFlushTSOfRegion(&context, request, &response).ok());
  ASSERT_EQ(response.checkpoints_size(), 2);
  EXPECT_EQ(response.checkpoints(0).checkpoint(), 2000ull << 18);
  EXPECT_FALSE(response.checkpoints(0).has_err());
  EXPECT_TRUE(response.checkpoints(1).has_err());
}

TEST_F(RpcServerTest, ASubscriberIsToldOfEveryStepUpAndUnsubscribedWhenHeGoes) {
  StartTask();
  grpc::ClientContext context;
  auto stream = tikv_->SubscribeFlushEvent(&context, {});
  logbackup::SubscribeFlushEventResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.events(0).checkpoint(), 2000ull << 18);
  EXPECT_EQ(response.events(0).start_key(), "");
  tasks_.Advance(Timestamp{3'000'000});
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.events(0).checkpoint(), 3000ull << 18);
  context.TryCancel();
  stream->Finish();
  tasks_.WaitFor([](FakeTasks& tasks) { return tasks.listeners() == 0; });
}

TEST_F(RpcServerTest, ErrorsOfTasksKeepTheirCodeAndText) {
  grpc::ClientContext context;
  v1::StopRequest request;
  request.set_name("nobody");
  v1::StopResponse response;
  const grpc::Status status = ours_->Stop(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), testing::HasSubstr("nobody"));
}

TEST_F(RpcServerTest, TwoServersCannotShareAPort) {
  const auto second = RpcServer::Start(
      {.addresses = {"127.0.0.1"},
       .port = server_->port(),
       .certificate_file = {},
       .key_file = {},
       .authority_file = {}},
      tasks_, [](bool, std::string_view, std::string_view) { return absl::OkStatus(); }, [] { return FlushRequest(); },
      [](const std::function<void()>&) {});
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

}  // namespace
}  // namespace tidemark::rpc
