#include "archive/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive/archive_testing.h"
#include "objstore/memory_store.h"

namespace tidemark::archive {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Lsn kAll{UINT64_MAX};
constexpr uint64_t kOrigin = 4096;

// An archive of names only: a listing is all that a catalog reads of log and bases.
class CatalogTest : public testing::Test {
 protected:
  void SetUp() override {
    PutObject("archive.json", EncodeIdentity({TestId(0xc1), 5}));
    PutTimeline(1, 0, 0, 0);
  }
  void PutObject(const std::string& key, std::string bytes) { store_.bucket()->Set(key, std::move(bytes)); }
  void PutTimeline(uint32_t timeline, uint32_t parent, uint64_t fork, uint64_t fork_time) {
    TimelineHistory history{.timeline = Timeline{timeline},
                            .id = TestId(static_cast<uint8_t>(timeline)),
                            .parent = Timeline{parent},
                            .fork = Lsn{fork},
                            .fork_timestamp = Timestamp{fork_time},
                            .cluster_id = TestId(0xc1),
                            .created_micros = 5,
                            .reason = "a \"test\""};
    PutObject(format::TimelineKey(history.timeline), EncodeTimeline(history));
  }
  std::string PutLog(uint32_t timeline, uint64_t first, uint64_t end, uint64_t first_time, uint64_t closed) {
    const std::string key =
        format::LogObjectKey({Timeline{timeline}, Lsn{first}, Lsn{end}, Timestamp{first_time}, Timestamp{closed}});
    PutObject(key, "x");
    return key;
  }
  void PutBase(uint32_t timeline, uint64_t lsn, uint64_t time) {
    PutObject(format::BaseKey({Timeline{timeline}, Lsn{lsn}, Timestamp{time}}), "{}");
  }
  Catalog Load() {
    auto catalog = Catalog::Load(store_, true);
    EXPECT_TRUE(catalog.ok()) << catalog.status();
    return std::move(*catalog);
  }
  static std::vector<std::string> Keys(const Stretch& stretch) {
    std::vector<std::string> keys;
    for (const LogEntry& entry : stretch.objects) keys.push_back(entry.key);
    return keys;
  }

