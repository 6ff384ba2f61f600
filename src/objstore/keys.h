// What an object may be called, the same for every store, so that a key that one store takes is good for all of them:
// S3 takes more characters, a folder more lengths.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/status.h"

namespace tidemark::objstore {

// S3 allows 1024 bytes with the prefix of the URI; a file name 255 bytes a component.
inline constexpr size_t kKeyBytesMax = 800;
inline constexpr size_t kComponentBytesMax = 255;

// A-Z a-z 0-9 - _ . /
bool IsKeyCharacter(char c);

// INVALID_ARGUMENT unless `key` is '/'-separated components, none of them empty, "." or "..", within the limits above.
absl::Status CheckKey(std::string_view key);

// What List takes: empty, or the beginning of a key.
absl::Status CheckPrefix(std::string_view prefix);

}  // namespace tidemark::objstore
