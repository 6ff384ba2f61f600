// A store under test, driven over standard input by test_s3_store.py: one operation a line, one line of JSON each
// answer.
//
//   objstore_contract URI [--retries N] [--stall-ms N] [--connections N] [--rate BYTES]
//   objstore_contract --contract [flags of GoogleTest]     runs store_contract_test.cc against TM_TEST_S3
//
//   put KEY SIZE SEED [new]     bytes made from the seed; new: must not exist
//   stream KEY SIZE SEED [HINT] the same through PutStream
//   get KEY | getstream KEY     size and SHA-256 of what was read
//   range KEY OFFSET LENGTH | head KEY | list PREFIX | delete KEY | probe NONCE | stats
//   bench put|stream|getstream KEY SIZE COUNT THREADS      latencies and throughput
//   sha SIZE SEED               what get should say
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "objstore/digest.h"
#include "objstore/object_store.h"
#include "objstore/testing.h"

namespace {

using nlohmann::json;
using tidemark::Message;
using tidemark::objstore::ByteSource;
using tidemark::objstore::HexLower;
using tidemark::objstore::ObjectInfo;
using tidemark::objstore::ObjectStore;
using tidemark::objstore::OpenOptions;
using tidemark::objstore::PutCondition;
using tidemark::objstore::RandomBytes;
using tidemark::objstore::Sha256;
using tidemark::objstore::StringSource;
using Words = std::vector<std::string>;
using SteadyClock = std::chrono::steady_clock;

double SecondsSince(SteadyClock::time_point begin) {
  return std::chrono::duration<double>(SteadyClock::now() - begin).count();
}

json Described(const std::string& bytes) { return {{"size", bytes.size()}, {"sha256", HexLower(Sha256(bytes))}}; }

json OfInfo(const ObjectInfo& info) {
  return {{"key", info.key}, {"size", info.size}, {"modified", info.modified_micros}};
}

// Bytes from a pattern, as many as wanted, without making them anew: for measuring.
class PatternSource final : public ByteSource {
 public:
  PatternSource(const std::string& pattern, uint64_t size) : pattern_(pattern), left_(size) {}
  absl::StatusOr<std::string> Read(size_t max) override {
    std::string piece = pattern_.substr(0, std::min<uint64_t>({max, left_, pattern_.size()}));
    left_ -= piece.size();
    return piece;
  }

