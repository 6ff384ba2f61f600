#include "kv/hot_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "base/hash.h"

namespace tidemark::kv {
namespace {

// A hash that puts rows together on few home slots of one shard, at the end of its array, so that runs wrap around.
uint64_t CrowdedHash(const std::string& key) { return ~uint64_t{0} << 54 | (0x3ffffd + std::stoul(key) % 3); }

TEST(HotTable, AgreesWithAMapWhenRowsCrowdOneShard) {
  HotTable table;
  std::map<std::string, Entry*> model;
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = std::to_string(random() % 60);
    Entry* found = table.Find(CrowdedHash(key), key);
    if (const auto it = model.find(key); it != model.end()) {
      ASSERT_EQ(found, it->second);
      table.Erase(CrowdedHash(key), found);
      Entry::Free(found);
      model.erase(it);
    } else {
      ASSERT_EQ(found, nullptr);
      model[key] = Entry::New(key, Value(), 0);
      table.Insert(CrowdedHash(key), model[key]);
    }
    ASSERT_EQ(table.size(), model.size());
  }
}

TEST(HotTable, ASweepOfEveryShardMeetsEveryRow) {
  HotTable table;
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = fmt::format("row {}", i);
    table.Insert(Hash64(key), Entry::New(key, Value("v"), 0));
  }
  size_t met = 0;
  for (size_t shard = 0; shard < HotTable::kShards; ++shard) {
    table.SweepShard(shard, [&](Entry* entry) {
      ++met;
      Entry::Free(entry);
      return true;
    });
  }
  EXPECT_EQ(met, 20'000u);
  EXPECT_EQ(table.size(), 0u);
}

TEST(HotTable, TheClockHandMeetsEveryRowOnceARound) {
  HotTable table;
  for (int i = 0; i < 5'000; ++i) {
    const std::string key = fmt::format("row {}", i);
    table.Insert(Hash64(key), Entry::New(key, Value("v"), 0));
  }
  std::map<Entry*, int> met;
  for (int rows = 0; rows < 5'000; rows += 100) {
    table.Sweep(
        100, [] { return false; },
        [&](Entry* entry) {
          ++met[entry];
          return false;
        });
  }
  EXPECT_EQ(met.size(), 5'000u);
  EXPECT_EQ(table.size(), 5'000u);
}

}  // namespace
}  // namespace tidemark::kv
