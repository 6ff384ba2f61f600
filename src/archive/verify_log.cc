#include "archive/verify_log.h"

#include <algorithm>

#include "archive/parallel.h"

namespace tidemark::archive {
namespace {

using format::ObjectHeader;
using Kind = Finding::Kind;

Finding Fatal(Kind kind, const LogEntry& entry, std::string_view what) {
  return {.kind = kind,
          .fatal = true,
          .what = fmt::format("{}: {}", entry.key, what),
          .key = entry.key,
          .timeline = entry.name.timeline,
          .from = entry.name.first,
          .to = entry.name.end};
}

// Keys of one timeline tell apart by their last part; the first one in a message is whole.
std::string_view ShortKey(const LogEntry& entry) {
  return std::string_view(entry.key).substr(entry.key.rfind('/') + 1);
}

}  // namespace

LogVerifier::LogVerifier(objstore::ObjectStore& store, const VerifyOptions& options, OnRead on_read)
    : store_(store), options_(options), on_read_(std::move(on_read)) {}

absl::StatusOr<std::vector<std::string>> LogVerifier::Read(const Catalog& catalog) {
  std::vector<LogEntry> entries;
  for (const auto& [timeline, all] : catalog.log) {
    std::copy_if(all.begin(), all.end(), std::back_inserter(entries), [&](const LogEntry& entry) {
      const auto seen = seen_.find(entry.key);
      return seen == seen_.end() || seen->second.gone;
    });
  }
  std::vector<Seen> results(entries.size());
  TM_RETURN_IF_ERROR(
      ForEach(options_.jobs, entries.size(), [&](size_t i) { return ReadOne(entries[i], &results[i]); }));
  std::vector<std::string> gone;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (results[i].gone) gone.push_back(entries[i].key);
    seen_.insert_or_assign(entries[i].key, std::move(results[i]));
  }
  return gone;
}

absl::Status LogVerifier::ReadOne(const LogEntry& entry, Seen* seen) const {
  const absl::StatusOr<std::string> bytes =
      options_.quick ? store_.GetRange(entry.key, 0, format::kObjectHeaderSize) : store_.Get(entry.key);
  if (absl::IsNotFound(bytes.status())) {
    seen->gone = true;
    seen->status = Errorf(absl::StatusCode::kNotFound, "is in the listing, but not there");
    return absl::OkStatus();
  }
  if (absl::IsOutOfRange(bytes.status())) {
    seen->status = Errorf(absl::StatusCode::kDataLoss, "is empty");
    return absl::OkStatus();
  }
  TM_RETURN_IF_ERROR(bytes.status());
  seen->size = bytes->size();
  on_read_(bytes->size());
  const absl::StatusOr<ObjectHeader> header = Check(entry, *bytes);
  seen->status = header.status();
  if (header.ok()) seen->header = *header;
  if (absl::IsPermissionDenied(header.status())) {
    TM_ASSIGN_OR_RETURN(const ObjectHeader encrypted, format::DecodeObjectHeader(*bytes));
    seen->key_id = IdToHex(encrypted.key_id);
  }
  return absl::OkStatus();
}

absl::StatusOr<ObjectHeader> LogVerifier::Check(const LogEntry& entry, const std::string& bytes) const {
  absl::StatusOr<ObjectHeader> header =
      options_.quick ? format::DecodeObjectHeader(bytes) : CheckLogObject(bytes, *options_.keys);
  if (!header.ok()) return header;
  if (header->is_file || NameOf(*header) != entry.name) {
    return Errorf(absl::StatusCode::kDataLoss, "holds another object than its name says");
  }
  if (header->stored_bytes + format::kObjectHeaderSize != entry.size) {
    return Errorf(absl::StatusCode::kDataLoss, "has {} bytes, its header says {}", entry.size,
                  header->stored_bytes + format::kObjectHeaderSize);
  }
  return header;
}

