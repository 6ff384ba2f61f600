// The last step of a restore: a log that goes on from where the store is, on a timeline of its own, and begins with the
// record that says whose the data are now. The store is not touched, so all of it can be done again from the beginning.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "env/clock.h"
#include "env/file.h"
#include "kv/store.h"
#include "objstore/object_store.h"
#include "restore/state.h"

namespace tidemark::restore {

// Decides the new timeline and, unless the cluster is continued, the new cluster, by what the archive has now.
absl::Status DecideTimeline(objstore::ObjectStore& archive, State* state);

// Puts the history of the new timeline into the archive: from then on whoever wrote there is fenced. Takes the next
// number where somebody was first; *state is written to `folder` before each attempt.
absl::Status Fence(FileSystem& fs, objstore::ObjectStore& archive, const std::string& folder, State* state);

// Makes folder/log anew. Returns how many keys' expiry was moved.
absl::StatusOr<uint64_t> WriteNewLog(FileSystem& fs, Clock& clock, kv::Store& store, const std::string& folder,
                                     const State& state);

}  // namespace tidemark::restore
