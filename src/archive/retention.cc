// What retention may delete; see retention.h. Every timeline is looked at as one to restore to: its lineage is the one
// axis of LSNs from the log's origin over the forks of its ancestors, on which bases and log objects lie as intervals.
// Intervals that touch are a run; within a run everything from a base on can be restored, so a run is either not
// needed, or needed from one base (the floor) to its end.
#include "archive/retention.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "archive/base.h"
#include "archive/lease.h"
#include "format/log_format.h"

namespace tidemark::archive {
namespace {

constexpr Lsn kNoLimit{std::numeric_limits<uint64_t>::max()};
constexpr Timestamp kNever{std::numeric_limits<uint64_t>::max()};

// The positions of one timeline that belong to a lineage: [from, to], records in between.
struct Part {
  Timeline timeline;
  Lsn from;
  Lsn to;
};

struct Run {
  Lsn begin;
  Lsn end;
  Timestamp oldest;  // of its records
  // The last moment that can be restored from here lies between: an object that a fork cuts says more than it has.
  Timestamp surely_closed;
  Timestamp closed;
  // Where a restore can begin, in order of time; no entry: the log's origin.
  struct Start {
    Timestamp timestamp;
    Lsn lsn;
    const BaseEntry* base = nullptr;
  };
  std::vector<Start> starts;
};

// An object, or a base, as it lies on the axis.
struct Interval {
  Lsn begin;
  Lsn end;
  Timestamp first;
  Timestamp closed;
  bool cut = false;  // by a fork
  const BaseEntry* base = nullptr;
  bool origin = false;
};

// What stays.
struct Needed {
  // Also the object that ends where `part` begins, if it alone may say that nothing followed up to `closed_from`.
  struct Log {
    Part part;
    Timestamp closed_from;
  };
  std::vector<Log> log;
  std::set<std::string> bases;

  void AddLog(const std::vector<Part>& lineage, Lsn from, Lsn to, Timestamp closed_from) {
    for (const Part& part : lineage) {
      const Part needed{part.timeline, std::max(from, part.from), std::min(to, part.to)};
      if (needed.from <= needed.to) log.push_back({needed, closed_from});
    }
  }
  bool Has(const format::LogObjectName& name) const {
    return std::any_of(log.begin(), log.end(), [&](const Log& needed) {
      const Part& part = needed.part;
      if (part.timeline != name.timeline) return false;
      if (name.first == name.end) return part.from <= name.first && name.first <= part.to;
      if (name.first >= part.to) return false;
      return part.from < name.end || (part.from == name.end && name.closed_timestamp >= needed.closed_from);
    });
  }
};

std::set<Timeline> TimelinesOf(const Catalog& catalog) {
  std::set<Timeline> timelines;
  for (const auto& [timeline, history] : catalog.timelines) timelines.insert(timeline);
  for (const auto& [timeline, objects] : catalog.log) {
    if (!objects.empty()) timelines.insert(timeline);
  }
  for (const BaseEntry& base : catalog.bases) timelines.insert(base.name.timeline);
  return timelines;
}

// From `target` up to the root.
absl::StatusOr<std::vector<Part>> LineageOf(const Catalog& catalog, Timeline target) {
  std::vector<Part> lineage;
  Lsn to = kNoLimit;
  for (Timeline timeline = target; timeline != Timeline{0};) {
    const auto history = catalog.timelines.find(timeline);
    if (history == catalog.timelines.end()) {
      return Errorf(absl::StatusCode::kFailedPrecondition,
                    "the history of timeline {} is missing ({}): what may be deleted cannot be known", timeline.value,
                    format::TimelineKey(timeline));
    }
    const bool root = history->second.parent == Timeline{0};
    const Lsn from = root ? Lsn{0} : std::min(history->second.fork, to);
    lineage.push_back({timeline, from, to});
    if (lineage.size() > catalog.timelines.size()) {
      return Errorf(absl::StatusCode::kDataLoss, "the history of timeline {} goes round in a circle", target.value);
    }
    to = from;
    timeline = history->second.parent;
  }
  return lineage;
}

std::vector<Interval> IntervalsOf(const Catalog& catalog, const std::vector<Part>& lineage) {
  std::vector<Interval> intervals;
  for (const Part& part : lineage) {
    const auto objects = catalog.log.find(part.timeline);
    if (objects != catalog.log.end()) {
      for (const LogEntry& object : objects->second) {
        const Lsn begin = std::max(object.name.first, part.from);
        const Lsn end = std::min(object.name.end, part.to);
        if (begin <= end)
          intervals.push_back(
              {begin, end, object.name.first_timestamp, object.name.closed_timestamp, end < object.name.end});
      }
    }
    for (const BaseEntry& base : catalog.bases) {
      const Lsn at = base.name.lsn;
      if (base.name.timeline != part.timeline || at < part.from || at > part.to) continue;
      intervals.push_back({at, at, base.name.timestamp, base.name.timestamp, false, &base});
    }
    if (part.from == Lsn{0})
      intervals.push_back({format::kFirstLsn, format::kFirstLsn, kNever, {}, false, nullptr, true});
  }
  std::sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) {
    return a.begin < b.begin || (a.begin == b.begin && a.end < b.end);
  });
  return intervals;
}

