// Roles that change: promotion, hand-over, chains and those who come back, with real engines and logs. Nobody streams
// from a position that is not in both histories, nothing that was acknowledged by a hand-over is lost, and what a
// former primary wrote alone is kept aside.
#include <gtest/gtest.h>

#include "log/inspect.h"
#include "replication/testing.h"

namespace tidemark::replication {
namespace {

class RolesTest : public testing::Test {
 protected:
  RolesTest() : a_(hosts_.Add()), b_(hosts_.Add()), c_(hosts_.Add()) {
    for (Host* host : {&a_, &b_, &c_}) host->Start();
    a_.MakePrimary();
  }
  ~RolesTest() override {
    if (HasFailure()) printf("%s", hosts_.Sayings().c_str());
  }
  static void Fill(Host& host, const std::string& name, int count = 20) {
    for (int i = 0; i < count; ++i) {
      absl::Status set;
      const auto done = [&] {
        set = host.Set(fmt::format("{}{}", name, i), std::string(300, 'v'));
        return !absl::IsUnavailable(set);  // a promotion holds writes for a moment
      };
      ASSERT_TRUE(Eventually(done) && set.ok()) << set;
    }
  }
  static void Follow(Host& replica, Host& primary) {
    replica.node().Follow(primary.endpoint());
    ASSERT_TRUE(Eventually([&] { return replica.Follows(primary); })) << "does not follow";
  }
  static void ExpectSame(Host& replica, Host& primary) {
    ASSERT_TRUE(Eventually([&] { return replica.Follows(primary); })) << "does not follow";
    EXPECT_EQ(replica.Digest(), primary.Digest());
  }
  static void Promote(Host& host) {
    host.node().Promote();
    ASSERT_TRUE(Eventually([&] { return !host.node().writes_held(); })) << "is not promoted";
  }
  static size_t SavedTails(Host& host) {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(host.folder() + "/log")) {
      count += entry.path().filename().string().starts_with("torn-") ? 1 : 0;
    }
    return count;
  }

