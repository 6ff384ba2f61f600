// Promises 2 and 4: nobody streams from a position that is not in both histories, and nobody takes a snapshot who need
// not.
#include "replication/join.h"

#include <gtest/gtest.h>

namespace tidemark::replication {
namespace {

TimelineStep Step(uint32_t number, uint8_t id, uint64_t fork) {
  Id128 bytes{};
  bytes[0] = id;
  return {.timeline = Timeline{number}, .id = bytes, .fork = Lsn{fork}};
}
const TimelineStep kFirst = Step(1, 1, 0);

Hello Replica(History history, uint64_t position, uint64_t persisted) {
  Hello hello;
  hello.cluster_id = "cluster";
  hello.history = std::move(history);
  hello.position = Lsn{position};
  hello.persisted = Lsn{persisted};
  return hello;
}
Holdings Primary(History history, uint64_t oldest, uint64_t end) {
  Holdings own;
  own.cluster_id = "cluster";
  own.history = std::move(history);
  own.oldest = Lsn{oldest};
  own.end = Lsn{end};
  return own;
}

TEST(JoinTest, WhoIsInThePrimarysPastStreams) {
  for (const uint64_t position : {100u, 150u, 200u}) {
    const Decision decision = Decide(Replica({kFirst}, position, 50), Primary({kFirst}, 100, 200));
    EXPECT_EQ(decision.verdict, Verdict::kStream);
    EXPECT_EQ(decision.from, Lsn{position});
  }
  // Also over a promotion that happened at or after his position.
  EXPECT_EQ(Decide(Replica({kFirst}, 150, 50), Primary({kFirst, Step(2, 2, 150)}, 100, 300)).verdict, Verdict::kStream);
}

TEST(JoinTest, WhoWentAstrayCutsAndWhoCannotTakesASnapshot) {
  const Holdings promoted = Primary({kFirst, Step(2, 2, 150)}, 100, 300);
  const Decision cut = Decide(Replica({kFirst}, 180, 150), promoted);
  EXPECT_EQ(cut.verdict, Verdict::kCut);
  EXPECT_EQ(cut.from, Lsn{150});
  EXPECT_EQ(Decide(Replica({kFirst}, 180, 151), promoted).verdict, Verdict::kFullSync);
  // Two promotions of the same number are not the same timeline.
  const Decision rivals = Decide(Replica({kFirst, Step(2, 9, 140)}, 180, 100), promoted);
  EXPECT_EQ(rivals.verdict, Verdict::kCut);
  EXPECT_EQ(rivals.from, Lsn{140});
  // One that was promoted goes back under its former primary.
  const Decision back = Decide(Replica({kFirst, Step(2, 2, 150)}, 300, 150), Primary({kFirst}, 100, 200));
  EXPECT_EQ(back.verdict, Verdict::kCut);
  EXPECT_EQ(back.from, Lsn{150});
  // More of the same timeline than the primary has.
  EXPECT_EQ(Decide(Replica({kFirst}, 250, 100), Primary({kFirst}, 100, 200)).verdict, Verdict::kCut);
}

TEST(JoinTest, APurgedPositionIsTakenFromTheArchiveWhereThereIsOne) {
  Holdings own = Primary({kFirst}, 100, 200);
  EXPECT_EQ(Decide(Replica({kFirst}, 99, 50), own).verdict, Verdict::kFullSync);
  own.archive = true;
  const Decision decision = Decide(Replica({kFirst}, 99, 50), own);
  EXPECT_EQ(decision.verdict, Verdict::kArchive);
  EXPECT_EQ(decision.from, Lsn{100});
  Hello tried = Replica({kFirst}, 99, 50);
  tried.no_archive = true;
  EXPECT_EQ(Decide(tried, own).verdict, Verdict::kFullSync);
}

TEST(JoinTest, StrangersTakeASnapshot) {
  Hello stranger = Replica({kFirst}, 150, 100);
  stranger.cluster_id = "another";
  EXPECT_EQ(Decide(stranger, Primary({kFirst}, 100, 200)).verdict, Verdict::kFullSync);
  stranger.cluster_id = "";
  EXPECT_EQ(Decide(stranger, Primary({kFirst}, 100, 200)).verdict, Verdict::kFullSync);
  EXPECT_EQ(Decide(Replica({Step(1, 7, 0)}, 150, 100), Primary({kFirst}, 100, 200)).verdict, Verdict::kFullSync);
}

TEST(JoinTest, ATransferThatWasCutGoesOnWithTheSameSnapshot) {
  Hello hello;
  hello.snapshot = "s1";
  hello.staged = Lsn{170};
  Holdings own = Primary({kFirst}, 160, 200);
  EXPECT_FALSE(Decide(hello, own).resume);
  own.has_snapshot = true;
  const Decision decision = Decide(hello, own);
  EXPECT_TRUE(decision.resume);
  EXPECT_EQ(decision.verdict, Verdict::kFullSync);
  EXPECT_EQ(decision.from, Lsn{170});
}

}  // namespace
}  // namespace tidemark::replication
