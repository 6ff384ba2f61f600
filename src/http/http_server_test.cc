// What curl and Prometheus get, and that a stranger gets nothing.
#include "http/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "backup/fake_tasks.h"

namespace tidemark::http {
namespace {

using backup::FakeTasks;
using Json = nlohmann::json;

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    auto server = HttpServer::Start(
        {.addresses = {"127.0.0.1"}, .port = 0, .certificate_file = {}, .key_file = {}},
        {.tasks = tasks_,
         .access = [this](bool loopback, std::string_view user, std::string_view password) -> absl::Status {
           EXPECT_TRUE(loopback);
           if (secret_.empty() || (user == "default" && password == secret_)) return absl::OkStatus();
           return Errorf(absl::StatusCode::kPermissionDenied, "authentication required");
         },
         .default_flush = [] { return backup::FlushRequest(); },
         .metrics = [] { return std::string("redis_up 1\n"); }});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = std::make_unique<httplib::Client>("127.0.0.1", server_->port());
    client_->set_read_timeout(20);
  }

  void StartTask() { ASSERT_TRUE(tasks_.Start({.name = "t", .storage = "local:///x", .key_file = {}}).ok()); }
  void AnswerSoon(const backup::FlushOutcome& outcome) {
    answer_ = std::thread([this, outcome] {
      EXPECT_TRUE(tasks_.WaitFor([](FakeTasks& tasks) { return tasks.waiting() == 1; }));
      tasks_.Answer(outcome);
    });
  }
  ~HttpServerTest() override {
    if (answer_.joinable()) answer_.join();
  }

  std::string secret_;
  FakeTasks tasks_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<httplib::Client> client_;
  std::thread answer_;
};

TEST_F(HttpServerTest, MetricsAreServedInPrometheusFormat) {
  const auto response = client_->Get("/metrics");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "redis_up 1\n");
  EXPECT_THAT(response->get_header_value("Content-Type"), testing::StartsWith("text/plain; version=0.0.4"));
}

TEST_F(HttpServerTest, AFlushThatSucceedsIs200WithItsPosition) {
  StartTask();
  AnswerSoon(backup::DurableOutcome("t"));
  const auto response =
      client_->Post("/v1/backup/flush", R"({"tasks": ["t"], "mode": "join", "timeout_ms": 9})", "application/json");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 200);
  const Json body = Json::parse(response->body);
  EXPECT_EQ(body["results"][0]["success"], true);
  EXPECT_EQ(body["results"][0]["flushed_lsn"], 1000);
  EXPECT_EQ(tasks_.last_request.mode, backup::FlushMode::kJoin);
  EXPECT_EQ(tasks_.last_request.timeout, std::chrono::milliseconds(9));
  EXPECT_THAT(tasks_.last_request.tasks, testing::ElementsAre("t"));
}

TEST_F(HttpServerTest, ADeadlineIs504AndANoIs503) {
  StartTask();
  backup::FlushOutcome late = backup::DurableOutcome("t");
  late.success = false;
  late.error = absl::DeadlineExceededError("durable up to LSN 10");
  AnswerSoon(late);
  const auto response = client_->Post("/v1/backup/flush", "", "application/json");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 504);
  EXPECT_THAT(response->body, testing::HasSubstr("durable up to LSN 10"));
  answer_.join();
  late.error = absl::FailedPreconditionError("paused");
  AnswerSoon(late);
  const auto refused = client_->Post("/v1/backup/flush", "", "application/json");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
}

TEST_F(HttpServerTest, WithoutATaskAFlushIsAnError) {
  const auto response = client_->Post("/v1/backup/flush", "", "application/json");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 404);
  EXPECT_TRUE(Json::parse(response->body).contains("error"));
}

TEST_F(HttpServerTest, AStrangerGetsNothingButTheHealth) {
  StartTask();
  secret_ = "s";
  for (const char* path : {"/metrics", "/v1/backup/status", "/nothing"}) {
    const auto response = client_->Get(path);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 401) << path;
    EXPECT_THAT(response->body, testing::Not(testing::HasSubstr("local:")));
  }
  const auto flush = client_->Post("/v1/backup/flush", "", "application/json");
  ASSERT_TRUE(flush);
  EXPECT_EQ(flush->status, 401);
  EXPECT_EQ(client_->Get("/healthz")->status, 200);
  client_->set_basic_auth("default", "s");
  EXPECT_EQ(client_->Get("/v1/backup/status")->status, 200);
}

TEST_F(HttpServerTest, NonsenseIsRefusedWithAReason) {
  StartTask();
  for (const char* body :
       {"[", "[]", R"({"mode": "maybe"})", R"({"timeout_ms": -1})", R"({"what": 1})", R"({"tasks": [1]})"}) {
    const auto response = client_->Post("/v1/backup/flush", body, "application/json");
    ASSERT_TRUE(response) << body;
    EXPECT_EQ(response->status, 400) << body;
    EXPECT_TRUE(Json::parse(response->body).contains("error")) << body;
  }
  EXPECT_EQ(client_->Get("/nothing")->status, 404);
}

TEST_F(HttpServerTest, StoppingGivesUpFlushesThatWait) {
  StartTask();
  std::thread stop([this] {
    EXPECT_TRUE(tasks_.WaitFor([](FakeTasks& tasks) { return tasks.waiting() == 1; }));
    server_->Stop();
  });
  const auto response = client_->Post("/v1/backup/flush", "", "application/json");
  stop.join();
  EXPECT_TRUE(!response || response->status == 503);
  EXPECT_TRUE(tasks_.WaitFor([](FakeTasks& tasks) { return tasks.waiting() == 0; }));
}

}  // namespace
}  // namespace tidemark::http
