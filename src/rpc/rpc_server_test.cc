// What a client generated from TiKV's file, and one of ours, gets over the wire; and that a stranger gets nothing.
#include "rpc/rpc_server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <logbackuppb.grpc.pb.h>
#include <tidemark/v1/backup.grpc.pb.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "backup/fake_tasks.h"

namespace tidemark::rpc {
namespace {

using backup::FakeTasks;
using backup::FlushRequest;
using std::chrono::milliseconds;

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
        {.addresses = {"127.0.0.1"}, .port = 0, .tls = {}}, tasks_,
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
    EXPECT_TRUE(tasks_.WaitFor([](FakeTasks& tasks) { return tasks.waiting() == 1; }));
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
  EXPECT_EQ(tasks_.last_request.timeout, milliseconds(1234));
}

TEST_F(RpcServerTest, ACallerWhoGoesLeavesNoWaiterBehind) {
  StartTask();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(50));
  v1::FlushResponse response;
  EXPECT_EQ(ours_->Flush(&context, {}, &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(tasks_.WaitFor([](FakeTasks& tasks) { return tasks.waiting() == 0; }));
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
  EXPECT_TRUE(tasks_.WaitFor([](FakeTasks& tasks) { return tasks.listeners() == 0; }));
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
      {.addresses = {"127.0.0.1"}, .port = server_->port(), .tls = {}}, tasks_,
      [](bool, std::string_view, std::string_view) { return absl::OkStatus(); }, [] { return FlushRequest(); },
      [](const std::function<void()>&) {});
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

}  // namespace
}  // namespace tidemark::rpc
