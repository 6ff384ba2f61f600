// How `maxmemory` is divided among the caches. Nothing is ever evicted from a store on disk, so here it bounds only
// what is kept in memory for speed.
#pragma once

#include <cstdint>
#include <string>

namespace tidemark::server {

// Bytes.
struct MemoryBudget {
  uint64_t hot = 0;          // rows in memory, changed ones included
  uint64_t block_cache = 0;  // blocks of the store's files
  uint64_t dirty = 0;        // changed rows not yet written out, out of `hot`
};

// `maxmemory` 0 takes a quarter of `machine_bytes`, at least 64 MiB and at most 2 GiB. `block_cache` 0 takes a quarter
// of the whole; given, it gets what it asks for, up to half. The hot rows have the rest. At most a third of them may be
// dirty, since writers are only stopped at twice `dirty`.
MemoryBudget DivideMemory(uint64_t maxmemory, uint64_t block_cache, uint64_t dirty, uint64_t machine_bytes);

// Bytes of memory of this machine, or of the control group around this process if that allows less. `root` is put
// before /proc and /sys, for tests.
uint64_t MachineMemory(const std::string& root = "");

}  // namespace tidemark::server
