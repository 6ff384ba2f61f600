// A digest of everything that users have in a store, at one LSN: what tells whether primary, replica and restored store
// agree. It is computed without stopping writes.
//
// Each key of each database is an element, each member of a collection another; the digest is the sum modulo 2^128 of
// their XXH3-128 hashes, so neither the order in which rows are met nor the history that led to them matters:
//
//   key     'K' · database (2) · type (1) · expire time in ms, 0: never (8) · length of the key (8) · key · contents
//           contents: of a string WideHash of its bytes (16), of a collection its count of members (8)
//   member  'M' · WideHash of its key's element (16) · length of the member (8) · member · WideHash of the row's value
//   (16)
//   ordered 'O' · WideHash of its key's element (16) · length (8) · kind and order · WideHash of the row's value (16);
//           for an element of a list its index (8) stands for its order, and what follows from other rows is left out
//   stream  'X' · WideHash of its key's element (16) · length (8) · what its key row keeps of the whole · WideHash of
//   ""
//
// Numbers are little-endian. Left out is what may differ between copies that agree, or between two histories of the
// same contents: the server's own rows (identity, backup tasks), ids of collections, what is dead and waits to be
// swept. An expired key counts until the record of its removal, since at one LSN all copies have it or none has.
//
// Counts are checked on the way: a database or collection that has other than the number of rows that it claims is
// DATA_LOSS. A type whose members stand in rows of another space has to be added here.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/hash.h"
#include "base/status.h"
#include "base/types.h"
#include "engine/engine.h"
#include "kv/persisted_view.h"

namespace tidemark::engine {

struct StoreDigest {
  Lsn lsn;
  uint64_t keys = 0;
  Hash128 sum;

  // 40 hexadecimal digits, as many as Redis's DEBUG DIGEST has: the number of keys modulo 2^32, then the sum. All of
  // them are 0 for an empty store. Says nothing of the LSN.
  std::string Hex() const;
};

// Asked now and then; true ends the work with CANCELLED.
using Cancelled = std::function<bool()>;

absl::StatusOr<StoreDigest> DigestOf(const kv::PersistedView& view, const Cancelled& cancelled);

// The digest at an LSN that is not before the call. Persists the store, then reads all of it from the disk, in memory
// for one row: on a worker thread.
absl::StatusOr<StoreDigest> DigestNow(Engine& engine, const Cancelled& cancelled);

}  // namespace tidemark::engine
