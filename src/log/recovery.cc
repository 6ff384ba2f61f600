#include "log/recovery.h"

#include <algorithm>
#include <memory>

#include "base/bytes.h"
#include "log/record_reader.h"

namespace tidemark::log {
namespace {

using format::RecordState;

constexpr size_t kChunk = 1 << 20;

bool AllZero(std::string_view bytes) {
  return bytes.empty() || (bytes[0] == 0 && std::equal(bytes.begin() + 1, bytes.end(), bytes.begin()));
}

// Walks the chain of whole records to where it ends or breaks, then looks for evidence behind the break.
class Walk {
 public:
  Walk(FileSystem& fs, std::string folder, std::vector<FoundSegment> segments, Lsn known_durable, bool own)
      : fs_(fs), folder_(std::move(folder)), own_(own), evidence_(known_durable) {
    found_.segments = std::move(segments);
  }

  absl::StatusOr<EndOfLog> Run() {
    TM_RETURN_IF_ERROR(ChooseStart());
    if (found_.torn) return JudgeBreak(0);
    size_t index = found_.first_walked;
    while (index < found_.segments.size()) {
      TM_ASSIGN_OR_RETURN(const bool went_on, WalkSegment(index));
      if (found_.torn) return JudgeBreak(index);
      if (!went_on) break;
      ++index;
    }
    return found_;
  }

 private:
  // DATA_LOSS only when the header is bad; its reader otherwise.
  absl::StatusOr<std::unique_ptr<RecordReader>> OpenSegment(size_t index) {
    return RecordReader::Open(fs_, found_.segments[index].path, found_.segments[index].id);
  }

  // The last segment before whose base everything is known to be durable; the first when none is.
  absl::Status ChooseStart() {
    size_t index = found_.segments.size();
    while (index > 0) {
      --index;
      const Lsn base = found_.segments[index].id.base;
      const auto reader = OpenSegment(index);
      if (!reader.ok() && !absl::IsDataLoss(reader.status())) return reader.status();
      if (!reader.ok()) {
        if (index == 0) Break(0, base, std::string(Message(reader.status())));
        continue;
      }
      evidence_ = std::max(evidence_, (*reader)->header().durable);
      found_.end = base;
      found_.last_crc = (*reader)->header().previous_crc;
      found_.timeline = (*reader)->header().timeline;
      if (evidence_ >= base) break;
    }
    found_.first_walked = index;
    return CheckBeforeStart();
  }

  // What is not walked is checked for segments that are missing: none can hold more than its file has room for.
  absl::Status CheckBeforeStart() {
    for (size_t i = 0; i < found_.first_walked; ++i) {
      const FoundSegment& segment = found_.segments[i];
      TM_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, fs_.Open(segment.path, FileSystem::Mode::kRead));
      TM_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
      const Lsn room_end = segment.id.base + (size - std::min<uint64_t>(size, format::kSegmentHeaderSize));
      if (found_.segments[i + 1].id.base > room_end) return Missing(i + 1, room_end);
    }
    return absl::OkStatus();
  }

  absl::Status Missing(size_t next, Lsn at) const {
    return Errorf(
        absl::StatusCode::kDataLoss,
        "the log lacks a segment: between {} and {}, the records from at most LSN {} to {} are gone. To go on "
        "without what follows them: tidemark wal cut {} --at LSN",
        found_.segments[next - 1].path, found_.segments[next].path, at.value, found_.segments[next].id.base.value,
        folder_);
  }

  void Break(size_t index, Lsn at, std::string cause) {
    found_.torn = true;
    found_.torn_cause = std::move(cause);
    found_.index = index;
    found_.end = at;
  }

  // True when the walk goes on in the next segment.
  absl::StatusOr<bool> WalkSegment(size_t index) {
    const auto opened = OpenSegment(index);
    if (!opened.ok() && !absl::IsDataLoss(opened.status())) return opened.status();
    const Lsn base = found_.segments[index].id.base;
    const bool first = index == found_.first_walked;
    if (!opened.ok() || (!first && (base != found_.end || (*opened)->header().previous_crc != found_.last_crc))) {
      // The log then ends where the segment before it does.
      const std::string cause =
          !opened.ok() ? std::string(Message(opened.status()))
                       : fmt::format("{} does not follow the record before it", found_.segments[index].path);
      Break(first ? index : index - 1, found_.end, cause);
      return false;
    }
    RecordReader& reader = **opened;
    evidence_ = std::max(evidence_, reader.header().durable);
    found_.index = index;
    found_.timeline = reader.header().timeline;
    const bool last = index + 1 == found_.segments.size();
    const Lsn limit = last ? reader.room_end() : found_.segments[index + 1].id.base;
    while (found_.end < limit) {
      TM_ASSIGN_OR_RETURN(const RecordReader::Result record, reader.Read(found_.end, limit));
      if (const std::string cause = Fault(record); !cause.empty()) {
        return EndOrBreak(reader, index, record.state, cause);
      }
      if (own_) evidence_ = std::max(evidence_, record.header.durable);
      found_.last_crc = record.header.crc;
      found_.last_timestamp = record.header.timestamp;
      found_.end = found_.end + record.header.size();
    }
    return !last;
  }

