// What the process uses, from the allocator and from /proc. The server links jemalloc; tests and tools may not, so its
// functions are looked up weakly and glibc's are asked where they are missing.
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>

#include "commands/server_families.h"

extern "C" {
__attribute__((weak)) int mallctl(const char* name, void* old_value, size_t* old_size, void* new_value,
                                  size_t new_size);
__attribute__((weak)) void malloc_stats_print(void (*write)(void*, const char*), void* argument, const char* options);
}

namespace tidemark::commands {
namespace {

uint64_t Figure(const char* name) {
  size_t value = 0;
  size_t size = sizeof(value);
  return mallctl(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}

uint64_t ResidentBytes() {
  uint64_t total = 0;
  uint64_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

MemoryFigures ReadMemoryFigures() {
  static std::atomic<uint64_t> peak{0};
  MemoryFigures figures;
  figures.resident = ResidentBytes();
  figures.system = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  if (mallctl != nullptr) {
    uint64_t epoch = 1;
    mallctl("epoch", nullptr, nullptr, &epoch, sizeof(epoch));
    figures.allocated = Figure("stats.allocated");
    figures.active = Figure("stats.active");
    figures.allocator_resident = Figure("stats.resident");
    const char* version = nullptr;
    size_t size = sizeof(version);
    mallctl("version", &version, &size, nullptr, 0);
    const std::string_view text = version == nullptr ? "" : version;
    figures.allocator = fmt::format("jemalloc-{}", text.substr(0, text.find('-')));
  } else {
    const struct mallinfo2 info = ::mallinfo2();
    figures.allocated = info.uordblks + info.hblkhd;
    figures.active = figures.allocator_resident = info.arena + info.hblkhd;
    figures.allocator = "libc";
  }
  uint64_t highest = peak.load(std::memory_order_relaxed);
  while (highest < figures.allocated && !peak.compare_exchange_weak(highest, figures.allocated)) {
  }
  figures.peak = std::max(highest, figures.allocated);
  return figures;
}

void PurgeMemory() {
  if (mallctl == nullptr) {
    ::malloc_trim(0);
    return;
  }
  // 4096 stands for all arenas (MALLCTL_ARENAS_ALL).
  mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);
}

std::string AllocatorReport() {
  if (malloc_stats_print == nullptr) return "The allocator of this build has no report.\n";
  std::string report;
  malloc_stats_print([](void* out, const char* text) { static_cast<std::string*>(out)->append(text); }, &report,
                     nullptr);
  return report;
}

}  // namespace tidemark::commands
