#include "server/poller.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/check.h"

namespace tidemark::server {
namespace {

constexpr size_t kEventsAtOnce = 256;

}  // namespace

Poller::Poller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  TM_CHECK(epoll_ >= 0 && wake_ >= 0, "no descriptors for the event loop, errno {}", errno);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;
  TM_CHECK(::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0, "epoll_ctl: errno {}", errno);
}

Poller::~Poller() {
  ::close(wake_);
  ::close(epoll_);
}

bool Poller::Add(int fd, Source& source) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &source;
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool Poller::Wait(std::chrono::milliseconds patience) {
  std::array<epoll_event, kEventsAtOnce> events;
  const int count = ::epoll_wait(epoll_, events.data(), kEventsAtOnce, static_cast<int>(patience.count()));
  TM_CHECK(count >= 0 || errno == EINTR, "epoll_wait: errno {}", errno);
  for (int i = 0; i < count; ++i) {
    auto* source = static_cast<Source*>(events[i].data.ptr);
    if (source == nullptr) continue;
    const uint32_t bits = events[i].events;
    const bool ended = (bits & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    source->OnEvents(
        {.readable = ended || (bits & EPOLLIN) != 0, .writable = ended || (bits & EPOLLOUT) != 0, .ended = ended});
  }
  return count > 0;
}

// Nobody reads the counter: adding to it is the change that ends the waiting.
void Poller::Wake() {
  const uint64_t one = 1;
  const ssize_t written = ::write(wake_, &one, sizeof(one));
  TM_CHECK(written == sizeof(one), "waking the event loop: errno {}", errno);
}

}  // namespace tidemark::server
