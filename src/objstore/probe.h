// What every store's Probe has in common: it writes, reads, lists and deletes an object of its own.
#pragma once

#include <string_view>

#include "objstore/object_store.h"

namespace tidemark::objstore {

// Where the object of a probe is: never among those of an archive.
inline constexpr std::string_view kProbePrefix = "probe/";

// Tries it all with kProbePrefix + nonce; the first error that says that something must be done is the answer.
absl::StatusOr<Capabilities> ProbeByTrying(ObjectStore& store, std::string_view nonce);

}  // namespace tidemark::objstore
