// What rules mean, and what a server does with them. Texts as redis-server 7.0 gave them.
#include "commands/acl.h"

#include <gtest/gtest.h>

#include "commands/testing_server.h"

namespace tidemark::commands {
namespace {

using testing::FakeClient;
using testing::TestServer;

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

AclRights RightsOf(std::string_view rules) {
  AclRights rights = AclRights::New(false);
  const auto joined = JoinSelectors(Words(rules));
  EXPECT_TRUE(joined.ok()) << joined.status();
  for (const std::string& rule : *joined) {
    const absl::Status applied = rights.Apply(rule, false);
    EXPECT_TRUE(applied.ok()) << rule << ": " << applied;
  }
  return rights;
}

bool May(const AclRights& rights, std::string_view line) {
  const std::vector<std::string_view> args = Words(line);
  const CommandSpec* spec = CommandTable::Get().Resolve(args);
  EXPECT_NE(spec, nullptr) << line;
  return rights.Check(*spec, args).ok();
}

std::string CommandsOf(std::string_view rules) { return RightsOf(rules).selectors[0].Commands(); }

TEST(AclRulesTest, DescriptionsSayWhatStillCounts) {
  EXPECT_EQ(RightsOf("").Describe(), "off resetchannels -@all");
  EXPECT_EQ(RightsOf("on nopass ~* &* +@all").Describe(), "on nopass ~* &* +@all");
  EXPECT_EQ(RightsOf("reset on ~x* %R~r* %W~w* %RW~rw* &ch*").Describe(),
            "on sanitize-payload ~x* %R~r* %W~w* ~rw* resetchannels &ch* -@all");
  EXPECT_EQ(CommandsOf("+@all -@string +incr -debug +debug|digest"), "+@all -@string +incr -debug +debug|digest");
  EXPECT_EQ(CommandsOf("+select|0 +select|0 +select|1"), "-@all +select|0 +select|1");
  EXPECT_EQ(CommandsOf("+config|get -config|get"), "-@all");
  EXPECT_EQ(CommandsOf("+config|get +config"), "-@all +config");
  EXPECT_EQ(CommandsOf("+@all -@all +get +@read -get"), "-@all +@read -get");
  EXPECT_EQ(CommandsOf("-@all +@read +@write -hget allcommands -@admin -select"), "+@all -@admin -select");
  EXPECT_EQ(CommandsOf("+GET +get -@hash"), "-@all +get");
  EXPECT_EQ(RightsOf("%R~q %W~q ~p resetkeys ~z").selectors[0].Keys(), "~z");
  EXPECT_EQ(RightsOf("%R~q %W~q").selectors[0].Keys(), "~q");
  EXPECT_EQ(RightsOf("~a (+get  ~x* %R~y ) (&f)").Describe(),
            "off ~a resetchannels -@all (~x* %R~y resetchannels -@all +get) (resetchannels &f -@all)");
  EXPECT_EQ(RightsOf("(+get) clearselectors").Describe(), "off resetchannels -@all");
}

TEST(AclRulesTest, EveryCategoryCanBeAddedAndTakenAway) {
  for (const char* category : {"keyspace", "read", "write", "hash", "string", "bitmap", "pubsub", "admin", "fast",
                               "slow", "dangerous", "connection", "transaction"}) {
    const std::string added = fmt::format("-@all +@{}", category);
    EXPECT_EQ(CommandsOf(added), added);
    const std::string taken = fmt::format("+@all -@{}", category);
    EXPECT_EQ(CommandsOf(taken), taken);
  }
}

TEST(AclRulesTest, MistakesAreToldAsRedisTellsThem) {
  AclRights rights = RightsOf("~* &*");
  const auto error = [&](std::string_view rule) {
    const absl::Status applied = rights.Apply(rule, false);
    return applied.ok() ? std::string("OK") : std::string(Message(applied));
  };
  for (const char* rule : {"bad", "", "+", "%Z~x", "(foo)", "on)"}) {
    const std::string text = error(rule);
    EXPECT_TRUE(text == "Syntax error" || text.starts_with("Adding a pattern")) << rule << ": " << text;
  }
  for (const char* rule :
       {"+nocmd", "+@nocat", "+config|foo", "-get|foo", "+get get", "-config|", "-config|get|x", "+get|a|b"}) {
    EXPECT_EQ(error(rule), "Unknown command or category name in ACL") << rule;
  }
  EXPECT_EQ(error("+config|"), "Syntax error");
  EXPECT_EQ(error("+config|get|x"), "Allowing first-arg of a subcommand is not supported");
  EXPECT_EQ(error("<x"), "The password you are trying to remove from the user does not exist");
  EXPECT_EQ(error("#zz"),
            "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters");
  EXPECT_TRUE(error("~x").starts_with("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid"));
  EXPECT_TRUE(error("&x").starts_with("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid"));
  rights = RightsOf("");
  EXPECT_EQ(error("%Z~x"), "Syntax error");
  EXPECT_EQ(error("%~x"), "Syntax error");
  EXPECT_EQ(error("~a b"), "Syntax error");
  EXPECT_EQ(Message(JoinSelectors(Words("on (+get ~x")).status()),
            "Unmatched parenthesis in acl selector starting at '(+get'.");
}

TEST(AclRulesTest, CommandsSubcommandsAndFirstArguments) {
  const AclRights rights = RightsOf("~* +get +config|get +client -client|kill +select|0");
  EXPECT_TRUE(May(rights, "GET a"));
  EXPECT_FALSE(May(rights, "SET a 1"));
  EXPECT_TRUE(May(rights, "CONFIG GET x"));
  EXPECT_FALSE(May(rights, "CONFIG SET x 1"));
  EXPECT_TRUE(May(rights, "CLIENT ID"));
  EXPECT_FALSE(May(rights, "CLIENT KILL x"));
  EXPECT_TRUE(May(rights, "SELECT 0"));
  EXPECT_FALSE(May(rights, "SELECT 1"));
  EXPECT_TRUE(May(rights, "AUTH x")) << "who he is, everybody may say";
}

TEST(AclRulesTest, KeysByWhatIsDoneToThem) {
  const AclRights rights = RightsOf("+@all %R~r* %W~w* ~rw*");
  EXPECT_TRUE(May(rights, "GET r1"));
  EXPECT_FALSE(May(rights, "GET w1"));
  EXPECT_TRUE(May(rights, "SET w1 x"));
  EXPECT_FALSE(May(rights, "SET r1 x"));
  EXPECT_FALSE(May(rights, "SET w1 x GET")) << "it reads, too";
  EXPECT_TRUE(May(rights, "SET rw1 x GET"));
  EXPECT_FALSE(May(rights, "APPEND r1 x"));
  EXPECT_TRUE(May(rights, "BITFIELD r1 GET u8 0"));
  EXPECT_FALSE(May(rights, "BITFIELD r1 SET u8 0 1"));
  EXPECT_TRUE(May(rights, "COPY r1 w1"));
  EXPECT_FALSE(May(rights, "COPY w1 r1"));
  EXPECT_TRUE(May(rights, "BITOP AND w1 r1 r2"));
  EXPECT_FALSE(May(rights, "BITOP AND w1 r1 w2"));
  EXPECT_TRUE(May(rights, "EXISTS w1")) << "no byte of the value is told";
  EXPECT_FALSE(May(rights, "EXISTS other"));
  EXPECT_TRUE(May(rights, "RENAME rw1 w1"));
  EXPECT_FALSE(May(rights, "MSET w1 a r1 b"));
}

TEST(AclRulesTest, ASelectorAllowsOnlyByItself) {
  const AclRights rights = RightsOf("+get ~own:* (+set ~other:*) (+@read %R~shared)");
  EXPECT_TRUE(May(rights, "GET own:1"));
  EXPECT_TRUE(May(rights, "SET other:1 x"));
  EXPECT_FALSE(May(rights, "SET own:1 x"));
  EXPECT_TRUE(May(rights, "STRLEN shared"));
  EXPECT_FALSE(May(rights, "MGET shared own:1"));
}

TEST(AclRulesTest, Channels) {
  const AclRights rights = RightsOf("+@all &news.* &exact");
  EXPECT_TRUE(May(rights, "PUBLISH news.1 x"));
  EXPECT_FALSE(May(rights, "PUBLISH other news.1"));
  EXPECT_TRUE(May(rights, "SUBSCRIBE exact news.2"));
  EXPECT_FALSE(May(rights, "SSUBSCRIBE exact foo"));
  EXPECT_TRUE(May(rights, "PSUBSCRIBE news.*"));
  EXPECT_FALSE(May(rights, "PSUBSCRIBE news.1*")) << "patterns word for word";
  EXPECT_TRUE(May(rights, "UNSUBSCRIBE foo"));
}

class AclTest : public ::testing::Test {
 protected:
  AclTest() { server_.Join(user_); }
  ~AclTest() override { server_.Leave(user_); }

