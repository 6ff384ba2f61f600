// What a replica makes of the answers of a Redis port, given by a server that says what the test tells it to.
#include "rpc/rpc_port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "rpc/replication_testing.h"
#include "rpc/upstream.h"

namespace tidemark::rpc {
namespace {

using replication::Endpoint;
using replication::UpstreamOptions;
using std::chrono::milliseconds;
using testing::HasSubstr;

// Serves one connection: each answer is sent once one more command has come; after the last one it says nothing more.
class FakeRedis {
 public:
  explicit FakeRedis(std::vector<std::string> answers) : answers_(std::move(answers)) {
    listening_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listening_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listening_, 1), 0);
    socklen_t length = sizeof address;
    EXPECT_EQ(::getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeRedis() { Received(); }

  Endpoint endpoint() const { return {.host = "127.0.0.1", .port = port_}; }
  // All that came; waits for the client to go.
  const std::string& Received() {
    if (!thread_.joinable()) return received_;
    ::shutdown(listening_, SHUT_RDWR);
    thread_.join();
    ::close(listening_);
    return received_;
  }

 private:
  void Serve() {
    const int client = ::accept(listening_, nullptr, nullptr);
    if (client < 0) return;
    for (const std::string& answer : answers_) {
      if (!Read(client)) break;
      EXPECT_EQ(::send(client, answer.data(), answer.size(), MSG_NOSIGNAL), static_cast<ssize_t>(answer.size()));
    }
    while (Read(client)) {
    }
    ::close(client);
  }
  bool Read(int client) {
    char buffer[512];
    const ssize_t bytes = ::recv(client, buffer, sizeof buffer, 0);
    if (bytes > 0) received_.append(buffer, static_cast<size_t>(bytes));
    return bytes > 0;
  }

  std::vector<std::string> answers_;
  std::string received_;
  int listening_ = -1;
  uint16_t port_ = 0;
  std::thread thread_;
};

UpstreamOptions WithPassword(std::string user) {
  return {.user = std::move(user), .password = "secret", .timeout = kPatience};
}

absl::Status Ask(const std::vector<std::string>& answers, const UpstreamOptions& options = {}) {
  FakeRedis redis(answers);
  return AskForRpcPort(redis.endpoint(), options, kPatience).status();
}

TEST(RpcPort, IsAskedForOnTheRedisPort) {
  FakeRedis redis({":16379\r\n"});
  const auto port = AskForRpcPort(redis.endpoint(), {}, kPatience);
  ASSERT_TRUE(port.ok()) << port.status();
  EXPECT_EQ(*port, 16379);
  EXPECT_EQ(redis.Received(), "*2\r\n$8\r\nREPLCONF\r\n$8\r\nrpc-port\r\n");
}

TEST(RpcPort, IsAskedForWithThePassword) {
  FakeRedis redis({"+OK\r\n", ":1\r\n"});
  EXPECT_TRUE(AskForRpcPort(redis.endpoint(), WithPassword("replica"), kPatience).ok());
  EXPECT_THAT(redis.Received(),
              testing::StartsWith("*3\r\n$4\r\nAUTH\r\n$7\r\nreplica\r\n$6\r\nsecret\r\n*2\r\n$8\r\nREPLCONF"));
}

TEST(RpcPort, NeedsNoUserBesideThePassword) {
  FakeRedis redis({"+OK\r\n", ":1\r\n"});
  EXPECT_TRUE(AskForRpcPort(redis.endpoint(), WithPassword(""), kPatience).ok());
  EXPECT_THAT(redis.Received(), testing::StartsWith("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"));
}

TEST(RpcPort, AWrongPasswordIsToldApart) {
  EXPECT_TRUE(absl::IsUnauthenticated(Ask({"-NOAUTH Authentication required.\r\n"})));
  EXPECT_TRUE(absl::IsUnauthenticated(Ask({"-WRONGPASS invalid username-password pair\r\n"}, WithPassword(""))));
  EXPECT_TRUE(absl::IsUnauthenticated(Ask({"-DENIED Redis is running in protected mode\r\n"})));
}

TEST(RpcPort, APrimaryThatWantsNoPasswordYetIsFollowed) {
  EXPECT_TRUE(
      Ask({"-ERR AUTH <password> called without any password configured\r\n", ":1\r\n"}, WithPassword("")).ok());
}

TEST(RpcPort, AServerThatIsNoTidemarkIsNamedSo) {
  for (const std::string answer : {"-ERR syntax error\r\n", "-ERR unknown command 'REPLCONF'\r\n", "+OK\r\n", ":-1\r\n",
                                   ":65536\r\n", "$-1\r\n"}) {
    const absl::Status status = Ask({answer});
    EXPECT_TRUE(absl::IsUnimplemented(status)) << answer;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("is no Tidemark")) << answer;
  }
}

TEST(RpcPort, AServerWithoutOneIsToldToSetIt) {
  const absl::Status status = Ask({":0\r\n"});
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(Message(status)), HasSubstr("set rpc-port"));
}

TEST(RpcPort, AServerThatIsBusyIsTriedAgain) {
  EXPECT_TRUE(absl::IsUnavailable(Ask({"-LOADING Redis is loading the dataset in memory\r\n"})));
  EXPECT_TRUE(absl::IsUnavailable(Ask({"-ERR max number of clients reached\r\n"})));
}

TEST(RpcPort, AServerThatSaysNothingOrIsNotThereIsUnavailable) {
  FakeRedis silent({});
  const auto begin = std::chrono::steady_clock::now();
  const absl::Status status = AskForRpcPort(silent.endpoint(), {}, milliseconds(150)).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  const Endpoint endpoint = silent.endpoint();
  silent.Received();
  EXPECT_TRUE(absl::IsUnavailable(AskForRpcPort(endpoint, {}, kPatience).status())) << "refused";
}

TEST(RpcPort, AReplicaFindsThePrimaryThroughIt) {
  FakeFeed feed;
  feed.welcome.from = Lsn{77};
  backup::FakeTasks tasks;
  const std::unique_ptr<RpcServer> server = StartServer(&feed, tasks, "secret");
  FakeRedis redis({"+OK\r\n", fmt::format(":{}\r\n", server->port())});
  const auto upstream = UpstreamOver({})(redis.endpoint(), WithPassword(""));
  ASSERT_TRUE(upstream.ok()) << upstream.status();
  const auto welcome = (*upstream)->Join({});
  ASSERT_TRUE(welcome.ok()) << welcome.status();
  EXPECT_EQ(welcome->from, Lsn{77});
}

}  // namespace
}  // namespace tidemark::rpc
