#include "backup/uploader.h"

#include <atomic>

#include "backup/archive_claim.h"
#include "backup/backup_testing.h"

namespace tidemark::backup {
namespace {

class UploaderTest : public BackupTest {
 protected:
  // No task holds the log here, and the purge keeps nothing that nobody holds.
  UploaderTest() {
    log::Lease lease;
    lease.name = "test";
    lease.position = format::kFirstLsn;
    EXPECT_TRUE(engine_->log().TakeLease(lease).ok());
  }
  Uploader Make(objstore::ObjectStore& store, uint64_t object_bytes) {
    return Uploader(engine_->log(), store,
                    {.codec = {}, .origin = {.timeline = Timeline{1}}, .object_bytes = object_bytes, .parallel = 2});
  }
  Lsn SyncedEnd() {
    const Lsn end = engine_->last_end();
    EXPECT_TRUE(engine_->log().SyncTo(end).ok());
    return end;
  }
};

TEST_F(UploaderTest, ABacklogOfAnySizeNeedsTheMemoryOfAFewObjects) {
  constexpr uint64_t kObject = 64 << 10;
  SetMany(2000, 4 << 10);
  const Lsn end = SyncedEnd();
  objstore::MemoryStore store(place().bucket);
  Uploader uploader = Make(store, kObject);
  uint64_t prefixes = 0;
  Lsn last;
  const absl::Status status = uploader.Upload({.from = format::kFirstLsn, .cut = end}, [&](const Shipped& shipped) {
    EXPECT_GT(shipped.lsn, last);
    last = shipped.lsn;
    ++prefixes;
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(last, end);
  EXPECT_GT(prefixes, 100u);
  EXPECT_LE(uploader.peak_bytes(), 2 * 3 * kObject);
}

// Two objects are on their way at once; only the order of the log counts.
TEST_F(UploaderTest, WhatIsAheadOfAHoleDoesNotCount) {
  SetMany(200, 4 << 10);
  const Lsn end = SyncedEnd();
  objstore::MemoryStore store(place().bucket);
  std::atomic<int> puts{0};
  store.SetHook([&](objstore::MemoryStore::Operation operation, std::string_view key) {
    const auto name = format::ParseLogObjectKey(key);
    if (operation != objstore::MemoryStore::Operation::kPut || !name) return absl::OkStatus();
    ++puts;
    return name->first == format::kFirstLsn ? absl::UnavailableError("reset") : absl::OkStatus();
  });
  Uploader uploader = Make(store, 64 << 10);
  bool told = false;
  const absl::Status status = uploader.Upload({.from = format::kFirstLsn, .cut = end}, [&](const Shipped&) {
    told = true;
    return absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_FALSE(told);
  EXPECT_GE(puts, 2);
}

TEST_F(UploaderTest, WhatWasPutBeyondAHoleBeforeAKillIsNoTwins) {
  SetMany(200, 4 << 10);
  const Lsn end = SyncedEnd();
  objstore::MemoryStore store(place().bucket);
  store.SetHook([](objstore::MemoryStore::Operation operation, std::string_view key) {
    const auto name = format::ParseLogObjectKey(key);
    const bool hole = operation == objstore::MemoryStore::Operation::kPut && name && name->first == format::kFirstLsn;
    return hole ? absl::UnavailableError("reset") : absl::OkStatus();
  });
  const auto ignore = [](const Shipped&) { return absl::OkStatus(); };
  const UploadRange range{.from = format::kFirstLsn, .cut = end};
  ASSERT_FALSE(Make(store, 64 << 10).Upload(range, ignore).ok());
  ASSERT_GT(place().bucket->size(), 0u);
  store.SetHook(nullptr);
  Uploader again = Make(store, 100 << 10);
  const absl::Status status = again.Upload(range, [&](const Shipped&) { return again.CheckAlone(range.from); });
  EXPECT_TRUE(status.ok()) << status;
}

// One that wrote at the same time as we did, and looked before we had put anything.
TEST_F(UploaderTest, ATwinsObjectIsFoundAlthoughItBeginsBeforeWhatIsConfirmed) {
  Set("a", "1");
  const Lsn end = SyncedEnd();
  objstore::MemoryStore store(place().bucket);
  Uploader uploader = Make(store, 64 << 10);
  const UploadRange range{.from = format::kFirstLsn, .cut = end};
  ASSERT_TRUE(uploader.Upload(range, [](const Shipped&) { return absl::OkStatus(); }).ok());
  EXPECT_TRUE(uploader.CheckAlone(range.from).ok());
  archive::TestLog twin;
  archive::LogObjectWriter writer({}, {.timeline = Timeline{1}}, range.from, 0);
  ASSERT_TRUE(writer.Add(twin.NextPut("key", std::string(end - range.from, 'x'))).ok());
  const auto object = writer.Finish(twin.timestamp());
  ASSERT_TRUE(object.ok()) << object.status();
  ASSERT_GT(object->name.end, end);
  place().bucket->Set(format::LogObjectKey(object->name), object->bytes);
  const absl::Status status = uploader.CheckAlone(end);
  EXPECT_TRUE(IsFenced(status)) << status;
}

TEST_F(UploaderTest, ALogThatDoesNotFollowWhatTheArchiveEndsWithIsRefused) {
  Set("a", "1");
  const Lsn end = SyncedEnd();
  objstore::MemoryStore store(place().bucket);
  Uploader uploader = Make(store, 64 << 10);
  const absl::Status status = uploader.Upload({.from = format::kFirstLsn, .cut = end, .previous_crc = 0xdeadbeef},
                                              [](const Shipped&) { return absl::OkStatus(); });
  EXPECT_TRUE(IsFenced(status)) << status;
  EXPECT_EQ(place().bucket->size(), 0u);
}

}  // namespace
}  // namespace tidemark::backup
