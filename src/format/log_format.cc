#include "format/log_format.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/hash.h"
#include "format/hex.h"

namespace tidemark::format {
namespace {

constexpr std::string_view kMagic = "TMLOGSEG";
constexpr size_t kCrcOffset = kSegmentHeaderSize - 4;
constexpr std::string_view kSuffix = ".log";

static_assert(kMagic.size() == 8);
static_assert(kRecordHeaderSize == 4 + 4 + 8 + 8 + 4 + 4 + 8);
static_assert(kSegmentHeaderSize == 8 + 4 + 4 + 8 + 8 + 4 + 4 + 8 + 8 + 4 + 4);

}  // namespace

void EncodeSegmentHeader(const SegmentHeader& header, char* out) {
  std::memset(out, 0, kSegmentHeaderSize);
  std::memcpy(out, kMagic.data(), kMagic.size());
  StoreLittle<uint32_t>(out + 8, kLogFormatVersion);
  StoreLittle<uint32_t>(out + 12, header.timeline.value);
  StoreLittle<uint64_t>(out + 16, header.base.value);
  StoreLittle<uint64_t>(out + 24, header.capacity);
  StoreLittle<uint32_t>(out + 32, header.previous_crc);
  StoreLittle<uint64_t>(out + 40, header.created_micros);
  StoreLittle<uint64_t>(out + 48, header.durable.value);
  StoreLittle<uint32_t>(out + kCrcOffset, Crc32c({out, kCrcOffset}));
}

absl::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderSize) {
    return Errorf(absl::StatusCode::kDataLoss, "segment header is cut short at {} bytes", bytes.size());
  }
  if (bytes.substr(0, kMagic.size()) != kMagic) {
    return Errorf(absl::StatusCode::kDataLoss, "segment header does not begin with {}", kMagic);
  }
  if (LoadLittle<uint32_t>(bytes.data() + kCrcOffset) != Crc32c(bytes.substr(0, kCrcOffset))) {
    return Errorf(absl::StatusCode::kDataLoss, "segment header fails its CRC");
  }
  if (const auto version = LoadLittle<uint32_t>(bytes.data() + 8); version != kLogFormatVersion) {
    return Errorf(absl::StatusCode::kUnimplemented, "segment has format version {}, this build reads {}", version,
                  kLogFormatVersion);
  }
  SegmentHeader header;
  header.timeline.value = LoadLittle<uint32_t>(bytes.data() + 12);
  header.base.value = LoadLittle<uint64_t>(bytes.data() + 16);
  header.capacity = LoadLittle<uint64_t>(bytes.data() + 24);
  header.previous_crc = LoadLittle<uint32_t>(bytes.data() + 32);
  header.created_micros = LoadLittle<uint64_t>(bytes.data() + 40);
  header.durable.value = LoadLittle<uint64_t>(bytes.data() + 48);
  return header;
}

uint32_t EncodeRecordHeader(const RecordHeader& header, std::string_view payload, char* out) {
  StoreLittle<uint32_t>(out + 4, static_cast<uint32_t>(payload.size()));
  StoreLittle<uint64_t>(out + 8, header.lsn.value);
  StoreLittle<uint64_t>(out + 16, header.timestamp.micros);
  StoreLittle<uint32_t>(out + 24, header.previous_crc);
  StoreLittle<uint32_t>(out + 28, header.timeline.value);
  StoreLittle<uint64_t>(out + 32, header.durable.value);
  const uint32_t crc = Crc32c(payload, Crc32c({out + 4, kRecordHeaderSize - 4}));
  StoreLittle<uint32_t>(out, crc);
  return crc;
}

RecordHeader DecodeRecordHeader(const char* bytes) {
  RecordHeader header;
  header.crc = LoadLittle<uint32_t>(bytes);
  header.length = LoadLittle<uint32_t>(bytes + 4);
  header.lsn.value = LoadLittle<uint64_t>(bytes + 8);
  header.timestamp.micros = LoadLittle<uint64_t>(bytes + 16);
  header.previous_crc = LoadLittle<uint32_t>(bytes + 24);
  header.timeline.value = LoadLittle<uint32_t>(bytes + 28);
  header.durable.value = LoadLittle<uint64_t>(bytes + 32);
  return header;
}

RecordState ParseRecord(std::string_view bytes, Lsn lsn, RecordHeader* header) {
  if (bytes.size() < kRecordHeaderSize) return RecordState::kShort;
  *header = DecodeRecordHeader(bytes.data());
  if (header->lsn != lsn) {
    const std::string_view head = bytes.substr(0, kRecordHeaderSize);
    const bool zero = std::all_of(head.begin(), head.end(), [](char c) { return c == 0; });
    return zero ? RecordState::kEnd : RecordState::kBad;
  }
  // A record never knows more to be durable than what stands before it.
  if (header->length > kMaxPayloadBytes || header->durable > lsn) return RecordState::kBad;
  if (bytes.size() < header->size()) return RecordState::kShort;
  const std::string_view covered = bytes.substr(4, header->size() - 4);
  return Crc32c(covered) == header->crc ? RecordState::kWhole : RecordState::kBad;
}

std::string SegmentName(Timeline timeline, Lsn base) {
  return fmt::format("{:08x}-{:016x}{}", timeline.value, base.value, kSuffix);
}

std::optional<SegmentId> ParseSegmentName(std::string_view name) {
  if (name.size() != 8 + 1 + 16 + kSuffix.size() || name[8] != '-' || !name.ends_with(kSuffix)) return std::nullopt;
  uint64_t timeline = 0;
  uint64_t base = 0;
  if (!ParseHex(name.substr(0, 8), &timeline) || !ParseHex(name.substr(9, 16), &base)) return std::nullopt;
  return SegmentId{Timeline{static_cast<uint32_t>(timeline)}, Lsn{base}};
}

}  // namespace tidemark::format
