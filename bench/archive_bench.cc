// What sealing log into objects costs, and how fast the log reader hands it out again, store and network left out:
// records of 1 KiB, from a store in memory. Arguments: zstd level · encrypted · compressible.
#include <benchmark/benchmark.h>

#include "archive/archive_testing.h"
#include "archive/log_reader.h"
#include "base/bytes.h"

namespace tidemark::archive {
namespace {

constexpr size_t kRecordBytes = 1024;
constexpr size_t kObjectRecords = 32 << 10;  // 32 MiB plain, as a task seals under load
constexpr size_t kObjects = 8;

CodecOptions Options(const benchmark::State& state) {
  return {static_cast<int>(state.range(0)), state.range(1) != 0 ? TestRing(kTestKey) : KeyRing::Empty()};
}

std::vector<std::string> Records(TestLog* log, bool compressible) {
  std::vector<std::string> records;
  uint64_t random = 1;
  for (size_t i = 0; i < kObjectRecords; ++i) {
    std::string payload;
    while (payload.size() < kRecordBytes) {
      random = random * 6364136223846793005 + 1442695040888963407;
      AppendLittle<uint64_t>(&payload, compressible ? (random >> 60) * 0x0101010101010101 : random ^ (random >> 29));
    }
    records.push_back(log->Next(payload));
  }
  return records;
}

LogObjectWriter::Object Seal(const std::vector<std::string>& records, const CodecOptions& options, Timestamp closed) {
  LogObjectWriter writer(options, TestOrigin(), format::DecodeRecordHeader(records.front().data()).lsn, 0);
  for (const std::string& record : records) TM_CHECK(writer.Add(record).ok());
  return *writer.Finish(closed);
}

void BM_Seal(benchmark::State& state) {
  TestLog log;
  const auto records = Records(&log, state.range(2) != 0);
  const CodecOptions options = Options(state);
  uint64_t plain = 0;
  uint64_t stored = 0;
  for (auto _ : state) {
    const auto object = Seal(records, options, log.timestamp());
    plain += object.header.plain_bytes;
    stored += object.bytes.size();
  }
  state.SetBytesProcessed(static_cast<int64_t>(plain));
  state.counters["ratio"] = static_cast<double>(plain) / static_cast<double>(stored);
}

void BM_Read(benchmark::State& state) {
  TestLog log;
  objstore::MemoryStore store;
  PutIdentity(*store.bucket());
  for (size_t i = 0; i < kObjects; ++i) {
    const auto records = Records(&log, state.range(2) != 0);
    PutObject(*store.bucket(), Seal(records, Options(state), log.timestamp()));
  }
  LogReaderOptions options;
  options.keys = Options(state).keys;
  uint64_t bytes = 0;
  for (auto _ : state) {
    const auto catalog = Catalog::Load(store, false);
    const auto reader = LogReader::Open(store, catalog->FollowHistory(Timeline{1}, format::kFirstLsn, std::nullopt),
                                        format::kFirstLsn, 0, options);
    for (auto record = reader->Next(); record.ok(); record = reader->Next()) bytes += record->raw.size();
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
}

void Variants(benchmark::internal::Benchmark* benchmark) {
  for (const int compressible : {0, 1}) {
    benchmark->Args({0, 0, compressible})->Args({1, 0, compressible})->Args({1, 1, compressible});
  }
  benchmark->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(BM_Seal)->Apply(Variants);
BENCHMARK(BM_Read)->Apply(Variants);

}  // namespace
}  // namespace tidemark::archive