  std::string As(const char* line) { return server_.Run(user_, line); }

  TestServer server_;
  FakeClient user_;
};

TEST_F(AclTest, TheDefaultUserMayDoEverythingUntilToldOtherwise) {
  EXPECT_EQ(server_.Run("ACL WHOAMI"), R"("default")");
  EXPECT_EQ(server_.Run("ACL LIST"), R"(["user default on nopass ~* &* +@all"])");
  EXPECT_TRUE(server_.server().acl->Unrestricted(user_));
  EXPECT_EQ(server_.Run("ACL SETUSER default -get ~nothing"),
            "(error) ERR Error in ACL SETUSER modifier '~nothing': Adding a pattern after the * pattern (or the "
            "'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of "
            "patterns");
  EXPECT_EQ(As("GET a"), "nil") << "all rules or none";
  EXPECT_EQ(server_.Run("ACL SETUSER default -get"), "OK");
  EXPECT_EQ(As("GET a"), "(error) NOPERM this user has no permissions to run the 'get' command");
  EXPECT_EQ(As("ACL DELUSER default"), "(error) ERR The 'default' user cannot be removed");
}

TEST_F(AclTest, PasswordsAndDisabledUsers) {
  server_.Run("ACL SETUSER alice >first >second +@all ~*");
  EXPECT_EQ(As("AUTH alice first"), "(error) WRONGPASS invalid username-password pair or user is disabled.");
  server_.Run("ACL SETUSER alice on");
  EXPECT_EQ(As("AUTH alice first"), "OK");
  EXPECT_EQ(As("AUTH alice second"), "OK");
  EXPECT_EQ(As("ACL WHOAMI"), R"("alice")");
  EXPECT_EQ(As("AUTH alice third"), "(error) WRONGPASS invalid username-password pair or user is disabled.");
  EXPECT_EQ(As("ACL WHOAMI"), R"("alice")") << "a wrong password changes nothing";
  server_.Run("ACL SETUSER alice <first");
  EXPECT_EQ(As("AUTH alice first"), "(error) WRONGPASS invalid username-password pair or user is disabled.");
  server_.Run("ACL SETUSER alice #2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881");
  EXPECT_EQ(As("AUTH alice x"), "OK") << "the hash of that";
  server_.Run("ACL SETUSER alice nopass");
  EXPECT_EQ(As("AUTH alice whatever"), "OK");
  EXPECT_EQ(As("HELLO 3 AUTH alice x SETNAME n").substr(0, 2), "{\"");
  EXPECT_EQ(As("RESET"), "RESET");
  EXPECT_EQ(As("ACL WHOAMI"), R"("default")");
}

TEST_F(AclTest, RequirepassIsTheDefaultUsersPassword) {
  EXPECT_EQ(server_.Run("CONFIG SET requirepass secret"), "OK");
  EXPECT_TRUE(server_.server().acl->NeedsLogin());
  EXPECT_EQ(As("AUTH wrong"), "(error) WRONGPASS invalid username-password pair or user is disabled.");
  EXPECT_EQ(As("AUTH secret"), "OK");
  EXPECT_EQ(As("AUTH default secret"), "OK");
  EXPECT_EQ(As("RESET"), "RESET");
  EXPECT_EQ(As("GET a"), "(error) NOAUTH Authentication required.");
  EXPECT_EQ(server_.Run("CONFIG SET requirepass "), "OK");
  EXPECT_FALSE(server_.server().acl->NeedsLogin());
  EXPECT_EQ(server_.Run("ACL LIST"), R"(["user default on nopass ~* &* +@all"])");
}

TEST_F(AclTest, RightsAreAskedAtQueueingAndAgainAtExec) {
  server_.Run("ACL SETUSER bob on nopass ~* +@all -hget");
  As("AUTH bob x");
  EXPECT_EQ(As("MULTI"), "OK");
  EXPECT_EQ(As("HGET h f"), "(error) NOPERM this user has no permissions to run the 'hget' command");
  EXPECT_EQ(As("EXEC"), "(error) EXECABORT Transaction discarded because of previous errors.");
  EXPECT_EQ(As("MULTI"), "OK");
  EXPECT_EQ(As("SET a 1"), "QUEUED");
  EXPECT_EQ(As("SET b 1"), "QUEUED");
  EXPECT_EQ(As("PING"), "QUEUED");
  server_.Run("ACL SETUSER bob resetkeys ~a -ping");
  EXPECT_EQ(As("EXEC"),
            "[OK, (error) NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC "
            "call. This command is no longer allowed for the following reason: no permission to touch the specified "
            "keys, (error) NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC "
            "call. This command is no longer allowed for the following reason: no permission to execute the command or "
            "subcommand]");
  EXPECT_EQ(server_.Run("GET b"), "nil");
}

TEST_F(AclTest, TheLogCountsEqualDenials) {
  server_.Run("ACL SETUSER bob on >pw ~x +get");
  As("AUTH bob wrong");
  As("AUTH bob pw");
  As("GET y");
  As("GET y");
  As("CONFIG GET a");
  const std::string log = server_.Run("ACL LOG");
  EXPECT_TRUE(log.starts_with(R"([["count", 1, "reason", "command", "context", "toplevel", "object", "config|get", )"
                              R"("username", "bob", "age-seconds", ")"))
      << log;
  EXPECT_NE(log.find(R"(["count", 2, "reason", "key", "context", "toplevel", "object", "y", "username", "bob")"),
            std::string::npos);
  EXPECT_NE(log.find(R"(["count", 1, "reason", "auth", "context", "toplevel", "object", "AUTH", "username", "bob")"),
            std::string::npos);
  EXPECT_NE(log.find("user=bob"), std::string::npos);
  EXPECT_EQ(server_.Run("ACL LOG RESET"), "OK");
  EXPECT_EQ(server_.Run("ACL LOG"), "[]");
}

TEST_F(AclTest, ConnectionsEndWithTheirUserOrTheirChannels) {
  server_.Run("ACL SETUSER bob on nopass ~* &a &b +@all");
  As("AUTH bob x");
  As("SUBSCRIBE a");
  server_.Run("ACL SETUSER bob resetchannels &a &c");
  EXPECT_FALSE(user_.closed);
  server_.Run("ACL SETUSER bob resetchannels &c");
  EXPECT_TRUE(user_.closed);
  FakeClient other;
  server_.Join(other);
  server_.Run(other, "AUTH bob x");
  EXPECT_EQ(server_.Run("CLIENT KILL USER nobody"), "(error) ERR No such user 'nobody'");
  EXPECT_NE(server_.Run("CLIENT LIST").find("user=bob"), std::string::npos);
  EXPECT_EQ(server_.Run("ACL DELUSER bob"), "1");
  EXPECT_TRUE(other.closed);
  server_.Leave(other);
}

TEST_F(AclTest, DryRunTellsWhatWouldBeDenied) {
  server_.Run("ACL SETUSER k on nopass ~x* +get +publish &c*");
  EXPECT_EQ(server_.Run("ACL DRYRUN k get x1"), "OK");
  EXPECT_EQ(server_.Run("ACL DRYRUN k get y"), R"("This user has no permissions to access the 'y' key")");
  EXPECT_EQ(server_.Run("ACL DRYRUN k publish d m"), R"("This user has no permissions to access the 'd' channel")");
  EXPECT_EQ(server_.Run("ACL DRYRUN k config get m"),
            R"("This user has no permissions to run the 'config|get' command")");
  EXPECT_EQ(server_.Run("ACL DRYRUN nobody get x"), "(error) ERR User 'nobody' not found");
  EXPECT_EQ(server_.Run("ACL DRYRUN k nothing x"), "(error) ERR Command 'nothing' not found");
  EXPECT_EQ(server_.Run("ACL DRYRUN k get"), "(error) ERR wrong number of arguments for 'get' command");
}

TEST_F(AclTest, NewUsersAndTheDefaultOfChannels) {
  server_.Run("CONFIG SET acl-pubsub-default allchannels");
  server_.Run("ACL SETUSER open");
  EXPECT_EQ(server_.Run("ACL LIST"), R"(["user default on nopass ~* &* +@all", "user open off &* -@all"])");
  EXPECT_EQ(
      server_.Run("ACL GETUSER open"),
      R"(["flags", ["off"], "passwords", [], "commands", "-@all", "keys", "", "channels", "&*", "selectors", []])");
  EXPECT_EQ(server_.Run("ACL GETUSER nobody"), "nil");
  EXPECT_EQ(server_.Run({"ACL", "SETUSER", "a b"}), "(error) ERR Usernames can't contain spaces or null characters");
  EXPECT_EQ(server_.Run("ACL GENPASS 5").size(), 4U);
  EXPECT_EQ(server_.Run("ACL GENPASS").size(), 66U);
  EXPECT_EQ(server_.Run("ACL CAT nothing"), "(error) ERR Unknown category 'nothing'");
}

}  // namespace
}  // namespace tidemark::commands