  objstore::MemoryStore store_;
};

TEST(CatalogJson, ComesBackAsWrittenAndAnyFlippedBitIsFound) {
  const TimelineHistory history{.timeline = Timeline{3},
                                .id = TestId(1),
                                .parent = Timeline{2},
                                .fork = Lsn{5000},
                                .fork_timestamp = Timestamp{UINT64_MAX},
                                .cluster_id = TestId(2),
                                .created_micros = 7,
                                .reason = "restore to 2026-01-01T00:00:00Z"};
  const std::string text = EncodeTimeline(history);
  const auto read = DecodeTimeline(text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->timeline, history.timeline);
  EXPECT_EQ(read->id, history.id);
  EXPECT_EQ(read->parent, history.parent);
  EXPECT_EQ(read->fork, history.fork);
  EXPECT_EQ(read->fork_timestamp, history.fork_timestamp);
  EXPECT_EQ(read->cluster_id, history.cluster_id);
  EXPECT_EQ(read->created_micros, 7u);
  EXPECT_EQ(read->reason, history.reason);
  const std::string identity = EncodeIdentity({TestId(3), 9});
  EXPECT_EQ(DecodeIdentity(identity)->cluster_id, TestId(3));
  for (size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string bad = text;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(DecodeTimeline(bad).ok()) << bad;
  }
  for (size_t length = 0; length < identity.size(); ++length) {
    EXPECT_FALSE(DecodeIdentity(std::string_view(identity).substr(0, length)).ok()) << length;
  }
  EXPECT_FALSE(DecodeIdentity(text).ok());
}

TEST(CatalogJson, ATimelineThatComesFromItselfIsRefused) {
  TimelineHistory history{.timeline = Timeline{3}, .parent = Timeline{3}};
  EXPECT_FALSE(DecodeTimeline(EncodeTimeline(history)).ok());
}

TEST_F(CatalogTest, TakesAListingApart) {
  PutTimeline(2, 1, 6000, 60);
  PutLog(1, 5000, 6000, 50, 60);
  PutLog(1, kOrigin, 5000, 10, 49);
  PutLog(1, kOrigin, 6000, 10, 60);
  PutBase(2, 7000, 70);
  PutBase(1, 5000, 49);
  const std::string file = format::FileKey({TestId(7), 1});
  PutObject(file, "f");
  PutObject(format::ArchiveLeaseKey({5, 99}), "");
  PutObject("README.txt", "hello");
  PutObject("log/00000001/notes", "");
  const Catalog catalog = Load();
  EXPECT_EQ(catalog.identity->cluster_id, TestId(0xc1));
  EXPECT_EQ(catalog.timelines.at(Timeline{2}).parent, Timeline{1});
  ASSERT_EQ(catalog.log.at(Timeline{1}).size(), 3u);
  EXPECT_EQ(catalog.log.at(Timeline{1})[0].name.end, Lsn{6000});  // the longest first
  EXPECT_EQ(catalog.log.at(Timeline{1})[2].name.first, Lsn{5000});
  EXPECT_EQ(catalog.log_bytes, 3u);
  ASSERT_EQ(catalog.bases.size(), 2u);
  EXPECT_EQ(catalog.bases[0].name.timeline, Timeline{1});
  EXPECT_EQ(catalog.files.at(file), 1u);
  EXPECT_EQ(catalog.leases.size(), 1u);
  EXPECT_THAT(catalog.foreign, ElementsAre("README.txt", "log/00000001/notes"));
  EXPECT_EQ(catalog.newest_timeline(), Timeline{2});
}

// The files of bases can be a hundred thousand: they are stepped over, whatever page they begin on.
TEST_F(CatalogTest, LeavesFilesOutUnlessAskedFor) {
  for (uint64_t i = 0; i < 2500; ++i) PutObject(format::FileKey({TestId(7), i}), "f");
  PutLog(1, kOrigin, 5000, 10, 49);
  const auto catalog = Catalog::Load(store_, false);
  ASSERT_TRUE(catalog.ok());
  EXPECT_TRUE(catalog->files.empty());
  EXPECT_EQ(catalog->log.size(), 1u);
  EXPECT_LE(store_.count(objstore::MemoryStore::Operation::kList), 2u);
  EXPECT_EQ(Load().files.size(), 2500u);
}

TEST_F(CatalogTest, WhereThereIsNoArchiveItSaysSo) {
  objstore::MemoryStore empty;
  EXPECT_EQ(Catalog::Load(empty, true).status().code(), absl::StatusCode::kNotFound);
  empty.bucket()->Set("somebody/elses", "x");
  EXPECT_EQ(Catalog::Load(empty, true).status().code(), absl::StatusCode::kNotFound);
  store_.SetOutage(Errorf(absl::StatusCode::kUnavailable, "down"));
  EXPECT_EQ(Catalog::Load(store_, true).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(CatalogTest, ADamagedHistoryIsNamedAndDoesNotHideTheRest) {
  PutTimeline(2, 1, 6000, 60);
  store_.bucket()->FlipBit("timelines/00000002.json", 200);
  PutObject("timelines/00000003.json", EncodeTimeline({.timeline = Timeline{4}, .parent = Timeline{1}}));
  const absl::Status status = Catalog::Load(store_, true).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(Message(status).find("timelines/00000002.json"), std::string_view::npos) << status;
  std::map<std::string, absl::Status> damaged;
  const auto catalog = Catalog::Load(store_, true, &damaged);
  ASSERT_TRUE(catalog.ok());
  EXPECT_EQ(catalog->timelines.size(), 1u);
  EXPECT_TRUE(damaged.contains("timelines/00000002.json"));
  EXPECT_TRUE(damaged.contains("timelines/00000003.json"));
}

TEST_F(CatalogTest, FollowTakesTheFewestObjectsUpToTheFirstGap) {
  const std::string a = PutLog(1, kOrigin, 5000, 10, 20);
  const std::string b = PutLog(1, 5000, 6000, 30, 40);
  const std::string ab = PutLog(1, kOrigin, 6000, 10, 40);
  const std::string overlap = PutLog(1, 5500, 7000, 35, 50);
  PutLog(1, 8000, 9000, 80, 90);  // after a gap
  const Catalog catalog = Load();
  Stretch stretch = catalog.Follow(Timeline{1}, Lsn{kOrigin}, kAll);
  EXPECT_THAT(Keys(stretch), ElementsAre(ab, overlap));
  EXPECT_EQ(stretch.to, Lsn{7000});
  EXPECT_EQ(stretch.closed, Timestamp{50});
  // From inside an object; up to a limit inside one, whose closed timestamp then says nothing.
  stretch = catalog.Follow(Timeline{1}, Lsn{4500}, Lsn{6500});
  EXPECT_THAT(Keys(stretch), ElementsAre(ab, overlap));
  EXPECT_EQ(stretch.from, Lsn{4500});
  EXPECT_EQ(stretch.to, Lsn{6500});
  EXPECT_EQ(stretch.closed, Timestamp{40});
  EXPECT_THAT(Keys(catalog.Follow(Timeline{1}, Lsn{5000}, Lsn{6000})), ElementsAre(ab));
  for (const uint64_t nothing : {7000u, 7500u, 9000u}) {
    stretch = catalog.Follow(Timeline{1}, Lsn{nothing}, kAll);
    EXPECT_THAT(Keys(stretch), IsEmpty());
    EXPECT_EQ(stretch.to, Lsn{nothing});
  }
  EXPECT_THAT(Keys(catalog.Follow(Timeline{2}, Lsn{kOrigin}, kAll)), IsEmpty());
}

TEST_F(CatalogTest, AnIdleLogIsClosedByObjectsWithoutRecords) {
  PutLog(1, kOrigin, 5000, 10, 20);
  PutLog(1, 5000, 5000, 99, 99);
  const Catalog catalog = Load();
  const Stretch stretch = catalog.Follow(Timeline{1}, Lsn{kOrigin}, kAll);
  EXPECT_EQ(stretch.objects.size(), 1u);
  EXPECT_EQ(stretch.closed, Timestamp{99});
  EXPECT_EQ(catalog.Follow(Timeline{1}, Lsn{5000}, kAll).closed, Timestamp{99});
  EXPECT_EQ(catalog.Follow(Timeline{1}, Lsn{kOrigin}, Lsn{4999}).closed, Timestamp{0});
  EXPECT_THAT(catalog.Gaps(Timeline{1}), IsEmpty());
}

TEST_F(CatalogTest, FollowHistoryGoesOverForksAndLeavesWhatWasAbandoned) {
  PutLog(1, kOrigin, 6000, 10, 60);
  PutLog(1, 6000, 7000, 61, 70);  // abandoned: timeline 2 forks at 5500
  PutTimeline(2, 1, 5500, 55);
  PutLog(2, 5500, 6500, 100, 110);
  PutTimeline(3, 2, 6500, 110);
  PutLog(3, 6500, 8000, 200, 210);
  PutTimeline(4, 1, 6800, 68);  // another restore, from the abandoned part
  PutLog(4, 6800, 6900, 300, 310);
  const Catalog catalog = Load();
  auto path = catalog.FollowHistory(Timeline{1}, Lsn{kOrigin}, Timeline{3});
  ASSERT_EQ(path.size(), 3u);
  EXPECT_EQ(path[0].to, Lsn{5500});
  EXPECT_EQ(path[1].from, Lsn{5500});
  EXPECT_EQ(path[1].to, Lsn{6500});
  EXPECT_EQ(path[2].to, Lsn{8000});
  EXPECT_EQ(path[2].closed, Timestamp{210});
  // Without a word the newest that comes from there.
  path = catalog.FollowHistory(Timeline{1}, Lsn{kOrigin}, std::nullopt);
  ASSERT_EQ(path.size(), 2u);
  EXPECT_EQ(path[1].timeline, Timeline{4});
  path = catalog.FollowHistory(Timeline{2}, Lsn{6000}, std::nullopt);
  ASSERT_EQ(path.size(), 2u);
  EXPECT_EQ(path[1].timeline, Timeline{3});
  // From beyond the forks only the timeline itself.
  path = catalog.FollowHistory(Timeline{1}, Lsn{6900}, std::nullopt);
  ASSERT_EQ(path.size(), 1u);
  EXPECT_EQ(path[0].to, Lsn{7000});
  EXPECT_THAT(catalog.FollowHistory(Timeline{1}, Lsn{6900}, Timeline{3}), IsEmpty());
  EXPECT_THAT(catalog.FollowHistory(Timeline{3}, Lsn{6500}, Timeline{4}), IsEmpty());
  EXPECT_EQ(catalog.FollowHistory(Timeline{1}, Lsn{6900}, Timeline{1}).size(), 1u);
}

TEST_F(CatalogTest, FollowHistoryStopsWhereLogIsMissing) {
  PutLog(1, kOrigin, 5000, 10, 20);
  PutTimeline(2, 1, 5500, 55);
  PutLog(2, 5500, 6500, 100, 110);
  const auto path = Load().FollowHistory(Timeline{1}, Lsn{kOrigin}, std::nullopt);
  ASSERT_EQ(path.size(), 1u);
  EXPECT_EQ(path[0].to, Lsn{5000});
}

TEST_F(CatalogTest, GapsAreTheRangesThatNoObjectCovers) {
  PutLog(1, 5000, 6000, 10, 20);
  PutLog(1, 5500, 5600, 15, 16);
  PutLog(1, 7000, 8000, 30, 40);
  PutLog(1, 8000, 8500, 50, 60);
  PutLog(1, 9000, 9000, 70, 70);
  const auto gaps = Load().Gaps(Timeline{1});
  ASSERT_EQ(gaps.size(), 2u);
  EXPECT_EQ(gaps[0].from, Lsn{6000});
  EXPECT_EQ(gaps[0].to, Lsn{7000});
  EXPECT_EQ(gaps[1].from, Lsn{8500});
  EXPECT_EQ(gaps[1].to, Lsn{9000});
}

TEST_F(CatalogTest, WindowsAreWhatCanBeRestored) {
  PutLog(1, kOrigin, 5000, 10, 20);
  PutBase(1, 4500, 15);
  // A gap, which a base has healed.
  PutLog(1, 6000, 7000, 60, 70);
  PutBase(1, 6500, 65);
  PutBase(1, 6800, 68);
  PutBase(1, 9000, 95);  // its log is not here yet
  const auto windows = RestorableWindows(Load());
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_FALSE(windows[0].base.has_value());
  EXPECT_EQ(windows[0].from, Timestamp{10});
  EXPECT_EQ(windows[0].to, Timestamp{20});
  EXPECT_EQ(windows[1].base->name.lsn, Lsn{6500});
  EXPECT_EQ(windows[1].from, Timestamp{65});
  EXPECT_EQ(windows[1].to, Timestamp{70});
  EXPECT_EQ(windows[1].to_lsn, Lsn{7000});
  EXPECT_EQ(windows[2].from, Timestamp{95});
  EXPECT_EQ(windows[2].to, Timestamp{95});
}

TEST_F(CatalogTest, AWindowGoesOnOverAForkAndTheAbandonedPartKeepsItsOwn) {
  PutLog(1, kOrigin, 6000, 10, 60);
  PutTimeline(2, 1, 5500, 55);
  auto windows = RestorableWindows(Load());
  ASSERT_EQ(windows.size(), 1u);
  EXPECT_EQ(windows[0].timeline, Timeline{2});
  EXPECT_EQ(windows[0].to, Timestamp{55});  // nothing of timeline 2 is here yet
  PutLog(2, 5500, 6500, 100, 110);
  PutBase(2, 6000, 105);
  PutBase(1, 5900, 59);  // of what timeline 2 does not have
  windows = RestorableWindows(Load());
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[0].timeline, Timeline{2});
  EXPECT_EQ(windows[0].to, Timestamp{110});
  EXPECT_EQ(windows[1].timeline, Timeline{1});
  EXPECT_EQ(windows[1].from, Timestamp{59});
  EXPECT_EQ(windows[1].to, Timestamp{60});
}

// The archive of a restored cluster: its first timeline here has a parent that is elsewhere.
TEST_F(CatalogTest, WithoutOriginNothingIsRestorableBeforeTheFirstBase) {
  PutTimeline(2, 1, 5500, 55);
  PutLog(2, 5500, 6500, 100, 110);
  EXPECT_THAT(RestorableWindows(Load()), IsEmpty());
  PutBase(2, 5500, 100);
  const auto windows = RestorableWindows(Load());
  ASSERT_EQ(windows.size(), 1u);
  EXPECT_EQ(windows[0].to, Timestamp{110});
}

}  // namespace
}  // namespace tidemark::archive
