#include "archive/verify.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "archive/around.h"
#include "archive/base.h"
#include "archive/file_codec.h"
#include "archive/parallel.h"
#include "archive/verify_log.h"
#include "base/mutex.h"
#include "format/log_format.h"

namespace tidemark::archive {
namespace {

using Kind = Finding::Kind;

// Listings that a writer's merges may make old before it is enough.
constexpr int kRoundsMax = 5;

class Verifier {
 public:
  Verifier(objstore::ObjectStore& store, const VerifyOptions& options)
      : store_(store), options_(options), log_(store, options_, [this](uint64_t bytes) { Progress(bytes); }) {}

  absl::StatusOr<VerifyReport> Run() {
    TM_RETURN_IF_ERROR(ReadLog());
    JudgeListing();
    TM_RETURN_IF_ERROR(log_.Judge(report_.catalog, &report_.findings));
    TM_RETURN_IF_ERROR(ReadBases());
    JudgeGaps();
    JudgeForks();
    if (RestorableWindows(report_.catalog).empty() && !report_.catalog.log.empty()) {
      Add(Kind::kGap, "there is no complete base, nor the log from its origin on: nothing can be restored yet");
    }
    TM_ASSIGN_OR_RETURN(const Catalog usable, Around(store_, report_.catalog, Unusable()));
    report_.windows = RestorableWindows(usable);
    report_.objects += log_.objects();
    report_.bytes += log_.bytes();
    report_.records = log_.records();
    return std::move(report_);
  }

 private:
  void Add(Kind kind, std::string what, std::string key = {}) {
    report_.findings.push_back({.kind = kind, .fatal = true, .what = std::move(what), .key = std::move(key)});
  }
  void AddRange(Kind kind, bool fatal, Timeline timeline, Lsn from, Lsn to, std::string what) {
    report_.findings.push_back(
        {.kind = kind, .fatal = fatal, .what = std::move(what), .timeline = timeline, .from = from, .to = to});
  }
  void Progress(uint64_t bytes) {
    const MutexLock lock(mutex_);
    done_ += bytes;
    if (options_.on_progress) options_.on_progress(std::min(done_, total_), total_);
  }

  // Reads until a listing and what was read agree: objects may be merged away meanwhile.
  absl::Status ReadLog() {
    for (int round = 1;; ++round) {
      damaged_.clear();
      TM_ASSIGN_OR_RETURN(report_.catalog, Catalog::Load(store_, true, &damaged_));
      SetTotal();
      TM_ASSIGN_OR_RETURN(const std::vector<std::string> gone, log_.Read(report_.catalog));
      if (gone.empty() || round == kRoundsMax) return absl::OkStatus();
    }
  }
  void SetTotal() {
    uint64_t total = 0;
    if (options_.quick) {
      for (const auto& [timeline, entries] : report_.catalog.log) total += entries.size() * format::kObjectHeaderSize;
    } else {
      total = report_.catalog.log_bytes;
      for (const auto& [key, size] : report_.catalog.files) total += size;
    }
    const MutexLock lock(mutex_);
    total_ = total;
  }

  void JudgeListing() {
    for (const auto& [key, status] : damaged_) Add(Kind::kDamaged, std::string(Message(status)), key);
    const std::string identity(format::kArchiveIdentityName);
    if (!report_.catalog.identity && !damaged_.contains(identity)) {
      Add(Kind::kMissing, identity + ": it says whose archive this is, and is not there", identity);
    }
    for (const std::string& key : report_.catalog.foreign) {
      if (key.starts_with(format::kSetAsideFolder)) {
        report_.findings.push_back({.kind = Kind::kDamaged, .what = key + ": was damaged and set aside", .key = key});
        continue;
      }
      report_.findings.push_back({.kind = Kind::kForeign, .what = key + ": is no object of an archive", .key = key});
    }
  }

