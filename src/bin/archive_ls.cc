#include "bin/archive_ls.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "archive/base.h"
#include "archive/catalog.h"
#include "bin/output.h"
#include "env/clock.h"
#include "format/archive_format.h"

namespace tidemark::bin {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

struct BaseLine {
  archive::BaseEntry entry;
  absl::StatusOr<archive::Manifest> manifest;
};

// What a listing says of one timeline's log.
struct LogLine {
  Timeline timeline;
  Lsn from;
  Lsn to;
  Timestamp first;
  Timestamp closed;
  uint64_t objects = 0;
  uint64_t bytes = 0;
  size_t gaps = 0;
};

struct Listing {
  archive::Catalog catalog;
  std::map<std::string, absl::Status> damaged;
  std::vector<archive::Window> windows;
  std::vector<BaseLine> bases;
  std::vector<LogLine> log;
  uint64_t file_bytes = 0;
  uint64_t now = 0;
  // Now minus the newest moment that can be restored; 0 where nothing can.
  uint64_t lag() const {
    Timestamp newest;
    for (const archive::Window& window : windows) newest = std::max(newest, window.to);
    return newest.micros == 0 || newest.micros > now ? 0 : now - newest.micros;
  }
};

LogLine Summarise(const archive::Catalog& catalog, Timeline timeline, const std::vector<archive::LogEntry>& entries) {
  LogLine line{.timeline = timeline,
               .from = entries.front().name.first,
               .to = {},
               .first = entries.front().name.first_timestamp,
               .closed = {}};
  for (const archive::LogEntry& entry : entries) {
    line.to = std::max(line.to, entry.name.end);
    line.closed = std::max(line.closed, entry.name.closed_timestamp);
    line.objects += 1;
    line.bytes += entry.size;
  }
  line.gaps = catalog.Gaps(timeline).size();
  return line;
}

absl::StatusOr<Listing> Load(objstore::ObjectStore& store) {
  Listing listing;
  TM_ASSIGN_OR_RETURN(listing.catalog, archive::Catalog::Load(store, true, &listing.damaged));
  listing.windows = archive::RestorableWindows(listing.catalog);
  for (const archive::BaseEntry& base : listing.catalog.bases) {
    listing.bases.push_back({base, archive::ReadManifest(store, base)});
  }
  for (const auto& [timeline, entries] : listing.catalog.log) {
    listing.log.push_back(Summarise(listing.catalog, timeline, entries));
  }
  for (const auto& [key, size] : listing.catalog.files) listing.file_bytes += size;
  listing.now = Clock::System().WallMicros();
  return listing;
}

std::string StartOf(const archive::Window& window) {
  return window.base ? fmt::format("from the base at lsn:{:x}", window.base->name.lsn.value) : "from the log's origin";
}

void PrintText(const std::string& uri, const Listing& listing) {
  const archive::Catalog& catalog = listing.catalog;
  fmt::print("archive   {}\n", uri);
  fmt::print("cluster   {}\n", catalog.identity ? IdToHex(catalog.identity->cluster_id) : "UNKNOWN");
  fmt::print("size      {} of log in {} timelines, {} in {} files of {} bases\n", HumanSize(catalog.log_bytes),
             catalog.log.size(), HumanSize(listing.file_bytes), catalog.files.size(), catalog.bases.size());
  if (listing.windows.empty()) {
    fmt::print("lag       nothing can be restored yet\n");
  } else {
    fmt::print("lag       {} behind now\n", HumanDuration(listing.lag()));
  }
  Rows windows{{"RESTORABLE FROM", "TO", "TIMELINE", ""}};
  for (const archive::Window& window : listing.windows) {
    windows.push_back({HumanTime(window.from.micros), HumanTime(window.to.micros),
                       std::to_string(window.timeline.value), StartOf(window)});
  }
  if (windows.size() > 1) fmt::print("\n{}", Table(windows));
  Rows bases{{"BASE", "TIMELINE", "LSN", "FILES", "SIZE"}};
  for (const BaseLine& base : listing.bases) {
    const format::BaseName& name = base.entry.name;
    const bool read = base.manifest.ok();
    bases.push_back({HumanTime(name.timestamp.micros), std::to_string(name.timeline.value),
                     fmt::format("lsn:{:x}", name.lsn.value), read ? std::to_string(base.manifest->files.size()) : "?",
                     read ? HumanSize(base.manifest->bytes()) : "UNREADABLE"});
  }
  if (bases.size() > 1) fmt::print("\n{}", Table(bases));
  Rows log{{"LOG OF TIMELINE", "FROM LSN", "TO LSN", "FROM", "TO", "OBJECTS", "SIZE", "GAPS"}};
  for (const LogLine& line : listing.log) {
    log.push_back({std::to_string(line.timeline.value), fmt::format("lsn:{:x}", line.from.value),
                   fmt::format("lsn:{:x}", line.to.value), HumanTime(line.first.micros), HumanTime(line.closed.micros),
                   std::to_string(line.objects), HumanSize(line.bytes),
                   line.gaps == 0 ? "none" : std::to_string(line.gaps)});
  }
  if (log.size() > 1) fmt::print("\n{}", Table(log));
  const auto live = std::count_if(catalog.leases.begin(), catalog.leases.end(),
                                  [&](const auto& lease) { return lease.expires_micros > listing.now; });
  if (live > 0) fmt::print("\n{} at work here (leases)\n", live);
  if (!catalog.foreign.empty()) {
    fmt::print("\n{} foreign objects, the first is {}\n", catalog.foreign.size(), catalog.foreign.front());
  }
}

void PrintJson(const std::string& uri, const Listing& listing) {
  const archive::Catalog& catalog = listing.catalog;
  Json json;
  json["uri"] = uri;
  json["cluster_id"] = catalog.identity ? Json(IdToHex(catalog.identity->cluster_id)) : Json(nullptr);
  json["log_bytes"] = catalog.log_bytes;
  json["files"] = catalog.files.size();
  json["file_bytes"] = listing.file_bytes;
  json["lag_micros"] = listing.windows.empty() ? Json(nullptr) : Json(listing.lag());
  json["windows"] = Json::array();
  for (const archive::Window& window : listing.windows) {
    json["windows"].push_back({{"from_micros", window.from.micros},
                               {"to_micros", window.to.micros},
                               {"from_lsn", window.from_lsn.value},
                               {"to_lsn", window.to_lsn.value},
                               {"timeline", window.timeline.value},
                               {"base", window.base ? Json(window.base->key) : Json(nullptr)}});
  }
  json["bases"] = Json::array();
  for (const BaseLine& base : listing.bases) {
    const bool read = base.manifest.ok();
    json["bases"].push_back({{"key", base.entry.key},
                             {"timeline", base.entry.name.timeline.value},
                             {"lsn", base.entry.name.lsn.value},
                             {"timestamp_micros", base.entry.name.timestamp.micros},
                             {"files", read ? Json(base.manifest->files.size()) : Json(nullptr)},
                             {"bytes", read ? Json(base.manifest->bytes()) : Json(nullptr)}});
  }
  json["log"] = Json::array();
  for (const LogLine& line : listing.log) {
    json["log"].push_back({{"timeline", line.timeline.value},
                           {"from_lsn", line.from.value},
                           {"to_lsn", line.to.value},
                           {"first_micros", line.first.micros},
                           {"closed_micros", line.closed.micros},
                           {"objects", line.objects},
                           {"bytes", line.bytes},
                           {"gaps", line.gaps}});
  }
  json["leases"] = catalog.leases.size();
  json["foreign"] = catalog.foreign;
  fmt::print("{}\n", json.dump());
}

}  // namespace

absl::StatusOr<int> ListArchive(objstore::ObjectStore& store, const archive::KeyRing& keys,
                                const ArchiveCommandArguments& arguments) {
  (void)keys;  // names and manifests are not encrypted
  TM_ASSIGN_OR_RETURN(const Listing listing, Load(store));
  if (arguments.json) {
    PrintJson(store.display_uri(), listing);
  } else {
    PrintText(store.display_uri(), listing);
  }
  int exit_code = 0;
  const auto warn = [&](const absl::Status& status) {
    PrintFailure(status);
    exit_code = kArchiveDamaged;
  };
  for (const auto& [key, status] : listing.damaged) warn(status);
  for (const BaseLine& base : listing.bases) {
    if (!base.manifest.ok()) warn(base.manifest.status());
  }
  for (const LogLine& line : listing.log) {
    if (line.gaps > 0) exit_code = kArchiveDamaged;
  }
  return exit_code;
}

}  // namespace tidemark::bin
