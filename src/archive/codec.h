// Log bytes and files into archive objects and back: blocks, zstd, AES-256-GCM, hashes. docs/formats/archive.md.
// Pure computation; any thread, no shared state but the immutable KeyRing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "env/file.h"
#include "format/archive_format.h"

namespace tidemark::archive {

// Keys of an archive: the first encrypts, all decrypt, so a key is rotated by putting a new one on the first line.
// File format: one key a line, 64 hexadecimal digits; '#' begins a comment. Never in messages: keys are named by id.
class KeyRing {
 public:
  // INVALID_ARGUMENT (line named, key not shown) when malformed, PERMISSION_DENIED when readable by others.
  static absl::StatusOr<std::shared_ptr<const KeyRing>> Load(FileSystem& fs, const std::string& path);
  // A ring without keys: nothing is encrypted, encrypted objects cannot be read.
  static std::shared_ptr<const KeyRing> Empty();
  bool empty() const { return keys_.empty(); }
  struct Key {
    format::Id128 id;
    std::string secret;  // 32 bytes
  };
  const Key& current() const { return keys_.front(); }
  // Null when the ring does not have it.
  const Key* Find(const format::Id128& id) const;

 private:
  std::vector<Key> keys_;
};

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

// A log object under construction: raw records in, object bytes out. Compresses as it goes; holds the stored bytes.
class LogObjectWriter {
 public:
  // `first`: LSN of the first record; `previous_crc`: CRC field of the record before it.
  LogObjectWriter(const CodecOptions& options, const Origin& origin, Lsn first, uint32_t previous_crc);
  ~LogObjectWriter();
  // `raw`: the record as it stands in a segment, the one that follows the last one added.
  absl::Status Add(std::string_view raw);
  uint64_t plain_bytes() const;
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

// The plain log bytes of an object, all checked: block CRCs, tags, plaintext hash, and that they are whole records in
// an unbroken chain from header.previous_crc to header.last_crc. DATA_LOSS says what is wrong; PERMISSION_DENIED names
// the id of a key that the ring does not have.
struct DecodedLog {
  format::ObjectHeader header;
  std::string plain;
};
absl::StatusOr<DecodedLog> DecodeLogObject(std::string_view bytes, const KeyRing& keys);

// Several objects of one timeline, each beginning where the one before ends (`bytes` as stored), as one. Blocks are
// taken over as they are. Checks everything that DecodeLogObject checks.
absl::StatusOr<LogObjectWriter::Object> MergeLogObjects(const std::vector<std::string>& objects, const KeyRing& keys);

}  // namespace tidemark::archive