  // Manifests, then every file that one of them names, once.
  absl::Status ReadBases() {
    std::map<format::FileName, std::string> files;  // → a base that needs it
    std::vector<BaseEntry> there;
    for (const BaseEntry& base : report_.catalog.bases) {
      const absl::StatusOr<Manifest> manifest = ReadManifest(store_, base);
      if (absl::IsNotFound(manifest.status())) continue;  // retention took it
      there.push_back(base);
      report_.objects += 1;
      if (!manifest.ok()) {
        if (!IsObjectsOwn(manifest.status())) return manifest.status();
        Add(Kind::kDamaged, Named(base.key, manifest.status()), base.key);
        continue;
      }
      JudgeManifest(base, *manifest);
      for (const ManifestFile& file : manifest->files) files.emplace(file.content, base.key);
    }
    report_.catalog.bases = std::move(there);
    return ReadFiles(files);
  }
  void JudgeManifest(const BaseEntry& base, const Manifest& manifest) {
    const Catalog& catalog = report_.catalog;
    if (catalog.identity && manifest.cluster_id != catalog.identity->cluster_id) {
      Add(Kind::kForeign,
          fmt::format("{}: is of cluster {}, this archive is of cluster {}", base.key, IdToHex(manifest.cluster_id),
                      IdToHex(catalog.identity->cluster_id)),
          base.key);
    }
    const auto history = catalog.timelines.find(base.name.timeline);
    if (history != catalog.timelines.end() && manifest.timeline_id != history->second.id) {
      Add(Kind::kConflict,
          fmt::format("{}: is of a timeline {} of another id than the history here", base.key,
                      base.name.timeline.value),
          base.key);
    }
  }
  absl::Status ReadFiles(const std::map<format::FileName, std::string>& files) {
    std::vector<std::pair<format::FileName, std::string>> there;
    for (const auto& [file, base] : files) {
      const std::string key = FileKey(file);
      const auto listed = report_.catalog.files.find(key);
      if (listed == report_.catalog.files.end()) {
        TM_RETURN_IF_ERROR(AddMissing(key, base));
      } else if (listed->second != FileObjectSize(file.size)) {
        Add(Kind::kDamaged,
            fmt::format("{}: has {} bytes where {} are due; {} needs it", key, listed->second,
                        FileObjectSize(file.size), base),
            key);
      } else {
        there.emplace_back(file, base);
      }
    }
    if (options_.quick) return absl::OkStatus();
    std::vector<absl::Status> results(there.size());
    TM_RETURN_IF_ERROR(ForEach(options_.jobs, there.size(), [&](size_t i) {
      const absl::Status status = VerifyFile(store_, there[i].first, *options_.keys);
      Progress(FileObjectSize(there[i].first.size));
      results[i] = status;
      return status.ok() || absl::IsNotFound(status) || IsObjectsOwn(status) ? absl::OkStatus() : status;
    }));
    for (size_t i = 0; i < there.size(); ++i) {
      const std::string key = FileKey(there[i].first);
      report_.objects += 1;
      report_.bytes += FileObjectSize(there[i].first.size);
      if (absl::IsNotFound(results[i])) {
        TM_RETURN_IF_ERROR(AddMissing(key, there[i].second));
      } else if (!results[i].ok()) {
        const bool encrypted = absl::IsPermissionDenied(results[i]);
        Add(encrypted ? Kind::kKey : Kind::kDamaged,
            fmt::format("{}; {} needs it", Message(results[i]), there[i].second), key);
        if (encrypted) {
          TM_ASSIGN_OR_RETURN(report_.findings.back().key_id, KeyIdOf(key));
        }
      }
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> KeyIdOf(const std::string& key) {
    TM_ASSIGN_OR_RETURN(const std::string head, store_.GetRange(key, 0, format::kObjectHeaderSize));
    TM_ASSIGN_OR_RETURN(const format::ObjectHeader header, format::DecodeObjectHeader(head));
    return IdToHex(header.key_id);
  }
  // Retention takes the manifest first: a file that nobody names any more is not missing.
  absl::Status AddMissing(const std::string& key, const std::string& base) {
    const absl::StatusOr<objstore::ObjectInfo> manifest = store_.Head(base);
    if (absl::IsNotFound(manifest.status())) return absl::OkStatus();
    TM_RETURN_IF_ERROR(manifest.status());
    Add(Kind::kMissing, fmt::format("{}: is not there; {} needs it", key, base), key);
    return absl::OkStatus();
  }

  // The objects that a restore must do without. Identity and histories are not among them: it would not begin.
  std::set<std::string> Unusable() const {
    std::set<std::string> keys;
    for (const Finding& finding : report_.findings) {
      const bool data = format::ParseLogObjectKey(finding.key) || format::ParseBaseKey(finding.key) ||
                        format::ParseFileKey(finding.key);
      if (finding.fatal && data) keys.insert(finding.key);
    }
    return keys;
  }

  // The timelines that lead to the newest one, and where each is left.
  std::map<Timeline, Lsn> MainHistory() const {
    std::map<Timeline, Lsn> path;
    Lsn left{UINT64_MAX};
    for (Timeline at = report_.catalog.newest_timeline(); at != Timeline{0};) {
      path.emplace(at, left);
      const auto history = report_.catalog.timelines.find(at);
      if (history == report_.catalog.timelines.end()) break;
      left = history->second.fork;
      at = history->second.parent;
    }
    return path;
  }
  // Whether a restore could come to `lsn` of `timeline` at all, were the log whole.
  bool Reachable(Timeline timeline, Lsn lsn) const {
    const Catalog& catalog = report_.catalog;
    for (Timeline at = timeline; at != Timeline{0};) {
      const bool base = std::any_of(catalog.bases.begin(), catalog.bases.end(), [&](const BaseEntry& entry) {
        return entry.name.timeline == at && entry.name.lsn <= lsn;
      });
      const auto log = catalog.log.find(at);
      if (base || (log != catalog.log.end() && log->second.front().name.first == format::kFirstLsn)) return true;
      const auto history = catalog.timelines.find(at);
      if (history == catalog.timelines.end()) return false;
      lsn = std::min(lsn, history->second.fork);
      at = history->second.parent;
    }
    return false;
  }
  void JudgeGaps() {
    const std::map<Timeline, Lsn> main = MainHistory();
    for (const auto& [timeline, entries] : report_.catalog.log) {
      const auto left = main.find(timeline);
      for (const Gap& gap : report_.catalog.Gaps(timeline)) {
        const bool needed = left != main.end() && gap.from < left->second;
        const bool fatal = needed && Reachable(timeline, gap.from);
        std::string_view why;
        if (!needed) why = "; no living history needs it";
        if (needed && !fatal) why = "; no base leads there";
        AddRange(Kind::kGap, fatal, timeline, gap.from, gap.to,
                 fmt::format("timeline {}: log is missing from LSN {} to {} ({} bytes){}", timeline.value,
                             gap.from.value, gap.to.value, gap.to - gap.from, why));
      }
    }
  }

  void JudgeForks() {
    std::set<Timeline> used;
    for (const auto& [timeline, entries] : report_.catalog.log) used.insert(timeline);
    for (const BaseEntry& base : report_.catalog.bases) used.insert(base.name.timeline);
    for (const Timeline timeline : used) {
      const std::string key = format::TimelineKey(timeline);
      const auto history = report_.catalog.timelines.find(timeline);
      if (history != report_.catalog.timelines.end()) {
        JudgeFork(history->second, used.contains(history->second.parent));
      } else if (!damaged_.contains(key)) {
        Add(Kind::kMissing, key + ": there is log or a base of this timeline, but not its history", key);
      }
    }
  }
  void JudgeFork(const TimelineHistory& history, bool parent_is_here) {
    const Catalog& catalog = report_.catalog;
    if (catalog.identity && history.cluster_id != catalog.identity->cluster_id) {
      const std::string key = format::TimelineKey(history.timeline);
      Add(Kind::kForeign, fmt::format("{}: is of cluster {}", key, IdToHex(history.cluster_id)), key);
    }
    const auto log = catalog.log.find(history.timeline);
    if (log == catalog.log.end()) return;
    const Lsn first = log->second.front().name.first;
    if (first < history.fork) {
      AddRange(Kind::kFork, true, history.timeline, first, history.fork,
               fmt::format("timeline {}: has log from LSN {} on, but begins at {}", history.timeline.value, first.value,
                           history.fork.value));
    }
    if (!parent_is_here) return;  // the archive of a restored cluster: what was before is elsewhere
    if (first > history.fork) {
      AddRange(Kind::kGap, Reachable(history.timeline, history.fork), history.timeline, history.fork, first,
               fmt::format("timeline {}: log is missing from its fork at LSN {} to {}", history.timeline.value,
                           history.fork.value, first.value));
    }
    JudgeTail(history);
  }
  // The hole that a failover leaves: streamed to who was promoted, never archived by who was before.
  void JudgeTail(const TimelineHistory& history) {
    const auto log = report_.catalog.log.find(history.parent);
    if (log == report_.catalog.log.end()) return;
    Lsn end;
    for (const LogEntry& entry : log->second) end = std::max(end, entry.name.end);
    if (end >= history.fork) return;
    AddRange(Kind::kGap, Reachable(history.parent, end), history.parent, end, history.fork,
             fmt::format("timeline {}: log is missing from LSN {} to {}, where timeline {} continues it",
                         history.parent.value, end.value, history.fork.value, history.timeline.value));
  }

  // Not the store's: reading again would find the same.
  static bool IsObjectsOwn(const absl::Status& status) {
    return absl::IsDataLoss(status) || absl::IsUnimplemented(status) || absl::IsPermissionDenied(status) ||
           absl::IsInvalidArgument(status) || absl::IsOutOfRange(status);
  }
  static std::string Named(const std::string& key, const absl::Status& status) {
    return Message(status).find(key) == std::string_view::npos ? fmt::format("{}: {}", key, Message(status))
                                                               : std::string(Message(status));
  }

  objstore::ObjectStore& store_;
  const VerifyOptions options_;
  LogVerifier log_;
  VerifyReport report_;
  std::map<std::string, absl::Status> damaged_;
  Mutex mutex_;
  uint64_t done_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t total_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

std::string_view KindName(Finding::Kind kind) {
  switch (kind) {
    case Kind::kGap:
      return "gap";
    case Kind::kDamaged:
      return "damaged";
    case Kind::kKey:
      return "key";
    case Kind::kMissing:
      return "missing";
    case Kind::kForeign:
      return "foreign";
    case Kind::kConflict:
      return "conflict";
    case Kind::kFork:
      return "fork";
  }
  return "unknown";
}

bool VerifyReport::ok() const {
  return std::none_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.fatal; });
}

std::set<std::string> VerifyReport::MissingKeys() const {
  std::set<std::string> ids;
  for (const Finding& finding : findings) {
    if (!finding.key_id.empty()) ids.insert(finding.key_id);
  }
  return ids;
}

absl::StatusOr<VerifyReport> Verify(objstore::ObjectStore& store, const VerifyOptions& options) {
  return Verifier(store, options).Run();
}

}  // namespace tidemark::archive
