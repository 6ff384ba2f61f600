// What a user would lose: records, if an input went before its merged object was whole, or a restore that takes days.
#include "archive/merge.h"

#include <gtest/gtest.h>

#include <set>

#include "archive/archive_testing.h"
#include "objstore/memory_store.h"
#include "objstore/testing.h"

namespace tidemark::archive {
namespace {

using objstore::MemoryBucket;
using objstore::MemoryStore;
using Operation = MemoryStore::Operation;

constexpr uint64_t kNow = 2'000'000'000;
const Timeline kTimeline{1};

LogEntry Entry(uint64_t first, uint64_t end, uint64_t size, uint64_t closed = 0) {
  const format::LogObjectName name{kTimeline, Lsn{first}, Lsn{end}, Timestamp{first},
                                   Timestamp{closed == 0 ? end - 1 : closed}};
  return {name, LogObjectKey(name), size, 0};
}

Catalog CatalogOf(std::vector<LogEntry> entries) {
  Catalog catalog;
  std::sort(entries.begin(), entries.end(), [](const LogEntry& a, const LogEntry& b) {
    return a.name.first != b.name.first ? a.name.first < b.name.first : a.name.end > b.name.end;
  });
  catalog.log[kTimeline] = std::move(entries);
  return catalog;
}

MergePlan Plan(const Catalog& catalog, const MergeOptions& options = {}, Lsn settled = Lsn{UINT64_MAX}) {
  return PlanMerge(catalog, kTimeline, settled, options, kNow);
}

TEST(MergePlan, TakesSettledNeighboursOnly) {
  std::vector<LogEntry> entries;
  for (uint64_t i = 0; i < 40; ++i) entries.push_back(Entry(i * 10, i * 10 + 10, 100));
  EXPECT_EQ(Plan(CatalogOf(entries)).runs.size(), 1u);
  EXPECT_EQ(Plan(CatalogOf(entries)).runs[0].size(), 40u);
  EXPECT_EQ(Plan(CatalogOf(entries), {}, Lsn{205}).runs[0].size(), 20u);
  EXPECT_TRUE(Plan(CatalogOf(entries), {}, Lsn{155}).runs.empty());
  entries.erase(entries.begin() + 20);  // a gap is not closed
  const MergePlan plan = Plan(CatalogOf(entries));
  ASSERT_EQ(plan.runs.size(), 2u);
  EXPECT_EQ(plan.runs[0].back().name.end, Lsn{200});
  EXPECT_EQ(plan.runs[1].front().name.first, Lsn{210});
  entries[5].size = 9 << 20;  // nor is a large object written again
  EXPECT_EQ(Plan(CatalogOf(entries)).runs.size(), 1u);
}

TEST(MergePlan, MergedObjectsStayNearTheTarget) {
  std::vector<LogEntry> entries;
  for (uint64_t i = 0; i < 100; ++i) entries.push_back(Entry(i * 10, i * 10 + 10, 5 << 20));
  const MergePlan plan = Plan(CatalogOf(entries));
  ASSERT_EQ(plan.runs.size(), 8u);
  for (const auto& run : plan.runs) EXPECT_EQ(run.size(), 12u);
}

TEST(MergePlan, InputsAreReplacedAfterTheGrace) {
  std::vector<LogEntry> entries{Entry(0, 30, 300)};
  entries[0].modified_micros = kNow - MergeOptions{}.grace_micros;
  for (uint64_t i = 0; i < 5; ++i) entries.push_back(Entry(i * 10, i * 10 + 10, 100));
  MergePlan plan = Plan(CatalogOf(entries));
  ASSERT_EQ(plan.replaced.size(), 1u);
  EXPECT_EQ(plan.replaced[0].merged.key, entries[0].key);
  EXPECT_EQ(plan.replaced[0].inputs.size(), 3u);
  entries[0].modified_micros += 1;
  EXPECT_TRUE(Plan(CatalogOf(entries)).replaced.empty());
}

TEST(MergePlan, ObjectsThatSayMoreAreNotReplaced) {
  // Overlapping, and one that knows of a later moment.
  EXPECT_TRUE(Plan(CatalogOf({Entry(0, 20, 9), Entry(10, 20, 9, 25), Entry(15, 30, 9)})).replaced.empty());
  const auto twins = Plan(CatalogOf({Entry(0, 20, 9, 21), Entry(0, 20, 9, 25)})).replaced;
  ASSERT_EQ(twins.size(), 1u);
  EXPECT_EQ(twins[0].merged.name.closed_timestamp, Timestamp{25});
}

TEST(MergePlan, MarksGoWhenLaterOnesSayMore) {
  const auto plan =
      Plan(CatalogOf({Entry(0, 20, 9), Entry(20, 20, 9, 30), Entry(20, 20, 9, 40), Entry(20, 20, 9, 50)}));
  ASSERT_EQ(plan.replaced.size(), 1u);
  EXPECT_EQ(plan.replaced[0].merged.name.closed_timestamp, Timestamp{50});
  EXPECT_EQ(plan.replaced[0].inputs.size(), 2u);
  // Marks between the inputs of a merged object go with them; one at its end that says more does not.
  const auto merged =
      Plan(CatalogOf({Entry(0, 40, 9), Entry(0, 20, 9), Entry(20, 20, 9, 20), Entry(20, 40, 9), Entry(40, 40, 9, 60)}));
  ASSERT_EQ(merged.replaced.size(), 1u);
  EXPECT_EQ(merged.replaced[0].inputs.size(), 3u);
}

// A second's object each second, planned every five minutes, carried out, deleted after the grace.
TEST(MergePlan, ADayOfSecondsEndsAsFewObjectsAndIsWrittenAFewTimes) {
  for (const uint64_t size : {uint64_t{300}, uint64_t{100'000}}) {
    std::vector<LogEntry> entries;
    uint64_t rewritten = 0;
    size_t most = 0;
    const auto turn = [&](uint64_t now) {
      const MergePlan plan = PlanMerge(CatalogOf(entries), kTimeline, Lsn{UINT64_MAX}, {}, now);
      std::set<std::string> gone;
      for (const Replacement& replaced : plan.replaced) {
        for (const LogEntry& input : replaced.inputs) gone.insert(input.key);
      }
      std::erase_if(entries, [&](const LogEntry& entry) { return gone.contains(entry.key); });
      for (const auto& run : plan.runs) {
        LogEntry merged = Entry(run.front().name.first.value, run.back().name.end.value, 0);
        for (const LogEntry& input : run) merged.size += input.size;
        merged.modified_micros = now;
        rewritten += merged.size;
        entries.push_back(merged);
      }
      most = std::max(most, entries.size());
    };
    constexpr uint64_t kSeconds = 86'400;
    for (uint64_t second = 0; second < kSeconds; ++second) {
      entries.push_back(Entry(second * 1000, second * 1000 + 1000, size));
      entries.back().modified_micros = second * 1'000'000;
      if (second % 300 == 299) turn(second * 1'000'000);
    }
    turn(kSeconds * 1'000'000);
    turn(kSeconds * 1'000'000 + MergeOptions{}.grace_micros);
    fmt::print("{} bytes a second: {} objects at the end, {} at most, each byte written {:.1f} times more\n", size,
               entries.size(), most, static_cast<double>(rewritten) / static_cast<double>(kSeconds * size));
    EXPECT_LT(entries.size(), size == 300 ? 100u : 500u);
    EXPECT_LT(most, 2500u);
    EXPECT_LT(rewritten, 7 * kSeconds * size);
  }
}

// Real objects.
class Merging : public testing::Test {
 protected:
  Merging() { options_.at_least = 4; }
  // `count` objects of two records each.
  void Fill(int count, const CodecOptions& codec = {}) {
    for (int i = 0; i < count; ++i) {
      const auto object = TestObject(&log_, {fmt::format("first of {}", i), std::string(100, 'x')}, codec);
      bucket_->Set(LogObjectKey(object.name), object.bytes);
      plain_ += DecodeLogObject(object.bytes, *TestRing(std::string(kTestKey) + kOtherKey))->plain;
    }
  }
  Catalog Load(std::shared_ptr<MemoryBucket> bucket) {
    MemoryStore store(std::move(bucket));
    auto catalog = Catalog::Load(store, false);
    EXPECT_OK(catalog.status());
    return *catalog;
  }
  // The log as a stranger reads it from the objects that he would choose.
  std::string Read(const std::shared_ptr<MemoryBucket>& bucket) {
    const auto objects = bucket->objects();
    const auto keys = TestRing(std::string(kTestKey) + kOtherKey);
    std::string plain;
    for (const LogEntry& entry : Load(bucket).Follow(kTimeline, format::kFirstLsn, Lsn{UINT64_MAX}).objects) {
      const auto decoded = DecodeLogObject(*objects.at(entry.key).bytes, *keys);
      EXPECT_OK(decoded.status());
      if (!decoded.ok()) return {};
      const uint64_t have = format::kFirstLsn.value + plain.size();
      plain.append(decoded->plain, have - entry.name.first.value);
    }
    return plain;
  }
  MergePlan Plan(uint64_t now = kNow) { return PlanMerge(Load(bucket_), kTimeline, Lsn{UINT64_MAX}, options_, now); }
  // What a task does each time; stops at the first error.
  absl::Status Turn(MemoryStore& store) {
    TM_ASSIGN_OR_RETURN(const Catalog catalog, Catalog::Load(store, false));
    const MergePlan plan = PlanMerge(catalog, kTimeline, Lsn{UINT64_MAX}, options_, kNow);
    for (const Replacement& replaced : plan.replaced) {
      TM_RETURN_IF_ERROR(DeleteReplaced(store, replaced, *keys_).status());
    }
    for (const auto& run : plan.runs) TM_RETURN_IF_ERROR(Merge(store, run, *keys_).status());
    return absl::OkStatus();
  }

  TestLog log_;
  std::string plain_;
  MergeOptions options_;
  std::shared_ptr<const KeyRing> keys_ = KeyRing::Empty();
  std::shared_ptr<MemoryBucket> bucket_ = std::make_shared<MemoryBucket>();
  MemoryStore store_{bucket_};
};

TEST_F(Merging, EveryRecordIsStillThereAndTheInputsAreGone) {
  Fill(20);
  ASSERT_OK(Turn(store_));
  EXPECT_EQ(bucket_->size(), 21u);
  EXPECT_EQ(Read(bucket_), plain_);
  ASSERT_OK(Turn(store_));
  EXPECT_EQ(bucket_->size(), 1u);
  EXPECT_EQ(Read(bucket_), plain_);
}

TEST_F(Merging, EncryptedObjectsStayEncryptedWhateverTheirKey) {
  keys_ = TestRing(std::string(kOtherKey) + kTestKey);
  Fill(5, {1, TestRing(kTestKey)});
  Fill(5, {1, keys_});
  ASSERT_OK(Turn(store_));
  ASSERT_OK(Turn(store_));
  ASSERT_EQ(bucket_->size(), 1u);
  EXPECT_EQ(Read(bucket_), plain_);
  EXPECT_EQ(bucket_->objects().begin()->second.bytes->find("first of"), std::string::npos);
}

// The merger dies before each of its operations in turn; then another goes on.
TEST_F(Merging, CutAnywhereTheLogIsWhole) {
  Fill(12);
  for (int alive = 0;; ++alive) {
    SCOPED_TRACE(alive);
    const auto bucket = bucket_->Copy();
    MemoryStore dying(bucket);
    std::atomic<int> calls{0};
    dying.SetHook([&](Operation, std::string_view) {
      return calls++ < alive ? absl::OkStatus() : absl::UnavailableError("dead");
    });
    const bool done = Turn(dying).ok() && Turn(dying).ok();
    EXPECT_EQ(Read(bucket), plain_);
    MemoryStore again(bucket);
    ASSERT_OK(Turn(again));
    EXPECT_EQ(Read(bucket), plain_);
    ASSERT_OK(Turn(again));
    EXPECT_EQ(bucket->size(), 1u);
    EXPECT_EQ(Read(bucket), plain_);
    if (done) break;
    ASSERT_LT(alive, 200);
  }
}

TEST_F(Merging, ComesThroughABadNetwork) {
  Fill(12);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    const auto bucket = bucket_->Copy();
    MemoryStore store(bucket);
    store.SetFaults({.seed = seed, .unavailable = 50, .throttled = 20, .lost_answer = 50, .damaged = 20});
    for (int attempts = 0; bucket->size() > 1; ++attempts) {
      const absl::Status status = Turn(store);
      ASSERT_TRUE(status.ok() || objstore::IsPassing(status)) << status;
      ASSERT_EQ(Read(bucket), plain_);
      ASSERT_LT(attempts, 300);
    }
  }
}

TEST_F(Merging, WhatComesBackChangedIsNotLeftBehind) {
  Fill(8);
  const size_t before = bucket_->size();
  const auto runs = Plan().runs;
  ASSERT_EQ(runs.size(), 1u);
  store_.SetHook([&](Operation operation, std::string_view key) {
    if (operation == Operation::kGetStream) bucket_->FlipBit(key, 300);
    return absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsDataLoss(Merge(store_, runs[0], *keys_).status()));
  EXPECT_EQ(bucket_->size(), before);
  EXPECT_EQ(Read(bucket_), plain_);
}

TEST_F(Merging, DamagedMergedObjectGoesAndItsInputsStay) {
  Fill(8);
  const auto runs = Plan().runs;
  const auto merged = Merge(store_, runs.at(0), *keys_);
  ASSERT_OK(merged.status());
  ASSERT_TRUE(bucket_->FlipBit(merged->key, 400));
  const auto replaced = Plan().replaced;
  ASSERT_EQ(replaced.size(), 1u);
  const absl::Status status = DeleteReplaced(store_, replaced[0], *keys_).status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_NE(Message(status).find(merged->key), std::string::npos) << status;
  EXPECT_EQ(bucket_->size(), 8u);
  EXPECT_EQ(Read(bucket_), plain_);
  // Not so when an input is no longer there to take its place.
  ASSERT_OK(Merge(store_, runs[0], *keys_).status());
  bucket_->FlipBit(merged->key, 400);
  bucket_->Erase(runs[0][3].key);
  EXPECT_TRUE(absl::IsDataLoss(DeleteReplaced(store_, Plan().replaced.at(0), *keys_).status()));
  EXPECT_EQ(bucket_->size(), 8u);
}

TEST_F(Merging, SomebodyElsesObjectOfThatNameIsAConflict) {
  Fill(8);
  const auto run = Plan().runs.at(0);
  const auto merged = Merge(store_, run, *keys_);
  ASSERT_OK(merged.status());
  const auto good = *bucket_->objects().at(merged->key).bytes;
  // The same again: an earlier attempt whose answer was lost.
  ASSERT_OK(Merge(store_, run, *keys_).status());

  TestLog other(kTimeline, format::kFirstLsn, 0);
  bucket_->Erase(merged->key);
  std::vector<std::string> payloads;
  for (int i = 0; i < 8; ++i) {
    payloads.push_back(fmt::format("other {}", i) + std::string(fmt::format("first of {}", i).size() - 7, 'y'));
    payloads.push_back(std::string(100, 'y'));
  }
  const auto foreign = TestObject(&other, payloads);
  ASSERT_EQ(LogObjectKey(foreign.name), merged->key);
  bucket_->Set(merged->key, foreign.bytes);
  EXPECT_TRUE(absl::IsFailedPrecondition(Merge(store_, run, *keys_).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(DeleteReplaced(store_, Plan().replaced.at(0), *keys_).status()));
  EXPECT_EQ(bucket_->size(), 9u);
}

TEST_F(Merging, AGapAmongTheInputsIsNamed) {
  Fill(8);
  auto run = Plan().runs.at(0);
  ASSERT_TRUE(bucket_->FlipBit(run[2].key, 250));
  const absl::Status damaged = Merge(store_, run, *keys_).status();
  EXPECT_TRUE(absl::IsDataLoss(damaged));
  EXPECT_NE(Message(damaged).find(run[0].key), std::string::npos) << damaged;
  run.erase(run.begin() + 2);
  EXPECT_FALSE(Merge(store_, run, *keys_).ok());
  EXPECT_EQ(bucket_->size(), 8u);
}

}  // namespace
}  // namespace tidemark::archive
