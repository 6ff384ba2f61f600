// Retention: what of an archive may go so that every moment from a given one on that can be restored now still can.
// The plan is pure but for the manifests that it reads; carrying it out is apart, and survives being cut anywhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "archive/catalog.h"
#include "base/status.h"
#include "base/types.h"
#include "env/clock.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

// What may be deleted. Never the newest base, never the log that leads to the newest moment of the newest timeline,
// never into a window: a window that reaches beyond keep_from keeps the base at or before keep_from, and all after it.
// Every timeline counts as one to restore to, so the log of a parent before a fork stays as long as its children need
// it. Log after a gap without a base yet stays too: the base may be on its way.
struct RetentionPlan {
  std::vector<BaseEntry> bases;
  std::vector<LogEntry> log;
  std::vector<std::string> files;  // keys; no manifest that stays names them
  uint64_t bytes = 0;              // stored, of log and files
  Timestamp oldest_restorable;     // afterwards; 0 when nothing is
  // Not empty: who uploads here, or reads and does not say what, keeps everything for the time being, and nothing is
  // deleted.
  std::string held_by;
  // Holders of leases whose needs the plan spares.
  std::vector<uint32_t> readers;
  // What the plan was made from: CarryOut refuses when a timeline has come since, and spares files of newer bases.
  std::vector<std::string> known_bases;
  std::vector<Timeline> known_timelines;
};
// `catalog` loaded with files. FAILED_PRECONDITION when a timeline's history or its parent's is missing: what its
// moments need cannot be known, so nothing may go. Errors of manifests that stay and cannot be read, named.
absl::StatusOr<RetentionPlan> PlanRetention(objstore::ObjectStore& store, const Catalog& catalog, Timestamp keep_from,
                                            uint64_t now_micros);
// Manifests first, then log from the oldest on, then files. ABORTED, with what was not yet deleted left for the next
// time, when somebody has taken a lease or a timeline has come since the plan was made. Stops at the first error; a new
// plan goes on where it stopped.
// `jobs`: how many objects are deleted at a time.
absl::Status CarryOut(objstore::ObjectStore& store, const RetentionPlan& plan, Clock& clock = Clock::System(),
                      int jobs = 4);

}  // namespace tidemark::archive