const ObjectHeader* LogVerifier::WholeHeader(const LogEntry& entry) const {
  const Seen& seen = seen_.at(entry.key);
  return seen.status.ok() ? &seen.header : nullptr;
}

absl::Status LogVerifier::Judge(const Catalog& catalog, std::vector<Finding>* findings) const {
  std::vector<Overlaps> overlaps;
  for (const auto& [timeline, entries] : catalog.log) {
    for (const LogEntry& entry : entries) JudgeEach(catalog, entry, findings);
    JudgeChain(catalog, timeline, findings);
    std::vector<Overlaps> found = FindOverlaps(entries);
    std::move(found.begin(), found.end(), std::back_inserter(overlaps));
  }
  std::vector<std::vector<Finding>> conflicts(overlaps.size());
  TM_RETURN_IF_ERROR(
      ForEach(options_.jobs, overlaps.size(), [&](size_t i) { return Compare(overlaps[i], &conflicts[i]); }));
  for (const auto& some : conflicts) findings->insert(findings->end(), some.begin(), some.end());
  return absl::OkStatus();
}

void LogVerifier::JudgeEach(const Catalog& catalog, const LogEntry& entry, std::vector<Finding>* findings) const {
  const Seen& seen = seen_.at(entry.key);
  if (!seen.status.ok()) {
    const Kind unreadable = absl::IsPermissionDenied(seen.status) ? Kind::kKey : Kind::kDamaged;
    const Kind kind = seen.gone ? Kind::kMissing : unreadable;
    findings->push_back(Fatal(kind, entry, Message(seen.status)));
    findings->back().key_id = seen.key_id;
    return;
  }
  if (catalog.identity && seen.header.cluster_id != catalog.identity->cluster_id) {
    findings->push_back(Fatal(Kind::kForeign, entry,
                              fmt::format("was written by cluster {}, this archive is of cluster {}",
                                          IdToHex(seen.header.cluster_id), IdToHex(catalog.identity->cluster_id))));
  }
  const auto history = catalog.timelines.find(entry.name.timeline);
  if (history != catalog.timelines.end() && seen.header.timeline_id != history->second.id) {
    findings->push_back(
        Fatal(Kind::kConflict, entry,
              fmt::format("was written on a timeline {} of id {}, the history here is of {}: two "
                          "masters have taken the same number",
                          entry.name.timeline.value, IdToHex(seen.header.timeline_id), IdToHex(history->second.id))));
  }
}

// That who begins where another ends continues him.
void LogVerifier::JudgeChain(const Catalog& catalog, Timeline timeline, std::vector<Finding>* findings) const {
  struct End {
    const LogEntry* entry;
    uint32_t crc;
    Timestamp closed;
  };
  std::map<Lsn, End> ends;
  const auto add_ends = [&](Timeline of, Lsn limit) {
    const auto found = catalog.log.find(of);
    if (found == catalog.log.end()) return;
    for (const LogEntry& entry : found->second) {
      const ObjectHeader* const header = WholeHeader(entry);
      if (header == nullptr || entry.name.end > limit || (header->records == 0 && header->last_crc == 0)) continue;
      const auto [end, fresh] =
          ends.try_emplace(entry.name.end, End{&entry, header->last_crc, header->closed_timestamp});
      if (!fresh) end->second.closed = std::max(end->second.closed, header->closed_timestamp);
    }
  };
  const auto history = catalog.timelines.find(timeline);
  const Lsn fork = history == catalog.timelines.end() ? Lsn{0} : history->second.fork;
  if (history != catalog.timelines.end()) add_ends(history->second.parent, fork);
  add_ends(timeline, Lsn{UINT64_MAX});
  for (const LogEntry& entry : catalog.log.at(timeline)) {
    const ObjectHeader* const header = WholeHeader(entry);
    const auto before = ends.find(entry.name.first);
    if (header == nullptr || header->records == 0 || before == ends.end()) continue;
    const bool begins_timeline = entry.name.first == fork && header->previous_crc == 0;
    if (header->previous_crc != before->second.crc && !begins_timeline) {
      findings->push_back(Fatal(Kind::kConflict, entry,
                                fmt::format("does not continue {}, which ends where it begins: another log",
                                            ShortKey(*before->second.entry))));
    } else if (header->first_timestamp <= before->second.closed) {
      findings->push_back(Fatal(Kind::kConflict, entry,
                                fmt::format("begins at a time that was declared closed: {} is not after {}",
                                            header->first_timestamp.micros, before->second.closed.micros)));
    }
  }
}

