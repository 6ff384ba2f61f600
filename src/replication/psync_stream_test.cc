#include "replication/psync_stream.h"

#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tidemark::replication {
namespace {

using ::testing::ElementsAre;

const std::string kId(40, 'a');

std::string Command(const std::vector<std::string>& words) {
  std::string bytes = fmt::format("*{}\r\n", words.size());
  for (const std::string& word : words) bytes += fmt::format("${}\r\n{}\r\n", word.size(), word);
  return bytes;
}

std::vector<std::string> Taken(const PsyncStream& stream) {
  std::vector<std::string> lines;
  for (const PsyncCommand& command : stream.batch()) {
    lines.push_back(fmt::format("{}: {}", command.db, fmt::join(command.words, " ")));
  }
  return lines;
}

TEST(PsyncStreamTest, CommandsComeWithTheirDatabaseAndOffset) {
  PsyncStream stream({.id = kId, .offset = 1000, .db = 2});
  const std::string bytes = Command({"SET", "a", "1"}) + Command({"SELECT", "5"}) + Command({"PING"}) +
                            Command({"DEL", "b"}) + Command({"REPLCONF", "GETACK", "*"});
  stream.Feed(bytes);
  ASSERT_TRUE(stream.Take().ok());
  EXPECT_THAT(Taken(stream), ElementsAre("2: SET a 1", "5: DEL b"));
  EXPECT_EQ(stream.position(), (PsyncPosition{.id = kId, .offset = 1000 + bytes.size(), .db = 5}));
  EXPECT_TRUE(stream.TakeAckWish());
  EXPECT_FALSE(stream.TakeAckWish());
}

// However the bytes are cut, the offset is that of whole commands.
TEST(PsyncStreamTest, PiecesOfAnySizeMakeTheSame) {
  const std::string set = Command({"SET", "a", std::string(300, 'x')});
  const std::string bytes = set + Command({"MULTI"}) + Command({"INCR", "n"}) + Command({"SELECT", "3"}) +
                            Command({"INCR", "m"}) + Command({"EXEC"});
  for (size_t piece = 1; piece < bytes.size(); ++piece) {
    PsyncStream stream({.id = kId, .offset = 0, .db = 0});
    for (size_t at = 0; at < bytes.size(); at += piece) {
      stream.Feed(std::string_view(bytes).substr(at, piece));
      ASSERT_TRUE(stream.Take().ok());
      const uint64_t offset = stream.position().offset;
      EXPECT_TRUE(offset == 0 || offset == set.size() || offset == bytes.size()) << offset;
      EXPECT_EQ(stream.position().db, offset == bytes.size() ? 3u : 0u);
      EXPECT_EQ(stream.batch().size(), offset == 0 ? 0u : offset == set.size() ? 1u : 3u);
    }
    EXPECT_EQ(stream.position().offset, bytes.size());
    EXPECT_THAT(Taken(stream), ElementsAre(testing::StartsWith("0: SET a"), "0: INCR n", "3: INCR m"));
  }
}

TEST(PsyncStreamTest, ABatchIsBoundedAndTheRestIsTakenNext) {
  PsyncStream stream({.id = kId, .offset = 0, .db = 0});
  const size_t count = PsyncStream::kBatchCommands * 2 + 1;
  for (size_t i = 0; i < count; ++i) stream.Feed(Command({"INCR", "n"}));
  size_t taken = 0;
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(stream.Take().ok());
    taken += stream.batch().size();
    EXPECT_EQ(stream.position().offset, taken * Command({"INCR", "n"}).size());
    stream.Done();
  }
  EXPECT_EQ(taken, count);
}

TEST(PsyncStreamTest, NonsenseIsRefused) {
  PsyncStream stream({.id = kId, .offset = 7, .db = 0});
  stream.Feed("*1\r\n+OK\r\n");
  EXPECT_TRUE(absl::IsInvalidArgument(stream.Take()));
}

TEST(PsyncVerdictTest, AnswersToPsync) {
  const auto full = ParsePsyncVerdict("+FULLRESYNC " + kId + " 123");
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->kind, PsyncVerdict::Kind::kFull);
  EXPECT_EQ(full->id, kId);
  EXPECT_EQ(full->offset, 123u);
  EXPECT_EQ(ParsePsyncVerdict("+CONTINUE")->kind, PsyncVerdict::Kind::kContinue);
  EXPECT_EQ(ParsePsyncVerdict("+CONTINUE " + kId)->id, kId);
  EXPECT_EQ(ParsePsyncVerdict("-NOMASTERLINK Can't SYNC while not connected with my master")->kind,
            PsyncVerdict::Kind::kLater);
  EXPECT_EQ(ParsePsyncVerdict("-ERR unknown command 'PSYNC'")->kind, PsyncVerdict::Kind::kRefused);
  EXPECT_FALSE(ParsePsyncVerdict("+FULLRESYNC x 1").ok());
  EXPECT_FALSE(ParsePsyncVerdict("+OK").ok());
  EXPECT_EQ(ParseRdbAnnouncement("$123")->bytes, 123u);
  EXPECT_EQ(ParseRdbAnnouncement("$EOF:" + kId)->mark, kId);
  EXPECT_FALSE(ParseRdbAnnouncement("$x").ok());
  EXPECT_FALSE(ParseRdbAnnouncement("+OK").ok());
}

}  // namespace
}  // namespace tidemark::replication
