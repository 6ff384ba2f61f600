// The backup tasks of one server, as everything above sees them: LOGBACKUP, gRPC, HTTP, the console and a clean stop
// all use this interface, so they cannot differ in what they promise.
//
// Threads: every method from any thread; callbacks run on a thread of the tasks and must be quick and not call back in
// (except CancelFlush and Flush, which queue).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/catalog.h"
#include "archive/upkeep.h"
#include "backup/flush_mode.h"
#include "base/status.h"
#include "base/types.h"

namespace tidemark::backup {

// What the operator asked for; persisted as a row (JSON), so that it survives restarts and replicas know it.
struct TaskConfig {
  std::string name;           // ^[0-9a-zA-Z_]+$, at most 64
  std::string storage;        // URI; credentials in it are persisted with it and never shown
  int compression_level = 1;  // zstd; 0: none
  std::string key_file;       // empty: not encrypted
  std::chrono::milliseconds flush_interval{1000};
  uint64_t flush_bytes = 32ull << 20;         // plain bytes of one object
  std::chrono::seconds base_interval{86400};  // 0: only when needed
  std::chrono::seconds keep{0};               // recovery window; 0: everything
  // Once this much log (bytes, seconds; 0: no cap) waits for an unreachable store, it is let go: state gap, new base.
  uint64_t hold_bytes = 0;
  std::chrono::seconds hold_time{0};
  uint64_t rate_limit = 0;  // bytes a second of base uploads; 0: none
};

enum class TaskState { kStarting, kNormal, kErroring, kPaused, kGap, kFenced, kStopped };
std::string_view TaskStateName(TaskState state);  // "starting", "normal", "erroring", …

struct TaskStatus {
  TaskConfig config;  // storage redacted
  TaskState state = TaskState::kStarting;
  std::string cause;     // of erroring, paused, gap, fenced
  bool stalled = false;  // the watchdog: the checkpoint stands still while the log grows
  Timeline timeline;
  Lsn checkpoint;             // what lies below can be restored; 0: nothing, or not known yet
  Timestamp checkpoint_time;  // the newest moment that a restore can get to; 0: none, or not known yet
  Lsn log_end;
  uint64_t rpo_micros = 0;     // until the archive has been looked at: since when it has not, at least
  uint64_t lag_bytes = 0;      // not yet uploaded
  bool restorable = false;     // an unbroken chain from a complete base or the log's origin
  std::string not_restorable;  // else why, with the base's progress
  // False until the archive has been read once since the server's start: `restorable` is then not known yet.
  bool restorable_known = false;
  Timestamp restorable_from;  // oldest moment, as last seen; 0 while restorable: all there ever was
  Timestamp last_base;
  double base_progress = -1;  // 0..1 while a base is on its way
  uint64_t flushes = 0;
  uint64_t forced_flushes = 0;  // calls of force flush; one that finds all archived causes no flush, many share one
  uint64_t failures = 0;        // of flushes
  uint64_t objects = 0;
  uint64_t bytes_plain = 0;
  uint64_t bytes_stored = 0;
  uint64_t retries = 0;
  uint64_t gaps = 0;
  uint64_t merged_objects = 0;
  uint64_t deleted_objects = 0;
  uint64_t last_flush_micros = 0;  // duration
  uint64_t created_micros = 0;
  std::string pause_message;
  uint64_t paused_until_micros = 0;  // 0: until resumed
  bool conditional_put = false;
};

// One caller's force flush. The target is the end of the log when Flush is called, or `target` for a fence.
struct FlushRequest {
  std::vector<std::string> tasks;  // empty: all there are
  FlushMode mode = FlushMode::kWait;
  std::chrono::milliseconds timeout{0};  // 0: no deadline
  bool durable_only = false;
  std::optional<Lsn> target;
};
struct FlushOutcome {
  std::string task;
  bool success = false;
  // ok on success; DEADLINE_EXCEEDED, FAILED_PRECONDITION (paused, stopped, gap, fenced, not restorable yet), ABORTED
  // (nowait while one runs), or the store's lasting error. The message is whole and says how far it got.
  absl::Status error;
  Lsn target;
  Timestamp target_time;
  Lsn flushed;
  Timestamp flushed_time;
  uint64_t rpo_micros = 0;
  uint64_t objects = 0;
  uint64_t bytes = 0;
  uint64_t waited_micros = 0;
  bool joined = false;
  // The no is for want of a base that is on its way: asking again later makes sense.
  bool awaits_base = false;
};

// What SubscribeFlushEvent and the log of events tell.
struct FlushEvent {
  std::string task;
  Lsn flushed;
  Timestamp flushed_time;
};

class Tasks {
 public:
  virtual ~Tasks() = default;

  // Probes the store, checks whose archive it is, persists the task, starts uploading and takes a base if one is
  // needed. ALREADY_EXISTS for the name; FAILED_PRECONDITION when the archive belongs to another cluster (named) or a
  // newer timeline is there; the store's errors as they are. Blocks; not on an I/O thread. So do the next five.
  virtual absl::Status Start(const TaskConfig& config) = 0;
  virtual absl::Status Stop(const std::string& name) = 0;
  virtual absl::Status Pause(const std::string& name, const std::string& message, std::chrono::seconds ttl) = 0;
  virtual absl::Status Resume(const std::string& name) = 0;
  // Deletes what is needed only for moments before `until`. `dry_run`: only says what would go.
  virtual absl::StatusOr<archive::RetentionPlan> Truncate(const std::string& name, Timestamp until, bool dry_run) = 0;
  // Takes a base now; returns when it has been started.
  virtual absl::Status TakeBase(const std::string& name) = 0;

  virtual std::vector<TaskStatus> Status() const = 0;

  // The server stops: whatever waits for a store ends with CANCELLED, in any thread, a START under way too; nothing
  // goes on after it but Status. Does not wait.
  virtual void CancelAll() = 0;

  // Calls `done` exactly once, perhaps before returning, with one outcome a task, unless cancelled first. NOT_FOUND in
  // the return value (and no call of `done`) when a named task does not exist or, with none named, there is none.
  using FlushDone = std::function<void(std::vector<FlushOutcome>)>;
  virtual absl::StatusOr<uint64_t> Flush(const FlushRequest& request, FlushDone done) = 0;
  // The caller has gone: `done` will not be called any more.
  virtual void CancelFlush(uint64_t id) = 0;
  // Flush and wait, for threads that may block.
  absl::StatusOr<std::vector<FlushOutcome>> FlushAndWait(const FlushRequest& request);

  // Called after every flush that moved a checkpoint. Returns an id for Unsubscribe, which waits for a call under way.
  virtual uint64_t Subscribe(std::function<void(const FlushEvent&)> listener) = 0;
  virtual void Unsubscribe(uint64_t id) = 0;

  // Greatest RPO over the tasks, microseconds; nullopt when there is none.
  std::optional<uint64_t> Rpo() const;
};

}  // namespace tidemark::backup
