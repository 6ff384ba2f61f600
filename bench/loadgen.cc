// A RESP client that generates load: many connections on one thread, pipelined, with keys chosen uniformly and values
// that are unique and incompressible, so that no cache, codec or deduplication flatters the result. redis-benchmark
// repeats one compressible value. Prints one JSON object: throughput, latency percentiles, bytes each way, errors.
//
// Latency is measured from the moment a request was due: under --rate that is its place in the schedule, so that a
// server that stalls is charged for the requests it kept from being sent (no coordinated omission); else the moment of
// sending.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Options {
  std::string host = "127.0.0.1";
  int port = 6379;
  int connections = 50;
  int pipeline = 1;
  uint64_t keys = 1'000'000;
  uint64_t value_size = 1024;
  std::string mode = "mixed";
  double get_ratio = 0.5;
  uint64_t requests = 0;
  double seconds = 0;
  double rate = 0;
  uint64_t seed = 1;
  int database = 0;
};

[[noreturn]] void Die(std::string_view what) {
  fmt::print(stderr, "loadgen: {}\n", what);
  std::exit(1);
}

[[noreturn]] void DieOfErrno(std::string_view what) { Die(fmt::format("{}: {}", what, std::strerror(errno))); }

uint64_t NowNanos() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// SplitMix64 (Steele, Lea, Flood, 2014): fast, and its output does not compress.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t Below(uint64_t bound) { return static_cast<uint64_t>((static_cast<__uint128_t>(Next()) * bound) >> 64); }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  void AppendBytes(std::string& out, uint64_t count) {
    while (count > 0) {
      const uint64_t word = Next();
      const uint64_t taken = std::min<uint64_t>(count, sizeof word);
      out.append(reinterpret_cast<const char*>(&word), taken);
      count -= taken;
    }
  }

 private:
  uint64_t state_;
};

// Counts of latencies in buckets of 1/64 relative width, in nanoseconds.
class Histogram {
 public:
  void Add(uint64_t nanos) {
    ++counts_[Bucket(nanos)];
    ++total_;
    max_ = std::max(max_, nanos);
  }
  uint64_t total() const { return total_; }
  double max_ms() const { return static_cast<double>(max_) / 1e6; }
  double PercentileMs(double percent) const {
    const auto wanted = static_cast<uint64_t>(static_cast<double>(total_) * percent / 100.0);
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < counts_.size(); ++bucket) {
      seen += counts_[bucket];
      if (seen > wanted) return std::min(static_cast<double>(UpperBound(bucket)), static_cast<double>(max_)) / 1e6;
    }
    return max_ms();
  }

 private:
  static constexpr int kSubBits = 6;
  static size_t Bucket(uint64_t nanos) {
    if (nanos < (1u << kSubBits)) return nanos;
    const int exponent = std::bit_width(nanos) - 1 - kSubBits;
    return (static_cast<size_t>(exponent + 1) << kSubBits) + ((nanos >> exponent) & ((1u << kSubBits) - 1));
  }
  static uint64_t UpperBound(size_t bucket) {
    if (bucket < (1u << kSubBits)) return bucket;
    const int exponent = static_cast<int>(bucket >> kSubBits) - 1;
    return (((1ull << kSubBits) + (bucket & ((1u << kSubBits) - 1)) + 1) << exponent) - 1;
  }

  std::array<uint64_t, (64 << kSubBits) + (1 << kSubBits)> counts_{};
  uint64_t total_ = 0;
  uint64_t max_ = 0;
};

struct Sent {
  uint64_t due_nanos;
  bool is_get;
};

struct Connection {
  int fd = -1;
  std::string out;
  size_t out_done = 0;
  std::string in;
  size_t in_done = 0;
  std::deque<Sent> waiting;
  bool wants_write = false;
};

struct Totals {
  Histogram all;
  Histogram gets;
  Histogram sets;
  uint64_t sent_bytes = 0;
  uint64_t received_bytes = 0;
  uint64_t missing = 0;
  uint64_t errors = 0;
  std::string first_error;
};

// Looks for one whole reply at the start of `bytes`; returns its length, 0 when it is not all there yet.
size_t ReplyLength(std::string_view bytes) {
  const size_t end = bytes.find("\r\n");
  if (end == std::string_view::npos) return 0;
  if (bytes[0] != '$') return end + 2;
  int64_t length = 0;
  std::from_chars(bytes.data() + 1, bytes.data() + end, length);
  if (length < 0) return end + 2;
  const size_t whole = end + 2 + static_cast<size_t>(length) + 2;
  return bytes.size() >= whole ? whole : 0;
}

