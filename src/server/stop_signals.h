// SIGTERM and SIGINT as an event of an I/O thread. The first one stops the server in order; while that is under way, a
// second one ends the process at once: what is acknowledged is as safe then as after any crash.
#pragma once

#include <functional>

#include "server/poller.h"

namespace tidemark::server {

// At most one in a process.
class StopSignals final : public Poller::Source {
 public:
  // From now on the first signal makes `stop` be called, with its number, from within poller.Wait.
  StopSignals(Poller& poller, std::function<void(int signal)> stop);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  void OnEvents(Poller::Events events) override;

 private:
  const std::function<void(int)> stop_;
};

}  // namespace tidemark::server
