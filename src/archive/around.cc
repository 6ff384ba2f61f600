#include "archive/around.h"

#include <algorithm>

#include "archive/base.h"
#include "format/archive_format.h"

namespace tidemark::archive {
namespace {

bool IsUsable(const absl::StatusOr<Manifest>& manifest, const std::set<std::string>& keys) {
  return manifest.ok() && std::none_of(manifest->files.begin(), manifest->files.end(), [&](const ManifestFile& file) {
           return keys.contains(format::FileKey(file.content));
         });
}

// Whether the error is the manifest's and not the store's.
bool IsItsOwn(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsUnimplemented(status) || absl::IsNotFound(status);
}

}  // namespace

absl::StatusOr<Catalog> Around(objstore::ObjectStore& store, const Catalog& catalog,
                               const std::set<std::string>& keys) {
  bool files = false;
  for (const std::string& key : keys) {
    const bool file = format::ParseFileKey(key).has_value();
    if (!file && !format::ParseLogObjectKey(key) && !format::ParseBaseKey(key)) {
      return InvalidArgument("'{}' is the name of no log object, base or file of an archive", key);
    }
    files = files || file;
  }
  Catalog rest = catalog.Without(keys);
  if (!files) return rest;
  std::set<std::string> lost;
  for (const BaseEntry& base : rest.bases) {
    const absl::StatusOr<Manifest> manifest = ReadManifest(store, base);
    if (!manifest.ok() && !IsItsOwn(manifest.status())) return manifest.status();
    if (!IsUsable(manifest, keys)) lost.insert(base.key);
  }
  return rest.Without(lost);
}

std::set<std::string> KeysNamedIn(const Catalog& catalog, std::string_view message) {
  std::set<std::string> named;
  const auto look = [&](const std::string& key) {
    if (message.find(key) != std::string_view::npos) named.insert(key);
  };
  for (const auto& [timeline, entries] : catalog.log) {
    for (const LogEntry& entry : entries) look(entry.key);
  }
  for (const BaseEntry& base : catalog.bases) look(base.key);
  for (const auto& [key, size] : catalog.files) look(key);
  return named;
}

}  // namespace tidemark::archive
