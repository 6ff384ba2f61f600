// Merging small log objects, so that a day of one-second objects is restored from a few. Plans are pure. Inputs go only
// once the merged object has been read back whole and a grace has passed; until then readers find either.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "archive/catalog.h"
#include "archive/key_ring.h"
#include "base/status.h"
#include "base/types.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

struct MergeOptions {
  uint64_t small_bytes = 8ull << 20;    // stored; larger objects are left alone
  uint64_t target_bytes = 64ull << 20;  // stored, of a merged object
  size_t at_least = 16;                 // objects worth merging
  uint64_t grace_micros = 600'000'000;  // inputs stay this long after the merged object was put
};
// An object, and those that it stands for: their records are its records.
struct Replacement {
  LogEntry merged;
  std::vector<LogEntry> inputs;
};
// Runs of small neighbours to merge now, and objects that merged ones have replaced and whose grace has passed.
struct MergePlan {
  std::vector<std::vector<LogEntry>> runs;
  std::vector<Replacement> replaced;
};
// Only objects that end at or below `settled` (the task's checkpoint). A run is at least four times as large as its
// largest member, so that a byte is merged a few times in its life, however often this is called.
MergePlan PlanMerge(const Catalog& catalog, Timeline timeline, Lsn settled, const MergeOptions& options,
                    uint64_t now_micros);
// Reads the run, puts the merged object, reads it back and compares; inputs stay. An object of the same name that says
// the same is success; one that does not is FAILED_PRECONDITION (somebody else writes here). What comes back changed is
// deleted again: DATA_LOSS. Returns the merged object.
absl::StatusOr<LogEntry> Merge(objstore::ObjectStore& store, const std::vector<LogEntry>& run, const KeyRing& keys);
// Reads the merged object whole once more, then deletes the inputs, from the oldest on. If it is damaged the inputs
// stay and it goes instead, provided that they are whole: DATA_LOSS says so. Returns how many objects were deleted.
absl::StatusOr<size_t> DeleteReplaced(objstore::ObjectStore& store, const Replacement& replaced, const KeyRing& keys);

}  // namespace tidemark::archive
