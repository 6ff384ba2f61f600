// The log as it runs: appender, writer, syncing thread and housekeeping around the parts of this folder.
//
// Who owns what:
//   append side   current_, tail_crc_, last_timestamp_, reserved_: the one thread that reserves and appends
//   buffer_mutex_ active_ (what was appended and not handed out yet); held for a copy
//   write_mutex_  writing_; held over the write to the operating system. Order: write_mutex_ before buffer_mutex_
//   sync_mutex_   one sync at a time; held over fdatasync. Append and Write never take it
// Threads of its own: one that syncs and calls the durable listener; one that prepares segments and purges.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "log/log.h"
#include "log/progress.h"
#include "log/recovery.h"
#include "log/retention.h"
#include "log/segment.h"
#include "log/segment_maker.h"

namespace tidemark::log {

class LogImpl final : public Log {
 public:
  static absl::StatusOr<std::unique_ptr<LogImpl>> Open(FileSystem& fs, Clock& clock, const LogOptions& options,
                                                       RecoveryReport* report);
  ~LogImpl() override;

  absl::Status Reserve(size_t payload_bytes) override;
  Lsn next_lsn() const override { return progress_->appended(); }
  Lsn Append(Timestamp timestamp, std::string_view payload) override;
  absl::Status AppendReceived(std::string_view raw) override;
  void StartTimeline(Timeline timeline) override { timeline_ = timeline; }
  Tail tail() const override { return {progress_->appended(), tail_crc_, last_timestamp_}; }
  void Write() override;

  Lsn appended() const override { return progress_->appended(); }
  Lsn written() const override { return progress_->written(); }
  Lsn durable() const override { return progress_->durable(); }
  Lsn oldest() const override { return segments_->oldest(); }
  Timeline timeline() const override { return timeline_; }

  void RequestSync(Lsn position) override { progress_->RequestSync(position); }
  absl::Status SyncTo(Lsn position) override;
  void SetDurableListener(std::function<void(Lsn durable)> listener) override;
  void SetDurability(Durability durability) override;
  void SetRetention(uint64_t retain_size, std::chrono::milliseconds purge_interval) override;

  absl::StatusOr<std::unique_ptr<Cursor>> OpenCursor(Lsn from, ReadLimit limit) override;

  absl::Status TakeLease(const Lease& lease) override { return retention_->Take(lease); }
  absl::Status RaiseLease(std::string_view name, Lsn position) override { return retention_->Raise(name, position); }
  absl::Status ReleaseLease(std::string_view name) override { return retention_->Release(name); }
  std::vector<Lease> Leases() const override { return retention_->Leases(); }
  absl::StatusOr<uint64_t> Purge() override { return retention_->Purge(); }

  Stats stats() const override;

  // One round of what the threads do, for a log opened without them: a sync if anything is written and not durable, the
  // next segment, a purge.
  void RunBackgroundOnce();

 private:
  // Bytes appended and not written yet, and where they go.
  struct Buffer {
    struct Extent {
      std::shared_ptr<Segment> segment;
      size_t offset;
      Lsn lsn;
    };
    std::string bytes;
    std::vector<Extent> extents;
    Lsn end;
  };

  LogImpl(FileSystem& fs, Clock& clock, const LogOptions& options);
  absl::Status Recover(RecoveryReport* report);
  absl::Status CreateFirstSegment();
  absl::Status AdoptSegments(const EndOfLog& found);
  void Start();

  format::SegmentHeader NextHeader() const;
  absl::Status Rotate(uint64_t record_bytes);
  void AddToBuffer(std::string_view header, std::string_view payload);
  bool WriteExtents();
  void SyncOnce();
  void SyncLoop();
  void HousekeepingLoop();
  // Reports a failure after which memory and disk may disagree, and does not come back unless a test's hook does.
  void Fatal(const std::string& what);

  FileSystem& fs_;
  Clock& clock_;
  const LogOptions options_;
  std::shared_ptr<void> folder_lock_;
  const std::shared_ptr<SegmentList> segments_ = std::make_shared<SegmentList>();
  const std::shared_ptr<Progress> progress_ = std::make_shared<Progress>();
  SegmentMaker maker_;
  std::unique_ptr<Retention> retention_;
  std::atomic<Durability> durability_;
  std::atomic<bool> failed_{false};

  // The append side.
  std::shared_ptr<Segment> current_;
  uint32_t tail_crc_ = 0;
  Timestamp last_timestamp_;
  std::atomic<Timeline> timeline_;
  // Payload bytes that the next Append may use; negative when nothing is reserved.
  int64_t reserved_ = -1;

  std::mutex buffer_mutex_;
  Buffer active_;
  std::mutex write_mutex_;
  Buffer writing_;

  std::mutex sync_mutex_;
  std::function<void(Lsn)> listener_;

  std::atomic<uint64_t> syncs_{0};
  std::atomic<uint64_t> last_sync_micros_{0};
  std::atomic<uint64_t> writes_{0};
  std::atomic<uint64_t> records_{0};

  std::mutex housekeeping_mutex_;
  std::condition_variable housekeeping_due_;
  // Guarded by housekeeping_mutex_.
  bool stopping_ = false;
  bool prepare_wanted_ = true;
  std::chrono::milliseconds purge_interval_;

  std::thread sync_thread_;
  std::thread housekeeping_thread_;
};

}  // namespace tidemark::log
