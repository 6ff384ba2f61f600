// A whole server without sockets, for tests of commands that look at it: an engine over a folder of its own, the
// services, a dispatcher and one client.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backup/fake_tasks.h"
#include "base/check.h"
#include "commands/acl.h"
#include "commands/blocked_clients.h"
#include "commands/change_fan_out.h"
#include "commands/client_registry.h"
#include "commands/command_stats.h"
#include "commands/deferred.h"
#include "commands/dispatcher.h"
#include "commands/key_notifier.h"
#include "commands/latency.h"
#include "commands/monitors.h"
#include "commands/pubsub.h"
#include "commands/reply_stream.h"
#include "commands/scripts.h"
#include "commands/server.h"
#include "commands/slowlog.h"
#include "commands/testing.h"
#include "commands/testing_replication.h"
#include "commands/tracking.h"
#include "commands/watch_table.h"

namespace tidemark::commands::testing {

class FakeHost : public Host {
 public:
  void Shutdown(StopMode mode) override { (mode == StopMode::kAtOnce ? stops_at_once : stops_with_flush)++; }
  void RunInBackground(std::function<void()> job) override { jobs.push_back(std::move(job)); }
  void LogOfScript(int level, std::string_view text) override { script_log += fmt::format("{}:{};", level, text); }

  std::string script_log;
  int stops_with_flush = 0;
  int stops_at_once = 0;
  std::vector<std::function<void()>> jobs;
};

class TestServer {
 public:
  TestServer() : folder_(NewFolder()), engine_(OpenEngine(folder_)), server_(MakeServer()), dispatcher_(*server_) {
    changes_.Add(watches_);
    changes_.Add(blocked_);
    changes_.Add(notifier_);
    changes_.Add(tracking_);
    engine_->SetChangeListener(&changes_);
    Join(client_);
  }
  ~TestServer() {
    clients_.Remove(client_);
    TM_CHECK(engine_->Close().ok());
    engine_.reset();
    std::filesystem::remove_all(folder_);
  }

  Server& server() { return *server_; }
  Dispatcher& dispatcher() { return dispatcher_; }
  BlockedClients& blocked() { return blocked_; }
  FakeHost& host() { return host_; }
  backup::FakeTasks& tasks() { return tasks_; }
  FakeReplication& replication() { return replication_; }
  FakeClient& client() { return client_; }
  // A further client; the caller calls Leave before it goes.
  void Join(FakeClient& client) {
    client.authenticated = true;
    client.address = "127.0.0.1:1000";
    client.local_address = "127.0.0.1:6379";
    clients_.Add(client);
  }
  void Leave(FakeClient& client) {
    server_->pubsub.Remove(client);
    dispatcher_.Forget(client);
    clients_.Remove(client);
  }

  // One request as the session would run it; readable, as testing.h says. "(none)" when there was no reply.
  std::string Run(FakeClient& client, const std::vector<std::string>& words) {
    const std::vector<std::string_view> args(words.begin(), words.end());
    resp::Writer out;
    out.SetProtocol(client.protocol);
    Outcome outcome = dispatcher_.Execute(client, args, out, Dispatcher::kMaxRehearsals);
    // A slow script.
    if (outcome == Outcome::kCold && dispatcher_.Rehearse(client, args, out)) outcome = Outcome::kReplied;
    engine_->EndTurn();
    if (outcome == Outcome::kStalled) return "(stalls)";
    if (outcome == Outcome::kDeferred) {
      if (client.deferred->Park([] {})) return "(waits)";
      return Answered(client);
    }
    TM_CHECK(outcome == Outcome::kReplied);
    return AllReadable(out.buffer());
  }
  // The deferred reply that has come since Run said "(waits)".
  std::string Answered(FakeClient& client) {
    const std::shared_ptr<Deferred> deferred = std::exchange(client.deferred, nullptr);
    resp::Writer out;
    out.SetProtocol(client.protocol);
    out.Raw(deferred->Take());
    if (const std::shared_ptr<ReplyStream> rest = deferred->TakeRest()) {
      while (rest->Next(out).value()) {
      }
    }
    return AllReadable(out.buffer());
  }
  std::string Answered() { return Answered(client_); }
  std::string Run(const std::vector<std::string>& words) { return Run(client_, words); }
  // Words between single spaces.
  std::string Run(const char* line) { return Run(client_, line); }
  std::string Run(FakeClient& client, const char* line) {
    std::vector<std::string> words(1);
    for (const char* c = line; *c != '\0'; ++c) {
      if (*c == ' ') {
        words.emplace_back();
      } else {
        words.back() += *c;
      }
    }
    return Run(client, words);
  }

 private:
  static std::string NewFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tidemark-commands-XXXXXX").string();
    TM_CHECK(::mkdtemp(pattern.data()) != nullptr);
    return pattern;
  }
  static std::unique_ptr<engine::Engine> OpenEngine(const std::string& folder) {
    engine::EngineOptions options;
    options.folder = folder;
    options.log.segment_size = 1 << 20;
    auto engine = engine::Engine::Open(FileSystem::Posix(), Clock::System(), options);
    TM_CHECK(engine.ok(), "{}", Message(engine.status()));
    return *std::move(engine);
  }
  std::unique_ptr<Server> MakeServer() {
    return std::unique_ptr<Server>(new Server{.engine = *engine_,
                                              .config = config_,
                                              .clients = clients_,
                                              .pubsub = pubsub_,
                                              .watches = watches_,
                                              .slowlog = slowlog_,
                                              .latency = latency_,
                                              .stats = stats_,
                                              .tasks = tasks_,
                                              .replication = replication_,
                                              .host = host_,
                                              .blocked = &blocked_,
                                              .notifier = &notifier_,
                                              .acl = &acl_,
                                              .tracking = &tracking_,
                                              .monitors = &monitors_,
                                              .scripts = &scripts_,
                                              .run_id = std::string(40, 'a'),
                                              .cluster_id = std::string(32, 'c'),
                                              .executable = "test"});
  }
  static std::string AllReadable(std::string_view rest) {
    if (rest.empty()) return "(none)";
    std::string text;
    while (!rest.empty()) text += (text.empty() ? "" : " ") + Take(&rest);
    return text;
  }
  static std::string Take(std::string_view* rest) {
    const std::optional<std::string> value = TakeReadable(rest);
    TM_CHECK(value.has_value(), "no RESP: {}", *rest);
    return *value;
  }

  const std::string folder_;
  std::unique_ptr<engine::Engine> engine_;
  config::Config config_;
  ClientRegistry clients_;
  Pubsub pubsub_;
  WatchTable watches_;
  BlockedClients blocked_;
  KeyNotifier notifier_{config_, pubsub_};
  Acl acl_{config_, clients_, pubsub_};
  Tracking tracking_{config_, clients_};
  Monitors monitors_;
  ChangeFanOut changes_;
  Scripts scripts_{config_.Cell("busy-reply-threshold")};
  Slowlog slowlog_;
  LatencyMonitor latency_;
  CommandStats stats_;
  backup::FakeTasks tasks_;
  FakeReplication replication_;
  FakeHost host_;
  std::unique_ptr<Server> server_;
  Dispatcher dispatcher_;
  FakeClient client_;
};

}  // namespace tidemark::commands::testing
