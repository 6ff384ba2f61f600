// Waiting for keys, through the dispatcher and a real engine: who is served, in which order, and that nothing is lost
// when the waiting ends in another way.
#include "commands/blocked_clients.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "commands/testing_server.h"

namespace tidemark::commands {
namespace {

using testing::FakeClient;
using testing::TestServer;

class BlockedClientsTest : public ::testing::Test {
 protected:
  ~BlockedClientsTest() override {
    for (FakeClient& client : clients_) {
      if (client.deferred != nullptr) client.deferred->Abandon();
      server_.Leave(client);
    }
  }
  FakeClient& NewClient() {
    server_.Join(clients_.emplace_back());
    return clients_.back();
  }
  std::string Run(const char* line) { return server_.Run(line); }
  std::string Run(FakeClient& client, const char* line) { return server_.Run(client, line); }
  // The reply of who waited; "(waits)" while there is none.
  std::string Reply(FakeClient& client) {
    return client.deferred->Park([] {}) ? "(waits)" : server_.Answered(client);
  }
  bool nobody_waits() { return !server_.blocked().listening(); }

  TestServer server_;
  std::deque<FakeClient> clients_;
};

TEST_F(BlockedClientsTest, AnElementThatIsThereIsTakenAtOnceAndOneThatComesIsHandedOver) {
  FakeClient& waiter = NewClient();
  Run("RPUSH a 1 2");
  EXPECT_EQ(Run(waiter, "BLPOP none a 0"), R"(["a", "1"])");
  EXPECT_EQ(Run(waiter, "BRPOP b 0"), "(waits)");
  EXPECT_EQ(Reply(waiter), "(waits)");
  EXPECT_EQ(Run("RPUSH b x y"), "2");
  EXPECT_EQ(Reply(waiter), R"(["b", "y"])");
  EXPECT_EQ(Run("LRANGE b 0 -1"), R"(["x"])");
  EXPECT_TRUE(nobody_waits());
}

TEST_F(BlockedClientsTest, WaitersAreServedInOrderOfArrivalAndOneElementServesOne) {
  FakeClient& first = NewClient();
  FakeClient& second = NewClient();
  FakeClient& third = NewClient();
  EXPECT_EQ(Run(second, "BLPOP q 0"), "(waits)");
  EXPECT_EQ(Run(first, "BLPOP other q 0"), "(waits)");
  EXPECT_EQ(Run(third, "BLPOP q 0"), "(waits)");
  Run("RPUSH q 1");
  EXPECT_EQ(Reply(second), R"(["q", "1"])");
  EXPECT_EQ(Reply(first), "(waits)");
  Run("RPUSH q 2 3 4");
  EXPECT_EQ(Reply(first), R"(["q", "2"])");
  EXPECT_EQ(Reply(third), R"(["q", "3"])");
  EXPECT_EQ(Run("LRANGE q 0 -1"), R"(["4"])");
}

TEST_F(BlockedClientsTest, AWaiterOfSeveralKeysGetsTheOneThatChangedFirst) {
  FakeClient& waiter = NewClient();
  EXPECT_EQ(Run(waiter, "BLPOP a b 0"), "(waits)");
  Run("MULTI");
  Run("RPUSH b 1");
  Run("RPUSH a 2");
  EXPECT_EQ(Run("EXEC"), "[1, 1]");
  EXPECT_EQ(Reply(waiter), R"(["b", "1"])");
  EXPECT_EQ(Run("LLEN a"), "1");
}

TEST_F(BlockedClientsTest, WhatATransactionTakesBackWakesNobody) {
  FakeClient& waiter = NewClient();
  EXPECT_EQ(Run(waiter, "BLPOP q 0"), "(waits)");
  Run("MULTI");
  Run("RPUSH q 1");
  Run("DEL q");
  EXPECT_EQ(Run("EXEC"), "[1, 1]");
  EXPECT_EQ(Reply(waiter), "(waits)");
  Run("SET q text");
  EXPECT_EQ(Reply(waiter), "(waits)") << "a key of another type serves nobody";
  Run("MULTI");
  Run("DEL q");
  Run("RPUSH q 2");
  EXPECT_EQ(Run("EXEC"), "[1, 1]");
  EXPECT_EQ(Reply(waiter), R"(["q", "2"])");
}

TEST_F(BlockedClientsTest, EveryWayInWhichAListAppearsWakes) {
  const std::vector<std::vector<const char*>> ways = {{"RPUSH x e", "RENAME x q"},
                                                      {"RPUSH x e", "COPY x q"},
                                                      {"SELECT 1", "RPUSH q e", "SWAPDB 0 1"},
                                                      {"SELECT 1", "RPUSH q e", "MOVE q 0"},
                                                      {"RPUSH x e", "LMOVE x q LEFT LEFT"}};
  for (const std::vector<const char*>& way : ways) {
    FakeClient& waiter = NewClient();
    EXPECT_EQ(Run(waiter, "BLPOP q 0"), "(waits)");
    for (const char* line : way) Run(line);
    EXPECT_EQ(Reply(waiter), R"(["q", "e"])") << way.back();
    Run("FLUSHALL");
    Run("SELECT 0");
  }
  EXPECT_TRUE(nobody_waits());
}

TEST_F(BlockedClientsTest, MovesChainUntilNoKeyIsReady) {
  FakeClient& last = NewClient();
  FakeClient& middle = NewClient();
  FakeClient& first = NewClient();
  EXPECT_EQ(Run(last, "BLPOP c 0"), "(waits)");
  EXPECT_EQ(Run(middle, "BLMOVE b c LEFT RIGHT 0"), "(waits)");
  EXPECT_EQ(Run(first, "BRPOPLPUSH a b 0"), "(waits)");
  Run("RPUSH a e");
  EXPECT_EQ(Reply(first), "\"e\"");
  EXPECT_EQ(Reply(middle), "\"e\"");
  EXPECT_EQ(Reply(last), R"(["c", "e"])");
  EXPECT_EQ(Run("DBSIZE"), "0");
}

TEST_F(BlockedClientsTest, AMoveToAKeyOfAnotherTypeFailsAndLeavesTheElement) {
  FakeClient& waiter = NewClient();
  FakeClient& next = NewClient();
  Run("SET target text");
  EXPECT_EQ(Run(waiter, "BLMOVE q target LEFT LEFT 0"), "(waits)");
  EXPECT_EQ(Run(next, "BLPOP q 0"), "(waits)");
  Run("RPUSH q e");
  EXPECT_EQ(Reply(waiter), "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
  EXPECT_EQ(Reply(next), R"(["q", "e"])");
}

TEST_F(BlockedClientsTest, ManyElementsAtOnce) {
  FakeClient& waiter = NewClient();
  EXPECT_EQ(Run(waiter, "BLMPOP 0 2 a b RIGHT COUNT 2"), "(waits)");
  Run("RPUSH b 1 2 3");
  EXPECT_EQ(Reply(waiter), R"(["b", ["3", "2"]])");
}

TEST_F(BlockedClientsTest, ADatabaseIsTheOneThatTheWaiterHadSelected) {
  FakeClient& waiter = NewClient();
  Run(waiter, "SELECT 5");
  EXPECT_EQ(Run(waiter, "BLPOP q 0"), "(waits)");
  Run("RPUSH q 0");
  EXPECT_EQ(Reply(waiter), "(waits)");
  Run("SELECT 5");
  Run("RPUSH q 5");
  EXPECT_EQ(Reply(waiter), R"(["q", "5"])");
}

TEST_F(BlockedClientsTest, TheEndOfAWaitLeavesTheElementForTheNext) {
  FakeClient& timed_out = NewClient();
  FakeClient& unblocked = NewClient();
  FakeClient& gone = NewClient();
  FakeClient& patient = NewClient();
  for (FakeClient* client : {&timed_out, &unblocked, &gone, &patient}) {
    EXPECT_EQ(Run(*client, "BLPOP q 0.5"), "(waits)");
  }
  EXPECT_EQ(timed_out.deferred->timeout(), std::chrono::milliseconds(500));
  EXPECT_TRUE(timed_out.deferred->Unblock(false));
  EXPECT_EQ(Reply(timed_out), "nil");
  EXPECT_TRUE(unblocked.deferred->Unblock(true));
  EXPECT_EQ(Reply(unblocked), "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK");
  std::exchange(gone.deferred, nullptr)->Abandon();
  Run("RPUSH q 1");
  EXPECT_EQ(Reply(patient), R"(["q", "1"])");
  EXPECT_EQ(Run("EXISTS q"), "0");
  EXPECT_TRUE(nobody_waits());
}

TEST_F(BlockedClientsTest, RepliesAreInTheProtocolOfTheWaiter) {
  FakeClient& waiter = NewClient();
  Run(waiter, "HELLO 3");
  EXPECT_EQ(Run(waiter, "BLMOVE a b LEFT LEFT 1"), "(waits)");
  waiter.deferred->Unblock(false);
  EXPECT_EQ(std::exchange(waiter.deferred, nullptr)->Take(), "_\r\n");
  FakeClient& old = NewClient();
  EXPECT_EQ(Run(old, "BLMOVE a b LEFT LEFT 1"), "(waits)");
  old.deferred->Unblock(false);
  EXPECT_EQ(std::exchange(old.deferred, nullptr)->Take(), "*-1\r\n");
}

TEST_F(BlockedClientsTest, NothingWaitsWithinATransaction) {
  Run("MULTI");
  for (const char* line : {"BLPOP q 0", "BLMOVE q r LEFT LEFT 0", "BLMPOP 0 1 q LEFT"}) EXPECT_EQ(Run(line), "QUEUED");
  EXPECT_EQ(Run("EXEC"), "[nil, nil, nil]");
  EXPECT_TRUE(nobody_waits());
}

TEST_F(BlockedClientsTest, AChangeOfRoleEndsAllWaits) {
  FakeClient& waiter = NewClient();
  EXPECT_EQ(Run(waiter, "BLPOP q 0"), "(waits)");
  server_.blocked().UnblockAll(server_.server().clients);
  EXPECT_EQ(Reply(waiter),
            "(error) UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)");
  EXPECT_TRUE(waiter.closed);
  EXPECT_TRUE(nobody_waits());
}

TEST_F(BlockedClientsTest, ChangesThatNoCommandMadeAreReportedAndAStallIsTriedAgain) {
  int neglected = 0;
  BlockedClients& blocked = server_.blocked();
  blocked.OnNeglected([&] { ++neglected; });
  FakeClient& waiter = NewClient();
  EXPECT_EQ(Run(waiter, "BLPOP q 0"), "(waits)");
  Run("RPUSH other 1");
  EXPECT_EQ(neglected, 0);
  const absl::Status written = server_.server().engine.Write(kv::Tier::kDisk, false, [](kv::Txn& txn) -> absl::Status {
    types::Keyspace keys(txn, DbIndex{0});
    TM_ASSIGN_OR_RETURN(types::Key from, keys.Find("other"));
    TM_ASSIGN_OR_RETURN(types::Key to, keys.Find("q"));
    keys.Rename(&from, &to);
    return absl::OkStatus();
  });
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(neglected, 1);
  EXPECT_TRUE(blocked.has_ready());
  // As who serves does when the store must catch up first: meanwhile nobody else tries.
  blocked.PutBack(*blocked.TakeReady());
  EXPECT_EQ(neglected, 2);
  EXPECT_FALSE(blocked.has_ready());
  EXPECT_EQ(Reply(waiter), "(waits)");
  server_.dispatcher().ServeBlocked();
  EXPECT_EQ(Reply(waiter), R"(["q", "1"])");
  EXPECT_FALSE(blocked.has_ready());
}

// Elements pushed by some threads, waited for by others, with waits that end for other reasons meanwhile: each element
// arrives exactly once.
TEST_F(BlockedClientsTest, NoElementIsLostOrServedTwiceAmongThreads) {
  constexpr int kElements = 400;
  std::vector<std::atomic<int>> arrived(kElements);
  std::atomic<int> left{kElements};
  std::vector<FakeClient*> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(&NewClient());
  const auto receive = [&](FakeClient& client) {
    while (left > 0) {
      std::string reply = Run(client, "BLPOP q r 0");
      if (reply == "(waits)") {
        // Now and then somebody gives up.
        while ((reply = Reply(client)) == "(waits)") {
          if (left == 0 || client.id % 2 == 0) client.deferred->Unblock(false);
          std::this_thread::yield();
        }
      }
      if (reply == "nil") continue;
      const size_t start = reply.find(", \"") + 3;
      ++arrived[static_cast<size_t>(std::stoi(reply.substr(start)))];
      --left;
    }
  };
  const auto send = [&](FakeClient& client, int from, const char* key) {
    for (int i = from; i < kElements; i += 2) {
      server_.Run(client, std::vector<std::string>{"RPUSH", key, std::to_string(i)});
    }
  };
  std::vector<std::thread> threads;
  threads.emplace_back(receive, std::ref(*clients[0]));
  threads.emplace_back(receive, std::ref(*clients[1]));
  threads.emplace_back(send, std::ref(*clients[2]), 0, "q");
  threads.emplace_back(send, std::ref(*clients[3]), 1, "r");
  for (std::thread& thread : threads) thread.join();
  for (const std::atomic<int>& times : arrived) EXPECT_EQ(times, 1);
  EXPECT_EQ(Run("DBSIZE"), "0");
}

}  // namespace
}  // namespace tidemark::commands
