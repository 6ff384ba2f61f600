// The ports beside the Redis port let in whom it lets in, and nobody else.
#include "commands/access.h"

#include <gtest/gtest.h>

#include "commands/acl.h"
#include "commands/client_registry.h"
#include "commands/pubsub.h"
#include "commands/testing.h"

namespace tidemark::commands {
namespace {

TEST(Access, WithoutAPasswordOnlyThisMachineIsServed) {
  config::Config config;
  ClientRegistry clients;
  Pubsub pubsub;
  const Acl acl(config, clients, pubsub);
  EXPECT_TRUE(CheckAccess(acl, config, true, "", "").ok());
  EXPECT_FALSE(CheckAccess(acl, config, false, "", "").ok());
  ASSERT_TRUE(config.LoadText("protected-mode no", "test").ok());
  EXPECT_TRUE(CheckAccess(acl, config, false, "", "").ok());
}

TEST(Access, APasswordIsAskedOfEverybody) {
  config::Config config;
  ASSERT_TRUE(config.LoadText("requirepass hunter2", "test").ok());
  ClientRegistry clients;
  Pubsub pubsub;
  const Acl acl(config, clients, pubsub);
  for (const bool loopback : {true, false}) {
    EXPECT_FALSE(CheckAccess(acl, config, loopback, "", "").ok());
    EXPECT_FALSE(CheckAccess(acl, config, loopback, "default", "hunter").ok());
    EXPECT_FALSE(CheckAccess(acl, config, loopback, "root", "hunter2").ok());
    EXPECT_TRUE(CheckAccess(acl, config, loopback, "default", "hunter2").ok());
    EXPECT_TRUE(CheckAccess(acl, config, loopback, "", "hunter2").ok());
  }
  EXPECT_EQ(Message(CheckAccess(acl, config, true, "default", "hunter")).find("hunter2"), std::string_view::npos);
}

TEST(Access, AUserOfTheAclNeedsTheRightToBackUpOrToReplicate) {
  config::Config config;
  ClientRegistry clients;
  Pubsub pubsub;
  testing::FakeClient self;
  Acl acl(config, clients, pubsub);
  const auto set = [&](std::string_view name, std::vector<std::string_view> rules) {
    ASSERT_TRUE(acl.SetUser(name, rules, self).ok());
  };
  set("backup", {"on", ">s", "+logbackup"});
  set("copy", {"on", ">s", "+replconf"});
  set("app", {"on", ">s", "+@all", "-@admin", "~*"});
  set("gone", {"off", ">s", "+@all"});
  EXPECT_FALSE(CheckAccess(acl, config, false, "backup", "s").ok()) << "protected mode";
  EXPECT_TRUE(CheckAccess(acl, config, true, "backup", "s").ok());
  EXPECT_TRUE(CheckAccess(acl, config, true, "copy", "s").ok());
  EXPECT_FALSE(CheckAccess(acl, config, true, "backup", "wrong").ok());
  EXPECT_FALSE(CheckAccess(acl, config, true, "app", "s").ok());
  EXPECT_FALSE(CheckAccess(acl, config, true, "gone", "s").ok());
  set("default", {"resetpass"});
  EXPECT_TRUE(CheckAccess(acl, config, false, "backup", "s").ok());
  set("default", {"nopass", "off"});
  EXPECT_FALSE(CheckAccess(acl, config, true, "", "").ok());
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
