// The keys of an archive, and the AES-256-GCM that they are used with. Immutable once loaded; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "env/file.h"
#include "format/archive_format.h"

namespace tidemark::archive {

// The first key encrypts, all decrypt, so a key is rotated by putting a new one on the first line.
// File format: one key a line, 64 hexadecimal digits; '#' begins a comment. Never in messages: keys are named by id.
class KeyRing {
 public:
  // INVALID_ARGUMENT (line named, key not shown) when malformed, PERMISSION_DENIED when readable by others.
  static absl::StatusOr<std::shared_ptr<const KeyRing>> Load(FileSystem& fs, const std::string& path);
  // `name` stands for the file in messages.
  static absl::StatusOr<std::shared_ptr<const KeyRing>> Parse(std::string_view text, std::string_view name);
  // A ring without keys: nothing is encrypted, encrypted objects cannot be read.
  static std::shared_ptr<const KeyRing> Empty();

  struct Key {
    format::Id128 id;    // first half of the SHA-256 of the secret
    std::string secret;  // 32 bytes
  };
  bool empty() const { return keys_.empty(); }
  const Key& current() const { return keys_.front(); }
  // The key that encrypts; null when the ring is empty.
  const Key* first() const { return keys_.empty() ? nullptr : &keys_.front(); }
  // Null when the ring does not have it.
  const Key* Find(const format::Id128& id) const;

 private:
  std::vector<Key> keys_;
};

}  // namespace tidemark::archive
