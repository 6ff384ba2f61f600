#include "server/poller.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <thread>

#include "server/socket.h"

namespace tidemark::server {
namespace {

constexpr std::chrono::milliseconds kNow(0);
constexpr std::chrono::milliseconds kLong(20'000);

// One end of a connection, and what it was told.
class End final : public Poller::Source {
 public:
  explicit End(int fd) : socket(fd) { ::fcntl(fd, F_SETFL, O_NONBLOCK); }
  void OnEvents(Poller::Events events) override {
    ++told;
    last = events;
  }
  void Write(std::string_view bytes) {
    ASSERT_EQ(::send(socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  std::string Read(size_t most) {
    std::string bytes(most, '\0');
    const ssize_t count = ::recv(socket.fd(), bytes.data(), most, 0);
    bytes.resize(count < 0 ? 0 : static_cast<size_t>(count));
    return bytes;
  }

  Socket socket;
  int told = 0;
  Poller::Events last{};
};

class PollerTest : public ::testing::Test {
 protected:
  PollerTest() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ours_ = std::make_unique<End>(fds[0]);
    theirs_ = std::make_unique<End>(fds[1]);
    EXPECT_TRUE(poller_.Add(fds[0], *ours_));
    EXPECT_TRUE(poller_.Wait(kNow));
    EXPECT_TRUE(ours_->last.writable);
    EXPECT_FALSE(ours_->last.readable);
    ours_->told = 0;
  }

  Poller poller_;
  std::unique_ptr<End> ours_;
  std::unique_ptr<End> theirs_;
};

TEST_F(PollerTest, ToldOncePerArrivalAndNotOfWhatWasLeftUnread) {
  EXPECT_FALSE(poller_.Wait(kNow));
  theirs_->Write("hello");
  EXPECT_TRUE(poller_.Wait(kLong));
  EXPECT_TRUE(ours_->last.readable);
  EXPECT_FALSE(ours_->last.ended);
  EXPECT_FALSE(poller_.Wait(kNow));
  EXPECT_EQ(ours_->Read(2), "he");
  EXPECT_FALSE(poller_.Wait(kNow));
  theirs_->Write("!");
  EXPECT_TRUE(poller_.Wait(kLong));
  EXPECT_EQ(ours_->Read(10), "llo!");
  EXPECT_EQ(ours_->told, 2);
}

TEST_F(PollerTest, TheEndIsToldWithWhatCameBeforeIt) {
  theirs_->Write("bye");
  theirs_->socket.Close();
  EXPECT_TRUE(poller_.Wait(kLong));
  EXPECT_TRUE(ours_->last.readable);
  EXPECT_TRUE(ours_->last.ended);
  EXPECT_EQ(ours_->Read(10), "bye");
}

TEST_F(PollerTest, RoomToWriteIsToldOfWhenTheOtherSideHasRead) {
  const std::string page(4096, 'x');
  while (::send(ours_->socket.fd(), page.data(), page.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(page.size())) {
  }
  poller_.Wait(kNow);
  ours_->told = 0;
  EXPECT_FALSE(poller_.Wait(kNow));
  while (!theirs_->Read(1 << 16).empty()) {
  }
  EXPECT_TRUE(poller_.Wait(kLong));
  EXPECT_TRUE(ours_->last.writable);
}

TEST_F(PollerTest, AClosedDescriptorIsNeverToldOf) {
  theirs_->Write("late");
  ours_->socket.Close();
  EXPECT_FALSE(poller_.Wait(kNow));
  EXPECT_EQ(ours_->told, 0);
}

TEST_F(PollerTest, WakeEndsTheWaitUnderWayAndTheOneToCome) {
  poller_.Wake();
  EXPECT_TRUE(poller_.Wait(kLong));
  EXPECT_FALSE(poller_.Wait(kNow));
  std::thread other([this] { poller_.Wake(); });
  EXPECT_TRUE(poller_.Wait(kLong));
  other.join();
  EXPECT_EQ(ours_->told, 0);
}

}  // namespace
}  // namespace tidemark::server
