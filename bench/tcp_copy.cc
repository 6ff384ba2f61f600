// What a full sync is measured against: a folder's files, each over a TCP connection of its own on the loopback, so
// many at once, with a CRC-32C at both ends and a sync of every file. Nothing that copies files with these guarantees
// does less. Prints one JSON object.
//
//   tm-tcp-copy FROM TO [JOBS]
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/hash.h"

namespace {

constexpr size_t kBlock = 1 << 20;

[[noreturn]] void Die(std::string_view what) {
  fmt::print(stderr, "tcp-copy: {}: {}\n", what, std::strerror(errno));
  std::exit(1);
}

void SendAll(int socket, const void* bytes, size_t size) {
  const char* at = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t count = send(socket, at, size, MSG_NOSIGNAL);
    if (count <= 0) Die("send");
    at += count;
    size -= static_cast<size_t>(count);
  }
}

void ReceiveAll(int socket, void* bytes, size_t size) {
  if (recv(socket, bytes, size, MSG_WAITALL) != static_cast<ssize_t>(size)) Die("recv");
}

struct Copied {
  std::filesystem::path from;
  std::filesystem::path to;
  uint64_t size;
};

// A connection: first the size, then the bytes, then their CRC.
void SendFile(int socket, const Copied& file) {
  const int in = open(file.from.c_str(), O_RDONLY | O_CLOEXEC);
  if (in < 0) Die(file.from.native());
  SendAll(socket, &file.size, sizeof file.size);
  std::string block(kBlock, '\0');
  uint32_t crc = 0;
  for (uint64_t left = file.size; left > 0;) {
    const ssize_t count = read(in, block.data(), std::min<uint64_t>(left, kBlock));
    if (count <= 0) Die(file.from.native());
    const std::string_view bytes(block.data(), static_cast<size_t>(count));
    crc = tidemark::Crc32c(bytes, crc);
    SendAll(socket, bytes.data(), bytes.size());
    left -= bytes.size();
  }
  SendAll(socket, &crc, sizeof crc);
  close(in);
}

void ReceiveFile(int socket, const Copied& file) {
  const int out = open(file.to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (out < 0) Die(file.to.native());
  uint64_t left = 0;
  ReceiveAll(socket, &left, sizeof left);
  std::string block(kBlock, '\0');
  uint32_t crc = 0;
  while (left > 0) {
    const size_t count = std::min<uint64_t>(left, kBlock);
    ReceiveAll(socket, block.data(), count);
    const std::string_view bytes(block.data(), count);
    crc = tidemark::Crc32c(bytes, crc);
    if (write(out, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) Die(file.to.native());
    left -= count;
  }
  uint32_t told = 0;
  ReceiveAll(socket, &told, sizeof told);
  if (told != crc) Die("a CRC differs");
  if (fsync(out) != 0) Die("fsync");
  close(out);
}

// Both ends of a TCP connection over the loopback.
std::pair<int, int> Connect() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener, plain, length) != 0 || listen(listener, 1) != 0) Die("listen");
  if (getsockname(listener, plain, &length) != 0) Die("getsockname");
  const int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(out, plain, length) != 0) Die("connect");
  const int in = accept(listener, nullptr, nullptr);
  if (in < 0) Die("accept");
  close(listener);
  return {out, in};
}

void CopyFiles(const std::vector<Copied>& files, std::atomic<size_t>& next) {
  for (size_t i = next++; i < files.size(); i = next++) {
    const auto [out, in] = Connect();
    std::thread sender([&files, i, socket = out] { SendFile(socket, files[i]); });
    ReceiveFile(in, files[i]);
    sender.join();
    close(out);
    close(in);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "tm-tcp-copy FROM TO [JOBS]\n");
    return 64;
  }
  std::filesystem::create_directories(argv[2]);
  std::vector<Copied> files;
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    if (!entry.is_regular_file()) continue;
    files.push_back({entry.path(), std::filesystem::path(argv[2]) / entry.path().filename(), entry.file_size()});
    bytes += files.back().size;
  }
  const auto began = std::chrono::steady_clock::now();
  std::atomic<size_t> next{0};
  std::vector<std::thread> jobs;
  for (int i = 0; i < (argc > 3 ? std::atoi(argv[3]) : 4); ++i) jobs.emplace_back([&] { CopyFiles(files, next); });
  for (std::thread& job : jobs) job.join();
  const int folder = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0 || fsync(folder) != 0) Die(argv[2]);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print("{{\"files\": {}, \"bytes\": {}, \"seconds\": {:.4f}}}\n", files.size(), bytes, seconds);
}
