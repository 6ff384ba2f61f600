// Lists the files below a folder as keys in byte order, a page at a time, opening only folders in which such keys can
// be.
#pragma once

#include <string>
#include <string_view>

#include "objstore/object_store.h"

namespace tidemark::objstore {

// As ObjectStore::List, for the files below `root`. Names that are no part of a key are passed over.
absl::StatusOr<ListPage> WalkFolder(const std::string& root, std::string_view prefix, std::string_view start_after,
                                    size_t max);

// Size and time of one file; NOT_FOUND where it is missing or is a folder.
absl::StatusOr<ObjectInfo> StatFile(const std::string& path, std::string_view key);

}  // namespace tidemark::objstore
