// The commands about the server itself, over a whole server without sockets: what monitoring, Sentinel and clients
// read.
#include <gmock/gmock.h>

#include "commands/testing_server.h"

namespace tidemark::commands {
namespace {

using ::testing::AllOf;
using testing::FakeClient;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TestServer;

class AdminTest : public ::testing::Test {
 protected:
  std::string Run(const char* line) { return tested_.Run(line); }
  std::string Run(const std::vector<std::string>& words) { return tested_.Run(words); }
  std::string Run(FakeClient& client, const char* line) { return tested_.Run(client, line); }
  void Join(FakeClient& client) { tested_.Join(client); }
  void Leave(FakeClient& client) { tested_.Leave(client); }
  Server& server() { return tested_.server(); }
  FakeClient& client() { return tested_.client(); }
  testing::FakeHost& host() { return tested_.host(); }

 private:
  TestServer tested_;
};

TEST_F(AdminTest, InfoHasWhatSentinelAndExportersRead) {
  Run("set k v");
  const std::string info = Run("info");
  for (const char* field : {"redis_version:7.0.15",
                            "redis_mode:standalone",
                            "tidemark_version:",
                            "run_id:aaaaaaaaaa",
                            "tcp_port:",
                            "uptime_in_seconds:",
                            "connected_clients:1",
                            "blocked_clients:0",
                            "used_memory:",
                            "used_memory_rss:",
                            "used_memory_peak:",
                            "maxmemory:",
                            "mem_fragmentation_ratio:",
                            "loading:0",
                            "rdb_changes_since_last_save:",
                            "rdb_bgsave_in_progress:0",
                            "rdb_last_save_time:",
                            "rdb_last_bgsave_status:ok",
                            "aof_enabled:",
                            "total_connections_received:1",
                            "total_commands_processed:1",
                            "instantaneous_ops_per_sec:",
                            "expired_keys:0",
                            "evicted_keys:0",
                            "keyspace_hits:",
                            "keyspace_misses:",
                            "pubsub_channels:0",
                            "role:master",
                            "connected_slaves:0",
                            "master_replid:",
                            "master_repl_offset:",
                            "used_cpu_sys:",
                            "used_cpu_user:",
                            "cluster_enabled:0",
                            "db0:keys=1,expires=0,avg_ttl=0",
                            "log_durable_lsn:",
                            "lease0:name=",
                            "store_persisted_lsn:",
                            "store_hot_rows:"}) {
    EXPECT_THAT(info, HasSubstr(field));
  }
  EXPECT_THAT(info, Not(HasSubstr("# Commandstats")));
}

TEST_F(AdminTest, InfoGivesTheSectionsAskedFor) {
  Run("get k");
  Run("lpush k");
  EXPECT_THAT(Run("info CommandStats"), AllOf(StartsWith("\"# Commandstats"), HasSubstr("cmdstat_get:calls=1,usec="),
                                              Not(HasSubstr("# Server"))));
  EXPECT_THAT(Run("info errorstats cluster"),
              AllOf(HasSubstr("errorstat_ERR:count=1"), HasSubstr("cluster_enabled:0")));
  EXPECT_THAT(Run("info all"), AllOf(HasSubstr("# Latencystats"), Not(HasSubstr("# Modules"))));
  EXPECT_THAT(Run("info latencystats"), HasSubstr("latency_percentiles_usec_get:p50="));
  EXPECT_EQ(Run("info nosuch"), "\"\"");
  EXPECT_EQ(Run("config resetstat"), "OK");
  EXPECT_THAT(Run("info commandstats"), Not(HasSubstr("cmdstat_get")));
}

// As Redis's lookupKeyRead counts: every key read for a client, never one that is only written.
TEST_F(AdminTest, HitsAndMissesCountTheKeysThatWereRead) {
  const auto counted = [this](const std::string& line) {
    Run("config resetstat");
    Run(line.c_str());
    const std::string info = Run("info stats");
    const auto number = [&info](const std::string& field) {
      return std::stoi(info.substr(info.find(field + ":") + field.size() + 1));
    };
    return std::pair(number("keyspace_hits"), number("keyspace_misses"));
  };
  using Counted = std::pair<int, int>;
  Run("set s value");
  Run("hset h f v");
  EXPECT_EQ(counted("get s"), Counted(1, 0));
  EXPECT_EQ(counted("get none"), Counted(0, 1));
  EXPECT_EQ(counted("get h"), Counted(1, 0)) << "found, though of a wrong type";
  EXPECT_EQ(counted("mget s none h"), Counted(2, 1));
  EXPECT_EQ(counted("exists s s none"), Counted(2, 1));
  EXPECT_EQ(counted("hgetall h"), Counted(1, 0));
  EXPECT_EQ(counted("hmget h f g"), Counted(1, 0));
  EXPECT_EQ(counted("hscan none 0"), Counted(0, 1));
  EXPECT_EQ(counted("dump h"), Counted(1, 0));
  EXPECT_EQ(counted("ttl s"), Counted(1, 0));
  EXPECT_EQ(counted("object encoding none"), Counted(0, 1));
  EXPECT_EQ(counted("bitcount s"), Counted(1, 0));
  EXPECT_EQ(counted("bitop and target s none"), Counted(1, 1));
  EXPECT_EQ(counted("lcs s none"), Counted(1, 1));
  EXPECT_EQ(counted("copy s none2"), Counted(1, 0));
  EXPECT_EQ(counted("getex s"), Counted(1, 0));
  EXPECT_EQ(counted("set s value get"), Counted(1, 0));
  EXPECT_EQ(counted("getset new v"), Counted(0, 1));
  EXPECT_EQ(counted("getdel new"), Counted(1, 0));
  for (const char* write : {"set s value", "set s value xx", "setnx s v", "append s x", "expire s 100", "persist s",
                            "hset h f v", "hincrby h n 1", "del none", "rename s s2", "mset a 1 b 2", "setbit b 1 1"}) {
    EXPECT_EQ(counted(write), Counted(0, 0)) << write;
  }
  Run("config resetstat");
  Run("multi");
  Run("get s2");
  Run("get none");
  Run("exec");
  EXPECT_THAT(Run("info stats"), AllOf(HasSubstr("keyspace_hits:1"), HasSubstr("keyspace_misses:1")));
}

TEST_F(AdminTest, InfoAnswersWithinATransaction) {
  Run("multi");
  Run("set a 1");
  Run("info everything");
  Run("config get maxclients");
  Run("client list");
  Run("memory stats");
  EXPECT_THAT(Run("exec"),
              AllOf(StartsWith("[OK, \"# Server"), HasSubstr("\"maxclients\", \"10000\""), HasSubstr("cmd=exec")));
}

TEST_F(AdminTest, ConfigIsShownAndChangedWhole) {
  EXPECT_EQ(Run("config get slowlog-max-len maxclients"), R"(["slowlog-max-len", "128", "maxclients", "10000"])");
  EXPECT_EQ(Run("config set slowlog-max-len 5 timeout 7"), "OK");
  EXPECT_EQ(Run("config get timeout"), R"(["timeout", "7"])");
  EXPECT_THAT(Run("config set timeout 8 maxclients x"), StartsWith("(error) ERR CONFIG SET failed"));
  EXPECT_EQ(Run("config get timeout"), R"(["timeout", "7"])");
  EXPECT_EQ(Run("config set timeout"), "(error) ERR wrong number of arguments for 'config|set' command");
  EXPECT_EQ(Run("config foo"), "(error) ERR unknown subcommand 'foo'. Try CONFIG HELP.");
  EXPECT_EQ(Run("config rewrite"), "(error) ERR The server is running without a config file");
}

TEST_F(AdminTest, AuthSaysWhatRedisSays) {
  EXPECT_THAT(Run("auth x"), HasSubstr("ERR AUTH <password> called without any password configured"));
  EXPECT_EQ(Run("auth default x"), "OK");
  EXPECT_EQ(Run("config set requirepass secret"), "OK");
  FakeClient other;
  Join(other);
  other.authenticated = false;
  EXPECT_EQ(Run(other, "get k"), "(error) NOAUTH Authentication required.");
  EXPECT_THAT(Run(other, "hello 3"), StartsWith("(error) NOAUTH HELLO must be called"));
  EXPECT_THAT(Run(other, "auth secre"), StartsWith("(error) WRONGPASS"));
  EXPECT_THAT(Run(other, "auth bob secret"), StartsWith("(error) WRONGPASS"));
  EXPECT_EQ(Run(other, "auth secret"), "OK");
  EXPECT_EQ(Run(other, "get k"), "nil");
  EXPECT_EQ(Run(other, "reset"), "RESET");
  EXPECT_EQ(Run(other, "get k"), "(error) NOAUTH Authentication required.");
  EXPECT_THAT(Run(other, "hello 3 auth default secret setname me"),
              StartsWith(R"({"server": "redis", "version": "7.0.15", "proto": 3, "id": 2, )"));
  EXPECT_EQ(Run(other, "client getname"), "\"me\"");
  Leave(other);
}

TEST_F(AdminTest, HelloRefusesWhatItDoesNotKnow) {
  EXPECT_EQ(Run("hello 4"), "(error) NOPROTO unsupported protocol version");
  EXPECT_EQ(Run("hello x"), "(error) ERR Protocol version is not an integer or out of range");
  EXPECT_EQ(Run("hello 3 foo"), "(error) ERR Syntax error in HELLO option 'foo'");
  EXPECT_EQ(client().protocol, 2);
}

TEST_F(AdminTest, SelectKnowsItsDatabases) {
  EXPECT_EQ(Run("select 15"), "OK");
  EXPECT_EQ(Run("select 16"), "(error) ERR DB index is out of range");
  EXPECT_EQ(Run("select x"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(client().db.load().value, 15);
}

TEST_F(AdminTest, SubscribersAreConfirmedInOrderAndConfined) {
  EXPECT_EQ(Run("subscribe a b"), R"(["subscribe", "a", 1] ["subscribe", "b", 2])");
  EXPECT_EQ(Run("psubscribe *"), R"(["psubscribe", "*", 3])");
  EXPECT_EQ(Run("ping x"), R"(["pong", "x"])");
  EXPECT_THAT(Run("get k"), StartsWith("(error) ERR Can't execute 'get': only (P|S)SUBSCRIBE"));
  EXPECT_EQ(Run("unsubscribe"), R"(["unsubscribe", "a", 2] ["unsubscribe", "b", 1])");
  EXPECT_EQ(Run("unsubscribe"), R"(["unsubscribe", nil, 1])");
  EXPECT_EQ(Run("punsubscribe * none"), R"(["punsubscribe", "*", 0] ["punsubscribe", "none", 0])");
  FakeClient other;
  Join(other);
  Run(other, "subscribe c");
  EXPECT_EQ(Run("publish c hello"), "1");
  EXPECT_EQ(testing::Readable(other.delivered), R"(["message", "c", "hello"])");
  EXPECT_EQ(Run("pubsub numsub c d"), R"(["c", 1, "d", 0])");
  EXPECT_EQ(Run("pubsub channels"), R"(["c"])");
  Leave(other);
  EXPECT_EQ(Run("publish c hello"), "0");
}

TEST_F(AdminTest, ConfirmationsComeThoughRepliesAreOff) {
  Run("client reply off");
  Run("subscribe a");
  EXPECT_TRUE(client().sends_message);
}

TEST_F(AdminTest, ClientsAreListedKilledAndPaused) {
  FakeClient other;
  Join(other);
  EXPECT_THAT(Run("client list"), AllOf(HasSubstr("id=1 "), HasSubstr("id=2 ")));
  EXPECT_THAT(Run("client list id 2"), Not(HasSubstr("id=1 ")));
  EXPECT_EQ(Run("client kill id 2"), "1");
  EXPECT_TRUE(other.closed);
  EXPECT_EQ(Run("client kill 9.9.9.9:1"), "(error) ERR No such client");
  EXPECT_EQ(Run("client kill user bob"), "(error) ERR No such user 'bob'");
  EXPECT_EQ(Run("client kill id 0"), "(error) ERR client-id should be greater than 0");
  EXPECT_EQ(Run("client pause 10 foo"), "(error) ERR CLIENT PAUSE mode must be WRITE or ALL");
  EXPECT_EQ(Run("client pause -1"), "(error) ERR timeout is negative");
  EXPECT_EQ(Run("client reply off"), "(none)");
  EXPECT_EQ(Run("client setname"), "(error) ERR wrong number of arguments for 'client|setname' command");
  Leave(other);
}

TEST_F(AdminTest, SnapshotsAreMadeOneAtATime) {
  EXPECT_EQ(Run("bgsave"), "Background saving started");
  EXPECT_EQ(Run("bgsave"), "(error) ERR Background save already in progress");
  ASSERT_EQ(host().jobs.size(), 1U);
  host().jobs[0]();
  EXPECT_THAT(Run("info persistence"), HasSubstr("rdb_last_bgsave_status:ok"));
  EXPECT_EQ(Run("save"), "OK");
  EXPECT_NE(Run("lastsave"), "0");
}

TEST_F(AdminTest, ShutdownAsksTheHost) {
  EXPECT_EQ(Run("shutdown foo"), "(error) ERR syntax error");
  EXPECT_EQ(Run("shutdown abort"), "(error) ERR No shutdown in progress.");
  EXPECT_EQ(host().stops_with_flush + host().stops_at_once, 0);
  EXPECT_EQ(Run("shutdown nosave"), "(none)");
  EXPECT_EQ(Run("shutdown now force"), "(none)");
  EXPECT_EQ(host().stops_at_once, 2);
  EXPECT_EQ(Run("shutdown"), "(none)");
  EXPECT_EQ(Run("shutdown save"), "(none)");
  EXPECT_EQ(host().stops_with_flush, 2);
}

TEST_F(AdminTest, SlowlogAndLatencyShowWhatTheyKeep) {
  server().slowlog.SetThreshold(0);
  Run("set k v");
  EXPECT_THAT(Run("slowlog get 1"),
              MatchesRegex(R"(\[\[0, [0-9]+, [0-9]+, \["set", "k", "v"\], "127.0.0.1:1000", ""\]\])"));
  EXPECT_EQ(Run("slowlog get -2"), "(error) ERR count should be greater than or equal to -1");
  EXPECT_EQ(Run("slowlog reset"), "OK");
  server().latency.Add("command", 100, 5);
  server().latency.Add("command", 50, 6);
  EXPECT_EQ(Run("latency latest"), R"([["command", 6, 50, 100]])");
  EXPECT_EQ(Run("latency history command"), "[[5, 100], [6, 50]]");
  EXPECT_EQ(Run("latency graph none"), "(error) ERR No samples available for event 'none'");
  EXPECT_EQ(Run("latency reset"), "1");
  client().protocol = 3;
  EXPECT_THAT(Run("latency histogram set"),
              MatchesRegex(R"(\{"set": \{"calls": 1, "histogram_usec": \{[0-9]+: 1\}\}\})"));
}

TEST_F(AdminTest, MemoryUsageCountsKeyAndValue) {
  EXPECT_EQ(Run("memory usage k"), "nil");
  Run({"set", "k", std::string(1000, 'v')});
  EXPECT_EQ(Run("memory usage k"), "1049");
  Run({"hset", "h", "f", std::string(1000, 'v')});
  EXPECT_EQ(Run("memory usage h samples 0"), "1098");
  EXPECT_EQ(Run("memory usage k samples"), "(error) ERR syntax error");
}

TEST_F(AdminTest, CommandInfoHasTheShapeOfRedis) {
  EXPECT_EQ(Run("command info get nosuch"),
            R"([["get", 2, [readonly, fast], 1, 1, 1, [@read, @string, @fast], [], )"
            R"([["flags", [RO, access], "begin_search", ["type", "index", "spec", ["index", 1]], )"
            R"("find_keys", ["type", "range", "spec", ["lastkey", 0, "keystep", 1, "limit", 0]]]], []], nil])");
  EXPECT_EQ(
      Run("command info config|get"),
      "[[\"config|get\", -3, [admin, noscript, loading, stale], 0, 0, 0, [@admin, @slow, @dangerous], [], [], []]]");
  EXPECT_EQ(Run("command count"), std::to_string(CommandTable::Get().all().size()));
  client().protocol = 3;
  EXPECT_THAT(Run("command docs getset config|get"),
              AllOf(StartsWith(R"({"getset": {"summary": )"), HasSubstr(R"("config|get": {"summary": )")));
}

TEST_F(AdminTest, CommandFindsKeys) {
  EXPECT_EQ(Run("command getkeys mset a 1 b 2"), R"(["a", "b"])");
  EXPECT_EQ(Run("command getkeys ping x"), "(error) ERR The command has no key arguments");
  EXPECT_EQ(Run("command getkeys nosuch x"), "(error) ERR Invalid command specified");
  EXPECT_EQ(Run("command getkeys get"), "(error) ERR wrong number of arguments for 'command|getkeys' command");
  EXPECT_EQ(Run("command getkeysandflags get a"), R"([["a", [RO, access]]])");
  EXPECT_EQ(Run("command getkeysandflags rename a b"), R"([["a", [RW, access, delete]], ["b", [OW, update]]])");
  EXPECT_EQ(Run("command list filterby pattern hse*x"), R"(["hsetnx"])");
  EXPECT_EQ(Run("command list filterby foo x"), "(error) ERR syntax error");
}

TEST_F(AdminTest, ExpiryThatStandsStillIsSeenAndLetGoOn) {
  EXPECT_EQ(Run("expiry status"), "-1");
  EXPECT_EQ(Run("expiry thaw"), "OK") << "asking again is free";
  EXPECT_THAT(Run("info store"), HasSubstr("expiry_stands_at_ms:0"));
  EXPECT_THAT(Run("expiry melt"), StartsWith("(error) ERR unknown subcommand"));
}

}  // namespace
}  // namespace tidemark::commands
