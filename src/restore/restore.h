// From an archive back to a data directory, exactly up to a moment; needs no server.
//
// Steps, each of which a second call takes up where the first stopped (restore.json in the directory tells):
//   plan ─▶ download the base ─▶ apply log up to the target ─▶ persist ─▶ new timeline (and cluster) ─▶ ready
// A server refuses to start on a directory whose restore is not complete.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/catalog.h"
#include "archive/codec.h"
#include "archive/log_reader.h"
#include "base/status.h"
#include "env/clock.h"
#include "env/file.h"
#include "objstore/object_store.h"
#include "restore/target.h"

namespace tidemark::restore {

struct Plan {
  std::optional<archive::BaseEntry> base;  // none: from the log's origin
  uint64_t base_bytes = 0;
  uint64_t base_files = 0;
  Lsn from;  // where the log begins
  std::vector<archive::Stretch> stretches;
  uint64_t log_objects = 0;
  uint64_t log_bytes = 0;  // stored
  // The moment that will be reached for certain; later than or equal to the target when it is fully covered.
  Timestamp reaches;
  // Not zero: the archive ends so much before the asked-for time.
  uint64_t short_micros = 0;
  std::string warning;
};
// FAILED_PRECONDITION names the gap or why no base leads there (with the windows that can be restored).
absl::StatusOr<Plan> MakePlan(objstore::ObjectStore& store, const archive::Catalog& catalog, const Target& target,
                              const archive::KeyRing& keys);

enum class ExpiryMode { kFreeze, kShift, kApply };

struct Options {
  std::string folder;  // the data directory to make
  ExpiryMode expiry = ExpiryMode::kFreeze;
  bool resume = false;
  // Go on as the same cluster, on a new timeline that fences whoever wrote there; else a new cluster with tasks off.
  bool continue_cluster = false;
  int jobs = 4;
  uint64_t memory = 512ull << 20;
  std::shared_ptr<const archive::KeyRing> keys = archive::KeyRing::Empty();
};
struct Progress {
  std::atomic<uint64_t> base_bytes{0};
  std::atomic<uint64_t> log_bytes{0};  // stored
  std::atomic<uint64_t> records{0};
  std::atomic<uint64_t> reached_micros{0};
  std::atomic<bool> cancel{false};
};
struct Result {
  Lsn reached_lsn;  // end of the last record applied
  Timestamp reached;
  uint64_t short_micros = 0;
  uint64_t records = 0;
  Timeline timeline;
  std::string cluster_id;
};
absl::StatusOr<Result> Run(FileSystem& fs, Clock& clock, objstore::ObjectStore& store, const std::string& store_uri,
                           const Target& target, const Plan& plan, const Options& options, Progress* progress);

}  // namespace tidemark::restore
