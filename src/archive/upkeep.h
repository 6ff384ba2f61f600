// What keeps an archive small (retention.h, merge.h) and proves it whole: verify.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "archive/base.h"
#include "archive/catalog.h"
#include "archive/codec.h"
#include "archive/merge.h"
#include "archive/retention.h"
#include "base/status.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

struct Finding {
  enum class Kind { kGap, kDamaged, kMissing, kForeign, kConflict, kFork } kind;
  bool fatal = false;  // false: worth a line, restores are not affected
  std::string what;    // names the object or the range
};
struct VerifyReport {
  uint64_t objects = 0;
  uint64_t bytes = 0;
  uint64_t records = 0;
  std::vector<Finding> findings;
  std::vector<Window> windows;
  bool ok() const;
};
struct VerifyOptions {
  bool quick = false;  // heads only: listing, headers, manifests, presence of files
  int jobs = 4;
  std::shared_ptr<const KeyRing> keys = KeyRing::Empty();
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> on_progress;
};
absl::StatusOr<VerifyReport> Verify(objstore::ObjectStore& store, const VerifyOptions& options);

}  // namespace tidemark::archive