std::vector<Run> RunsOf(const std::vector<Interval>& intervals) {
  std::vector<Run> runs;
  for (const Interval& interval : intervals) {
    if (runs.empty() || interval.begin > runs.back().end)
      runs.push_back({interval.begin, interval.end, kNever, {}, {}, {}});
    Run& run = runs.back();
    run.end = std::max(run.end, interval.end);
    run.oldest = std::min(run.oldest, interval.first);
    run.closed = std::max(run.closed, interval.closed);
    if (!interval.cut) run.surely_closed = std::max(run.surely_closed, interval.closed);
    if (interval.origin) run.starts.push_back({Timestamp{0}, interval.begin, nullptr});
    if (interval.base != nullptr) run.starts.push_back({interval.closed, interval.begin, interval.base});
  }
  // An origin without log is none.
  std::erase_if(runs, [](const Run& run) { return run.closed == Timestamp{0}; });
  for (Run& run : runs) {
    std::stable_sort(run.starts.begin(), run.starts.end(),
                     [](const Run::Start& a, const Run::Start& b) { return a.timestamp < b.timestamp; });
  }
  return runs;
}

// The run from its last start at or before `from` on; from its first when there is none.
void NeedFrom(const std::vector<Part>& lineage, const Run& run, Timestamp from, Needed* needed) {
  auto floor = run.starts.begin();
  for (auto it = run.starts.begin(); it != run.starts.end() && it->timestamp <= from; ++it) floor = it;
  for (auto it = floor; it != run.starts.end(); ++it) {
    if (it->base != nullptr) needed->bases.insert(it->base->key);
  }
  needed->AddLog(lineage, floor->lsn, run.end, from);
}

// What stays for the sake of one timeline. `newest`: it is the one that the next restore goes to, so that its newest
// moment stays however old it is, and log that waits for its base.
void NeedTimeline(const std::vector<Part>& lineage, const std::vector<Run>& runs, bool newest, Timestamp keep_from,
                  Needed* needed) {
  bool newest_moment_seen = !newest;
  for (size_t i = runs.size(); i-- > 0;) {
    const Run& run = runs[i];
    if (run.starts.empty()) {
      if (run.closed >= keep_from || (newest && i + 1 == runs.size()))
        needed->AddLog(lineage, run.begin, run.end, kNever);
      continue;
    }
    if (!newest_moment_seen) {
      newest_moment_seen = true;
      NeedFrom(lineage, run, std::min(keep_from, run.surely_closed), needed);
    } else if (run.closed >= keep_from) {
      NeedFrom(lineage, run, keep_from, needed);
    }
  }
}

const BaseEntry* NewestBase(const Catalog& catalog) {
  const auto newest =
      std::max_element(catalog.bases.begin(), catalog.bases.end(), [](const BaseEntry& a, const BaseEntry& b) {
        return std::tie(a.name.timestamp, a.name.timeline) < std::tie(b.name.timestamp, b.name.timeline);
      });
  return newest == catalog.bases.end() ? nullptr : &*newest;
}

absl::StatusOr<Needed> FindNeeded(const Catalog& catalog, Timestamp keep_from) {
  Needed needed;
  const std::set<Timeline> timelines = TimelinesOf(catalog);
  const BaseEntry* const newest_base = NewestBase(catalog);
  for (const Timeline timeline : timelines) {
    TM_ASSIGN_OR_RETURN(const std::vector<Part> lineage, LineageOf(catalog, timeline));
    const std::vector<Run> runs = RunsOf(IntervalsOf(catalog, lineage));
    NeedTimeline(lineage, runs, timeline == *timelines.rbegin(), keep_from, &needed);
  }
  // On a timeline that has ended, perhaps: a base is kept all the same.
  if (newest_base != nullptr) needed.bases.insert(newest_base->key);
  return needed;
}

