// Planning: which history leads to the target, which base stands nearest before it, which log lies between, and whether
// the archive has all of that. Decided from the catalog alone, but for the manifest of the base that was chosen.
#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "format/log_format.h"
#include "restore/restore.h"

namespace tidemark::restore {
namespace {

using archive::BaseEntry;
using archive::Catalog;
using archive::LogEntry;
using archive::Stretch;
using archive::TimelineHistory;

constexpr Lsn kNoEnd{std::numeric_limits<uint64_t>::max()};

const TimelineHistory* HistoryOf(const Catalog& catalog, Timeline timeline) {
  const auto found = catalog.timelines.find(timeline);
  return found == catalog.timelines.end() ? nullptr : &found->second;
}

// One timeline's part of a history: its records up to `end` belong to it.
struct Leg {
  Timeline timeline;
  Lsn end = kNoEnd;
  Timestamp fork_timestamp;  // of the last record before `end`; for all but the last leg
};

// From the first timeline to `last`.
std::vector<Leg> PathTo(const Catalog& catalog, Timeline last) {
  std::vector<Leg> path{{.timeline = last, .end = kNoEnd, .fork_timestamp = {}}};
  while (const TimelineHistory* history = HistoryOf(catalog, path.back().timeline)) {
    // A parent's number is lower, so that no damaged history leads in a circle.
    if (history->parent.value == 0 || history->parent >= path.back().timeline) break;
    const bool earlier = history->fork < path.back().end;
    path.push_back({.timeline = history->parent,
                    .end = earlier ? history->fork : path.back().end,
                    .fork_timestamp = earlier ? history->fork_timestamp : path.back().fork_timestamp});
  }
  std::reverse(path.begin(), path.end());
  return path;
}

const std::vector<LogEntry>& LogOf(const Catalog& catalog, Timeline timeline) {
  static const std::vector<LogEntry> none;
  const auto found = catalog.log.find(timeline);
  return found == catalog.log.end() ? none : found->second;
}

// The first object with records of the timeline that begins after `position`, below `limit`.
const LogEntry* NextAfter(const Catalog& catalog, Timeline timeline, Lsn position, Lsn limit) {
  for (const LogEntry& entry : LogOf(catalog, timeline)) {
    if (entry.name.first > position && entry.name.first < limit && entry.name.end > entry.name.first) return &entry;
  }
  return nullptr;
}

class Planner {
 public:
  Planner(objstore::ObjectStore& store, const Catalog& catalog, const Target& target, const std::string& pinned_base)
      : store_(store), catalog_(catalog), target_(target), pinned_base_(pinned_base) {}

  absl::StatusOr<Plan> Make() {
    if (!catalog_.identity && catalog_.bases.empty() && catalog_.log.empty()) {
      return Errorf(absl::StatusCode::kNotFound, "there is no archive in {}", store_.display_uri());
    }
    TM_ASSIGN_OR_RETURN(const std::vector<Timeline> candidates, Candidates());
    absl::StatusOr<Plan> newest = On(candidates.front());
    for (size_t i = 1; i < candidates.size() && (!newest.ok() || !newest->exact()); ++i) {
      absl::StatusOr<Plan> older = On(candidates[i]);
      if (older.ok() && older->exact()) newest = std::move(older);
    }
    TM_RETURN_IF_ERROR(newest.status());
    TM_RETURN_IF_ERROR(ReadBase(&*newest));
    Warn(&*newest);
    return newest;
  }

 private:
  // The timelines on which to look for the target; the first that reaches it is taken, else what the first gives.
  absl::StatusOr<std::vector<Timeline>> Candidates() const {
    std::vector<Timeline> all;
    const auto add = [&all](Timeline timeline) { all.push_back(timeline); };
    for (const auto& [timeline, history] : catalog_.timelines) add(timeline);
    for (const auto& [timeline, log] : catalog_.log) add(timeline);
    for (const BaseEntry& base : catalog_.bases) add(base.name.timeline);
    std::sort(all.begin(), all.end(), std::greater<>());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    if (all.empty()) {
      return Errorf(absl::StatusCode::kFailedPrecondition,
                    "the archive in {} holds no base and no log yet: there is nothing to restore",
                    store_.display_uri());
    }
    if (target_.timeline) {
      if (std::find(all.begin(), all.end(), *target_.timeline) == all.end()) {
        return Errorf(absl::StatusCode::kFailedPrecondition, "the archive has no timeline {}; its newest is {}",
                      target_.timeline->value, all.front().value);
      }
      return std::vector<Timeline>{*target_.timeline};
    }
    if (target_.kind == Target::Kind::kLatest) return std::vector<Timeline>{all.front()};
    if (target_.kind == Target::Kind::kLsn) return all;
    for (const Timeline timeline : all) {
      const TimelineHistory* history = HistoryOf(catalog_, timeline);
      if (history == nullptr || history->parent.value == 0 || history->created_micros <= target_.time.micros) {
        return std::vector<Timeline>{timeline};
      }
    }
    return std::vector<Timeline>{all.back()};
  }

