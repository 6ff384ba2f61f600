#include "log/retention.h"

#include "base/check.h"

namespace tidemark::log {
namespace {

constexpr const char* kFileName = "leases";

std::vector<Lsn> Bases(const SegmentList& segments) {
  std::vector<Lsn> bases;
  for (const auto& segment : segments.All()) bases.push_back(segment->base);
  return bases;
}

}  // namespace

absl::StatusOr<format::LeaseFile> Retention::ReadFile(FileSystem& fs, const std::string& folder) {
  const std::string path = folder + "/" + kFileName;
  const absl::StatusOr<std::string> bytes = ReadWholeFile(fs, path);
  if (absl::IsNotFound(bytes.status())) return format::LeaseFile{};
  TM_RETURN_IF_ERROR(bytes.status());
  absl::StatusOr<format::LeaseFile> file = format::DecodeLeaseFile(*bytes);
  if (!file.ok()) {
    return Errorf(file.status().code(),
                  "{}: {}. Put it back, or remove it to go on without the leases of replicas and backups", path,
                  Message(file.status()));
  }
  return file;
}

absl::Status Retention::WriteFile(FileSystem& fs, const std::string& folder, const format::LeaseFile& file) {
  return ReplaceWholeFile(fs, folder, kFileName, format::EncodeLeaseFile(file));
}

Retention::Retention(FileSystem& fs, Clock& clock, std::string folder, SegmentList& segments, const Progress& progress,
                     const format::LeaseFile& file, Timestamp last_timestamp, uint64_t retain_size, Notice notice)
    : fs_(fs),
      folder_(std::move(folder)),
      segments_(segments),
      progress_(progress),
      notice_(std::move(notice)),
      clock_(clock, last_timestamp),
      table_(file, Bases(segments), progress.durable(), clock_.Now().micros) {
  table_.SetRetainSize(retain_size);
}

void Retention::Rotated(Lsn base) {
  const std::lock_guard lock(table_mutex_);
  table_.Rotated(base);
}

void Retention::SetRetainSize(uint64_t bytes) {
  const std::lock_guard lock(table_mutex_);
  table_.SetRetainSize(bytes);
}

absl::Status Retention::Persist() {
  format::LeaseFile file;
  {
    const std::lock_guard lock(table_mutex_);
    table_.SetEnd(progress_.appended(), progress_.durable());
    file = table_.Snapshot();
  }
  TM_RETURN_IF_ERROR(WriteFile(fs_, folder_, file));
  const std::lock_guard lock(table_mutex_);
  table_.Persisted();
  return absl::OkStatus();
}

absl::Status Retention::Take(const Lease& lease) {
  const std::lock_guard persist_lock(persist_mutex_);
  {
    const std::lock_guard lock(table_mutex_);
    table_.SetEnd(progress_.appended(), progress_.durable());
    TM_RETURN_IF_ERROR(table_.BeginTake(lease, clock_.Now().micros));
  }
  const absl::Status persisted = Persist();
  const std::lock_guard lock(table_mutex_);
  if (persisted.ok()) return table_.EndTake(lease.name);
  table_.CancelTake(lease.name);
  return persisted;
}

absl::Status Retention::Raise(std::string_view name, Lsn position) {
  const std::lock_guard lock(table_mutex_);
  table_.SetEnd(progress_.appended(), progress_.durable());
  return table_.Raise(name, position, clock_.Now().micros);
}

absl::Status Retention::Release(std::string_view name) {
  const std::lock_guard persist_lock(persist_mutex_);
  {
    const std::lock_guard lock(table_mutex_);
    TM_RETURN_IF_ERROR(table_.Release(name));
  }
  return Persist();
}

std::vector<Lease> Retention::Leases() const {
  const std::lock_guard lock(table_mutex_);
  return table_.Leases();
}

absl::StatusOr<uint64_t> Retention::Purge() {
  const std::lock_guard persist_lock(persist_mutex_);
  std::vector<Lease> broken;
  bool persist = false;
  {
    const std::lock_guard lock(table_mutex_);
    table_.SetEnd(progress_.appended(), progress_.durable());
    broken = table_.Tick(clock_.Now().micros);
    persist = table_.dirty();
  }
  for (const Lease& lease : broken) {
    notice_(fmt::format("log: lease {} at lsn:{:x} is broken: it {}", lease.name, lease.position.value, lease.broken));
  }
  if (persist) TM_RETURN_IF_ERROR(Persist());
  std::vector<Lsn> deletable;
  {
    const std::lock_guard lock(table_mutex_);
    deletable = table_.Deletable();
  }
  uint64_t freed = 0;
  for (const Lsn base : deletable) {
    TM_ASSIGN_OR_RETURN(const uint64_t bytes, Delete(base));
    freed += bytes;
  }
  return freed;
}

absl::StatusOr<uint64_t> Retention::Delete(Lsn base) {
  const std::shared_ptr<Segment> segment = segments_.RemoveOldest(base);
  TM_CHECK(segment != nullptr, "segment at {} is not the oldest", base.value);
  {
    const std::lock_guard lock(table_mutex_);
    table_.Deleted(base);
  }
  if (absl::Status removed = fs_.Remove(segment->path); !removed.ok() && !absl::IsNotFound(removed)) return removed;
  // Each deletion is durable before the next one: a power failure must not leave a hole between segments.
  TM_RETURN_IF_ERROR(fs_.SyncFolder(folder_));
  purged_segments_.fetch_add(1, std::memory_order_relaxed);
  return format::kSegmentHeaderSize + segment->capacity.load(std::memory_order_relaxed);
}

absl::Status Retention::PersistNow() {
  const std::lock_guard persist_lock(persist_mutex_);
  return Persist();
}

uint64_t Retention::broken_count() const {
  const std::lock_guard lock(table_mutex_);
  return table_.broken_count();
}

}  // namespace tidemark::log
