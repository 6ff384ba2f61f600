#include "kv/hot_table.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"

namespace tidemark::kv {
namespace {

constexpr size_t kFirstSlots = 8;
// malloc's own bytes around an allocation, and the Value's header.
constexpr uint64_t kAllocationOverhead = 8;
constexpr uint64_t kValueHeader = 16;
// A slot is 16 bytes; tables are between 3/8 and 3/4 full.
constexpr uint64_t kSlotShare = 28;

}  // namespace

Entry* Entry::New(std::string_view key, Value value, uint32_t epoch) {
  void* memory = std::malloc(sizeof(Entry) + key.size());
  TM_CHECK(memory != nullptr, "out of memory for a row key of {} bytes", key.size());
  auto* entry = new (memory) Entry;
  entry->value = std::move(value);
  entry->epoch = epoch;
  entry->key_size = static_cast<uint32_t>(key.size());
  std::memcpy(static_cast<char*>(memory) + sizeof(Entry), key.data(), key.size());
  return entry;
}

void Entry::Free(Entry* entry) {
  entry->~Entry();
  std::free(entry);
}

uint64_t ValueCharge(const Value& value) {
  return value ? value.view().size() + kValueHeader + kAllocationOverhead : 0;
}

uint64_t EntryCharge(const Entry& entry) { return sizeof(Entry) + entry.key_size + kAllocationOverhead + kSlotShare; }

HotTable::HotTable() : shards_(std::make_unique<Shard[]>(kShards)) {
  for (size_t i = 0; i < kShards; ++i) {
    shards_[i].slots = std::make_unique<Slot[]>(kFirstSlots);
    shards_[i].mask = kFirstSlots - 1;
  }
}

HotTable::~HotTable() {
  for (size_t s = 0; s < kShards; ++s) {
    for (size_t i = 0; i <= shards_[s].mask; ++i) {
      if (Entry* entry = shards_[s].slots[i].entry; entry != nullptr) Entry::Free(entry);
    }
  }
}

void HotTable::Grow(Shard& shard) {
  const size_t slots = (shard.mask + 1) * 2;
  auto grown = std::make_unique<Slot[]>(slots);
  for (size_t i = 0; i <= shard.mask; ++i) {
    const Slot& slot = shard.slots[i];
    if (slot.entry == nullptr) continue;
    size_t to = slot.hash & (slots - 1);
    while (grown[to].entry != nullptr) to = (to + 1) & (slots - 1);
    grown[to] = slot;
  }
  shard.slots = std::move(grown);
  shard.mask = slots - 1;
}

void HotTable::Insert(uint64_t hash, Entry* entry) {
  Shard& shard = shards_[hash >> (64 - kShardBits)];
  if ((shard.used + 1) * 4 > (shard.mask + 1) * 3) Grow(shard);
  size_t i = hash & shard.mask;
  while (shard.slots[i].entry != nullptr) i = (i + 1) & shard.mask;
  shard.slots[i] = Slot{hash, entry};
  ++shard.used;
  ++size_;
}

void HotTable::Erase(uint64_t hash, const Entry* entry) {
  Shard& shard = shards_[hash >> (64 - kShardBits)];
  size_t i = hash & shard.mask;
  while (shard.slots[i].entry != entry) {
    TM_CHECK(shard.slots[i].entry != nullptr, "a row to be erased is not in the hot table");
    i = (i + 1) & shard.mask;
  }
  EraseAt(shard, i);
}

// Deletion without tombstones (Knuth, TAOCP 6.4, algorithm R): entries of the run that follows move back into the hole
// unless that would put them before their home slot.
void HotTable::EraseAt(Shard& shard, size_t index) {
  size_t hole = index;
  for (size_t i = (hole + 1) & shard.mask; shard.slots[i].entry != nullptr; i = (i + 1) & shard.mask) {
    const size_t home = shard.slots[i].hash & shard.mask;
    if (((i - home) & shard.mask) >= ((i - hole) & shard.mask)) {
      shard.slots[hole] = shard.slots[i];
      hole = i;
    }
  }
  shard.slots[hole] = Slot{};
  --shard.used;
  --size_;
}

}  // namespace tidemark::kv
