// Promise 1 and what hangs on it: what was committed is there after a stop and after a crash, what failed never was,
// and what expires or dies is removed by records.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/expiry_clock.h"
#include "engine/identity.h"
#include "engine/sweeper.h"
#include "format/log_format.h"
#include "types/keyspace.h"

namespace tidemark::engine {
namespace {

using types::Key;
using types::Keyspace;
using types::Type;

// The real file system, with a free room that the test sets.
class RoomyFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override {
    return Posix().Open(path, mode);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override { return Posix().Rename(from, to); }
  absl::Status Link(const std::string& from, const std::string& to) override { return Posix().Link(from, to); }
  absl::Status Remove(const std::string& path) override { return Posix().Remove(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& folder) override { return Posix().List(folder); }
  absl::Status CreateFolder(const std::string& path) override { return Posix().CreateFolder(path); }
  absl::Status SyncFolder(const std::string& path) override { return Posix().SyncFolder(path); }
  absl::StatusOr<uint64_t> FreeBytes(const std::string&) override { return free_bytes.load(); }
  absl::StatusOr<std::shared_ptr<void>> Lock(const std::string& path) override { return Posix().Lock(path); }

  std::atomic<uint64_t> free_bytes{1ull << 40};
};

class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    char name[] = "/tmp/tidemark-engine-XXXXXX";
    folder_ = mkdtemp(name);
    Open();
  }
  ~EngineTest() override {
    engine_.reset();
    std::filesystem::remove_all(folder_);
  }

  EngineOptions Options() const {
    EngineOptions options;
    options.folder = folder_;
    options.log.segment_size = 1 << 20;
    options.store.dirty_bytes = 1 << 20;
    options.store.hot_bytes = 8 << 20;
    options.store.block_cache_bytes = 4 << 20;
    return options;
  }
  void Open() {
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(fs_, Clock::System(), Options());
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  void Stop() {
    ASSERT_TRUE(engine_->Close().ok());
    engine_.reset();
  }
  // As when the process is killed after the end of a turn.
  void Crash() {
    engine_->EndTurn();
    engine_.reset();
  }

  absl::Status Set(std::string_view name, std::string_view value, uint64_t expire_ms = 0, DbIndex db = DbIndex{0}) {
    return engine_->Write(kv::Tier::kDisk, true, [&](kv::Txn& txn) -> absl::Status {
      Keyspace keyspace(txn, db);
      TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(name));
      keyspace.PutString(&key, value, expire_ms);
      return absl::OkStatus();
    });
  }
  std::string Get(std::string_view name, DbIndex db = DbIndex{0}) {
    std::string value = "(none)";
    const absl::Status status = engine_->Read(kv::Tier::kDisk, [&](kv::Txn& txn) -> absl::Status {
      TM_ASSIGN_OR_RETURN(const Key key, Keyspace(txn, db).Find(name));
      if (key) value = key.string;
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return value;
  }
  // A hash of `count` fields; its collection's id.
  kv::CollectionId MakeHash(std::string_view name, uint64_t count) {
    kv::CollectionId id;
    const absl::Status status = engine_->Write(kv::Tier::kDisk, true, [&](kv::Txn& txn) -> absl::Status {
      Keyspace keyspace(txn, DbIndex{0});
      TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(name));
      id = txn.NewCollectionId();
      for (uint64_t i = 0; i < count; ++i) keyspace.PutMember(id, "f" + std::to_string(i), "v");
      keyspace.PutCollection(&key, Type::kHash, id, count, 0);
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return id;
  }
  uint64_t CountRows(const types::RowKey& prefix) {
    uint64_t rows = 0;
    EXPECT_TRUE(engine_->store()
                    .Scan(prefix.view(), prefix.PrefixEnd().view(), SIZE_MAX, kv::Tier::kDisk,
                          [&](std::string_view, const kv::Value&) {
                            ++rows;
                            return true;
                          })
                    .ok());
    return rows;
  }
  void WaitUntil(const std::function<bool()>& condition, const char* what) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "still not so: " << what;
      std::this_thread::yield();
    }
  }

  std::string folder_;
  RoomyFileSystem fs_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, WhatWasCommittedIsThereAfterAStopWithNothingToReplay) {
  ASSERT_TRUE(Set("a", "1").ok());
  ASSERT_TRUE(Set("b", "2", 0, DbIndex{3}).ok());
  Stop();
  Open();
  EXPECT_EQ(engine_->stats().recovered_records, 0u);
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b", DbIndex{3}), "2");
  EXPECT_EQ(engine_->store().db(DbIndex{3}).keys, 1);
}

TEST_F(EngineTest, ACrashReplaysTheLogCountsIncluded) {
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(Set("key" + std::to_string(i), std::string(500, 'x')).ok());
  const uint64_t later = engine_->clock().Now().millis() + 3'600'000;
  ASSERT_TRUE(Set("key1", "short", later).ok());
  Crash();
  Open();
  EXPECT_GT(engine_->stats().recovered_records, 0u);
  EXPECT_EQ(Get("key1"), "short");
  EXPECT_EQ(Get("key999"), std::string(500, 'x'));
  EXPECT_EQ(engine_->store().db(DbIndex{0}).keys, 1000);
  EXPECT_EQ(engine_->store().db(DbIndex{0}).expires, 1);
}

TEST_F(EngineTest, AFailedTransactionLeavesNoTrace) {
  ASSERT_TRUE(Set("a", "1").ok());
  const Lsn end = engine_->last_end();
  const absl::Status status = engine_->Write(kv::Tier::kMemory, false, [&](kv::Txn& txn) -> absl::Status {
    Keyspace keyspace(txn, DbIndex{0});
    TM_ASSIGN_OR_RETURN(Key a, keyspace.Find("a"));
    keyspace.Remove(&a);
    TM_ASSIGN_OR_RETURN(Key b, keyspace.Find("b"));
    keyspace.PutString(&b, "2", 0);
    return absl::InvalidArgumentError("ERR no");
  });
  EXPECT_EQ(Message(status), "ERR no");
  EXPECT_EQ(engine_->last_end(), end);
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), "(none)");
  EXPECT_EQ(engine_->store().db(DbIndex{0}).keys, 1);
}

