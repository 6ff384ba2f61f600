#include "server/listener.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/address.h"

namespace tidemark::server {
namespace {

// Connections taken at once before those that are served get their turn.
constexpr int kAcceptsPerTurn = 1000;
// Files that are not connections: segments, tables of the store, snapshots, epoll and the like.
constexpr uint64_t kReservedFiles = 1024;

constexpr std::string_view kTooMany = "-ERR max number of clients reached\r\n";
constexpr std::string_view kDenied =
    "-DENIED Tidemark is in protected mode: no password is set, so it serves clients of this machine only. Set "
    "requirepass, or bind to the loopback address, or set protected-mode to no.\r\n";

// An IPv4 client of an IPv6 socket is shown as what it is.
std::string HostOf(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (address.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof(v4));
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return text;
  }
  sockaddr_in6 v6;
  std::memcpy(&v6, &address, sizeof(v6));
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    ::inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof(text));
  } else {
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
  }
  return text;
}

std::string AddressText(const sockaddr_storage& address) {
  // The port stands at the same place in both kinds.
  sockaddr_in6 any;
  std::memcpy(&any, &address, sizeof(any));
  return fmt::format("{}:{}", HostOf(address), ntohs(any.sin6_port));
}

// An address as `bind` has it. False when it is none.
bool ParseAddress(const std::string& text, uint16_t port, sockaddr_storage* address, socklen_t* length) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  *address = {};
  if (text == "*" || ::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    std::memcpy(address, &v4, *length = sizeof(v4));
    return true;
  }
  if (text == "::*" || ::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    std::memcpy(address, &v6, *length = sizeof(v6));
    return true;
  }
  return false;
}

bool SetOption(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

// The address of this side or, with getpeername, the other. False when the connection is gone.
bool AddressOf(int fd, int (*ask)(int, sockaddr*, socklen_t*), sockaddr_storage* address) {
  socklen_t length = sizeof(*address);
  return ask(fd, reinterpret_cast<sockaddr*>(address), &length) == 0;
}

// Silence of `seconds`, then three questions a third of that apart, as Redis asks.
void SetKeepalive(int fd, uint64_t seconds) {
  if (seconds == 0) return;
  const int idle = static_cast<int>(std::min<uint64_t>(seconds, 32767));
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, idle / 3));
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

// The socket is new, so its buffer takes a line whole; a client that is gone already does not matter.
void SayAndClose(Socket socket, std::string_view line) {
  [[maybe_unused]] const ssize_t sent = ::send(socket.fd(), line.data(), line.size(), MSG_NOSIGNAL);
}

}  // namespace

Listener::Listener(std::span<const std::unique_ptr<IoThread>> threads, SessionServices& services)
    : threads_(threads), services_(services) {}

absl::Status Listener::Listen(std::span<const std::string> addresses, uint16_t port, int backlog) {
  return ListenOnEach(addresses, [&](std::string_view address) { return ListenOn(address, port, backlog); });
}

absl::Status Listener::ListenOn(std::string_view text, uint16_t port, int backlog) {
  sockaddr_storage address;
  socklen_t length = 0;
  if (!ParseAddress(std::string(text), port, &address, &length)) {
    return Errorf(absl::StatusCode::kUnavailable, "bind: '{}' is not an IPv4 or IPv6 address", text);
  }
  Socket socket(::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int fd = socket.fd();
  auto acceptor = std::make_unique<Acceptor>(*this, std::move(socket));
  const bool v6 = address.ss_family == AF_INET6;
  if (fd < 0 || (v6 && !SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) || !SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
      ::bind(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0 || ::listen(fd, backlog) != 0 ||
      !threads_.front()->poller().Add(fd, *acceptor)) {
    return Errorf(absl::StatusCode::kUnavailable, "can't listen on {} port {}: {}", text, port,
                  std::generic_category().message(errno));
  }
  acceptors_.push_back(std::move(acceptor));
  return absl::OkStatus();
}

std::vector<std::string> Listener::addresses() const {
  std::vector<std::string> texts;
  for (const std::unique_ptr<Acceptor>& acceptor : acceptors_) {
    sockaddr_storage address;
    if (AddressOf(acceptor->socket.fd(), ::getsockname, &address)) texts.push_back(AddressText(address));
  }
  return texts;
}

void Listener::Close() {
  for (const std::unique_ptr<Acceptor>& acceptor : acceptors_) acceptor->socket.Close();
}

void Listener::AcceptAll(Acceptor& acceptor) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage remote;
    socklen_t length = sizeof(remote);
    const int fd =
        ::accept4(acceptor.socket.fd(), reinterpret_cast<sockaddr*>(&remote), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      complained_ = false;
      Accepted(Socket(fd), remote, *threads_[next_thread_++ % threads_.size()]);
    } else if (errno == EAGAIN || errno == EBADF) {  // all are accepted, or Close was called
      return;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      TryAgainLater(acceptor, errno);
      return;
    }
  }
  threads_.front()->Post([this, &acceptor] { AcceptAll(acceptor); });
}

// Out of files or memory: those who wait stay in the backlog until others have left.
void Listener::TryAgainLater(Acceptor& acceptor, int error) {
  if (!complained_) spdlog::warn("Can't accept connections: {}", std::generic_category().message(error));
  complained_ = true;
  threads_.front()->RunAfter(std::chrono::milliseconds(100), [this, &acceptor] { AcceptAll(acceptor); });
}

void Listener::Accepted(Socket socket, const sockaddr_storage& remote, IoThread& thread) {
  const int fd = socket.fd();
  sockaddr_storage local;
  if (!AddressOf(fd, ::getsockname, &local)) return;
  const Settings& settings = services_.settings;
  if (services_.connections.load(std::memory_order_relaxed) >= settings.max_clients.load(std::memory_order_relaxed)) {
    services_.clients.CountRejected();
    SayAndClose(std::move(socket), kTooMany);
    return;
  }
  if (settings.protected_mode && !services_.acl.DefaultHasPassword() && !IsLoopback(HostOf(remote))) {
    services_.clients.CountRejected();
    SayAndClose(std::move(socket), kDenied);
    return;
  }
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetKeepalive(fd, settings.keepalive_seconds);
  auto session = std::make_shared<Session>(std::move(socket), thread, services_);
  session->fd = fd;
  session->address = AddressText(remote);
  session->local_address = AddressText(local);
  session->authenticated = !services_.acl.NeedsLogin();
  thread.Post([session = std::move(session)] { session->Start(); });
}

std::vector<std::string> BindAddresses(const config::Config& config) {
  std::istringstream words(config.Text("bind"));
  return {std::istream_iterator<std::string>(words), {}};
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
