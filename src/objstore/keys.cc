#include "objstore/keys.h"

namespace tidemark::objstore {
namespace {

absl::Status CheckComponent(std::string_view key, std::string_view component) {
  if (component.empty()) return InvalidArgument("object key '{}' has an empty component", key);
  if (component == "." || component == "..") return InvalidArgument("object key '{}' has a component '.' or '..'", key);
  if (component.size() > kComponentBytesMax) {
    return InvalidArgument("object key '{}' has a component of more than {} bytes", key, kComponentBytesMax);
  }
  return absl::OkStatus();
}

// Everything but the last component, which may still be cut short.
absl::Status CheckBegun(std::string_view key, std::string_view* last) {
  if (key.size() > kKeyBytesMax) return InvalidArgument("object key has more than {} bytes: '{}'", kKeyBytesMax, key);
  size_t begin = 0;
  for (size_t i = 0; i < key.size(); ++i) {
    if (!IsKeyCharacter(key[i])) return InvalidArgument("object key '{}' has other characters than A-Za-z0-9-_./", key);
    if (key[i] != '/') continue;
    TM_RETURN_IF_ERROR(CheckComponent(key, key.substr(begin, i - begin)));
    begin = i + 1;
  }
  *last = key.substr(begin);
  return absl::OkStatus();
}

}  // namespace

bool IsKeyCharacter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == '/';
}

absl::Status CheckKey(std::string_view key) {
  std::string_view last;
  TM_RETURN_IF_ERROR(CheckBegun(key, &last));
  return CheckComponent(key, last);
}

absl::Status CheckPrefix(std::string_view prefix) {
  std::string_view last;
  return CheckBegun(prefix, &last);
}

}  // namespace tidemark::objstore
