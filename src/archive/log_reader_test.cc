#include "archive/log_reader.h"

#include <gtest/gtest.h>

#include <atomic>

#include "archive/archive_testing.h"
#include "objstore/memory_store.h"

namespace tidemark::archive {
namespace {

using Operation = objstore::MemoryStore::Operation;

class LogReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    PutIdentity(*store_.bucket());
    PutTimeline(*store_.bucket(), Timeline{1}, Timeline{0}, Lsn{0}, Timestamp{0});
  }
  // An object of `records` records, sizes of all kinds.
  std::string Put(TestLog* log, int records, const CodecOptions& options = {}) {
    LogObjectWriter writer(options, TestOrigin(log->timeline()), log->end(), log->crc());
    for (int i = 0; i < records; ++i) {
      ends_.push_back(log->end());
      const std::string raw = log->Next(std::string(payload_sizes_[count_++ % payload_sizes_.size()], 'p'));
      TM_CHECK(writer.Add(raw).ok());
      plain_ += raw;
    }
    return PutObject(*store_.bucket(), *writer.Finish(log->timestamp()));
  }
  std::unique_ptr<LogReader> Open(Lsn from = format::kFirstLsn, std::optional<uint32_t> previous_crc = 0) {
    const auto catalog = Catalog::Load(store_, false);
    TM_CHECK(catalog.ok());
    return LogReader::Open(store_, catalog->FollowHistory(Timeline{1}, from, std::nullopt), from, previous_crc,
                           options_);
  }
  // Reads to the end or an error; the raw records go to *raw.
  static absl::Status ReadAll(LogReader& reader, std::string* raw) {
    for (;;) {
      const auto record = reader.Next();
      if (absl::IsOutOfRange(record.status())) return absl::OkStatus();
      if (!record.ok()) return record.status();
      EXPECT_EQ(record->raw.substr(format::kRecordHeaderSize), record->payload);
      EXPECT_EQ(record->end - record->lsn, record->raw.size());
      raw->append(record->raw);
    }
  }
  absl::Status ReadAll() {
    std::string raw;
    return ReadAll(*Open(), &raw);
  }

  objstore::MemoryStore store_;
  LogReaderOptions options_;
  std::vector<size_t> payload_sizes_{10, 100, 0, 5000, 1};
  size_t count_ = 0;
  std::string plain_;      // all records
  std::vector<Lsn> ends_;  // LSN of each
};

TEST_F(LogReaderTest, HandsOutEveryRecordInOrder) {
  TestLog log;
  for (int i = 0; i < 50; ++i) Put(&log, i % 4);
  std::atomic<uint64_t> plain{0};
  options_.on_bytes = [&](uint64_t, uint64_t bytes) { plain += bytes; };
  const auto reader = Open();
  std::string raw;
  ASSERT_TRUE(ReadAll(*reader, &raw).ok());
  EXPECT_TRUE(raw == plain_);
  EXPECT_EQ(plain.load(), plain_.size());
  EXPECT_EQ(reader->last_crc(), log.crc());
  EXPECT_TRUE(absl::IsOutOfRange(reader->Next().status()));
}

TEST_F(LogReaderTest, RecordsLargerThanBlocksAndChunksComeWhole) {
  payload_sizes_ = {100, 3'000'000, 7, 9'000'000, 0, 1'048'500, 1'048'576};
  TestLog log;
  Put(&log, 7, {0, TestRing(kTestKey)});
  Put(&log, 7);
  Put(&log, 1);
  options_.keys = TestRing(kTestKey);
  for (const uint64_t memory : {0ull, 256ull << 20}) {
    options_.memory = memory;
    std::string raw;
    ASSERT_TRUE(ReadAll(*Open(), &raw).ok());
    EXPECT_TRUE(raw == plain_);
  }
}

