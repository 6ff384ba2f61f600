#include "server/listener.h"

#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <asio/ip/v6_only.hpp>
#include <chrono>
#include <utility>

namespace tidemark::server {
namespace {

using asio::ip::tcp;

// Connections taken at once before those that are served get their turn.
constexpr int kAcceptsPerTurn = 1000;
// Files that are not connections: segments, tables of the store, snapshots, epoll and the like.
constexpr uint64_t kReservedFiles = 1024;

constexpr std::string_view kTooMany = "-ERR max number of clients reached\r\n";
constexpr std::string_view kDenied =
    "-DENIED Tidemark is in protected mode: no password is set, so it serves clients of this machine only. Set "
    "requirepass, or bind to the loopback address, or set protected-mode to no.\r\n";

std::string AddressText(const tcp::endpoint& endpoint) {
  const bool mapped = endpoint.address().is_v6() && endpoint.address().to_v6().is_v4_mapped();
  const std::string address =
      mapped ? asio::ip::make_address_v4(asio::ip::v4_mapped, endpoint.address().to_v6()).to_string()
             : endpoint.address().to_string();
  return fmt::format("{}:{}", address, endpoint.port());
}

// Silence of `seconds`, then three questions a third of that apart, as Redis asks.
void SetKeepalive(Socket& socket, uint64_t seconds) {
  if (seconds == 0) return;
  const int fd = socket.native_handle();
  const int on = 1;
  const int idle = static_cast<int>(std::min<uint64_t>(seconds, 32767));
  const int interval = std::max(1, idle / 3);
  const int questions = 3;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &questions, sizeof(questions));
}

// The socket is new, so its buffer takes a line whole; a client that is gone already does not matter.
void SayAndClose(Socket& socket, std::string_view line) {
  asio::error_code ignored;
  socket.write_some(asio::buffer(line.data(), line.size()), ignored);
  socket.close(ignored);
}

}  // namespace

Listener::Listener(std::span<const std::unique_ptr<IoThread>> threads, SessionServices& services)
    : threads_(threads), services_(services), again_(threads.front()->io()) {}

absl::Status Listener::Listen(std::span<const std::string> addresses, uint16_t port, int backlog) {
  for (std::string_view address : addresses) {
    const bool optional = address.starts_with('-');
    if (optional) address.remove_prefix(1);
    const absl::Status status = ListenOn(address, port, backlog);
    if (!status.ok() && !optional) return status;
  }
  if (acceptors_.empty()) {
    return Errorf(absl::StatusCode::kUnavailable, "none of the addresses of bind can be listened on");
  }
  for (const std::unique_ptr<Acceptor>& acceptor : acceptors_) Wait(*acceptor);
  return absl::OkStatus();
}

absl::Status Listener::ListenOn(std::string_view text, uint16_t port, int backlog) {
  asio::error_code error;
  asio::ip::address address;
  if (text == "*") {
    address = asio::ip::address_v4::any();
  } else if (text == "::*") {
    address = asio::ip::address_v6::any();
  } else {
    address = asio::ip::make_address(std::string(text), error);
    if (error) return Errorf(absl::StatusCode::kUnavailable, "bind: '{}' is not an IPv4 or IPv6 address", text);
  }
  const tcp::endpoint endpoint(address, port);
  auto acceptor = std::make_unique<Acceptor>(threads_.front()->io().get_executor());
  acceptor->open(endpoint.protocol(), error);
  if (!error && address.is_v6()) acceptor->set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor->set_option(Acceptor::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(backlog, error);
  if (!error) acceptor->non_blocking(true, error);
  if (error) {
    return Errorf(absl::StatusCode::kUnavailable, "can't listen on {} port {}: {}", text, port, error.message());
  }
  acceptors_.push_back(std::move(acceptor));
  return absl::OkStatus();
}

std::vector<std::string> Listener::addresses() const {
  std::vector<std::string> texts;
  for (const std::unique_ptr<Acceptor>& acceptor : acceptors_) {
    asio::error_code error;
    const tcp::endpoint endpoint = acceptor->local_endpoint(error);
    if (!error) texts.push_back(AddressText(endpoint));
  }
  return texts;
}

void Listener::Close() {
  for (const std::unique_ptr<Acceptor>& acceptor : acceptors_) {
    asio::error_code ignored;
    acceptor->close(ignored);
  }
  again_.cancel();
}

void Listener::Wait(Acceptor& acceptor) {
  acceptor.async_wait(Acceptor::wait_read, [this, &acceptor](const asio::error_code& error) {
    if (!error) AcceptAll(acceptor);
  });
}

void Listener::AcceptAll(Acceptor& acceptor) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    IoThread& thread = *threads_[next_thread_ % threads_.size()];
    asio::error_code error;
    Socket socket = acceptor.accept(thread.io().get_executor(), error);
    if (error == asio::error::would_block || error == asio::error::try_again) break;
    if (error == asio::error::connection_aborted || error == asio::error::interrupted) continue;
    if (error) {
      TryAgainLater(acceptor, error);
      return;
    }
    complained_ = false;
    ++next_thread_;
    Accepted(std::move(socket), thread);
  }
  Wait(acceptor);
}

// Out of files or memory: those who wait stay in the backlog until others have left.
void Listener::TryAgainLater(Acceptor& acceptor, const asio::error_code& error) {
  if (!complained_) spdlog::warn("Can't accept connections: {}", error.message());
  complained_ = true;
  again_.expires_after(std::chrono::milliseconds(100));
  again_.async_wait([this, &acceptor](const asio::error_code& cancelled) {
    if (!cancelled) AcceptAll(acceptor);
  });
}

void Listener::Accepted(Socket socket, IoThread& thread) {
  asio::error_code error;
  const tcp::endpoint remote = socket.remote_endpoint(error);
  if (error) return;
  const tcp::endpoint local = socket.local_endpoint(error);
  socket.non_blocking(true, error);
  const Settings& settings = services_.settings;
  if (services_.connections.load(std::memory_order_relaxed) >= settings.max_clients.load(std::memory_order_relaxed)) {
    services_.clients.CountRejected();
    SayAndClose(socket, kTooMany);
    return;
  }
  if (settings.protected_mode && !settings.has_password && !remote.address().is_loopback()) {
    services_.clients.CountRejected();
    SayAndClose(socket, kDenied);
    return;
  }
  socket.set_option(tcp::no_delay(true), error);
  SetKeepalive(socket, settings.keepalive_seconds);
  const int fd = socket.native_handle();
  auto session = std::make_shared<Session>(std::move(socket), thread, services_);
  session->fd = fd;
  session->address = AddressText(remote);
  session->local_address = AddressText(local);
  session->authenticated = !settings.has_password;
  thread.Post([session = std::move(session)] { session->Start(); });
}

uint64_t RaiseFileLimit(uint64_t clients) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return clients;
  const uint64_t wanted = clients + kReservedFiles;
  if (limit.rlim_cur >= wanted) return clients;
  // Root may raise the hard limit too; who may not gets as far as it reaches.
  const rlimit raised{wanted, std::max<rlim_t>(limit.rlim_max, wanted)};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return clients;
  const rlimit highest{limit.rlim_max, limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &highest);
  return limit.rlim_max > 2 * kReservedFiles ? std::min<uint64_t>(clients, limit.rlim_max - kReservedFiles)
                                             : limit.rlim_max / 2;
}

}  // namespace tidemark::server
