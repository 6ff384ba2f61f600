#include "backup/succession.h"

#include <algorithm>
#include <utility>

#include "archive/codec.h"
#include "archive/key_ring.h"
#include "archive/log_reader.h"
#include "backup/archive_claim.h"
#include "backup/task_row.h"
#include "format/log_format.h"
#include "log/peek.h"

namespace tidemark::backup {
namespace {

constexpr size_t kApplyBytes = 1 << 20;
constexpr int kRetries = 2;

}  // namespace

// The archive of one task.
struct Succession::Place {
  TaskRow row;
  std::unique_ptr<objstore::ObjectStore> store;
  std::shared_ptr<const archive::KeyRing> keys;
};

void Succession::Limit(std::chrono::milliseconds time) {
  const MutexLock lock(mutex_);
  if (limited_) return;
  limited_ = true;
  watch_ = std::thread([this, deadline = std::chrono::steady_clock::now() + time] { Watch(deadline); });
}

void Succession::Unlimit() {
  {
    const MutexLock lock(mutex_);
    limited_ = false;
    changed_.SignalAll();
  }
  if (watch_.joinable()) watch_.join();
  const MutexLock lock(mutex_);
  late_ = false;
}

void Succession::Watch(std::chrono::steady_clock::time_point deadline) {
  const MutexLock lock(mutex_);
  while (limited_ && std::chrono::steady_clock::now() < deadline) changed_.WaitUntil(mutex_, deadline);
  if (!limited_) return;
  late_ = true;
  if (waiting_for_ != nullptr) waiting_for_->Cancel();
}

bool Succession::HasArchive() {
  std::vector<std::string> damaged;
  const auto rows = ReadTaskRows(engine_, &damaged);
  return rows.ok() && std::any_of(rows->begin(), rows->end(), [](const TaskRow& row) { return !row.paused; });
}

// Goes on after a place that fails; the last error.
absl::Status Succession::ForEach(absl::FunctionRef<absl::Status(Place&)> visit) {
  std::vector<std::string> damaged;
  TM_ASSIGN_OR_RETURN(std::vector<TaskRow> rows, ReadTaskRows(engine_, &damaged));
  absl::Status last;
  for (TaskRow& row : rows) {
    const std::string name = row.config.name;
    const absl::Status visited = [&]() -> absl::Status {
      Place place{.row = std::move(row), .store = nullptr, .keys = archive::KeyRing::Empty()};
      if (!place.row.config.key_file.empty()) {
        TM_ASSIGN_OR_RETURN(place.keys, archive::KeyRing::Load(fs_, place.row.config.key_file));
      }
      TM_ASSIGN_OR_RETURN(place.store, open_store_(place.row.config.storage, {.retries = kRetries}));
      {
        const MutexLock lock(mutex_);
        if (late_) return Errorf(absl::StatusCode::kDeadlineExceeded, "there was no time left for its archive");
        waiting_for_ = place.store.get();
      }
      absl::Status seen = visit(place);
      const MutexLock lock(mutex_);
      waiting_for_ = nullptr;
      return seen;
    }();
    if (visited.ok()) continue;
    report_(fmt::format("backup task {}: {}", name, Message(visited)));
    last = visited;
  }
  return last;
}

absl::Status Succession::ReadFrom(Place& place, std::vector<archive::Stretch> stretches, Apply apply) {
  const log::Log::Tail tail = engine_.Tail();
  archive::LogReaderOptions options;
  options.keys = place.keys;
  options.cluster_id = place.row.cluster_id;
  const auto reader =
      archive::LogReader::Open(*place.store, std::move(stretches), tail.end,
                               tail.crc == 0 ? std::optional<uint32_t>() : std::optional<uint32_t>(tail.crc), options);
  std::string records;
  while (true) {
    const absl::StatusOr<log::Record> record = reader->Next();
    if (!record.ok() && !absl::IsOutOfRange(record.status())) return record.status();
    if (record.ok()) records.append(record->raw);
    if (!records.empty() && (!record.ok() || records.size() >= kApplyBytes)) {
      TM_RETURN_IF_ERROR(apply(records));
      records.clear();
    }
    if (!record.ok()) return absl::OkStatus();
  }
}

absl::Status Succession::Read(Timeline timeline, Lsn until, Apply apply) {
  absl::Status read = ForEach([&](Place& place) -> absl::Status {
    if (engine_.last_end() >= until) return absl::OkStatus();
    TM_ASSIGN_OR_RETURN(const archive::Catalog catalog, archive::Catalog::Load(*place.store, /*with_files=*/false));
    TM_RETURN_IF_ERROR(
        ReadFrom(place, catalog.FollowHistory(engine_.log().timeline(), engine_.last_end(), timeline), apply));
    if (engine_.last_end() >= until) return absl::OkStatus();
    return Errorf(absl::StatusCode::kNotFound, "the archive at {} ends at lsn:{:x}, the log begins at lsn:{:x} only",
                  place.store->display_uri(), engine_.last_end().value, until.value);
  });
  if (engine_.last_end() >= until) return absl::OkStatus();
  if (!read.ok()) return read;
  return Errorf(absl::StatusCode::kNotFound, "there is no backup task whose archive could be read");
}

absl::StatusOr<Succession::Adopted> Succession::Adopt(Apply apply) {
  Adopted adopted;
  const absl::Status done = ForEach([&](Place& place) -> absl::Status {
    absl::StatusOr<archive::Catalog> catalog = archive::Catalog::Load(*place.store, /*with_files=*/false);
    if (absl::IsNotFound(catalog.status())) return absl::OkStatus();
    TM_RETURN_IF_ERROR(catalog.status());
    adopted.newest = std::max(adopted.newest, catalog->newest_timeline());
    const Lsn before = engine_.last_end();
    const Timeline own = engine_.log().timeline();
    archive::Stretch rest = catalog->Follow(own, before, Lsn{UINT64_MAX});
    if (rest.to <= before) return absl::OkStatus();
    std::vector<archive::Stretch> stretches;
    stretches.push_back(std::move(rest));
    TM_RETURN_IF_ERROR(ReadFrom(place, std::move(stretches), apply));
    if (engine_.last_end() == before) return absl::OkStatus();
    adopted.any = true;
    report_(fmt::format("backup task {}: took lsn:{:x} to lsn:{:x} of timeline {} from its archive",
                        place.row.config.name, before.value, engine_.last_end().value, own.value));
    return absl::OkStatus();
  });
  if (!done.ok()) return done;
  return adopted;
}

// What a clean end of the former timeline would have left in the archive.
absl::Status Succession::Complete(Place& place, const engine::Identity& former, Lsn fork) {
  TM_ASSIGN_OR_RETURN(const archive::Catalog catalog, archive::Catalog::Load(*place.store, /*with_files=*/false));
  TM_ASSIGN_OR_RETURN(const ArchivePosition position, FindPosition(*place.store, catalog, former));
  if (!position.found || position.end >= fork) return absl::OkStatus();
  TM_ASSIGN_OR_RETURN(const log::RecordPeek first, log::PeekRecord(engine_.log(), position.end));
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<log::Cursor> cursor, engine_.log().OpenCursor(position.end));
  const archive::CodecOptions codec{.zstd_level = place.row.config.compression_level, .keys = place.keys};
  const archive::Origin origin{
      .cluster_id = former.cluster_id, .timeline = former.timeline, .timeline_id = former.timeline_id};
  uint32_t crc = first.previous_crc;
  while (cursor->position() < fork) {
    archive::LogObjectWriter writer(codec, origin, cursor->position(), crc);
    Timestamp last;
    uint64_t bytes = 0;
    while (cursor->position() < fork && bytes < place.row.config.flush_bytes) {
      TM_ASSIGN_OR_RETURN(const log::Record record, cursor->Next(std::chrono::milliseconds(0)));
      TM_RETURN_IF_ERROR(writer.Add(record.raw));
      bytes += record.raw.size();
      last = record.timestamp;
      crc = format::DecodeRecordHeader(record.raw.data()).crc;
    }
    TM_ASSIGN_OR_RETURN(const auto object, writer.Finish(last));
    absl::Status put =
        place.store->Put(format::LogObjectKey(object.name), object.bytes, objstore::PutCondition::kMustNotExist);
    if (!put.ok() && !absl::IsAlreadyExists(put)) return put;
  }
  return absl::OkStatus();
}

absl::Status Succession::Announce(const engine::Identity& former, const engine::Identity& next, uint64_t now_micros) {
  return ForEach([&](Place& place) -> absl::Status {
    TM_RETURN_IF_ERROR(ClaimArchive(*place.store, next, now_micros));
    return Complete(place, former, next.fork);
  });
}

}  // namespace tidemark::backup
