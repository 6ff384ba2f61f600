#include "sim_flush_archive.h"

#include <algorithm>

#include "archive/archive_testing.h"
#include "archive/catalog.h"
#include "archive/log_reader.h"
#include "base/hash.h"

namespace tidemark::backup {
namespace {

constexpr Timeline kOld = format::kFirstTimeline;
constexpr Timeline kNew{kOld.value + 1};

archive::Origin OurOrigin() {
  return {.cluster_id = archive::TestId(1), .timeline = kOld, .timeline_id = archive::TestId(2)};
}

uint32_t PreviousCrc(const log::Record& record) { return format::DecodeRecordHeader(record.raw.data()).previous_crc; }

}  // namespace

archive::CodecOptions SimCodec(uint64_t variant) {
  static const std::shared_ptr<const archive::KeyRing> ring = archive::TestRing(archive::kTestKey);
  return {.zstd_level = variant % 2 == 0 ? 0 : 1, .keys = variant < 2 ? archive::KeyRing::Empty() : ring};
}

SimObjectWriter::SimObjectWriter(const archive::CodecOptions& codec, const log::Record& record)
    : writer_(codec, OurOrigin(), record.lsn, PreviousCrc(record)) {}

absl::Status SimObjectWriter::Add(const log::Record& record) {
  last_ = record.timestamp;
  return writer_.Add(record.raw);
}

absl::StatusOr<SimObject> SimObjectWriter::Finish() {
  TM_ASSIGN_OR_RETURN(archive::LogObjectWriter::Object object, writer_.Finish(last_));
  return SimObject{format::LogObjectKey(object.name), std::move(object.bytes), {object.name.end, last_}};
}

absl::StatusOr<bool> SameLog(std::string_view there, std::string_view ours) {
  TM_ASSIGN_OR_RETURN(const format::ObjectHeader theirs, format::DecodeObjectHeader(there));
  TM_ASSIGN_OR_RETURN(const format::ObjectHeader own, format::DecodeObjectHeader(ours));
  return theirs.cluster_id == own.cluster_id && theirs.timeline_id == own.timeline_id && theirs.first == own.first &&
         theirs.end == own.end && theirs.plain_hash == own.plain_hash;
}

absl::Status StartArchive(objstore::ObjectStore& store) {
  const archive::Origin origin = OurOrigin();
  static const std::string identity = archive::EncodeIdentity({origin.cluster_id, 1});
  static const std::string history = archive::EncodeTimeline({.timeline = kOld,
                                                              .id = origin.timeline_id,
                                                              .parent = {},
                                                              .fork = format::kFirstLsn,
                                                              .fork_timestamp = {},
                                                              .cluster_id = origin.cluster_id,
                                                              .created_micros = 1,
                                                              .reason = "created"});
  for (const auto& [key, bytes] : {std::pair(std::string(format::kArchiveIdentityName), &identity),
                                   std::pair(format::TimelineKey(kOld), &history)}) {
    const absl::Status put = store.Put(key, *bytes, objstore::PutCondition::kMustNotExist);
    if (!put.ok() && !absl::IsAlreadyExists(put)) return put;
  }
  return absl::OkStatus();
}

absl::Status PutFence(objstore::ObjectStore& store, std::optional<Lsn> fork) {
  const archive::TimelineHistory history{.timeline = kNew,
                                         .id = archive::TestId(3),
                                         .parent = kOld,
                                         .fork = fork.value_or(Lsn{UINT64_MAX}),
                                         .fork_timestamp = {},
                                         .cluster_id = OurOrigin().cluster_id,
                                         .created_micros = 2,
                                         .reason = "promotion"};
  return store.Put(format::TimelineKey(kNew), archive::EncodeTimeline(history),
                   fork ? objstore::PutCondition::kNone : objstore::PutCondition::kMustNotExist);
}

absl::StatusOr<Timeline> NewestTimeline(objstore::ObjectStore& store) {
  TM_ASSIGN_OR_RETURN(const auto histories, objstore::ListAll(store, "timelines/"));
  Timeline newest;
  for (const objstore::ObjectInfo& object : histories) {
    newest = std::max(newest, format::ParseTimelineKey(object.key).value_or(Timeline{}));
  }
  return newest;
}

absl::StatusOr<Checkpoint> ListedUpTo(objstore::ObjectStore& store, Lsn from) {
  TM_ASSIGN_OR_RETURN(const archive::Catalog catalog, archive::Catalog::Load(store, /*with_files=*/false));
  const archive::Stretch stretch = catalog.Follow(kOld, from, Lsn{UINT64_MAX});
  return Checkpoint{stretch.to, stretch.closed};
}

absl::StatusOr<std::vector<ArchivedRecord>> ReadArchive(objstore::ObjectStore& store,
                                                        std::shared_ptr<const archive::KeyRing> keys) {
  TM_ASSIGN_OR_RETURN(const archive::Catalog catalog, archive::Catalog::Load(store, /*with_files=*/false));
  if (!catalog.timelines.contains(kOld)) return absl::NotFoundError("the history of the first timeline is missing");
  const auto reader =
      archive::LogReader::Open(store, catalog.FollowHistory(kOld, format::kFirstLsn, std::nullopt), format::kFirstLsn,
                               /*previous_crc=*/0, {.jobs = 1, .keys = std::move(keys)});
  std::vector<ArchivedRecord> records;
  absl::StatusOr<log::Record> record = reader->Next();
  for (; record.ok(); record = reader->Next()) {
    records.push_back({record->lsn, record->end, record->timestamp, Hash64(record->payload)});
  }
  if (!absl::IsOutOfRange(record.status())) return record.status();
  return records;
}

}  // namespace tidemark::backup
