#include "log/inspect.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <optional>

#include "format/write_batch.h"
#include "log/record_reader.h"
#include "log/retention.h"

namespace tidemark::log {
namespace {

// Printable bytes as they are, the rest as \xNN, long strings cut: rows hold binary keys.
std::string Readable(std::string_view bytes) {
  constexpr size_t kShown = 64;
  std::string out = "\"";
  for (const char c : bytes.substr(0, kShown)) {
    const bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
    out += plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
  }
  out += '"';
  if (bytes.size() > kShown) out += fmt::format("… ({} bytes)", bytes.size());
  return out;
}

absl::StatusOr<std::vector<FoundSegment>> SegmentsAt(FileSystem& fs, const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (const auto id = format::ParseSegmentName(name)) return std::vector<FoundSegment>{{path, *id}};
  return ListSegments(fs, path);
}

// Where a walk stands.
struct Position {
  Lsn at;
  std::optional<uint32_t> crc;
};

// Shows the whole records of one segment from position->at on. False when the walk ends in it.
absl::StatusOr<bool> WalkSegment(RecordReader& reader, Lsn limit, Position* position,
                                 const std::function<bool(const InspectedRecord&)>& show) {
  while (position->at < limit) {
    TM_ASSIGN_OR_RETURN(const RecordReader::Result found, reader.Read(position->at, limit));
    if (found.state != format::RecordState::kWhole) return false;
    InspectedRecord record;
    record.header = found.header;
    record.follows = !position->crc || *position->crc == found.header.previous_crc;
    record.payload = found.raw.substr(format::kRecordHeaderSize);
    record.path = reader.path();
    record.file_offset = reader.FileOffset(position->at);
    if (!show(record)) return false;
    position->crc = found.header.crc;
    position->at = position->at + found.header.size();
    if (!record.follows) return false;
  }
  return true;
}

// Shows the whole records from position->at on, to where their chain breaks or `show` has enough.
absl::Status Walk(FileSystem& fs, const std::vector<FoundSegment>& segments, Position* position,
                  const std::function<bool(const InspectedRecord&)>& show) {
  size_t i = segments.size() - 1;
  while (i > 0 && segments[i].id.base > position->at) --i;
  for (; i < segments.size(); ++i) {
    const auto reader = RecordReader::Open(fs, segments[i].path, segments[i].id);
    if (absl::IsDataLoss(reader.status())) return absl::OkStatus();
    TM_RETURN_IF_ERROR(reader.status());
    if (segments[i].id.base >= position->at) {
      if (segments[i].id.base != position->at) return absl::OkStatus();
      if (!position->crc) position->crc = (*reader)->header().previous_crc;
      if (*position->crc != (*reader)->header().previous_crc) return absl::OkStatus();
    }
    const Lsn limit = i + 1 < segments.size() ? segments[i + 1].id.base : (*reader)->room_end();
    TM_ASSIGN_OR_RETURN(const bool went_on, WalkSegment(**reader, limit, position, show));
    if (!went_on) return absl::OkStatus();
  }
  return absl::OkStatus();
}

// The LSN in the name of a tail that was saved aside (recovery.cc, SaveAside).
std::optional<Lsn> ParseTailName(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  uint64_t lsn = 0;
  uint64_t micros = 0;
  int length = 0;
  if (std::sscanf(name.c_str(), "torn-%16" SCNx64 "-%" SCNu64 ".bak%n", &lsn, &micros, &length) != 2) return {};
  if (static_cast<size_t>(length) != name.size()) return {};
  return Lsn{lsn};
}

// The records of such a file, which has no header.
absl::StatusOr<InspectSummary> InspectTail(FileSystem& fs, const std::string& path, Lsn at,
                                           const InspectOptions& options,
                                           const std::function<void(const InspectedRecord&)>& show) {
  TM_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(fs, path));
  InspectSummary summary;
  uint64_t offset = 0;
  std::optional<uint32_t> crc;
  while (summary.records < options.limit) {
    InspectedRecord record;
    const std::string_view rest = std::string_view(bytes).substr(offset);
    if (format::ParseRecord(rest, at + offset, &record.header) != format::RecordState::kWhole) break;
    record.follows = !crc || *crc == record.header.previous_crc;
    record.payload = rest.substr(format::kRecordHeaderSize, record.header.length);
    record.path = path;
    record.file_offset = offset;
    crc = record.header.crc;
    offset += record.header.size();
    if (record.header.lsn < options.from) continue;
    ++summary.records;
    show(record);
  }
  summary.end = at + offset;
  if (offset < bytes.size() && summary.records < options.limit) summary.torn = "no whole record begins there";
  return summary;
}

}  // namespace

