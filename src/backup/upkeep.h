// What a task does beside following the log: bases, retention, merging. On a thread of its own, of low priority and
// with a store connection of its own, so that nothing of it stands in a flush's way.
//
// Threads: every method from any thread. `on_base` and the functions of the parts are called on the upkeep thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "archive/base.h"
#include "archive/upkeep.h"
#include "backup/tasks.h"
#include "backup/timings.h"
#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/identity.h"
#include "objstore/object_store.h"

namespace tidemark::backup {

// A snapshot of the store on its way to become a base. Its folder goes with it.
class BaseSnapshot {
 public:
  // Takes it: snapshots/<name>. Blocks while the store is persisted. Who needs the log from its LSN on takes a lease
  // before.
  static absl::StatusOr<std::unique_ptr<BaseSnapshot>> Take(engine::Engine& engine, Timeline timeline,
                                                            const std::string& name);
  ~BaseSnapshot();

  const format::BaseName& base() const { return base_; }
  const std::string& folder() const { return folder_; }
  std::optional<uint32_t> last_crc() const { return last_crc_; }

 private:
  BaseSnapshot(std::string folder, format::BaseName base) : folder_(std::move(folder)), base_(base) {}

  const std::string folder_;
  format::BaseName base_;
  // CRC field of the record that ends at the base's LSN; not known while none has followed it.
  std::optional<uint32_t> last_crc_;
};

class Upkeep {
 public:
  struct Parts {
    engine::Engine& engine;
    Clock& clock;
    objstore::ObjectStore& store;
    const engine::Identity identity;
    const TaskConfig config;
    const archive::CodecOptions codec;
    const Timings timings;
    // Up to where the archive is complete: only objects below are merged.
    std::function<Lsn()> settled;
    // A base is complete: its manifest is there.
    std::function<void(const format::BaseName&)> on_base;
    std::function<void(const std::string&)> report;
  };
  // `last_base`: of the newest base there is, wall micros; of the task's start when there is none.
  Upkeep(Parts parts, uint64_t last_base_micros);
  ~Upkeep();

  // Uploads this snapshot next, instead of one that is on its way.
  void UploadBase(std::unique_ptr<BaseSnapshot> snapshot);
  // Takes a snapshot and uploads it. FAILED_PRECONDITION while a base is on its way.
  absl::Status WantBase();
  // While paused nothing new is begun, and no base goes on.
  void SetPaused(bool paused);
  // Ends everything; the store was cancelled before.
  void Stop();

  // Deletes what only moments before `until` need; `dry_run`: only says what. On the caller's thread. IsFenced, and
  // nothing is deleted, once the archive has a newer timeline.
  absl::StatusOr<archive::RetentionPlan> Truncate(Timestamp until, bool dry_run);

  struct State {
    double base_progress = -1;  // 0..1 while one is on its way
    std::string trouble;        // why the last step failed; empty when it did not
    Timestamp last_base;        // 0: none since the start
    Timestamp restorable_from;  // 0: not looked yet
    uint64_t objects = 0;
    uint64_t bytes_stored = 0;
    uint64_t merged_objects = 0;
    uint64_t deleted_objects = 0;
    uint64_t failures = 0;
  };
  State state() const;

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  void Loop();
  bool BaseDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunBase(std::unique_ptr<BaseSnapshot> snapshot);
  absl::StatusOr<archive::Manifest> SendBase(const BaseSnapshot& snapshot);
  // IsFenced once the archive has a newer timeline.
  absl::Status StillOwner();
  absl::Status RunMerge();
  absl::Status RunRetention();
  void NoteTrouble(std::string_view what, const absl::Status& status);

  const Parts parts_;
  const Id128 database_id_;
  std::unique_ptr<archive::Manifest> previous_;  // the thread's
  // Retention and merging do not meet: neither deletes what the other reads.
  Mutex carry_mutex_;

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool base_wanted_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<BaseSnapshot> next_base_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<archive::BaseProgress> progress_ ABSL_GUARDED_BY(mutex_);
  SteadyTime base_due_ ABSL_GUARDED_BY(mutex_);
  SteadyTime base_retry_ ABSL_GUARDED_BY(mutex_);
  uint64_t snapshots_ ABSL_GUARDED_BY(mutex_) = 0;
  State state_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace tidemark::backup
