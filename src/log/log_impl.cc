#include "log/log_impl.h"

#include <cstdio>
#include <cstdlib>

#include "base/check.h"
#include "log/cursor.h"

namespace tidemark::log {
namespace {

constexpr std::chrono::milliseconds kFullDiskRetry{200};
constexpr std::chrono::milliseconds kWriteRetry{100};
constexpr std::chrono::milliseconds kEverySecondInterval{1000};
// A buffer that one huge record has blown up is given back.
constexpr size_t kKeptBufferBytes = 8 << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<Log>> Log::Open(FileSystem& fs, Clock& clock, const LogOptions& options,
                                               RecoveryReport* report) {
  return LogImpl::Open(fs, clock, options, report);
}

absl::Status LogImpl::Reserve(size_t payload_bytes) {
  if (payload_bytes > format::kMaxPayloadBytes) {
    return InvalidArgument("a record of {} bytes is above the limit of {}", payload_bytes, format::kMaxPayloadBytes);
  }
  const uint64_t record_bytes = format::kRecordHeaderSize + payload_bytes;
  const uint64_t used = progress_->appended() - current_->base;
  if (used + record_bytes > current_->capacity.load(std::memory_order_relaxed) || current_->timeline != timeline()) {
    TM_RETURN_IF_ERROR(Rotate(record_bytes));
  }
  reserved_ = static_cast<int64_t>(payload_bytes);
  return absl::OkStatus();
}

format::SegmentHeader LogImpl::NextHeader() const {
  return {.timeline = timeline(),
          .base = progress_->appended(),
          .capacity = 0,
          .previous_crc = tail_crc_,
          .created_micros = clock_.WallMicros(),
          .durable = progress_->durable()};
}

absl::Status LogImpl::Rotate(uint64_t record_bytes) {
  const Lsn end = progress_->appended();
  if (end == current_->base && current_->timeline == timeline())
    return maker_.Grow(*current_, NextHeader(), record_bytes);
  TM_ASSIGN_OR_RETURN(std::shared_ptr<Segment> next, maker_.Make(NextHeader(), record_bytes));
  segments_->Add(next);
  retention_->Rotated(end);
  current_->end.store(end.value, std::memory_order_release);
  current_ = std::move(next);
  progress_->RequestSync(end);
  {
    const std::lock_guard lock(housekeeping_mutex_);
    prepare_wanted_ = true;
  }
  housekeeping_due_.notify_one();
  return absl::OkStatus();
}

Lsn LogImpl::Append(Timestamp timestamp, std::string_view payload) {
  TM_CHECK(static_cast<int64_t>(payload.size()) <= reserved_, "append of {} bytes, {} reserved", payload.size(),
           reserved_);
  TM_CHECK(timestamp > last_timestamp_, "timestamp {} after {}", timestamp.micros, last_timestamp_.micros);
  reserved_ = -1;
  last_timestamp_ = timestamp;
  const Lsn lsn = progress_->appended();
  char header[format::kRecordHeaderSize];
  tail_crc_ = format::EncodeRecordHeader({.crc = 0,
                                          .length = 0,
                                          .lsn = lsn,
                                          .timestamp = timestamp,
                                          .previous_crc = tail_crc_,
                                          .timeline = timeline_,
                                          .durable = progress_->durable()},
                                         payload, header);
  AddToBuffer({header, sizeof(header)}, payload);
  return lsn;
}

void LogImpl::AddToBuffer(std::string_view header, std::string_view payload) {
  const Lsn lsn = progress_->appended();
  const std::lock_guard lock(buffer_mutex_);
  if (active_.extents.empty() || active_.extents.back().segment != current_) {
    active_.extents.push_back({current_, active_.bytes.size(), lsn});
  }
  active_.bytes.append(header).append(payload);
  active_.end = lsn + header.size() + payload.size();
  progress_->SetAppended(active_.end);
  records_.store(records_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

absl::Status LogImpl::AppendReceived(std::string_view raw) {
  const Lsn end = progress_->appended();
  format::RecordHeader header;
  if (format::ParseRecord(raw, end, &header) != format::RecordState::kWhole || raw.size() != header.size()) {
    return Errorf(absl::StatusCode::kDataLoss, "what was received for LSN {} is not a whole record", end.value);
  }
  if (header.previous_crc != tail_crc_ || header.timestamp <= last_timestamp_ || header.timeline < timeline()) {
    return Errorf(absl::StatusCode::kDataLoss, "the record received for LSN {} does not follow the last one here",
                  end.value);
  }
  const Timeline before = timeline();
  timeline_ = header.timeline;
  if (absl::Status room = Reserve(header.length); !room.ok()) {
    timeline_ = before;
    return room;
  }
  reserved_ = -1;
  last_timestamp_ = header.timestamp;
  tail_crc_ = header.crc;
  AddToBuffer(raw, {});
  return absl::OkStatus();
}

void LogImpl::Write() {
  const std::lock_guard write_lock(write_mutex_);
  {
    const std::lock_guard lock(buffer_mutex_);
    if (active_.extents.empty()) return;
    std::swap(active_, writing_);
  }
  if (!failed_ && WriteExtents()) {
    writes_.fetch_add(1, std::memory_order_relaxed);
    progress_->SetWritten(writing_.end);
  }
  writing_.extents.clear();
  writing_.bytes.clear();
  if (writing_.bytes.capacity() > kKeptBufferBytes) writing_.bytes.shrink_to_fit();
}

bool LogImpl::WriteExtents() {
  const std::string_view bytes = writing_.bytes;
  for (size_t i = 0; i < writing_.extents.size(); ++i) {
    const Buffer::Extent& extent = writing_.extents[i];
    const size_t until = i + 1 < writing_.extents.size() ? writing_.extents[i + 1].offset : bytes.size();
    Segment& segment = *extent.segment;
    for (bool told = false;; told = true) {
      const absl::Status status =
          segment.file->Write(segment.FileOffset(extent.lsn), bytes.substr(extent.offset, until - extent.offset));
      if (status.ok()) break;
      // The room was reserved, so this is a file system that copies on write. Memory is ahead: wait, nothing else.
      if (!absl::IsResourceExhausted(status)) {
        Fatal(fmt::format("log: cannot write {}: {}", segment.path, Message(status)));
        return false;
      }
      if (!told) options_.on_notice(fmt::format("log: the disk is full, waiting for room: {}", Message(status)));
      std::unique_lock lock(housekeeping_mutex_);
      if (housekeeping_due_.wait_for(lock, kWriteRetry, [this] { return stopping_; })) return false;
    }
  }
  return true;
}

absl::Status LogImpl::SyncTo(Lsn position) {
  if (position > progress_->appended()) {
    return InvalidArgument("sync to LSN {}, the log ends at {}", position.value, progress_->appended().value);
  }
  if (position > progress_->written()) Write();
  if (position <= progress_->durable()) return absl::OkStatus();
  if (options_.background_threads) {
    progress_->RequestSync(position);
    progress_->WaitDurable(position);
  } else {
    SyncOnce();
  }
  if (position <= progress_->durable()) return absl::OkStatus();
  return Errorf(absl::StatusCode::kUnavailable, "LSN {} did not become durable: the log {}", position.value,
                failed_ ? "has failed" : "was closed");
}

void LogImpl::SyncOnce() {
  Lsn target;
  {
    const std::lock_guard lock(sync_mutex_);
    target = progress_->written();
    if (failed_ || target <= progress_->durable()) return;
    const uint64_t began = clock_.MonotonicMicros();
    const std::vector<std::shared_ptr<Segment>> open = segments_->Unsynced();
    bool new_entry = false;
    for (const auto& segment : open) {
      if (segment->base >= target) break;
      if (const absl::Status status = segment->file->Sync(); !status.ok()) {
        return Fatal(
            fmt::format("log: cannot sync {}: {}. A failed sync is not tried again", segment->path, Message(status)));
      }
      new_entry = new_entry || !segment->entry_synced;
    }
    if (new_entry) {
      if (const absl::Status status = fs_.SyncFolder(options_.folder); !status.ok()) {
        return Fatal(fmt::format("log: cannot sync folder {}: {}", options_.folder, Message(status)));
      }
    }
    for (const auto& segment : open) {
      if (segment->base < target) segment->entry_synced = true;
      if (segment->end.load(std::memory_order_acquire) <= target.value) segment->file.reset();
    }
    syncs_.fetch_add(1, std::memory_order_relaxed);
    last_sync_micros_ = clock_.MonotonicMicros() - began;
    progress_->SetDurable(target);
  }
  if (listener_) listener_(target);
}

void LogImpl::Fatal(const std::string& what) {
  failed_ = true;
  if (!options_.on_fatal) {
    fmt::print(stderr, "{}\n", what);
    std::abort();
  }
  options_.on_fatal(what);
  progress_->Fail();
}

void LogImpl::SyncLoop() {
  auto last = std::chrono::steady_clock::now();
  while (true) {
    const bool every_second = durability_.load() == Durability::kEverySecond;
    if (!progress_->WaitForSyncDue(every_second ? std::optional(kEverySecondInterval) : std::nullopt, last)) return;
    last = std::chrono::steady_clock::now();
    SyncOnce();
  }
}

void LogImpl::HousekeepingLoop() {
  std::unique_lock lock(housekeeping_mutex_);
  // Not at once: whoever opens the log for the first time takes his lease before anything goes.
  auto purge_at = std::chrono::steady_clock::now() + purge_interval_;
  bool was_full = false;
  while (!stopping_) {
    const bool prepare = prepare_wanted_ || was_full;
    prepare_wanted_ = false;
    const bool purge = std::chrono::steady_clock::now() >= purge_at;
    lock.unlock();
    if (purge) {
      if (const auto freed = retention_->Purge(); !freed.ok()) {
        options_.on_notice(fmt::format("log: purge failed, it will be tried again: {}", Message(freed.status())));
      }
    }
    if (prepare) {
      const absl::Status prepared = maker_.Prepare();
      if (!prepared.ok() && !was_full) options_.on_notice(fmt::format("log: {}", Message(prepared)));
      if (prepared.ok() && was_full) options_.on_notice("log: there is room again for the next segment");
      was_full = !prepared.ok();
    }
    lock.lock();
    if (purge) purge_at = std::chrono::steady_clock::now() + purge_interval_;
    auto wake_at = purge_at;
    if (was_full) wake_at = std::min(wake_at, std::chrono::steady_clock::now() + kFullDiskRetry);
    if (!stopping_ && !prepare_wanted_) housekeeping_due_.wait_until(lock, wake_at);
  }
}

void LogImpl::RunBackgroundOnce() {
  SyncOnce();
  maker_.Prepare().IgnoreError();
  retention_->Purge().status().IgnoreError();
}

void LogImpl::SetDurableListener(std::function<void(Lsn durable)> listener) {
  const std::lock_guard lock(sync_mutex_);
  listener_ = std::move(listener);
}

void LogImpl::SetDurability(Durability durability) {
  durability_ = durability;
  progress_->WakeSyncThread();
}

void LogImpl::SetRetention(uint64_t retain_size, std::chrono::milliseconds purge_interval) {
  retention_->SetRetainSize(retain_size);
  {
    const std::lock_guard lock(housekeeping_mutex_);
    purge_interval_ = purge_interval;
  }
  housekeeping_due_.notify_all();
}

absl::StatusOr<std::unique_ptr<Cursor>> LogImpl::OpenCursor(Lsn from, ReadLimit limit) {
  if (from < segments_->oldest() || from > progress_->appended()) {
    return Errorf(absl::StatusCode::kOutOfRange, "LSN {} is not in the log, which goes from {} to {}", from.value,
                  segments_->oldest().value, progress_->appended().value);
  }
  return std::make_unique<LogCursor>(fs_, segments_, progress_, from, limit);
}

Log::Stats LogImpl::stats() const {
  Stats stats;
  for (const auto& segment : segments_->All()) {
    ++stats.segments;
    stats.bytes_on_disk += format::kSegmentHeaderSize + segment->capacity.load(std::memory_order_relaxed);
  }
  stats.syncs = syncs_;
  stats.writes = writes_;
  stats.records = records_;
  stats.last_sync_micros = last_sync_micros_;
  stats.purged_segments = retention_->purged_segments();
  stats.leases_broken = retention_->broken_count();
  stats.disk_full = maker_.disk_full();
  return stats;
}

}  // namespace tidemark::log