 private:
  const std::string& pattern_;
  uint64_t left_;
};

absl::Status BenchOnce(ObjectStore& store, const std::string& what, const std::string& key, const std::string& pattern,
                       uint64_t size) {
  if (what == "put") return store.Put(key, std::string_view(pattern).substr(0, size), PutCondition::kMustNotExist);
  if (what == "getstream") return store.GetStream(key, [](std::string_view) { return absl::OkStatus(); });
  PatternSource source(pattern, size);
  return store.PutStream(key, source, size);
}

absl::Status Bench(ObjectStore& store, const Words& words, json* answer) {
  const uint64_t size = std::stoull(words[3]);
  const int count = std::stoi(words[4]);
  const int threads = std::stoi(words[5]);
  const std::string pattern = RandomBytes(std::min<uint64_t>(size, 4 << 20), 1);
  std::vector<std::vector<double>> times(static_cast<size_t>(threads));
  std::vector<absl::Status> failed(static_cast<size_t>(threads));
  std::vector<std::thread> running;
  const auto begin = SteadyClock::now();
  for (int thread = 0; thread < threads; ++thread) {
    running.emplace_back([&, thread] {
      const auto slot = static_cast<size_t>(thread);
      for (int i = 0; i < count && failed[slot].ok(); ++i) {
        const auto started = SteadyClock::now();
        failed[slot] = BenchOnce(store, words[1], fmt::format("{}/{}-{}", words[2], thread, i), pattern, size);
        times[slot].push_back(SecondsSince(started));
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  const double took = SecondsSince(begin);
  std::vector<double> all;
  for (const auto& part : times) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  (*answer)["p50_ms"] = all[all.size() / 2] * 1e3;
  (*answer)["p99_ms"] = all[all.size() * 99 / 100] * 1e3;
  (*answer)["mib_per_s"] = static_cast<double>(size) * static_cast<double>(all.size()) / took / (1 << 20);
  for (const absl::Status& status : failed) TM_RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

absl::Status GetStream(ObjectStore& store, const Words& words, json* answer) {
  std::string bytes;
  const absl::Status status = store.GetStream(words[1], [&](std::string_view piece) {
    bytes += piece;
    return absl::OkStatus();
  });
  *answer = Described(bytes);
  return status;
}

absl::Status Write(ObjectStore& store, const Words& words) {
  const std::string bytes = RandomBytes(std::stoull(words[2]), std::stoull(words[3]));
  if (words[0] == "put") {
    return store.Put(words[1], bytes, words.size() > 4 ? PutCondition::kMustNotExist : PutCondition::kNone);
  }
  StringSource source(bytes);
  return store.PutStream(words[1], source, words.size() > 4 ? std::stoull(words[4]) : bytes.size());
}

absl::Status Read(ObjectStore& store, const Words& words, json* answer) {
  if (words[0] == "getstream") return GetStream(store, words, answer);
  if (words[0] == "head") {
    TM_ASSIGN_OR_RETURN(const ObjectInfo info, store.Head(words[1]));
    *answer = OfInfo(info);
    return absl::OkStatus();
  }
  if (words[0] == "list") {
    (*answer)["objects"] = json::array();
    TM_ASSIGN_OR_RETURN(const std::vector<ObjectInfo> objects, ListAll(store, words.size() > 1 ? words[1] : ""));
    for (const ObjectInfo& info : objects) (*answer)["objects"].push_back(OfInfo(info));
    return absl::OkStatus();
  }
  const bool range = words[0] == "range";
  TM_ASSIGN_OR_RETURN(
      const std::string bytes,
      range ? store.GetRange(words[1], std::stoull(words[2]), std::stoull(words[3])) : store.Get(words[1]));
  *answer = Described(bytes);
  return absl::OkStatus();
}

absl::Status Probe(ObjectStore& store, const Words& words, json* answer) {
  TM_ASSIGN_OR_RETURN(const auto capabilities, store.Probe(words[1]));
  *answer = {{"conditional_put", capabilities.conditional_put}, {"list_after_write", capabilities.list_after_write}};
  return absl::OkStatus();
}

absl::Status Do(ObjectStore& store, const Words& words, json* answer) {
  const std::string& what = words[0];
  if (what == "put" || what == "stream") return Write(store, words);
  if (what == "delete") return store.Delete(words[1]);
  if (what == "probe") return Probe(store, words, answer);
  if (what == "bench") return Bench(store, words, answer);
  if (what == "sha") {
    *answer = Described(RandomBytes(std::stoull(words[1]), std::stoull(words[2])));
    return absl::OkStatus();
  }
  if (what == "stats") {
    *answer = {{"display_uri", store.display_uri()}};
    return absl::OkStatus();
  }
  return Read(store, words, answer);
}

void Serve(ObjectStore& store) {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream stream(line);
    const Words words{std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
    json answer = json::object();
    const ObjectStore::Stats before = store.stats();
    const auto begin = SteadyClock::now();
    const absl::Status status = Do(store, words, &answer);
    const ObjectStore::Stats after = store.stats();
    answer["seconds"] = SecondsSince(begin);
    answer["code"] = absl::StatusCodeToString(status.code());
    answer["message"] = Message(status);
    answer["requests"] = after.requests - before.requests;
    answer["retries"] = after.retries - before.retries;
    std::cout << answer.dump() << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--contract") {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
  }
  if (argc < 2) return 2;
  OpenOptions options;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (flag == "--retries") options.retries = std::stoi(argv[i + 1]);
    if (flag == "--stall-ms") options.stall_timeout = std::chrono::milliseconds(std::stoi(argv[i + 1]));
    if (flag == "--connections") options.connections = std::stoi(argv[i + 1]);
    if (flag == "--rate") options.rate_limit = std::stoull(argv[i + 1]);
  }
  absl::StatusOr<std::unique_ptr<ObjectStore>> store = tidemark::objstore::Open(argv[1], options);
  if (!store.ok()) {
    std::cerr << store.status() << std::endl;
    return 1;
  }
  Serve(**store);
  return 0;
}
