// Opening and closing a log: recovery, the first segment, the threads.
#include <algorithm>
#include <cstdio>

#include "base/check.h"
#include "log/log_impl.h"

namespace tidemark::log {
namespace {

constexpr uint64_t kMakeRetryMicros = 100'000;

LogOptions Complete(LogOptions options) {
  if (!options.on_notice) options.on_notice = [](std::string_view text) { fmt::print(stderr, "{}\n", text); };
  return options;
}

}  // namespace

LogImpl::LogImpl(FileSystem& fs, Clock& clock, const LogOptions& options)
    : fs_(fs),
      clock_(clock),
      options_(Complete(options)),
      maker_(fs, clock, options.folder, options.segment_size, options.background_threads ? kMakeRetryMicros : 0),
      durability_(options.durability),
      purge_interval_(options.purge_interval) {}

absl::StatusOr<std::unique_ptr<LogImpl>> LogImpl::Open(FileSystem& fs, Clock& clock, const LogOptions& options,
                                                       RecoveryReport* report) {
  if (options.segment_size < 2 * format::kRecordHeaderSize) {
    return InvalidArgument("a log segment of {} bytes is too small", options.segment_size);
  }
  TM_RETURN_IF_ERROR(fs.CreateFolder(options.folder));
  std::unique_ptr<LogImpl> log(new LogImpl(fs, clock, options));
  TM_ASSIGN_OR_RETURN(log->folder_lock_, fs.Lock(options.folder + "/LOCK"));
  RecoveryReport unused;
  TM_RETURN_IF_ERROR(log->Recover(report != nullptr ? report : &unused));
  log->Start();
  return log;
}

absl::Status LogImpl::Recover(RecoveryReport* report) {
  TM_ASSIGN_OR_RETURN(const format::LeaseFile leases, Retention::ReadFile(fs_, options_.folder));
  TM_ASSIGN_OR_RETURN(EndOfLog found, FindEnd(fs_, options_.folder, leases.durable, !options_.received));
  maker_.Discard();
  if (found.segments.empty() && options_.start.has_value()) {
    found.end = options_.start->base;
    found.timeline = options_.start->timeline;
    found.last_crc = options_.start->previous_crc;
    found.last_timestamp = options_.start->last_timestamp;
  }
  *report = RecoveryReport{};
  report->end = found.end;
  report->last_timestamp = found.last_timestamp;
  report->timeline = found.timeline;
  if (found.torn) {
    const bool no_start = found.index == found.segments.size();
    TM_ASSIGN_OR_RETURN(const CutReport cut, CutLog(fs_, options_.folder, found.segments, no_start ? 0 : found.index,
                                                    found.end, clock_.WallMicros()));
    report->torn_bytes = cut.bytes;
    report->saved_to = cut.saved_to;
    report->torn_at = found.end;
    if (no_start) TM_RETURN_IF_ERROR(fs_.Remove(found.segments[0].path));
    found.segments.resize(no_start ? 0 : found.index + 1);
  }
  timeline_ = found.timeline;
  tail_crc_ = found.last_crc;
  last_timestamp_ = found.last_timestamp;
  progress_->Start(found.end);
  TM_RETURN_IF_ERROR(found.segments.empty() ? CreateFirstSegment() : AdoptSegments(found));
  retention_ = std::make_unique<Retention>(fs_, clock_, options_.folder, *segments_, *progress_, leases,
                                           found.last_timestamp, options_.retain_size, options_.on_notice);
  return absl::OkStatus();
}

absl::Status LogImpl::CreateFirstSegment() {
  TM_ASSIGN_OR_RETURN(current_, maker_.Make(NextHeader(), options_.segment_size));
  TM_RETURN_IF_ERROR(current_->file->Sync());
  TM_RETURN_IF_ERROR(fs_.SyncFolder(options_.folder));
  current_->entry_synced = true;
  segments_->Add(current_);
  return absl::OkStatus();
}

absl::Status LogImpl::AdoptSegments(const EndOfLog& found) {
  for (size_t i = 0; i < found.segments.size(); ++i) {
    const FoundSegment& on_disk = found.segments[i];
    const bool last = i + 1 == found.segments.size();
    TM_ASSIGN_OR_RETURN(std::unique_ptr<File> file,
                        fs_.Open(on_disk.path, last ? FileSystem::Mode::kReadWrite : FileSystem::Mode::kRead));
    TM_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
    // The process before may have died between its write and its sync: only now is what it wrote durable.
    if (i >= found.first_walked) TM_RETURN_IF_ERROR(file->Sync());
    auto segment = std::make_shared<Segment>();
    segment->path = on_disk.path;
    segment->timeline = on_disk.id.timeline;
    segment->base = on_disk.id.base;
    segment->capacity = size - std::min<uint64_t>(size, format::kSegmentHeaderSize);
    segment->entry_synced = true;
    if (last) {
      segment->file = std::move(file);
    } else {
      segment->end = found.segments[i + 1].id.base.value;
    }
    segments_->Add(segment);
    current_ = std::move(segment);
  }
  return fs_.SyncFolder(options_.folder);
}

void LogImpl::Start() {
  if (!options_.background_threads) return;
  sync_thread_ = std::thread([this] { SyncLoop(); });
  housekeeping_thread_ = std::thread([this] { HousekeepingLoop(); });
}

LogImpl::~LogImpl() {
  // An Open that failed has nothing to close.
  if (retention_ == nullptr) return;
  {
    const std::lock_guard lock(housekeeping_mutex_);
    stopping_ = true;
  }
  housekeeping_due_.notify_all();
  if (housekeeping_thread_.joinable()) housekeeping_thread_.join();
  Write();
  progress_->Close();
  if (sync_thread_.joinable()) sync_thread_.join();
  listener_ = nullptr;
  SyncOnce();
  // Both only make the next start better informed and the disk emptier.
  retention_->PersistNow().IgnoreError();
  maker_.Discard();
}

}  // namespace tidemark::log
