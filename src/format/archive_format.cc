#include "format/archive_format.h"

#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "format/hex.h"

namespace tidemark::format {
namespace {

constexpr std::string_view kLogMagic = "TMLOGOBJ";
constexpr std::string_view kFileMagic = "TMFILEOB";
constexpr uint32_t kKnownFlags = kZstd | kAes256Gcm;
constexpr size_t kObjectCrcOffset = kObjectHeaderSize - 4;

constexpr std::string_view kLogPrefix = "log/";
constexpr std::string_view kBasePrefix = "base/";
constexpr std::string_view kFilePrefix = "files/";
constexpr std::string_view kTimelinePrefix = "timelines/";
constexpr std::string_view kLeasePrefix = "leases/";

absl::Status DataLoss(std::string_view what) { return Errorf(absl::StatusCode::kDataLoss, "{}", what); }

// Takes a name apart from the left; one mismatch and nothing matches any more.
class NameParser {
 public:
  explicit NameParser(std::string_view name) : rest_(name) {}
  NameParser& Text(std::string_view text) {
    ok_ = ok_ && rest_.starts_with(text);
    if (ok_) rest_.remove_prefix(text.size());
    return *this;
  }
  NameParser& Number(size_t digits, uint64_t* value) {
    ok_ = ok_ && rest_.size() >= digits && ParseHex(rest_.substr(0, digits), value);
    if (ok_) rest_.remove_prefix(digits);
    return *this;
  }
  NameParser& Id(Id128* id) {
    const std::string_view digits = rest_.substr(0, 32);
    const auto parsed = IdFromHex(digits);  // takes upper case too
    ok_ = ok_ && parsed.has_value() && IdToHex(*parsed) == digits;
    if (ok_) *id = *parsed, rest_.remove_prefix(32);
    return *this;
  }
  bool Whole() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

Timeline ToTimeline(uint64_t number) { return Timeline{static_cast<uint32_t>(number)}; }

void StoreId(char* out, const Id128& id) { std::memcpy(out, id.data(), id.size()); }

Id128 LoadId(const char* in) {
  Id128 id;
  std::memcpy(id.data(), in, id.size());
  return id;
}

}  // namespace

std::string LogFolder(Timeline timeline) { return fmt::format("{}{:08x}/", kLogPrefix, timeline.value); }

std::string LogObjectKey(const LogObjectName& name) {
  return fmt::format("{}{:016x}-{:016x}-{:016x}-{:016x}.log", LogFolder(name.timeline), name.first.value,
                     name.end.value, name.first_timestamp.micros, name.closed_timestamp.micros);
}

std::optional<LogObjectName> ParseLogObjectKey(std::string_view key) {
  uint64_t timeline = 0;
  LogObjectName name;
  NameParser parser(key);
  parser.Text(kLogPrefix).Number(8, &timeline).Text("/").Number(16, &name.first.value).Text("-");
  parser.Number(16, &name.end.value).Text("-").Number(16, &name.first_timestamp.micros).Text("-");
  parser.Number(16, &name.closed_timestamp.micros).Text(".log");
  if (!parser.Whole() || timeline == 0 || name.first > name.end || name.first_timestamp > name.closed_timestamp) {
    return std::nullopt;
  }
  name.timeline = ToTimeline(timeline);
  return name;
}

std::string BaseKey(const BaseName& name) {
  return fmt::format("{}{:08x}-{:016x}-{:016x}.json", kBasePrefix, name.timeline.value, name.lsn.value,
                     name.timestamp.micros);
}

std::optional<BaseName> ParseBaseKey(std::string_view key) {
  uint64_t timeline = 0;
  BaseName name;
  NameParser parser(key);
  parser.Text(kBasePrefix).Number(8, &timeline).Text("-").Number(16, &name.lsn.value).Text("-");
  parser.Number(16, &name.timestamp.micros).Text(".json");
  if (!parser.Whole() || timeline == 0) return std::nullopt;
  name.timeline = ToTimeline(timeline);
  return name;
}

std::string FileKey(const FileName& name) {
  TM_CHECK(name.size < 1ull << 48, "a file of {} bytes", name.size);
  return fmt::format("{}{}-{:012x}", kFilePrefix, IdToHex(name.hash), name.size);
}

std::optional<FileName> ParseFileKey(std::string_view key) {
  FileName name;
  NameParser parser(key);
  if (!parser.Text(kFilePrefix).Id(&name.hash).Text("-").Number(12, &name.size).Whole()) return std::nullopt;
  return name;
}

std::string TimelineKey(Timeline timeline) { return fmt::format("{}{:08x}.json", kTimelinePrefix, timeline.value); }

std::optional<Timeline> ParseTimelineKey(std::string_view key) {
  uint64_t timeline = 0;
  NameParser parser(key);
  if (!parser.Text(kTimelinePrefix).Number(8, &timeline).Text(".json").Whole() || timeline == 0) return std::nullopt;
  return ToTimeline(timeline);
}

std::string ArchiveLeaseKey(const ArchiveLeaseName& name) {
  return fmt::format("{}{:08x}-{:016x}", kLeasePrefix, name.holder, name.expires_micros);
}

std::optional<ArchiveLeaseName> ParseArchiveLeaseKey(std::string_view key) {
  uint64_t holder = 0;
  ArchiveLeaseName name;
  NameParser parser(key);
  parser.Text(kLeasePrefix).Number(8, &holder).Text("-").Number(16, &name.expires_micros);
  if (!parser.Whole()) return std::nullopt;
  name.holder = static_cast<uint32_t>(holder);
  return name;
}

std::string_view ObjectMagic(bool is_file) { return is_file ? kFileMagic : kLogMagic; }

std::string EncodeObjectHeader(const ObjectHeader& header) {
  std::string bytes(kObjectHeaderSize, '\0');
  char* out = bytes.data();
  std::memcpy(out, ObjectMagic(header.is_file).data(), 8);
  StoreLittle<uint32_t>(out + 8, kArchiveFormatVersion);
  StoreLittle<uint32_t>(out + 12, header.flags);
  StoreId(out + 16, header.cluster_id);
  StoreLittle<uint32_t>(out + 32, header.timeline.value);
  StoreLittle<uint32_t>(out + 36, header.previous_crc);
  StoreLittle<uint64_t>(out + 40, header.first.value);
  StoreLittle<uint64_t>(out + 48, header.end.value);
  StoreLittle<uint64_t>(out + 56, header.first_timestamp.micros);
  StoreLittle<uint64_t>(out + 64, header.closed_timestamp.micros);
  StoreLittle<uint64_t>(out + 72, header.records);
  StoreLittle<uint64_t>(out + 80, header.plain_bytes);
  StoreId(out + 88, header.plain_hash);
  StoreId(out + 104, header.timeline_id);
  StoreId(out + 120, header.key_id);
  StoreLittle<uint32_t>(out + 136, header.last_crc);
  StoreLittle<uint32_t>(out + 140, header.blocks);
  StoreLittle<uint64_t>(out + 144, header.stored_bytes);
  StoreLittle<uint32_t>(out + kObjectCrcOffset, Crc32c({out, kObjectCrcOffset}));
  return bytes;
}

absl::StatusOr<ObjectHeader> DecodeObjectHeader(std::string_view bytes) {
  if (bytes.size() < kObjectHeaderSize) {
    return Errorf(absl::StatusCode::kDataLoss, "object header is cut short at {} bytes", bytes.size());
  }
  const std::string_view magic = bytes.substr(0, 8);
  if (magic != kLogMagic && magic != kFileMagic) return DataLoss("this is no object of a Tidemark archive");
  const char* in = bytes.data();
  if (LoadLittle<uint32_t>(in + kObjectCrcOffset) != Crc32c(bytes.substr(0, kObjectCrcOffset))) {
    return DataLoss("object header fails its CRC");
  }
  if (const auto version = LoadLittle<uint32_t>(in + 8); version != kArchiveFormatVersion) {
    return Errorf(absl::StatusCode::kUnimplemented, "object has format version {}, this build reads {}", version,
                  kArchiveFormatVersion);
  }
  ObjectHeader header;
  header.is_file = magic == kFileMagic;
  header.flags = LoadLittle<uint32_t>(in + 12);
  header.cluster_id = LoadId(in + 16);
  header.timeline.value = LoadLittle<uint32_t>(in + 32);
  header.previous_crc = LoadLittle<uint32_t>(in + 36);
  header.first.value = LoadLittle<uint64_t>(in + 40);
  header.end.value = LoadLittle<uint64_t>(in + 48);
  header.first_timestamp.micros = LoadLittle<uint64_t>(in + 56);
  header.closed_timestamp.micros = LoadLittle<uint64_t>(in + 64);
  header.records = LoadLittle<uint64_t>(in + 72);
  header.plain_bytes = LoadLittle<uint64_t>(in + 80);
  header.plain_hash = LoadId(in + 88);
  header.timeline_id = LoadId(in + 104);
  header.key_id = LoadId(in + 120);
  header.last_crc = LoadLittle<uint32_t>(in + 136);
  header.blocks = LoadLittle<uint32_t>(in + 140);
  header.stored_bytes = LoadLittle<uint64_t>(in + 144);
  if ((header.flags & ~kKnownFlags) != 0) return DataLoss("object header has flags that nobody knows");
  if (!header.is_file && (header.first > header.end || header.end - header.first != header.plain_bytes)) {
    return DataLoss("object header contradicts itself: its range is not as long as its bytes");
  }
  return header;
}

std::string EncodeBlockHeader(const BlockHeader& header, std::string_view stored) {
  std::string bytes(kBlockHeaderSize, '\0');
  char* out = bytes.data();
  StoreLittle<uint32_t>(out + 4, static_cast<uint32_t>(stored.size()));
  StoreLittle<uint32_t>(out + 8, header.plain_bytes);
  StoreLittle<uint32_t>(out + 12, header.flags);
  StoreLittle<uint64_t>(out + 16, header.position);
  std::memcpy(out + 24, header.nonce.data(), header.nonce.size());
  std::memcpy(out + 36, header.tag.data(), header.tag.size());
  StoreLittle<uint32_t>(out, Crc32c(stored, Crc32c({out + 4, kBlockHeaderSize - 4})));
  return bytes;
}

absl::StatusOr<size_t> BlockSize(std::string_view header) {
  if (header.size() < kBlockHeaderSize) {
    return Errorf(absl::StatusCode::kDataLoss, "block header is cut short at {} bytes", header.size());
  }
  const auto stored = LoadLittle<uint32_t>(header.data() + 4);
  const auto plain = LoadLittle<uint32_t>(header.data() + 8);
  if (plain == 0 || plain > kBlockPlainBytes || stored == 0 || stored > plain) {
    return Errorf(absl::StatusCode::kDataLoss, "block has impossible sizes: {} bytes stored, {} plain", stored, plain);
  }
  return kBlockHeaderSize + stored;
}

absl::StatusOr<BlockHeader> DecodeBlock(std::string_view bytes, std::string_view* stored) {
  TM_ASSIGN_OR_RETURN(const size_t size, BlockSize(bytes.substr(0, kBlockHeaderSize)));
  if (size > bytes.size()) {
    return Errorf(absl::StatusCode::kDataLoss, "block is cut short at {} of {} bytes", bytes.size(), size);
  }
  const char* in = bytes.data();
  BlockHeader header;
  header.crc = LoadLittle<uint32_t>(in);
  if (header.crc != Crc32c(bytes.substr(4, size - 4))) return DataLoss("block fails its CRC");
  header.stored_bytes = LoadLittle<uint32_t>(in + 4);
  header.plain_bytes = LoadLittle<uint32_t>(in + 8);
  header.flags = LoadLittle<uint32_t>(in + 12);
  header.position = LoadLittle<uint64_t>(in + 16);
  std::memcpy(header.nonce.data(), in + 24, header.nonce.size());
  std::memcpy(header.tag.data(), in + 36, header.tag.size());
  if ((header.flags & ~kKnownFlags) != 0) return DataLoss("block has flags that nobody knows");
  if ((header.flags & kZstd) == 0 && header.stored_bytes != header.plain_bytes) {
    return DataLoss("block is not compressed, yet shorter than its plain bytes");
  }
  *stored = bytes.substr(kBlockHeaderSize, header.stored_bytes);
  return header;
}

}  // namespace tidemark::format
