// The table of hot rows: a hash table from row key to Entry. It is split into shards by the hash's upper bits, each
// with linear probing and growing by itself, so that no single insertion has to move millions of slots while everybody
// waits for the lock; slots hold the hash, so that growing does not touch the entries.
//
// Threads: the store's lock covers everything here; only Entry::referenced is also set by readers that share it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "kv/value.h"

namespace tidemark::kv {

// One row as known in memory, in one allocation: the key's bytes follow the struct.
struct Entry {
  // The newest value; null when the row is known not to exist.
  Value value;
  // The value at the frozen cut, while has_before: the row was rewritten after the cut, before it was persisted.
  Value before;
  // The persist epoch in which the row last changed; 0 for a row that was read from RocksDB. Dirty when > the persisted
  // epoch.
  uint32_t epoch = 0;
  uint32_t key_size = 0;
  // Second chance of the clock that evicts clean rows.
  std::atomic<bool> referenced{false};
  bool has_before = false;

  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_size}; }
  static Entry* New(std::string_view key, Value value, uint32_t epoch);
  static void Free(Entry* entry);
};

// Bytes of memory that a value, or an entry without its value, is taken to cost; allocator overhead and slot included.
uint64_t ValueCharge(const Value& value);
uint64_t EntryCharge(const Entry& entry);

class HotTable {
 public:
  static constexpr size_t kShardBits = 10;
  // Slots that a sweep looks at for each row it was asked for, at the most.
  static constexpr size_t kSlotsPerRow = 64;
  static constexpr size_t kShards = size_t{1} << kShardBits;

  HotTable();
  // Frees all entries.
  ~HotTable();
  HotTable(const HotTable&) = delete;
  HotTable& operator=(const HotTable&) = delete;

  // `hash` is Hash64(key). Null when there is none.
  Entry* Find(uint64_t hash, std::string_view key) const {
    const Shard& shard = shards_[hash >> (64 - kShardBits)];
    for (size_t i = hash & shard.mask;; i = (i + 1) & shard.mask) {
      const Slot& slot = shard.slots[i];
      if (slot.entry == nullptr) return nullptr;
      if (slot.hash == hash && slot.entry->key() == key) return slot.entry;
    }
  }
  // Two steps of a look-up ahead of time: the slot, then (once that has come) the entry at it, which is most often the
  // one that is meant. May be null.
  void PrefetchSlot(uint64_t hash) const {
    const Shard& shard = shards_[hash >> (64 - kShardBits)];
    __builtin_prefetch(&shard.slots[hash & shard.mask]);
  }
  const Entry* EntryAt(uint64_t hash) const {
    const Shard& shard = shards_[hash >> (64 - kShardBits)];
    const Slot& slot = shard.slots[hash & shard.mask];
    return slot.hash == hash ? slot.entry : nullptr;
  }
  // Takes the entry, whose key is not in the table.
  void Insert(uint64_t hash, Entry* entry);
  // Gives the entry, which is in the table, back to the caller.
  void Erase(uint64_t hash, const Entry* entry);

  size_t size() const { return size_; }

  // Moves the clock hand over up to `entries` rows, until enough(). `evict(entry)` says whether to take the entry out
  // of the table, and frees it if so.
  template <typename Enough, typename Evict>
  void Sweep(size_t entries, const Enough& enough, const Evict& evict);
  // All rows of one shard, without the clock.
  template <typename Evict>
  void SweepShard(size_t index, const Evict& evict);

 private:
  struct Slot {
    uint64_t hash = 0;
    Entry* entry = nullptr;
  };
  struct Shard {
    std::unique_ptr<Slot[]> slots;
    size_t mask = 0;
    size_t used = 0;
  };

  void Grow(Shard& shard);
  void EraseAt(Shard& shard, size_t index);

  std::unique_ptr<Shard[]> shards_;
  size_t size_ = 0;
  size_t hand_shard_ = 0;
  size_t hand_slot_ = 0;
};

template <typename Enough, typename Evict>
void HotTable::Sweep(size_t entries, const Enough& enough, const Evict& evict) {
  // Empty slots cost little, but the table may be nearly empty.
  for (size_t slots = entries * kSlotsPerRow; entries > 0 && slots > 0 && !enough(); --slots) {
    Shard& shard = shards_[hand_shard_];
    if (hand_slot_ > shard.mask) {
      hand_shard_ = (hand_shard_ + 1) % kShards;
      hand_slot_ = 0;
      continue;
    }
    Entry* entry = shard.slots[hand_slot_].entry;
    if (entry != nullptr) --entries;
    if (entry != nullptr && evict(entry)) {
      EraseAt(shard, hand_slot_);
    } else {
      ++hand_slot_;
    }
  }
}

template <typename Evict>
void HotTable::SweepShard(size_t index, const Evict& evict) {
  Shard& shard = shards_[index];
  // Erasing moves entries only from slots after the hole, or from the front of the array (seen already) to its end.
  for (size_t i = 0; i <= shard.mask;) {
    Entry* entry = shard.slots[i].entry;
    if (entry != nullptr && evict(entry)) {
      EraseAt(shard, i);
    } else {
      ++i;
    }
  }
}

}  // namespace tidemark::kv
