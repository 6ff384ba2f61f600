#include "commands/client_registry.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "commands/testing.h"

namespace tidemark::commands {
namespace {

using testing::FakeClient;
using ::testing::HasSubstr;
using ::testing::Not;

class ClientRegistryTest : public ::testing::Test {
 protected:
  ClientRegistryTest() {
    a_.address = "127.0.0.1:1000";
    b_.address = "127.0.0.1:2000";
    registry_.Add(a_);
    registry_.Add(b_);
  }
  ~ClientRegistryTest() override {
    registry_.Remove(a_);
    registry_.Remove(b_);
  }

  ClientRegistry registry_;
  FakeClient a_;
  FakeClient b_;
};

TEST_F(ClientRegistryTest, DescribesAClientWithTheFieldsOfRedis) {
  a_.created_ms = 1000;
  a_.last_interaction_ms = 9000;
  a_.db = DbIndex{3};
  ASSERT_TRUE(registry_.SetName(a_, "me").ok());
  EXPECT_EQ(
      registry_.Describe(a_, 11'000),
      "id=1 addr=127.0.0.1:1000 laddr= fd=-1 name=me age=10 idle=2 flags=N db=3 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 "
      "qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=" +
          std::to_string(sizeof(Client)) + " events=r cmd=NULL user=default redir=-1 resp=2");
}

TEST_F(ClientRegistryTest, ListsByTypeAndId) {
  b_.channel_count = 1;
  EXPECT_THAT(registry_.List({.type = ClientType::kPubsub}, 0), AllOf(HasSubstr("id=2 "), Not(HasSubstr("id=1 "))));
  EXPECT_THAT(registry_.List({.ids = {1, 7}}, 0), AllOf(HasSubstr("id=1 "), Not(HasSubstr("id=2 "))));
}

TEST_F(ClientRegistryTest, KillsWhatFitsAndSparesWhomItIsToldTo) {
  EXPECT_EQ(registry_.Kill({.address = "127.0.0.1:9"}, a_), 0U);
  EXPECT_EQ(registry_.Kill({.except = &a_}, a_), 1U);
  EXPECT_FALSE(a_.closed);
  EXPECT_TRUE(b_.closed);
}

TEST_F(ClientRegistryTest, RefusesNamesThatWouldBreakTheList) {
  EXPECT_FALSE(registry_.SetName(a_, "a b").ok());
  EXPECT_FALSE(registry_.SetName(a_, "a\nb").ok());
  EXPECT_EQ(a_.name, "");
}

TEST_F(ClientRegistryTest, WhoWaitsForAPauseIsToldOfItsEnd) {
  int told = 0;
  registry_.OnUnpause([&] {
    ++told;
    EXPECT_EQ(registry_.pause_state(), PauseState::kNone);
  });
  registry_.Pause(PauseState::kAll, ClientRegistry::MonotonicMillis() + 100'000);
  EXPECT_EQ(told, 0);
  registry_.Unpause();
  EXPECT_EQ(told, 1);
}

TEST_F(ClientRegistryTest, APauseIsOnlyMadeLongerAndStricter) {
  const uint64_t now = ClientRegistry::MonotonicMillis();
  EXPECT_EQ(registry_.pause_state(), PauseState::kNone);
  registry_.Pause(PauseState::kWrite, now + 100'000);
  EXPECT_EQ(registry_.pause_state(), PauseState::kWrite);
  registry_.Pause(PauseState::kAll, now + 10);
  EXPECT_EQ(registry_.pause_state(), PauseState::kAll);
  EXPECT_GT(registry_.PauseLeft(), 50'000U);
  registry_.Unpause();
  EXPECT_EQ(registry_.pause_state(), PauseState::kNone);
  registry_.Pause(PauseState::kWrite, now);
  EXPECT_EQ(registry_.pause_state(), PauseState::kNone) << "its end has passed";
}

TEST_F(ClientRegistryTest, IsListedWhileClientsChangeAndComeAndGo) {
  std::atomic<bool> done{false};
  std::thread other([&] {
    for (int i = 0; i < 500; ++i) {
      FakeClient client;
      registry_.Add(client);
      client.db = DbIndex{1};
      client.protocol = 3;
      client.in_multi = true;
      ASSERT_TRUE(registry_.SetName(client, "n" + std::to_string(i)).ok());
      registry_.Remove(client);
    }
    done = true;
  });
  while (!done) EXPECT_THAT(registry_.List({}, 0), HasSubstr("id=1 "));
  other.join();
  EXPECT_EQ(registry_.stats().received, 502U);
  EXPECT_EQ(registry_.connected(), 2U);
}

}  // namespace
}  // namespace tidemark::commands
