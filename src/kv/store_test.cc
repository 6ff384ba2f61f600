#include "kv/store.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>

#include "kv/test_store.h"

namespace tidemark::kv {
namespace {

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    options_.folder = folder_ / "store";
    options_.databases = 2;
  }
  void Open() { store_ = MustOpen(options_); }
  void Crash() {
    store_.reset();
    Open();
  }
  void Persist() {
    const absl::Status status = store_->Persist(SyncNothing);
    ASSERT_TRUE(status.ok()) << status;
  }
  std::vector<std::string> SstFiles() {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(options_.folder)) {
      if (entry.path().extension() == ".sst") files.push_back(entry.path());
    }
    return files;
  }

  TestFolder folder_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, ANewStoreIsEmptyAtLsnZeroAndItsDatabasesHaveTheirOwnContents) {
  Open();
  EXPECT_EQ(store_->persisted(), Lsn{0});
  EXPECT_EQ(store_->db(DbIndex{1}).contents, (CollectionId{0, 1}));
  EXPECT_EQ(GetRow(*store_, "row"), "(none)");
  EXPECT_EQ(ScanRows(*store_), Rows{});
}

TEST_F(StoreTest, ACrashBringsBackExactlyTheCut) {
  Open();
  PutRow(*store_, "a", "1", 10);
  PutRow(*store_, "b", "1", 20);
  Persist();
  PutRow(*store_, "a", "2", 30);
  PutRow(*store_, "c", "2", 40);
  EXPECT_EQ(ScanRows(*store_), (Rows{{"a", "2"}, {"b", "1"}, {"c", "2"}}));
  Crash();
  EXPECT_EQ(store_->persisted(), Lsn{20});
  EXPECT_EQ(store_->applied(), Lsn{20});
  EXPECT_EQ(ScanRows(*store_), (Rows{{"a", "1"}, {"b", "1"}}));
}