// The oldest moment that can be restored, of any timeline; 0 when there is none.
absl::StatusOr<Timestamp> OldestRestorable(const Catalog& catalog) {
  Timestamp oldest = kNever;
  for (const Timeline timeline : TimelinesOf(catalog)) {
    TM_ASSIGN_OR_RETURN(const std::vector<Part> lineage, LineageOf(catalog, timeline));
    for (const Run& run : RunsOf(IntervalsOf(catalog, lineage))) {
      if (run.starts.empty()) continue;
      const Run::Start& first = run.starts.front();
      oldest = std::min(oldest, first.base != nullptr ? first.timestamp : run.oldest);
    }
  }
  return oldest == kNever ? Timestamp{0} : oldest;
}

// Keys of all files that some base which stays names.
absl::StatusOr<std::set<std::string>> NamedFiles(objstore::ObjectStore& store, const std::vector<BaseEntry>& bases) {
  std::set<std::string> named;
  for (const BaseEntry& base : bases) {
    TM_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(store, base));
    for (const ManifestFile& file : manifest.files) named.insert(FileKey(file.content));
  }
  return named;
}

// Who is at work here: what the readers need goes to *needs, and who holds everything is named in the plan.
void LookAtLeases(objstore::ObjectStore& store, const Catalog& catalog, uint64_t now_micros, RetentionPlan* plan,
                  std::vector<LeaseNeeds>* needs) {
  for (const format::ArchiveLeaseName& lease : catalog.leases) {
    if (lease.expires_micros <= now_micros || (lease.holder & kDeleterBit) != 0) continue;
    if (std::optional<LeaseNeeds> reads = ReadLeaseNeeds(store, lease)) {
      plan->readers.push_back(lease.holder);
      needs->push_back(*std::move(reads));
      continue;
    }
    plan->held_by = fmt::format("somebody reads or writes here: {}, for {} s", ArchiveLeaseKey(lease),
                                (lease.expires_micros - now_micros) / 1'000'000 + 1);
  }
}

// Beside what stays for those to come.
absl::Status AddReaders(const Catalog& catalog, const std::vector<LeaseNeeds>& needs, Needed* needed) {
  for (const LeaseNeeds& reader : needs) {
    TM_ASSIGN_OR_RETURN(const std::vector<Part> lineage, LineageOf(catalog, reader.timeline));
    needed->AddLog(lineage, reader.from, kNoLimit, Timestamp{0});
    if (!reader.base.empty()) needed->bases.insert(reader.base);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RetentionPlan> PlanRetention(objstore::ObjectStore& store, const Catalog& catalog, Timestamp keep_from,
                                            uint64_t now_micros) {
  RetentionPlan plan;
  for (const Timeline timeline : TimelinesOf(catalog)) plan.known_timelines.push_back(timeline);
  for (const BaseEntry& base : catalog.bases) plan.known_bases.push_back(base.key);
  std::vector<LeaseNeeds> readers;
  LookAtLeases(store, catalog, now_micros, &plan, &readers);
  if (!plan.held_by.empty()) {
    TM_ASSIGN_OR_RETURN(plan.oldest_restorable, OldestRestorable(catalog));
    return plan;
  }
  TM_ASSIGN_OR_RETURN(Needed needed, FindNeeded(catalog, keep_from));
  TM_RETURN_IF_ERROR(AddReaders(catalog, readers, &needed));
  Catalog staying;
  staying.timelines = catalog.timelines;
  for (const BaseEntry& base : catalog.bases) {
    (needed.bases.contains(base.key) ? staying.bases : plan.bases).push_back(base);
  }
  for (const auto& [timeline, objects] : catalog.log) {
    for (const LogEntry& object : objects) {
      (needed.Has(object.name) ? staying.log[timeline] : plan.log).push_back(object);
    }
  }
  TM_ASSIGN_OR_RETURN(const std::set<std::string> named, NamedFiles(store, staying.bases));
  for (const auto& [key, size] : catalog.files) {
    if (named.contains(key)) continue;
    plan.files.push_back(key);
    plan.bytes += size;
  }
  for (const LogEntry& object : plan.log) plan.bytes += object.size;
  TM_ASSIGN_OR_RETURN(plan.oldest_restorable, OldestRestorable(staying));
  return plan;
}

}  // namespace tidemark::archive
