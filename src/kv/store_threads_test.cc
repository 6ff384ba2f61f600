// Readers, a writer and the persisting thread at once, for the thread sanitizer and for what a race would break: a read
// must never see less than what was committed before it began, and rows written together must be seen together.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <thread>

#include "kv/test_store.h"

namespace tidemark::kv {
namespace {

constexpr int kPairs = 300;
constexpr int kCommits = 6'000;

std::string LeftRow(size_t pair) { return fmt::format("left:{:03}", pair); }
std::string RightRow(size_t pair) { return fmt::format("right:{:03}", pair); }

class Concurrently {
 public:
  Concurrently() {
    options_.folder = folder_ / "store";
    options_.hot_bytes = 16 << 10;
    options_.block_cache_bytes = 16 << 10;
    options_.dirty_bytes = 16 << 10;
    store_ = MustOpen(options_);
  }

  void Run() {
    std::vector<std::thread> others;
    others.emplace_back([this] { PersistAll(); });
    others.emplace_back([this] { ReadSingleRows(2); });
    others.emplace_back([this] { ReadPairs(3); });
    others.emplace_back([this] { ScanPairs(4); });
    WriteAll();
    done_ = true;
    for (std::thread& thread : others) thread.join();
  }

 private:
  // Each commit gives both rows of a pair the commit's number, padded; some commits are taken back.
  void WriteAll() {
    std::mt19937 random(1);
    for (uint64_t n = 1; n <= kCommits; ++n) {
      const size_t pair = random() % kPairs;
      auto writer = store_->Write();
      const size_t mark = writer.Mark();
      writer.Put(LeftRow(pair), fmt::format("{:050}", n));
      writer.Put(RightRow(pair), fmt::format("{:050}", n));
      if (random() % 8 == 0) {
        writer.UndoTo(mark);
      } else {
        committed_[pair].store(n);
      }
      writer.SetApplied(Lsn{n});
    }
  }

  void PersistAll() {
    while (!done_) {
      const absl::Status status = store_->Persist(SyncNothing);
      ASSERT_TRUE(status.ok()) << status;
      std::this_thread::yield();
    }
  }

  static uint64_t Number(const Value& value) { return value ? std::stoull(std::string(value.view())) : 0; }

  void ReadSingleRows(uint32_t seed) {
    std::mt19937 random(seed);
    while (!done_) {
      const size_t pair = random() % kPairs;
      // The writer stores it before it lets go of the lock.
      const uint64_t at_least = committed_[pair].load();
      const auto value = store_->Get(LeftRow(pair), random() % 2 == 0 ? Tier::kDisk : Tier::kMemory);
      if (!value.ok()) {
        ASSERT_TRUE(IsColdRow(value.status())) << value.status();
        continue;
      }
      ASSERT_GE(Number(*value), at_least);
    }
  }

  void ReadPairs(uint32_t seed) {
    std::mt19937 random(seed);
    while (!done_) {
      const size_t pair = random() % kPairs;
      auto reader = store_->Read();
      const auto left = reader.Get(LeftRow(pair), Tier::kDisk);
      const auto right = reader.Get(RightRow(pair), Tier::kDisk);
      ASSERT_TRUE(left.ok() && right.ok());
      ASSERT_EQ(Number(*left), Number(*right));
      ASSERT_EQ(Number(*left), committed_[pair].load());
    }
  }

  void ScanPairs(uint32_t seed) {
    std::mt19937 random(seed);
    while (!done_) {
      const size_t first = random() % kPairs;
      std::array<uint64_t, kPairs> lefts{};
      const auto status =
          store_->Scan(LeftRow(first), "right;", kNoLimit, Tier::kDisk, [&](std::string_view row, const Value& value) {
            const size_t pair = std::stoul(std::string(row.substr(row.size() - 3)));
            if (row.starts_with("left")) {
              lefts[pair] = Number(value);
            } else if (pair >= first) {
              EXPECT_EQ(lefts[pair], Number(value));
            }
            return true;
          });
      ASSERT_TRUE(status.ok()) << status;
    }
  }

  TestFolder folder_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
  std::array<std::atomic<uint64_t>, kPairs> committed_{};
  std::atomic<bool> done_{false};
};

TEST(StoreThreads, ReadersSeeWholeCommitsAndNeverLessThanBefore) { Concurrently().Run(); }

}  // namespace
}  // namespace tidemark::kv
