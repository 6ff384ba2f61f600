// A store in memory for unit tests and simulations: deterministic, stricter than the real ones, and able to do to its
// user what networks and stores do. Lives here, not in a test, because the tests of several floors share it.
//
// The objects are in a MemoryBucket, which stores share: a process that dies and starts again, or two that write to one
// archive, are several MemoryStores over one bucket. A copy of the bucket is the archive at that moment.
//
// Threads: any; a mutex in the bucket guards the objects, one in the store its faults. Hooks and sinks run without
// locks. With one thread, the same seed and calls give the same outcomes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "objstore/object_store.h"

namespace tidemark::objstore {

class MemoryBucket {
 public:
  struct Object {
    std::shared_ptr<const std::string> bytes;
    uint64_t modified_micros = 0;
  };
  using Objects = std::map<std::string, Object, std::less<>>;

  MemoryBucket() = default;
  explicit MemoryBucket(Objects objects) : objects_(std::move(objects)) {}

  // The objects as they are now; the bytes are shared, so a copy costs the names only.
  std::shared_ptr<MemoryBucket> Copy() const;
  Objects objects() const;
  size_t size() const;

  // What a test does behind the store's back: damage, loss, foreign objects.
  void Set(std::string_view key, std::string bytes);
  bool Erase(std::string_view key);
  // Gives one bit of an object's byte another value; false where there is no such byte.
  bool FlipBit(std::string_view key, uint64_t offset);

  // What the store's clock shows: microseconds since 1970. It stands still until it is set.
  void SetNow(uint64_t micros);

 private:
  friend class MemoryStore;

  mutable Mutex mutex_;
  Objects objects_ ABSL_GUARDED_BY(mutex_);
  uint64_t now_micros_ ABSL_GUARDED_BY(mutex_) = 1'000'000;
};

class MemoryStore final : public ObjectStore {
 public:
  enum class Operation { kPut, kPutStream, kGet, kGetRange, kGetStream, kHead, kList, kDelete, kProbe };

  // By chance, in calls of a thousand, decided by the seed and the calls so far.
  struct Faults {
    uint64_t seed = 0;
    uint32_t unavailable = 0;  // nothing happens, UNAVAILABLE
    uint32_t throttled = 0;    // nothing happens, RESOURCE_EXHAUSTED
    uint32_t lost_answer = 0;  // it happens, and the caller sees UNAVAILABLE
    uint32_t damaged = 0;      // reads only: DATA_LOSS, as a wrong ETag is seen
  };

  explicit MemoryStore(std::shared_ptr<MemoryBucket> bucket = std::make_shared<MemoryBucket>(),
                       std::string_view name = "memory");

  const std::shared_ptr<MemoryBucket>& bucket() const { return bucket_; }

  void SetFaults(const Faults& faults);
  // The next `times` calls of `operation` do nothing and answer `error`.
  void FailNext(Operation operation, absl::Status error, int times = 1);
  // The next `times` calls of `operation` do their work and answer UNAVAILABLE.
  void LoseNextAnswer(Operation operation, int times = 1);
  // Every call does nothing and answers `error`, until OK is set: an outage.
  void SetOutage(absl::Status error);
  // Runs before each operation, with the key or prefix; an error of it is the call's. It may call the store and may
  // block: that is how a test stops an upload midway.
  void SetHook(std::function<absl::Status(Operation operation, std::string_view key)> hook);
  // What Probe says. Without conditional_put kMustNotExist looks first, and the hook of kPut runs again between look
  // and write, so that a test can put another's object there.
  void SetCapabilities(Capabilities capabilities);
  // Objects put in the last `hidden` puts are not listed yet (a store without listing after write).
  void SetListLag(size_t hidden);

  // Calls of the operation so far, whatever became of them.
  uint64_t count(Operation operation) const;

  absl::Status Put(std::string_view key, std::string_view bytes, PutCondition condition) override;
  absl::Status PutStream(std::string_view key, ByteSource& source, uint64_t size_hint) override;
  absl::StatusOr<std::string> Get(std::string_view key) override;
  absl::StatusOr<std::string> GetRange(std::string_view key, uint64_t offset, uint64_t length) override;
  absl::Status GetStream(std::string_view key,
                         const std::function<absl::Status(std::string_view piece)>& sink) override;
  absl::StatusOr<ObjectInfo> Head(std::string_view key) override;
  absl::StatusOr<ListPage> List(std::string_view prefix, std::string_view start_after, size_t max) override;
  absl::Status Delete(std::string_view key) override;
  absl::StatusOr<Capabilities> Probe(std::string_view nonce) override;
  void Cancel() override { cancelled_.store(true); }
  const std::string& display_uri() const override { return display_uri_; }
  Stats stats() const override;

 private:
  // What was decided about a call before it began.
  struct Call {
    absl::Status error;        // not OK: nothing happens
    bool lose_answer = false;  // it happens, unseen
    absl::Status Answer(absl::Status outcome) const;
  };
  struct Planned {
    absl::Status error;
    int fail_times = 0;
    int lose_times = 0;
  };

  Call Begin(Operation operation, std::string_view key);
  Call Decide(Operation operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RunHook(Operation operation, std::string_view key);
  absl::Status Store(std::string_view key, std::string bytes, PutCondition condition);
  absl::StatusOr<std::shared_ptr<const std::string>> Find(std::string_view key);

  const std::shared_ptr<MemoryBucket> bucket_;
  const std::string display_uri_;
  std::atomic<bool> cancelled_{false};
  std::atomic<uint64_t> bytes_sent_{0};
  std::atomic<uint64_t> bytes_received_{0};

  mutable Mutex mutex_;
  Faults faults_ ABSL_GUARDED_BY(mutex_);
  uint64_t random_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status outage_ ABSL_GUARDED_BY(mutex_);
  std::map<Operation, Planned> planned_ ABSL_GUARDED_BY(mutex_);
  std::map<Operation, uint64_t> counts_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const std::function<absl::Status(Operation, std::string_view)>> hook_ ABSL_GUARDED_BY(mutex_);
  Capabilities capabilities_ ABSL_GUARDED_BY(mutex_){.conditional_put = true, .list_after_write = true};
  size_t list_lag_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> recent_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::objstore
