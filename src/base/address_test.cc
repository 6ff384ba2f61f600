#include "base/address.h"

#include <gtest/gtest.h>

#include <vector>

namespace tidemark {
namespace {

TEST(AddressTest, LoopbackIsToldFromWhatOnlyLooksLikeIt) {
  for (const char* own : {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"}) {
    EXPECT_TRUE(IsLoopback(own)) << own;
  }
  for (const char* other : {"128.0.0.1", "10.127.0.1", "::2", "::ffff:10.0.0.1", "127.0.0.1.example", "127.", "",
                            "::", "localhost", "[::1]", "127.0.0.1:6379"}) {
    EXPECT_FALSE(IsLoopback(other)) << other;
  }
}

TEST(AddressTest, WhatMayBeMissingEndsNothing) {
  std::vector<std::string> asked;
  const auto listen = [&](std::string_view address) {
    asked.emplace_back(address);
    return address == "b" ? absl::InternalError("no b") : absl::OkStatus();
  };
  const std::vector<std::string> optional = {"a", "-b", "-c"};
  EXPECT_TRUE(ListenOnEach(optional, listen).ok());
  EXPECT_EQ(asked, (std::vector<std::string>{"a", "b", "c"}));
  const std::vector<std::string> needed = {"a", "b", "c"};
  EXPECT_EQ(Message(ListenOnEach(needed, listen)), "no b");
  const std::vector<std::string> none = {"-b"};
  EXPECT_TRUE(absl::IsFailedPrecondition(ListenOnEach(none, listen)));
}

}  // namespace
}  // namespace tidemark
