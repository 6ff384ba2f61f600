// Whether an archive is whole: every object read and checked, the log of each timeline without a gap, over forks too,
// and what two objects say of the same range the same. Nothing is skipped silently: what is wrong is named.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "archive/catalog.h"
#include "archive/key_ring.h"
#include "base/status.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

struct Finding {
  enum class Kind {
    kGap,       // log is missing
    kDamaged,   // an object is not what it should be
    kKey,       // an object is encrypted with a key that was not given: nothing is known of it
    kMissing,   // a file that a manifest names, a history, the identity
    kForeign,   // nobody of this archive's cluster wrote it
    kConflict,  // two objects say different things of the same range, or one does not follow the other
    kFork,      // a timeline does not fit to the one it comes from
  };
  Kind kind{};
  bool fatal = false;    // false: worth a line, restores are not affected
  std::string what{};    // names the object or the range
  std::string key{};     // of the object; empty for a range
  std::string key_id{};  // of kKey: of the key that encrypts it, as hexadecimal digits
  // Of kGap and kFork: the range, on this timeline.
  Timeline timeline{};
  Lsn from{};
  Lsn to{};
};
std::string_view KindName(Finding::Kind kind);  // "gap", "damaged", …

struct VerifyReport {
  uint64_t objects = 0;  // read, whole or their heads
  uint64_t bytes = 0;    // stored, of these
  uint64_t records = 0;
  std::vector<Finding> findings;
  std::vector<Window> windows;  // what can be restored around the objects that a fatal finding names
  Catalog catalog;              // what was verified
  // No fatal finding.
  bool ok() const;
  // The ids of all keys that were missing.
  std::set<std::string> MissingKeys() const;
};

struct VerifyOptions {
  // Heads only: listing, headers, histories, manifests, presence and size of their files. Finds gaps, missing and
  // foreign objects, but not every damage, and conflicts only of objects with the same range.
  bool quick = false;
  int jobs = 4;
  std::shared_ptr<const KeyRing> keys = KeyRing::Empty();
  // Stored bytes read so far, of how many. From any thread, one at a time.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> on_progress{};
};

// The archive may be written to meanwhile: what a merge or retention takes away under way is no finding. Errors are
// those of the store (NOT_FOUND: no archive is here); whatever is wrong with the archive itself is in the report.
absl::StatusOr<VerifyReport> Verify(objstore::ObjectStore& store, const VerifyOptions& options);

}  // namespace tidemark::archive
