// Puts a range of the log into the archive: reads it, cuts it into objects at record boundaries, encodes and puts
// several at a time, and reports what is complete in order.
//
// Memory: at most `parallel` objects are in flight, each with its plain bytes (object_bytes, or one record that is
// larger) and what they become, whatever the backlog.
//
// Threads: Upload, PutClosed and CheckAlone from one thread at a time. Further objects than the first of a range
// are handled by threads of its own. Cancel the store to end an upload early.
#pragma once

#include <absl/functional/function_ref.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "archive/codec.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/types.h"
#include "log/log.h"
#include "objstore/object_store.h"

namespace tidemark::backup {

struct UploaderOptions {
  archive::CodecOptions codec;
  archive::Origin origin;
  uint64_t object_bytes = 32ull << 20;
  int parallel = 2;
};

struct UploadRange {
  Lsn from;
  Lsn cut;  // durable in the log
  // Nothing at or below this follows `cut`; without it the last record's timestamp is what is closed.
  std::optional<Timestamp> closed{};
  // CRC field that the record before `from` must have: what the archive ends with.
  std::optional<uint32_t> previous_crc{};
};

// What an upload has put so far, without a hole from its beginning.
struct Shipped {
  Lsn lsn;
  Timestamp closed;
  uint32_t last_crc = 0;
  uint64_t objects = 0;
  uint64_t plain_bytes = 0;
  uint64_t stored_bytes = 0;
};

class Uploader {
 public:
  // The log and the store outlive the uploader.
  Uploader(log::Log& log, objstore::ObjectStore& store, UploaderOptions options);
  ~Uploader();

  // Calls `on_prefix` in the caller's thread whenever the unbroken prefix has grown; an error of it ends the upload.
  // Errors: the store's; IsFenced when an object of the same name has other bytes, or when the log does not follow what
  // the archive ends with; OUT_OF_RANGE when the log no longer has the range; INTERNAL for damage of the log.
  absl::Status Upload(const UploadRange& range, absl::FunctionRef<absl::Status(const Shipped&)> on_prefix);

  // An object without records: nothing at or below `closed` follows `at`. Returns its key and stored size.
  struct Closed {
    std::string key;
    uint64_t stored_bytes = 0;
  };
  absl::StatusOr<Closed> PutClosed(Lsn at, uint32_t previous_crc, Timestamp closed);

  // Whether nobody else puts log of our timeline: a server started from a copy of our data directory has the timeline's
  // id as we do, and no claim tells the two apart. IsFenced, with the object's name, when the archive has log beyond
  // `confirmed` that this uploader did not put and that our log does not have, byte for byte. Costs one list, and a
  // look into each object that is new to us. `confirmed`: up to where the archive is known to be complete.
  absl::Status CheckAlone(Lsn confirmed);

  // Most bytes that were in flight at any time.
  uint64_t peak_bytes() const { return peak_bytes_.load(std::memory_order_relaxed); }

 private:
  struct Job;

  absl::StatusOr<std::shared_ptr<Job>> ReadJob(Lsn at, const UploadRange& range);
  absl::Status CheckChain(const log::Record& record, const Job& job, const UploadRange& range) const;
  absl::Status Run(Job* job);
  absl::Status Put(const archive::LogObjectWriter::Object& object);
  absl::Status CompareWithPresent(const std::string& key, const format::ObjectHeader& ours);
  absl::StatusOr<bool> IsInOurLog(const std::string& key, const format::LogObjectName& name);
  void Submit(const std::shared_ptr<Job>& job);
  absl::Status Await(Job* job);
  void Work();
  void Account(uint64_t before, uint64_t after);

  log::Log& log_;
  objstore::ObjectStore& store_;
  const UploaderOptions options_;

  // Kept between uploads, which mostly go on where the last one ended.
  std::unique_ptr<log::Cursor> cursor_;
  // The record that did not fit into the object before.
  std::string carried_;

  // What CheckAlone looked from last, and the position before.
  std::optional<Lsn> confirmed_;
  Lsn look_from_;

  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> peak_bytes_{0};

  Mutex mutex_;
  CondVar changed_;
  std::deque<std::shared_ptr<Job>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Objects beyond what is confirmed that are, or may be, ours; with their ends.
  std::map<std::string, Lsn> own_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace tidemark::backup
