// The driver of the lease table: persists what it says (file `leases`), deletes the segments it names, reports what
// broke.
//
// Locks: persist_mutex_ is held over every step that writes the file or deletes segments, so a take never runs between
// the purge's decision and its deletions; table_mutex_ guards the table and is never held over file work, so a raise
// never waits for a disk. Order: persist_mutex_ before table_mutex_.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "env/clock.h"
#include "env/file.h"
#include "log/lease_table.h"
#include "log/progress.h"
#include "log/segment.h"

namespace tidemark::log {

class Retention {
 public:
  using Notice = std::function<void(std::string_view)>;

  // What the folder's leases file says; an empty one when there is none. DATA_LOSS, naming it, when it is damaged.
  static absl::StatusOr<format::LeaseFile> ReadFile(FileSystem& fs, const std::string& folder);
  static absl::Status WriteFile(FileSystem& fs, const std::string& folder, const format::LeaseFile& file);

  // `segments` and `progress` are those of the open log. `notice` is told of every lease that breaks.
  Retention(FileSystem& fs, Clock& clock, std::string folder, SegmentList& segments, const Progress& progress,
            const format::LeaseFile& file, Timestamp last_timestamp, uint64_t retain_size, Notice notice);

  void Rotated(Lsn base);
  void SetRetainSize(uint64_t bytes);

  absl::Status Take(const Lease& lease);
  absl::Status Raise(std::string_view name, Lsn position);
  absl::Status Release(std::string_view name);
  std::vector<Lease> Leases() const;

  // Breaks what is past its cap, persists, deletes. Returns the bytes freed.
  absl::StatusOr<uint64_t> Purge();
  // Writes the file once more, with the durable LSN as it stands: evidence for the next recovery.
  absl::Status PersistNow();

  uint64_t broken_count() const;
  uint64_t purged_segments() const { return purged_segments_.load(std::memory_order_relaxed); }

 private:
  absl::Status Persist();
  absl::StatusOr<uint64_t> Delete(Lsn base);

  FileSystem& fs_;
  const std::string folder_;
  SegmentList& segments_;
  const Progress& progress_;
  const Notice notice_;
  // Keeps a jump of the wall clock from aging every lease at once.
  HybridClock clock_;
  std::atomic<uint64_t> purged_segments_{0};

  std::mutex persist_mutex_;
  mutable std::mutex table_mutex_;
  LeaseTable table_;
};

}  // namespace tidemark::log
