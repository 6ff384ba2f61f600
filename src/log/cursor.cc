#include "log/cursor.h"

#include <algorithm>

namespace tidemark::log {

absl::StatusOr<Record> LogCursor::Next(std::chrono::milliseconds wait) {
  const bool to_written = limit_ == ReadLimit::kWritten;
  switch (cancelled_ ? Progress::Wait::kCancelled : progress_->WaitReadable(position_, to_written, wait, cancelled_)) {
    case Progress::Wait::kReached:
      return Read(to_written ? progress_->written() : progress_->durable());
    case Progress::Wait::kTimedOut:
      return Errorf(absl::StatusCode::kDeadlineExceeded, "no record became durable at LSN {}", position_.value);
    case Progress::Wait::kCancelled:
      return Errorf(absl::StatusCode::kCancelled, "the cursor was cancelled");
    case Progress::Wait::kClosed:
      break;
  }
  return Errorf(absl::StatusCode::kCancelled, "the log was closed");
}

void LogCursor::Cancel() {
  cancelled_ = true;
  progress_->WakeReaders();
}

absl::Status LogCursor::Enter() {
  reader_.reset();
  segment_ = segments_->Find(position_);
  const auto purged = [this] {
    return Errorf(absl::StatusCode::kOutOfRange, "LSN {} is purged: the log begins at {}", position_.value,
                  segments_->oldest().value);
  };
  if (segment_ == nullptr) return purged();
  auto reader = RecordReader::Open(fs_, segment_->path, {segment_->timeline, segment_->base});
  if (absl::IsNotFound(reader.status()) && position_ < segments_->oldest()) return purged();
  if (absl::IsDataLoss(reader.status())) return Damaged(segment_->base, Message(reader.status()));
  TM_RETURN_IF_ERROR(reader.status());
  reader_ = std::move(*reader);
  if (position_ != segment_->base) return absl::OkStatus();
  if (previous_crc_ && *previous_crc_ != reader_->header().previous_crc) {
    return Damaged(position_, "the segment does not follow the one before it");
  }
  previous_crc_ = reader_->header().previous_crc;
  return absl::OkStatus();
}

absl::Status LogCursor::Damaged(Lsn at, std::string_view cause) const {
  const std::string& path = segment_->path;
  const std::string folder = path.substr(0, path.rfind('/'));
  return Errorf(
      absl::StatusCode::kDataLoss,
      "the log is damaged at LSN {}: {}, byte offset {}: {}. To look: tidemark wal inspect {} --from {}. To go "
      "on without what follows, with no server running: tidemark wal cut {} --at {}",
      at.value, path, segment_->FileOffset(at), cause, folder, at.value, folder, at.value);
}

absl::StatusOr<Record> LogCursor::Read(Lsn limit) {
  if (reader_ == nullptr || position_.value >= segment_->end.load(std::memory_order_acquire)) {
    TM_RETURN_IF_ERROR(Enter());
  }
  limit = std::min(limit, Lsn{segment_->end.load(std::memory_order_acquire)});
  TM_ASSIGN_OR_RETURN(const RecordReader::Result found, reader_->Read(position_, limit));
  if (found.state != format::RecordState::kWhole) return Damaged(position_, "no whole record begins there");
  if (found.header.timeline != segment_->timeline) return Damaged(position_, "the record is of another timeline");
  if (previous_crc_ && *previous_crc_ != found.header.previous_crc) {
    return Damaged(position_, "the record does not follow the one before it");
  }
  previous_crc_ = found.header.crc;
  const Lsn lsn = position_;
  position_ = lsn + found.header.size();
  return Record{.lsn = lsn,
                .end = position_,
                .timeline = found.header.timeline,
                .timestamp = found.header.timestamp,
                .payload = found.raw.substr(format::kRecordHeaderSize),
                .raw = found.raw};
}

}  // namespace tidemark::log
