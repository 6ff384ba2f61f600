// Reads records out of one segment file in large chunks. What recovery, cursors and `wal inspect` share.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "env/file.h"
#include "format/log_format.h"

namespace tidemark::log {

// One thread at a time.
class RecordReader {
 public:
  struct Result {
    format::RecordState state;
    format::RecordHeader header;
    // The record with its header when state is kWhole; valid until the next call.
    std::string_view raw;
  };

  // Opens the file and reads its header. DATA_LOSS, naming the file, when the header is not that of `id`; NOT_FOUND.
  static absl::StatusOr<std::unique_ptr<RecordReader>> Open(FileSystem& fs, const std::string& path,
                                                            const format::SegmentId& id);

  // Looks at the record at `at`, not reading at or above `limit`. Errors are of the file system only.
  absl::StatusOr<Result> Read(Lsn at, Lsn limit);
  // The bytes from `at` on, at most `count`; fewer at the end of the file. Valid until the next call.
  absl::StatusOr<std::string_view> ReadBytes(Lsn at, size_t count);

  const format::SegmentHeader& header() const { return header_; }
  const std::string& path() const { return path_; }
  uint64_t FileOffset(Lsn lsn) const { return format::kSegmentHeaderSize + (lsn - header_.base); }
  // Where the room in the file ends.
  Lsn room_end() const { return room_end_; }

 private:
  static constexpr size_t kChunk = 1 << 20;

  RecordReader(std::unique_ptr<File> file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  absl::Status Fill(Lsn at, size_t count);

  std::unique_ptr<File> file_;
  const std::string path_;
  format::SegmentHeader header_;
  Lsn room_end_;
  std::string buffer_;
  Lsn buffer_at_;
  size_t buffered_ = 0;
};

}  // namespace tidemark::log
