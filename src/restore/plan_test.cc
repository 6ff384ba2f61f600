// What a plan promises has to be so: the nearest base, the right history, every gap before the target found and named,
// and no certainty where the archive has none.
#include <gtest/gtest.h>

#include "format/log_format.h"
#include "objstore/memory_store.h"
#include "restore/restore.h"

namespace tidemark::restore {
namespace {

using archive::Catalog;

// LSN and microsecond go together here: record at 4096 + n begins n µs after the first.
constexpr uint64_t kBegin = 1'000'000;
Timestamp At(uint64_t lsn) { return Timestamp{kBegin + lsn - 4096}; }

Target Time(uint64_t lsn) {
  Target target;
  target.kind = Target::Kind::kTime;
  target.time = At(lsn);
  return target;
}
Target Position(uint64_t lsn) {
  Target target;
  target.kind = Target::Kind::kLsn;
  target.lsn = Lsn{lsn};
  return target;
}

class PlanTest : public ::testing::Test {
 protected:
  PlanTest() {
    catalog_.identity = archive::Identity{};
    AddTimeline(1, 0, 0, 0);
  }
  void AddTimeline(uint32_t number, uint32_t parent, uint64_t fork, uint64_t created) {
    catalog_.timelines[Timeline{number}] = {.timeline = Timeline{number},
                                            .id = {},
                                            .parent = Timeline{parent},
                                            .fork = Lsn{fork},
                                            .fork_timestamp = fork == 0 ? Timestamp{} : Timestamp{At(fork).micros - 1},
                                            .cluster_id = {},
                                            .created_micros = created == 0 ? 0 : At(created).micros,
                                            .reason = "a test"};
  }
  // Returns its key.
  std::string AddLog(uint64_t first, uint64_t end, uint32_t timeline = 1, uint64_t closed = 0) {
    const format::LogObjectName name{Timeline{timeline}, Lsn{first}, Lsn{end}, At(first),
                                     closed == 0 ? Timestamp{At(end).micros - 1} : At(closed)};
    const std::string key = format::LogObjectKey(name);
    auto& log = catalog_.log[Timeline{timeline}];
    log.push_back({.name = name, .key = key, .size = 10, .modified_micros = 0});
    std::sort(log.begin(), log.end(), [](const auto& a, const auto& b) { return a.name.first < b.name.first; });
    return key;
  }
  std::string AddBase(uint64_t lsn, uint32_t timeline = 1) {
    archive::Manifest manifest;
    manifest.name = {Timeline{timeline}, Lsn{lsn}, Timestamp{At(lsn).micros - 1}};
    const std::string key = format::BaseKey(manifest.name);
    EXPECT_TRUE(store_.Put(key, archive::EncodeManifest(manifest), objstore::PutCondition::kNone).ok());
    catalog_.bases.push_back({manifest.name, key});
    return key;
  }
  absl::StatusOr<Plan> Make(const Target& target, const std::string& pinned = {}) {
    return MakePlan(store_, catalog_, target, pinned);
  }
  void ExpectRefused(const Target& target, const std::vector<std::string>& named,
                     absl::StatusCode code = absl::StatusCode::kFailedPrecondition) {
    const absl::Status status = Make(target).status();
    ASSERT_EQ(status.code(), code) << status;
    for (const std::string& text : named) {
      EXPECT_NE(Message(status).find(text), std::string_view::npos) << text << " is not in: " << status;
    }
  }