TEST_F(EngineTest, ReturningToAMarkKeepsWhatWasBefore) {
  const absl::Status status = engine_->Write(kv::Tier::kMemory, false, [&](kv::Txn& txn) -> absl::Status {
    Keyspace keyspace(txn, DbIndex{0});
    TM_ASSIGN_OR_RETURN(Key a, keyspace.Find("a"));
    keyspace.PutString(&a, "1", 0);
    const size_t mark = engine_->MarkTransaction(txn);
    keyspace.PutString(&a, "2", 0);
    TM_ASSIGN_OR_RETURN(Key b, keyspace.Find("b"));
    keyspace.PutString(&b, "2", 0);
    engine_->RollBackTo(txn, mark);
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
  Crash();
  Open();
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), "(none)");
  EXPECT_EQ(engine_->store().db(DbIndex{0}).keys, 1);
}

TEST_F(EngineTest, CollectionIdsDifferWithinAndBetweenTransactions) {
  std::vector<kv::CollectionId> ids;
  for (const int count : {66'000, 10, 10}) {
    const auto make = [&](kv::Txn& txn) -> absl::Status {
      Keyspace keyspace(txn, DbIndex{0});
      for (int k = 0; k < count; ++k) {
        const std::string name = "k" + std::to_string(ids.size());
        TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(name));
        ids.push_back(txn.NewCollectionId());
        keyspace.PutCollection(&key, Type::kHash, ids.back(), 1, 0);
      }
      return absl::OkStatus();
    };
    absl::Status status = Stalled();
    // So much at once that the store has to catch up in between.
    WaitUntil([&] { return !IsStalled(status = engine_->Write(kv::Tier::kDisk, false, make)); },
              "a write goes through");
    ASSERT_TRUE(status.ok()) << status;
  }
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::adjacent_find(ids.begin(), ids.end()), ids.end());
}

