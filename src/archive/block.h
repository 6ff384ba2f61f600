// One block of an object: plain bytes compressed, encrypted and sealed with what binds them to their place, and back.
// Shared by objects of the log (codec) and files of base snapshots (file_codec). Bytes: format/archive_format.h.
// Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "archive/codec.h"
#include "base/status.h"
#include "format/archive_format.h"

namespace tidemark::archive {

// A block is never larger than this: one that zstd would make larger is stored as it is.
inline constexpr size_t kMaxBlockBytes = format::kBlockHeaderSize + format::kBlockPlainBytes;

// Appends header and stored bytes of one block to *out. `plain`: 1 to kBlockPlainBytes bytes, the first of them at
// `position`. Compressed when options.zstd_level asks and it pays; encrypted when options.keys has a key. INTERNAL when
// OpenSSL fails (no randomness).
absl::Status SealBlock(const CodecOptions& options, const format::Id128& cluster_id, Timeline timeline,
                       uint64_t position, std::string_view plain, std::string* out);

struct OpenedBlock {
  uint64_t position = 0;
  size_t plain_bytes = 0;
  size_t consumed = 0;  // header and stored bytes
};
// Checks and opens the block at the front of `bytes`, appending its plain bytes to *plain. `key_id`, `cluster_id` and
// `timeline` stand in the object's header. DATA_LOSS says what is wrong; also a block that is not encrypted in an
// object that says it is, or the other way round. PERMISSION_DENIED names the id of a key that the ring does not have.
// After an error *plain is as it was.
absl::StatusOr<OpenedBlock> OpenBlock(const KeyRing& keys, const format::Id128& key_id, const format::Id128& cluster_id,
                                      Timeline timeline, std::string_view bytes, std::string* plain);

}  // namespace tidemark::archive
