// The log: the one ordered sequence of records that everything else reads. See docs/formats/log.md for the bytes.
//
// Positions, always appended ≥ written ≥ durable:
//   appended  end of the last record accepted into memory
//   written   end of what has been handed to the operating system: survives the death of the process
//   durable   end of what fdatasync has confirmed: survives a power failure
//
// Threads: Reserve, Append, AppendReceived and StartTimeline are called by one thread at a time (the engine's commit
// lock); everything else from any. Syncing never takes a lock that Append or Write needs for longer than reading a
// position.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "env/clock.h"
#include "env/file.h"

namespace tidemark::log {

enum class Durability { kAlways, kEverySecond, kNo };

// Where a log begins that continues another one: after a restore, on a new timeline.
struct LogStart {
  Timeline timeline;
  Lsn base;
  uint32_t previous_crc = 0;  // CRC field of the record that ends at `base`
  Timestamp last_timestamp;   // of that record: the log's timestamps are later
};

struct LogOptions {
  std::string folder;
  // For a folder without segments; not looked at otherwise. None: the origin, on the first timeline.
  std::optional<LogStart> start{};
  // Bytes of records a segment holds; a record that is larger gets a segment of its own size.
  uint64_t segment_size = 64ull << 20;
  // Bytes of log kept below the lowest lease all the same.
  uint64_t retain_size = 64ull << 20;
  std::chrono::milliseconds purge_interval{1000};
  Durability durability = Durability::kEverySecond;
  // The records came from another node, so the durable LSNs in them say what that one knew: after a crash of this one
  // they are no evidence that bytes behind a break were durable here. What is cut comes again.
  bool received = false;
  // False in simulations: nothing runs by itself, SyncTo syncs in the caller's thread.
  bool background_threads = true;
  // Called, from any thread, with what an operator should know: a lease that broke, a disk that filled. Standard error
  // when not set.
  std::function<void(std::string_view)> on_notice;
  // Called when a write or a sync has failed, so that memory may be ahead of the disk; nothing becomes durable after
  // it. When not set, the message goes to standard error and the process aborts. For tests.
  std::function<void(std::string_view)> on_fatal;
};

// How far a cursor reads.
enum class ReadLimit {
  kDurable,  // the rule: what no power failure takes back
  kWritten,  // inspection of a log of one's own
};

// One record as read; the views point into the reader's buffer and last until its next call.
struct Record {
  Lsn lsn;
  Lsn end;
  Timeline timeline;
  Timestamp timestamp;
  std::string_view payload;
  // The record as it stands in the segment, header included: what replicas and archive receive.
  std::string_view raw;
};

struct RecoveryReport {
  Lsn end;
  Timestamp last_timestamp;
  Timeline timeline;
  // Set when a torn tail was cut: how many bytes, where it began, and the file it was saved to.
  uint64_t torn_bytes = 0;
  Lsn torn_at;
  std::string saved_to;
};

enum class LeaseClass : uint8_t {
  kRequired,  // never broken
  kBounded,   // broken, knowingly, past its cap of bytes or age
};

struct Lease {
  std::string name{};
  LeaseClass lease_class = LeaseClass::kRequired;
  Lsn position{};
  // Bounded leases: 0 means no cap of that kind.
  uint64_t max_bytes = 0;
  uint64_t max_age_micros = 0;
  // Wall time of the last Take or Raise, for the cap on age.
  uint64_t touched_micros = 0;
  // Not empty once broken: why. A broken lease holds nothing and stays listed until released.
  std::string broken{};
};

class Cursor {
 public:
  virtual ~Cursor() = default;
  // The next record, waiting up to `wait` for one to become durable. DEADLINE_EXCEEDED when none came, CANCELLED after
  // Cancel or when the log closes, DATA_LOSS (file and offset named) for damage, OUT_OF_RANGE when the position was
  // purged.
  virtual absl::StatusOr<Record> Next(std::chrono::milliseconds wait) = 0;
  // LSN of the record that the next call of Next returns.
  virtual Lsn position() const = 0;
  // Ends a waiting Next, now and for ever. From any thread.
  virtual void Cancel() = 0;
};

class Log {
 public:
  virtual ~Log() = default;

