#include "archive/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive/archive_testing.h"
#include "archive/base.h"
#include "objstore/memory_store.h"

namespace tidemark::archive {
namespace {

using Kind = Finding::Kind;
using Operation = objstore::MemoryStore::Operation;
using testing::HasSubstr;

class VerifyTest : public testing::Test {
 protected:
  void SetUp() override {
    PutIdentity(bucket());
    PutTimeline(bucket(), Timeline{1}, Timeline{0}, Lsn{0}, Timestamp{0});
  }
  objstore::MemoryBucket& bucket() { return *store_.bucket(); }
  std::string Put(TestLog* log, const std::vector<std::string>& payloads, const CodecOptions& options = {}) {
    return PutObject(bucket(), TestObject(log, payloads, options));
  }
  // A base with one file; returns the file's key.
  std::string PutBase(const TestLog& log, const std::string& content, const KeyRing& keys = *KeyRing::Empty()) {
    ContentHash hash;
    hash.Update(content);
    format::ObjectHeader header;
    header.is_file = true;
    header.cluster_id = TestOrigin().cluster_id;
    header.plain_bytes = content.size();
    header.plain_hash = hash.Digest();
    header.blocks = 1;
    header.stored_bytes = content.size() + format::kBlockHeaderSize;
    if (!keys.empty()) {
      header.flags = format::kAes256Gcm;
      header.key_id = keys.current().id;
    }
    std::string object = EncodeObjectHeader(header);
    TM_CHECK(BlockSealer(0, keys.first(), header).Seal(0, content, &object).ok());
    Manifest manifest;
    manifest.name = {log.timeline(), log.end(), log.timestamp()};
    manifest.cluster_id = TestOrigin().cluster_id;
    manifest.timeline_id = TestOrigin(log.timeline()).timeline_id;
    manifest.database_id = "db";
    manifest.files.push_back({"000012.sst", {header.plain_hash, content.size()}, 1, 2});
    bucket().Set(BaseKey(manifest.name), EncodeManifest(manifest));
    std::string key = FileKey(manifest.files[0].content);
    bucket().Set(key, object);
    return key;
  }
  VerifyReport Run(bool quick = false) {
    options_.quick = quick;
    auto report = Verify(store_, options_);
    TM_CHECK(report.ok(), "{}", Message(report.status()));
    return std::move(*report);
  }
  // Exactly one finding, of this kind, that names what it is about.
  static void ExpectOne(const VerifyReport& report, Kind kind, bool fatal, std::string_view named) {
    std::string all;
    for (const Finding& finding : report.findings) {
      all += fmt::format("{}{}: {}\n", finding.fatal ? "fatal " : "", KindName(finding.kind), finding.what);
    }
    ASSERT_EQ(report.findings.size(), 1u) << all;
    EXPECT_EQ(report.findings[0].kind, kind) << all;
    EXPECT_EQ(report.findings[0].fatal, fatal) << all;
    EXPECT_THAT(report.findings[0].what, HasSubstr(std::string(named)));
    EXPECT_EQ(report.ok(), !fatal);
  }