  bool NotAfterTarget(const BaseEntry& base) const {
    return target_.kind == Target::Kind::kLatest ||
           (target_.kind == Target::Kind::kTime ? base.name.timestamp <= target_.time : base.name.lsn <= target_.lsn);
  }

  // The newest base at or before the target on the path; *leg is where it stands.
  const BaseEntry* ChooseBase(const std::vector<Leg>& path, size_t* leg) const {
    const BaseEntry* best = nullptr;
    for (const BaseEntry& base : catalog_.bases) {
      if (!NotAfterTarget(base) || (!pinned_base_.empty() && base.key != pinned_base_)) continue;
      for (size_t i = 0; i < path.size(); ++i) {
        if (path[i].timeline != base.name.timeline || base.name.lsn > path[i].end) continue;
        if (best != nullptr && std::pair(*leg, best->name.lsn) > std::pair(i, base.name.lsn)) continue;
        best = &base;
        *leg = i;
      }
    }
    return best;
  }

  absl::StatusOr<Plan> On(Timeline timeline) const {
    const std::vector<Leg> path = PathTo(catalog_, timeline);
    Plan plan;
    plan.timeline = timeline;
    size_t leg = 0;
    if (const BaseEntry* base = ChooseBase(path, &leg)) {
      plan.base = *base;
      // The store of a server that nobody has written to yet is at 0.
      plan.from = std::max(base->name.lsn, format::kFirstLsn);
      plan.reaches = base->name.timestamp;
    } else {
      TM_RETURN_IF_ERROR(BeginAtOrigin(path.front(), &plan));
    }
    TM_RETURN_IF_ERROR(FollowLog(path, leg, &plan));
    Trim(&plan);
    return plan;
  }

  absl::Status BeginAtOrigin(const Leg& root, Plan* plan) const {
    const std::vector<LogEntry>& log = LogOf(catalog_, root.timeline);
    if (!pinned_base_.empty()) {
      return Errorf(absl::StatusCode::kFailedPrecondition,
                    "the base {}, with which this restore was begun, is no longer in the archive: begin again in an "
                    "empty folder",
                    pinned_base_);
    }
    if (log.empty() || log.front().name.first != format::kFirstLsn) {
      return Errorf(absl::StatusCode::kFailedPrecondition,
                    "{} lies before the end of the oldest base that leads there, and the archive does not have the log "
                    "from its origin; {}",
                    FormatTarget(target_), DescribeWindows(catalog_));
    }
    if ((target_.kind == Target::Kind::kTime && target_.time < log.front().name.first_timestamp) ||
        (target_.kind == Target::Kind::kLsn && target_.lsn < format::kFirstLsn)) {
      return Errorf(absl::StatusCode::kFailedPrecondition, "{} lies before the first record; {}", FormatTarget(target_),
                    DescribeWindows(catalog_));
    }
    plan->from = format::kFirstLsn;
    return absl::OkStatus();
  }

  bool Reached(Lsn position, Timestamp closed) const {
    switch (target_.kind) {
      case Target::Kind::kLatest:
        return false;
      case Target::Kind::kTime:
        return closed >= target_.time;
      case Target::Kind::kLsn:
        return position > target_.lsn;
    }
    return false;
  }

  absl::Status FollowLog(const std::vector<Leg>& path, size_t first_leg, Plan* plan) const {
    Lsn position = plan->from;
    for (size_t i = first_leg; i < path.size(); ++i) {
      const Leg& leg = path[i];
      const bool last = i + 1 == path.size();
      if (position > leg.end) continue;
      Stretch stretch = catalog_.Follow(leg.timeline, position, leg.end);
      if (stretch.to >= leg.end) stretch.closed = leg.fork_timestamp;
      const bool goes_on = last || stretch.to >= leg.end;
      position = stretch.to;
      // Without objects too: an idle log is closed by objects that hold no records.
      plan->reaches = std::max(plan->reaches, stretch.closed);
      if (!stretch.objects.empty()) plan->stretches.push_back(std::move(stretch));
      if (Reached(position, plan->reaches)) return absl::OkStatus();
      const LogEntry* next = NextAfter(catalog_, leg.timeline, position, leg.end);
      if (next != nullptr || !goes_on) return GapAt(leg, position, next, path, i, *plan);
    }
    if (target_.kind == Target::Kind::kTime) plan->short_micros = target_.time.micros - plan->reaches.micros;
    if (target_.kind == Target::Kind::kLsn) plan->short_bytes = target_.lsn - position;
    return absl::OkStatus();
  }

