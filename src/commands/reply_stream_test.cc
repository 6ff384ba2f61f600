#include "commands/reply_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "commands/testing_server.h"

namespace tidemark::commands {
namespace {

constexpr int kMembers = 30'000;

class ReplyStreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.Join(reader_);
    for (int first = 0; first < kMembers; first += 1000) {
      std::vector<std::string> hash = {"HSET", "h"};
      std::vector<std::string> set = {"SADD", "s"};
      for (int i = first; i < first + 1000; ++i) {
        hash.insert(hash.end(), {fmt::format("field-{}", i), fmt::format("value-{}", i)});
        set.push_back(fmt::format("member-{}", i));
      }
      std::vector<std::string> list = {"RPUSH", "l"};
      for (int i = first; i < first + 1000; ++i) list.push_back(fmt::format("element-{:06}", i));
      server_.Run(list);
      server_.Run(hash);
      server_.Run(set);
    }
  }
  void TearDown() override { server_.Leave(reader_); }

  // Begins a reply that is streamed, as a session does.
  void Begin(const std::vector<std::string_view>& words) {
    out_.SetProtocol(reader_.protocol);
    ASSERT_EQ(server_.dispatcher().Execute(reader_, words, out_, 0), Outcome::kDeferred);
    out_.Raw(reader_.deferred->Take());
    stream_ = reader_.deferred->TakeRest();
    reader_.deferred.reset();
    ASSERT_NE(stream_, nullptr);
  }
  // The parts that follow.
  int Finish() {
    int parts = 1;
    for (size_t before = out_.size();; before = out_.size(), ++parts) {
      const absl::StatusOr<bool> more = stream_->Next(out_);
      EXPECT_TRUE(more.ok()) << Message(more.status());
      EXPECT_LT(out_.size() - before, ReplyStream::kPartBytes + 100);
      if (!*more) break;
    }
    stream_.reset();
    return parts;
  }
  // The bulk strings of the reply, which is one value.
  std::multiset<std::string> Strings() {
    std::string_view rest = out_.buffer();
    EXPECT_TRUE(testing::TakeReadable(&rest).has_value());
    EXPECT_TRUE(rest.empty());
    std::multiset<std::string> strings;
    rest = out_.buffer();
    rest.remove_prefix(rest.find("\r\n") + 2);
    while (!rest.empty()) strings.insert(*testing::TakeReadable(&rest));
    return strings;
  }

  testing::TestServer server_;
  testing::FakeClient reader_;
  std::shared_ptr<ReplyStream> stream_;
  resp::Writer out_;
};

TEST_F(ReplyStreamTest, LargeCollectionsComeInParts) {
  Begin({"HGETALL", "h"});
  EXPECT_GT(Finish(), 3);
  EXPECT_EQ(Strings().size(), 2U * kMembers);
  out_.buffer().clear();
  reader_.protocol = 3;
  Begin({"SMEMBERS", "s"});
  EXPECT_TRUE(out_.buffer().starts_with("~30000\r\n"));
  EXPECT_GT(Finish(), 1);
  const std::multiset<std::string> members = Strings();
  EXPECT_EQ(std::set<std::string>(members.begin(), members.end()).size(), static_cast<size_t>(kMembers));
}

TEST_F(ReplyStreamTest, APartOfAListComesInOrder) {
  Begin({"LRANGE", "l", "5000", "-5001"});
  server_.Run("LTRIM l 0 10");
  Finish();
  std::string expected = "*20000\r\n";
  for (int i = 5000; i < 25'000; ++i) expected += fmt::format("$14\r\nelement-{:06}\r\n", i);
  EXPECT_EQ(out_.buffer(), expected);
}

// What the header says must come, whatever happens to the collection meanwhile, in memory and on the disk.
TEST_F(ReplyStreamTest, AReplyIsOfTheMomentItBeganAt) {
  kv::Store& store = server_.server().engine.store();
  const auto synced = [&](Lsn cut) { return server_.server().engine.log().SyncTo(cut); };
  ASSERT_TRUE(store.Persist(synced).ok());
  server_.Run("HSET h field-0 changed-before");
  server_.Run("HDEL h field-1");
  Begin({"HGETALL", "h"});
  ASSERT_TRUE(stream_->Next(out_).value());
  server_.Run("HSET h field-2 changed-after new 1");
  for (int i = 100; i < 200; ++i) server_.Run({"HDEL", "h", fmt::format("field-{}", i)});
  ASSERT_TRUE(store.Persist(synced).ok());
  server_.Run("DEL h");
  server_.Run("HSET h other 1");
  ASSERT_TRUE(store.Persist(synced).ok());
  Finish();
  const std::multiset<std::string> strings = Strings();
  EXPECT_EQ(strings.size(), 2U * (kMembers - 1));
  EXPECT_TRUE(strings.contains("\"changed-before\""));
  EXPECT_FALSE(strings.contains("\"field-1\""));
  EXPECT_TRUE(strings.contains("\"value-2\""));
  for (int i = 100; i < 200; ++i) EXPECT_TRUE(strings.contains(fmt::format("\"value-{}\"", i))) << i;
}

TEST_F(ReplyStreamTest, NotWithinATransactionNorWhereNobodyListens) {
  server_.Run(reader_, "MULTI");
  server_.Run(reader_, "HLEN h");
  server_.Run(reader_, "HKEYS h");
  EXPECT_TRUE(server_.Run(reader_, "EXEC").starts_with("[30000, [\"field-"));
  EXPECT_EQ(reader_.deferred, nullptr);
  reader_.reply_mode = ReplyMode::kOff;
  server_.Run(reader_, "HGETALL h");
  EXPECT_EQ(reader_.deferred, nullptr);
}

}  // namespace
}  // namespace tidemark::commands
