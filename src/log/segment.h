// One segment file of the log, and the list of all that there are.
#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/types.h"
#include "env/file.h"
#include "format/log_format.h"

namespace tidemark::log {

struct Segment {
  static constexpr uint64_t kOpenEnd = std::numeric_limits<uint64_t>::max();

  std::string path;
  Timeline timeline;
  Lsn base;
  // CRC field of the record before base.
  uint32_t previous_crc = 0;
  // Bytes of records that the file has room for. Written by the appending thread only.
  std::atomic<uint64_t> capacity{0};
  // LSN where the next segment begins; kOpenEnd while this is the last one.
  std::atomic<uint64_t> end{kOpenEnd};
  // Open for writing from creation until everything in it is durable. Reset by the syncing thread alone, when no write
  // can come any more.
  std::unique_ptr<File> file;
  // The folder has been synced since the file got its name. Syncing thread only.
  bool entry_synced = false;

  uint64_t FileOffset(Lsn lsn) const { return format::kSegmentHeaderSize + (lsn - base); }
};

// The segments in order of their positions. Thread-safe.
class SegmentList {
 public:
  void Add(std::shared_ptr<Segment> segment);
  // The segment that holds the byte at `lsn`, or the last one when `lsn` is the end; null below the oldest.
  std::shared_ptr<Segment> Find(Lsn lsn) const;
  // Oldest first.
  std::vector<std::shared_ptr<Segment>> All() const;
  // Those with an open file, oldest first: what a sync has to look at.
  std::vector<std::shared_ptr<Segment>> Unsynced() const;
  // Takes the oldest out of the list, if it begins at `base`.
  std::shared_ptr<Segment> RemoveOldest(Lsn base);
  Lsn oldest() const;

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_; sorted by base, never empty once the log is open.
  std::vector<std::shared_ptr<Segment>> segments_;
};

}  // namespace tidemark::log