TEST_F(LogReaderTest, StartsAtAnyRecord) {
  TestLog log;
  for (int i = 0; i < 4; ++i) Put(&log, 5);
  for (const Lsn from : ends_) {
    std::string raw;
    ASSERT_TRUE(ReadAll(*Open(from, std::nullopt), &raw).ok());
    EXPECT_TRUE(raw == plain_.substr(from - format::kFirstLsn)) << from.value;
  }
  std::string raw;
  EXPECT_TRUE(ReadAll(*Open(log.end(), log.crc()), &raw).ok());
  EXPECT_TRUE(raw.empty());
  const absl::Status status = ReadAll(*Open(ends_[7] + 1, std::nullopt), &raw);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

TEST_F(LogReaderTest, OverlappingObjectsAreReadOnce) {
  TestLog log;
  Put(&log, 4);
  Put(&log, 4);
  // A retry that sealed at other places: the last of the first object and half of the second.
  LogObjectWriter writer({}, TestOrigin(), ends_[3], 0);
  for (int i = 3; i < 6; ++i) {
    const size_t at = ends_[i] - format::kFirstLsn;
    ASSERT_TRUE(writer.Add(std::string_view(plain_).substr(at, ends_[i + 1] - ends_[i])).ok());
  }
  PutObject(*store_.bucket(), *writer.Finish(log.timestamp()));
  std::string raw;
  ASSERT_TRUE(ReadAll(*Open(), &raw).ok());
  EXPECT_TRUE(raw == plain_);
}

TEST_F(LogReaderTest, GoesOverAForkInsideAnObject) {
  TestLog log;
  Put(&log, 3);
  const size_t kept = plain_.size();
  TestLog abandoned = log;
  TestLog fork(Timeline{2}, log.end(), log.crc(), log.timestamp().micros);
  const auto tail = TestObject(&abandoned, {"lost", "too"});
  // One object that holds both what was kept and what was not.
  const std::string first = LogObjectKey(Catalog::Load(store_, false)->log.at(Timeline{1})[0].name);
  const auto merged = MergeLogObjects({*store_.Get(first), tail.bytes}, *KeyRing::Empty());
  ASSERT_TRUE(merged.ok());
  store_.bucket()->Erase(first);
  PutObject(*store_.bucket(), *merged);
  PutTimeline(*store_.bucket(), Timeline{2}, Timeline{1}, log.end(), log.timestamp());
  Put(&fork, 3);
  std::string raw;
  ASSERT_TRUE(ReadAll(*Open(), &raw).ok());
  EXPECT_TRUE(raw == plain_);
  EXPECT_GT(raw.size(), kept);
}

TEST_F(LogReaderTest, WhatDoesNotFollowIsNamedAcrossObjects) {
  TestLog log;
  Put(&log, 3);
  TestLog other(Timeline{1}, log.end(), 0x12345678, log.timestamp().micros);
  const std::string key = Put(&other, 3);
  const absl::Status status = ReadAll();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(Message(status).find(key), std::string_view::npos) << status;
}

TEST_F(LogReaderTest, TheFirstRecordFollowsTheBase) {
  TestLog log;
  Put(&log, 6);
  std::string raw;
  EXPECT_EQ(ReadAll(*Open(ends_[3], 0x12345678), &raw).code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(raw.empty());
}

TEST_F(LogReaderTest, ADamagedObjectIsNamedAndNothingWrongComesOut) {
  payload_sizes_ = {10};
  TestLog log;
  Put(&log, 2);
  const size_t before = plain_.size();
  const std::string key = Put(&log, 2);
  Put(&log, 2);
  const std::string good = *store_.Get(key);
  for (size_t byte = 0; byte < good.size(); ++byte) {
    std::string bad = good;
    bad[byte] = static_cast<char>(bad[byte] ^ 4);
    store_.bucket()->Set(key, bad);
    std::string raw;
    const absl::Status status = ReadAll(*Open(), &raw);
    EXPECT_FALSE(status.ok()) << byte;
    EXPECT_NE(Message(status).find(key), std::string_view::npos) << status;
    EXPECT_TRUE(raw == plain_.substr(0, before)) << byte;
  }
}

TEST_F(LogReaderTest, AnObjectUnderAnothersNameOrOfAnotherClusterIsNamed) {
  TestLog log;
  const std::string a = Put(&log, 2);
  const std::string b = Put(&log, 2);
  const std::string good = *store_.Get(b);
  store_.bucket()->Set(b, *store_.Get(a));
  EXPECT_EQ(ReadAll().code(), absl::StatusCode::kDataLoss);
  store_.bucket()->Set(b, good);
  EXPECT_TRUE(ReadAll().ok());
  options_.cluster_id = TestId(0x99);
  EXPECT_EQ(ReadAll().code(), absl::StatusCode::kDataLoss);
}

TEST_F(LogReaderTest, AMissingKeyIsToldFromDamage) {
  TestLog log;
  Put(&log, 2, {1, TestRing(kTestKey)});
  EXPECT_EQ(ReadAll().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(LogReaderTest, AnObjectThatWasMergedAwayIsFoundInTheMergedOne) {
  TestLog log;
  std::vector<std::string> keys;
  for (int i = 0; i < 12; ++i) keys.push_back(Put(&log, 3));
  // When the sixth is asked for, four have become one, and the small ones are gone.
  std::atomic<bool> merged{false};
  store_.SetHook([&](Operation operation, std::string_view key) {
    if (operation != Operation::kGet || key != keys[5] || merged.exchange(true)) return absl::OkStatus();
    std::vector<std::string> run;
    const auto objects = store_.bucket()->objects();
    for (int i = 4; i < 8; ++i) run.push_back(*objects.at(keys[i]).bytes);
    PutObject(*store_.bucket(), *MergeLogObjects(run, *KeyRing::Empty()));
    for (int i = 4; i < 8; ++i) store_.bucket()->Erase(keys[i]);
    return absl::OkStatus();
  });
  options_.jobs = 1;
  std::string raw;
  ASSERT_TRUE(ReadAll(*Open(), &raw).ok());
  EXPECT_TRUE(raw == plain_);
  EXPECT_TRUE(merged.load());
}

TEST_F(LogReaderTest, AnObjectThatIsGoneIsNamed) {
  TestLog log;
  Put(&log, 3);
  const std::string key = Put(&log, 3);
  Put(&log, 3);
  const auto stretches = Catalog::Load(store_, false)->FollowHistory(Timeline{1}, format::kFirstLsn, std::nullopt);
  store_.bucket()->Erase(key);
  auto reader = LogReader::Open(store_, stretches, format::kFirstLsn, 0, options_);
  std::string raw;
  const absl::Status status = ReadAll(*reader, &raw);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(Message(status).find(key), std::string_view::npos) << status;
  EXPECT_EQ(reader->Next().status(), status);  // and stays so
}

// A store that lists what it then does not have.
TEST_F(LogReaderTest, AListingThatIsWrongForEverEnds) {
  TestLog log;
  const std::string key = Put(&log, 3);
  store_.SetHook([&](Operation operation, std::string_view asked) {
    return operation == Operation::kGet && asked == key ? Errorf(absl::StatusCode::kNotFound, "no such object")
                                                        : absl::OkStatus();
  });
  EXPECT_EQ(ReadAll().code(), absl::StatusCode::kNotFound);
}

TEST_F(LogReaderTest, AnOutageIsPassedOn) {
  TestLog log;
  Put(&log, 3);
  const auto stretches = Catalog::Load(store_, false)->FollowHistory(Timeline{1}, format::kFirstLsn, std::nullopt);
  store_.SetOutage(Errorf(absl::StatusCode::kUnavailable, "connection reset"));
  EXPECT_TRUE(absl::IsUnavailable(LogReader::Open(store_, stretches, format::kFirstLsn, 0, options_)->Next().status()));
}

TEST_F(LogReaderTest, CanBeLeftAtAnyTime) {
  payload_sizes_ = {400'000};
  TestLog log;
  for (int i = 0; i < 10; ++i) Put(&log, 5);
  options_.memory = 8 << 20;
  const auto untouched = Open();
  const auto begun = Open();
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(begun->Next().ok());
}

// What is held ahead of the reader stays within its budget, however slowly it reads and however far zstd reaches.
TEST_F(LogReaderTest, MemoryIsBounded) {
  payload_sizes_ = {1'000'000};
  TestLog log;
  for (int i = 0; i < 8; ++i) Put(&log, 20);  // 20 MB each, a few kB stored
  options_.memory = 24ull << 20;
  std::atomic<int64_t> ahead{0};
  std::atomic<int64_t> most{0};
  options_.on_bytes = [&](uint64_t, uint64_t plain) {
    const int64_t now = ahead += static_cast<int64_t>(plain);
    for (int64_t seen = most; now > seen && !most.compare_exchange_weak(seen, now);) continue;
  };
  const auto reader = Open();
  std::string raw;
  for (;;) {
    const auto record = reader->Next();
    if (!record.ok()) break;
    ahead -= static_cast<int64_t>(record->raw.size());
    raw.append(record->raw);
  }
  EXPECT_TRUE(raw == plain_);
  // The budget, and what the reader has in hand.
  EXPECT_LE(most.load(), (24 + 2 * 5) << 20);
}

}  // namespace
}  // namespace tidemark::archive