class Generator {
 public:
  explicit Generator(const Options& options)
      : options_(options), random_(options.seed), connections_(options.connections) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) DieOfErrno("epoll_create1");
    for (size_t i = 0; i < connections_.size(); ++i) Connect(i);
  }
  ~Generator() {
    for (const Connection& connection : connections_) close(connection.fd);
    close(epoll_);
  }
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  // Runs until the requests are answered or the time is over; returns the seconds it took.
  double Run();
  const Totals& totals() const { return totals_; }

 private:
  void Connect(size_t index);
  bool MaySend() const;
  void AppendRequest(Connection& connection, uint64_t due_nanos);
  void Fill(Connection& connection, uint64_t now);
  void Flush(size_t index);
  void Read(size_t index);
  void Count(const Sent& sent, std::string_view reply, uint64_t now);
  void Watch(size_t index, bool write);

  const Options options_;
  Random random_;
  std::vector<Connection> connections_;
  Totals totals_;
  int epoll_ = -1;
  uint64_t begin_nanos_ = 0;
  uint64_t end_nanos_ = UINT64_MAX;
  uint64_t scheduled_ = 0;
  uint64_t answered_ = 0;
};

void Generator::Connect(size_t index) {
  Connection& connection = connections_[index];
  connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(options_.port));
  if (inet_pton(AF_INET, options_.host.c_str(), &address.sin_addr) != 1) Die("--host takes an IPv4 address");
  if (connect(connection.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    DieOfErrno(fmt::format("connect to {}:{}", options_.host, options_.port));
  }
  const int on = 1;
  setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (options_.database != 0) {
    const std::string request = fmt::format("SELECT {}\r\n", options_.database);
    std::array<char, 64> reply{};
    if (write(connection.fd, request.data(), request.size()) < 0 ||
        read(connection.fd, reply.data(), reply.size()) < 1 || reply[0] != '+') {
      Die(fmt::format("SELECT {} failed", options_.database));
    }
  }
  fcntl(connection.fd, F_SETFL, O_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = index;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) != 0) DieOfErrno("epoll_ctl");
}

void Generator::Watch(size_t index, bool write) {
  Connection& connection = connections_[index];
  if (connection.wants_write == write) return;
  connection.wants_write = write;
  epoll_event event{};
  event.events = EPOLLIN | (write ? static_cast<uint32_t>(EPOLLOUT) : 0u);
  event.data.u64 = index;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
}

bool Generator::MaySend() const { return options_.requests == 0 || scheduled_ < options_.requests; }

void Generator::AppendRequest(Connection& connection, uint64_t due_nanos) {
  const bool load = options_.mode == "load";
  const uint64_t key = load ? scheduled_ % options_.keys : random_.Below(options_.keys);
  const bool get = options_.mode == "get" || (options_.mode == "mixed" && random_.Unit() < options_.get_ratio);
  const size_t before = connection.out.size();
  auto out = std::back_inserter(connection.out);
  if (options_.mode == "ping") {
    connection.out += "*1\r\n$4\r\nPING\r\n";
  } else if (get) {
    fmt::format_to(out, "*2\r\n$3\r\nGET\r\n$16\r\nkey:{:012}\r\n", key);
  } else {
    fmt::format_to(out, "*3\r\n$3\r\nSET\r\n$16\r\nkey:{:012}\r\n${}\r\n", key, options_.value_size);
    random_.AppendBytes(connection.out, options_.value_size);
    connection.out += "\r\n";
  }
  totals_.sent_bytes += connection.out.size() - before;
  connection.waiting.push_back({due_nanos, get});
  ++scheduled_;
}

// Gives the connection what it may have under way, as far as the schedule allows.
void Generator::Fill(Connection& connection, uint64_t now) {
  while (connection.waiting.size() < static_cast<size_t>(options_.pipeline) && MaySend() && now < end_nanos_) {
    uint64_t due = now;
    if (options_.rate > 0) {
      due = begin_nanos_ + static_cast<uint64_t>(static_cast<double>(scheduled_) * 1e9 / options_.rate);
      if (due > now) return;
    }
    AppendRequest(connection, due);
  }
}

void Generator::Flush(size_t index) {
  Connection& connection = connections_[index];
  while (connection.out_done < connection.out.size()) {
    const ssize_t count =
        write(connection.fd, connection.out.data() + connection.out_done, connection.out.size() - connection.out_done);
    if (count < 0) {
      if (errno != EAGAIN) DieOfErrno("write");
      Watch(index, true);
      return;
    }
    connection.out_done += static_cast<size_t>(count);
  }
  connection.out.clear();
  connection.out_done = 0;
  Watch(index, false);
}

void Generator::Count(const Sent& sent, std::string_view reply, uint64_t now) {
  const uint64_t latency = now - sent.due_nanos;
  totals_.all.Add(latency);
  (sent.is_get ? totals_.gets : totals_.sets).Add(latency);
  if (reply[0] == '-') {
    if (totals_.errors++ == 0) totals_.first_error = reply.substr(0, reply.size() - 2);
  } else if (reply.starts_with("$-1") || reply.starts_with("_")) {
    ++totals_.missing;
  }
  ++answered_;
}

