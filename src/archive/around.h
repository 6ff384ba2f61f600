// What an archive still gives when some of its objects cannot be used: damaged, missing, or named by an operator.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "archive/catalog.h"
#include "base/status.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

// The catalog as if log objects, bases and files of `keys` were not there. A file takes the bases that name it with it;
// so does a manifest that cannot be read, once one has to look. INVALID_ARGUMENT for a key that is none of these;
// the store's errors.
absl::StatusOr<Catalog> Around(objstore::ObjectStore& store, const Catalog& catalog, const std::set<std::string>& keys);

// The log objects, bases and files of the catalog whose keys stand in `message`, as errors name them.
std::set<std::string> KeysNamedIn(const Catalog& catalog, std::string_view message);

}  // namespace tidemark::archive