  // Why this is not the next record of the chain; empty when it is.
  std::string Fault(const RecordReader::Result& record) const {
    if (record.state == RecordState::kEnd) return "nothing was written there";
    if (record.state == RecordState::kShort) return "the record is longer than what is left of the segment";
    if (record.state == RecordState::kBad) return "position, length or CRC of the record is wrong";
    if (record.header.timeline != found_.timeline) return "the record is of another timeline";
    if (record.header.previous_crc != found_.last_crc) return "the record does not follow the one before it";
    return {};
  }

  // A clean end is one after which everything is zero, to the end of the last segment.
  absl::StatusOr<bool> EndOrBreak(RecordReader& reader, size_t index, RecordState state, const std::string& cause) {
    const bool last = index + 1 == found_.segments.size();
    if (last) {
      bool zero = state == RecordState::kEnd || state == RecordState::kShort;
      for (Lsn at = found_.end; zero && at < reader.room_end(); at = at + kChunk) {
        const size_t count = std::min<uint64_t>(kChunk, reader.room_end() - at);
        TM_ASSIGN_OR_RETURN(const std::string_view bytes, reader.ReadBytes(at, count));
        zero = AllZero(bytes);
      }
      if (zero && evidence_ <= found_.end) return false;
    }
    Break(index, found_.end, cause);
    return false;
  }

  absl::StatusOr<EndOfLog> JudgeBreak(size_t index) {
    const Lsn at = found_.end;
    for (size_t i = index; i < found_.segments.size() && evidence_ <= at; ++i) {
      TM_RETURN_IF_ERROR(SearchEvidence(i, i == found_.index ? at : found_.segments[i].id.base));
    }
    const FoundSegment& segment = found_.segments[found_.index];
    const uint64_t offset = format::kSegmentHeaderSize + (at - segment.id.base);
    // A first header is made durable before anything follows it.
    const bool no_start = found_.index == 0 && at == segment.id.base && !OpenSegment(0).ok();
    if (evidence_ > at || (no_start && at != format::kFirstLsn)) {
      return Errorf(absl::StatusCode::kDataLoss,
                    "the log is damaged at LSN {}: {}, byte offset {}: {}. Records up to LSN {} were durable. To look: "
                    "tidemark wal inspect {} --from {}. To go on without what follows: tidemark wal cut {} --at {}",
                    at.value, segment.path, offset, found_.torn_cause, evidence_.value, folder_, at.value, folder_,
                    at.value);
    }
    if (no_start) found_.index = found_.segments.size();
    return found_;
  }

  // Raises evidence_ by the whole records found anywhere from `from` on in segment `index`, and by its header.
  absl::Status SearchEvidence(size_t index, Lsn from) {
    const FoundSegment& segment = found_.segments[index];
    if (const auto reader = OpenSegment(index); reader.ok()) {
      evidence_ = std::max(evidence_, (*reader)->header().durable);
    }
    if (!own_) return absl::OkStatus();
    TM_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, fs_.Open(segment.path, FileSystem::Mode::kRead));
    TM_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
    uint64_t offset = format::kSegmentHeaderSize + (from - segment.id.base);
    std::string chunk(std::min<uint64_t>(kChunk, size), '\0');
    while (offset + format::kRecordHeaderSize <= size) {
      TM_ASSIGN_OR_RETURN(const size_t count, file->Read(offset, chunk.size(), chunk.data()));
      if (count < format::kRecordHeaderSize) break;
      // Headers that begin in the last bytes of the chunk are met again at the front of the next one.
      const size_t candidates = count - format::kRecordHeaderSize + 1;
      if (!AllZero(std::string_view(chunk).substr(0, count))) {
        const Lsn at = segment.id.base + (offset - format::kSegmentHeaderSize);
        TM_RETURN_IF_ERROR(SearchChunk(*file, size, offset, at, std::string_view(chunk).substr(0, count), candidates));
      }
      offset += candidates;
    }
    return absl::OkStatus();
  }

  absl::Status SearchChunk(File& file, uint64_t size, uint64_t offset, Lsn at, std::string_view chunk,
                           size_t candidates) {
    for (size_t i = 0; i < candidates; ++i) {
      if (LoadLittle<uint64_t>(chunk.data() + i + 8) != at.value + i) continue;
      format::RecordHeader header = format::DecodeRecordHeader(chunk.data() + i);
      if (header.durable <= evidence_ || header.size() > size - (offset + i)) continue;
      std::string record(header.size(), '\0');
      TM_ASSIGN_OR_RETURN(const size_t count, file.Read(offset + i, record.size(), record.data()));
      record.resize(count);
      if (format::ParseRecord(record, at + i, &header) == RecordState::kWhole) evidence_ = header.durable;
    }
    return absl::OkStatus();
  }

