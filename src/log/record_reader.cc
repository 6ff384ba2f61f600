#include "log/record_reader.h"

#include <algorithm>

namespace tidemark::log {

absl::StatusOr<std::unique_ptr<RecordReader>> RecordReader::Open(FileSystem& fs, const std::string& path,
                                                                 const format::SegmentId& id) {
  TM_ASSIGN_OR_RETURN(std::unique_ptr<File> file, fs.Open(path, FileSystem::Mode::kRead));
  char bytes[format::kSegmentHeaderSize];
  TM_ASSIGN_OR_RETURN(const size_t count, file->Read(0, sizeof(bytes), bytes));
  const absl::StatusOr<format::SegmentHeader> header = format::DecodeSegmentHeader({bytes, count});
  if (!header.ok()) {
    return Errorf(header.status().code(), "{}, byte offset 0: {}", path, Message(header.status()));
  }
  if (header->timeline != id.timeline || header->base != id.base) {
    return Errorf(absl::StatusCode::kDataLoss, "{}, byte offset 0: the header is that of timeline {}, LSN {}", path,
                  header->timeline.value, header->base.value);
  }
  TM_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  std::unique_ptr<RecordReader> reader(new RecordReader(std::move(file), path));
  reader->header_ = *header;
  reader->room_end_ = header->base + (size - format::kSegmentHeaderSize);
  return reader;
}

absl::Status RecordReader::Fill(Lsn at, size_t count) {
  if (buffer_.size() < count) buffer_.resize(count);
  buffered_ = 0;
  TM_ASSIGN_OR_RETURN(buffered_, file_->Read(FileOffset(at), count, buffer_.data()));
  buffer_at_ = at;
  return absl::OkStatus();
}

absl::StatusOr<RecordReader::Result> RecordReader::Read(Lsn at, Lsn limit) {
  Result result{format::RecordState::kShort, {}, {}};
  const uint64_t allowed = limit > at ? limit - at : 0;
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::string_view bytes;
    if (at >= buffer_at_ && at < buffer_at_ + buffered_) {
      bytes = std::string_view(buffer_).substr(at - buffer_at_, buffered_ - (at - buffer_at_));
    }
    bytes = bytes.substr(0, allowed);
    result.state = format::ParseRecord(bytes, at, &result.header);
    if (result.state == format::RecordState::kWhole) result.raw = bytes.substr(0, result.header.size());
    if (result.state != format::RecordState::kShort) return result;
    const uint64_t needed = bytes.size() < format::kRecordHeaderSize ? format::kRecordHeaderSize : result.header.size();
    if (needed > allowed || needed <= bytes.size()) return result;
    TM_RETURN_IF_ERROR(Fill(at, std::min<uint64_t>(allowed, std::max<uint64_t>(needed, kChunk))));
    if (buffered_ < needed) return result;
  }
  return result;
}

absl::StatusOr<std::string_view> RecordReader::ReadBytes(Lsn at, size_t count) {
  TM_RETURN_IF_ERROR(Fill(at, count));
  return std::string_view(buffer_).substr(0, buffered_);
}

}  // namespace tidemark::log
