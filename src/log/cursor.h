// Reads the log in order, verifying every record, and waits at its end.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "log/log.h"
#include "log/progress.h"
#include "log/record_reader.h"
#include "log/segment.h"

namespace tidemark::log {

// Owns its own file handle, so a purge does not take the segment away under it. One thread at a time, but for Cancel.
class LogCursor final : public Cursor {
 public:
  LogCursor(FileSystem& fs, std::shared_ptr<SegmentList> segments, std::shared_ptr<Progress> progress, Lsn from,
            ReadLimit limit)
      : fs_(fs), segments_(std::move(segments)), progress_(std::move(progress)), limit_(limit), position_(from) {}

  absl::StatusOr<Record> Next(std::chrono::milliseconds wait) override;
  Lsn position() const override { return position_; }
  void Cancel() override;

 private:
  absl::StatusOr<Record> Read(Lsn limit);
  // Opens the segment that holds position_.
  absl::Status Enter();
  absl::Status Damaged(Lsn at, std::string_view cause) const;

  FileSystem& fs_;
  const std::shared_ptr<SegmentList> segments_;
  const std::shared_ptr<Progress> progress_;
  const ReadLimit limit_;
  std::atomic<bool> cancelled_{false};
  Lsn position_;
  std::shared_ptr<Segment> segment_;
  std::unique_ptr<RecordReader> reader_;
  // CRC field of the record before position_, once known.
  std::optional<uint32_t> previous_crc_;
};

}  // namespace tidemark::log
