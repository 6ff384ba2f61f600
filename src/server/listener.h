// Accepts connections and deals them to the I/O threads in turn. Lives on I/O thread 0.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "config/config.h"
#include "server/io_thread.h"
#include "server/poller.h"
#include "server/session.h"
#include "server/socket.h"

namespace tidemark::server {

class Listener {
 public:
  // `threads` is not empty and outlives the listener; so does `services`.
  Listener(std::span<const std::unique_ptr<IoThread>> threads, SessionServices& services);

  // Listens on each of `addresses` as `bind` has them: IPv4 or IPv6, "*" for all of IPv4, "::*" for all of IPv6, "-" in
  // front of one that may be missing on this machine. Before IoThread::Run. UNAVAILABLE with address and cause.
  absl::Status Listen(std::span<const std::string> addresses, uint16_t port, int backlog);
  // The addresses that are listened on, "127.0.0.1:6379".
  std::vector<std::string> addresses() const;
  // Accepts no more. On thread 0, or when that does not run.
  void Close();

 private:
  // A socket that listens.
  class Acceptor final : public Poller::Source {
   public:
    Acceptor(Listener& listener, Socket listening) : socket(std::move(listening)), listener_(listener) {}
    void OnEvents(Poller::Events /*events*/) override { listener_.AcceptAll(*this); }

    Socket socket;

   private:
    Listener& listener_;
  };

  absl::Status ListenOn(std::string_view text, uint16_t port, int backlog);
  void AcceptAll(Acceptor& acceptor);
  void Accepted(Socket socket, const sockaddr_storage& remote, IoThread& thread);
  void TryAgainLater(Acceptor& acceptor, int error);

  std::span<const std::unique_ptr<IoThread>> threads_;
  SessionServices& services_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  size_t next_thread_ = 0;
  bool complained_ = false;
};

// The words of `bind`.
std::vector<std::string> BindAddresses(const config::Config& config);

// Lets this process open `clients` connections beside the files of log and store. Returns how many connections the
// system allows, at most `clients`.
uint64_t RaiseFileLimit(uint64_t clients);

}  // namespace tidemark::server