std::string DescribePayload(std::string_view payload) {
  std::string out;
  format::WriteBatchReader reader(payload);
  format::WriteBatchEntry entry;
  using Kind = format::WriteBatchEntry::Kind;
  while (reader.Next(&entry)) {
    switch (entry.kind) {
      case Kind::kPut:
        out += fmt::format("    put {} = {}\n", Readable(entry.key), Readable(entry.value));
        break;
      case Kind::kDelete:
        out += fmt::format("    delete {}\n", Readable(entry.key));
        break;
      case Kind::kDeleteRange:
        out += fmt::format("    delete range {} to {}\n", Readable(entry.key), Readable(entry.value));
        break;
      case Kind::kLogData:
        out += fmt::format("    note {}\n", Readable(entry.key));
        break;
    }
  }
  if (!reader.status().ok()) out += fmt::format("    not a write batch: {}\n", Message(reader.status()));
  return out;
}

absl::StatusOr<InspectSummary> Inspect(FileSystem& fs, const std::string& path, const InspectOptions& options,
                                       const std::function<void(const InspectedRecord&)>& show) {
  if (const auto tail = ParseTailName(path)) return InspectTail(fs, path, *tail, options, show);
  TM_ASSIGN_OR_RETURN(const std::vector<FoundSegment> segments, SegmentsAt(fs, path));
  if (segments.empty()) return InvalidArgument("{} holds no log segment", path);
  const bool folder = segments[0].path != path;
  InspectSummary summary;
  bool limited = false;
  const auto show_some = [&](const InspectedRecord& record) {
    if (record.header.lsn < options.from) return true;
    limited = summary.records >= options.limit;
    if (limited) return false;
    ++summary.records;
    show(record);
    return true;
  };
  Position position{segments[0].id.base, std::nullopt};
  TM_RETURN_IF_ERROR(Walk(fs, segments, &position, show_some));
  summary.end = position.at;
  if (limited) return summary;
  Lsn known_durable;
  if (folder) {
    TM_ASSIGN_OR_RETURN(const format::LeaseFile leases, Retention::ReadFile(fs, path));
    known_durable = leases.durable;
  }
  const absl::StatusOr<EndOfLog> end = JudgeEnd(fs, folder ? path : segments[0].path, segments, known_durable);
  summary.verdict = end.status();
  if (!end.ok()) return summary;
  if (end->torn) summary.torn = end->torn_cause;
  // The judge looks from the last durable segment on; the walk above came through all of them. A log that a server
  // writes to has grown in between, so only what is still broken now is damage.
  if (position.at < end->end) {
    TM_RETURN_IF_ERROR(Walk(fs, segments, &position, show_some));
    summary.end = position.at;
  }
  if (position.at < end->end && !limited) {
    size_t i = segments.size() - 1;
    while (segments[i].id.base > position.at) --i;
    summary.verdict =
        Errorf(absl::StatusCode::kDataLoss,
               "the log is damaged at LSN {}: {}, byte offset {}: the chain of whole records breaks there",
               position.at.value, segments[i].path, format::kSegmentHeaderSize + (position.at - segments[i].id.base));
  }
  return summary;
}

absl::StatusOr<CutReport> Cut(FileSystem& fs, Clock& clock, const std::string& folder, Lsn at,
                              std::optional<Timeline> timeline) {
  TM_ASSIGN_OR_RETURN(const std::shared_ptr<void> lock, fs.Lock(folder + "/LOCK"));
  TM_ASSIGN_OR_RETURN(const std::vector<FoundSegment> segments, ListSegments(fs, folder));
  const auto later = [&](const FoundSegment& segment) { return timeline && segment.id.timeline > *timeline; };
  if (segments.empty() || at < segments[0].id.base || later(segments[0])) {
    return Errorf(absl::StatusCode::kOutOfRange, "the log in {} does not have LSN {}", folder, at.value);
  }
  size_t index = segments.size() - 1;
  while (segments[index].id.base > at || later(segments[index])) --index;
  // A cut at the base of a segment keeps that segment, unless its header is what is damaged: then the one before ends
  // there.
  auto reader = RecordReader::Open(fs, segments[index].path, segments[index].id);
  if (absl::IsDataLoss(reader.status()) && index > 0 && at == segments[index].id.base) {
    --index;
    reader = RecordReader::Open(fs, segments[index].path, segments[index].id);
  }
  TM_RETURN_IF_ERROR(reader.status());
  if (at > (*reader)->room_end()) {
    return Errorf(absl::StatusCode::kOutOfRange, "the log in {} does not have LSN {}", folder, at.value);
  }
  Position position{segments[index].id.base, (*reader)->header().previous_crc};
  TM_RETURN_IF_ERROR(
      WalkSegment(**reader, at, &position, [](const InspectedRecord& record) { return record.follows; }).status());
  if (position.at != at) {
    return InvalidArgument("no record begins at LSN {}: the chain of whole records in {} goes up to {}", at.value,
                           segments[index].path, position.at.value);
  }
  // First the word that more was durable, else a crash on the way leaves a log that counts as damaged.
  TM_ASSIGN_OR_RETURN(format::LeaseFile leases, Retention::ReadFile(fs, folder));
  leases.durable = std::min(leases.durable, at);
  TM_RETURN_IF_ERROR(Retention::WriteFile(fs, folder, leases));
  return CutLog(fs, folder, segments, index, at, clock.WallMicros());
}

}  // namespace tidemark::log