TEST_F(EngineTest, EmptyingAndSwappingDatabasesSurvivesACrash) {
  ASSERT_TRUE(Set("a", "1").ok());
  ASSERT_TRUE(Set("b", "2", 0, DbIndex{1}).ok());
  ASSERT_TRUE(engine_
                  ->Write(kv::Tier::kMemory, false,
                          [](kv::Txn& txn) {
                            txn.ReplaceContents(DbIndex{0});
                            txn.SwapContents(DbIndex{1}, DbIndex{2});
                            return absl::OkStatus();
                          })
                  .ok());
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Get("a"), "(none)");
    EXPECT_EQ(Get("b", DbIndex{1}), "(none)");
    EXPECT_EQ(Get("b", DbIndex{2}), "2");
    EXPECT_EQ(engine_->store().db(DbIndex{0}).keys, 0);
    EXPECT_EQ(engine_->store().db(DbIndex{2}).keys, 1);
    Crash();
    Open();
  }
}

TEST_F(EngineTest, ExpiredKeysAreRemovedWithTheirIndex) {
  const uint64_t soon = engine_->clock().Now().millis() + 30;
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(Set("key" + std::to_string(i), "x", soon).ok());
  ASSERT_TRUE(Set("stays", "x").ok());
  WaitUntil([&] { return engine_->store().db(DbIndex{0}).keys == 1; }, "one key left");
  EXPECT_EQ(engine_->stats().expired_keys, 500u);
  EXPECT_EQ(CountRows(types::RowKey(types::RowSpace::kExpiry)), 0u);
  EXPECT_EQ(CountRows(types::RowKey(types::RowSpace::kKey)), 1u);
}

TEST_F(EngineTest, MembersOfARemovedCollectionAreSwept) {
  const kv::CollectionId small = MakeHash("small", 10);
  const kv::CollectionId large = MakeHash("large", 5000);
  const kv::CollectionId flushed = MakeHash("flushed", 300);
  EXPECT_EQ(CountRows(types::MemberRows(large)), 5000u);
  ASSERT_TRUE(engine_
                  ->Write(kv::Tier::kDisk, false,
                          [](kv::Txn& txn) -> absl::Status {
                            Keyspace keyspace(txn, DbIndex{0});
                            for (const char* name : {"small", "large"}) {
                              TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(name));
                              keyspace.Remove(&key);
                            }
                            txn.ReplaceContents(DbIndex{0});
                            return absl::OkStatus();
                          })
                  .ok());
  engine_->WakeSweeper();
  WaitUntil([&] { return CountRows(types::RowKey(types::RowSpace::kDead)) == 0; }, "no dead rows");
  for (const kv::CollectionId& id : {small, large, flushed}) EXPECT_EQ(CountRows(types::MemberRows(id)), 0u);
  EXPECT_EQ(CountRows(types::RowKey(types::RowSpace::kKey)), 0u);
  Crash();
  Open();
  for (const kv::CollectionId& id : {small, large, flushed}) EXPECT_EQ(CountRows(types::MemberRows(id)), 0u);
}

TEST_F(EngineTest, ASnapshotOpensAsAStoreAtItsLsn) {
  ASSERT_TRUE(Set("a", "1").ok());
  const absl::StatusOr<Lsn> lsn = engine_->Snapshot();
  ASSERT_TRUE(lsn.ok()) << lsn.status();
  EXPECT_EQ(*lsn, engine_->last_end());
  ASSERT_TRUE(Set("a", "2").ok());
  kv::StoreOptions options = Options().store;
  options.folder = fmt::format("{}/snapshots/{:016x}", folder_, lsn->value);
  const absl::StatusOr<std::unique_ptr<kv::Store>> snapshot = kv::Store::Open(options);
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_EQ((*snapshot)->persisted(), *lsn);
  const kv::DbState db = (*snapshot)->db(DbIndex{0});
  const absl::StatusOr<kv::Value> row = (*snapshot)->Get(types::KeyRow(db.contents, "a").view(), kv::Tier::kDisk);
  ASSERT_TRUE(row.ok() && *row);
  EXPECT_EQ(types::DecodeKeyValue(row->view())->string, "1");
}

