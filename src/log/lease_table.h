// The retention leases and the decision what may be purged, as a state machine: no threads, no clock, no files. The
// driver (retention.h) feeds it events, writes down what it says, deletes what it says, and tells it when that is done.
//
// Invariants, for any order of events and a crash between any two:
//   1. What Deletable names lies wholly below every unbroken lease that was acknowledged, at its acknowledged position.
//   2. A position counts for the purge once it is persisted: until then the one on disk holds too.
//   3. A required lease is never broken, a bounded one only past its cap, and the cause stays with it.
//   4. The segment that holds the durable end is never deleted, so there always is one whose header is durable.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "format/lease_file.h"
#include "log/log.h"

namespace tidemark::log {

class LeaseTable {
 public:
  // `bases`: of the segments there are, oldest first, at least one. `now`: leases found in `file` count as touched now,
  // since their holders could not raise them while the process was away.
  LeaseTable(const format::LeaseFile& file, std::vector<Lsn> bases, Lsn end, uint64_t now_micros);

  // What the log does.
  void SetEnd(Lsn appended, Lsn durable);
  void Rotated(Lsn base);
  void SetRetainSize(uint64_t bytes) { retain_size_ = bytes; }

  // A lease is taken in three steps: BeginTake reserves (from here on the purge minds it), the driver persists, and
  // EndTake checks again; CancelTake when persisting failed. One at a time.
  absl::Status BeginTake(const Lease& lease, uint64_t now_micros);
  absl::Status EndTake(std::string_view name);
  void CancelTake(std::string_view name);
  // At or below its position: only touches the lease.
  absl::Status Raise(std::string_view name, Lsn position, uint64_t now_micros);
  // The lease holds until the release is persisted.
  absl::Status Release(std::string_view name);

  // Breaks bounded leases that are past their cap; returns them with the cause. Persist before Deletable.
  std::vector<Lease> Tick(uint64_t now_micros);

  // Something that the purge could use is not on disk yet.
  bool dirty() const { return dirty_; }
  // What to persist; Persisted says that the last Snapshot is durable.
  format::LeaseFile Snapshot();
  void Persisted();

  // Bases of the segments that may go now, oldest first. Ask and delete without a take in between.
  std::vector<Lsn> Deletable() const;
  void Deleted(Lsn base);

  std::vector<Lease> Leases() const;
  Lsn oldest() const { return bases_.front(); }
  uint64_t broken_count() const { return broken_count_; }

 private:
  struct Entry {
    Lease lease;
    bool releasing = false;
    // What the file says, if it says that the lease holds, and what the snapshot under way will say.
    std::optional<Lsn> on_disk;
    std::optional<Lsn> in_snapshot;
    // A take under way: what to go back to; nothing inside when the name is new.
    bool taking = false;
    std::optional<Lease> before;
  };

  absl::StatusOr<Entry*> FindHolding(std::string_view name);
  // The lowest position that the entry holds, in memory or on disk.
  static std::optional<Lsn> Held(const Entry& entry);

  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<Lsn> bases_;
  Lsn end_;
  Lsn durable_;
  uint64_t retain_size_ = 0;
  uint64_t broken_count_ = 0;
  bool dirty_ = false;
};

}  // namespace tidemark::log
