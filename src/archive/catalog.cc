#include "archive/catalog.h"

#include <algorithm>
#include <limits>

#include "archive/sealed_json.h"
#include "format/log_format.h"

namespace tidemark::archive {
namespace {

constexpr uint64_t kJsonFormat = 1;
constexpr std::string_view kIdentityKind = "archive";
constexpr std::string_view kTimelineKind = "timeline";
constexpr std::string_view kFilesFolder = "files/";
// After every file of files/: their names begin with a hexadecimal digit.
constexpr std::string_view kAfterFiles = "files/g";
constexpr size_t kPage = 1000;
constexpr Lsn kNoLimit{std::numeric_limits<uint64_t>::max()};

bool ByFirstThenLongest(const LogEntry& a, const LogEntry& b) {
  if (a.name.first != b.name.first) return a.name.first < b.name.first;
  return a.name.end != b.name.end ? a.name.end > b.name.end : a.key < b.key;
}

// Puts one listed object where it belongs. Timelines and the identity are read later.
void Sort(const objstore::ObjectInfo& object, Catalog* catalog, std::vector<Timeline>* timelines) {
  if (const auto log = format::ParseLogObjectKey(object.key)) {
    catalog->log[log->timeline].push_back({*log, object.key, object.size, object.modified_micros});
    catalog->log_bytes += object.size;
  } else if (const auto base = format::ParseBaseKey(object.key)) {
    catalog->bases.push_back({*base, object.key});
  } else if (format::ParseFileKey(object.key)) {
    catalog->files.emplace(object.key, object.size);
  } else if (const auto timeline = format::ParseTimelineKey(object.key)) {
    timelines->push_back(*timeline);
  } else if (const auto lease = format::ParseArchiveLeaseKey(object.key)) {
    catalog->leases.push_back(*lease);
  } else if (object.key != format::kArchiveIdentityName) {
    catalog->foreign.push_back(object.key);
  }
}

absl::Status ListInto(objstore::ObjectStore& store, bool with_files, Catalog* catalog,
                      std::vector<Timeline>* timelines) {
  std::string after;
  for (bool more = true; more;) {
    TM_ASSIGN_OR_RETURN(const objstore::ListPage page, store.List("", after, kPage));
    more = page.more;
    if (!page.objects.empty()) after = page.objects.back().key;
    for (const objstore::ObjectInfo& object : page.objects) {
      if (with_files || !object.key.starts_with(kFilesFolder)) Sort(object, catalog, timelines);
    }
    if (!with_files && after.starts_with(kFilesFolder)) after = std::max(after, std::string(kAfterFiles));
  }
  for (auto& [timeline, entries] : catalog->log) std::sort(entries.begin(), entries.end(), ByFirstThenLongest);
  std::sort(catalog->bases.begin(), catalog->bases.end(),
            [](const BaseEntry& a, const BaseEntry& b) { return a.name < b.name; });
  return absl::OkStatus();
}

// Reads and decodes one small object; an error that is the object's own names it and goes to *damaged, if that is
// there.
template <typename T>
absl::StatusOr<std::optional<T>> ReadJson(objstore::ObjectStore& store, const std::string& key,
                                          absl::StatusOr<T> (*decode)(std::string_view),
                                          std::map<std::string, absl::Status>* damaged) {
  TM_ASSIGN_OR_RETURN(const std::string text, store.Get(key));
  absl::StatusOr<T> decoded = decode(text);
  if (decoded.ok()) return std::optional<T>(std::move(*decoded));
  const absl::Status named = Errorf(decoded.status().code(), "{}: {}", key, Message(decoded.status()));
  if (damaged == nullptr) return named;
  damaged->emplace(key, named);
  return std::optional<T>();
}

}  // namespace

std::string EncodeIdentity(const Identity& identity) {
  return SealJson(kIdentityKind, {{"format", kJsonFormat},
                                  {"cluster_id", IdToHex(identity.cluster_id)},
                                  {"created_micros", identity.created_micros}});
}

absl::StatusOr<Identity> DecodeIdentity(std::string_view json) {
  TM_ASSIGN_OR_RETURN(const nlohmann::json body, OpenJson(kIdentityKind, json));
  JsonFields fields(body);
  const uint64_t format = fields.Number("format");
  Identity identity;
  identity.cluster_id = fields.Id("cluster_id");
  identity.created_micros = fields.Number("created_micros");
  TM_RETURN_IF_ERROR(fields.Check(kIdentityKind, format, kJsonFormat));
  return identity;
}

std::string EncodeTimeline(const TimelineHistory& history) {
  return SealJson(kTimelineKind, {{"format", kJsonFormat},
                                  {"timeline", history.timeline.value},
                                  {"id", IdToHex(history.id)},
                                  {"parent", history.parent.value},
                                  {"fork_lsn", history.fork.value},
                                  {"fork_timestamp_micros", history.fork_timestamp.micros},
                                  {"cluster_id", IdToHex(history.cluster_id)},
                                  {"created_micros", history.created_micros},
                                  {"reason", history.reason}});
}

absl::StatusOr<TimelineHistory> DecodeTimeline(std::string_view json) {
  TM_ASSIGN_OR_RETURN(const nlohmann::json body, OpenJson(kTimelineKind, json));
  JsonFields fields(body);
  const uint64_t format = fields.Number("format");
  TimelineHistory history;
  history.timeline.value = static_cast<uint32_t>(fields.Number("timeline", UINT32_MAX));
  history.id = fields.Id("id");
  history.parent.value = static_cast<uint32_t>(fields.Number("parent", UINT32_MAX));
  history.fork.value = fields.Number("fork_lsn");
  history.fork_timestamp.micros = fields.Number("fork_timestamp_micros");
  history.cluster_id = fields.Id("cluster_id");
  history.created_micros = fields.Number("created_micros");
  history.reason = fields.Text("reason");
  TM_RETURN_IF_ERROR(fields.Check(kTimelineKind, format, kJsonFormat));
  // Every walk over histories goes to lower numbers, so none is endless.
  if (history.parent >= history.timeline) {
    return Errorf(absl::StatusCode::kDataLoss, "timeline {} says that it comes from timeline {}",
                  history.timeline.value, history.parent.value);
  }
  return history;
}

absl::StatusOr<Catalog> Catalog::Load(objstore::ObjectStore& store, bool with_files,
                                      std::map<std::string, absl::Status>* damaged) {
  Catalog catalog;
  std::vector<Timeline> timelines;
  TM_RETURN_IF_ERROR(ListInto(store, with_files, &catalog, &timelines));
  const std::string identity_key(format::kArchiveIdentityName);
  auto identity = ReadJson<Identity>(store, identity_key, &DecodeIdentity, damaged);
  if (identity.ok()) {
    catalog.identity = *identity;
  } else if (!absl::IsNotFound(identity.status())) {
    return identity.status();
  } else if (catalog.log.empty() && catalog.bases.empty() && timelines.empty()) {
    return Errorf(absl::StatusCode::kNotFound, "there is no archive at {}", store.display_uri());
  }
  for (const Timeline timeline : timelines) {
    const std::string key = format::TimelineKey(timeline);
    TM_ASSIGN_OR_RETURN(const auto history, ReadJson<TimelineHistory>(store, key, &DecodeTimeline, damaged));
    if (!history) continue;
    if (history->timeline == timeline) {
      catalog.timelines.emplace(timeline, *history);
      continue;
    }
    const absl::Status other =
        Errorf(absl::StatusCode::kDataLoss, "{}: holds the history of timeline {}", key, history->timeline.value);
    if (damaged == nullptr) return other;
    damaged->emplace(key, other);
  }
  return catalog;
}

Stretch Catalog::Follow(Timeline timeline, Lsn from, Lsn limit) const {
  Stretch stretch{.timeline = timeline, .from = from, .to = from, .closed = {}, .objects = {}};
  const auto found = log.find(timeline);
  if (found == log.end()) return stretch;
  const std::vector<LogEntry>& entries = found->second;
  const LogEntry* best = nullptr;  // reaches furthest of those that begin at or before stretch.to
  for (size_t i = 0; i < entries.size() && stretch.to < limit;) {
    const LogEntry& entry = entries[i];
    if (entry.name.first <= stretch.to) {
      if (entry.name.end > stretch.to && (best == nullptr || entry.name.end > best->name.end)) best = &entry;
      if (++i < entries.size()) continue;
    }
    if (best == nullptr) break;
    stretch.objects.push_back(*best);
    stretch.to = best->name.end;
    best = nullptr;
  }
  stretch.to = std::min(stretch.to, std::max(limit, from));
  for (const LogEntry& entry : entries) {
    if (entry.name.first > stretch.to) break;
    if (entry.name.end <= stretch.to) stretch.closed = std::max(stretch.closed, entry.name.closed_timestamp);
  }
  return stretch;
}

namespace {

// The timelines from `base` to `target`, both included; nothing when `target` does not come from `base` at or after
// `from`.
std::vector<Timeline> PathTo(const Catalog& catalog, Timeline base, Lsn from, Timeline target) {
  std::vector<Timeline> path{target};
  Lsn fork = kNoLimit;  // of the timeline after path.back()
  while (path.back() != base) {
    const auto history = catalog.timelines.find(path.back());
    if (history == catalog.timelines.end() || history->second.fork > fork || history->second.fork < from ||
        history->second.parent < base) {
      return {};
    }
    fork = history->second.fork;
    path.push_back(history->second.parent);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

std::vector<Timeline> LongestPath(const Catalog& catalog, Timeline base, Lsn from) {
  for (auto target = catalog.timelines.rbegin(); target != catalog.timelines.rend() && target->first > base; ++target) {
    std::vector<Timeline> path = PathTo(catalog, base, from, target->first);
    if (!path.empty()) return path;
  }
  return {base};
}

}  // namespace

std::vector<Stretch> Catalog::FollowHistory(Timeline base_timeline, Lsn from, std::optional<Timeline> until) const {
  const std::vector<Timeline> path =
      until ? PathTo(*this, base_timeline, from, *until) : LongestPath(*this, base_timeline, from);
  std::vector<Stretch> stretches;
  for (size_t i = 0; i < path.size(); ++i) {
    const bool last = i + 1 == path.size();
    const Lsn limit = last ? kNoLimit : timelines.at(path[i + 1]).fork;
    stretches.push_back(Follow(path[i], from, limit));
    if (!last && stretches.back().to < limit) break;
    from = limit;
  }
  return stretches;
}

std::vector<Gap> Catalog::Gaps(Timeline timeline) const {
  std::vector<Gap> gaps;
  const auto found = log.find(timeline);
  if (found == log.end()) return gaps;
  Lsn covered = found->second.front().name.first;
  for (const LogEntry& entry : found->second) {
    if (entry.name.first > covered) gaps.push_back({timeline, covered, entry.name.first});
    covered = std::max(covered, entry.name.end);
  }
  return gaps;
}

Timeline Catalog::newest_timeline() const {
  Timeline newest;
  if (!timelines.empty()) newest = timelines.rbegin()->first;
  if (!log.empty()) newest = std::max(newest, log.rbegin()->first);
  if (!bases.empty()) newest = std::max(newest, bases.back().name.timeline);
  return newest;
}

Catalog Catalog::Without(const std::set<std::string>& keys) const {
  Catalog rest = *this;
  for (auto at = rest.log.begin(); at != rest.log.end();) {
    std::erase_if(at->second, [&](const LogEntry& entry) { return keys.contains(entry.key); });
    at = at->second.empty() ? rest.log.erase(at) : std::next(at);
  }
  std::erase_if(rest.bases, [&](const BaseEntry& base) { return keys.contains(base.key); });
  for (const std::string& key : keys) rest.files.erase(key);
  return rest;
}

namespace {

// What can be restored from `window.from_lsn` on `timeline` on.
Window Complete(const Catalog& catalog, Window window, Timeline timeline) {
  const std::vector<Stretch> stretches = catalog.FollowHistory(timeline, window.from_lsn, std::nullopt);
  window.to = window.from;
  for (size_t i = 0; i < stretches.size(); ++i) {
    window.timeline = stretches[i].timeline;
    window.to_lsn = stretches[i].to;
    window.to = std::max(window.to, stretches[i].closed);
    if (i > 0) window.to = std::max(window.to, catalog.timelines.at(window.timeline).fork_timestamp);
  }
  return window;
}

}  // namespace

std::vector<Window> RestorableWindows(const Catalog& catalog) {
  std::vector<Window> all;
  for (const auto& [timeline, entries] : catalog.log) {
    const auto history = catalog.timelines.find(timeline);
    const bool has_origin =
        history == catalog.timelines.end() ? timeline == format::kFirstTimeline : history->second.parent == Timeline{0};
    if (!has_origin || entries.front().name.first != format::kFirstLsn) continue;
    all.push_back(Complete(catalog,
                           {.base = {},
                            .from = entries.front().name.first_timestamp,
                            .to = {},
                            .from_lsn = format::kFirstLsn,
                            .to_lsn = {},
                            .timeline = {}},
                           timeline));
  }
  for (const BaseEntry& base : catalog.bases) {
    all.push_back(Complete(
        catalog,
        {.base = base, .from = base.name.timestamp, .to = {}, .from_lsn = base.name.lsn, .to_lsn = {}, .timeline = {}},
        base.name.timeline));
  }
  std::stable_sort(all.begin(), all.end(), [](const Window& a, const Window& b) { return a.from < b.from; });
  std::vector<Window> joined;
  for (const Window& window : all) {
    const auto same = std::find_if(joined.begin(), joined.end(), [&](const Window& other) {
      return other.timeline == window.timeline && other.from_lsn <= window.from_lsn && window.from_lsn <= other.to_lsn;
    });
    if (same == joined.end()) {
      joined.push_back(window);
      continue;
    }
    same->to = std::max(same->to, window.to);
    same->to_lsn = std::max(same->to_lsn, window.to_lsn);
  }
  return joined;
}

}  // namespace tidemark::archive