  // Opens or creates the log in options.folder and finds its end. A torn tail is saved aside, cut and reported; damage
  // below what was known durable is DATA_LOSS that names file, offset and the way on (`tidemark wal inspect|cut`).
  // `fs` and `clock` outlive the log.
  static absl::StatusOr<std::unique_ptr<Log>> Open(FileSystem& fs, Clock& clock, const LogOptions& options,
                                                   RecoveryReport* report);

  // Makes sure that one record of `payload_bytes` can be appended and written without meeting a full disk.
  // RESOURCE_EXHAUSTED when there is no room; a later call succeeds by itself once there is.
  virtual absl::Status Reserve(size_t payload_bytes) = 0;
  // The LSN that the next Append gives its record.
  virtual Lsn next_lsn() const = 0;
  // Adds a record in memory. Needs a Reserve of at least this size since the last Append. Timestamps must rise.
  virtual Lsn Append(Timestamp timestamp, std::string_view payload) = 0;
  // Adds a whole record as another node's log has it (Record::raw), header and all; reserves room itself. Its LSN must
  // be the end of this log and its chain go on from the last record: DATA_LOSS otherwise, and nothing has changed. A
  // record of a later timeline starts that timeline. RESOURCE_EXHAUSTED as Reserve. Called as Append is.
  virtual absl::Status AppendReceived(std::string_view raw) = 0;
  // Records from here on belong to `timeline`, a later one. Called as Append is.
  virtual void StartTimeline(Timeline timeline) = 0;
  // The end, and the record that ends there: what a log that goes on from here has to be joined to. Not beside Append.
  struct Tail {
    Lsn end;
    uint32_t crc = 0;  // CRC field of the last record; 0 for a log without any
    Timestamp timestamp;
  };
  virtual Tail tail() const = 0;
  // Hands everything appended to the operating system in one write. Waits where the disk is unexpectedly full; any
  // other failure stops the process, since memory is then ahead of the log.
  virtual void Write() = 0;

  virtual Lsn appended() const = 0;
  virtual Lsn written() const = 0;
  virtual Lsn durable() const = 0;
  // LSN of the oldest record still kept.
  virtual Lsn oldest() const = 0;
  // That of the records being appended.
  virtual Timeline timeline() const = 0;

  // Asks for a sync that covers `position` (which Write has reached) at once, whatever the durability configured,
  // without waiting for it. Syncs are shared.
  virtual void RequestSync(Lsn position) = 0;
  // Waits until durable() ≥ position; writes first if need be.
  virtual absl::Status SyncTo(Lsn position) = 0;
  // Called on the sync thread after durable() has advanced. Set before the first Append.
  virtual void SetDurableListener(std::function<void(Lsn durable)> listener) = 0;
  virtual void SetDurability(Durability durability) = 0;
  virtual void SetRetention(uint64_t retain_size, std::chrono::milliseconds purge_interval) = 0;

  // `from` is the LSN of a record or the end of the log. OUT_OF_RANGE when it is purged or beyond the end.
  virtual absl::StatusOr<std::unique_ptr<Cursor>> OpenCursor(Lsn from, ReadLimit limit) = 0;
  absl::StatusOr<std::unique_ptr<Cursor>> OpenCursor(Lsn from) { return OpenCursor(from, ReadLimit::kDurable); }

  // Leases: reserve, publish, check again. Durable when the call returns. FAILED_PRECONDITION when the log no longer
  // has `position`. Taking a name that exists moves it, and fails if that would go back over what was purged.
  virtual absl::Status TakeLease(const Lease& lease) = 0;
  // Raises in memory at once; persisted before the purge makes use of it. NOT_FOUND, or FAILED_PRECONDITION when
  // broken.
  virtual absl::Status RaiseLease(std::string_view name, Lsn position) = 0;
  virtual absl::Status ReleaseLease(std::string_view name) = 0;
  virtual std::vector<Lease> Leases() const = 0;
  // One purge now (besides the timer). Returns the bytes freed.
  virtual absl::StatusOr<uint64_t> Purge() = 0;

  struct Stats {
    uint64_t segments = 0;
    uint64_t bytes_on_disk = 0;
    uint64_t syncs = 0;
    uint64_t writes = 0;
    uint64_t records = 0;
    uint64_t last_sync_micros = 0;
    uint64_t purged_segments = 0;
    uint64_t leases_broken = 0;
    bool disk_full = false;
  };
  virtual Stats stats() const = 0;
};

}  // namespace tidemark::log