  objstore::MemoryStore store_;
  VerifyOptions options_;
};

TEST_F(VerifyTest, AWholeArchiveHasNoFindings) {
  TestLog log;
  Put(&log, {"a", "b"});
  PutBase(log, "content of a table");
  const std::string c = Put(&log, {"c"});
  const std::string d = Put(&log, {"d"});
  PutObject(bucket(), *MergeLogObjects({*store_.Get(c), *store_.Get(d)}, *KeyRing::Empty()));
  LogObjectWriter idle({}, TestOrigin(), log.end(), log.crc());
  PutObject(bucket(), *idle.Finish(Timestamp{log.timestamp().micros + 10}));
  uint64_t done = 0;
  uint64_t total = 0;
  options_.on_progress = [&](uint64_t now, uint64_t all) { done = now, total = all; };
  for (const bool quick : {false, true}) {
    const VerifyReport report = Run(quick);
    for (const Finding& finding : report.findings) ADD_FAILURE() << finding.what;
    EXPECT_TRUE(report.ok());
    EXPECT_EQ(report.records, 6u);  // two of them twice, in the merged object
    ASSERT_EQ(report.windows.size(), 1u);
    EXPECT_EQ(report.windows[0].to.micros, log.timestamp().micros + 10);
    EXPECT_EQ(done, total);
    EXPECT_GT(total, 0u);
  }
}

TEST_F(VerifyTest, DamageAnywhereIsNamed) {
  const auto keys = TestRing(kTestKey);
  options_.keys = keys;
  TestLog log;
  Put(&log, {"a", "b"}, {1, keys});
  const std::string middle = Put(&log, {"c"}, {1, keys});
  Put(&log, {"d"}, {1, keys});
  const std::string file = PutBase(log, "content of a table", *keys);
  ASSERT_TRUE(Run().ok());
  for (const std::string& key : {middle, file, std::string("archive.json"), std::string("timelines/00000001.json"),
                                 format::BaseKey({Timeline{1}, log.end(), log.timestamp()})}) {
    const std::string good = *store_.Get(key);
    for (size_t byte = 0; byte < good.size(); byte += 3) {
      ASSERT_TRUE(bucket().FlipBit(key, byte));
      const VerifyReport report = Run();
      ASSERT_FALSE(report.ok()) << key << " byte " << byte;
      EXPECT_EQ(report.findings[0].kind, Kind::kDamaged) << report.findings[0].what;
      EXPECT_THAT(report.findings[0].what, HasSubstr(key));
      bucket().Set(key, good);
    }
    bucket().Set(key, good.substr(0, good.size() - 1));
    EXPECT_FALSE(Run().ok()) << key;
    EXPECT_FALSE(Run(true).ok()) << key;  // a length is seen without reading
    bucket().Set(key, "");
    EXPECT_FALSE(Run(true).ok()) << key;
    bucket().Set(key, good);
  }
}

TEST_F(VerifyTest, WhatCanBeRestoredBeforeAndAfterDamageIsSaid) {
  TestLog log;
  Put(&log, {"a", "b"});
  const Lsn damage_from = log.end();
  const Timestamp before_damage = log.timestamp();
  const std::string damaged = Put(&log, {"c"});
  Put(&log, {"d"});
  const Lsn base_lsn = log.end();
  const Timestamp base_time = log.timestamp();
  const std::string file = PutBase(log, "content of a table");
  Put(&log, {"e"});
  ASSERT_TRUE(bucket().FlipBit(damaged, format::kObjectHeaderSize + 40));
  VerifyReport report = Run();
  ASSERT_EQ(report.windows.size(), 2u);
  EXPECT_EQ(report.windows[0].to_lsn, damage_from);
  EXPECT_EQ(report.windows[0].to, before_damage);
  EXPECT_EQ(report.windows[1].from_lsn, base_lsn);
  EXPECT_EQ(report.windows[1].from, base_time);
  EXPECT_EQ(report.windows[1].to_lsn, log.end());
  bucket().Erase(file);  // takes the base with it
  report = Run();
  ASSERT_EQ(report.windows.size(), 1u);
  EXPECT_EQ(report.windows[0].to_lsn, damage_from);
}

TEST_F(VerifyTest, AMergedObjectThatIsDamagedHidesNotThoseItWasMadeOf) {
  TestLog log;
  const std::string a = Put(&log, {"a"});
  const std::string b = Put(&log, {"b"});
  const std::string merged = PutObject(bucket(), *MergeLogObjects({*store_.Get(a), *store_.Get(b)}, *KeyRing::Empty()));
  ASSERT_TRUE(bucket().FlipBit(merged, format::kObjectHeaderSize + 40));
  const VerifyReport report = Run();
  EXPECT_FALSE(report.ok());
  ASSERT_EQ(report.windows.size(), 1u);
  EXPECT_EQ(report.windows[0].to_lsn, log.end());
}

TEST_F(VerifyTest, AGapIsNamedWithItsRangeAndABaseDoesNotHideIt) {
  TestLog log;
  Put(&log, {"a"});
  const Lsn from = log.end();
  log.Next("lost");
  const Lsn to = log.end();
  PutBase(log, "x");
  Put(&log, {"b"});
  for (const bool quick : {false, true}) {
    const VerifyReport report = Run(quick);
    ExpectOne(report, Kind::kGap, true, fmt::format("LSN {} to {}", from.value, to.value));
    EXPECT_EQ(report.findings[0].from, from);
    EXPECT_EQ(report.findings[0].to, to);
    EXPECT_EQ(report.windows.size(), 2u);
  }
}

TEST_F(VerifyTest, AGapBelowEveryBaseIsWorthALineOnly) {
  TestLog log;
  log.Next("before the task began");
  Put(&log, {"a"});
  log.Next("lost");
  Put(&log, {"b"});
  PutBase(log, "x");
  Put(&log, {"c"});
  ExpectOne(Run(), Kind::kGap, false, "no base leads there");
}

TEST_F(VerifyTest, WhenNothingCanBeRestoredItSaysSo) {
  TestLog log;
  log.Next("before the task began");
  Put(&log, {"a"});
  ExpectOne(Run(), Kind::kGap, true, "nothing can be restored");
}

TEST_F(VerifyTest, AMissingFileOfABaseIsNamed) {
  TestLog log;
  Put(&log, {"a"});
  const std::string file = PutBase(log, "content");
  bucket().Erase(file);
  for (const bool quick : {false, true}) ExpectOne(Run(quick), Kind::kMissing, true, file);
}

TEST_F(VerifyTest, TheIdentityAndTheHistoriesAreMissed) {
  TestLog log;
  Put(&log, {"a"});
  const std::string identity = *store_.Get("archive.json");
  bucket().Erase("archive.json");
  ExpectOne(Run(), Kind::kMissing, true, "archive.json");
  bucket().Set("archive.json", identity);
  bucket().Erase("timelines/00000001.json");
  ExpectOne(Run(), Kind::kMissing, true, "timelines/00000001.json");
}

TEST_F(VerifyTest, StrangersAreToldFromIntruders) {
  TestLog log;
  Put(&log, {"a"});
  bucket().Set("lost+found/README", "hello");
  ExpectOne(Run(), Kind::kForeign, false, "lost+found/README");
  bucket().Erase("lost+found/README");
  LogObjectWriter writer({}, {TestId(0x66), Timeline{1}, TestOrigin().timeline_id}, log.end(), log.crc());
  ASSERT_TRUE(writer.Add(log.Next("from another cluster")).ok());
  const std::string key = PutObject(bucket(), *writer.Finish(log.timestamp()));
  for (const bool quick : {false, true}) ExpectOne(Run(quick), Kind::kForeign, true, key);
}

// Two masters after a failover that was none: the same timeline, the same range, other bytes.
TEST_F(VerifyTest, TwoWritersOfTheSameRangeAreAConflict) {
  TestLog log;
  Put(&log, {"shared"});
  TestLog other = log;
  Put(&log, {"mine"});
  other.Next("ours");
  other = TestLog(Timeline{1}, log.end(), log.crc(), log.timestamp().micros);
  TestLog rival(Timeline{1}, format::kFirstLsn, 0);
  rival.Next("shared");
  const auto object = TestObject(&rival, {"ours"});
  // The same range, at another time: another name.
  LogObjectWriter later({}, TestOrigin(), object.name.first, 0);
  format::RecordHeader header;
  std::string raw(format::kRecordHeaderSize, '\0');
  header.lsn = object.name.first;
  header.timestamp = Timestamp{log.timestamp().micros + 7};
  header.timeline = Timeline{1};
  header.previous_crc = object.header.previous_crc;
  format::EncodeRecordHeader(header, "ours", raw.data());
  ASSERT_TRUE(later.Add(raw + "ours").ok());
  const std::string key = PutObject(bucket(), *later.Finish(header.timestamp));
  for (const bool quick : {false, true}) ExpectOne(Run(quick), Kind::kConflict, true, "two have written here");
}

TEST_F(VerifyTest, AnOverlapIsComparedByteByByte) {
  TestLog log;
  TestLog rival = log;
  Put(&log, {"first", "second", "third"});
  const LogObjectWriter::Object same = TestObject(&rival, {"first", "second"});
  PutObject(bucket(), same);
  EXPECT_TRUE(Run().ok());
  TestLog other(Timeline{1}, same.name.end, same.header.last_crc, rival.timestamp().micros + 5);
  PutObject(bucket(), TestObject(&other, {"THIRD", "fourth"}));
  ExpectOne(Run(), Kind::kConflict, true, "two have written here");
  EXPECT_TRUE(Run(true).ok());  // heads alone do not show it
}

TEST_F(VerifyTest, WhoDoesNotContinueWhatIsBeforeHimIsAConflict) {
  TestLog log;
  Put(&log, {"a"});
  TestLog other(Timeline{1}, log.end(), 0x12345678, log.timestamp().micros);
  const std::string key = Put(&other, {"b"});
  for (const bool quick : {false, true}) ExpectOne(Run(quick), Kind::kConflict, true, key);
}

TEST_F(VerifyTest, ATimeThatWasDeclaredClosedStaysClosed) {
  TestLog log;
  Put(&log, {"a"});
  LogObjectWriter idle({}, TestOrigin(), log.end(), log.crc());
  PutObject(bucket(), *idle.Finish(Timestamp{log.timestamp().micros + 1000}));
  const std::string key = Put(&log, {"b"});
  ExpectOne(Run(), Kind::kConflict, true, key);
}

TEST_F(VerifyTest, ATimelineOfTheSameNumberByAnotherMasterIsAConflict) {
  TestLog log;
  LogObjectWriter writer({}, {TestOrigin().cluster_id, Timeline{1}, TestId(0x77)}, log.end(), 0);
  ASSERT_TRUE(writer.Add(log.Next("a")).ok());
  const std::string key = PutObject(bucket(), *writer.Finish(log.timestamp()));
  ExpectOne(Run(), Kind::kConflict, true, key);
}

TEST_F(VerifyTest, AForkIsFollowedAndTheTailHoleBeforeItIsFound) {
  TestLog log;
  Put(&log, {"a"});
  TestLog abandoned = log;
  TestLog fork(Timeline{2}, log.end(), log.crc(), log.timestamp().micros);
  PutTimeline(bucket(), Timeline{2}, Timeline{1}, log.end(), log.timestamp());
  Put(&abandoned, {"never replicated"});
  abandoned.Next("lost with it");
  Put(&abandoned, {"nor this"});
  const std::string first = Put(&fork, {"b"});
  ExpectOne(Run(), Kind::kGap, false, "no living history needs it");
  // The new timeline lacks its beginning.
  Put(&fork, {"c"});
  bucket().Erase(first);
  const VerifyReport report = Run();
  EXPECT_FALSE(report.ok());
  EXPECT_THAT(report.findings.back().what, HasSubstr("from its fork"));
}

TEST_F(VerifyTest, WhatWasStreamedButNeverArchivedBeforeAFailoverIsAGap) {
  TestLog log;
  Put(&log, {"a"});
  const Lsn archived = log.end();
  log.Next("streamed to the replica, never archived");
  PutTimeline(bucket(), Timeline{2}, Timeline{1}, log.end(), log.timestamp());
  TestLog fork(Timeline{2}, log.end(), log.crc(), log.timestamp().micros);
  Put(&fork, {"b"});
  const VerifyReport report = Run();
  ExpectOne(report, Kind::kGap, true, fmt::format("LSN {} to {}", archived.value, log.end().value));
}

TEST_F(VerifyTest, ATimelineThatDoesNotContinueItsParentIsAConflict) {
  TestLog log;
  Put(&log, {"a"});
  PutTimeline(bucket(), Timeline{2}, Timeline{1}, log.end(), log.timestamp());
  TestLog fork(Timeline{2}, log.end(), 0x12345678, log.timestamp().micros);
  const std::string key = Put(&fork, {"b"});
  ExpectOne(Run(), Kind::kConflict, true, key);
}

// The archive of a restored cluster knows its parent by name only.
TEST_F(VerifyTest, AnArchiveThatBeginsWithALaterTimelineIsWhole) {
  bucket().Erase("timelines/00000001.json");
  TestLog fork(Timeline{2}, Lsn{9000}, 7);
  PutTimeline(bucket(), Timeline{2}, Timeline{1}, Lsn{9000}, Timestamp{1});
  PutBase(fork, "x");
  Put(&fork, {"b"});
  EXPECT_TRUE(Run().ok());
}

TEST_F(VerifyTest, AKeyThatIsMissingIsNamed) {
  TestLog log;
  Put(&log, {"a"}, {1, TestRing(kTestKey)});
  const std::string id = IdToHex(TestRing(kTestKey)->current().id);
  const VerifyReport report = Run();
  ExpectOne(report, Kind::kKey, true, id);
  EXPECT_EQ(report.MissingKeys(), std::set<std::string>{id});
  EXPECT_TRUE(Run(true).ok());
}

TEST_F(VerifyTest, WhatAMergeTakesAwayMeanwhileIsNotMissed) {
  TestLog log;
  const std::string a = Put(&log, {"a"});
  const std::string b = Put(&log, {"b"});
  bool merged = false;
  options_.jobs = 1;
  store_.SetHook([&](Operation operation, std::string_view key) {
    if (operation != Operation::kGet || key != b || std::exchange(merged, true)) return absl::OkStatus();
    const auto objects = bucket().objects();
    PutObject(bucket(), *MergeLogObjects({*objects.at(a).bytes, *objects.at(b).bytes}, *KeyRing::Empty()));
    bucket().Erase(a);
    bucket().Erase(b);
    return absl::OkStatus();
  });
  const VerifyReport report = Run();
  for (const Finding& finding : report.findings) ADD_FAILURE() << finding.what;
  EXPECT_TRUE(merged);
}

TEST_F(VerifyTest, WhatIsListedAndNeverThereIsMissing) {
  TestLog log;
  const std::string a = Put(&log, {"a"});
  store_.SetHook([&](Operation operation, std::string_view key) {
    return operation == Operation::kGet && key == a ? Errorf(absl::StatusCode::kNotFound, "gone") : absl::OkStatus();
  });
  ExpectOne(Run(), Kind::kMissing, true, a);
}

TEST_F(VerifyTest, AnOutageIsNoVerdict) {
  TestLog log;
  Put(&log, {"a"});
  store_.SetHook([](Operation operation, std::string_view key) {
    return operation == Operation::kGet && key.starts_with("log/") ? Errorf(absl::StatusCode::kUnavailable, "reset")
                                                                   : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsUnavailable(Verify(store_, options_).status()));
  objstore::MemoryStore empty;
  EXPECT_TRUE(absl::IsNotFound(Verify(empty, options_).status()));
}

}  // namespace
}  // namespace tidemark::archive
