#include "bin/archive_verify.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "archive/verify.h"
#include "bin/output.h"
#include "format/archive_format.h"
#include "restore/restore.h"

namespace tidemark::bin {
namespace {

using archive::Finding;
using archive::VerifyReport;
using Json = nlohmann::ordered_json;
using Kind = Finding::Kind;

std::string_view Hint(Kind kind) {
  switch (kind) {
    case Kind::kGap:
      return "moments inside cannot be restored; a new base begins a new window after it";
    case Kind::kDamaged:
      return "take the object from a copy of the archive if there is one, and take a new base; restore --without it "
             "goes around it to what is restorable";
    case Kind::kKey:
      return "give the key file that has this key";
    case Kind::kMissing:
      return "somebody removed it: take it from a copy of the archive if there is one, and take a new base";
    case Kind::kForeign:
      return "another cluster or another program writes here: give each archive a place of its own";
    case Kind::kConflict:
      return "two servers have written as one: stop the one that was replaced, and take a new base";
    case Kind::kFork:
      return "the histories do not fit: stop the task and take a new base";
  }
  return "";
}

// One line of the table: what was looked at, and which findings are its.
struct Item {
  std::string name;
  std::string facts;
  std::vector<const Finding*> findings;
  bool failed() const {
    return std::any_of(findings.begin(), findings.end(), [](const Finding* finding) { return finding->fatal; });
  }
};

bool IsOfTimeline(const Finding& finding, Timeline timeline) {
  return finding.timeline == timeline || finding.key == format::TimelineKey(timeline);
}

std::string LogFacts(const std::vector<archive::LogEntry>& entries) {
  Lsn end;
  uint64_t bytes = 0;
  for (const archive::LogEntry& entry : entries) {
    end = std::max(end, entry.name.end);
    bytes += entry.size;
  }
  return fmt::format("lsn:{:x} to lsn:{:x}, {} objects, {}", entries.front().name.first.value, end.value,
                     entries.size(), HumanSize(bytes));
}

// Every finding stands under one item; those of no other under the last.
std::vector<Item> Itemise(const VerifyReport& report) {
  std::vector<const Finding*> left;
  left.reserve(report.findings.size());
  for (const Finding& finding : report.findings) left.push_back(&finding);
  std::vector<Item> items;
  const auto add = [&](std::string name, std::string facts, const auto& belongs) {
    Item item{std::move(name), std::move(facts), {}};
    const auto mine = std::stable_partition(left.begin(), left.end(), [&](const Finding* f) { return !belongs(*f); });
    item.findings.assign(mine, left.end());
    left.erase(mine, left.end());
    items.push_back(std::move(item));
  };
  const archive::Catalog& catalog = report.catalog;
  add("identity", catalog.identity ? "cluster " + IdToHex(catalog.identity->cluster_id) : "",
      [](const Finding& finding) { return finding.key == format::kArchiveIdentityName; });
  for (const auto& [timeline, entries] : catalog.log) {
    add(fmt::format("timeline {}", timeline.value), LogFacts(entries),
        [timeline = timeline](const Finding& finding) { return IsOfTimeline(finding, timeline); });
  }
  for (const archive::BaseEntry& base : catalog.bases) {
    add(fmt::format("base at lsn:{:x}", base.name.lsn.value), HumanTime(base.name.timestamp.micros),
        [&](const Finding& finding) { return finding.key == base.key; });
  }
  if (!catalog.files.empty()) {
    add("files of bases", fmt::format("{} files", catalog.files.size()),
        [](const Finding& finding) { return finding.key.starts_with("files/"); });
  }
  add("other objects", "", [](const Finding&) { return true; });
  return items;
}

void PrintText(const VerifyReport& report) {
  for (const Item& item : Itemise(report)) {
    fmt::print("{}: {}{}\n", item.name, item.failed() ? "FAILED" : "OK",
               item.facts.empty() ? "" : fmt::format(" ({})", item.facts));
    size_t encrypted = 0;
    for (const Finding* finding : item.findings) {
      if (finding->kind == Kind::kKey && ++encrypted > 1) continue;  // every object of an archive may be
      fmt::print("  {}: {}{}\n", archive::KindName(finding->kind), finding->fatal ? "FAILED " : "", finding->what);
      if (finding->fatal) fmt::print("    hint: {}\n", Hint(finding->kind));
    }
    if (encrypted > 1) fmt::print("  key: FAILED the same of {} objects more\n", encrypted - 1);
  }
  for (const archive::Window& window : report.windows) {
    fmt::print("restorable: {} on timeline {}\n", restore::DescribeWindow(window), window.timeline.value);
  }
  if (report.windows.empty()) fmt::print("restorable: nothing\n");
  fmt::print("read: {} objects, {}, {} records\n", report.objects, HumanSize(report.bytes), report.records);
  fmt::print("archive: {}\n", report.ok() ? "OK" : "FAILED");
}

void PrintJson(const std::string& uri, const VerifyReport& report, bool quick) {
  Json json;
  json["uri"] = uri;
  json["ok"] = report.ok();
  json["quick"] = quick;
  json["objects"] = report.objects;
  json["bytes"] = report.bytes;
  json["records"] = report.records;
  json["findings"] = Json::array();
  for (const Finding& finding : report.findings) {
    Json one{{"kind", archive::KindName(finding.kind)}, {"fatal", finding.fatal}, {"what", finding.what}};
    if (!finding.key.empty()) one["key"] = finding.key;
    if (!finding.key_id.empty()) one["key_id"] = finding.key_id;
    if (finding.timeline != Timeline{0}) {
      one["timeline"] = finding.timeline.value;
      one["from_lsn"] = finding.from.value;
      one["to_lsn"] = finding.to.value;
    }
    json["findings"].push_back(std::move(one));
  }
  json["windows"] = Json::array();
  for (const archive::Window& window : report.windows) {
    json["windows"].push_back({{"from_micros", window.from.micros},
                               {"to_micros", window.to.micros},
                               {"from_lsn", window.from_lsn.value},
                               {"to_lsn", window.to_lsn.value},
                               {"timeline", window.timeline.value}});
  }
  fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

absl::StatusOr<int> VerifyArchive(objstore::ObjectStore& store, const archive::KeyRing& keys,
                                  const ArchiveCommandArguments& arguments) {
  archive::VerifyOptions options;
  options.quick = arguments.quick;
  options.jobs = arguments.jobs;
  // Borrowed: `keys` outlives the call.
  options.keys = std::shared_ptr<const archive::KeyRing>(std::shared_ptr<void>(), &keys);
  const bool show_progress = !arguments.json && isatty(STDERR_FILENO) != 0;
  if (show_progress) {
    options.on_progress = [](uint64_t done, uint64_t total) {
      fmt::print(stderr, "\r{} of {} read ", HumanSize(done), HumanSize(total));
    };
  }
  const absl::StatusOr<VerifyReport> report = archive::Verify(store, options);
  if (show_progress) fmt::print(stderr, "\r\x1b[K");
  TM_RETURN_IF_ERROR(report.status());
  if (arguments.json) {
    PrintJson(store.display_uri(), *report, arguments.quick);
  } else {
    PrintText(*report);
  }
  if (const std::set<std::string> missing = report->MissingKeys(); !missing.empty()) {
    PrintFailure(Errorf(absl::StatusCode::kPermissionDenied,
                        "objects are encrypted: give the file with the key of id {} as --crypter-key-file; --quick "
                        "looks at what is not encrypted",
                        fmt::join(missing, ", ")));
  }
  return report->ok() ? 0 : kArchiveDamaged;
}

}  // namespace tidemark::bin