void Generator::Read(size_t index) {
  Connection& connection = connections_[index];
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t count = read(connection.fd, buffer.data(), buffer.size());
    if (count == 0) Die("the server closed the connection");
    if (count < 0) {
      if (errno == EAGAIN) break;
      DieOfErrno("read");
    }
    totals_.received_bytes += static_cast<uint64_t>(count);
    connection.in.append(buffer.data(), static_cast<size_t>(count));
    if (static_cast<size_t>(count) < buffer.size()) break;
  }
  const uint64_t now = NowNanos();
  const std::string_view bytes = connection.in;
  while (connection.in_done < bytes.size() && !connection.waiting.empty()) {
    const std::string_view rest = bytes.substr(connection.in_done);
    const size_t length = ReplyLength(rest);
    if (length == 0) break;
    Count(connection.waiting.front(), rest.substr(0, length), now);
    connection.waiting.pop_front();
    connection.in_done += length;
  }
  if (connection.in_done >= buffer.size() || connection.in_done == connection.in.size()) {
    connection.in.erase(0, connection.in_done);
    connection.in_done = 0;
  }
}

double Generator::Run() {
  begin_nanos_ = NowNanos();
  if (options_.seconds > 0) end_nanos_ = begin_nanos_ + static_cast<uint64_t>(options_.seconds * 1e9);
  std::array<epoll_event, 256> events;
  while (true) {
    const uint64_t now = NowNanos();
    for (size_t i = 0; i < connections_.size(); ++i) {
      Fill(connections_[i], now);
      if (!connections_[i].out.empty() && !connections_[i].wants_write) Flush(i);
    }
    if (answered_ == scheduled_ && (!MaySend() || now >= end_nanos_)) break;
    timespec wait{1, 0};
    if (options_.rate > 0) {
      const uint64_t next = begin_nanos_ + static_cast<uint64_t>(static_cast<double>(scheduled_) * 1e9 / options_.rate);
      const uint64_t sleep = next > now ? next - now : 50'000;
      wait = {static_cast<time_t>(sleep / 1'000'000'000), static_cast<long>(sleep % 1'000'000'000)};
    }
    const int count = epoll_pwait2(epoll_, events.data(), events.size(), &wait, nullptr);
    if (count < 0 && errno != EINTR) DieOfErrno("epoll_pwait2");
    for (int i = 0; i < count; ++i) {
      const auto index = static_cast<size_t>(events[i].data.u64);
      if (events[i].events & EPOLLOUT) Flush(index);
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) Read(index);
    }
  }
  return static_cast<double>(NowNanos() - begin_nanos_) / 1e9;
}

std::string Latencies(const Histogram& histogram) {
  return fmt::format(R"({{"count": {}, "p50_ms": {:.3f}, "p99_ms": {:.3f}, "p999_ms": {:.3f}, "max_ms": {:.3f}}})",
                     histogram.total(), histogram.PercentileMs(50), histogram.PercentileMs(99),
                     histogram.PercentileMs(99.9), histogram.max_ms());
}

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

void Print(const Options& options, const Totals& totals, double seconds) {
  fmt::print(
      R"({{"mode": {}, "connections": {}, "pipeline": {}, "keys": {}, "value_size": {}, "seconds": {:.3f}, )"
      R"("requests": {}, "per_second": {:.1f}, "bytes_sent": {}, "bytes_received": {}, "missing": {}, "errors": {}, )"
      R"("first_error": {}, "latency": {}, "get": {}, "set": {}}})"
      "\n",
      JsonString(options.mode), options.connections, options.pipeline, options.keys, options.value_size, seconds,
      totals.all.total(), static_cast<double>(totals.all.total()) / seconds, totals.sent_bytes, totals.received_bytes,
      totals.missing, totals.errors, JsonString(totals.first_error), Latencies(totals.all), Latencies(totals.gets),
      Latencies(totals.sets));
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Generates load on a server that speaks RESP, and prints what came of it as JSON."};
  app.add_option("--host", options.host);
  app.add_option("--port", options.port);
  app.add_option("--connections", options.connections)->check(CLI::Range(1, 10000));
  app.add_option("--pipeline", options.pipeline, "requests under way on each connection")->check(CLI::Range(1, 100000));
  app.add_option("--keys", options.keys, "number of keys; each request takes one of them")->check(CLI::PositiveNumber);
  app.add_option("--value-size", options.value_size, "bytes");
  app.add_option("--mode", options.mode, "load sets every key once, in order")
      ->check(CLI::IsMember({"load", "set", "get", "mixed", "ping"}));
  app.add_option("--get-ratio", options.get_ratio, "share of GET in mode mixed")->check(CLI::Range(0.0, 1.0));
  app.add_option("--requests", options.requests, "stop after that many");
  app.add_option("--seconds", options.seconds, "stop after that long");
  app.add_option("--rate", options.rate, "requests a second over all connections; 0 is as fast as they are answered");
  app.add_option("--seed", options.seed);
  app.add_option("--database", options.database);
  CLI11_PARSE(app, argc, argv);
  if (options.mode == "load" && options.requests == 0) options.requests = options.keys;
  if (options.requests == 0 && options.seconds <= 0) Die("one of --requests and --seconds is needed");

  Generator generator(options);
  const double seconds = generator.Run();
  Print(options, generator.totals(), seconds);
  return generator.totals().errors == 0 ? 0 : 3;
}
