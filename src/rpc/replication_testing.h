// A feed in the hands of a test, behind a real server on this machine.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backup/fake_tasks.h"
#include "base/mutex.h"
#include "replication/feed.h"
#include "rpc/rpc_server.h"

namespace tidemark::rpc {

constexpr std::chrono::seconds kPatience{20};

class FakeFeed final : public replication::Feed {
 public:
  absl::StatusOr<std::unique_ptr<replication::FeedSession>> Join(const replication::Hello& hello,
                                                                 const std::string& peer) override {
    Change([&] {
      hellos.push_back(hello);
      peers.push_back(peer);
    });
    if (!WaitFor([this] { return !hold_join; })) return absl::InternalError("the test never let go");
    if (!refusal.ok()) return refusal;
    Change([this] { ++sessions; });
    return std::make_unique<Session>(*this);
  }

  absl::Status ReadFile(const std::string& snapshot, const std::string& name, uint64_t offset,
                        absl::FunctionRef<absl::Status(const replication::FilePart&)> give) override {
    if (snapshot != "snap") return absl::NotFoundError("snapshot " + snapshot + " is not held");
    const auto found = files.find(name);
    if (found == files.end()) return absl::InvalidArgumentError("no file " + name);
    const std::string& bytes = found->second;
    for (uint64_t at = offset; true; at += kPart) {
      if (at >= fail_at) return absl::DataLossError("a bad block");
      const bool last = at + kPart >= bytes.size();
      TM_RETURN_IF_ERROR(give({.bytes = bytes.substr(at, kPart), .last = last, .hash = last ? kHash : 0}));
      if (last) return absl::OkStatus();
    }
  }

  // Waits for a condition over the guarded members; false when it does not come true in time.
  bool WaitFor(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    const MutexLock lock(mutex_);
    while (!condition()) {
      if (!changed_.WaitUntil(mutex_, deadline)) return condition();
    }
    return true;
  }
  void Change(const std::function<void()>& change) {
    const MutexLock lock(mutex_);
    change();
    changed_.SignalAll();
  }
  int live_sessions() {
    const MutexLock lock(mutex_);
    return sessions;
  }
  // Queues a chunk for the session.
  void Push(replication::Chunk chunk) {
    Change([&] { chunks.push_back(std::move(chunk)); });
  }

  static constexpr size_t kPart = size_t{1} << 20;
  static constexpr uint64_t kHash = 0xfedcba9876543210;

  // Set before the server is asked.
  replication::Welcome welcome;
  absl::Status refusal;
  std::map<std::string, std::string> files;
  uint64_t fail_at = UINT64_MAX;
  // Guarded by the mutex.
  bool hold_join = false;
  int sessions = 0;  // that live
  bool cancelled = false;
  absl::Status end;
  std::deque<replication::Chunk> chunks;
  std::vector<replication::Ack> acks;
  std::vector<replication::Hello> hellos;
  std::vector<std::string> peers;

 private:
  class Session final : public replication::FeedSession {
   public:
    explicit Session(FakeFeed& feed) : feed_(feed) {}
    ~Session() override {
      feed_.Change([this] { --feed_.sessions; });
    }
    const replication::Welcome& welcome() const override { return feed_.welcome; }
    absl::StatusOr<replication::Chunk> Next() override {
      const MutexLock lock(feed_.mutex_);
      while (feed_.chunks.empty() && !feed_.cancelled && feed_.end.ok()) feed_.changed_.Wait(feed_.mutex_);
      if (feed_.cancelled) return absl::CancelledError("cancelled");
      if (feed_.chunks.empty()) return feed_.end;
      replication::Chunk next = std::move(feed_.chunks.front());
      feed_.chunks.pop_front();
      feed_.changed_.SignalAll();
      return next;
    }
    void Acknowledge(const replication::Ack& ack) override {
      feed_.Change([&] { feed_.acks.push_back(ack); });
    }
    void Cancel() override {
      feed_.Change([this] { feed_.cancelled = true; });
    }

   private:
    FakeFeed& feed_;
  };

  Mutex mutex_;
  CondVar changed_;
};

// The server around a feed: for the password "secret" when there is one.
inline std::unique_ptr<RpcServer> StartServer(FakeFeed* feed, backup::Tasks& tasks, const std::string& secret,
                                              const TlsFiles& tls = {}) {
  auto server = RpcServer::Start(
      {.addresses = {"127.0.0.1"}, .port = 0, .tls = tls}, tasks,
      [secret](bool, std::string_view user, std::string_view password) {
        if (secret.empty() || (user == "default" && password == secret)) return absl::OkStatus();
        return absl::PermissionDeniedError("invalid username-password pair or user is disabled");
      },
      [] { return backup::FlushRequest(); }, [](const std::function<void()>& job) { job(); }, feed);
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

}  // namespace tidemark::rpc
