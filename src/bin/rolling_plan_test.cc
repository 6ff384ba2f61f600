#include "bin/rolling_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::bin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

NodeAddress At(uint16_t port) { return {.host = "10.0.0.1", .port = port}; }

NodeView Primary(uint16_t port, std::vector<ListedReplica> replicas) {
  NodeView view{.address = At(port), .run_id = "run" + std::to_string(port), .primary = true, .end = 100};
  view.replicas = std::move(replicas);
  return view;
}
NodeView Replica(uint16_t port, uint16_t primary) {
  return {.address = At(port), .run_id = "run" + std::to_string(port), .follows = At(primary), .link_up = true};
}

std::string Doubt(const std::vector<NodeView>& views) {
  return std::string(Message(PlanRollingRestart(views).status()));
}

TEST(RollingPlan, RestartsThePrimaryLast) {
  const auto plan = PlanRollingRestart(
      {Replica(1, 2), Primary(2, {{At(3), true, 100}, {At(1), true, 90}, {At(9), true, 0}}), Replica(3, 2)});
  ASSERT_TRUE(plan.ok()) << Message(plan.status());
  EXPECT_EQ(plan->primary, 1U);
  EXPECT_THAT(plan->order, ElementsAre(0, 2, 1));
  ASSERT_EQ(plan->unnamed.size(), 1U);
  EXPECT_EQ(plan->unnamed[0].text(), "10.0.0.1:9");
}

TEST(RollingPlan, StopsAtDoubts) {
  const NodeView primary = Primary(1, {{At(2), true, 100}});
  EXPECT_THAT(Doubt({Replica(2, 1)}), HasSubstr("none of the nodes"));
  EXPECT_THAT(Doubt({primary, Primary(2, {})}), HasSubstr("10.0.0.1:1 and 10.0.0.1:2 both say"));
  EXPECT_THAT(Doubt({primary}), HasSubstr("cannot hand over"));
  EXPECT_THAT(Doubt({primary, Replica(2, 1), Replica(3, 2)}), HasSubstr("which says that it follows 10.0.0.1:2"));
  EXPECT_THAT(Doubt({Primary(1, {{At(2), false, 0}}), Replica(2, 1)}), HasSubstr("snapshot"));
  NodeView down = Replica(2, 1);
  down.link_up = false;
  EXPECT_THAT(Doubt({primary, down}), HasSubstr("is down"));
  NodeView twice = Replica(2, 1);
  twice.address.host = "localhost";
  twice.hosts = {"10.0.0.1"};
  EXPECT_THAT(Doubt({primary, Replica(2, 1), twice}), HasSubstr("are the same node"));
  NodeView busy = primary;
  busy.failing_over = true;
  EXPECT_THAT(Doubt({busy, Replica(2, 1)}), HasSubstr("handing over"));
}

TEST(RollingPlan, HandsOverToTheMostAdvanced) {
  const NodeView primary = Primary(1, {{At(2), true, 80}, {At(3), true, 90}, {At(4), false, 95}, {At(5), true, 90}});
  const std::vector<NodeView> views = {primary, Replica(2, 1), Replica(3, 1), Replica(4, 1), Replica(5, 1)};
  EXPECT_EQ(MostAdvanced(primary, views)->address.port, 3);
  EXPECT_EQ(MostAdvanced(Primary(1, {}), views), nullptr);
}

TEST(RollingPlan, SaysWhatIsMissing) {
  const NodeView primary = Primary(1, {{At(2), true, 80}});
  EXPECT_EQ(MissingBelow(80, primary, {primary, Replica(2, 1)}), "");
  EXPECT_THAT(MissingBelow(81, primary, {primary, Replica(2, 1)}), HasSubstr("lacks 1 bytes"));
  EXPECT_THAT(MissingBelow(80, primary, {primary, Replica(2, 1), Replica(3, 1)}), HasSubstr("no replica 10.0.0.1:3"));
}

TEST(RollingPlan, ReadsInfo) {
  const auto view = ParseView(At(1), {},
                              "# Server\r\nrun_id:abc\r\n# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
                              "slave0:ip=::1,port=7001,state=online,offset=7,lag=0\r\n"
                              "slave1:ip=h,port=7002,state=send_bulk,offset=0,lag=0\r\n"
                              "master_failover_state:waiting-for-sync\r\nmaster_repl_offset:9\r\n");
  ASSERT_TRUE(view.ok()) << Message(view.status());
  EXPECT_TRUE(view->primary && view->failing_over);
  EXPECT_EQ(view->end, 9U);
  ASSERT_EQ(view->replicas.size(), 2U);
  EXPECT_EQ(view->replicas[0].address.text(), "[::1]:7001");
  EXPECT_EQ(view->replicas[0].offset, 7U);
  EXPECT_TRUE(view->replicas[0].online && !view->replicas[1].online);
  const auto replica = ParseView(At(1), {},
                                 "run_id:abc\r\nrole:slave\r\nmaster_host:h\r\nmaster_port:6\r\n"
                                 "master_link_status:up\r\nmaster_repl_offset:0\r\n");
  ASSERT_TRUE(replica.ok());
  EXPECT_TRUE(!replica->primary && replica->link_up);
  EXPECT_EQ(replica->follows.text(), "h:6");
  EXPECT_FALSE(ParseView(At(1), {}, "role:master\r\n").ok());
}

}  // namespace
}  // namespace tidemark::bin