  FileSystem& fs_;
  const std::string folder_;
  const bool own_;
  EndOfLog found_;
  // The highest LSN that anything shows to have been durable.
  Lsn evidence_;
};

// Copies what is not zero from `offset` to the end of the segment into a file of its own.
absl::Status SaveAside(FileSystem& fs, const std::string& folder, const FoundSegment& segment, uint64_t offset,
                       uint64_t now_micros, CutReport* report) {
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, fs.Open(segment.path, FileSystem::Mode::kRead));
  TM_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  std::string chunk(std::min<uint64_t>(kChunk, size), '\0');
  uint64_t end = offset;
  for (uint64_t at = offset; at < size;) {
    TM_ASSIGN_OR_RETURN(const size_t count, file->Read(at, chunk.size(), chunk.data()));
    if (count == 0) break;
    const size_t last = std::string_view(chunk).substr(0, count).find_last_not_of('\0');
    if (last != std::string_view::npos) end = at + last + 1;
    at += count;
  }
  if (end == offset) return absl::OkStatus();
  const Lsn lsn = segment.id.base + (offset - format::kSegmentHeaderSize);
  const std::string path = fmt::format("{}/torn-{:016x}-{}.bak", folder, lsn.value, now_micros);
  absl::StatusOr<std::unique_ptr<File>> out = fs.Open(path, FileSystem::Mode::kCreateNew);
  if (absl::IsAlreadyExists(out.status())) out = fs.Open(path, FileSystem::Mode::kReadWrite);
  TM_RETURN_IF_ERROR(out.status());
  for (uint64_t at = offset; at < end;) {
    TM_ASSIGN_OR_RETURN(const size_t count, file->Read(at, std::min<uint64_t>(chunk.size(), end - at), chunk.data()));
    TM_RETURN_IF_ERROR((*out)->Write(at - offset, std::string_view(chunk).substr(0, count)));
    at += count;
  }
  TM_RETURN_IF_ERROR((*out)->Sync());
  report->bytes += end - offset;
  if (report->saved_to.empty()) report->saved_to = path;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<FoundSegment>> ListSegments(FileSystem& fs, const std::string& folder) {
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(folder));
  std::vector<FoundSegment> segments;
  for (const std::string& name : names) {
    if (const auto id = format::ParseSegmentName(name)) segments.push_back({folder + "/" + name, *id});
  }
  std::sort(segments.begin(), segments.end(), [](const FoundSegment& a, const FoundSegment& b) {
    return std::tie(a.id.base, a.id.timeline) < std::tie(b.id.base, b.id.timeline);
  });
  return segments;
}

absl::StatusOr<EndOfLog> FindEnd(FileSystem& fs, const std::string& folder, Lsn known_durable, bool own) {
  TM_ASSIGN_OR_RETURN(std::vector<FoundSegment> segments, ListSegments(fs, folder));
  if (segments.empty()) {
    if (known_durable <= format::kFirstLsn) return EndOfLog{};
    return Errorf(absl::StatusCode::kDataLoss, "{} holds no segment, yet records up to LSN {} were durable there",
                  folder, known_durable.value);
  }
  return Walk(fs, folder, std::move(segments), known_durable, own).Run();
}

absl::StatusOr<EndOfLog> JudgeEnd(FileSystem& fs, const std::string& folder, std::vector<FoundSegment> segments,
                                  Lsn known_durable) {
  return Walk(fs, folder, std::move(segments), known_durable, /*own=*/true).Run();
}

absl::StatusOr<CutReport> CutLog(FileSystem& fs, const std::string& folder, const std::vector<FoundSegment>& segments,
                                 size_t index, Lsn at, uint64_t now_micros) {
  CutReport report;
  for (size_t i = index; i < segments.size(); ++i) {
    const uint64_t from = i == index ? at - segments[i].id.base : 0;
    TM_RETURN_IF_ERROR(SaveAside(fs, folder, segments[i], format::kSegmentHeaderSize + from, now_micros, &report));
  }
  TM_RETURN_IF_ERROR(fs.SyncFolder(folder));
  // The newest first, each durably, so that a crash never leaves a hole.
  for (size_t i = segments.size(); i > index + 1; --i) {
    TM_RETURN_IF_ERROR(fs.Remove(segments[i - 1].path));
    TM_RETURN_IF_ERROR(fs.SyncFolder(folder));
  }
  if (index == segments.size()) return report;
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, fs.Open(segments[index].path, FileSystem::Mode::kReadWrite));
  TM_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  TM_RETURN_IF_ERROR(file->Truncate(format::kSegmentHeaderSize + (at - segments[index].id.base)));
  // Without room the segment stays short, which is as good as full.
  if (absl::Status room = file->Allocate(size); !room.ok() && !absl::IsResourceExhausted(room)) return room;
  TM_RETURN_IF_ERROR(file->Sync());
  return report;
}

}  // namespace tidemark::log
