// What keeps an archive small and proves it whole: retention by recovery window, merging of small objects, verify.
// Plans are pure (catalog in, plan out); carrying them out is apart.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "archive/base.h"
#include "archive/catalog.h"
#include "archive/codec.h"
#include "base/status.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

// What may be deleted so that every moment from `keep_from` on that can be restored now still can. Never the newest
// base, never into a window, nothing that a lease of a reader (unexpired at `now_micros`) may need.
struct RetentionPlan {
  std::vector<BaseEntry> bases;
  std::vector<LogEntry> log;
  std::vector<std::string> files;  // keys; no manifest that stays names them
  uint64_t bytes = 0;
  Timestamp oldest_restorable;  // afterwards
  std::string held_by;          // not empty: a lease in the archive keeps more than needed
};
// `catalog` loaded with files. Reads manifests of bases that stay.
absl::StatusOr<RetentionPlan> PlanRetention(objstore::ObjectStore& store, const Catalog& catalog, Timestamp keep_from,
                                            uint64_t now_micros);
// Manifests first, then log, then files. Stops at the first error; doing it again goes on.
absl::Status CarryOut(objstore::ObjectStore& store, const RetentionPlan& plan);

struct MergeOptions {
  uint64_t small_bytes = 8ull << 20;    // stored; larger objects are left alone
  uint64_t target_bytes = 64ull << 20;  // stored, of a merged object
  size_t at_least = 16;                 // objects worth merging
  uint64_t grace_micros = 600'000'000;  // inputs stay this long after the merged object has been verified
};
// Runs of small neighbours to merge now, and objects that merged ones have replaced and whose grace has passed.
struct MergePlan {
  std::vector<std::vector<LogEntry>> runs;
  std::vector<LogEntry> replaced;
};
// Only objects that end at or below `settled` (the task's checkpoint).
MergePlan PlanMerge(const Catalog& catalog, Timeline timeline, Lsn settled, const MergeOptions& options,
                    uint64_t now_micros);
// Reads the run, puts the merged object, reads it back and compares. Inputs stay.
absl::Status Merge(objstore::ObjectStore& store, const std::vector<LogEntry>& run, const KeyRing& keys);

struct Finding {
  enum class Kind { kGap, kDamaged, kMissing, kForeign, kConflict, kFork } kind;
  bool fatal = false;  // false: worth a line, restores are not affected
  std::string what;    // names the object or the range
};
struct VerifyReport {
  uint64_t objects = 0;
  uint64_t bytes = 0;
  uint64_t records = 0;
  std::vector<Finding> findings;
  std::vector<Window> windows;
  bool ok() const;
};
struct VerifyOptions {
  bool quick = false;  // heads only: listing, headers, manifests, presence of files
  int jobs = 4;
  std::shared_ptr<const KeyRing> keys = KeyRing::Empty();
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> on_progress;
};
absl::StatusOr<VerifyReport> Verify(objstore::ObjectStore& store, const VerifyOptions& options);

}  // namespace tidemark::archive
