// Makes segment files: the next one ahead of time and aside, so that a rotation is a header and a rename.
//
// On disk: `next.tmp`, room for segment_size bytes of records reserved and synced; it gets its header and its name when
// it is used. A record larger than a segment gets a file of its own size by way of `large.tmp`. Both are rubbish at
// Open. Threads: any; one mutex guards everything and is held while a file is made.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"
#include "env/clock.h"
#include "env/file.h"
#include "format/log_format.h"
#include "log/segment.h"

namespace tidemark::log {

class SegmentMaker {
 public:
  // `retry_micros`: after a failure Make does not try again by itself for so long, and answers with that failure.
  SegmentMaker(FileSystem& fs, Clock& clock, std::string folder, uint64_t segment_size, uint64_t retry_micros);

  // Makes the next file ready, unless it is. RESOURCE_EXHAUSTED when the disk is full.
  absl::Status Prepare();
  // The segment that `header` describes (its capacity is set here), with room for at least `record_bytes`: header
  // written and file named, neither synced. On failure nothing has changed.
  absl::StatusOr<std::shared_ptr<Segment>> Make(format::SegmentHeader header, uint64_t record_bytes);
  // Makes room for `record_bytes` in a segment that holds no record yet.
  absl::Status Grow(Segment& segment, format::SegmentHeader header, uint64_t record_bytes);
  // Removes what was prepared and what an earlier process has left.
  void Discard();

  // The last attempt to prepare met a full disk.
  bool disk_full() const { return disk_full_.load(std::memory_order_relaxed); }

 private:
  absl::Status PrepareLocked();
  absl::StatusOr<std::unique_ptr<File>> Create(const std::string& name, uint64_t record_bytes);
  absl::Status Explain(const absl::Status& status, uint64_t record_bytes) const;

  FileSystem& fs_;
  Clock& clock_;
  const std::string folder_;
  const uint64_t segment_size_;
  const uint64_t retry_micros_;
  std::atomic<bool> disk_full_{false};

  std::mutex mutex_;
  // Guarded by mutex_.
  std::unique_ptr<File> prepared_;
  absl::Status last_failure_;
  uint64_t next_try_micros_ = 0;
};

}  // namespace tidemark::log