std::vector<LogVerifier::Overlaps> LogVerifier::FindOverlaps(const std::vector<LogEntry>& entries) const {
  std::vector<Overlaps> all;
  const LogEntry* cover = nullptr;  // reaches furthest so far; all that begins before its end was compared with it
  for (const LogEntry& entry : entries) {
    if (WholeHeader(entry) == nullptr || entry.name.first == entry.name.end) continue;
    if (cover != nullptr && entry.name.first < cover->name.end) {
      if (all.empty() || all.back().cover.key != cover->key) all.push_back({*cover, {}, {}});
      all.back().entries.push_back(entry);
      all.back().ranges.push_back({entry.name.first, std::min(entry.name.end, cover->name.end)});
    }
    if (cover == nullptr || entry.name.end > cover->name.end) cover = &entry;
  }
  return all;
}

absl::Status LogVerifier::Compare(const Overlaps& overlaps, std::vector<Finding>* findings) const {
  const auto differ = [&](const LogEntry& entry, const LsnRange& range) {
    findings->push_back(Fatal(Kind::kConflict, entry,
                              fmt::format("differs from {} in LSN {} to {}: two have written here",
                                          ShortKey(overlaps.cover), range.from.value, range.to.value)));
  };
  // Where the ranges are the same, so are the hashes in the headers; only for the rest the bytes are read again.
  Overlaps partial{overlaps.cover, {}, {}};
  for (size_t i = 0; i < overlaps.entries.size(); ++i) {
    const LogEntry& entry = overlaps.entries[i];
    if (entry.name.first == overlaps.cover.name.first && entry.name.end == overlaps.cover.name.end) {
      if (WholeHeader(entry)->plain_hash != WholeHeader(overlaps.cover)->plain_hash) differ(entry, overlaps.ranges[i]);
    } else {
      partial.entries.push_back(entry);
      partial.ranges.push_back(overlaps.ranges[i]);
    }
  }
  if (options_.quick || partial.entries.empty()) return absl::OkStatus();
  const auto hashes = [&](const LogEntry& entry,
                          const std::vector<LsnRange>& ranges) -> absl::StatusOr<std::vector<Id128>> {
    TM_ASSIGN_OR_RETURN(const std::string bytes, store_.Get(entry.key));
    return HashRanges(bytes, *options_.keys, ranges);
  };
  const auto of_cover = hashes(partial.cover, partial.ranges);
  if (absl::IsNotFound(of_cover.status())) return absl::OkStatus();  // merged away since: nobody reads it any more
  TM_RETURN_IF_ERROR(of_cover.status());
  for (size_t i = 0; i < partial.entries.size(); ++i) {
    const auto of_entry = hashes(partial.entries[i], {partial.ranges[i]});
    if (absl::IsNotFound(of_entry.status())) continue;
    TM_RETURN_IF_ERROR(of_entry.status());
    if (of_entry->front() != (*of_cover)[i]) differ(partial.entries[i], partial.ranges[i]);
  }
  return absl::OkStatus();
}

uint64_t LogVerifier::objects() const { return seen_.size(); }

uint64_t LogVerifier::bytes() const {
  uint64_t sum = 0;
  for (const auto& [key, seen] : seen_) sum += seen.size;
  return sum;
}

uint64_t LogVerifier::records() const {
  uint64_t sum = 0;
  for (const auto& [key, seen] : seen_) sum += seen.header.records;
  return sum;
}

}  // namespace tidemark::archive
