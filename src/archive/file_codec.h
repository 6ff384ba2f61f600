// Files of base snapshots into objects of files/ and back, as streams: a file is never in memory as a whole. Blocks are
// those of log objects; nothing is compressed, so an object's size follows from its file's.
//
// Threads: one object of these classes belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "archive/block.h"
#include "archive/key_ring.h"
#include "base/status.h"
#include "env/file.h"
#include "format/archive_format.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

// Reads a file once and names its content. `on_bytes` (may be empty) hears of each piece read; an error of it ends the
// call.
absl::StatusOr<format::FileName> HashFile(File& file, const std::function<absl::Status(uint64_t bytes)>& on_bytes);

// Bytes of the object that holds a file of `plain_bytes`.
uint64_t FileObjectSize(uint64_t plain_bytes);

// The object of a file, from front to back. Checks while it reads that the file still is what `content` names: if it is
// not, the last Read fails (FAILED_PRECONDITION), so that no object comes to be.
class FileEncoder final : public objstore::ByteSource {
 public:
  // `file` is borrowed. `on_bytes` (may be empty) hears of plain bytes as they are read; an error of it ends the
  // stream.
  // Encrypted when `keys` has a key.
  FileEncoder(std::shared_ptr<const KeyRing> keys, const Id128& cluster_id, const format::FileName& content, File& file,
              std::function<absl::Status(uint64_t bytes)> on_bytes);
  absl::StatusOr<std::string> Read(size_t max) override;

 private:
  absl::Status SealNext();

  const std::shared_ptr<const KeyRing> keys_;
  const format::FileName content_;
  File& file_;
  const std::function<absl::Status(uint64_t)> on_bytes_;
  BlockSealer sealer_;
  ContentHash hash_;
  uint64_t position_ = 0;  // plain bytes read so far
  std::string plain_;
  std::string ready_;  // object bytes, of which ready_from_ have been given out
  size_t ready_from_ = 0;
};

// The file out of an object's bytes, which are fed as they arrive. Nothing is passed on unchecked but the hash of the
// whole, which Finish compares: only after its OK is the file what `content` names.
class FileDecoder {
 public:
  using Sink = std::function<absl::Status(std::string_view plain)>;
  // `keys` is borrowed.
  FileDecoder(const KeyRing& keys, const format::FileName& content, Sink sink);
  // DATA_LOSS says what is wrong; PERMISSION_DENIED names the id of a missing key; errors of the sink as they are.
  absl::Status Feed(std::string_view piece);
  // The object has ended.
  absl::Status Finish();

 private:
  absl::Status TakeHeader();
  absl::Status TakeBlocks();

  const KeyRing& keys_;
  const format::FileName content_;
  const Sink sink_;
  ContentHash hash_;
  std::unique_ptr<BlockOpener> opener_;  // from the header on
  uint64_t position_ = 0;
  std::string pending_;
  std::string plain_;
};

// OK when the header at the front of an object of files/ is one of a file `content`. DATA_LOSS otherwise.
absl::StatusOr<format::ObjectHeader> CheckFileHeader(std::string_view bytes, const format::FileName& content);

}  // namespace tidemark::archive