  objstore::MemoryStore store_;
  Catalog catalog_;
};

TEST_F(PlanTest, TheNearestBaseBeforeTheTargetIsTaken) {
  AddLog(4096, 5000);
  AddLog(5000, 6000);
  AddLog(6000, 7000);
  const std::string first = AddBase(4500);
  const std::string second = AddBase(5500);
  EXPECT_EQ(Make(Time(5600))->base->key, second);
  EXPECT_EQ(Make(Time(5499))->base->key, second) << "that base's last record has this timestamp";
  EXPECT_EQ(Make(Time(5498))->base->key, first);
  EXPECT_EQ(Make(Position(5500))->base->key, second);
  EXPECT_EQ(Make(Position(5499))->base->key, first);
  EXPECT_FALSE(Make(Time(4400))->base.has_value()) << "from the origin";
  EXPECT_EQ(Make(Time(4400))->from, format::kFirstLsn);
  EXPECT_EQ(Make(Target{})->base->key, second);
  EXPECT_EQ(Make(Target{}, first)->base->key, first) << "a restore that was begun keeps its base";
}

TEST_F(PlanTest, OnlyWhatIsNeededIsRead) {
  AddLog(4096, 5000);
  AddLog(5000, 6000);
  AddLog(6000, 7000);
  const auto plan = Make(Time(5500));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->exact());
  EXPECT_EQ(plan->log_objects, 2u);
  EXPECT_EQ(plan->log_bytes, 20u);
  EXPECT_EQ(plan->stretches.back().to, Lsn{6000});
  EXPECT_GE(plan->reaches, At(5500));
  EXPECT_EQ(Make(Position(5999))->log_objects, 2u);
  EXPECT_EQ(Make(Position(6000))->log_objects, 3u);
}

TEST_F(PlanTest, AGapBeforeTheTargetIsNamedWithItsNeighbours) {
  const std::string before = AddLog(4096, 5000);
  const std::string after = AddLog(5500, 6000);
  ExpectRefused(Time(5800), {"LSN 5000 ", "LSN 5500 ", before, after, FormatTime(At(4096)), "what can be restored"});
  ExpectRefused(Time(5200), {"LSN 5000 "});
  ExpectRefused(Position(5300), {"LSN 5000 "});
  ExpectRefused(Target{}, {"LSN 5000 "});
  // Up to the gap it's certain, and a base behind it makes the gap harmless.
  EXPECT_TRUE(Make(Time(4999))->exact());
  AddBase(5600);
  EXPECT_TRUE(Make(Time(5800))->exact());
  ExpectRefused(Time(5550), {"LSN 5000 "});
}

TEST_F(PlanTest, BehindABaseAndBeforeItsLogIsAGapToo) {
  const std::string base = AddBase(5000);
  const std::string log = AddLog(5400, 6000);
  ExpectRefused(Time(5900), {"LSN 5000 ", "LSN 5400 ", base, log});
  EXPECT_TRUE(Make(Time(4999))->exact()) << "the base alone";
}

TEST_F(PlanTest, BeforeTheOldestMomentIsRefusedWithTheWindows) {
  AddBase(5000);
  AddLog(5000, 6000);
  ExpectRefused(Time(4900), {"oldest base", FormatTime(Timestamp{At(5000).micros - 1})});
  ExpectRefused(Position(4096), {"oldest base"});
}

TEST_F(PlanTest, BeforeTheFirstRecordIsRefused) {
  AddLog(4096, 5000);
  Target target;
  target.kind = Target::Kind::kTime;
  target.time = Timestamp{kBegin - 1};
  ExpectRefused(target, {"before the first record"});
}

TEST_F(PlanTest, PastTheEndItIsShortByWhatIsMissing) {
  AddLog(4096, 5000);
  const auto plan = Make(Time(5009));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->short_micros, 10u);
  EXPECT_EQ(plan->reaches, At(4999));
  EXPECT_EQ(Make(Position(5100))->short_bytes, 100u);
  EXPECT_TRUE(Make(Position(5000))->exact()) << "the end itself, as a checkpoint names it";
  EXPECT_TRUE(Make(Target{})->exact());
}

TEST_F(PlanTest, AClosedTimestampMakesALaterMomentCertain) {
  AddLog(4096, 5000);
  AddLog(5000, 5000, 1, 5500);
  EXPECT_TRUE(Make(Time(5500))->exact());
  EXPECT_EQ(Make(Time(5501))->short_micros, 1u);
  EXPECT_EQ(Make(Target{})->reaches, At(5500));
}

TEST_F(PlanTest, AnIdleLogBehindABaseIsCertainToo) {
  AddBase(5000);
  AddLog(5000, 5000, 1, 5500);
  EXPECT_TRUE(Make(Time(5500))->exact());
}