  Hosts hosts_;
  Host& a_;
  Host& b_;
  Host& c_;
};

TEST_F(RolesTest, AChainHasWhatItsHeadHasAlsoOverAPromotionOfTheMiddle) {
  Fill(a_, "a");
  Follow(b_, a_);
  Follow(c_, b_);
  Fill(a_, "more");
  ExpectSame(b_, a_);
  ExpectSame(c_, b_);
  Promote(b_);
  Fill(b_, "b");
  ExpectSame(c_, b_);
  EXPECT_EQ(b_.node().status().history.size(), 2);
  EXPECT_EQ(b_.node().status().counters.full_syncs, 1);
}

TEST_F(RolesTest, ARaisedRateLimitCountsForAFullSyncUnderWay) {
  Fill(a_, "a");
  a_.node().SetSyncRate(1);  // the first part of each connection goes at once, what follows would take for ever
  b_.node().Follow(a_.endpoint());
  const auto waits = [&] {
    const LinkStatus link = *b_.node().status().link;
    return link.state == LinkState::kSync && link.sync_bytes_read > 0 && link.sync_bytes_read < link.sync_bytes_total;
  };
  ASSERT_TRUE(Eventually(waits));
  EXPECT_GT(b_.node().status().link->sync_last_io_ms, 0u);
  a_.node().SetSyncRate(0);
  ExpectSame(b_, a_);
  EXPECT_EQ(a_.node().status().counters.full_syncs, 1);
}

TEST_F(RolesTest, AFormerPrimaryKeepsWhatItWroteAloneAsideAndRejoinsWithoutASnapshot) {
  Fill(a_, "a");
  Follow(b_, a_);
  Promote(b_);
  Fill(b_, "b");
  Fill(a_, "alone", 3);
  Follow(a_, b_);
  ExpectSame(a_, b_);
  EXPECT_EQ(a_.Get("alone0"), std::nullopt);
  EXPECT_EQ(SavedTails(a_), 1);
  EXPECT_EQ(b_.node().status().counters.full_syncs, 0);
  a_.Restart();
  ExpectSame(a_, b_);
}

TEST_F(RolesTest, AFormerPrimaryWhoseStoreIsBeyondTheForkTakesASnapshot) {
  Fill(a_, "a");
  Follow(b_, a_);
  Promote(b_);
  Fill(b_, "b");
  Fill(a_, "alone", 3);
  a_.Persist();
  Follow(a_, b_);
  ExpectSame(a_, b_);
  EXPECT_EQ(a_.Get("alone0"), std::nullopt);
}

TEST_F(RolesTest, AReplicaTakesNoWriteThatSlippedPastItsRole) {
  Follow(b_, a_);
  const absl::Status late = b_.engine().Write(kv::Tier::kDisk, true, [](kv::Txn&) { return absl::OkStatus(); });
  EXPECT_TRUE(absl::IsInvalidArgument(late)) << late;
  EXPECT_NE(late.message().find("READONLY"), std::string::npos);
  Promote(b_);
  Fill(b_, "b");
}

TEST_F(RolesTest, AHandOverLosesNothingAndTheFormerPrimaryFollows) {
  Fill(a_, "a");
  Follow(b_, a_);
  Fill(a_, "last");
  ASSERT_TRUE(a_.node().Failover({.to = b_.endpoint(), .timeout = kPatience}).ok());
  EXPECT_FALSE(a_.Set("held", "1").ok());
  ASSERT_TRUE(Eventually([&] { return a_.node().role() == Role::kReplica && a_.node().link_up(); }));
  Fill(b_, "b");
  ExpectSame(a_, b_);
  EXPECT_EQ(a_.Get("last19"), std::string(300, 'v'));
  EXPECT_EQ(SavedTails(a_), 0);
}

TEST_F(RolesTest, AReplicaThatLosesItsConnectionAtTheHandOverIsToldAgain) {
  Fill(a_, "a");
  Follow(b_, a_);
  for (int chunk = 0; chunk < 4; ++chunk) {
    hosts_.network.faults.CutAt(Faults::At::kChunk, chunk);
    Host& from = b_.node().role() == Role::kReplica ? a_ : b_;
    Host& to = b_.node().role() == Role::kReplica ? b_ : a_;
    ASSERT_TRUE(Eventually([&] { return from.node().Failover({.to = to.endpoint(), .timeout = kPatience}).ok(); }));
    ASSERT_TRUE(Eventually([&] { return from.node().role() == Role::kReplica && from.node().link_up(); }));
    EXPECT_EQ(to.node().role(), Role::kPrimary);
    Fill(to, fmt::format("round{}:", chunk), 3);
    ExpectSame(from, to);
  }
}

TEST_F(RolesTest, AHandOverThatIsAbortedOrLateLetsWritesGoOn) {
  EXPECT_FALSE(a_.node().Failover({}).ok());
  EXPECT_FALSE(a_.node().AbortFailover().ok());
  Follow(b_, a_);
  EXPECT_FALSE(a_.node().Failover({.to = c_.endpoint()}).ok());
  hosts_.network.faults.LoseAcks(1);  // so that nobody ever has everything
  Fill(a_, "a");
  ASSERT_TRUE(a_.node().Failover({.to = {}, .timeout = std::chrono::milliseconds(50)}).ok());
  EXPECT_FALSE(a_.node().Failover({}).ok());
  ASSERT_TRUE(Eventually([&] { return a_.node().status().failover == FailoverState::kNone; }));
  Fill(a_, "after");
  ASSERT_TRUE(a_.node().Failover({}).ok());
  ASSERT_TRUE(a_.node().AbortFailover().ok());
  ASSERT_TRUE(Eventually([&] { return a_.Set("again", "1").ok(); }));
  EXPECT_EQ(a_.node().role(), Role::kPrimary);
  hosts_.network.faults.Heal();
  ExpectSame(b_, a_);
}

TEST_F(RolesTest, NobodyFollowsItselfOrItsOwnReplica) {
  Follow(b_, a_);
  c_.node().Follow(c_.endpoint());
  EXPECT_TRUE(Eventually([&] { return c_.Said("cannot follow itself"); }));
  a_.node().Follow(b_.endpoint());
  EXPECT_TRUE(Eventually([&] { return a_.Said("follows the one that asks"); }));
  Promote(a_);
  ExpectSame(b_, a_);
}

TEST_F(RolesTest, SeveralReplicasShareASnapshotAndOneThatIsCutKeepsItForItself) {
  Fill(a_, "a");
  hosts_.network.faults.CutAt(Faults::At::kPart, 3);
  b_.node().Follow(a_.endpoint());
  ASSERT_TRUE(b_.Remembers(a_.endpoint()));
  ASSERT_TRUE(Eventually([&] { return b_.Said("full sync from"); }));
  b_.Crash();
  Follow(c_, a_);  // done with it: b_ is not
  EXPECT_TRUE(a_.HasLease("snapshot:"));
  a_.Restart();
  ASSERT_TRUE(Eventually([&] { return c_.Follows(a_); }));
  b_.Start();
  ExpectSame(b_, a_);
  EXPECT_TRUE(b_.Said("goes on with its snapshot"));
  EXPECT_EQ(a_.node().status().counters.full_syncs, 0);
  EXPECT_TRUE(Eventually([&] { return !a_.HasLease("snapshot:"); }));
}

TEST_F(RolesTest, AReplicaWhoseLeaseBrokeIsToldAndHoldsTheLogAgainOnceItIsClose) {
  a_.Crash();
  a_.source.lease_max_bytes = 8 << 10;
  a_.Start();
  Fill(a_, "a");
  Follow(b_, a_);
  b_.Crash();
  Fill(a_, "away", 200);
  ASSERT_TRUE(Eventually([&] { return a_.Said("lease replica:"); }));
  EXPECT_TRUE(a_.Said("is broken"));
  b_.Start();
  ExpectSame(b_, a_);
  EXPECT_TRUE(Eventually([&] { return a_.HasLease("replica:"); }));
}

TEST_F(RolesTest, FilesOfASnapshotAreGivenToNobodyWhoAsksForOthers) {
  const auto nothing = [](const FilePart&) { return absl::OkStatus(); };
  Feed& feed = a_.node().feed();
  EXPECT_TRUE(absl::IsNotFound(feed.ReadFile("../store", "CURRENT", 0, nothing)));
  Hello hello;
  hello.replica_id = "stranger";
  auto session = feed.Join(hello, "127.0.0.1");
  ASSERT_TRUE(session.ok()) << session.status();
  const std::string id = (*session)->welcome().snapshot->id;
  for (const char* name : {"", ".", "..", "../../log/leases", "/etc/passwd"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(feed.ReadFile(id, name, 0, nothing))) << name;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(feed.ReadFile(id, "CURRENT", UINT64_MAX, nothing)));
  EXPECT_TRUE(feed.ReadFile(id, "CURRENT", 0, nothing).ok());
  // What it says that it has, it cannot have: neither WAIT nor the lease believe it.
  (*session)->Acknowledge({.written = Lsn{UINT64_MAX}, .durable = Lsn{UINT64_MAX}, .applied = Lsn{UINT64_MAX}});
  EXPECT_EQ(a_.node().status().replicas[0].acknowledged.written, (*session)->welcome().from);
}

}  // namespace
}  // namespace tidemark::replication
