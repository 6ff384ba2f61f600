#include "server/redis_connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "server/socket.h"

namespace tidemark::server {
namespace {

using std::chrono::milliseconds;

// Writes are small; who does not take them for so long is gone.
constexpr milliseconds kWriteTimeout{30'000};

// False when the time was over.
absl::StatusOr<bool> Await(int fd, int16_t events, milliseconds timeout) {
  struct pollfd waiting = {.fd = fd, .events = events, .revents = 0};
  const int ready = ::poll(&waiting, 1, static_cast<int>(timeout.count()));
  if (ready < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
  return ready > 0;
}

absl::Status Ended(int error_number) {
  return error_number == 0 ? absl::UnavailableError("it has closed the connection")
                           : ErrnoStatus(error_number, "the connection");
}

class TcpConnection final : public replication::ByteConnection {
 public:
  explicit TcpConnection(Socket socket) : socket_(std::move(socket)) {}

  absl::StatusOr<size_t> Read(char* to, size_t max, milliseconds timeout) override {
    TM_RETURN_IF_ERROR(CheckCancelled());
    TM_ASSIGN_OR_RETURN(const bool ready, Await(socket_.fd(), POLLIN, timeout));
    TM_RETURN_IF_ERROR(CheckCancelled());
    if (!ready) return 0;
    const ssize_t got = ::recv(socket_.fd(), to, max, 0);
    if (got > 0) return static_cast<size_t>(got);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    return Ended(got == 0 ? 0 : errno);
  }

  absl::Status Write(std::string_view bytes) override {
    while (!bytes.empty()) {
      TM_RETURN_IF_ERROR(CheckCancelled());
      const ssize_t sent = ::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<size_t>(sent));
        continue;
      }
      if (errno != EAGAIN && errno != EINTR) return Ended(errno);
      TM_ASSIGN_OR_RETURN(const bool ready, Await(socket_.fd(), POLLOUT, kWriteTimeout));
      if (!ready) return absl::UnavailableError("it takes nothing");
    }
    return absl::OkStatus();
  }

  void Cancel() override {
    cancelled_ = true;
    ::shutdown(socket_.fd(), SHUT_RDWR);
  }

 private:
  absl::Status CheckCancelled() const {
    return cancelled_ ? absl::CancelledError("the connection is cancelled") : absl::OkStatus();
  }

  const Socket socket_;
  std::atomic<bool> cancelled_{false};
};

absl::StatusOr<Socket> ConnectTo(const struct addrinfo& address, milliseconds timeout) {
  Socket socket(::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol));
  if (socket.fd() < 0) return ErrnoStatus(errno, "socket");
  if (::connect(socket.fd(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return ErrnoStatus(errno, "connect");
    TM_ASSIGN_OR_RETURN(const bool ready, Await(socket.fd(), POLLOUT, timeout));
    if (!ready) return absl::UnavailableError("connect: no answer");
    int error_number = 0;
    socklen_t length = sizeof(error_number);
    ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error_number, &length);
    if (error_number != 0) return ErrnoStatus(error_number, "connect");
  }
  const int on = 1;
  ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  return socket;
}

absl::StatusOr<std::unique_ptr<replication::ByteConnection>> Connect(const replication::Endpoint& to,
                                                                     milliseconds timeout) {
  struct addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  struct addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(to.host.c_str(), std::to_string(to.port).c_str(), &hints, &found);
  if (failed != 0) return Errorf(absl::StatusCode::kUnavailable, "{}: {}", to.host, ::gai_strerror(failed));
  const std::unique_ptr<struct addrinfo, void (*)(struct addrinfo*)> addresses(found, ::freeaddrinfo);
  absl::Status last = absl::UnavailableError("the host has no address");
  for (const struct addrinfo* address = found; address != nullptr; address = address->ai_next) {
    absl::StatusOr<Socket> socket = ConnectTo(*address, timeout);
    if (socket.ok()) return std::make_unique<TcpConnection>(*std::move(socket));
    last = socket.status();
  }
  return Errorf(absl::StatusCode::kUnavailable, "{}", Message(last));
}

}  // namespace

replication::ConnectBytes RedisConnections() { return Connect; }

}  // namespace tidemark::server