  absl::Status GapAt(const Leg& leg, Lsn position, const LogEntry* next, const std::vector<Leg>& path, size_t index,
                     const Plan& plan) const {
    std::string before = "the log's origin";
    if (plan.base) before = plan.base->key;
    if (!plan.stretches.empty()) before = plan.stretches.back().objects.back().key;
    std::string after;
    if (next != nullptr) {
      after = next->key;
    } else {
      after = format::TimelineKey(path[index + 1].timeline);
    }
    return Errorf(absl::StatusCode::kFailedPrecondition,
                  "{} cannot be reached: log is missing on timeline {}, from LSN {} (lsn:{:x}) to LSN {} (lsn:{:x}), "
                  "after {} and before {}; {}",
                  FormatTarget(target_), leg.timeline.value, position.value, position.value,
                  (next != nullptr ? next->name.first : leg.end).value,
                  (next != nullptr ? next->name.first : leg.end).value, before, after, DescribeWindows(catalog_));
  }

  // Objects that hold nothing up to the target need not be read.
  void Trim(Plan* plan) const {
    const auto beyond = [this](const LogEntry& entry) {
      if (target_.kind == Target::Kind::kTime) return entry.name.first_timestamp > target_.time;
      return target_.kind == Target::Kind::kLsn && entry.name.first > target_.lsn;
    };
    for (Stretch& stretch : plan->stretches) {
      while (!stretch.objects.empty() && beyond(stretch.objects.back())) {
        stretch.objects.pop_back();
        stretch.to = stretch.objects.empty() ? stretch.from : std::min(stretch.to, stretch.objects.back().name.end);
      }
    }
    std::erase_if(plan->stretches, [](const Stretch& stretch) { return stretch.to <= stretch.from; });
    for (const Stretch& stretch : plan->stretches) {
      plan->log_objects += stretch.objects.size();
      for (const LogEntry& entry : stretch.objects) plan->log_bytes += entry.size;
    }
  }

  absl::Status ReadBase(Plan* plan) const {
    if (!plan->base) return absl::OkStatus();
    TM_ASSIGN_OR_RETURN(plan->manifest, archive::ReadManifest(store_, *plan->base));
    plan->base_bytes = plan->manifest->bytes();
    plan->base_files = plan->manifest->files.size();
    if (catalog_.files.empty()) return absl::OkStatus();
    for (const archive::ManifestFile& file : plan->manifest->files) {
      const std::string key = format::FileKey(file.content);
      if (catalog_.files.contains(key)) continue;
      return Errorf(absl::StatusCode::kDataLoss, "the base {} is not whole: its file {} ({}) is missing",
                    plan->base->key, key, file.name);
    }
    return absl::OkStatus();
  }

  void Warn(Plan* plan) const {
    const Timeline newest = catalog_.newest_timeline();
    const TimelineHistory* history = HistoryOf(catalog_, newest);
    if (target_.timeline || newest == plan->timeline || history == nullptr) return;
    plan->warning = fmt::format(
        "timeline {} is followed, which was the newest at that moment; the archive's newest is {}, made on {} ({}) "
        "from what was there up to {}. --timeline {} follows that one",
        plan->timeline.value, newest.value, FormatTime(Timestamp{history->created_micros}), history->reason,
        FormatTime(history->fork_timestamp), newest.value);
  }

  objstore::ObjectStore& store_;
  const Catalog& catalog_;
  const Target& target_;
  const std::string& pinned_base_;
};

}  // namespace

std::string DescribeWindow(const archive::Window& window) {
  return fmt::format("{} to {} (from lsn:{:x} to before lsn:{:x})", FormatTime(window.from), FormatTime(window.to),
                     window.from_lsn.value, window.to_lsn.value);
}

std::string DescribeWindows(const Catalog& catalog) {
  const std::vector<archive::Window> windows = archive::RestorableWindows(catalog);
  if (windows.empty()) return "nothing in this archive can be restored yet";
  std::string text = "what can be restored: ";
  for (size_t i = 0; i < windows.size(); ++i) {
    text += (i == 0 ? "" : ", ") + DescribeWindow(windows[i]);
  }
  return text;
}

archive::LeaseNeeds NeedsOf(const Plan& plan) {
  return {.timeline = plan.timeline, .from = plan.from, .base = plan.base ? plan.base->key : std::string()};
}

Timestamp MomentReached(const Target& target, const Plan& plan, Timestamp last_record) {
  if (target.kind == Target::Kind::kTime && plan.exact()) return target.time;
  if (target.kind == Target::Kind::kLsn) return last_record;
  return std::max(plan.reaches, last_record);
}

absl::StatusOr<Plan> MakePlan(objstore::ObjectStore& store, const Catalog& catalog, const Target& target,
                              const std::string& pinned_base) {
  return Planner(store, catalog, target, pinned_base).Make();
}

}  // namespace tidemark::restore
