// Tells which descriptors have something to read or room to write: Linux's epoll, edge-triggered (epoll(7)).
//
// A descriptor is registered once, and from then on the kernel reports changes, never states. So a command costs one
// recv and one send, and the loop one epoll_wait for all connections that are ready together. The price is that whoever
// is told has to remember it until a read or write comes back short or with EAGAIN: nobody is told twice.
#pragma once

#include <chrono>
#include <cstdint>

namespace tidemark::server {

// For one thread, but for Wake.
class Poller {
 public:
  struct Events {
    bool readable;
    bool writable;
    // The other side has ended its half or the connection broke. There is no further report of it, so a short read does
    // not mean that all has been read.
    bool ended;
  };

  // Told of its descriptor's events from within Wait. It may register and close descriptors, but must not be destroyed
  // before Wait has returned.
  class Source {
   public:
    virtual void OnEvents(Events events) = 0;

   protected:
    ~Source() = default;
  };

  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // `fd` is non-blocking and reported until it is closed; its state now counts as a change. False when the system has
  // no room for it (errno).
  [[nodiscard]] bool Add(int fd, Source& source);
  // Reports what has happened, waiting up to `patience` for the first of it. False when nothing did, Wake included.
  bool Wait(std::chrono::milliseconds patience);
  // Ends the Wait under way, or the next one. Any thread.
  void Wake();

 private:
  const int epoll_;
  const int wake_;  // an eventfd
};

}  // namespace tidemark::server
