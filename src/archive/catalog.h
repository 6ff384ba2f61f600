// What an archive holds, from a listing alone: bases, log objects, timelines, and what can be restored from them.
// A listing in name order is the index; nothing is opened but the few small JSON objects.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/archive_format.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

// archive.json
struct Identity {
  format::Id128 cluster_id{};
  uint64_t created_micros = 0;
};
// timelines/T.json. The first timeline of a cluster has parent 0.
struct TimelineHistory {
  Timeline timeline{};
  format::Id128 id{};
  Timeline parent{};
  Lsn fork{};                  // records of the parent from here on are not part of this timeline
  Timestamp fork_timestamp{};  // of the last record before the fork
  format::Id128 cluster_id{};
  uint64_t created_micros = 0;
  std::string reason{};  // "created", "restore to …", "promotion"
};
std::string EncodeIdentity(const Identity& identity);
absl::StatusOr<Identity> DecodeIdentity(std::string_view json);
std::string EncodeTimeline(const TimelineHistory& history);
absl::StatusOr<TimelineHistory> DecodeTimeline(std::string_view json);

struct LogEntry {
  format::LogObjectName name;
  std::string key{};
  uint64_t size = 0;
  uint64_t modified_micros = 0;  // of the store's clock: for graces, never for order
};
struct BaseEntry {
  format::BaseName name;
  std::string key{};
};

// Log objects that together cover [from, to) of one timeline without a gap.
struct Stretch {
  Timeline timeline{};
  Lsn from{};
  Lsn to{};
  Timestamp closed{};  // nothing at or below this follows `to` on this timeline
  std::vector<LogEntry> objects{};
};

struct Gap {
  Timeline timeline{};
  Lsn from{};
  Lsn to{};  // where the next object begins
};

struct Catalog {
  std::optional<Identity> identity;  // none: the archive is empty or foreign
  std::map<Timeline, TimelineHistory> timelines;
  std::map<Timeline, std::vector<LogEntry>> log;  // by first, then longest first
  std::vector<BaseEntry> bases;                   // by timeline, LSN
  std::map<std::string, uint64_t> files;          // key → stored size of files/ (when asked for)
  std::vector<format::ArchiveLeaseName> leases;
  std::vector<std::string> foreign;  // keys that are none of ours
  uint64_t log_bytes = 0;            // stored

  // Lists everything; `with_files`: also files/. NOT_FOUND when there is no archive here (nothing but foreign objects
  // and leases). DATA_LOSS, naming the object, for an identity or a history that cannot be read; with `damaged` these
  // are put there, by key, and the rest is loaded.
  static absl::StatusOr<Catalog> Load(objstore::ObjectStore& store, bool with_files,
                                      std::map<std::string, absl::Status>* damaged = nullptr);

  // The longest stretch of `timeline` that begins at `from` exactly (an object may begin earlier), up to `limit`.
  // Empty (to == from) when there is nothing. Of overlapping objects the fewest are taken.
  Stretch Follow(Timeline timeline, Lsn from, Lsn limit) const;
  // Follows `from` on `base_timeline` over every fork to the last timeline that comes from there (or `until`, if
  // given): each stretch ends at the fork of the next, but the last one, or where log is missing. Divergent tails
  // beyond a fork are left out; a stretch may be empty. Nothing when `until` does not come from there.
  std::vector<Stretch> FollowHistory(Timeline base_timeline, Lsn from, std::optional<Timeline> until) const;
  // Every place on a timeline where log is missing between objects.
  std::vector<Gap> Gaps(Timeline timeline) const;
  // The newest timeline there is, by number; 0 when none.
  Timeline newest_timeline() const;
  // What is left when the log objects, bases and files of these keys cannot be used. Bases that need one of the files
  // stay: Around (archive/around.h) finds them.
  Catalog Without(const std::set<std::string>& keys) const;
};

// A span of time any moment of which can be restored: from a base (or the log's origin) over unbroken log.
struct Window {
  std::optional<BaseEntry> base{};  // none: from the log's origin
  Timestamp from{};
  Timestamp to{};
  Lsn from_lsn{};
  Lsn to_lsn{};
  Timeline timeline{};  // of the end
};
// Ordered by time; windows of one history that touch or overlap are joined, with the oldest base.
std::vector<Window> RestorableWindows(const Catalog& catalog);

}  // namespace tidemark::archive
