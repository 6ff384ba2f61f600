// Replication as clients, Sentinel and replicas see it, over a node whose state the test chooses.
#include <gmock/gmock.h>

#include "commands/primary_tasks.h"
#include "commands/replication_state.h"
#include "commands/testing_server.h"

namespace tidemark::commands {
namespace {

using replication::FailoverState;
using replication::LinkState;
using replication::Role;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::FakeClient;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::TestServer;

constexpr const char* kReadonly = "(error) READONLY You can't write against a read only replica.";

class ReplicationCommandsTest : public ::testing::Test {
 protected:
  std::string Run(const char* line) { return tested_.Run(line); }
  std::string Answered() { return tested_.Answered(); }
  testing::FakeReplication& node() { return tested_.replication(); }
  Server& server() { return tested_.server(); }
  FakeClient& client() { return tested_.client(); }
  Lsn end() { return server().engine.last_end(); }
  void Follow(LinkState state = LinkState::kConnected) {
    node().Follow({"10.0.0.1", 6379});
    node().now.link->state = state;
    node().calls.clear();
  }

  TestServer tested_;
};

TEST_F(ReplicationCommandsTest, ReplicaofFollowsAndPromotes) {
  EXPECT_EQ(Run("replicaof 10.0.0.2 6380"), "OK");
  EXPECT_EQ(Run("config get replicaof"), R"(["replicaof", "10.0.0.2 6380"])");
  EXPECT_EQ(Run("slaveof 10.0.0.2 6380"), "OK Already connected to specified master");
  EXPECT_EQ(Run("slaveof db-3 6381"), "OK");
  EXPECT_EQ(Run("replicaof no one"), "OK");
  EXPECT_EQ(Run("config get slaveof"), R"(["slaveof", ""])");
  EXPECT_THAT(node().calls, ElementsAre("follow 10.0.0.2:6380", "follow db-3:6381", "promote"));
  EXPECT_EQ(Run("replicaof host 65536"), "(error) ERR Invalid master port");
  EXPECT_EQ(Run("replicaof host x"), "(error) ERR Invalid master port");
  EXPECT_EQ(tested_.Run({"replicaof", "a\nb", "1"}), "(error) ERR Invalid master host");
  node().now.failover = FailoverState::kWaitForSync;
  EXPECT_EQ(Run("replicaof no one"), "(error) ERR REPLICAOF not allowed while failing over.");
}

TEST_F(ReplicationCommandsTest, ANodeThatCannotFollowSaysSo) {
  node().can_follow = false;
  EXPECT_EQ(Run("replicaof 10.0.0.2 6380"), "(error) ERR this server cannot be a replica");
  EXPECT_EQ(Run("config get replicaof"), R"(["replicaof", ""])");
}

// The transaction by which Sentinel reconfigures a server.
TEST_F(ReplicationCommandsTest, SentinelsTransactionEndsOtherClients) {
  Follow();
  FakeClient normal;
  FakeClient subscribed;
  tested_.Join(normal);
  tested_.Join(subscribed);
  tested_.Run(subscribed, "subscribe c");
  Run("multi");
  for (const char* line : {"slaveof no one", "config rewrite", "client kill type normal", "client kill type pubsub"}) {
    EXPECT_EQ(Run(line), "QUEUED");
  }
  EXPECT_EQ(Run("exec"), "[OK, (error) ERR The server is running without a config file, 1, 1]");
  EXPECT_TRUE(normal.closed && subscribed.closed);
  EXPECT_FALSE(client().closed) << "Sentinel's own connection stays";
  EXPECT_EQ(node().now.role, Role::kPrimary);
  EXPECT_EQ(Run("client kill type replica"), "0");
  EXPECT_EQ(Run("client kill type master"), "0");
  tested_.Leave(normal);
  tested_.Leave(subscribed);
}

TEST_F(ReplicationCommandsTest, RoleTellsWhatClientsGoBy) {
  node().now.end = Lsn{500};
  node().AddReplica("10.0.0.2", 6380, Lsn{400});
  node().AddReplica("10.0.0.3", 6381).loading = true;
  node().AddReplica("10.0.0.4", 6382).connected = false;
  EXPECT_EQ(Run("role"), R"(["master", 500, [["10.0.0.2", "6380", "400"]]])");
  EXPECT_THAT(Run("hello"), HasSubstr(R"("role", "master")"));
  Follow(LinkState::kConnecting);
  EXPECT_EQ(Run("role"), R"(["slave", "10.0.0.1", 6379, "connecting", 500])");
  node().now.link->state = LinkState::kSync;
  EXPECT_THAT(Run("role"), HasSubstr(R"("sync")"));
  EXPECT_THAT(Run("hello"), HasSubstr(R"("role", "replica")"));
}

TEST_F(ReplicationCommandsTest, FailoverAnswersAsRedisDoes) {
  EXPECT_EQ(Run("failover abort"), "(error) ERR No failover in progress.");
  EXPECT_EQ(Run("failover"), "(error) ERR FAILOVER requires connected replicas.");
  node().AddReplica("10.0.0.2", 6380);
  node().AddReplica("10.0.0.3", 6381).loading = true;
  EXPECT_EQ(Run("failover to 10.0.0.2"), "(error) ERR syntax error");
  EXPECT_EQ(Run("failover timeout 0"), "(error) ERR FAILOVER timeout must be greater than 0");
  EXPECT_EQ(Run("failover timeout x"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(Run("failover force"),
            "(error) ERR FAILOVER with force option requires both a timeout and target HOST and IP.");
  EXPECT_EQ(Run("failover to 10.0.0.9 6380"), "(error) ERR FAILOVER target HOST and PORT is not a replica.");
  EXPECT_EQ(Run("failover to 10.0.0.3 6381"), "(error) ERR FAILOVER target replica is not online.");
  EXPECT_THAT(node().calls, IsEmpty());

  EXPECT_EQ(Run("failover"), "OK");
  EXPECT_EQ(Run("failover to 10.0.0.2 6380 force timeout 700"), "OK");
  EXPECT_THAT(node().calls, ElementsAre("failover - 0 false", "failover 10.0.0.2:6380 700 true"));
  node().next = absl::FailedPreconditionError("the replica has just gone");
  EXPECT_EQ(Run("failover"), "(error) ERR the replica has just gone");

  node().now.failover = FailoverState::kInProgress;
  node().next = absl::OkStatus();
  EXPECT_EQ(Run("failover"), "(error) ERR FAILOVER already in progress.");
  EXPECT_EQ(Run("failover abort"), "OK");
  node().now.failover = FailoverState::kNone;
  Follow();
  EXPECT_EQ(Run("failover"), "(error) ERR FAILOVER is not valid when server is a replica.");
}

TEST_F(ReplicationCommandsTest, ReplconfTellsTheRpcPort) {
  EXPECT_EQ(Run("replconf rpc-port"), "0");
  server().rpc_port = 7777;
  EXPECT_EQ(Run("replconf rpc-port"), "7777");
  EXPECT_EQ(Run("replconf listening-port 6380 ip-address 10.0.0.2 capa eof capa psync2"), "OK");
  EXPECT_EQ(Run("replconf getack *"), "(none)");
  EXPECT_EQ(Run("replconf nonsense 1"), "(error) ERR Unrecognized REPLCONF option: nonsense");
  EXPECT_EQ(Run("replconf capa"), "(error) ERR syntax error");
  EXPECT_EQ(Run("replconf listening-port x"), "(error) ERR value is not an integer or out of range");
}

TEST_F(ReplicationCommandsTest, LeasesSayWhatTheLogIsKeptFor) {
  log::Log& log = server().engine.log();
  ASSERT_TRUE(log.TakeLease({.name = "replica:x",
                             .lease_class = log::LeaseClass::kBounded,
                             .position = log.appended(),
                             .max_age_micros = 60'000'000})
                  .ok());
  Run("set k v");
  const std::string leases = Run("leases");
  EXPECT_THAT(leases, HasSubstr(R"("name", "engine", "class", "required")"));
  EXPECT_THAT(leases, HasSubstr(R"("name", "replica:x", "class", "bounded", "position")"));
  EXPECT_THAT(leases, HasSubstr(R"("age", 0, "state", "held")"));
  EXPECT_THAT(Run("info log"), HasSubstr("name=replica:x,class=bounded"));
  EXPECT_EQ(HeldBytes({.position = Lsn{10}, .broken = "too old"}, Lsn{30}), 0u);
  EXPECT_EQ(HeldBytes({.position = Lsn{10}}, Lsn{30}), 20u);
}

TEST_F(ReplicationCommandsTest, WaitCountsWhoHasTheClientsWrites) {
  EXPECT_EQ(Run("wait 0 0"), "0");
  EXPECT_EQ(Run("wait 1 x"), "(error) ERR timeout is not an integer or out of range");
  EXPECT_EQ(Run("wait 1 -1"), "(error) ERR timeout is negative");
  EXPECT_EQ(Run("wait x 1"), "(error) ERR value is not an integer or out of range");
  Run("set k v");
  const Lsn written = end();
  node().AddReplica("10.0.0.2", 6380, written);
  node().AddReplica("10.0.0.3", 6381, Lsn{written.value - 1});
  EXPECT_EQ(Run("wait 1 0"), "1");
  EXPECT_EQ(Run("wait 2 500"), "(waits)");
  const auto& waiting = node().waits.at(node().last_wait);
  EXPECT_EQ(waiting.target, written);
  EXPECT_EQ(waiting.replicas, 2u);
  EXPECT_EQ(waiting.timeout, std::chrono::milliseconds(500));
  EXPECT_FALSE(waiting.durably || waiting.local);
  node().Finish(node().last_wait, {.replicas = 2});
  EXPECT_EQ(Answered(), "2");

  FakeClient other;
  tested_.Join(other);
  EXPECT_EQ(tested_.Run(other, "wait 2 0"), "2") << "a client that wrote nothing has nothing to wait for";
  tested_.Leave(other);
  Run("multi");
  Run("wait 2 0");
  EXPECT_EQ(Run("exec"), "[1]") << "a transaction does not wait";
  Follow();
  EXPECT_THAT(Run("wait 0 0"), HasSubstr("ERR WAIT cannot be used with replica instances."));
}

// Only durable bytes are shipped: a WAIT that left the sync to its timer would take a second each.
TEST_F(ReplicationCommandsTest, WaitMakesTheLogSync) {
  node().AddReplica("10.0.0.2", 6380);
  Run("set k v");
  EXPECT_EQ(Run("wait 1 0"), "(waits)");
  ASSERT_TRUE(server().engine.log().SyncTo(end()).ok());
  node().CancelWait(node().last_wait);
  client().deferred->Unblock(false);
  EXPECT_EQ(Answered(), "0");
}

TEST_F(ReplicationCommandsTest, WaitEndsWhenTheClientDoes) {
  Run("set k v");
  EXPECT_EQ(Run("wait 1 0"), "(waits)");
  EXPECT_FALSE(node().waits.empty());
  client().deferred->Abandon();
  EXPECT_TRUE(node().waits.empty());
  client().deferred = nullptr;
}

TEST_F(ReplicationCommandsTest, WaitaofAsksForDisks) {
  EXPECT_EQ(Run("waitaof 2 0 0"), "(error) ERR value is out of range, value must between 0 and 1");
  EXPECT_EQ(Run("waitaof 0 -1 0"), "(error) ERR value is out of range, must be positive");
  EXPECT_EQ(Run("waitaof 0 0 -1"), "(error) ERR timeout is negative");
  EXPECT_EQ(Run("waitaof x 0 0"), "(error) ERR value is not an integer or out of range");
  Run("set k v");
  ASSERT_TRUE(server().engine.log().SyncTo(end()).ok());
  node().AddReplica("10.0.0.2", 6380, end(), Lsn{1});
  EXPECT_EQ(Run("waitaof 1 0 0"), "[1, 0]") << "written there, but not on that disk";
  EXPECT_EQ(Run("waitaof 1 1 0"), "(waits)");
  EXPECT_TRUE(node().waits.at(node().last_wait).durably && node().waits.at(node().last_wait).local);
  node().Finish(node().last_wait, {.replicas = 1, .local = true});
  EXPECT_EQ(Answered(), "[1, 1]");
  Follow();
  EXPECT_THAT(Run("waitaof 0 0 0"), HasSubstr("ERR WAITAOF cannot be used with replica instances."));
}

TEST_F(ReplicationCommandsTest, AReplicaRefusesWrites) {
  Run("set k v");
  Follow();
  EXPECT_EQ(Run("set k w"), kReadonly);
  EXPECT_EQ(Run("get k"), R"("v")");
  EXPECT_EQ(Run("flushall"), kReadonly);
  EXPECT_EQ(Run("publish c m"), "0") << "publishing writes nothing";
  Run("multi");
  EXPECT_EQ(Run("set k w"), kReadonly);
  EXPECT_EQ(Run("exec"), "(error) EXECABORT Transaction discarded because of previous errors.");
  EXPECT_THAT(Run("config set replica-read-only no"), HasSubstr("a replica's log is its primary's, byte for byte"));
  EXPECT_THAT(Run("expiry thaw"), HasSubstr("ask its primary at 10.0.0.1:6379"));
}

// The role may change between MULTI and EXEC.
TEST_F(ReplicationCommandsTest, ATransactionOfWritesFailsOnANewReplica) {
  Run("multi");
  Run("get k");
  Run("set k w");
  Follow();
  EXPECT_EQ(
      Run("exec"),
      "(error) EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.");
  EXPECT_EQ(Run("get k"), "nil");
  EXPECT_EQ(Run("exec"), "(error) ERR EXEC without MULTI");
}

TEST_F(ReplicationCommandsTest, AStaleReplicaServesUnlessToldNotTo) {
  Follow(LinkState::kConnect);
  EXPECT_EQ(Run("get k"), "nil");
  EXPECT_EQ(Run("config set replica-serve-stale-data no"), "OK");
  const std::string down = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
  EXPECT_EQ(Run("get k"), "(error) " + down);
  EXPECT_THAT(Run("info replication"), HasSubstr("role:slave"));
  Run("multi");
  EXPECT_EQ(Run("get k"), "(error) " + down);
  Run("discard");
  node().now.link->state = LinkState::kConnected;
  EXPECT_EQ(Run("get k"), "nil");
  Run("multi");
  Run("get k");
  node().now.link->state = LinkState::kConnect;
  EXPECT_EQ(Run("exec"), "(error) EXECABORT Transaction discarded because of: " + down);
}

TEST_F(ReplicationCommandsTest, WritesNeedGoodReplicasWhereToldSo) {
  Run("set k v");
  EXPECT_EQ(node().asked_for_replicas, 0) << "costs nothing where it is off";
  Run("config set min-replicas-to-write 2 min-slaves-max-lag 7");
  node().replicas_within = 1;
  EXPECT_EQ(Run("set k w"), "(error) NOREPLICAS Not enough good replicas to write.");
  EXPECT_EQ(node().asked_lag, std::chrono::seconds(7));
  EXPECT_EQ(Run("get k"), R"("v")");
  EXPECT_THAT(Run("info replication"), HasSubstr("min_slaves_good_slaves:1\\x0d"));
  node().replicas_within = 2;
  EXPECT_EQ(Run("set k w"), "OK");
  Run("config set min-replicas-max-lag 0");
  node().replicas_within = 0;
  EXPECT_EQ(Run("set k x"), "OK");
}

// While the primary changes, who writes waits for the outcome instead of hearing what holds in between.
TEST_F(ReplicationCommandsTest, WritesWaitWhileThePrimaryChanges) {
  node().held = true;
  EXPECT_EQ(Run("set k v"), "(stalls)");
  EXPECT_EQ(Run("get k"), "nil");
  EXPECT_EQ(Run("multi"), "OK");
  EXPECT_EQ(Run("set k v"), "QUEUED");
  EXPECT_EQ(Run("exec"), "(stalls)");
  Follow();
  EXPECT_EQ(Run("exec"), "(stalls)") << "a replica that is being promoted";
  node().held = false;
  node().Promote();
  EXPECT_EQ(Run("exec"), "[OK]");
  node().held = true;
  Follow();
  node().held = false;
  EXPECT_EQ(Run("set k v"), kReadonly) << "a primary that handed over";
}

TEST_F(ReplicationCommandsTest, BackupTasksAreThePrimarys) {
  Follow();
  for (const char* line : {"logbackup flush", "logbackup start task a storage local:///x", "logbackup wait 1 0",
                           "logbackup stop task a", "logbackup pause task a", "logbackup resume task a",
                           "logbackup base task a", "logbackup truncate task a until 2020-01-01T00:00:00Z"}) {
    EXPECT_EQ(Run(line), "(error) ERR this server is a replica; ask its primary at 10.0.0.1:6379") << line;
  }
  EXPECT_EQ(Run("logbackup status"), "[]");
}

// gRPC and HTTP ask through this.
TEST_F(ReplicationCommandsTest, OnOtherPortsTooBackupTasksAreThePrimarys) {
  PrimaryTasks tasks(tested_.tasks(), node());
  ASSERT_TRUE(tasks.Start({.name = "a", .storage = "local:///x", .key_file = {}}).ok());
  EXPECT_TRUE(tasks.Flush({}, [](const auto&) {}).ok());
  Follow();
  const absl::Status refused =
      absl::FailedPreconditionError("this server is a replica; ask its primary at 10.0.0.1:6379");
  EXPECT_EQ(tasks.Flush({}, [](const auto&) {}).status(), refused);
  EXPECT_EQ(tasks.Start({.name = "b", .storage = "local:///x", .key_file = {}}), refused);
  EXPECT_EQ(tasks.Stop("a"), refused);
  EXPECT_EQ(tasks.Pause("a", "", {}), refused);
  EXPECT_EQ(tasks.Resume("a"), refused);
  EXPECT_EQ(tasks.TakeBase("a"), refused);
  EXPECT_EQ(tasks.Truncate("a", {}, true).status(), refused);
  EXPECT_EQ(tasks.Status().size(), 1u);
  EXPECT_THAT(tested_.tasks().calls, IsEmpty());
}

// A key whose time has come is gone for readers, and stays where it is until the primary's record says so.
TEST_F(ReplicationCommandsTest, AReplicaReadsNothingExpiredAndWritesNothing) {
  server().engine.SetSweeping(false);
  Run("psetex k 1 v");
  const uint64_t expired_ms = server().engine.clock().Now().millis() + 2;
  Follow();
  const Lsn before = end();
  while (server().engine.clock().Now().millis() < expired_ms) {
  }
  EXPECT_EQ(Run("get k"), "nil");
  EXPECT_EQ(Run("exists k"), "0");
  EXPECT_EQ(Run("ttl k"), "-2");
  EXPECT_EQ(end(), before);
}

TEST_F(ReplicationCommandsTest, InfoOfAPrimary) {
  node().now.end = Lsn{900};
  node().now.history = {{.timeline = Timeline{1}, .id = {0xab}, .fork = {}},
                        {.timeline = Timeline{2}, .id = {0xcd}, .fork = Lsn{300}}};
  node().AddReplica("10.0.0.2", 6380, Lsn{800}).last_ack_ms = Clock::System().WallMicros() / 1000;
  node().AddReplica("10.0.0.3", 6381).loading = true;
  node().AddReplica("10.0.0.4", 6382).connected = false;
  node().now.failover = FailoverState::kWaitForSync;
  node().now.counters = {
      .full_syncs = 3, .partial_syncs = 4, .archive_catch_ups = 5, .repeated_full_syncs = 1, .snapshot_bytes_sent = 77};
  const std::string info = Run("info replication");
  for (const std::string& line :
       {std::string("role:master"), std::string("connected_slaves:2"),
        std::string("slave0:ip=10.0.0.2,port=6380,state=online,offset=800,lag=0"),
        std::string("slave1:ip=10.0.0.3,port=6381,state=send_bulk,offset=0,lag=0"),
        std::string("master_failover_state:waiting-for-sync"), "master_replid:cd" + std::string(30, '0') + "cccccccc",
        "master_replid2:ab" + std::string(30, '0') + "cccccccc", std::string("master_repl_offset:900"),
        std::string("second_repl_offset:301"), std::string("repl_backlog_active:1"), std::string("repl_backlog_size:"),
        std::string("repl_backlog_first_byte_offset:"), std::string("repl_backlog_histlen:"),
        std::string("timeline:2")}) {
    EXPECT_THAT(info, HasSubstr("\\x0a" + line));
  }
  EXPECT_THAT(info, AllOf(Not(HasSubstr("master_host")), Not(HasSubstr("min_slaves_good_slaves"))));
  EXPECT_THAT(Run("info stats"),
              AllOf(HasSubstr("sync_full:3"), HasSubstr("sync_partial_ok:4"), HasSubstr("sync_partial_err:5"),
                    HasSubstr("sync_archive:5"), HasSubstr("sync_full_repeated:1"), HasSubstr("sync_full_bytes:77")));
}

TEST_F(ReplicationCommandsTest, InfoOfAReplica) {
  Follow();
  Run("config set replica-priority 7 replica-announced no");
  const uint64_t now_ms = Clock::System().WallMicros() / 1000;
  node().now.end = Lsn{900};
  node().now.link->received = Lsn{950};
  node().now.link->last_io_ms = now_ms;
  std::string info = Run("info replication");
  for (const char* line : {"role:slave", "master_host:10.0.0.1", "master_port:6379", "master_link_status:up",
                           "master_last_io_seconds_ago:0", "master_sync_in_progress:0", "slave_read_repl_offset:950",
                           "slave_repl_offset:900", "slave_priority:7", "slave_read_only:1", "replica_announced:0",
                           "connected_slaves:0", "master_repl_offset:900", "master_link_problem:"}) {
    EXPECT_THAT(info, HasSubstr(std::string("\\x0a") + line));
  }
  EXPECT_THAT(info, AllOf(Not(HasSubstr("master_sync_total_bytes")), Not(HasSubstr("master_link_down_since_seconds"))));

  replication::LinkStatus& link = *node().now.link;
  link.state = LinkState::kSync;
  link.down_since_ms = now_ms - 5500;
  link.sync_bytes_total = 200;
  link.sync_bytes_read = 50;
  link.sync_last_io_ms = now_ms;
  info = Run("info replication");
  for (const char* line : {"master_link_status:down", "master_sync_in_progress:1", "master_sync_total_bytes:200",
                           "master_sync_read_bytes:50", "master_sync_left_bytes:150", "master_sync_perc:25.00",
                           "master_sync_last_io_seconds_ago:0", "master_link_down_since_seconds:5"}) {
    EXPECT_THAT(info, HasSubstr(std::string("\\x0a") + line));
  }
  link.state = LinkState::kConnect;
  link.problem = "10.0.0.1:6379:\r\nrefused";
  info = Run("info replication");
  EXPECT_THAT(info, AllOf(HasSubstr("master_last_io_seconds_ago:-1"), HasSubstr("master_sync_in_progress:0"),
                          HasSubstr("master_link_problem:10.0.0.1:6379:  refused")));
}

}  // namespace
}  // namespace tidemark::commands
