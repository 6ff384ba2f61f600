// The time below which no record may be stamped again, kept on disk. A closed timestamp ("nothing at or below it will
// follow") goes into an archive, but into no record: after a restart with the wall clock set back, nothing else would
// know of it.
//
// On disk: clock.floor in the data directory, docs/formats/clock.md. It is written ahead of what it promises, so that
// promises that follow one another within kStepMicros cost one small synced write.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/status.h"
#include "base/types.h"
#include "env/file.h"

namespace tidemark::engine {

class ClockFloor {
 public:
  static constexpr uint64_t kStepMicros = 2'000'000;

  // Reads what is there; the file is made with the first promise. `fs` outlives it.
  static absl::StatusOr<std::unique_ptr<ClockFloor>> Open(FileSystem& fs, const std::string& folder);

  // No record after a restart has a timestamp at or below it.
  Timestamp floor() const;
  // True: the file was there, but said nothing that could be read.
  bool was_damaged() const { return was_damaged_; }

  // When it returns OK, floor() of the next Open is at least `moment`. Any thread; waits for the disk once in
  // kStepMicros. On an error nothing is promised, and the next call tries again.
  absl::Status Promise(Timestamp moment);
  // Takes back what was written ahead: a clean stop knows that nothing beyond `moment` was promised. Not beside
  // Promise.
  absl::Status Settle(Timestamp moment);

 private:
  ClockFloor(FileSystem& fs, std::string folder) : fs_(fs), folder_(std::move(folder)) {}

  absl::Status Read();
  absl::Status Write(Timestamp floor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  FileSystem& fs_;
  const std::string folder_;
  bool was_damaged_ = false;

  mutable Mutex mutex_;
  std::unique_ptr<File> file_ ABSL_GUARDED_BY(mutex_);
  Timestamp floor_ ABSL_GUARDED_BY(mutex_);
  // A slot whose write was not synced is written again, never the one that counts.
  uint64_t next_slot_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tidemark::engine