TEST_F(EngineTest, OnlyTheNewestSnapshotTakesRoom) {
  ASSERT_TRUE(Set("k", "one").ok());
  ASSERT_TRUE(engine_->SnapshotAs("base").ok());
  ASSERT_TRUE(engine_->Snapshot().ok());
  ASSERT_TRUE(Set("k", "two").ok());
  const absl::StatusOr<Lsn> newest = engine_->Snapshot();
  ASSERT_TRUE(newest.ok()) << newest.status();
  const auto names = fs_.List(folder_ + "/snapshots");
  ASSERT_TRUE(names.ok());
  EXPECT_EQ(*names, (std::vector<std::string>{fmt::format("{:016x}", newest->value), "base"}));
}

TEST_F(EngineTest, ANamedSnapshotReplacesTheOneBefore) {
  ASSERT_TRUE(Set("k", "one").ok());
  const absl::StatusOr<Lsn> first = engine_->SnapshotAs("base");
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(Set("k", "two").ok());
  const absl::StatusOr<Lsn> second = engine_->SnapshotAs("base");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_LT(*first, *second);
  kv::StoreOptions options = Options().store;
  options.folder = engine_->SnapshotFolder("base");
  const auto store = kv::Store::Open(options);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->persisted(), *second);
}

TEST_F(EngineTest, AClosedMomentSeparatesWhatCameBeforeFromWhatFollows) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop) EXPECT_TRUE(Set("k", "v").ok());
  });
  std::vector<Engine::ClosePoint> points;
  for (int i = 0; i < 200; ++i) points.push_back(engine_->Closed().value());
  stop = true;
  writer.join();
  engine_->EndTurn();
  ASSERT_TRUE(engine_->log().SyncTo(engine_->last_end()).ok());
  const auto cursor = engine_->log().OpenCursor(engine_->log().oldest());
  ASSERT_TRUE(cursor.ok());
  size_t point = 0;
  while ((*cursor)->position() < engine_->last_end()) {
    const auto record = (*cursor)->Next(std::chrono::milliseconds(0));
    ASSERT_TRUE(record.ok()) << record.status();
    while (point < points.size() && points[point].end <= record->lsn) ++point;
    const Timestamp before = point > 0 ? points[point - 1].closed : Timestamp{};
    const Timestamp after = point < points.size() ? points[point].closed : Timestamp{UINT64_MAX};
    EXPECT_GT(record->timestamp, before);
    EXPECT_LT(record->timestamp, after);
  }
}

TEST_F(EngineTest, TheIdentityIsMadeOnceAndSurvivesACrashAndFlushall) {
  const auto made = EnsureIdentity(*engine_, Clock::System());
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_TRUE(engine_
                  ->Write(kv::Tier::kMemory, false,
                          [](kv::Txn& txn) {
                            txn.ReplaceContents(DbIndex{0});
                            return absl::OkStatus();
                          })
                  .ok());
  engine_->EndTurn();
  Crash();
  Open();
  const auto again = EnsureIdentity(*engine_, Clock::System());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->cluster_id, made->cluster_id);
  EXPECT_EQ(again->timeline_id, made->timeline_id);
  EXPECT_EQ(again->timeline, format::kFirstTimeline);
}

