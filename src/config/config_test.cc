#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

namespace tidemark::config {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

using Changes = std::vector<std::pair<std::string_view, std::string_view>>;

std::string SetError(Config& config, const Changes& changes) { return std::string(Message(config.Set(changes))); }

std::string Failed(std::string_view name, std::string_view cause) {
  return fmt::format("ERR CONFIG SET failed (possibly related to argument '{}') - {}", name, cause);
}

Config::Pairs Get(const Config& config, const std::vector<std::string_view>& patterns) { return config.Get(patterns); }

TEST(ConfigTest, DefaultsAreRedis) {
  const Config config;
  EXPECT_EQ(config.Integer("port"), 6379);
  EXPECT_EQ(config.Text("appendfsync"), "everysec");
  EXPECT_TRUE(config.Bool("protected-mode"));
  EXPECT_EQ(config.Integer("proto-max-bulk-len"), 512 << 20);
  EXPECT_EQ(config.Limit(ClientClass::kNormal).hard_bytes, 0u);
  EXPECT_EQ(config.Limit(ClientClass::kPubsub).hard_bytes, 32u << 20);
  EXPECT_EQ(config.Limit(ClientClass::kPubsub).soft_seconds, 60);
}

TEST(ConfigTest, SetChangesAllOrNothing) {
  Config config;
  const std::atomic<int64_t>& timeout = config.Cell("timeout");
  EXPECT_TRUE(config.Set(Changes{{"maxmemory", "100mb"}, {"TIMEOUT", "7"}}).ok());
  EXPECT_EQ(config.Integer("maxmemory"), 100 << 20);
  EXPECT_EQ(timeout.load(), 7);
  EXPECT_EQ(SetError(config, {{"maxmemory", "1gb"}, {"timeout", "-1"}}),
            Failed("timeout", "argument must be between 0 and 2147483647 inclusive"));
  EXPECT_EQ(config.Integer("maxmemory"), 100 << 20);
  EXPECT_EQ(timeout.load(), 7);
}

TEST(ConfigTest, SetErrorsAreRedis) {
  Config config;
  EXPECT_EQ(SetError(config, {{"foo", "bar"}}), "ERR Unknown option or number of arguments for CONFIG SET - 'foo'");
  EXPECT_EQ(SetError(config, {{"port", "1"}}), Failed("port", "can't set immutable config"));
  EXPECT_EQ(SetError(config, {{"dir", "/"}}), Failed("dir", "can't set protected config"));
  EXPECT_EQ(SetError(config, {{"maxmemory", "1mb"}, {"maxmemory", "2mb"}}), Failed("maxmemory", "duplicate parameter"));
  EXPECT_EQ(SetError(config, {{"slave-read-only", "yes"}, {"replica-read-only", "no"}}),
            Failed("replica-read-only", "duplicate parameter"));
  EXPECT_EQ(
      SetError(config, {{"replica-read-only", "no"}}),
      Failed("replica-read-only", "a replica's log is its primary's, byte for byte: it cannot take writes of its own"));
  EXPECT_EQ(SetError(config, {{"maxmemory", "abc"}}), Failed("maxmemory", "argument must be a memory value"));
  EXPECT_EQ(SetError(config, {{"slowlog-max-len", "1.5"}}),
            Failed("slowlog-max-len", "argument couldn't be parsed into an integer"));
  EXPECT_EQ(SetError(config, {{"latency-tracking", "on"}}),
            Failed("latency-tracking", "argument must be 'yes' or 'no'"));
  EXPECT_EQ(SetError(config, {{"appendfsync", "foo"}}),
            Failed("appendfsync", "argument(s) must be one of the following: everysec, always, no"));
}

TEST(ConfigTest, ARefusalTakesTheWholeSetBack) {
  Config config;
  std::vector<std::string> seen;
  config.OnChange("maxclients", [&] {
    seen.push_back(config.Text("maxclients"));
    return absl::OkStatus();
  });
  config.OnChange("timeout", [&] {
    return config.Integer("timeout") == 13 ? absl::InternalError("no thirteen") : absl::OkStatus();
  });
  EXPECT_EQ(SetError(config, {{"maxclients", "5"}, {"timeout", "13"}}), Failed("timeout", "no thirteen"));
  EXPECT_EQ(config.Integer("maxclients"), 10000);
  EXPECT_EQ(config.Integer("timeout"), 0);
  EXPECT_THAT(seen, ElementsAre("5", "10000"));

  seen.clear();
  EXPECT_EQ(SetError(config, {{"maxclients", "10000"}}), "");
  EXPECT_THAT(seen, IsEmpty()) << "nothing changed";
}

TEST(ConfigTest, GetMatchesPatternsAndBothNames) {
  const Config config;
  EXPECT_THAT(Get(config, {"port"}), ElementsAre(Pair("port", "6379")));
  EXPECT_THAT(Get(config, {"PORT", "nothing"}), ElementsAre(Pair("PORT", "6379")));
  EXPECT_THAT(Get(config, {"*-read-only"}),
              ElementsAre(Pair("replica-read-only", "yes"), Pair("slave-read-only", "yes")));
  EXPECT_THAT(Get(config, {"slowlog-*", "slowlog-max-len", "SLOWLOG-M*"}),
              ElementsAre(Pair("slowlog-log-slower-than", "10000"), Pair("slowlog-max-len", "128")));
  EXPECT_GT(Get(config, {"*"}).size(), OptionCount());
}

// Under the thread sanitizer: readers run beside Set and Get, and never see half a value.
TEST(ConfigTest, ReadersRunBesideSet) {
  Config config;
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    while (!stop) {
      const std::string password = config.Text("requirepass");
      ASSERT_EQ(password, std::string(password.size(), 'x'));
      ASSERT_LE(config.Cell("timeout").load(), 200);
      Get(config, {"*"});
    }
  });
  for (int i = 0; i < 200; ++i) {
    const std::string password(static_cast<size_t>(i), 'x');
    ASSERT_TRUE(config.Set(Changes{{"requirepass", password}, {"timeout", std::to_string(i)}}).ok());
  }
  stop = true;
  reader.join();
}

