#include "backup/uploader.h"

#include <algorithm>
#include <utility>

#include "archive/block.h"
#include "backup/archive_claim.h"
#include "base/check.h"
#include "format/log_format.h"

namespace tidemark::backup {
namespace {

using std::chrono::milliseconds;

// What a cursor says, told apart from what a store says: damage of the own log does not pass.
absl::Status LogError(const absl::Status& status) {
  if (absl::IsOutOfRange(status) || absl::IsCancelled(status)) return status;
  return Errorf(absl::StatusCode::kInternal, "reading the log: {}", Message(status));
}

}  // namespace

// One object on its way. Written by the thread that has it, read by the caller once `done`.
struct Uploader::Job {
  explicit Job(Uploader& uploader) : owner(uploader) {}
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job() { Charge(0); }

  // How many bytes this job holds from now on.
  void Charge(uint64_t bytes) {
    owner.Account(charged, bytes);
    charged = bytes;
  }

  Uploader& owner;
  uint64_t charged = 0;
  Lsn first;
  Lsn end;
  std::string plain;
  Timestamp closed;
  uint32_t previous_crc = 0;
  uint32_t last_crc = 0;
  uint64_t plain_bytes = 0;
  uint64_t stored_bytes = 0;
  absl::Status status;
  bool done = false;
};

Uploader::Uploader(log::Log& log, objstore::ObjectStore& store, UploaderOptions options)
    : log_(log), store_(store), options_(std::move(options)) {}

Uploader::~Uploader() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void Uploader::Account(uint64_t before, uint64_t after) {
  const uint64_t now = bytes_.fetch_add(after - before, std::memory_order_relaxed) + (after - before);
  uint64_t peak = peak_bytes_.load(std::memory_order_relaxed);
  while (now > peak && !peak_bytes_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
}

absl::Status Uploader::CheckChain(const log::Record& record, const Job& job, const UploadRange& range) const {
  if (record.timeline != options_.origin.timeline) {
    return Errorf(absl::StatusCode::kInternal, "the record at LSN {} is of timeline {}, the task's is {}",
                  record.lsn.value, record.timeline.value, options_.origin.timeline.value);
  }
  if (record.lsn != range.from || !range.previous_crc || job.previous_crc == *range.previous_crc) {
    return absl::OkStatus();
  }
  return FencedError(
      fmt::format("the archive at {} has other records than this server's log before LSN {}: somebody "
                  "else wrote there, or the log lost its end and went on",
                  store_.display_uri(), record.lsn.value));
}

absl::StatusOr<std::shared_ptr<Uploader::Job>> Uploader::ReadJob(Lsn at, const UploadRange& range) {
  if (cursor_ == nullptr || cursor_->position() != at + carried_.size()) {
    cursor_.reset();
    carried_.clear();
    absl::StatusOr<std::unique_ptr<log::Cursor>> cursor = log_.OpenCursor(at);
    if (!cursor.ok()) return LogError(cursor.status());
    cursor_ = *std::move(cursor);
  }
  auto job = std::make_shared<Job>(*this);
  job->plain.reserve(std::min(options_.object_bytes, range.cut - at));
  job->first = at;
  job->end = at;
  const auto add = [&](std::string_view raw) {
    const format::RecordHeader header = format::DecodeRecordHeader(raw.data());
    if (job->plain.empty()) job->previous_crc = header.previous_crc;
    job->last_crc = header.crc;
    job->closed = header.timestamp;
    job->end = header.lsn + raw.size();
    job->plain.append(raw);
    return log::Record{.lsn = header.lsn,
                       .end = job->end,
                       .timeline = header.timeline,
                       .timestamp = header.timestamp,
                       .payload = {},
                       .raw = {}};
  };
  if (!carried_.empty()) {
    const std::string carried = std::exchange(carried_, {});
    TM_RETURN_IF_ERROR(CheckChain(add(carried), *job, range));
  }
  while (job->end < range.cut) {
    const absl::StatusOr<log::Record> record = cursor_->Next(milliseconds(0));
    if (!record.ok()) {
      cursor_.reset();
      return LogError(record.status());
    }
    if (!job->plain.empty() && job->plain.size() + record->raw.size() > options_.object_bytes) {
      carried_ = record->raw;
      break;
    }
    TM_RETURN_IF_ERROR(CheckChain(add(record->raw), *job, range));
  }
  TM_CHECK(job->end <= range.cut, "a cut at {} within a record that ends at {}", range.cut.value, job->end.value);
  if (job->end == range.cut && range.closed) job->closed = std::max(job->closed, *range.closed);
  job->plain_bytes = job->plain.size();
  job->Charge(job->plain.capacity());
  return job;
}

absl::Status Uploader::Run(Job* job) {
  archive::LogObjectWriter writer(options_.codec, options_.origin, job->first, job->previous_crc);
  for (size_t at = 0; at < job->plain.size();) {
    const uint64_t size = format::DecodeRecordHeader(job->plain.data() + at).size();
    TM_RETURN_IF_ERROR(writer.Add(std::string_view(job->plain).substr(at, size)));
    at += size;
  }
  TM_ASSIGN_OR_RETURN(const archive::LogObjectWriter::Object object, writer.Finish(job->closed));
  job->stored_bytes = object.bytes.size();
  job->Charge(job->plain.capacity() + object.bytes.capacity());
  job->plain = std::string();
  absl::Status status = Put(object);
  job->Charge(0);
  return status;
}

absl::Status Uploader::Put(const archive::LogObjectWriter::Object& object) {
  const std::string key = format::LogObjectKey(object.name);
  {
    // Before it is there. Should another's be there already, the comparison tells.
    const MutexLock lock(mutex_);
    own_[key] = object.name.end;
  }
  absl::Status status = store_.Put(key, object.bytes, objstore::PutCondition::kMustNotExist);
  return absl::IsAlreadyExists(status) ? CompareWithPresent(key, object.header) : status;
}

// An answer that was lost looks like somebody else's object, until one looks into it.
absl::Status Uploader::CompareWithPresent(const std::string& key, const format::ObjectHeader& ours) {
  const absl::StatusOr<std::string> bytes = store_.GetRange(key, 0, format::kObjectHeaderSize);
  if (absl::IsNotFound(bytes.status())) {
    return Errorf(absl::StatusCode::kUnavailable, "{} was there and is gone: will be put again", key);
  }
  TM_RETURN_IF_ERROR(bytes.status());
  const absl::StatusOr<format::ObjectHeader> present = format::DecodeObjectHeader(*bytes);
  if (absl::IsDataLoss(present.status())) {
    TM_RETURN_IF_ERROR(SetAside(store_, key));
    return Errorf(absl::StatusCode::kUnavailable,
                  "{} in the archive at {} was damaged ({}) and set aside: will be put again", key,
                  store_.display_uri(), Message(present.status()));
  }
  if (!present.ok()) {
    return Errorf(absl::StatusCode::kFailedPrecondition, "{} in the archive at {} is in the way: {}", key,
                  store_.display_uri(), Message(present.status()));
  }
  if (present->cluster_id == ours.cluster_id && present->timeline == ours.timeline &&
      present->timeline_id == ours.timeline_id && present->first == ours.first && present->end == ours.end &&
      present->plain_hash == ours.plain_hash) {
    return absl::OkStatus();
  }
  return FencedError(
      fmt::format("{} in the archive at {} has other contents than ours: somebody else writes there "
                  "(cluster {}, timeline {})",
                  key, store_.display_uri(), IdToHex(present->cluster_id), IdToHex(present->timeline_id)));
}

void Uploader::Submit(const std::shared_ptr<Job>& job) {
  const MutexLock lock(mutex_);
  if (threads_.size() < static_cast<size_t>(options_.parallel)) threads_.emplace_back([this] { Work(); });
  queue_.push_back(job);
  changed_.SignalAll();
}

absl::Status Uploader::Await(Job* job) {
  const MutexLock lock(mutex_);
  while (!job->done) changed_.Wait(mutex_);
  return job->status;
}

void Uploader::Work() {
  while (true) {
    std::shared_ptr<Job> job;
    {
      const MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) changed_.Wait(mutex_);
      if (stopping_) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    const absl::Status status = Run(job.get());
    const MutexLock lock(mutex_);
    job->status = status;
    job->done = true;
    changed_.SignalAll();
  }
}

absl::Status Uploader::Upload(const UploadRange& range, absl::FunctionRef<absl::Status(const Shipped&)> on_prefix) {
  Shipped shipped{.lsn = range.from, .closed = {}};
  std::deque<std::shared_ptr<Job>> flying;
  absl::Status status;
  Lsn at = range.from;
  while (status.ok() && shipped.lsn < range.cut) {
    while (status.ok() && at < range.cut && flying.size() < static_cast<size_t>(options_.parallel)) {
      absl::StatusOr<std::shared_ptr<Job>> job = ReadJob(at, range);
      if (!job.ok()) {
        status = job.status();
        break;
      }
      at = (*job)->end;
      flying.push_back(*job);
      if (flying.size() == 1 && at == range.cut) {
        // Nothing to do beside it: spares the way over another thread.
        (*job)->status = Run(job->get());
        (*job)->done = true;
      } else {
        Submit(*job);
      }
    }
    if (flying.empty()) break;
    const absl::Status put = Await(flying.front().get());
    if (!put.ok()) {
      status = put;
      break;
    }
    const Job& job = *flying.front();
    shipped = {.lsn = job.end,
               .closed = job.closed,
               .last_crc = job.last_crc,
               .objects = shipped.objects + 1,
               .plain_bytes = shipped.plain_bytes + job.plain_bytes,
               .stored_bytes = shipped.stored_bytes + job.stored_bytes};
    flying.pop_front();
    const absl::Status told = on_prefix(shipped);
    if (status.ok()) status = told;
  }
  // Even when one failed: none may be on its way when this returns.
  for (const std::shared_ptr<Job>& job : flying) Await(job.get()).IgnoreError();
  return status;
}

absl::StatusOr<Uploader::Closed> Uploader::PutClosed(Lsn at, uint32_t previous_crc, Timestamp closed) {
  archive::LogObjectWriter writer(options_.codec, options_.origin, at, previous_crc);
  TM_ASSIGN_OR_RETURN(const archive::LogObjectWriter::Object object, writer.Finish(closed));
  TM_RETURN_IF_ERROR(Put(object));
  return Closed{.key = format::LogObjectKey(object.name), .stored_bytes = object.bytes.size()};
}

// An object of before a restart or of a flush that failed says what the log says; what another server wrote does not.
absl::StatusOr<bool> Uploader::IsInOurLog(const std::string& key, const format::LogObjectName& name) {
  if (name.end > log_.appended()) return false;
  const absl::StatusOr<std::string> bytes = store_.GetRange(key, 0, format::kObjectHeaderSize);
  if (absl::IsNotFound(bytes.status())) return true;  // gone again
  TM_RETURN_IF_ERROR(bytes.status());
  const absl::StatusOr<format::ObjectHeader> header = format::DecodeObjectHeader(*bytes);
  if (!header.ok() || header->cluster_id != options_.origin.cluster_id ||
      header->timeline_id != options_.origin.timeline_id || header->first != name.first || header->end != name.end) {
    return false;
  }
  const auto differs = [](const absl::Status& status) {
    // No record of ours begins there; or it is not written yet, and so was not put by us; or the log has let go of it,
    // and what we put ourselves is known otherwise.
    return absl::IsDataLoss(status) || absl::IsOutOfRange(status) || absl::IsDeadlineExceeded(status);
  };
  const absl::StatusOr<std::unique_ptr<log::Cursor>> cursor = log_.OpenCursor(name.first, log::ReadLimit::kWritten);
  if (differs(cursor.status())) return false;
  if (!cursor.ok()) return LogError(cursor.status());
  archive::ContentHash hash;
  while ((*cursor)->position() < name.end) {
    const absl::StatusOr<log::Record> record = (*cursor)->Next(milliseconds(0));
    if (differs(record.status())) return false;
    if (!record.ok()) return LogError(record.status());
    hash.Update(record->raw);
  }
  return (*cursor)->position() == name.end && hash.Digest() == header->plain_hash;
}

absl::Status Uploader::CheckAlone(Lsn confirmed) {
  // From one position further back than what is confirmed: one that wrote at the same time as we did began there too.
  if (confirmed_ != confirmed) look_from_ = std::min(confirmed_.value_or(confirmed), confirmed);
  confirmed_ = confirmed;
  {
    const MutexLock lock(mutex_);
    std::erase_if(own_, [&](const auto& own) { return own.second <= confirmed; });
  }
  const Timeline timeline = options_.origin.timeline;
  std::string after = format::LogObjectKey({timeline, look_from_, look_from_, Timestamp{}, Timestamp{}});
  for (bool more = true; more;) {
    TM_ASSIGN_OR_RETURN(const objstore::ListPage page, store_.List(format::LogFolder(timeline), after, 1000));
    for (const objstore::ObjectInfo& object : page.objects) {
      const std::optional<format::LogObjectName> name = format::ParseLogObjectKey(object.key);
      if (!name || name->end <= confirmed) continue;
      {
        const MutexLock lock(mutex_);
        if (own_.contains(object.key)) continue;
      }
      TM_ASSIGN_OR_RETURN(const bool ours, IsInOurLog(object.key, *name));
      if (!ours) {
        return FencedError(
            fmt::format("{} in the archive at {} has other log of this timeline than this server's from LSN {} on: "
                        "another server writes there, one started from a copy of this one's data directory perhaps",
                        object.key, store_.display_uri(), name->first.value));
      }
      const MutexLock lock(mutex_);
      own_[object.key] = name->end;
    }
    more = page.more && !page.objects.empty();
    if (more) after = page.objects.back().key;
  }
  return absl::OkStatus();
}

}  // namespace tidemark::backup
