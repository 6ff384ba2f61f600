// What can be seen of the S3 store without an S3 server; tests/process/test_s3_store.py has the rest.
#include "objstore/s3_store.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "objstore/testing.h"

namespace tidemark::objstore {
namespace {

// Takes connections and never says a word.
class SilentServer {
 public:
  SilentServer() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_, 16), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;
  ~SilentServer() { close(socket_); }

  std::string Uri() const {
    return fmt::format("s3://bucket/p?endpoint=http://127.0.0.1:{}&access-key=a&secret-access-key=s", port_);
  }
  int Accept() const { return accept(socket_, nullptr, nullptr); }

 private:
  const int socket_;
  int port_ = 0;
};

std::unique_ptr<ObjectStore> OpenWith(const SilentServer& server, std::chrono::milliseconds stall, int connections) {
  OpenOptions options;
  options.retries = 0;
  options.stall_timeout = stall;
  options.connections = connections;
  return std::move(Open(server.Uri(), options)).value();
}

TEST(S3StoreTest, ARequestThatStandsStillFails) {
  const SilentServer server;
  const auto store = OpenWith(server, std::chrono::milliseconds(100), 1);
  const absl::Status status = store->Put("k", RandomBytes(100, 1), PutCondition::kMustNotExist);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(store->stats().requests, 1u);
}

TEST(S3StoreTest, CancelEndsWhatIsUnderWayAndWhatWaitsForAConnection) {
  const SilentServer server;
  const auto store = OpenWith(server, std::chrono::hours(1), 2);
  std::vector<std::thread> calls;
  for (int i = 0; i < 5; ++i) {
    calls.emplace_back([&] { EXPECT_TRUE(absl::IsCancelled(store->Get("k").status())); });
  }
  const int first = server.Accept();
  const int second = server.Accept();
  store->Cancel();
  for (std::thread& call : calls) call.join();
  EXPECT_TRUE(absl::IsCancelled(store->Delete("k")));
  close(first);
  close(second);
}

TEST(S3StoreTest, OpenContactsNobodyAndShowsNoSecret) {
  const auto store =
      std::move(
          Open("s3://bucket/p?endpoint=http://127.0.0.1:1&access-key=SECRET&secret-access-key=SECRET", OpenOptions()))
          .value();
  EXPECT_EQ(store->display_uri(), "s3://bucket/p?endpoint=http://127.0.0.1:1");
  EXPECT_EQ(store->stats().requests, 0u);
}

TEST(S3StoreTest, NoUploadNeedsMoreThanTenThousandParts) {
  constexpr uint64_t kMiB = 1 << 20;
  const auto parts = [](uint64_t hint, uint64_t size) {
    uint64_t count = 0;
    for (uint64_t sent = 0; sent < size; sent += PartBytes(count, hint, sent)) ++count;
    return count;
  };
  EXPECT_EQ(PartBytes(1, 0, 0), 16 * kMiB);
  EXPECT_EQ(PartBytes(1, 100 * kMiB, 0), 16 * kMiB);
  for (const uint64_t size : {uint64_t{1} << 30, uint64_t{140} << 30, uint64_t{5} << 40}) {
    EXPECT_LE(parts(size, size), 9'001u) << size;
    EXPECT_LE(parts(0, size), 10'000u) << size;         // nothing was announced
    EXPECT_LE(parts(size / 2, size), 10'000u) << size;  // or too little
  }
  EXPECT_GE(PartBytes(1, uint64_t{5} << 40, 0), 5 * kMiB);
}

}  // namespace
}  // namespace tidemark::objstore
