#include "server/memory_budget.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace tidemark::server {
namespace {

constexpr uint64_t kMiB = 1 << 20;

TEST(MemoryBudget, CachesTogetherTakeWhatMaxmemorySays) {
  const MemoryBudget budget = DivideMemory(400 * kMiB, 0, 96 * kMiB, 8192 * kMiB);
  EXPECT_EQ(budget.hot + budget.block_cache, 400 * kMiB);
  EXPECT_EQ(budget.block_cache, 100 * kMiB);
  EXPECT_EQ(budget.dirty, 96 * kMiB);
}

TEST(MemoryBudget, WithoutMaxmemoryAShareOfTheMachine) {
  const auto whole = [](uint64_t machine) {
    const MemoryBudget budget = DivideMemory(0, 0, 96 * kMiB, machine);
    return budget.hot + budget.block_cache;
  };
  EXPECT_EQ(whole(2048 * kMiB), 512 * kMiB);
  EXPECT_EQ(whole(64 * kMiB), 64 * kMiB);
  EXPECT_EQ(whole(65536 * kMiB), 2048 * kMiB);
}

TEST(MemoryBudget, WritersStopBeforeChangedRowsFillTheMemory) {
  const MemoryBudget budget = DivideMemory(40 * kMiB, 30 * kMiB, 96 * kMiB, 8192 * kMiB);
  EXPECT_EQ(budget.block_cache, 20 * kMiB);
  EXPECT_LE(2 * budget.dirty, budget.hot);
}

class GroupFiles : public ::testing::Test {
 protected:
  GroupFiles() : root_(::testing::TempDir() + "groups-" + std::to_string(::getpid())) {}
  ~GroupFiles() override { std::filesystem::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  const std::string root_;
};

TEST_F(GroupFiles, TheLeastLimitOfTheGroupsAroundTheProcessCounts) {
  Write("/proc/self/cgroup", "0::/outer/inner\n");
  Write("/sys/fs/cgroup/outer/memory.max", "33554432\n");
  Write("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  EXPECT_EQ(MachineMemory(root_), 32 * kMiB);
}

TEST_F(GroupFiles, GroupsOfVersionOne) {
  Write("/proc/self/cgroup", "9:memory:/docker/0123\n3:cpu,cpuacct:/\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
  EXPECT_EQ(MachineMemory(root_), 64 * kMiB);
}

TEST_F(GroupFiles, WithoutLimitTheWholeMachine) {
  Write("/proc/self/cgroup", "0::/\n");
  EXPECT_GT(MachineMemory(root_), 64 * kMiB);
}

}  // namespace
}  // namespace tidemark::server