// Timeline 1 was left at 6000 when its clock showed 8000; timeline 2 goes on from there.
class ForkTest : public PlanTest {
 protected:
  ForkTest() {
    AddTimeline(2, 1, 6000, 8000);
    AddLog(4096, 5500);
    AddLog(5500, 7000);
    AddLog(6000, 6100, 2, 9000);
    catalog_.log[Timeline{2}].front().name.first_timestamp = At(8001);
  }
};

TEST_F(ForkTest, AHistoryEndsAtItsForkAndGoesOnBeyond) {
  const auto plan = Make(Time(8500));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->exact());
  EXPECT_EQ(plan->timeline, Timeline{2});
  ASSERT_EQ(plan->stretches.size(), 2u);
  EXPECT_EQ(plan->stretches[0].to, Lsn{6000});
  EXPECT_EQ(plan->stretches[1].timeline, Timeline{2});
  EXPECT_EQ(plan->stretches[1].from, Lsn{6000});
  EXPECT_TRUE(plan->warning.empty());
}

TEST_F(ForkTest, AMomentBeforeTheForkWasMadeIsThatOfTheOldTimeline) {
  const auto plan = Make(Time(6500));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->timeline, Timeline{1});
  EXPECT_TRUE(plan->exact());
  EXPECT_NE(plan->warning.find("timeline 2"), std::string::npos) << plan->warning;
  Target target = Time(6500);
  target.timeline = Timeline{2};
  EXPECT_EQ(Make(target)->stretches.back().to, Lsn{6000});
  target.timeline = Timeline{5};
  ExpectRefused(target, {"no timeline 5"});
}

TEST_F(ForkTest, ABaseOfTheDivergedTailIsNotOnTheWay) {
  AddBase(6500);
  const std::string good = AddBase(5000);
  EXPECT_EQ(Make(Time(8500))->base->key, good);
  const std::string on_new = AddBase(6050, 2);
  Target target = Position(6060);
  EXPECT_EQ(Make(target)->base->key, on_new);
}

TEST_F(ForkTest, AnLsnThatOnlyTheOldTimelineHasIsFoundThere) {
  EXPECT_EQ(Make(Position(6050))->timeline, Timeline{2});
  EXPECT_EQ(Make(Position(6800))->timeline, Timeline{1});
}

TEST_F(ForkTest, TheTailThatAPromotedPrimaryNeverSawIsAGap) {
  catalog_.log[Timeline{1}].pop_back();
  ExpectRefused(Target{}, {"LSN 5500 ", "LSN 6000 ", "timelines/00000002.json"});
}

TEST_F(ForkTest, AForkThatNobodyWroteOnYetEndsAtTheFork) {
  catalog_.log.erase(Timeline{2});
  const auto plan = Make(Target{});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->timeline, Timeline{2});
  EXPECT_EQ(plan->stretches.back().to, Lsn{6000});
  EXPECT_EQ(plan->reaches, (Timestamp{At(6000).micros - 1}));
}

TEST_F(PlanTest, AMissingFileOfTheBaseIsNamedBeforeAnythingIsDone) {
  archive::Manifest manifest;
  manifest.name = {Timeline{1}, Lsn{5000}, At(4999)};
  manifest.files.push_back(
      {.name = "CURRENT", .content = {.hash = Id128{3}, .size = 16}, .inode = 0, .modified_nanos = 0});
  const std::string key = format::BaseKey(manifest.name);
  ASSERT_TRUE(store_.Put(key, archive::EncodeManifest(manifest), objstore::PutCondition::kNone).ok());
  catalog_.bases.push_back({manifest.name, key});
  catalog_.files["files/of another base"] = 1;
  ExpectRefused(Target{}, {key, format::FileKey(manifest.files[0].content), "CURRENT"}, absl::StatusCode::kDataLoss);
}

TEST_F(PlanTest, AnArchiveWithoutAnythingSaysSo) {
  ExpectRefused(Target{}, {"nothing in this archive can be restored"});
}

}  // namespace
}  // namespace tidemark::restore
