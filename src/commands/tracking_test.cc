// Client-side caching and MONITOR, over a whole server. Texts as redis-server 7.0 gave them.
#include "commands/tracking.h"

#include <gtest/gtest.h>

#include <utility>

#include "commands/testing_server.h"

namespace tidemark::commands {
namespace {

using testing::FakeClient;
using testing::TestServer;

class TrackingTest : public ::testing::Test {
 protected:
  TrackingTest() {
    server_.Join(reader_);
    server_.Join(other_);
    server_.Run(reader_, "HELLO 3");
  }
  ~TrackingTest() override {
    server_.Leave(reader_);
    server_.Leave(other_);
  }

  std::string Read(const char* line) { return server_.Run(reader_, line); }
  // What was pushed to `client` since the last call.
  static std::string Told(FakeClient& client) {
    const std::string delivered = std::exchange(client.delivered, "");
    std::string text;
    std::string_view rest = delivered;
    while (!rest.empty()) text += (text.empty() ? "" : " ") + *testing::TakeReadable(&rest);
    return text;
  }
  std::string ToldAfter(const char* line) {
    server_.Run(line);
    return Told(reader_);
  }

  TestServer server_;
  FakeClient reader_;
  FakeClient other_;
};

TEST_F(TrackingTest, AKeyThatWasReadIsToldOnceWhenItChanges) {
  EXPECT_EQ(Read("CLIENT TRACKING on"), "OK");
  EXPECT_EQ(ToldAfter("SET a 1"), "") << "it has not been read";
  Read("GET a");
  Read("MGET b c");
  EXPECT_EQ(ToldAfter("SET a 2"), R"(>["invalidate", ["a"]])");
  EXPECT_EQ(ToldAfter("SET a 3"), "");
  EXPECT_EQ(ToldAfter("SET b 1"), R"(>["invalidate", ["b"]])");
  EXPECT_EQ(ToldAfter("GET c"), "");
  EXPECT_NE(server_.Run("INFO").find("tracking_total_keys:1"), std::string::npos);
  EXPECT_NE(server_.Run("INFO").find("tracking_clients:1"), std::string::npos);
  Read("CLIENT TRACKING off");
  EXPECT_EQ(ToldAfter("SET c 1"), "");
}

TEST_F(TrackingTest, TransactionsReadAndChangeAsOne) {
  Read("CLIENT TRACKING on");
  Read("MULTI");
  Read("GET a");
  Read("EXEC");
  server_.Run("MULTI");
  server_.Run("SET a 1");
  server_.Run("INCR text");
  EXPECT_EQ(Told(reader_), "");
  EXPECT_EQ(ToldAfter("EXEC"), R"(>["invalidate", ["a"]])");
  server_.Run("SET text abc");
  Read("GET text");
  EXPECT_EQ(ToldAfter("INCR text"), "") << "it failed";
}

TEST_F(TrackingTest, ExpiryAndFlushAreChangesToo) {
  Read("CLIENT TRACKING on");
  Read("GET a");
  server_.server().tracking->OnKeyExpired(DbIndex{0}, "a");
  EXPECT_EQ(Told(reader_), R"(>["invalidate", ["a"]])");
  server_.Run("SET a 1");
  Read("GET a");
  EXPECT_EQ(ToldAfter("FLUSHALL"), R"(>["invalidate", nil])");
  EXPECT_EQ(server_.server().tracking->stats().keys, 0U);
}

TEST_F(TrackingTest, OwnChangesAreToldUnlessNoloop) {
  Read("CLIENT TRACKING on");
  Read("GET a");
  Read("SET a 1");
  EXPECT_EQ(Told(reader_), R"(>["invalidate", ["a"]])");
  Read("CLIENT TRACKING off");
  Read("CLIENT TRACKING on NOLOOP");
  Read("GET a");
  Read("SET a 1");
  EXPECT_EQ(Told(reader_), "");
}

TEST_F(TrackingTest, OptinAndOptout) {
  Read("CLIENT TRACKING on OPTIN");
  Read("GET a");
  EXPECT_EQ(ToldAfter("SET a 1"), "");
  EXPECT_EQ(Read("CLIENT CACHING yes"), "OK");
  Read("GET a");
  Read("GET b");
  EXPECT_EQ(ToldAfter("SET a 2"), R"(>["invalidate", ["a"]])");
  EXPECT_EQ(ToldAfter("SET b 2"), "") << "CACHING is for one command";
  Read("CLIENT TRACKING off");
  Read("CLIENT TRACKING on OPTOUT");
  Read("CLIENT CACHING no");
  Read("GET a");
  Read("GET b");
  EXPECT_EQ(ToldAfter("SET a 3"), "");
  EXPECT_EQ(ToldAfter("SET b 3"), R"(>["invalidate", ["b"]])");
  EXPECT_EQ(Read("CLIENT CACHING yes"),
            "(error) ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
}

TEST_F(TrackingTest, BroadcastTellsOfPrefixes) {
  EXPECT_EQ(Read("CLIENT TRACKING on BCAST PREFIX a: PREFIX b:"), "OK");
  EXPECT_EQ(ToldAfter("MSET a:1 x a:2 y c:1 z"), R"(>["invalidate", ["a:1", "a:2"]])");
  EXPECT_EQ(ToldAfter("SET b:1 x"), R"(>["invalidate", ["b:1"]])");
  EXPECT_EQ(Read("CLIENT TRACKING on BCAST PREFIX a:1"),
            "(error) ERR Prefix 'a:1' overlaps with an existing prefix 'a:'. Prefixes for a single client must not "
            "overlap.");
  EXPECT_EQ(Read("CLIENT TRACKINGINFO"), R"({"flags": ~["on", "bcast"], "redirect": 0, "prefixes": ["a:", "b:"]})");
  EXPECT_EQ(server_.server().tracking->stats().prefixes, 2U);
  Read("CLIENT TRACKING off");
  EXPECT_EQ(server_.server().tracking->stats().prefixes, 0U);
  Read("CLIENT TRACKING on BCAST");
  EXPECT_EQ(ToldAfter("SET any x"), R"(>["invalidate", ["any"]])");
}

TEST_F(TrackingTest, MessagesMayGoToAnotherConnection) {
  server_.Run(other_, "SUBSCRIBE __redis__:invalidate");
  const std::string id = fmt::format("{}", other_.id);
  EXPECT_EQ(server_.Run(reader_, {"CLIENT", "TRACKING", "on", "REDIRECT", id}), "OK");
  EXPECT_EQ(Read("CLIENT GETREDIR"), id);
  Read("GET a");
  EXPECT_EQ(ToldAfter("SET a 1"), "");
  EXPECT_EQ(Told(other_), R"(["message", "__redis__:invalidate", ["a"]])");
  server_.Leave(other_);
  Read("GET a");
  EXPECT_EQ(ToldAfter("SET a 2"), fmt::format(R"(>["tracking-redir-broken", {}])", id));
  EXPECT_NE(Read("CLIENT TRACKINGINFO").find("broken_redirect"), std::string::npos);
  server_.Join(other_);
}

TEST_F(TrackingTest, TheTableHasALimit) {
  server_.Run("CONFIG SET tracking-table-max-keys 2");
  Read("CLIENT TRACKING on");
  Read("MGET a b c d");
  EXPECT_EQ(server_.server().tracking->stats().keys, 2U);
  EXPECT_NE(Told(reader_), "") << "who loses a key is told to forget it";
  server_.Run("CONFIG SET tracking-table-max-keys 1");
  EXPECT_EQ(server_.server().tracking->stats().keys, 1U);
}

TEST_F(TrackingTest, WrongOptionsAreTold) {
  EXPECT_EQ(Read("CLIENT TRACKING on REDIRECT 999"), "(error) ERR The client ID you want redirect to does not exist");
  EXPECT_EQ(Read("CLIENT TRACKING on PREFIX a"), "(error) ERR PREFIX option requires BCAST mode to be enabled");
  EXPECT_EQ(Read("CLIENT TRACKING on BCAST OPTIN"), "(error) ERR OPTIN and OPTOUT are not compatible with BCAST");
  EXPECT_EQ(Read("CLIENT TRACKING on OPTIN OPTOUT"), "(error) ERR You can't specify both OPTIN mode and OPTOUT mode");
  EXPECT_EQ(Read("CLIENT TRACKING foo"), "(error) ERR syntax error");
  EXPECT_EQ(Read("CLIENT CACHING yes"),
            "(error) ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT "
            "mode enabled");
  EXPECT_EQ(Read("CLIENT TRACKING on"), "OK");
  EXPECT_TRUE(Read("CLIENT TRACKING on BCAST").starts_with("(error) ERR You can't switch BCAST mode on/off"));
  EXPECT_EQ(Read("RESET"), "RESET");
  EXPECT_EQ(Read("CLIENT GETREDIR"), "-1");
}

// The line without its time.
std::string Shown(FakeClient& monitor) {
  const std::string delivered = std::exchange(monitor.delivered, "");
  std::string text;
  for (size_t at = 0; at < delivered.size();) {
    const size_t end = delivered.find("\r\n", at);
    const std::string line = delivered.substr(at, end - at);
    text += line.substr(line.find('[')) + "\n";
    at = end + 2;
  }
  return text;
}

TEST_F(TrackingTest, MonitorShowsWhatRuns) {
  EXPECT_EQ(server_.Run(other_, "MONITOR"), "OK");
  server_.Run({"SET", "a", "x\r\n\x01\"\\"});
  EXPECT_EQ(Shown(other_), "[0 127.0.0.1:1000] \"SET\" \"a\" \"x\\r\\n\\x01\\\"\\\\\"\n");
  server_.Run("AUTH someone secret");
  EXPECT_EQ(Shown(other_), "[0 127.0.0.1:1000] \"AUTH\" \"(redacted)\" \"(redacted)\"\n");
  server_.Run("CONFIG GET port");
  server_.Run("NOSUCHCOMMAND");
  EXPECT_EQ(Shown(other_), "");
  server_.Run("MULTI");
  server_.Run("SET a 1");
  server_.Run("PING");
  EXPECT_EQ(Shown(other_), "[0 127.0.0.1:1000] \"MULTI\"\n");
  server_.Run("EXEC");
  EXPECT_EQ(Shown(other_),
            "[0 127.0.0.1:1000] \"SET\" \"a\" \"1\"\n[0 127.0.0.1:1000] \"PING\"\n[0 127.0.0.1:1000] \"EXEC\"\n");
  EXPECT_NE(server_.Run("CLIENT LIST").find("flags=O"), std::string::npos);
  EXPECT_EQ(server_.Run(other_, "RESET"), "RESET");
  Shown(other_);
  server_.Run("PING");
  EXPECT_EQ(Shown(other_), "");
}

}  // namespace
}  // namespace tidemark::commands