TEST_F(EngineTest, WhereExpiryStandsStillNothingGoesUntilItIsLetGoOn) {
  const uint64_t now_ms = Clock::System().WallMicros() / 1000;
  ASSERT_TRUE(Set("gone then", "1", now_ms - 7'200'000).ok());
  ASSERT_TRUE(Set("due since", "2", now_ms - 60'000).ok());
  ASSERT_TRUE(Set("not due", "3", now_ms + 3'600'000).ok());
  ASSERT_TRUE(engine_
                  ->Write(kv::Tier::kDisk, false,
                          [&](kv::Txn& txn) {
                            txn.Put(ExpiryClockRow().view(), EncodeExpiryClock(Timestamp{(now_ms - 3'600'000) * 1000}));
                            return absl::OkStatus();
                          })
                  .ok());
  // The sweeper may have taken them already: what it removed before the row was there is not the matter here.
  ASSERT_TRUE(Set("due since", "2", now_ms - 60'000).ok());
  Stop();
  Open();
  ASSERT_TRUE(engine_->expiry_stands_at().has_value());
  ASSERT_TRUE(Set("due since", "2", now_ms - 60'000).ok());
  Sweeper sweeper(*engine_, 16);
  ASSERT_TRUE(sweeper.SweepExpired(100).ok());
  EXPECT_EQ(Get("gone then"), "(none)");
  EXPECT_EQ(Get("due since"), "2");
  EXPECT_EQ(Get("not due"), "3");

  ASSERT_TRUE(engine_->ThawExpiry().ok());
  EXPECT_EQ(Get("due since"), "(none)");
  EXPECT_EQ(Get("not due"), "3");
  Crash();
  Open();
  EXPECT_FALSE(engine_->expiry_stands_at().has_value()) << "thawed for good";
}

TEST_F(EngineTest, AFolderOfARestoreThatIsNotCompleteIsRefused) {
  Stop();
  ASSERT_TRUE(ReplaceWholeFile(fs_, folder_, "restore.json", "{}").ok());
  const auto engine = Engine::Open(fs_, Clock::System(), Options());
  ASSERT_FALSE(engine.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(engine.status()));
  EXPECT_NE(Message(engine.status()).find("--resume"), std::string_view::npos) << engine.status();
}

TEST_F(EngineTest, WhileTheDiskIsLowGrowingWritesAreRefusedAndResumeByThemselves) {
  ASSERT_TRUE(Set("a", "1").ok());
  fs_.free_bytes = 1 << 20;
  WaitUntil([&] { return engine_->stats().disk_low; }, "disk low");
  EXPECT_TRUE(IsDiskFull(Set("b", "2")));
  EXPECT_EQ(Get("a"), "1");
  EXPECT_TRUE(engine_
                  ->Write(kv::Tier::kMemory, false,
                          [](kv::Txn& txn) -> absl::Status {
                            Keyspace keyspace(txn, DbIndex{0});
                            TM_ASSIGN_OR_RETURN(Key key, keyspace.Find("a"));
                            keyspace.Remove(&key);
                            return absl::OkStatus();
                          })
                  .ok());
  fs_.free_bytes = 1ull << 40;
  WaitUntil([&] { return !engine_->stats().disk_low; }, "disk has room");
  EXPECT_TRUE(Set("b", "2").ok());
}

TEST_F(EngineTest, OnlyOneEngineMayHaveAFolder) {
  const absl::Status second = Engine::Open(fs_, Clock::System(), Options()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
}

TEST_F(EngineTest, MissingLogSegmentsAreNamedNotSkipped) {
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Set("key" + std::to_string(i), "x").ok());
  Stop();
  std::filesystem::remove_all(folder_ + "/log");
  const absl::Status status = Engine::Open(fs_, Clock::System(), Options()).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

TEST_F(EngineTest, AMissingStoreIsRefusedOnceTheLogIsPurged) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Set("key" + std::to_string(i), std::string(600 << 10, 'x')).ok());
  Crash();
  std::filesystem::remove_all(folder_ + "/store");
  // The whole log is there: it has everything.
  Open();
  EXPECT_EQ(Get("key0").size(), 600u << 10);
  Stop();
  Open();
  engine_->log().SetRetention(0, std::chrono::milliseconds(60'000));
  ASSERT_TRUE(engine_->log().Purge().ok());
  ASSERT_GT(engine_->log().oldest(), format::kFirstLsn);
  Stop();
  std::filesystem::remove_all(folder_ + "/store");
  const absl::Status status = Engine::Open(fs_, Clock::System(), Options()).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.message().find("store is empty"), absl::string_view::npos) << status;
}

TEST_F(EngineTest, ARehearsalHasNoEffectAndSeesItsOwnChanges) {
  ASSERT_TRUE(Set("a", "1").ok());
  const absl::Status status = engine_->Rehearse([&](kv::Txn& txn) -> absl::Status {
    Keyspace keyspace(txn, DbIndex{0});
    TM_ASSIGN_OR_RETURN(Key a, keyspace.Find("a"));
    keyspace.PutString(&a, "2", 0);
    TM_ASSIGN_OR_RETURN(const Key again, keyspace.Find("a"));
    EXPECT_EQ(again.string, "2");
    uint64_t keys = 0;
    TM_RETURN_IF_ERROR(keyspace.VisitKeys(0, SIZE_MAX, [&](const Key& key, uint64_t) {
      EXPECT_EQ(key.string, "2");
      ++keys;
      return true;
    }));
    EXPECT_EQ(keys, 1u);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(Get("a"), "1");
}

TEST_F(EngineTest, ScansOfARehearsalSeeItsChangesHoweverManyPagesTheyTake) {
  std::map<std::string, std::string> model;
  const auto row_of = [](size_t n) { return fmt::format("\x06row{:05}", n); };
  ASSERT_TRUE(engine_
                  ->Write(kv::Tier::kDisk, true,
                          [&](kv::Txn& txn) {
                            for (size_t i = 0; i < 6000; i += 2) txn.Put(row_of(i), model[row_of(i)] = "stored");
                            return absl::OkStatus();
                          })
                  .ok());
  std::mt19937 random(3);
  const absl::Status status = engine_->Rehearse([&](kv::Txn& txn) -> absl::Status {
    txn.DeleteRange(row_of(1000), row_of(4000));
    model.erase(model.lower_bound(row_of(1000)), model.lower_bound(row_of(4000)));
    for (int i = 0; i < 600; ++i) {
      const std::string row = row_of(random() % 6000);
      if (random() % 2 == 0) {
        txn.Put(row, model[row] = "own");
      } else {
        txn.Delete(row);
        model.erase(row);
      }
    }
    for (int i = 0; i < 200; ++i) {
      const std::string begin = row_of(random() % 6000);
      const std::string end = row_of(random() % 6000);
      const size_t limit = random() % 4 == 0 ? SIZE_MAX : random() % 40;
      std::vector<std::string> expected;
      for (auto it = model.lower_bound(begin); it != model.end() && it->first < end; ++it) {
        expected.push_back(it->first + it->second);
      }
      const bool backward = random() % 2 == 0;
      if (backward) std::reverse(expected.begin(), expected.end());
      expected.resize(std::min(expected.size(), limit));
      std::vector<std::string> seen;
      const kv::Txn::Visitor visit = [&](std::string_view row, const kv::Value& value) {
        seen.push_back(fmt::format("{}{}", row, value.view()));
        return true;
      };
      TM_RETURN_IF_ERROR(backward ? txn.ScanBackward(begin, end, limit, visit) : txn.Scan(begin, end, limit, visit));
      EXPECT_EQ(seen, expected);
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

// A slow script must not hold up the threads that serve everybody else.
TEST_F(EngineTest, WhoOnlyTriesIsTurnedAwayBesideALongTransaction) {
  const auto nothing = [](kv::Txn&) { return absl::OkStatus(); };
  std::atomic<bool> go_on{false};
  std::thread slow([&] {
    const absl::Status status =
        engine_->RunLong(/*writes=*/true, kv::Tier::kDisk, /*growing=*/false, [&](kv::Txn& txn) {
          go_on.wait(false);
          Keyspace keyspace(txn, DbIndex{0});
          TM_ASSIGN_OR_RETURN(Key key, keyspace.Find("slow"));
          keyspace.PutString(&key, "done", 0);
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << status;
  });
  while (!IsStalled(engine_->TryWrite(kv::Tier::kDisk, false, nothing))) std::this_thread::yield();
  EXPECT_TRUE(engine_->running_long());
  EXPECT_TRUE(IsStalled(engine_->TryRead(kv::Tier::kDisk, nothing)));
  EXPECT_FALSE(engine_->store().TryDb(DbIndex{0}).has_value());
  go_on = true;
  go_on.notify_one();
  slow.join();
  EXPECT_FALSE(engine_->running_long());
  EXPECT_TRUE(engine_->TryWrite(kv::Tier::kDisk, false, nothing).ok());
  EXPECT_EQ(Get("slow"), "done");
}

}  // namespace
}  // namespace tidemark::engine
