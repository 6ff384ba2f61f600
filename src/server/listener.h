// Accepts connections and deals them to the I/O threads in turn. Lives on I/O thread 0.
#pragma once

#include <asio/basic_socket_acceptor.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "server/io_thread.h"
#include "server/session.h"

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
  using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;

  absl::Status ListenOn(std::string_view address, uint16_t port, int backlog);
  void Wait(Acceptor& acceptor);
  void AcceptAll(Acceptor& acceptor);
  void Accepted(Socket socket, IoThread& thread);
  void TryAgainLater(Acceptor& acceptor, const asio::error_code& error);

  std::span<const std::unique_ptr<IoThread>> threads_;
  SessionServices& services_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  asio::steady_timer again_;
  size_t next_thread_ = 0;
  bool complained_ = false;
};

// Lets this process open `clients` connections beside the files of log and store. Returns how many connections the
// system allows, at most `clients`.
uint64_t RaiseFileLimit(uint64_t clients);

}  // namespace tidemark::server
