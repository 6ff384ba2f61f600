#include "commands/pubsub.h"

#include <gtest/gtest.h>

#include <thread>

#include "commands/testing.h"

namespace tidemark::commands {
namespace {

using Kind = Pubsub::Kind;

// Keeps what was delivered, from any thread.
class Listener : public testing::FakeClient {
 public:
  void Deliver(std::shared_ptr<const std::string> bytes) override { messages.push_back(std::move(bytes)); }
  std::string Message(size_t i) const { return testing::Readable(*messages[i]); }

  std::vector<std::shared_ptr<const std::string>> messages;
};

TEST(PubsubTest, AMessageGoesToChannelAndPatternsInTheProtocolOfEach) {
  Pubsub pubsub;
  Listener two;
  Listener three;
  three.protocol = 3;
  EXPECT_TRUE(pubsub.Subscribe(Kind::kChannel, two, "news"));
  EXPECT_FALSE(pubsub.Subscribe(Kind::kChannel, two, "news"));
  EXPECT_TRUE(pubsub.Subscribe(Kind::kChannel, three, "news"));
  EXPECT_TRUE(pubsub.Subscribe(Kind::kPattern, two, "n*s"));
  EXPECT_EQ(pubsub.Publish(Kind::kChannel, "news", "hello"), 3U);
  ASSERT_EQ(two.messages.size(), 2U);
  EXPECT_EQ(two.Message(0), R"(["message", "news", "hello"])");
  EXPECT_EQ(two.Message(1), R"(["pmessage", "n*s", "news", "hello"])");
  ASSERT_EQ(three.messages.size(), 1U);
  EXPECT_EQ(three.Message(0), R"(>["message", "news", "hello"])");
  EXPECT_EQ(two.channel_count, 1U);
  EXPECT_EQ(two.pattern_count, 1U);
}

TEST(PubsubTest, ReceiversShareTheBytes) {
  Pubsub pubsub;
  Listener a;
  Listener b;
  pubsub.Subscribe(Kind::kChannel, a, "c");
  pubsub.Subscribe(Kind::kChannel, b, "c");
  pubsub.Publish(Kind::kChannel, "c", "m");
  EXPECT_EQ(a.messages[0].get(), b.messages[0].get());
}

TEST(PubsubTest, NothingComesAfterTheEnd) {
  Pubsub pubsub;
  Listener a;
  pubsub.Subscribe(Kind::kChannel, a, "c");
  pubsub.Subscribe(Kind::kPattern, a, "*");
  pubsub.Subscribe(Kind::kShard, a, "c");
  EXPECT_EQ(pubsub.Publish(Kind::kShard, "c", "m"), 1U) << "patterns do not hear shard channels";
  EXPECT_EQ(a.Message(0), R"(["smessage", "c", "m"])");
  EXPECT_TRUE(pubsub.Unsubscribe(Kind::kChannel, a, "c"));
  EXPECT_FALSE(pubsub.Unsubscribe(Kind::kChannel, a, "c"));
  pubsub.Remove(a);
  EXPECT_EQ(a.subscriptions(), 0U);
  EXPECT_EQ(pubsub.Publish(Kind::kChannel, "c", "m") + pubsub.Publish(Kind::kShard, "c", "m"), 0U);
  EXPECT_EQ(pubsub.Count(Kind::kChannel) + pubsub.Count(Kind::kPattern) + pubsub.Count(Kind::kShard), 0U);
}

TEST(PubsubTest, NamesAreListedWhileSomebodyListens) {
  Pubsub pubsub;
  Listener a;
  pubsub.Subscribe(Kind::kChannel, a, "one");
  pubsub.Subscribe(Kind::kChannel, a, "two");
  EXPECT_EQ(pubsub.Channels(Kind::kChannel, "o*"), std::vector<std::string>{"one"});
  EXPECT_EQ(pubsub.Channels(Kind::kChannel, "*").size(), 2U);
  EXPECT_EQ(pubsub.Listeners(Kind::kChannel, "one"), 1U);
  EXPECT_EQ(pubsub.Listeners(Kind::kChannel, "none"), 0U);
  pubsub.Remove(a);
}

TEST(PubsubTest, AllHearMessagesOfManyThreadsInOneOrder) {
  constexpr int kMessages = 300;
  Pubsub pubsub;
  Listener a;
  Listener b;
  pubsub.Subscribe(Kind::kChannel, a, "c");
  pubsub.Subscribe(Kind::kChannel, b, "c");
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&pubsub, t] {
      // Comes and goes while the others publish.
      Listener passing;
      for (int i = 0; i < kMessages; ++i) {
        pubsub.Subscribe(Kind::kChannel, passing, "c");
        EXPECT_GE(pubsub.Publish(Kind::kChannel, "c", std::to_string(t * kMessages + i)), 3U);
        pubsub.Unsubscribe(Kind::kChannel, passing, "c");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(a.messages.size(), 3U * kMessages);
  for (size_t i = 0; i < a.messages.size(); ++i) EXPECT_EQ(a.messages[i].get(), b.messages[i].get());
  pubsub.Remove(a);
  pubsub.Remove(b);
}

}  // namespace
}  // namespace tidemark::commands
