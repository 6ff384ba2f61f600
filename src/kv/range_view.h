// The rows of a range as they stood at one moment, for a reply that is made a part at a time after its transaction is
// over.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "kv/txn.h"

namespace tidemark::kv {

class Store;

// What it holds in memory are the rows of the range that were not persisted yet; of the others, RocksDB keeps on disk
// what this needs. Used by one thread at a time; waits for the disk; gone before the store is.
class RangeView {
 public:
  virtual ~RangeView() = default;
  // Visits the rows behind those visited so far, at most `limit`, until `visit` returns false. False when there are no
  // more.
  virtual absl::StatusOr<bool> VisitNext(size_t limit, const Txn::Visitor& visit) = 0;
};

// The rows with begin ≤ key < end. The caller holds a Reader or Writer of the store.
std::unique_ptr<RangeView> ViewRange(Store& store, std::string_view begin, std::string_view end);

// What some transactions are beside.
class RangeSource {
 public:
  // The rows with begin ≤ key < end at the moment that all reads of the transaction see. Null when there is none to be
  // had; ColdRow() in a rehearsal, whose reads are of several moments: the transaction that follows it has one.
  virtual absl::StatusOr<std::unique_ptr<RangeView>> View(std::string_view begin, std::string_view end) = 0;

 protected:
  ~RangeSource() = default;
};

}  // namespace tidemark::kv
