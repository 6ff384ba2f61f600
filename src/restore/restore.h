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

#include "archive/base.h"
#include "archive/catalog.h"
#include "archive/codec.h"
#include "archive/lease.h"
#include "base/status.h"
#include "env/clock.h"
#include "env/file.h"
#include "objstore/object_store.h"
#include "restore/target.h"

namespace tidemark::restore {

struct Plan {
  std::optional<archive::BaseEntry> base;  // none: from the log's origin
  std::optional<archive::Manifest> manifest;
  uint64_t base_bytes = 0;
  uint64_t base_files = 0;
  Lsn from;           // where the log begins
  Timeline timeline;  // whose history is followed
  std::vector<archive::Stretch> stretches;
  uint64_t log_objects = 0;
  uint64_t log_bytes = 0;  // stored
  // The moment that will be reached for certain; later than or equal to the target when it is fully covered.
  Timestamp reaches;
  // One of these is not zero: the archive ends so much before the asked-for time or LSN.
  uint64_t short_micros = 0;
  uint64_t short_bytes = 0;
  std::string warning;

  bool exact() const { return short_micros == 0 && short_bytes == 0; }
};
// NOT_FOUND when there is no archive. FAILED_PRECONDITION names the gap (the missing range and the objects beside it)
// or says why no base leads there, with the windows that can be restored; DATA_LOSS names a damaged manifest, or the
// file that a base lacks (when the catalog was loaded with files). `pinned_base`: key of the base to begin with, as a
// restore that was begun has to; empty: the newest that leads to the target.
absl::StatusOr<Plan> MakePlan(objstore::ObjectStore& store, const archive::Catalog& catalog, const Target& target,
                              const std::string& pinned_base = {});

// What of the archive has to stay while the plan is carried out.
archive::LeaseNeeds NeedsOf(const Plan& plan);

// The moment up to which a store is whole after the plan was carried out and `last_record` was the last applied.
Timestamp MomentReached(const Target& target, const Plan& plan, Timestamp last_record);

// "A to B (from lsn:X to before lsn:Y)": each can be given to ParseTarget.
std::string DescribeWindow(const archive::Window& window);
// "what can be restored: A to B …, C to D …", for messages.
std::string DescribeWindows(const archive::Catalog& catalog);

// What becomes of keys that were to expire after the target: expiry stands still at the target until the operator lets
// it go on (engine/expiry_clock.h); every expiry is moved by the time that has passed since; or it counts as it is.
enum class ExpiryMode { kFreeze, kShift, kApply };
std::string_view ExpiryModeName(ExpiryMode mode);
std::optional<ExpiryMode> ParseExpiryMode(std::string_view name);

struct Options {
  std::string folder;  // the data directory to make
  ExpiryMode expiry = ExpiryMode::kFreeze;
  bool resume = false;
  // Go on as the same cluster, on a new timeline that fences whoever wrote there; else a new cluster with tasks off.
  bool continue_cluster = false;
  int jobs = 4;
  uint64_t memory = 512ull << 20;
  std::shared_ptr<const archive::KeyRing> keys = archive::KeyRing::Empty();
  // Told events worth a line.
  std::function<void(const std::string& line)> report = [](const std::string&) {};
};

struct Progress {
  enum class Step : uint8_t { kPlan, kBase, kLog, kFinish };
  std::atomic<Step> step{Step::kPlan};
  archive::BaseProgress base;
  std::atomic<uint64_t> log_bytes{0};  // stored, of this run
  std::atomic<uint64_t> records{0};
  std::atomic<uint64_t> reached_micros{0};
  std::atomic<bool> cancel{false};
  // Ends Run with CANCELLED, as soon as it can be taken up again from there. Fit for a signal handler.
  void Cancel() {
    cancel = true;
    base.cancel = true;
  }
};

struct Result {
  Lsn reached_lsn;  // end of the last record applied
  // The store is whole up to here: the target where it was reached.
  Timestamp reached;
  Timestamp last_record;
  uint64_t short_micros = 0;
  uint64_t short_bytes = 0;
  uint64_t records = 0;  // applied by this run
  Timeline timeline;     // the new one
  std::string cluster_id;
  uint64_t shifted_keys = 0;
};

// What restore.json says of a restore that was begun; nullopt when the folder has none. So that a plan for going on can
// be made from the same base.
struct Begun {
  std::string archive;  // its URI, as it may be shown
  std::string target;
  std::string base;
  Timeline timeline;
};
absl::StatusOr<std::optional<Begun>> ReadBegun(FileSystem& fs, const std::string& folder);

// Carries the plan out. FAILED_PRECONDITION for a folder that is not empty (nothing in it is touched), or one that
// holds a restore of something else; UNAVAILABLE and the like when the store cannot be reached, DATA_LOSS naming a
// damaged object: after these and after CANCELLED a call with options.resume goes on. The plan of such a call is made
// with the base that Begun names. Holds a lease in the archive, so that retention spares what is read.
absl::StatusOr<Result> Run(FileSystem& fs, Clock& clock, objstore::ObjectStore& store, const archive::Catalog& catalog,
                           const Target& target, const Plan& plan, const Options& options, Progress* progress);

}  // namespace tidemark::restore
