// The half of the log reader that works ahead: downloads objects in order of need on threads of its own, opens their
// blocks and keeps the plain bytes, within a budget, until they are taken.
//
// Who needs what: object `head` is the one that the taker reads. Objects are begun in order, so the head is always
// under way, and it may always have one chunk ready whatever the budget says: so nothing waits for ever.
//
// Threads: Take by one thread; the mutex guards everything that it shares with the workers.
#pragma once

#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "archive/catalog.h"
#include "archive/codec.h"
#include "archive/log_reader.h"
#include "base/mutex.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

// Some plain bytes of an object.
struct Chunk {
  std::string plain;
  bool last = false;  // of its object: and then all that the header says has been found true
};

class ReadAhead {
 public:
  // `store` outlives it. Begins at once.
  ReadAhead(objstore::ObjectStore& store, std::vector<LogEntry> objects, const LogReaderOptions& options);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // The header of object `index`, not below any index asked for before: objects before it are let go.
  absl::StatusOr<format::ObjectHeader> Header(size_t index);
  // The next bytes of the object that Header was last called for. Not called after its last chunk. `used`: the chunk
  // that the caller is done with; its memory is used again.
  absl::StatusOr<Chunk> Take(Chunk used);

 private:
  struct Item {
    LogEntry entry;
    bool has_header = false;
    format::ObjectHeader header{};
    std::deque<Chunk> ready{};
    absl::Status status{};  // not OK: what follows `ready`
  };

  void Work();
  // Downloads, opens and hands over one object; an error is the object's.
  absl::Status ReadObject(size_t index, const LogEntry& entry);
  absl::Status CheckHeader(const LogEntry& entry, const format::ObjectHeader& header) const;
  static absl::Status Fill(ObjectReader& reader, Chunk* chunk);
  // Waits until there is room for the largest chunk, and takes it; false when nobody wants object `index` any more.
  bool ReserveRoom(size_t index);
  bool Unwanted(size_t index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stop_ || index < head_; }
  std::string Buffer();

  objstore::ObjectStore& store_;
  const LogReaderOptions options_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<Item> items_ ABSL_GUARDED_BY(mutex_);
  size_t head_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;     // the first not begun
  uint64_t used_ ABSL_GUARDED_BY(mutex_) = 0;   // bytes: stored while they are read, plain until they are taken
  uint64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;  // of `used_`: the chunk in the taker's hands
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::string> buffers_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace tidemark::archive
