#include "commands/key_notifier.h"

#include <gtest/gtest.h>

#include "commands/testing_server.h"

namespace tidemark::commands {
namespace {

using testing::FakeClient;
using testing::TestServer;

class KeyNotifierTest : public ::testing::Test {
 protected:
  KeyNotifierTest() {
    server_.Join(listener_);
    server_.Run(listener_, "PSUBSCRIBE *");
  }
  ~KeyNotifierTest() override { server_.Leave(listener_); }

  // "event key" of each message of the keyevent channel since the last call, separated by ", ".
  std::string Events() {
    std::string text;
    std::string_view rest = listener_.delivered;
    while (!rest.empty()) {
      const std::string message = *testing::TakeReadable(&rest);
      const std::string prefix = "[\"pmessage\", \"*\", \"__keyevent@0__:";
      EXPECT_TRUE(message.starts_with(prefix)) << message;
      const std::string body = message.substr(prefix.size(), message.size() - prefix.size() - 2);
      const size_t middle = body.find("\", \"");
      text += (text.empty() ? "" : ", ") + body.substr(0, middle) + " " + body.substr(middle + 4);
    }
    listener_.delivered.clear();
    return text;
  }
  std::string EventsOf(const char* line) {
    server_.Run(line);
    return Events();
  }

  TestServer server_;
  FakeClient listener_;
};

TEST_F(KeyNotifierTest, NothingGoesOutUnlessChannelsAndEventsAreChosen) {
  EXPECT_EQ(EventsOf("SET a 1"), "");
  server_.Run("CONFIG SET notify-keyspace-events A");
  EXPECT_EQ(EventsOf("SET a 1"), "");
  server_.Run("CONFIG SET notify-keyspace-events El");
  EXPECT_EQ(EventsOf("SET a 1"), "");
  server_.Run("CONFIG SET notify-keyspace-events E$");
  EXPECT_EQ(EventsOf("SET a 1 EX 100"), "set a");
}

TEST_F(KeyNotifierTest, BothChannelsGetTheEvent) {
  server_.Run("CONFIG SET notify-keyspace-events KEA");
  server_.Run("SELECT 3");
  server_.Run("SET a 1");
  EXPECT_EQ(listener_.delivered,
            "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$16\r\n__keyspace@3__:a\r\n$3\r\nset\r\n"
            "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$18\r\n__keyevent@3__:set\r\n$1\r\na\r\n");
}

TEST_F(KeyNotifierTest, CommandsHaveRedissEvents) {
  server_.Run("CONFIG SET notify-keyspace-events EAnm");
  EXPECT_EQ(EventsOf("SET a 1"), "new a, set a");
  EXPECT_EQ(EventsOf("SET a 1 EX 100"), "set a, expire a");
  EXPECT_EQ(EventsOf("GET b"), "keymiss b");
  EXPECT_EQ(EventsOf("DECRBY a 2"), "incrby a");
  EXPECT_EQ(EventsOf("INCRBYFLOAT a 2"), "incrbyfloat a");
  EXPECT_EQ(EventsOf("APPEND a 2"), "append a");
  EXPECT_EQ(EventsOf("SETRANGE a 2 x"), "setrange a");
  EXPECT_EQ(EventsOf("SETBIT a 100 1"), "setbit a");
  EXPECT_EQ(EventsOf("EXPIRE a 100"), "expire a");
  EXPECT_EQ(EventsOf("PERSIST a"), "persist a");
  EXPECT_EQ(EventsOf("PERSIST a"), "");
  EXPECT_EQ(EventsOf("COPY a b"), "new b, copy_to b");
  EXPECT_EQ(EventsOf("COPY a b REPLACE"), "new b, copy_to b");
  EXPECT_EQ(EventsOf("RENAME a b"), "new b, rename_from a, rename_to b");
  EXPECT_EQ(EventsOf("HSET h f 1 g 2"), "new h, hset h");
  EXPECT_EQ(EventsOf("HINCRBY h f 1"), "hincrby h");
  EXPECT_EQ(EventsOf("HDEL h f x"), "hdel h");
  EXPECT_EQ(EventsOf("HDEL h g"), "hdel h, del h");
  EXPECT_EQ(EventsOf("DEL b nothing"), "del b");
  EXPECT_EQ(EventsOf("EXPIRE nothing 1"), "");
  EXPECT_EQ(EventsOf("MSET x 1 y 2"), "new x, set x, new y, set y");
  EXPECT_EQ(EventsOf("GETDEL x"), "del x");
  EXPECT_EQ(EventsOf("PEXPIREAT y 1"), "del y");
}

TEST_F(KeyNotifierTest, WhatIsRolledBackIsNotToldAndWhatIsQueuedComesInOrder) {
  server_.Run("CONFIG SET notify-keyspace-events EA");
  server_.Run("SET text abc");
  Events();
  EXPECT_EQ(EventsOf("INCR text"), "");
  server_.Run("MULTI");
  server_.Run("SET a 1");
  server_.Run("INCR text");
  server_.Run("HSET h f v");
  EXPECT_EQ(Events(), "");
  EXPECT_EQ(EventsOf("EXEC"), "set a, hset h");
}

TEST_F(KeyNotifierTest, AnExpiredKeyIsToldWhenItIsSweptOrReplaced) {
  server_.Run("CONFIG SET notify-keyspace-events EAn");
  server_.server().engine.SetActiveExpire(false);
  server_.Run("SET a 1 PXAT 1");
  Events();
  EXPECT_EQ(EventsOf("SET a 2"), "expired a, new a, set a");
  server_.Run("SET a 1 PXAT 1");
  Events();
  EXPECT_EQ(EventsOf("DEL a"), "expired a");
  server_.server().notifier->OnKeyExpired(DbIndex{0}, "b");
  EXPECT_EQ(Events(), "expired b");
}

TEST_F(KeyNotifierTest, EventsKeepTheOrderOfCommitsWhoeverComesFirst) {
  server_.Run("CONFIG SET notify-keyspace-events EA");
  KeyNotifier& notifier = *server_.server().notifier;
  const auto event = [](const char* key) {
    return KeyNotifier::Events{{types::EventClass::kString, "set", key, DbIndex{0}}};
  };
  const uint64_t first = notifier.TakePlace();
  const uint64_t second = notifier.TakePlace();
  const uint64_t third = notifier.TakePlace();
  notifier.Publish(third, event("c"));
  notifier.Publish(second, {});
  EXPECT_EQ(Events(), "");
  notifier.Publish(first, event("a"));
  EXPECT_EQ(Events(), "set a, set c");
}

}  // namespace
}  // namespace tidemark::commands
