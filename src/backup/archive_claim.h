// Whose archive this is, and how far ours goes in it. Everything here asks the archive, nothing trusts memory.
//
// One archive has one cluster (archive.json) and, at any time, one timeline that may be written: the newest. Both are
// claimed by a put that must not replace; what is there already has to be our own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "archive/catalog.h"
#include "base/status.h"
#include "base/types.h"
#include "engine/identity.h"
#include "objstore/object_store.h"

namespace tidemark::backup {

// The archive is somebody else's, or somebody else writes it by now. FAILED_PRECONDITION that IsFenced tells from
// others: trying again can't help.
absl::Status FencedError(const std::string& message);
bool IsFenced(const absl::Status& status);

// Puts archive.json and the timeline's history, or finds ours there. IsFenced (naming both) for another cluster's
// archive, a timeline of the same number that is not ours, or a newer timeline.
absl::Status ClaimArchive(objstore::ObjectStore& store, const engine::Identity& identity, uint64_t now_micros);

// IsFenced when the archive has a newer timeline than `own`.
absl::Status CheckFence(objstore::ObjectStore& store, Timeline own);

// Where unbroken log from a complete base or the log's origin ends on the own timeline.
struct ChainEnd {
  Lsn end;
  Timestamp closed;
  std::optional<uint32_t> last_crc;  // CRC field of the record that ends at `end`, where known
  Timestamp restorable_from;
  // Where it ends with a base (its name) or with the origin, and no log has followed yet.
  std::optional<format::BaseName> bare_base;
  bool at_origin = false;
};

// Of all chains the one that leads furthest.
struct ArchivePosition : ChainEnd {
  bool found = false;  // false: nothing that could be continued
  // Chains that end before it, the nearest to the origin first. A base can be complete before the log that leads to it
  // is there: where the server still has what follows one of these, that is missing in the archive.
  std::vector<ChainEnd> shorter;
  // The last object of a chain, when its header cannot be read, and why; the chains are as if it could. It has to be
  // out of the way before the task goes on.
  std::string damaged;
  std::string damage;
  Timestamp last_base;  // 0: none
  // Objects without records whose closed timestamp a later object has overtaken.
  std::vector<std::string> superseded;
};

// Moves an object that nobody can read to format::kSetAsideFolder, so that a listing says what is missing and its name
// is free. A second time is fine.
absl::Status SetAside(objstore::ObjectStore& store, const std::string& key);

// IsFenced when the objects at the end are not of our cluster and timeline.
absl::StatusOr<ArchivePosition> FindPosition(objstore::ObjectStore& store, const archive::Catalog& catalog,
                                             const engine::Identity& identity);

}  // namespace tidemark::backup