TEST_F(StoreTest, RowsChangedWhileTheyArePersistedAreOnDiskAsOfTheCut) {
  Open();
  PutRow(*store_, "changed", "old", 10);
  PutRow(*store_, "deleted", "old", 20);
  PutRow(*store_, "swept:1", "old", 30);
  const auto status = store_->Persist([&](Lsn cut) {
    EXPECT_EQ(cut, Lsn{30});
    auto writer = store_->Write();
    writer.Put("changed", "new");
    writer.Delete("deleted");
    writer.DeleteRange("swept:", "swept;");
    writer.Put("created", "new");
    writer.SetApplied(Lsn{40});
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(ScanRows(*store_), (Rows{{"changed", "new"}, {"created", "new"}}));
  Crash();
  EXPECT_EQ(store_->persisted(), Lsn{30});
  EXPECT_EQ(ScanRows(*store_), (Rows{{"changed", "old"}, {"deleted", "old"}, {"swept:1", "old"}}));
}

TEST_F(StoreTest, NothingIsPersistedWhenTheLogCannotBeSynced) {
  Open();
  PutRow(*store_, "row", "1", 10);
  const auto fail = [](Lsn) { return absl::InternalError("disk on fire"); };
  EXPECT_EQ(Message(store_->Persist(fail)), "disk on fire");
  EXPECT_TRUE(SstFiles().empty());
  EXPECT_EQ(store_->persisted(), Lsn{0});
  EXPECT_TRUE(store_->WantsPersist());
  PutRow(*store_, "row", "2", 20);
  EXPECT_EQ(GetRow(*store_, "row"), "2");
  Persist();
  EXPECT_EQ(store_->persisted(), Lsn{20});
  EXPECT_FALSE(store_->WantsPersist());
  Crash();
  EXPECT_EQ(GetRow(*store_, "row"), "2");
}

TEST_F(StoreTest, AnLsnWithoutRowsIsPersistedToo) {
  Open();
  store_->Write().SetApplied(Lsn{77});
  Persist();
  Crash();
  EXPECT_EQ(store_->persisted(), Lsn{77});
}

TEST_F(StoreTest, DatabaseStatesSurviveAlsoThoseBeyondTheConfiguredNumber) {
  Open();
  {
    auto writer = store_->Write();
    writer.SetDb(DbIndex{1}, DbState{CollectionId{9, 3}, 5, 2});
    writer.SetApplied(Lsn{10});
  }
  Persist();
  options_.databases = 1;
  Crash();
  PutRow(*store_, "row", "1", 20);
  Persist();
  options_.databases = 4;
  Crash();
  EXPECT_EQ(store_->db(DbIndex{1}).contents, (CollectionId{9, 3}));
  EXPECT_EQ(store_->db(DbIndex{1}).keys, 5);
  EXPECT_EQ(store_->db(DbIndex{3}).contents, (CollectionId{0, 3}));
}

TEST_F(StoreTest, UndoRestoresRowsRangesAndDatabases) {
  Open();
  PutRow(*store_, "a", "1", 10);
  PutRow(*store_, "b", "1", 20);
  Persist();
  PutRow(*store_, "b", "2", 30);
  const Rows before = ScanRows(*store_);
  {
    auto writer = store_->Write();
    const size_t mark = writer.Mark();
    writer.Put("a", "x");
    writer.Delete("b");
    writer.Put("c", "x");
    writer.DeleteRange("a", "z");
    writer.Put("d", "x");
    writer.SetDb(DbIndex{0}, DbState{CollectionId{7, 7}, 7, 7});
    EXPECT_EQ(ScanRows(writer), (Rows{{"d", "x"}}));
    writer.UndoTo(mark);
    EXPECT_EQ(ScanRows(writer), before);
    EXPECT_EQ(writer.db(DbIndex{0}).keys, 0);
  }
  Persist();
  Crash();
  EXPECT_EQ(ScanRows(*store_), before);
}

TEST_F(StoreTest, ADeletedRangeHidesRowsOfDiskAndOfTheHotTable) {
  Open();
  PutRow(*store_, "h:1", "1", 10);
  PutRow(*store_, "h:2", "1", 20);
  PutRow(*store_, "i", "1", 30);
  Persist();
  EXPECT_EQ(GetRow(*store_, "h:1"), "1");
  {
    auto writer = store_->Write();
    writer.DeleteRange("h:", "h;");
    writer.SetApplied(Lsn{40});
  }
  for (int cuts = 0; cuts < 3; ++cuts) {
    EXPECT_EQ(GetRow(*store_, "h:1"), "(none)");
    EXPECT_EQ(GetRow(*store_, "h:2"), "(none)");
    EXPECT_EQ(ScanRows(*store_), (Rows{{"i", "1"}}));
    Persist();
  }
  Crash();
  EXPECT_EQ(ScanRows(*store_), (Rows{{"i", "1"}}));
}

TEST_F(StoreTest, AScanHoldsItsMomentWhileRowsChange) {
  Open();
  for (int i = 0; i < 100; ++i) PutRow(*store_, fmt::format("row:{:03}", i), "old", i + 1);
  Persist();
  for (int i = 0; i < 50; ++i) PutRow(*store_, fmt::format("row:{:03}", i * 2), "newer", 200 + i);
  size_t visited = 0;
  const auto status = store_->Scan("row:", "row;", kNoLimit, Tier::kDisk, [&](std::string_view, const Value& value) {
    EXPECT_EQ(value.view(), visited % 2 == 0 ? "newer" : "old");
    if (++visited == 10) {
      auto writer = store_->Write();
      writer.DeleteRange("row:", "row;");
      writer.SetApplied(Lsn{1000});
    }
    if (visited == 20) Persist();
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(visited, 100u);
  EXPECT_EQ(ScanRows(*store_), Rows{});
}

TEST_F(StoreTest, WhatMemoryDoesNotHoldIsReportedAsColdAndFetched) {
  Open();
  std::mt19937_64 random(1);
  {
    auto writer = store_->Write();
    for (int i = 0; i < 20'000; ++i) writer.Put(fmt::format("row:{:05}", i), fmt::format("{:0100}", random()));
    writer.SetApplied(Lsn{10});
  }
  Persist();
  Crash();
  EXPECT_TRUE(IsColdRow(store_->Get("row:15007", Tier::kMemory).status()));
  // A row that does not exist needs no disk: the filters are in memory.
  size_t cold = 0;
  for (int i = 0; i < 1000; ++i) cold += !store_->Get(fmt::format("none:{}", i), Tier::kMemory).ok();
  EXPECT_LT(cold, 50u);
  const auto ignore = [](std::string_view, const Value&) { return true; };
  EXPECT_TRUE(IsColdRow(store_->Scan("row:10000", "row:10010", kNoLimit, Tier::kMemory, ignore)));
  EXPECT_TRUE(IsColdRow(store_->Read().Scan("row:10000", "row:10010", kNoLimit, Tier::kMemory, ignore)));

  EXPECT_NE(GetRow(*store_, "row:15007"), "(none)");
  EXPECT_TRUE(store_->Get("row:15007", Tier::kMemory).ok());
  EXPECT_EQ(ScanRows(*store_, "row:10000", "row:10010").size(), 10u);
  EXPECT_TRUE(store_->Scan("row:10000", "row:10010", kNoLimit, Tier::kMemory, ignore).ok());
}

TEST_F(StoreTest, CleanRowsAreEvictedAndDirtyOnesNever) {
  options_.hot_bytes = 64 << 10;
  Open();
  const std::string value(1000, 'v');
  for (int i = 0; i < 1000; ++i) PutRow(*store_, fmt::format("row:{}", i), value, i + 1);
  EXPECT_EQ(store_->stats().hot_rows, 1000u);
  EXPECT_GT(store_->stats().dirty_bytes, 1'000'000u);
  Persist();
  EXPECT_LE(store_->stats().hot_bytes, options_.hot_bytes);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(GetRow(*store_, fmt::format("row:{}", i)), value);
  EXPECT_LE(store_->stats().hot_bytes, options_.hot_bytes + 10'000);
}

TEST_F(StoreTest, ARowReadBeforeItChangedDoesNotEnterTheHotTableAfterwards) {
  Open();
  PutRow(*store_, "changed", "old", 10);
  PutRow(*store_, "swept", "old", 20);
  Persist();
  Crash();
  // While the read is under way the row is changed, persisted and evicted again.
  store_->TEST_SetReadListener([this] {
    PutRow(*store_, "changed", "new", 30);
    store_->SetCacheSizes(0, 0);
    Persist();
    EXPECT_EQ(store_->stats().hot_rows, 0u);
    store_->SetCacheSizes(options_.hot_bytes, options_.block_cache_bytes);
  });
  EXPECT_EQ(GetRow(*store_, "changed"), "old");
  store_->TEST_SetReadListener([this] {
    auto writer = store_->Write();
    writer.DeleteRange("s", "t");
    writer.SetApplied(Lsn{40});
  });
  EXPECT_EQ(GetRow(*store_, "swept"), "old");
  store_->TEST_SetReadListener(nullptr);
  EXPECT_EQ(GetRow(*store_, "changed"), "new");
  EXPECT_EQ(GetRow(*store_, "swept"), "(none)");
  Persist();
  EXPECT_EQ(GetRow(*store_, "swept"), "(none)");
}

TEST_F(StoreTest, AsksToBePersistedAndThenToBeWaitedFor) {
  options_.dirty_bytes = 100'000;
  Open();
  const std::string value(1000, 'v');
  int rows = 0;
  for (; !store_->WantsPersist(); ++rows) PutRow(*store_, fmt::format("row:{}", rows), value, rows + 1);
  EXPECT_GT(rows, 80);
  EXPECT_FALSE(store_->MustWait());
  for (; !store_->MustWait(); ++rows) PutRow(*store_, fmt::format("row:{}", rows), value, rows + 1);
  EXPECT_LT(rows, 220);
  Persist();
  EXPECT_FALSE(store_->WantsPersist());
  EXPECT_FALSE(store_->MustWait());
}

TEST_F(StoreTest, ASnapshotCarriesItsLsnAndIsAStore) {
  Open();
  PutRow(*store_, "row", "1", 10);
  auto lsn = store_->Snapshot(folder_ / "snapshot", SyncNothing);
  ASSERT_TRUE(lsn.ok()) << lsn.status();
  EXPECT_EQ(*lsn, Lsn{10});
  PutRow(*store_, "row", "2", 20);
  Persist();
  StoreOptions options = options_;
  options.folder = folder_ / "snapshot";
  const auto snapshot = MustOpen(options);
  EXPECT_EQ(snapshot->persisted(), Lsn{10});
  EXPECT_EQ(GetRow(*snapshot, "row"), "1");
  EXPECT_FALSE(store_->Snapshot(folder_ / "snapshot", SyncNothing).ok());
}

TEST_F(StoreTest, AFileLeftBehindByACrashIsRemoved) {
  Open();
  store_.reset();
  std::ofstream(options_.folder + "/persist.tmp") << "half a cut";
  Open();
  EXPECT_FALSE(std::filesystem::exists(options_.folder + "/persist.tmp"));
}

TEST_F(StoreTest, ASecondProcessIsRefused) {
  Open();
  const auto second = Store::Open(options_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
}

TEST_F(StoreTest, APersistedViewStaysAtItsCutWhateverComesAfter) {
  Open();
  const auto nothing = store_->ViewPersisted(SyncNothing);
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  for (int i = 0; i < 100; ++i) PutRow(*store_, fmt::format("row:{:03}", i), "old", 10 + i);
  {
    auto writer = store_->Write();
    writer.SetDb(DbIndex{1}, DbState{.contents = {7, 1}, .keys = 5, .expires = 0});
    writer.SetApplied(Lsn{200});
  }
  const auto view = store_->ViewPersisted(SyncNothing);
  ASSERT_TRUE(view.ok()) << view.status();
  {
    auto writer = store_->Write();
    writer.Put("row:005", "new");
    writer.Put("row:500", "new");
    writer.DeleteRange("row:010", "row:090");
    writer.SetDb(DbIndex{1}, DbState{.contents = {8, 1}, .keys = 6, .expires = 0});
    writer.SetApplied(Lsn{300});
  }
  Persist();
  for (int cut = 0; cut < 6; ++cut) {  // RocksDB merges level 0 meanwhile
    PutRow(*store_, fmt::format("row:{:03}", cut), "newer", 400 + cut);
    Persist();
  }
  EXPECT_EQ((*nothing)->lsn(), Lsn{0});
  EXPECT_FALSE([&] {
    auto rows = (*nothing)->Rows(kAfterRows);
    rows.Seek(kFirstRow);
    return rows.Valid();
  }());
  EXPECT_EQ((*view)->lsn(), Lsn{200});
  ASSERT_EQ((*view)->dbs().size(), 2u);
  EXPECT_EQ((*view)->dbs()[1].second.contents, (CollectionId{7, 1}));
  EXPECT_EQ((*view)->dbs()[1].second.keys, 5);
  auto rows = (*view)->Rows(kAfterRows);
  int count = 0;
  for (rows.Seek(kFirstRow); rows.Valid(); rows.Next()) {
    EXPECT_EQ(rows.row(), fmt::format("row:{:03}", count++));
    EXPECT_EQ(rows.value(), "old");
  }
  EXPECT_TRUE(rows.status().ok()) << rows.status();
  EXPECT_EQ(count, 100);
}

class DamageTest : public StoreTest {
 protected:
  void SetUp() override {
    Open();
    std::mt19937_64 random(1);
    {
      auto writer = store_->Write();
      for (int i = 0; i < 5'000; ++i) writer.Put(fmt::format("row:{:05}", i), fmt::format("{:0100}", random()));
      writer.SetApplied(Lsn{10});
    }
    Persist();
    store_.reset();
    ASSERT_EQ(SstFiles().size(), 1u);
    file_ = SstFiles().front();
  }
  void Overwrite(uint64_t from, uint64_t to) {
    std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(from));
    file << std::string(to - from, '\x5a');
  }
  void ExpectNamesFile(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    const std::string name = std::filesystem::path(file_).filename();
    EXPECT_NE(Message(status).find(name), std::string_view::npos) << status;
  }

  std::string file_;
};

TEST_F(DamageTest, InTheRowsIsFoundWhenTheyAreRead) {
  // The first block holds the store's own rows too.
  Overwrite(20'000, 400'000);
  Open();
  ExpectNamesFile(store_->Get("row:02000", Tier::kDisk).status());
  ExpectNamesFile(store_->Scan("row:02000", "row:02010", kNoLimit, Tier::kDisk,
                               [](std::string_view, const Value&) { return true; }));
}

TEST_F(DamageTest, InTheIndexIsFoundAtTheStart) {
  const uint64_t size = std::filesystem::file_size(file_);
  Overwrite(size - 2000, size);
  ExpectNamesFile(Store::Open(options_).status());
}

TEST_F(DamageTest, ACutOffFileIsFoundAtTheStart) {
  std::filesystem::resize_file(file_, std::filesystem::file_size(file_) / 2);
  ExpectNamesFile(Store::Open(options_).status());
}

TEST_F(DamageTest, AMissingFileIsFoundAtTheStart) {
  std::filesystem::remove(file_);
  ExpectNamesFile(Store::Open(options_).status());
}

}  // namespace
}  // namespace tidemark::kv
