// The bytes and names of the archive's objects. docs/formats/archive.md is the description; this header and its test
// hold the code to it. Pure: no files, no clock, no compression or encryption (archive/codec.h has these).
//
// Names, below the URI's prefix. Numbers are lower-case hexadecimal of fixed width, so that a listing in name order is
// an index in LSN order and no object need be opened to know what it covers:
//
//   archive.json                          who owns this archive: its cluster id
//   timelines/TTTTTTTT.json               history of timeline T; put once, "must not exist": the fence
//   log/TTTTTTTT/FIRST-END-TIME-CLOSED.log
//                                         log bytes [FIRST, END) of timeline T; TIME is the timestamp of the first
//                                         record, CLOSED: nothing at or below it follows END (16 digits each)
//   base/TTTTTTTT-LSN-TIME.json           manifest of the base snapshot at that LSN and timestamp: put last
//   files/HASH-SSSSSSSSSSSS               a file of base snapshots, by XXH3-128 (32 digits) and size of its plain bytes
//   leases/UUUUUUUU-EXPIRES               somebody (random id U) reads or writes here until that time
//
// An object of log/ with FIRST = END carries no records: only the closed timestamp of an idle log.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/status.h"
#include "base/types.h"

namespace tidemark::format {

using tidemark::Id128;
using tidemark::IdFromHex;
using tidemark::IdToHex;

inline constexpr uint32_t kArchiveFormatVersion = 1;
inline constexpr std::string_view kArchiveIdentityName = "archive.json";
// What a writer found damaged at the end of its chain and put out of the way, under its key behind this.
inline constexpr std::string_view kSetAsideFolder = "damaged/";

struct LogObjectName {
  Timeline timeline;
  Lsn first;
  Lsn end;
  Timestamp first_timestamp;   // of the first record; of the closed timestamp when there is none
  Timestamp closed_timestamp;  // of the last record, or later
  auto operator<=>(const LogObjectName&) const = default;
};
std::string LogObjectKey(const LogObjectName& name);
std::optional<LogObjectName> ParseLogObjectKey(std::string_view key);
std::string LogFolder(Timeline timeline);  // "log/TTTTTTTT/"

struct BaseName {
  Timeline timeline;
  Lsn lsn;
  Timestamp timestamp;
  auto operator<=>(const BaseName&) const = default;
};
std::string BaseKey(const BaseName& name);
std::optional<BaseName> ParseBaseKey(std::string_view key);

struct FileName {
  Id128 hash;
  uint64_t size = 0;
  auto operator<=>(const FileName&) const = default;
};
std::string FileKey(const FileName& name);
std::optional<FileName> ParseFileKey(std::string_view key);

std::string TimelineKey(Timeline timeline);
std::optional<Timeline> ParseTimelineKey(std::string_view key);

struct ArchiveLeaseName {
  uint32_t holder = 0;
  uint64_t expires_micros = 0;  // wall clock
};
std::string ArchiveLeaseKey(const ArchiveLeaseName& name);
std::optional<ArchiveLeaseName> ParseArchiveLeaseKey(std::string_view key);

enum ObjectFlag : uint32_t {
  kZstd = 1u << 0,
  kAes256Gcm = 1u << 1,
};

// What stands first in an object of log/ and files/.
//
//    0   8  magic "TMLOGOBJ" or "TMFILEOB"
//    8   4  format version
//   12   4  flags (ObjectFlag)
//   16  16  cluster id
//   32   4  timeline (0 in files)
//   36   4  CRC field of the record before `first`, as its first record has it (0 at the log's origin and in files;
//           of an object without records: 0 where not known)
//   40   8  first LSN
//   48   8  end LSN
//   56   8  timestamp of the first record
//   64   8  closed timestamp
//   72   8  records
//   80   8  plain bytes: of a log object, end - first
//   88  16  XXH3-128 of the plain bytes (canonical, big-endian)
//  104  16  id of the timeline (random; all zero in files)
//  120  16  id of the key (first half of the key's SHA-256; all zero when not encrypted)
//  136   4  CRC field of the last record (as 36 when there is none)
//  140   4  blocks
//  144   8  bytes of all that follows this header
//  152   8  zero
//  160   4  CRC-32C of bytes 0..159
inline constexpr size_t kObjectHeaderSize = 164;
struct ObjectHeader {
  bool is_file = false;
  uint32_t flags = 0;
  Id128 cluster_id{};
  Timeline timeline;
  uint32_t previous_crc = 0;
  Lsn first;
  Lsn end;
  Timestamp first_timestamp;
  Timestamp closed_timestamp;
  uint64_t records = 0;
  uint64_t plain_bytes = 0;
  Id128 plain_hash{};
  Id128 timeline_id{};
  Id128 key_id{};
  uint32_t last_crc = 0;
  uint32_t blocks = 0;
  uint64_t stored_bytes = 0;
};
std::string_view ObjectMagic(bool is_file);
std::string EncodeObjectHeader(const ObjectHeader& header);
// DATA_LOSS for anything but a whole header; UNIMPLEMENTED for a whole one of a version that we do not read.
absl::StatusOr<ObjectHeader> DecodeObjectHeader(std::string_view bytes);

// What stands before each block. Blocks cut the plain bytes at any byte, so a large record spans several; each is
// compressed and encrypted by itself, so objects are merged without doing either again.
//
//    0   4  CRC-32C of everything after this field, the block's stored bytes included
//    4   4  stored bytes that follow this header
//    8   4  plain bytes
//   12   4  flags (ObjectFlag) of this block
//   16   8  position of the first plain byte: its LSN; in files the offset
//   24  12  nonce (AES-256-GCM; zero otherwise)
//   36  16  tag (likewise)
//
// Stored bytes are never more than plain bytes: a block that compression does not shorten is kept as it is. What the
// tag authenticates beside the stored bytes: magic of the object (8) · cluster id (16) · id of the timeline (16) ·
// timeline (4) · in files the hash of the plain bytes, else zero (16) · position (8) · plain bytes (4) · flags of the
// block (4): a block is good in its own place of its own object only.
inline constexpr size_t kBlockHeaderSize = 52;
inline constexpr uint32_t kBlockPlainBytes = 1u << 20;
struct BlockHeader {
  uint32_t crc = 0;
  uint32_t stored_bytes = 0;
  uint32_t plain_bytes = 0;
  uint32_t flags = 0;
  uint64_t position = 0;
  std::array<uint8_t, 12> nonce{};
  std::array<uint8_t, 16> tag{};
};
// Computes the CRC over header and `stored`.
std::string EncodeBlockHeader(const BlockHeader& header, std::string_view stored);
// Bytes of the block that begins with these kBlockHeaderSize bytes, header included; DATA_LOSS when it can be none.
absl::StatusOr<size_t> BlockSize(std::string_view header);
// DATA_LOSS unless a whole block stands at the front of `bytes` with the right CRC; *stored points into `bytes`.
absl::StatusOr<BlockHeader> DecodeBlock(std::string_view bytes, std::string_view* stored);

}  // namespace tidemark::format
