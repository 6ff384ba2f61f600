// A node's link to a Redis or Valkey, as its replica: handshake, RDB, stream of commands, acknowledgements, and again
// after whatever went wrong. What comes is carried out in the own store, as records of the own log; so this node's
// replicas, backups and restores see it as any writes.
//
//   connect ─▶ PING, AUTH, REPLCONF ─▶ PSYNC ├▶ CONTINUE: stream from where the store is
//                                            └▶ FULLRESYNC: everything goes, RDB, then the stream
//
// The position is written by each transaction that applies, so a crash costs nothing but what the primary sends again.
// While a full sync runs there is none: one that is cut begins anew.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/mutex.h"
#include "env/clock.h"
#include "format/rdb_input.h"
#include "replication/follower.h"
#include "replication/psync_port.h"
#include "replication/psync_stream.h"

namespace tidemark::replication {

struct PsyncOptions {
  Endpoint primary;
  Endpoint announced;
  std::function<UpstreamOptions()> upstream;  // asked at each connection
  ConnectBytes connect;
  CommandSink* sink = nullptr;  // outlives the link
  std::chrono::milliseconds retry{1000};
  // The other side turned out to be no Redis. Must not block.
  std::function<void()> not_redis;
  std::function<void(const std::string&)> report = [](const std::string&) {};
};

class PsyncLink final : public Follower {
 public:
  PsyncLink(Clock& clock, PsyncOptions options);
  ~PsyncLink() override;
  PsyncLink(const PsyncLink&) = delete;
  PsyncLink& operator=(const PsyncLink&) = delete;

  void Stop() override;
  LinkStatus status() const override;
  bool up() const override { return up_.load(std::memory_order_relaxed); }
  void DurableAdvanced() override {}
  std::optional<uint64_t> foreign_offset() const override { return offset_.load(std::memory_order_relaxed); }

 private:
  class Loader;

  void Run();
  absl::Status RunOnce();
  absl::Status Handshake(const UpstreamOptions& upstream);
  // Sends a command, and gives the line that answers it.
  absl::StatusOr<std::string> Call(std::initializer_list<std::string_view> words);
  absl::Status Send(std::initializer_list<std::string_view> words);
  absl::StatusOr<std::string> ReadLine();
  // Bytes of the connection; blocks until some came, for no longer than repl-timeout.
  absl::StatusOr<size_t> ReadSome(char* to, size_t max);
  absl::Status FullSync(const PsyncVerdict& verdict);
  absl::StatusOr<std::string> LoadRdb(const RdbAnnouncement& announced, Loader* loader);
  absl::Status Stream(PsyncPosition position, std::string_view first);
  absl::Status ApplyBatch(PsyncStream& stream);
  absl::Status Apply(std::span<const PsyncCommand> commands, const std::optional<PsyncPosition>& position);
  absl::Status Acknowledge(uint64_t offset);
  void SetState(LinkState state, std::string_view problem = {});
  bool Stopping() const;
  uint64_t NowMs() const { return clock_.WallMicros() / 1000; }

  Clock& clock_;
  const PsyncOptions options_;
  std::chrono::milliseconds timeout_{60000};  // of thread_
  std::string ahead_;                         // read, and not taken yet; of thread_
  std::chrono::milliseconds patience_{0};     // before the next attempt; of thread_
  uint64_t beat_ms_ = 0;                      // last sign of life sent while loading; of thread_

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<ByteConnection> connection_ ABSL_GUARDED_BY(mutex_);
  LinkStatus status_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<ByteConnection> wire_;  // as connection_; of thread_
  std::atomic<bool> up_{false};
  std::atomic<uint64_t> offset_{0};
  std::thread thread_;
};

}  // namespace tidemark::replication
