#include "backup/archive_claim.h"

#include <algorithm>
#include <map>
#include <utility>

#include "format/log_format.h"

namespace tidemark::backup {
namespace {

constexpr const char* kFencedPayload = "tidemark.fenced";
constexpr Lsn kNoLimit{UINT64_MAX};

// A small document that every restore needs. That it is damaged does not pass, whatever the store calls passing.
absl::Status DamagedDocument(const objstore::ObjectStore& store, std::string_view key, const absl::Status& status) {
  return Errorf(absl::StatusCode::kFailedPrecondition,
                "{} in the archive at {} is damaged: {}. Nothing can be restored from there until it is back as it was",
                key, store.display_uri(), Message(status));
}

absl::Status ClaimIdentity(objstore::ObjectStore& store, const engine::Identity& identity, uint64_t now_micros) {
  const archive::Identity ours{.cluster_id = identity.cluster_id, .created_micros = now_micros};
  absl::Status put =
      store.Put(format::kArchiveIdentityName, archive::EncodeIdentity(ours), objstore::PutCondition::kMustNotExist);
  if (!absl::IsAlreadyExists(put)) return put;
  TM_ASSIGN_OR_RETURN(const std::string bytes, store.Get(format::kArchiveIdentityName));
  const absl::StatusOr<archive::Identity> present = archive::DecodeIdentity(bytes);
  if (!present.ok()) return DamagedDocument(store, format::kArchiveIdentityName, present.status());
  if (present->cluster_id == identity.cluster_id) return absl::OkStatus();
  return FencedError(
      fmt::format("the archive at {} belongs to cluster {}, this server is of cluster {}: give the task "
                  "a place of its own",
                  store.display_uri(), IdToHex(present->cluster_id), IdToHex(identity.cluster_id)));
}

absl::Status ClaimTimeline(objstore::ObjectStore& store, const engine::Identity& identity, uint64_t now_micros) {
  const archive::TimelineHistory ours{
      .timeline = identity.timeline,
      .id = identity.timeline_id,
      .parent = identity.parent,
      .fork = identity.fork,
      .fork_timestamp = identity.fork_timestamp,
      .cluster_id = identity.cluster_id,
      .created_micros = identity.created_micros == 0 ? now_micros : identity.created_micros,
      .reason = identity.reason};
  const std::string key = format::TimelineKey(identity.timeline);
  absl::Status put = store.Put(key, archive::EncodeTimeline(ours), objstore::PutCondition::kMustNotExist);
  if (!absl::IsAlreadyExists(put)) return put;
  TM_ASSIGN_OR_RETURN(const std::string bytes, store.Get(key));
  const absl::StatusOr<archive::TimelineHistory> present = archive::DecodeTimeline(bytes);
  if (!present.ok()) return DamagedDocument(store, key, present.status());
  if (present->id == identity.timeline_id) return absl::OkStatus();
  return FencedError(
      fmt::format("timeline {} in the archive at {} is {} ({}), this server's is {}: somebody else "
                  "writes there",
                  identity.timeline.value, store.display_uri(), IdToHex(present->id), present->reason,
                  IdToHex(identity.timeline_id)));
}

// A timeline on the way from a base to our own, and where the next one leaves it.
struct Leg {
  Timeline timeline;
  Lsn limit;
};

// From `from` to `own`; empty when `from` is no ancestor.
std::vector<Leg> Path(const archive::Catalog& catalog, Timeline from, Timeline own) {
  std::vector<Leg> path{{own, kNoLimit}};
  while (path.back().timeline != from) {
    const auto found = catalog.timelines.find(path.back().timeline);
    if (found == catalog.timelines.end()) return {};
    const archive::TimelineHistory& history = found->second;
    if (history.parent.value == 0 || history.parent >= history.timeline) return {};
    path.push_back({history.parent, history.fork});
  }
  std::reverse(path.begin(), path.end());
  return path;
}

struct Chain {
  Lsn end;
  Timestamp closed;
  std::optional<archive::LogEntry> last;
};

// Follows the log from `from` over all forks to its end on `own`; nothing when it breaks on the way.
std::optional<Chain> FollowChain(const archive::Catalog& catalog, Timeline timeline, Lsn from, Timestamp at,
                                 Timeline own) {
  const std::vector<Leg> path = Path(catalog, timeline, own);
  if (path.empty() || from > path.front().limit) return std::nullopt;
  Chain chain{.end = from, .closed = at, .last = {}};
  for (const Leg& leg : path) {
    const archive::Stretch stretch = catalog.Follow(leg.timeline, chain.end, leg.limit);
    const Lsn reached = std::min(std::max(stretch.to, chain.end), leg.limit);
    if (leg.limit != kNoLimit && reached < leg.limit) return std::nullopt;
    chain.end = reached;
    chain.closed = std::max(chain.closed, stretch.closed);
    if (leg.timeline == own && !stretch.objects.empty()) chain.last = stretch.objects.back();
  }
  return chain;
}

struct Candidate {
  ChainEnd chain;
  std::optional<archive::LogEntry> last;
};
using Candidates = std::map<Lsn, Candidate>;

// Of chains with the same end, what can be restored is the longest; log that leads there makes none of them bare.
void Consider(const Chain& chain, ChainEnd end, Candidates* all) {
  const auto [found, is_new] = all->try_emplace(end.end, Candidate{.chain = end, .last = chain.last});
  if (is_new) return;
  Candidate& known = found->second;
  known.chain.closed = std::max(known.chain.closed, end.closed);
  known.chain.restorable_from = std::min(known.chain.restorable_from, end.restorable_from);
  if (!end.bare_base && !end.at_origin) known.chain.bare_base.reset();
  if (!end.at_origin) known.chain.at_origin = false;
  if (chain.last) known.last = chain.last;
}

Timestamp FirstTimestamp(const archive::Catalog& catalog, Timeline timeline) {
  const auto found = catalog.log.find(timeline);
  return found == catalog.log.end() || found->second.empty() ? Timestamp{} : found->second.front().name.first_timestamp;
}

// The header of what is at `key`, read again where it is damaged: an answer can be, too.
absl::StatusOr<format::ObjectHeader> ReadHeader(objstore::ObjectStore& store, const std::string& key,
                                                std::string* damage) {
  for (int attempt = 1;; ++attempt) {
    const absl::StatusOr<std::string> bytes = store.GetRange(key, 0, format::kObjectHeaderSize);
    if (!bytes.ok() && !absl::IsOutOfRange(bytes.status())) return bytes.status();
    absl::StatusOr<format::ObjectHeader> header = format::DecodeObjectHeader(bytes.ok() ? *bytes : std::string());
    if (header.ok()) return header;
    if (attempt == 1) continue;
    const absl::Status named = Errorf(absl::StatusCode::kFailedPrecondition, "{} in the archive at {}: {}", key,
                                      store.display_uri(), Message(header.status()));
    if (absl::IsDataLoss(header.status())) *damage = Message(named);
    return named;
  }
}

absl::Status CheckLastObject(objstore::ObjectStore& store, const archive::LogEntry& entry,
                             const engine::Identity& identity, ChainEnd* chain, ArchivePosition* position) {
  std::string damage;
  const absl::StatusOr<format::ObjectHeader> header = ReadHeader(store, entry.key, &damage);
  if (!damage.empty()) {
    position->damaged = entry.key;
    position->damage = damage;
    return absl::OkStatus();
  }
  TM_RETURN_IF_ERROR(header.status());
  if (header->cluster_id != identity.cluster_id || header->timeline_id != identity.timeline_id) {
    return FencedError(fmt::format("{} in the archive at {} was written by another server (cluster {}, timeline {})",
                                   entry.key, store.display_uri(), IdToHex(header->cluster_id),
                                   IdToHex(header->timeline_id)));
  }
  chain->last_crc = header->last_crc;
  return absl::OkStatus();
}

std::vector<std::string> Superseded(const archive::Catalog& catalog, const engine::Identity& identity,
                                    Timestamp closed) {
  std::vector<std::string> keys;
  const auto found = catalog.log.find(identity.timeline);
  if (found == catalog.log.end()) return keys;
  for (const archive::LogEntry& entry : found->second) {
    if (entry.name.first == entry.name.end && entry.name.closed_timestamp < closed) keys.push_back(entry.key);
  }
  return keys;
}

}  // namespace

absl::Status FencedError(const std::string& message) {
  absl::Status status = absl::FailedPreconditionError(message);
  status.SetPayload(kFencedPayload, absl::Cord("1"));
  return status;
}

bool IsFenced(const absl::Status& status) { return status.GetPayload(kFencedPayload).has_value(); }

absl::Status ClaimArchive(objstore::ObjectStore& store, const engine::Identity& identity, uint64_t now_micros) {
  TM_RETURN_IF_ERROR(ClaimIdentity(store, identity, now_micros));
  TM_RETURN_IF_ERROR(CheckFence(store, identity.timeline));
  TM_RETURN_IF_ERROR(ClaimTimeline(store, identity, now_micros));
  return CheckFence(store, identity.timeline);
}

absl::Status CheckFence(objstore::ObjectStore& store, Timeline own) {
  TM_ASSIGN_OR_RETURN(const objstore::ListPage page, store.List("timelines/", format::TimelineKey(own), 1000));
  std::optional<Timeline> newest;
  for (const objstore::ObjectInfo& object : page.objects) {
    const std::optional<Timeline> timeline = format::ParseTimelineKey(object.key);
    if (timeline && *timeline > own) newest = timeline;
  }
  if (!newest) return absl::OkStatus();
  return FencedError(fmt::format("timeline {} has taken over the archive at {}; this server is on timeline {}",
                                 newest->value, store.display_uri(), own.value));
}

absl::Status SetAside(objstore::ObjectStore& store, const std::string& key) {
  const absl::StatusOr<std::string> bytes = store.Get(key);
  if (absl::IsNotFound(bytes.status())) return absl::OkStatus();
  TM_RETURN_IF_ERROR(bytes.status());
  const std::string aside = fmt::format("{}{}", format::kSetAsideFolder, key);
  TM_RETURN_IF_ERROR(store.Put(aside, *bytes, objstore::PutCondition::kNone));
  return store.Delete(key);
}

absl::StatusOr<ArchivePosition> FindPosition(objstore::ObjectStore& store, const archive::Catalog& catalog,
                                             const engine::Identity& identity) {
  ArchivePosition position;
  Candidates all;
  const Timeline own = identity.timeline;
  const auto first = catalog.timelines.find(format::kFirstTimeline);
  if (first != catalog.timelines.end() && first->second.parent.value == 0) {
    const Timeline origin = format::kFirstTimeline;
    if (const auto chain = FollowChain(catalog, origin, format::kFirstLsn, Timestamp{}, own)) {
      const ChainEnd end{.end = chain->end,
                         .closed = chain->closed,
                         .last_crc = {},
                         .restorable_from = FirstTimestamp(catalog, origin),
                         .bare_base = {},
                         .at_origin = chain->end == format::kFirstLsn};
      Consider(*chain, end, &all);
    }
  }
  for (const archive::BaseEntry& base : catalog.bases) {
    const auto chain = FollowChain(catalog, base.name.timeline, base.name.lsn, base.name.timestamp, own);
    if (!chain) continue;
    position.last_base = std::max(position.last_base, base.name.timestamp);
    ChainEnd end{.end = chain->end,
                 .closed = chain->closed,
                 .last_crc = {},
                 .restorable_from = base.name.timestamp,
                 .bare_base = {}};
    if (chain->end == base.name.lsn) end.bare_base = base.name;
    Consider(*chain, end, &all);
  }
  if (all.empty()) return position;
  // Where log follows a base, an origin that nothing follows has been truncated.
  const bool followed = std::ranges::any_of(
      all, [](const auto& each) { return !each.second.chain.bare_base && !each.second.chain.at_origin; });
  for (auto& [end, candidate] : all) {
    if (candidate.last) {
      TM_RETURN_IF_ERROR(CheckLastObject(store, *candidate.last, identity, &candidate.chain, &position));
    }
    if (end != all.rbegin()->first && !(candidate.chain.at_origin && followed)) {
      position.shorter.push_back(candidate.chain);
    }
  }
  static_cast<ChainEnd&>(position) = all.rbegin()->second.chain;
  position.found = true;
  position.superseded = Superseded(catalog, identity, position.closed);
  return position;
}

}  // namespace tidemark::backup
