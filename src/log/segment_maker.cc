#include "log/segment_maker.h"

#include <algorithm>

namespace tidemark::log {
namespace {

constexpr const char* kNext = "next.tmp";
constexpr const char* kLarge = "large.tmp";

}  // namespace

SegmentMaker::SegmentMaker(FileSystem& fs, Clock& clock, std::string folder, uint64_t segment_size,
                           uint64_t retry_micros)
    : fs_(fs), clock_(clock), folder_(std::move(folder)), segment_size_(segment_size), retry_micros_(retry_micros) {}

absl::Status SegmentMaker::Explain(const absl::Status& status, uint64_t record_bytes) const {
  if (!absl::IsResourceExhausted(status)) return status;
  return Errorf(absl::StatusCode::kResourceExhausted,
                "no room for the next log segment of {} bytes: {}. Writes resume by themselves when there is room",
                format::kSegmentHeaderSize + record_bytes, Message(status));
}

absl::StatusOr<std::unique_ptr<File>> SegmentMaker::Create(const std::string& name, uint64_t record_bytes) {
  const std::string path = folder_ + "/" + name;
  if (absl::Status removed = fs_.Remove(path); !removed.ok() && !absl::IsNotFound(removed)) return removed;
  TM_ASSIGN_OR_RETURN(std::unique_ptr<File> file, fs_.Open(path, FileSystem::Mode::kCreateNew));
  absl::Status made = file->Allocate(format::kSegmentHeaderSize + record_bytes);
  if (made.ok()) made = file->Sync();
  if (made.ok()) return file;
  // A part that was reserved would keep the disk full.
  file.reset();
  fs_.Remove(path).IgnoreError();
  return made;
}

absl::Status SegmentMaker::PrepareLocked() {
  if (prepared_ != nullptr) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<File>> file = Create(kNext, segment_size_);
  disk_full_ = absl::IsResourceExhausted(file.status());
  if (!file.ok()) {
    last_failure_ = Explain(file.status(), segment_size_);
    next_try_micros_ = clock_.MonotonicMicros() + retry_micros_;
    return last_failure_;
  }
  last_failure_ = absl::OkStatus();
  prepared_ = std::move(*file);
  return absl::OkStatus();
}

absl::Status SegmentMaker::Prepare() {
  const std::lock_guard lock(mutex_);
  return PrepareLocked();
}

absl::StatusOr<std::shared_ptr<Segment>> SegmentMaker::Make(format::SegmentHeader header, uint64_t record_bytes) {
  const std::lock_guard lock(mutex_);
  const bool large = record_bytes > segment_size_;
  std::unique_ptr<File> large_file;
  if (large) {
    absl::StatusOr<std::unique_ptr<File>> made = Create(kLarge, record_bytes);
    if (!made.ok()) return Explain(made.status(), record_bytes);
    large_file = std::move(*made);
  } else if (prepared_ == nullptr) {
    if (!last_failure_.ok() && clock_.MonotonicMicros() < next_try_micros_) return last_failure_;
    TM_RETURN_IF_ERROR(PrepareLocked());
  }
  std::unique_ptr<File>& file = large ? large_file : prepared_;
  header.capacity = std::max(record_bytes, segment_size_);
  char bytes[format::kSegmentHeaderSize];
  format::EncodeSegmentHeader(header, bytes);
  TM_RETURN_IF_ERROR(file->Write(0, {bytes, sizeof(bytes)}));
  auto segment = std::make_shared<Segment>();
  segment->path = folder_ + "/" + format::SegmentName(header.timeline, header.base);
  TM_RETURN_IF_ERROR(fs_.Rename(folder_ + "/" + (large ? kLarge : kNext), segment->path));
  segment->timeline = header.timeline;
  segment->base = header.base;
  segment->previous_crc = header.previous_crc;
  segment->capacity = header.capacity;
  segment->file = std::move(file);
  return segment;
}

absl::Status SegmentMaker::Grow(Segment& segment, format::SegmentHeader header, uint64_t record_bytes) {
  const absl::Status grown = segment.file->Allocate(format::kSegmentHeaderSize + record_bytes);
  if (!grown.ok()) return Explain(grown, record_bytes);
  header.capacity = record_bytes;
  char bytes[format::kSegmentHeaderSize];
  format::EncodeSegmentHeader(header, bytes);
  TM_RETURN_IF_ERROR(segment.file->Write(0, {bytes, sizeof(bytes)}));
  segment.capacity = record_bytes;
  return absl::OkStatus();
}

void SegmentMaker::Discard() {
  const std::lock_guard lock(mutex_);
  prepared_.reset();
  fs_.Remove(folder_ + "/" + kNext).IgnoreError();
  fs_.Remove(folder_ + "/" + kLarge).IgnoreError();
}

}  // namespace tidemark::log
