// Looking at what was, without a restore: the store as of a moment, in a folder that is thrown away afterwards.
#pragma once

#include <memory>
#include <string>

#include "engine/engine.h"
#include "restore/restore.h"

namespace tidemark::restore {

struct MomentOptions {
  std::string folder;  // scratch; made if missing, left to the caller to remove
  int jobs = 4;
  uint64_t memory = 256ull << 20;
  std::shared_ptr<const archive::KeyRing> keys = archive::KeyRing::Empty();
};

class Moment {
 public:
  virtual ~Moment() = default;
  // Runs `body` at that moment: what had expired by then is not there, what was to expire later is.
  virtual absl::Status Read(engine::TxnFunction body) = 0;
  // The store is whole up to here: the target, or where the archive ends.
  virtual Timestamp reached() const = 0;
  virtual Lsn lsn() const = 0;

  // Downloads and applies what the plan names. Errors as of Run.
  static absl::StatusOr<std::unique_ptr<Moment>> Load(objstore::ObjectStore& store, const archive::Catalog& catalog,
                                                      const Target& target, const Plan& plan,
                                                      const MomentOptions& options, Progress* progress);
};

}  // namespace tidemark::restore
