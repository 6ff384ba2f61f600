// The bytes of the log: segment header, record header, file names. docs/formats/log.md is the description; this header
// and its test hold the code to it. Pure: no files, no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/types.h"

namespace tidemark::format {

inline constexpr uint32_t kLogFormatVersion = 1;
inline constexpr size_t kSegmentHeaderSize = 64;
inline constexpr size_t kRecordHeaderSize = 40;
// A payload above this is refused before it is appended, and disbelieved when read.
inline constexpr uint64_t kMaxPayloadBytes = 1ull << 30;
// A new log begins here, so that 0 is never the LSN of a record and zeroed bytes are never a record.
inline constexpr Lsn kFirstLsn{4096};
inline constexpr Timeline kFirstTimeline{1};

// The first bytes of a segment file.
//
//    0  8  magic "TMLOGSEG"
//    8  4  format version
//   12  4  timeline
//   16  8  base: LSN of the first record; file offset of an LSN = 64 + (lsn - base)
//   24  8  capacity: bytes of records that the file was made for
//   32  4  CRC field of the record before base (0 at the start of a log): the chain goes over segments
//   36  4  zero
//   40  8  time of creation, wall clock, microseconds since 1970
//   48  8  durable LSN known at creation
//   56  4  zero
//   60  4  CRC-32C of bytes 0..59
struct SegmentHeader {
  Timeline timeline;
  Lsn base;
  uint64_t capacity = 0;
  uint32_t previous_crc = 0;
  uint64_t created_micros = 0;
  Lsn durable;
};

// `out` has room for kSegmentHeaderSize bytes.
void EncodeSegmentHeader(const SegmentHeader& header, char* out);
// DATA_LOSS for anything but a whole header; UNIMPLEMENTED for a whole one of a version that we do not read.
absl::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view bytes);

// What stands before each payload.
//
//    0  4  CRC-32C of everything after this field, payload included
//    4  4  length of the payload
//    8  8  LSN of this record: its own position
//   16  8  timestamp, microseconds since 1970, hybrid clock
//   24  4  CRC field of the record before
//   28  4  timeline
//   32  8  durable LSN known when the record was written
struct RecordHeader {
  uint32_t crc = 0;
  uint32_t length = 0;
  Lsn lsn;
  Timestamp timestamp;
  uint32_t previous_crc = 0;
  Timeline timeline;
  Lsn durable;

  uint64_t size() const { return kRecordHeaderSize + length; }
};

// Writes the header of a record with `payload`; header.crc and header.length are computed. Returns the CRC.
// `out` has room for kRecordHeaderSize bytes.
uint32_t EncodeRecordHeader(const RecordHeader& header, std::string_view payload, char* out);
// The fields as they stand, unchecked. `bytes` has at least kRecordHeaderSize bytes.
RecordHeader DecodeRecordHeader(const char* bytes);

enum class RecordState {
  kWhole,  // position, length and CRC are right
  kEnd,    // the header is all zeros: nothing was written here
  kShort,  // `bytes` ends before the record does
  kBad,    // anything else
};

// Looks at the record that should begin at `lsn` with the first of `bytes`. *header is set from kRecordHeaderSize bytes
// on. Never reads outside `bytes`. The chain (previous_crc) is the caller's to compare.
RecordState ParseRecord(std::string_view bytes, Lsn lsn, RecordHeader* header);

// "%08x-%016x.log": timeline and base, so that names sort as positions do.
std::string SegmentName(Timeline timeline, Lsn base);
struct SegmentId {
  Timeline timeline;
  Lsn base;
};
std::optional<SegmentId> ParseSegmentName(std::string_view name);

}  // namespace tidemark::format
