// Uploads and downloads a base snapshot through a folder store, beside `cp` with as many processes over the same files:
// alternating rounds, in MB/s and seconds of processors a GB. All of it is synced to disk before the clock stops (cp:
// by sync), as a base is.
//   base_bench FOLDER [MiB] [rounds] [jobs]
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "archive/archive_testing.h"
#include "archive/base.h"
#include "base/check.h"

namespace tidemark::archive {
namespace {

constexpr size_t kFileBytes = 64 << 20;

void Fill(const std::string& folder, size_t count) {
  std::mt19937_64 random(1);
  std::string bytes(kFileBytes, '\0');
  for (size_t i = 0; i < count; ++i) {
    for (size_t at = 0; at < bytes.size(); at += 8) {
      const uint64_t word = random();
      bytes.replace(at, 8, reinterpret_cast<const char*>(&word), 8);
    }
    std::ofstream(fmt::format("{}/{:06}.sst", folder, i), std::ios::binary) << bytes;
  }
}

double CpuSeconds() {
  double seconds = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    struct rusage usage {};
    ::getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
      seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    }
  }
  return seconds;
}

struct Speed {
  double rate;  // MB/s
  double cpu;   // seconds of processors a GB
};

Speed Measure(uint64_t bytes, const std::function<void()>& work) {
  const double cpu = CpuSeconds();
  const auto begun = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
  return {static_cast<double>(bytes) / 1e6 / taken.count(), (CpuSeconds() - cpu) * 1e9 / static_cast<double>(bytes)};
}

void Shell(const std::string& command) { TM_CHECK(std::system(command.c_str()) == 0, "{}", command); }

void Round(const std::string& folder, uint64_t bytes, int jobs) {
  const auto fresh = [&](const char* name) {
    std::filesystem::remove_all(folder + "/" + name);
    std::filesystem::create_directory(folder + "/" + name);
    Shell("sync");
  };
  fresh("copy");
  const Speed copy = Measure(bytes, [&] {
    Shell(fmt::format("cd {}/from && ls | xargs -P {} -I{{}} cp {{}} ../copy/{{}} && sync -f ../copy", folder, jobs));
  });
  for (const auto& keys : {KeyRing::Empty(), TestRing(kTestKey)}) {
    fresh("store");
    fresh("to");
    auto store = objstore::Open("local://" + folder + "/store", {});
    TM_CHECK(store.ok(), "{}", Message(store.status()));
    BaseOptions options;
    options.jobs = jobs;
    options.codec.keys = keys;
    Manifest manifest;
    manifest.name = {Timeline{1}, Lsn{5000}, Timestamp{1}};
    const Speed up = Measure(bytes, [&] {
      auto done = UploadBase(**store, folder + "/from", manifest, nullptr, options, nullptr);
      TM_CHECK(done.ok(), "{}", Message(done.status()));
      manifest = *done;
    });
    const Speed down = Measure(bytes, [&] {
      const absl::Status done = DownloadBase(**store, manifest, folder + "/to", options, nullptr);
      TM_CHECK(done.ok(), "{}", Message(done));
    });
    fmt::print("cp {:.0f} MB/s, {:.2f} cpu s/GB; {} upload {:.0f} ({:.2f}), {:.2f}; download {:.0f} ({:.2f}), {:.2f}\n",
               copy.rate, copy.cpu, keys->empty() ? "plain" : "encrypted", up.rate, up.rate / copy.rate, up.cpu,
               down.rate, down.rate / copy.rate, down.cpu);
  }
}

}  // namespace
}  // namespace tidemark::archive

int main(int argc, char** argv) {
  if (argc < 2) return 1;
  const std::string folder = std::string(argv[1]) + "/tidemark-base-bench";
  const size_t files = (argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1024) / 64;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder + "/from");
  tidemark::archive::Fill(folder + "/from", files);
  for (int round = 0; round < (argc > 3 ? std::atoi(argv[3]) : 3); ++round) {
    tidemark::archive::Round(folder, files * tidemark::archive::kFileBytes, argc > 4 ? std::atoi(argv[4]) : 4);
  }
  std::filesystem::remove_all(folder);
  return 0;
}
