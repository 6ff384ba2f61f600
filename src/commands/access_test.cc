// The ports beside the Redis port let in whom it lets in, and nobody else.
#include "commands/access.h"

#include <gtest/gtest.h>

namespace tidemark::commands {
namespace {

TEST(Access, WithoutAPasswordOnlyThisMachineIsServed) {
  config::Config config;
  EXPECT_TRUE(CheckAccess(config, true, "", "").ok());
  EXPECT_FALSE(CheckAccess(config, false, "", "").ok());
  ASSERT_TRUE(config.LoadText("protected-mode no", "test").ok());
  EXPECT_TRUE(CheckAccess(config, false, "", "").ok());
}

TEST(Access, APasswordIsAskedOfEverybody) {
  config::Config config;
  ASSERT_TRUE(config.LoadText("requirepass hunter2", "test").ok());
  for (const bool loopback : {true, false}) {
    EXPECT_FALSE(CheckAccess(config, loopback, "", "").ok());
    EXPECT_FALSE(CheckAccess(config, loopback, "default", "hunter").ok());
    EXPECT_FALSE(CheckAccess(config, loopback, "root", "hunter2").ok());
    EXPECT_TRUE(CheckAccess(config, loopback, "default", "hunter2").ok());
    EXPECT_TRUE(CheckAccess(config, loopback, "", "hunter2").ok());
  }
  EXPECT_EQ(Message(CheckAccess(config, true, "default", "hunter")).find("hunter2"), std::string_view::npos);
}

TEST(Access, BasicCredentialsAreReadAsRfc7617WritesThem) {
  const auto plain = ParseBasicAuthorization("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->user, "Aladdin");
  EXPECT_EQ(plain->password, "open sesame");
  const auto colons = ParseBasicAuthorization("basic Omk6aQ==");
  ASSERT_TRUE(colons.has_value());
  EXPECT_EQ(colons->user, "");
  EXPECT_EQ(colons->password, "i:i");
  for (const char* bad : {"", "Basic", "Basic ", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic !!!!",
                          "Basic QWxhZGRpbg==", "Basic QWx"}) {
    EXPECT_FALSE(ParseBasicAuthorization(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace tidemark::commands
