// Carrying out a retention plan; see retention.h, and lease.h for how deleting keeps clear of uploads and readers.
#include <algorithm>
#include <set>

#include "archive/base.h"
#include "archive/lease.h"
#include "archive/parallel.h"
#include "archive/retention.h"

namespace tidemark::archive {
namespace {

template <typename Entry>
std::vector<std::string> KeysOf(const std::vector<Entry>& entries) {
  std::vector<std::string> keys(entries.size());
  std::ranges::transform(entries, keys.begin(), &Entry::key);
  return keys;
}

class Deletion {
 public:
  Deletion(objstore::ObjectStore& store, const RetentionPlan& plan, int jobs, Clock& clock, ArchiveLease& flag)
      : store_(store), plan_(plan), jobs_(jobs), clock_(clock), flag_(flag) {}

  absl::Status Run() {
    TM_RETURN_IF_ERROR(CheckTimelines());
    TM_RETURN_IF_ERROR(Delete(KeysOf(plan_.bases)));
    TM_RETURN_IF_ERROR(Delete(KeysOf(plan_.log)));
    if (plan_.files.empty()) return absl::OkStatus();
    // In this order: an upload that is no longer seen to be under way has its manifest there.
    TM_RETURN_IF_ERROR(CheckLeases());
    TM_ASSIGN_OR_RETURN(const std::set<std::string> named, FilesOfNewBases());
    std::vector<std::string> files = plan_.files;
    std::erase_if(files, [&](const std::string& key) { return named.contains(key); });
    return Delete(files);
  }

 private:
  absl::Status CheckLeases() {
    TM_ASSIGN_OR_RETURN(const auto leases, LiveLeases(store_, clock_.WallMicros(), flag_.holder()));
    for (const format::ArchiveLeaseName& lease : leases) {
      if ((lease.holder & kDeleterBit) != 0) continue;
      if (std::ranges::find(plan_.readers, lease.holder) != plan_.readers.end()) continue;
      return Errorf(absl::StatusCode::kAborted, "somebody reads or writes here ({}): the rest is deleted another time",
                    ArchiveLeaseKey(lease));
    }
    return absl::OkStatus();
  }

  // A timeline that has come since may need what the plan lets go.
  absl::Status CheckTimelines() {
    TM_ASSIGN_OR_RETURN(const std::vector<objstore::ObjectInfo> listed, objstore::ListAll(store_, "timelines/"));
    for (const objstore::ObjectInfo& object : listed) {
      const std::optional<Timeline> timeline = format::ParseTimelineKey(object.key);
      if (!timeline || std::ranges::find(plan_.known_timelines, *timeline) != plan_.known_timelines.end()) continue;
      return Errorf(absl::StatusCode::kAborted, "timeline {} has begun meanwhile: plan again", timeline->value);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::set<std::string>> FilesOfNewBases() {
    TM_ASSIGN_OR_RETURN(const std::vector<objstore::ObjectInfo> listed, objstore::ListAll(store_, "base/"));
    std::set<std::string> named;
    for (const objstore::ObjectInfo& object : listed) {
      const std::optional<format::BaseName> name = format::ParseBaseKey(object.key);
      if (!name || std::ranges::find(plan_.known_bases, object.key) != plan_.known_bases.end()) continue;
      TM_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(store_, {*name, object.key}));
      for (const ManifestFile& file : manifest.files) named.insert(FileKey(file.content));
    }
    return named;
  }

  absl::Status Delete(const std::vector<std::string>& keys) {
    if (keys.empty()) return absl::OkStatus();
    TM_RETURN_IF_ERROR(CheckLeases());
    return ForEach(jobs_, keys.size(), [&](size_t index) -> absl::Status {
      if (!flag_.unbroken()) {
        return Errorf(absl::StatusCode::kAborted,
                      "the lease to delete could not be renewed: the rest is deleted another time");
      }
      return store_.Delete(keys[index]);
    });
  }

  objstore::ObjectStore& store_;
  const RetentionPlan& plan_;
  const int jobs_;
  Clock& clock_;
  ArchiveLease& flag_;
};

}  // namespace

absl::Status CarryOut(objstore::ObjectStore& store, const RetentionPlan& plan, Clock& clock, int jobs) {
  if (plan.bases.empty() && plan.log.empty() && plan.files.empty()) return absl::OkStatus();
  TM_ASSIGN_OR_RETURN(const auto flag, ArchiveLease::Take(store, clock, ArchiveLease::Kind::kDelete));
  return Deletion(store, plan, jobs, clock, *flag).Run();
}

}  // namespace tidemark::archive
