// A replica's link to its primary: joins, receives, applies, acknowledges, and comes back after whatever went wrong.
//
// The loop, on a thread of its own:
//   connect ─▶ hello ─▶ stream: receive, append and apply, acknowledge
//                    ├▶ cut: save the tail aside, cut, again
//                    ├▶ full sync: files beside (threads of Staging), log into the staged log ─▶ install ─▶ stream
//                    └▶ archive: what is missing from there, again
//
// Acknowledgements go out after each piece, and once more when this node's log has become durable further.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/identity.h"
#include "replication/follower.h"
#include "replication/replication.h"
#include "replication/staging.h"
#include "replication/upstream.h"

namespace tidemark::replication {

// Reads the log that follows the engine's end from an archive, along the history that leads to `timeline`, at least up
// to `until`, and gives it to `apply`.
using ReadArchive = std::function<absl::Status(Timeline timeline, Lsn until,
                                               absl::FunctionRef<absl::Status(std::string_view records)> apply)>;

struct LinkOptions {
  std::string node_id;
  Endpoint primary;
  std::function<Endpoint()> announced;        // asked at each connection
  std::function<UpstreamOptions()> upstream;  // asked at each connection
  Connect connect;
  std::string folder;  // of the engine's data
  uint64_t segment_size = 64ull << 20;
  int jobs = 4;
  std::chrono::milliseconds retry{1000};
  // Runs `between` with the engine closed and everything else kept out of it (NodeHooks::reopen).
  std::function<absl::Status(absl::FunctionRef<absl::Status(Lsn persisted)> between)> reopen;
  // Null: there is none.
  ReadArchive read_archive;
  // The primary said: take over. Must not block.
  std::function<void()> take_over;
  std::function<void(const std::string& node_id)> met_primary;
  // The other side is a Redis. Must not block.
  std::function<void()> met_redis = [] {};
  std::function<void(const std::string&)> report = [](const std::string&) {};
};

class Link final : public Follower {
 public:
  Link(engine::Engine& engine, FileSystem& fs, Clock& clock, LinkOptions options);
  ~Link() override;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void Stop() override;
  LinkStatus status() const override;
  bool up() const override { return up_.load(std::memory_order_relaxed); }
  // Acknowledges soon.
  void DurableAdvanced() override;

 private:
  void Run();
  void AckLoop();
  absl::Status RunOnce();
  absl::StatusOr<Hello> MakeHello();
  absl::Status Stream(Upstream& upstream);
  absl::Status Apply(std::string_view records);
  absl::Status FullSync(Upstream& upstream, const Welcome& welcome);
  absl::Status Receive(Upstream& upstream, Staging& staging);
  absl::Status Cut(const Welcome& welcome);
  absl::Status KeepAstray(const Welcome& welcome);
  absl::Status CatchUp(const Welcome& welcome);
  absl::Status Acknowledge(Upstream& upstream, bool loading);
  // Run is to call RunOnce again at once.
  absl::Status Again();
  void SetState(LinkState state, std::string_view problem = {});
  void Heard(const Chunk& chunk);
  bool Stopping() const;

  engine::Engine& engine_;
  FileSystem& fs_;
  Clock& clock_;
  const LinkOptions options_;
  std::unique_ptr<Staging> staging_;  // null, or with an open log; of thread_
  bool archive_failed_ = false;       // the last try to read from the archive; until something streams; of thread_
  bool again_ = false;                // of thread_

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool ack_wanted_ ABSL_GUARDED_BY(mutex_) = false;
  bool streaming_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Upstream> upstream_ ABSL_GUARDED_BY(mutex_);
  LinkStatus status_ ABSL_GUARDED_BY(mutex_);
  Staging* fetching_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::atomic<bool> up_{false};
  Mutex ack_mutex_;   // one acknowledgement at a time
  Mutex stop_mutex_;  // joins the threads
  std::thread ack_thread_;
  std::thread thread_;
};

}  // namespace tidemark::replication
