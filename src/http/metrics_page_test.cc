// What Prometheus reads of replication: the alarm for a full sync that repeats, and how far each replica is.
#include "http/metrics_page.h"

#include <gmock/gmock.h>

#include "commands/testing_server.h"

namespace tidemark::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricsPageTest, TellsOfReplicasAndFullSyncs) {
  commands::testing::TestServer tested;
  replication::Status& node = tested.replication().now;
  node.end = Lsn{1000};
  node.history = {{.timeline = Timeline{3}, .id = {}, .fork = {}}};
  node.counters.full_syncs = 2;
  node.counters.repeated_full_syncs = 1;
  replication::ReplicaStatus& replica = tested.replication().AddReplica("10.0.0.2", 6380, Lsn{900}, Lsn{700});
  replica.id = "r1";
  replica.connected = false;
  const std::string page = MetricsPage(tested.server(), tested.tasks());
  for (const char* line :
       {"redis_instance_info{tidemark_version=", "role=\"master\"} 1\n", "tidemark_timeline 3\n",
        "redis_connected_slaves 0\n", "tidemark_replica_connected{replica=\"r1\",address=\"10.0.0.2:6380\"} 0\n",
        "tidemark_replica_lag_bytes{replica=\"r1\",address=\"10.0.0.2:6380\"} 100\n",
        "tidemark_replica_apply_lag_bytes{replica=\"r1\",address=\"10.0.0.2:6380\"} 300\n",
        "tidemark_full_syncs_total 2\n", "tidemark_repeated_full_syncs_total 1\n",
        "tidemark_lease_held_bytes{lease=\"engine\"}", "tidemark_lease_broken{lease=\"engine\"} 0\n"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
  EXPECT_THAT(page, Not(HasSubstr("redis_master_link_up"))) << "a primary has no link that could be down";
}

TEST(MetricsPageTest, TellsOfTheLinkOfAReplica) {
  commands::testing::TestServer tested;
  tested.replication().Follow({"10.0.0.1", 6379});
  replication::LinkStatus& link = *tested.replication().now.link;
  tested.replication().now.end = Lsn{1000};
  link.primary_end = Lsn{1500};
  link.state = replication::LinkState::kSync;
  link.down_since_ms = Clock::System().WallMicros() / 1000 - 90'000;
  link.sync_bytes_total = 50;
  link.sync_bytes_read = 20;
  const std::string page = MetricsPage(tested.server(), tested.tasks());
  for (const char* line :
       {"role=\"slave\"} 1\n", "redis_master_link_up 0\n", "tidemark_link_down_seconds 9",
        "redis_master_sync_in_progress 1\n", "tidemark_sync_left_bytes 30\n", "tidemark_link_lag_bytes 500\n"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

}  // namespace
}  // namespace tidemark::http
