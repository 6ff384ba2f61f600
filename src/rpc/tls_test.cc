// With certificates on both sides a replica and its primary know each other, and nobody else gets in between.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "rpc/replication_testing.h"
#include "rpc/upstream.h"

namespace tidemark::rpc {
namespace {

// A folder of certificates that sign themselves, made by the openssl program.
class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    std::string pattern = testing::TempDir() + "tidemark-tls-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    for (const std::string name : {"node", "stranger"}) {
      const std::string command = fmt::format(
          "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={} "
          "-addext subjectAltName=IP:127.0.0.1 -keyout {}.key -out {}.crt 2>/dev/null",
          folder_.string(), name, name, name);
      EXPECT_EQ(std::system(command.c_str()), 0);
    }
  }
  ~TlsTest() override { std::filesystem::remove_all(folder_); }

  TlsFiles Files(const std::string& own, const std::string& authority) const {
    return {.certificate = folder_ / (own + ".crt"),
            .key = folder_ / (own + ".key"),
            .authority = folder_ / (authority + ".crt")};
  }
  absl::Status Join(const TlsFiles& tls) {
    const auto upstream = ConnectToRpcPort({.host = "127.0.0.1", .port = server_->port()},
                                           {.user = "", .password = "", .timeout = kPatience}, tls);
    return upstream.ok() ? (*upstream)->Join({}).status() : upstream.status();
  }

  std::filesystem::path folder_;
  FakeFeed feed_;
  backup::FakeTasks tasks_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(TlsTest, AReplicaWithACertificateJoins) {
  server_ = StartServer(&feed_, tasks_, "", Files("node", "node"));
  EXPECT_TRUE(Join(Files("node", "node")).ok());
}

TEST_F(TlsTest, AReplicaTellsNothingToAStranger) {
  TlsFiles stranger = Files("stranger", "node");
  stranger.authority.clear();
  server_ = StartServer(&feed_, tasks_, "", stranger);
  const absl::Status status = Join(Files("node", "node"));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(feed_.hellos.empty());
}

TEST_F(TlsTest, AStrangerIsNotServed) {
  server_ = StartServer(&feed_, tasks_, "", Files("node", "node"));
  EXPECT_TRUE(absl::IsUnavailable(Join(Files("stranger", "node")))) << "with a certificate of his own";
  EXPECT_TRUE(absl::IsUnavailable(Join({}))) << "with none";
  EXPECT_TRUE(feed_.hellos.empty());
}

TEST_F(TlsTest, AFileThatIsNotThereIsNamed) {
  server_ = StartServer(&feed_, tasks_, "");
  const absl::Status status = Join(Files("nobody", "node"));
  EXPECT_NE(std::string(Message(status)).find("nobody.crt"), std::string::npos) << status;
}

}  // namespace
}  // namespace tidemark::rpc
