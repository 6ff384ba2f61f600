// The feed of a node: what its replicas get, from its own log and its snapshots. Knows nothing of connections.
//
// A replica's lease `replica:<id>` is taken before it is told a position, follows what it has made durable, and stays
// when it goes away, until its caps break it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/identity.h"
#include "replication/feed.h"
#include "replication/join.h"
#include "replication/replicas.h"
#include "replication/snapshots.h"

namespace tidemark::replication {

struct SourceOptions {
  Snapshots::Options snapshots;
  // Caps of a replica's lease; 0: none.
  uint64_t lease_max_bytes = 0;
  uint64_t lease_max_age_micros = 86'400'000'000;
  // Whether replicas may be sent to an archive for what the log lacks.
  std::function<bool()> has_archive = [] { return false; };
  std::function<void(const std::string&)> report = [](const std::string&) {};
};

// The steps of an identity, its own last.
History HistoryOf(const engine::Identity& identity);

class Source final : public Feed {
 public:
  Source(engine::Engine& engine, FileSystem& fs, Clock& clock, Replicas& replicas, std::string node_id,
         const SourceOptions& options);

  absl::Status Load() { return snapshots_.Load(); }
  // While closed nobody joins, and those who are there are dropped: `reason` is what they are told.
  void Close(const std::string& reason);
  void Open();
  // Forgets what hangs on the log that goes: snapshots. Closed, and before Engine::Reopen.
  void LetGo();
  // Tells the replica to take over, once everything before was sent. False when it is not connected.
  bool HandOver(const std::string& replica);
  // Removes snapshots that nobody needs and replicas whose lease has broken. Now and then.
  void Tidy();
  // The primary that this node follows, which must not follow it; empty: none.
  void SetPrimary(const std::string& node_id);

  absl::StatusOr<std::unique_ptr<FeedSession>> Join(const Hello& hello, const std::string& peer) override;
  absl::Status ReadFile(const std::string& snapshot, const std::string& name, uint64_t offset,
                        absl::FunctionRef<absl::Status(const FilePart&)> give) override;

 private:
  friend class SourceSession;

  struct Joining;
  absl::StatusOr<engine::Identity> Identity();
  absl::Status Admit(const Hello& hello);
  absl::StatusOr<Holdings> Look(const Hello& hello, const engine::Identity& identity);
  absl::Status HoldLog(const std::string& replica, Lsn from);
  bool RecordsAgree(Lsn at, uint32_t last_crc);
  absl::Status FillFullSync(const Hello& hello, const Decision& decision, Welcome* welcome);

  engine::Engine& engine_;
  Replicas& replicas_;
  const std::string node_id_;
  const SourceOptions options_;
  Snapshots snapshots_;

  mutable Mutex mutex_;
  std::string closed_ ABSL_GUARDED_BY(mutex_) = "the node is starting";
  std::string primary_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<std::atomic<bool>>> take_over_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::replication
