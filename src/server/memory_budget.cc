#include "server/memory_budget.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "base/numbers.h"

namespace tidemark::server {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

// A file of a control group that holds one number; "max", or no file, is no limit.
uint64_t ReadLimit(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  if (!(file >> word)) return kUnlimited;
  return ParseUint64(word).value_or(kUnlimited);
}

// The least limit on the way from a group up to the root. In a container the path may be one of the host's, which is
// not there; the walk still ends at the mount, which is the container's own group.
uint64_t LeastLimit(const std::string& mount, std::string group, const std::string& file) {
  uint64_t least = kUnlimited;
  while (true) {
    least = std::min(least, ReadLimit(fmt::format("{}{}/{}", mount, group, file)));
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos || group.empty()) return least;
    group.resize(slash);
  }
}

// Lines of /proc/self/cgroup: "0::/user.slice" (version 2) and "9:memory:/user" (version 1); see cgroups(7).
uint64_t GroupLimit(const std::string& root) {
  uint64_t least = kUnlimited;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, LeastLimit(root + "/sys/fs/cgroup", group, "memory.max"));
    } else if (controllers == "memory") {
      least = std::min(least, LeastLimit(root + "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
  }
  return least;
}

}  // namespace

MemoryBudget DivideMemory(uint64_t maxmemory, uint64_t block_cache, uint64_t dirty, uint64_t machine_bytes) {
  constexpr uint64_t kLeast = 64ull << 20;
  constexpr uint64_t kMost = 2ull << 30;
  const uint64_t whole = maxmemory != 0 ? maxmemory : std::clamp(machine_bytes / 4, kLeast, kMost);
  MemoryBudget budget;
  budget.block_cache = block_cache == 0 ? whole / 4 : std::min(block_cache, whole / 2);
  budget.hot = whole - budget.block_cache;
  budget.dirty = std::min(dirty, budget.hot / 3);
  return budget;
}

uint64_t MachineMemory(const std::string& root) {
  const auto pages = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES));
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
  return std::min(pages * page, GroupLimit(root));
}

}  // namespace tidemark::server
