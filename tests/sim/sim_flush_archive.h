// The archive as the simulation of force flush uses it: the project's own objects and names, written as a task writes
// them and read as a restore reads them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/codec.h"
#include "backup/flush_machine.h"
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

// Neither, zstd, AES-256-GCM, or both.
archive::CodecOptions SimCodec(uint64_t variant);

struct SimObject {
  std::string key;
  std::string bytes;
  Checkpoint end;
};

// Whole records, one after the other, as one object.
class SimObjectWriter {
 public:
  // `record` is the first one.
  SimObjectWriter(const archive::CodecOptions& codec, const log::Record& record);
  absl::Status Add(const log::Record& record);
  uint64_t plain_bytes() const { return writer_.plain_bytes(); }
  absl::StatusOr<SimObject> Finish();

 private:
  archive::LogObjectWriter writer_;
  Timestamp last_;
};

// Whether the object that is there has the same log as ours, whoever put it. DATA_LOSS when it can't be read.
absl::StatusOr<bool> SameLog(std::string_view there, std::string_view ours);

// Makes the bucket an archive of the simulation's cluster: who owns it, and its first timeline. Again is fine.
absl::Status StartArchive(objstore::ObjectStore& store);
// What a promotion does: the newer timeline, which is the fence, and once the old one has been listed, where it forks.
absl::Status PutFence(objstore::ObjectStore& store, std::optional<Lsn> fork);
// The newest timeline in the archive.
absl::StatusOr<Timeline> NewestTimeline(objstore::ObjectStore& store);
// How far the first timeline is complete from `from` on, by listing.
absl::StatusOr<Checkpoint> ListedUpTo(objstore::ObjectStore& store, Lsn from);

// Every record that a restore of the latest moment would apply. Changes nothing.
absl::StatusOr<std::vector<ArchivedRecord>> ReadArchive(objstore::ObjectStore& store,
                                                        std::shared_ptr<const archive::KeyRing> keys);

}  // namespace tidemark::backup
