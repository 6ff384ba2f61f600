#include "commands/slowlog.h"

#include <gtest/gtest.h>

#include "commands/testing.h"

namespace tidemark::commands {
namespace {

class SlowlogTest : public ::testing::Test {
 protected:
  void Offer(std::vector<std::string> words, uint64_t micros, uint32_t flags = 0) {
    const std::vector<std::string_view> args(words.begin(), words.end());
    CommandSpec spec{.name = "x",
                     .arity = -1,
                     .flags = flags,
                     .group = "",
                     .since = "",
                     .summary = "",
                     .complexity = "",
                     .syntax = "",
                     .handler = nullptr};
    slowlog_.Offer(client_, spec, args, micros);
  }

  testing::FakeClient client_;
  Slowlog slowlog_;
};

TEST_F(SlowlogTest, KeepsTheNewestOfTheSlow) {
  slowlog_.SetThreshold(100);
  slowlog_.SetMaxLength(2);
  client_.address = "1.2.3.4:5";
  Offer({"fast"}, 99);
  Offer({"a"}, 100);
  Offer({"b"}, 101);
  Offer({"c", "d"}, 102);
  Offer({"hidden"}, 500, kSkipSlowlog);
  const auto entries = slowlog_.Newest(10);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].args, (std::vector<std::string>{"c", "d"}));
  EXPECT_EQ(entries[0].id, 2U);
  EXPECT_EQ(entries[0].micros, 102U);
  EXPECT_EQ(entries[0].address, "1.2.3.4:5");
  EXPECT_EQ(entries[1].args[0], "b");
  slowlog_.Reset();
  EXPECT_EQ(slowlog_.size(), 0U);
  slowlog_.SetThreshold(-1);
  Offer({"x"}, 1'000'000);
  EXPECT_EQ(slowlog_.size(), 0U);
}

TEST_F(SlowlogTest, ShowsNoPasswords) {
  slowlog_.SetThreshold(0);
  Offer({"AUTH", "default", "hunter2"}, 1);
  Offer({"hello", "3", "AUTH", "default", "hunter2", "SETNAME", "me"}, 1);
  Offer({"config", "SET", "maxclients", "10", "requirepass", "hunter2"}, 1);
  const auto entries = slowlog_.Newest(3);
  EXPECT_EQ(entries[2].args, (std::vector<std::string>{"AUTH", "(redacted)", "(redacted)"}));
  EXPECT_EQ(entries[1].args,
            (std::vector<std::string>{"hello", "3", "AUTH", "(redacted)", "(redacted)", "SETNAME", "me"}));
  EXPECT_EQ(entries[0].args,
            (std::vector<std::string>{"config", "SET", "maxclients", "10", "requirepass", "(redacted)"}));
}

TEST_F(SlowlogTest, CutsWhatIsLong) {
  slowlog_.SetThreshold(0);
  Offer({"set", std::string(200, 'v')}, 1);
  EXPECT_EQ(slowlog_.Newest(1)[0].args[1], std::string(128, 'v') + "... (72 more bytes)");
  Offer(std::vector<std::string>(40, "w"), 1);
  const auto args = slowlog_.Newest(1)[0].args;
  ASSERT_EQ(args.size(), 32U);
  EXPECT_EQ(args[31], "... (9 more arguments)");
}

}  // namespace
}  // namespace tidemark::commands
