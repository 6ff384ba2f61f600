// Log bytes into archive objects and back: blocks, hash, and the chain of records inside. docs/formats/archive.md.
// Pure computation; any thread, no shared state but the immutable KeyRing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/block.h"
#include "archive/key_ring.h"
#include "base/status.h"
#include "format/archive_format.h"
#include "format/log_format.h"

namespace tidemark::archive {

struct CodecOptions {
  int zstd_level = 1;  // 0: not compressed
  std::shared_ptr<const KeyRing> keys = KeyRing::Empty();
};

// Who writes: the same in every object of a task.
struct Origin {
  format::Id128 cluster_id{};
  Timeline timeline;
  format::Id128 timeline_id{};
};

// A log object under construction: raw records in, object bytes out. Compresses as it goes; holds the stored bytes and
// at most one block of plain ones.
class LogObjectWriter {
 public:
  // `first`: LSN of the first record; `previous_crc`: CRC field of the record before it (0: take the first record's
  // word for it).
  LogObjectWriter(const CodecOptions& options, const Origin& origin, Lsn first, uint32_t previous_crc);
  ~LogObjectWriter();
  // `raw`: the record as it stands in a segment, the one that follows the last one added. DATA_LOSS when it is damaged,
  // INVALID_ARGUMENT when it is another one.
  absl::Status Add(std::string_view raw);
  uint64_t plain_bytes() const;
  // Of the object so far; what is not yet a block counts as if it could not be compressed.
  uint64_t stored_bytes() const;
  // `closed`: at least the last record's timestamp. The writer is used up.
  struct Object {
    format::LogObjectName name;
    format::ObjectHeader header;
    std::string bytes;
  };
  absl::StatusOr<Object> Finish(Timestamp closed);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The plain bytes of an object whose stored bytes are in memory, block by block: so that an object which is large when
// decompressed need not be held whole. One thread at a time; `bytes` and `keys` outlive it.
class ObjectReader {
 public:
  // DATA_LOSS, UNIMPLEMENTED (a later version), PERMISSION_DENIED (names the id of a key that the ring does not have).
  static absl::StatusOr<std::unique_ptr<ObjectReader>> Open(std::string_view bytes, const KeyRing& keys);
  ~ObjectReader();
  const format::ObjectHeader& header() const;
  // Appends the plain bytes of the next block. False, with nothing appended, after the last one: then everything that
  // the header says of blocks, lengths and hash has been found true. DATA_LOSS where it is not.
  absl::StatusOr<bool> Next(std::string* plain);

 private:
  ObjectReader();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Follows records from one to the next: own position, CRC, timeline, CRC of the record before, rising timestamps.
class ChainChecker {
 public:
  // `previous_crc`: not set where not known.
  ChainChecker(Timeline timeline, Lsn first, std::optional<uint32_t> previous_crc)
      : timeline_(timeline), position_(first), crc_(previous_crc) {}
  // Checks the record at the front of `bytes` and steps over it; *header says how long it is. DATA_LOSS when it is not
  // the whole next record.
  absl::Status Step(std::string_view bytes, format::RecordHeader* header);
  Lsn position() const { return position_; }
  std::optional<uint32_t> last_crc() const { return crc_; }
  Timestamp last_timestamp() const { return timestamp_; }
  uint64_t records() const { return records_; }

 private:
  const Timeline timeline_;
  Lsn position_;
  std::optional<uint32_t> crc_;
  Timestamp timestamp_;
  uint64_t records_ = 0;
};

// The plain log bytes of an object, all checked: block CRCs, tags, plaintext hash, and that they are whole records in
// an unbroken chain from header.previous_crc to header.last_crc. DATA_LOSS says what is wrong; PERMISSION_DENIED names
// the id of a key that the ring does not have.
struct DecodedLog {
  format::ObjectHeader header;
  std::string plain;
};
absl::StatusOr<DecodedLog> DecodeLogObject(std::string_view bytes, const KeyRing& keys);

// Checks everything that DecodeLogObject checks, and keeps no more of the plain bytes than one record at a time.
absl::StatusOr<format::ObjectHeader> CheckLogObject(std::string_view bytes, const KeyRing& keys);

// The hashes of parts of an object's plain bytes, in one pass.
struct LsnRange {
  Lsn from;
  Lsn to;
};
absl::StatusOr<std::vector<Id128>> HashRanges(std::string_view bytes, const KeyRing& keys,
                                              const std::vector<LsnRange>& ranges);

// Several objects of one timeline, each beginning where the one before ends (`bytes` as stored), as one. Blocks are
// taken over as they are; only where the objects have different keys are they encrypted again, with the ring's first.
// Checks everything that DecodeLogObject checks. DATA_LOSS names the object at fault by its place in the vector.
absl::StatusOr<LogObjectWriter::Object> MergeLogObjects(const std::vector<std::string>& objects, const KeyRing& keys);

// What the header of a log object says it is called.
format::LogObjectName NameOf(const format::ObjectHeader& header);

}  // namespace tidemark::archive
