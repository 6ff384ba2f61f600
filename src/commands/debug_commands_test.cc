// DEBUG, above all its digest, over a whole server without sockets.
#include <gmock/gmock.h>

#include <utility>

#include "commands/testing_server.h"

namespace tidemark::commands {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TestServer;

class DebugTest : public ::testing::Test {
 protected:
  std::string Run(const char* line) { return tested_.Run(line); }
  void SetUp() override { ASSERT_TRUE(tested_.server().config.LoadText("enable-debug-command local", "test").ok()); }
  // What the worker thread does, then the reply.
  std::string Finish() {
    for (const auto& job : std::exchange(tested_.host().jobs, {})) job();
    return tested_.Answered();
  }

  TestServer tested_;
};

TEST(Debug, IsOffUnlessAllowed) {
  TestServer tested;
  EXPECT_THAT(tested.Run("debug sleep 0"), StartsWith("(error) ERR DEBUG command not allowed"));
}

TEST_F(DebugTest, DigestTellsWhetherContentsAreTheSame) {
  EXPECT_EQ(Run("debug digest"), "(waits)");
  EXPECT_EQ(Finish(), '"' + std::string(40, '0') + '"');
  Run("set a 1");
  Run("hset h f v");
  EXPECT_EQ(Run("debug digest"), "(waits)");
  const std::string digest = Finish();
  EXPECT_THAT(digest, StartsWith("\"00000002"));
  Run("set a 2");
  EXPECT_EQ(Run("debug digest"), "(waits)");
  EXPECT_NE(Finish(), digest);
  Run("set a 1");
  EXPECT_EQ(Run("DEBUG DIGEST LSN"), "(waits)");
  EXPECT_EQ(Finish(), fmt::format("[{}, {}, 2]", tested_.server().engine.last_end().value, digest));
}

TEST_F(DebugTest, DigestEndsWhenNobodyWaitsForItAndIsNotForTransactions) {
  std::vector<std::string> large = {"hset", "h"};
  for (int i = 0; i < 2000; ++i) {
    large.push_back("f" + std::to_string(i));
    large.emplace_back("v");
  }
  tested_.Run(large);
  EXPECT_EQ(Run("debug digest"), "(waits)");
  ASSERT_TRUE(tested_.client().deferred->Unblock(/*with_error=*/true));
  EXPECT_THAT(Finish(), StartsWith("(error) UNBLOCKED"));
  EXPECT_THAT(Run("debug digest now"), StartsWith("(error) ERR Tidemark has DEBUG DIGEST"));
  Run("multi");
  EXPECT_EQ(Run("debug digest"), "QUEUED");
  EXPECT_THAT(Run("exec"), HasSubstr("not allowed in a transaction"));
}

}  // namespace
}  // namespace tidemark::commands