TEST(ConfigTest, OtherNamesAreTheSameOption) {
  Config config;
  EXPECT_TRUE(config.Set(Changes{{"hash-max-ziplist-entries", "7"}}).ok());
  EXPECT_EQ(config.Integer("hash-max-listpack-entries"), 7);
}

TEST(ConfigTest, SpecialValues) {
  Config config;
  EXPECT_TRUE(config.Set(Changes{{"client-output-buffer-limit", "normal 1mb 2 3 replica 0 0 0"}}).ok());
  EXPECT_EQ(config.Text("client-output-buffer-limit"), "normal 1048576 2 3 slave 0 0 0 pubsub 33554432 8388608 60");
  EXPECT_EQ(SetError(config, {{"client-output-buffer-limit", "normal 1"}}),
            Failed("client-output-buffer-limit", "Wrong number of arguments in buffer limit configuration."));
  EXPECT_EQ(SetError(config, {{"client-output-buffer-limit", "master 1 2 3"}}),
            Failed("client-output-buffer-limit", "Invalid client class specified in buffer limit configuration."));

  EXPECT_TRUE(config.Set(Changes{{"notify-keyspace-events", "KEA"}}).ok());
  EXPECT_EQ(config.Text("notify-keyspace-events"), "AKE");
  EXPECT_EQ(config.Integer("notify-keyspace-events"), kEventAll | kKeyspaceChannel | kKeyeventChannel);
  EXPECT_TRUE(config.Set(Changes{{"notify-keyspace-events", "mEnd"}}).ok());
  EXPECT_EQ(config.Text("notify-keyspace-events"), "dnEm");
  EXPECT_EQ(SetError(config, {{"notify-keyspace-events", "Q"}}),
            Failed("notify-keyspace-events", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."));

  EXPECT_TRUE(config.Set(Changes{{"save", "900 1 300 10"}}).ok());
  EXPECT_EQ(config.Text("save"), "900 1 300 10");
  EXPECT_TRUE(config.Set(Changes{{"save", ""}}).ok());
  EXPECT_EQ(SetError(config, {{"save", "900"}}), Failed("save", "Invalid save parameters"));

  EXPECT_TRUE(config.Set(Changes{{"maxmemory-clients", "5%"}}).ok());
  EXPECT_EQ(config.Text("maxmemory-clients"), "5%");
}

TEST(ConfigTest, MemorySizes) {
  EXPECT_EQ(ParseMemory("1k"), 1000);
  EXPECT_EQ(ParseMemory("1KB"), 1024);
  EXPECT_EQ(ParseMemory("3mb"), 3 << 20);
  EXPECT_EQ(ParseMemory("2G"), 2'000'000'000);
  EXPECT_EQ(ParseMemory("5b"), 5);
  for (const char* bad : {"", "-1", "1tb", "1.5gb", "mb", " 1", "9223372036854775808", "9999999999gb"}) {
    EXPECT_FALSE(ParseMemory(bad)) << bad;
  }
  EXPECT_EQ(FormatMemory(104857600), "100mb");
  EXPECT_EQ(FormatMemory(1000), "1000");
  EXPECT_EQ(FormatMemory(0), "0");
}

// A disk in a map.
struct FakeDisk {
  std::map<std::string, std::string> files;
  Files AsFiles() {
    return {[this](const std::string& path) -> absl::StatusOr<std::string> {
              const auto found = files.find(path);
              if (found == files.end()) return absl::NotFoundError("no such file");
              return found->second;
            },
            [this](const std::string& path, std::string_view bytes) {
              files[path] = bytes;
              return absl::OkStatus();
            }};
  }
};

std::string LoadError(const std::string& text) {
  Config config;
  return std::string(Message(config.LoadText(text, "t.conf")));
}

std::string FlagError(const std::vector<std::string>& arguments) {
  Config config;
  return std::string(Message(config.LoadArguments(arguments)));
}

TEST(ConfigLoadTest, FileSyntax) {
  Config config;
  const absl::Status loaded = config.LoadText(
      "# a comment\r\n\n  port 7000\n\tMAXMEMORY 100mb\nrequirepass \"a b\\x41\"\nbind 127.0.0.1 ::1\nsave 900 1\n"
      "save 300 10\nclient-output-buffer-limit pubsub 1mb 0 0\n  # port 1\nlogfile ''",
      "t.conf");
  ASSERT_TRUE(loaded.ok()) << loaded;
  EXPECT_EQ(config.Integer("port"), 7000);
  EXPECT_EQ(config.Integer("maxmemory"), 100 << 20);
  EXPECT_EQ(config.Text("requirepass"), "a bA");
  EXPECT_EQ(config.Text("bind"), "127.0.0.1 ::1");
  EXPECT_EQ(config.Text("save"), "900 1 300 10");
  EXPECT_EQ(config.Text("client-output-buffer-limit"), "normal 0 0 0 slave 268435456 67108864 60 pubsub 1048576 0 0");
}

TEST(ConfigLoadTest, MistakesNameTheirPlaceAndWhatWasMeant) {
  EXPECT_EQ(LoadError("port 1\n\nmaxmemry 1\n"),
            "t.conf, line 3: unknown option \"maxmemry\"; did you mean \"maxmemory\"?");
  EXPECT_EQ(LoadError("completely-different-thing 1"), "t.conf, line 1: unknown option \"completely-different-thing\"");
  EXPECT_EQ(LoadError("port abc"), "t.conf, line 1: \"port\" \"abc\": argument couldn't be parsed into an integer");
  EXPECT_EQ(LoadError("port 70000"),
            "t.conf, line 1: \"port\" \"70000\": argument must be between 0 and 65535 inclusive");
  EXPECT_EQ(LoadError("port"), "t.conf, line 1: \"port\" needs a value");
  EXPECT_EQ(LoadError("logfile a b"),
            "t.conf, line 1: \"logfile\" takes one value, not 2; put it in quotes if it has spaces");
  EXPECT_EQ(LoadError("logfile \"a"), "t.conf, line 1: quotes are not balanced");
  EXPECT_EQ(LoadError("daemonize yes"),
            "t.conf, line 1: \"daemonize\" \"yes\": argument(s) must be one of the following: no");
  EXPECT_EQ(LoadError("tls-port 6380"), "t.conf, line 1: unknown option \"tls-port\"");
  EXPECT_THAT(LoadError("requirepass a secret"), ::testing::Not(::testing::HasSubstr("secret")));
}

TEST(ConfigLoadTest, Flags) {
  Config config;
  const std::vector<std::string> arguments = {
      "--port", "7000", "--appendfsync", "always",          "--save",           "",
      "--bind", "::1",  "127.0.0.1",     "--maxmemory=1gb", "--requirepass=--x"};
  const absl::Status loaded = config.LoadArguments(arguments);
  ASSERT_TRUE(loaded.ok()) << loaded;
  EXPECT_EQ(config.Integer("port"), 7000);
  EXPECT_EQ(config.Text("appendfsync"), "always");
  EXPECT_EQ(config.Text("bind"), "::1 127.0.0.1");
  EXPECT_EQ(config.Integer("maxmemory"), 1 << 30);
  EXPECT_EQ(config.Text("requirepass"), "--x");
  EXPECT_EQ(config.file(), "");

  EXPECT_EQ(FlagError({"--prot", "1"}), "flag --prot: unknown option \"prot\"; did you mean \"port\"?");
  EXPECT_EQ(FlagError({"--port", "x"}), "flag --port: \"port\" \"x\": argument couldn't be parsed into an integer");
  EXPECT_EQ(FlagError({"--port", "--dir", "x"}), "flag --port: \"port\" needs a value");
  EXPECT_EQ(FlagError({"-p", "1"}), "-p: flags begin with two dashes");
}

TEST(ConfigLoadTest, FileThenFlagsAndIncludes) {
  FakeDisk disk;
  disk.files["/etc/t.conf"] = "port 1\ninclude /etc/more.conf\ntimeout 5\n";
  disk.files["/etc/more.conf"] = "timeout 4\nmaxclients 44\n";
  disk.files["/etc/loop.conf"] = "include /etc/loop.conf\n";
  disk.files["/etc/bad.conf"] = "\ninclude /etc/none.conf\n";
  disk.files["-"] = "port 9\n";

  Config config(disk.AsFiles());
  ASSERT_TRUE(config.LoadArguments(std::vector<std::string>{"/etc/t.conf", "--port", "2"}).ok());
  EXPECT_EQ(config.Integer("port"), 2);
  EXPECT_EQ(config.Integer("timeout"), 5);
  EXPECT_EQ(config.Integer("maxclients"), 44);
  EXPECT_EQ(config.file(), "/etc/t.conf");

  Config from_stdin(disk.AsFiles());
  ASSERT_TRUE(from_stdin.LoadArguments(std::vector<std::string>{"-"}).ok());
  EXPECT_EQ(from_stdin.Integer("port"), 9);
  EXPECT_EQ(from_stdin.file(), "");

  Config looped(disk.AsFiles());
  EXPECT_THAT(std::string(Message(looped.LoadArguments(std::vector<std::string>{"/etc/loop.conf"}))),
              ::testing::EndsWith("includes are nested too deeply"));
  Config bad(disk.AsFiles());
  EXPECT_EQ(Message(bad.LoadArguments(std::vector<std::string>{"/etc/bad.conf"})),
            "/etc/bad.conf, line 2: /etc/none.conf: no such file");
}

TEST(ConfigRewriteTest, KeepsTheFileAndReplacesWhatChanged) {
  FakeDisk disk;
  const std::string before =
      "# my server\nport 7000\n\n# memory\nmaxmemory 100mb\nsave 900 1\nsave 300 10\ntimeout 0007\n"
      "include /other.conf\nappendfsync \"always\"\n";
  disk.files["/other.conf"] = "";
  disk.files["/t.conf"] = before;
  disk.files["/t.conf"].replace(before.find("0007"), 4, "7");
  Config config(disk.AsFiles());
  const absl::Status loaded = config.LoadArguments(std::vector<std::string>{"/t.conf"});
  ASSERT_TRUE(loaded.ok()) << loaded;

  const std::string unchanged = disk.files["/t.conf"];
  ASSERT_TRUE(config.Rewrite().ok());
  EXPECT_EQ(disk.files["/t.conf"], unchanged);

  ASSERT_TRUE(
      config.Set(Changes{{"maxmemory", "2gb"}, {"save", "60 5"}, {"requirepass", "a b"}, {"slave-priority", "3"}})
          .ok());
  ASSERT_TRUE(config.Rewrite().ok());
  const std::string expected =
      "# my server\nport 7000\n\n# memory\nmaxmemory 2gb\nsave 60 5\ntimeout 7\ninclude /other.conf\n"
      "appendfsync \"always\"\n# Generated by CONFIG REWRITE\nrequirepass \"a b\"\nreplica-priority 3\n";
  EXPECT_EQ(disk.files["/t.conf"], expected);

  ASSERT_TRUE(config.Set(Changes{{"timeout", "0"}, {"save", ""}, {"latency-tracking", "no"}}).ok());
  ASSERT_TRUE(config.Rewrite().ok());
  EXPECT_THAT(disk.files["/t.conf"], ::testing::HasSubstr("save \"\"\ntimeout 0\n"));
  EXPECT_THAT(disk.files["/t.conf"], ::testing::EndsWith("replica-priority 3\nlatency-tracking no\n"));

  Config again(disk.AsFiles());
  ASSERT_TRUE(again.LoadArguments(std::vector<std::string>{"/t.conf"}).ok());
  EXPECT_EQ(Get(again, {"*"}), Get(config, {"*"}));
}

// What REPLICAOF and failovers have made of it is what the next start must find.
TEST(ConfigRewriteTest, KeepsThePrimaryThatWasRecorded) {
  FakeDisk disk;
  disk.files["/t.conf"] = "slaveof 10.0.0.1 6379\nport 7000\n";
  Config config(disk.AsFiles());
  ASSERT_TRUE(config.LoadArguments(std::vector<std::string>{"/t.conf"}).ok());
  EXPECT_EQ(config.Text("replicaof"), "10.0.0.1 6379");
  EXPECT_EQ(SetError(config, {{"replicaof", "a 1"}}), Failed("replicaof", "can't set immutable config"));

  config.Record("replicaof", "db2 6380");
  EXPECT_EQ(config.Text("slaveof"), "db2 6380");
  ASSERT_TRUE(config.Rewrite().ok());
  EXPECT_EQ(disk.files["/t.conf"], "replicaof db2 6380\nport 7000\n");

  config.Record("replicaof", "");
  ASSERT_TRUE(config.Rewrite().ok());
  EXPECT_EQ(disk.files["/t.conf"], "port 7000\n");

  config.Record("replicaof", "db3 6381");
  ASSERT_TRUE(config.Rewrite().ok());
  EXPECT_EQ(disk.files["/t.conf"], "port 7000\n# Generated by CONFIG REWRITE\nreplicaof db3 6381\n");
}

TEST(ConfigRewriteTest, UsersAreReplacedWhereTheyChanged) {
  FakeDisk disk;
  disk.files["/t.conf"] = "user alice  on >\"x\" ~*\nport 7000\nuser bob off\n";
  Config config(disk.AsFiles());
  ASSERT_TRUE(config.LoadArguments(std::vector<std::string>{"/t.conf", "--user", "carol", "on"}).ok());
  EXPECT_THAT(config.user_lines(), ::testing::ElementsAre("user alice on >x ~*", "user bob off", "user carol on"));
  ASSERT_TRUE(config.Rewrite().ok());
  EXPECT_EQ(disk.files["/t.conf"], "user alice  on >\"x\" ~*\nport 7000\nuser bob off\n");
  config.SetUserLines([] { return std::vector<std::string>{"user alice on >x ~*", "user carol on"}; });
  ASSERT_TRUE(config.Rewrite().ok());
  EXPECT_EQ(disk.files["/t.conf"],
            "user alice  on >\"x\" ~*\nport 7000\n# Generated by CONFIG REWRITE\nuser carol on\n");
  disk.files["/bad.conf"] = "user\n";
  EXPECT_EQ(Message(Config(disk.AsFiles()).LoadArguments(std::vector<std::string>{"/bad.conf"})),
            "/bad.conf, line 1: \"user\" needs a name");
}

TEST(ConfigRewriteTest, NeedsAFile) {
  Config config;
  EXPECT_EQ(Message(config.Rewrite()), "ERR The server is running without a config file");
}

}  // namespace
}  // namespace tidemark::config
