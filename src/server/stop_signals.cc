// A handler may do next to nothing (signal-safety(7)): it writes the signal's number into an eventfd that the poller
// watches.
#include "server/stop_signals.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <utility>

#include "base/check.h"

namespace tidemark::server {
namespace {

int event = -1;

extern "C" void ExitAtOnce(int /*signal*/) { ::_exit(1); }

extern "C" void Tell(int signal) {
  const int saved_errno = errno;
  ::signal(SIGTERM, ExitAtOnce);
  ::signal(SIGINT, ExitAtOnce);
  const auto number = static_cast<uint64_t>(signal);
  [[maybe_unused]] const ssize_t written = ::write(event, &number, sizeof(number));
  errno = saved_errno;
}

}  // namespace

StopSignals::StopSignals(Poller& poller, std::function<void(int signal)> stop) : stop_(std::move(stop)) {
  TM_CHECK(event < 0, "signals are caught twice");
  event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  TM_CHECK(event >= 0 && poller.Add(event, *this), "no descriptor for signals, errno {}", errno);
  ::signal(SIGTERM, Tell);
  ::signal(SIGINT, Tell);
}

StopSignals::~StopSignals() {
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  ::close(std::exchange(event, -1));
}

void StopSignals::OnEvents(Poller::Events /*events*/) {
  uint64_t number = 0;
  if (::read(event, &number, sizeof(number)) == sizeof(number)) stop_(static_cast<int>(number));
}

}  // namespace tidemark::server
