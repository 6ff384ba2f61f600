// What is looked up at a moment is what clients saw then.
#include "restore/moment.h"

#include <gtest/gtest.h>

#include "restore/testing.h"

namespace tidemark::restore {
namespace {

using testing::Archiver;
using testing::AtTime;
using testing::Contents;
using testing::Source;
using testing::TemporaryFolder;

TEST(MomentTest, ShowsWhatClientsSawThen) {
  TemporaryFolder folder;
  std::mt19937_64 random(7);
  Source source(folder / "source");
  Archiver archiver(source);
  for (int i = 0; i < 15; ++i) source.WriteAny(random);
  archiver.PutBase();
  for (int i = 0; i < 15; ++i) source.WriteAny(random);
  archiver.PutLog(4);
  objstore::MemoryStore store(archiver.bucket());
  for (const size_t i : {size_t{3}, size_t{16}, source.history().size() - 1}) {
    SCOPED_TRACE(i);
    const Target target = AtTime(source.history()[i].timestamp);
    const auto catalog = archive::Catalog::Load(store, true);
    const auto plan = MakePlan(store, *catalog, target);
    ASSERT_TRUE(plan.ok()) << plan.status();
    MomentOptions options;
    options.folder = folder / fmt::format("moment{}", i);
    options.memory = 16 << 20;
    Progress progress;
    const auto moment = Moment::Load(store, *catalog, target, *plan, options, &progress);
    ASSERT_TRUE(moment.ok()) << moment.status();
    Contents contents;
    ASSERT_TRUE((*moment)->Read([&](kv::Txn& txn) { return testing::ReadContents(txn, &contents); }).ok());
    EXPECT_EQ(contents, source.history()[i].after);
    EXPECT_EQ((*moment)->reached(), source.history()[i].timestamp);
    EXPECT_EQ((*moment)->lsn(), source.history()[i].end);
  }
}

TEST(MomentTest, AKeyThatHasExpiredSinceIsThere) {
  TemporaryFolder folder;
  Source source(folder / "source");
  Archiver archiver(source);
  const uint64_t soon_ms = Clock::System().WallMicros() / 1000 + 300;
  source.Set("short", "1", soon_ms);
  const Timestamp then = source.history().back().timestamp;
  archiver.PutLog();
  while (Clock::System().WallMicros() / 1000 <= soon_ms) std::this_thread::yield();
  objstore::MemoryStore store(archiver.bucket());
  const auto catalog = archive::Catalog::Load(store, true);
  const auto plan = MakePlan(store, *catalog, AtTime(then));
  ASSERT_TRUE(plan.ok()) << plan.status();
  MomentOptions options;
  options.folder = folder / "moment";
  options.memory = 16 << 20;
  Progress progress;
  const auto moment = Moment::Load(store, *catalog, AtTime(then), *plan, options, &progress);
  ASSERT_TRUE(moment.ok()) << moment.status();
  Contents contents;
  ASSERT_TRUE((*moment)->Read([&](kv::Txn& txn) { return testing::ReadContents(txn, &contents); }).ok());
  EXPECT_TRUE(contents.contains("0/short"));
}

}  // namespace
}  // namespace tidemark::restore
