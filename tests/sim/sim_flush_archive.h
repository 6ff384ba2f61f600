// The archive as the simulation of force flush sees it: log bytes into objects, and a bucket back into records.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "log/log.h"
#include "objstore/memory_store.h"

namespace tidemark::backup {

struct ArchivedRecord {
  Lsn lsn;
  Lsn end;
  Timestamp timestamp;
  uint64_t payload_hash = 0;
  bool operator==(const ArchivedRecord&) const = default;
};

// One object under way: whole records, one after the other.
class SimObjectWriter {
 public:
  explicit SimObjectWriter(Lsn first);
  ~SimObjectWriter();
  void Add(const log::Record& record);
  uint64_t plain_bytes() const;
  struct Object {
    std::string key;
    std::string bytes;
    Lsn end;
    Timestamp last;
  };
  Object Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Whether two objects of one key say the same, whoever put them.
bool SameObject(std::string_view one, std::string_view other);

// Makes the bucket an archive of the simulation's cluster: who owns it, and its first timeline. Again is fine.
absl::Status StartArchive(objstore::ObjectStore& store);
// What a promotion does: the newer timeline, which is the fence, and later where it forks off.
absl::Status PutFence(objstore::ObjectStore& store);
absl::Status SettleFork(objstore::ObjectStore& store);
// The newest timeline in the archive.
absl::StatusOr<Timeline> NewestTimeline(objstore::ObjectStore& store);

struct ArchivedUpTo {
  Lsn lsn;
  Timestamp timestamp;
};
// How far the first timeline is complete from `from` on, at most to `limit`, by listing.
absl::StatusOr<ArchivedUpTo> ListedUpTo(objstore::ObjectStore& store, Lsn from, Lsn limit);

// Every record that a restore of the latest moment would apply. The bucket is not changed.
absl::StatusOr<std::vector<ArchivedRecord>> ReadArchive(std::shared_ptr<objstore::MemoryBucket> bucket);

}  // namespace tidemark::backup
