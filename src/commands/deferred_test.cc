#include "commands/deferred.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "commands/client_registry.h"
#include "commands/testing.h"

namespace tidemark::commands {
namespace {

TEST(DeferredTest, AnAnswerBeforeTheHandlerReturnsIsTakenAtOnce) {
  Deferred deferred;
  deferred.Answer("+OK\r\n");
  EXPECT_FALSE(deferred.Park([] { FAIL() << "nobody waits"; }));
  EXPECT_EQ(deferred.Take(), "+OK\r\n");
}

TEST(DeferredTest, TheFirstEndCounts) {
  Deferred deferred;
  int woken = 0;
  int cancelled = 0;
  deferred.OnCancel([&] { ++cancelled; });
  ASSERT_TRUE(deferred.Park([&] { ++woken; }));
  deferred.Answer(":1\r\n");
  deferred.Answer(":2\r\n");
  EXPECT_FALSE(deferred.Unblock(true));
  deferred.Abandon();
  EXPECT_EQ(deferred.Take(), ":1\r\n");
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(cancelled, 0);
}

TEST(DeferredTest, WhoGoesCancelsOnceAndHearsNothing) {
  Deferred deferred;
  int woken = 0;
  int cancelled = 0;
  deferred.OnCancel([&] { ++cancelled; });
  ASSERT_TRUE(deferred.Park([&] { ++woken; }));
  deferred.Abandon();
  deferred.Abandon();
  deferred.Answer("+late\r\n");
  EXPECT_EQ(cancelled, 1);
  EXPECT_EQ(woken, 0);
}

TEST(DeferredTest, UnblockingCancelsAndAnswersAsAskedFor) {
  for (const bool with_error : {false, true}) {
    Deferred deferred;
    int cancelled = 0;
    deferred.OnCancel([&] { ++cancelled; });
    deferred.OnTimeout([] { return std::string(":0\r\n"); });
    ASSERT_TRUE(deferred.Park([] {}));
    EXPECT_TRUE(deferred.Unblock(with_error));
    EXPECT_EQ(deferred.Take(), with_error ? "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n" : ":0\r\n");
    EXPECT_EQ(cancelled, 1);
  }
}

TEST(DeferredTest, RacingEndsLeaveOneReplyAndOneWake) {
  for (int round = 0; round < 200; ++round) {
    auto deferred = std::make_shared<Deferred>();
    std::atomic<int> woken{0};
    std::atomic<int> unblocked{0};
    std::vector<std::thread> threads;
    threads.emplace_back([&] { deferred->Answer(":1\r\n"); });
    threads.emplace_back([&] { unblocked += deferred->Unblock(true) ? 1 : 0; });
    const bool parked = deferred->Park([&] { ++woken; });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(woken.load(), parked ? 1 : 0);
    EXPECT_EQ(deferred->Take().starts_with("-UNBLOCKED"), unblocked.load() == 1);
  }
}

TEST(DeferredTest, TheRegistryFindsWhoWaits) {
  ClientRegistry registry;
  testing::FakeClient client;
  registry.Add(client);
  EXPECT_FALSE(registry.Unblock(client.id, true));
  const auto deferred = std::make_shared<Deferred>();
  ASSERT_TRUE(deferred->Park([] {}));
  registry.BeginWait(client, deferred);
  EXPECT_EQ(registry.stats().blocked, 1U);
  EXPECT_FALSE(registry.Unblock(client.id + 1, true));
  EXPECT_TRUE(registry.Unblock(client.id, true));
  EXPECT_FALSE(registry.Unblock(client.id, true));
  registry.EndWait(client);
  EXPECT_EQ(registry.stats().blocked, 0U);
  registry.Remove(client);
}

}  // namespace
}  // namespace tidemark::commands
