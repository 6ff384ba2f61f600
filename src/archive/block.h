// One block of an archive object at a time: plain bytes to stored ones and back, by zstd and AES-256-GCM. What the
// codecs of log objects and of files share. docs/formats/archive.md, "Block".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "archive/key_ring.h"
#include "base/status.h"
#include "format/archive_format.h"

namespace tidemark::archive {

// XXH3-128 of bytes given piece by piece, in canonical (big-endian) form: the identity of contents in the archive.
class ContentHash {
 public:
  ContentHash();
  ~ContentHash();
  ContentHash(const ContentHash&) = delete;
  ContentHash& operator=(const ContentHash&) = delete;
  void Update(std::string_view bytes);
  format::Id128 Digest() const;  // of everything so far

 private:
  void* const state_;  // XXH3_state_t, whose header stays out of here
};

// Makes blocks of one object. One thread at a time.
class BlockSealer {
 public:
  // `object`: the fields that tell the object from others are used (is_file, ids, timeline; of a file plain_hash).
  // `key`: null for none; outlives the sealer. `zstd_level` 0: not compressed.
  BlockSealer(int zstd_level, const KeyRing::Key* key, const format::ObjectHeader& object);
  ~BlockSealer();
  // Appends header and stored bytes of one block; 1 to kBlockPlainBytes bytes. After blocks that did not compress, some
  // are stored without trying. Fails only if OpenSSL does.
  absl::Status Seal(uint64_t position, std::string_view plain, std::string* out);
  // Appends `stored` (compressed or not, as `flags` say; not encrypted) as one block.
  absl::Status SealStored(uint64_t position, uint32_t plain_bytes, uint32_t flags, std::string_view stored,
                          std::string* out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Reads blocks of one object. One thread at a time.
class BlockOpener {
 public:
  // PERMISSION_DENIED, naming the key's id, when the object is encrypted and `keys` (which outlives the opener) does
  // not have the key.
  static absl::StatusOr<std::unique_ptr<BlockOpener>> Make(const format::ObjectHeader& object, const KeyRing& keys);
  ~BlockOpener();
  // Appends the plain bytes of a block that DecodeBlock took apart. DATA_LOSS when its tag or compression is wrong.
  absl::Status Open(const format::BlockHeader& block, std::string_view stored, std::string* plain);
  // Likewise, but takes only the encryption off.
  absl::Status Decrypt(const format::BlockHeader& block, std::string_view stored, std::string* compressed);

 private:
  BlockOpener();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark::archive
