// The sweeper: removes what has expired and what nobody can reach any more (dead collections, former contents of a
// database), by ordinary records, so that replicas and restores remove it at the same place in the log. One step at a
// time, without a thread of its own: the engine's driver calls it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/status.h"
#include "engine/engine.h"
#include "types/rows.h"

namespace tidemark::engine {

class Sweeper {
 public:
  // `databases`: how many there are, to find the one an expiry row belongs to.
  Sweeper(Engine& engine, uint16_t databases) : engine_(engine), databases_(databases) {}

  // Removes up to `limit` keys whose expiry lies in the past. Returns how many expiry rows it dealt with; fewer than
  // `limit` means that nothing is left for now.
  absl::StatusOr<size_t> SweepExpired(size_t limit);
  // Takes up to `limit` rows' worth of work off the list of the dead. Returns how many dead rows it looked at.
  absl::StatusOr<size_t> SweepDead(size_t limit);

  uint64_t expired_keys() const { return expired_keys_.load(std::memory_order_relaxed); }
  uint64_t swept_rows() const { return swept_rows_.load(std::memory_order_relaxed); }

 private:
  // A write whose rows may be cold: rehearsed off the lock first where needed.
  absl::Status Write(TxnFunction body);
  // Every row that begins with `begin`; one by one when they are said to be few, and are.
  absl::Status SweepRows(kv::Txn& txn, const types::RowKey& begin, bool few);
  absl::Status SweepCollection(kv::Txn& txn, const kv::CollectionId& id, const types::DeadValue& dead);
  absl::Status SweepContents(kv::Txn& txn, const kv::CollectionId& id, size_t limit);

  Engine& engine_;
  const uint16_t databases_;
  std::atomic<uint64_t> expired_keys_{0};
  std::atomic<uint64_t> swept_rows_{0};
};

}  // namespace tidemark::engine
