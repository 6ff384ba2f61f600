// What the store costs: hot rows, rows that become dirty, cuts, and the same rows through RocksDB's memtable beside it.
// Times are CPU time; "cpu_s" counts the whole process, background threads included. Results are in
// docs/store-measurements.md.
#include <benchmark/benchmark.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include "kv/store.h"

namespace tidemark::kv {
namespace {

constexpr size_t kMillion = 1'000'000;
constexpr size_t kValueBytes = 128;
constexpr size_t kBatch = 100;

class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / fmt::format("tidemark_kv_bench_{}", ::getpid())) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

double ProcessCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// 30 bytes: what a key row of "key:000000012345" in a database is.
std::string Key(size_t n) { return fmt::format("\x01{:010}key:{:015}", 1, n); }

// Incompressible, and different for each `n`.
std::string MakeValue(uint64_t n) {
  std::string value(kValueBytes, '\0');
  std::mt19937_64 random(n);
  for (size_t i = 0; i < kValueBytes; i += 8) {
    const uint64_t word = random();
    std::memcpy(value.data() + i, &word, 8);
  }
  return value;
}

// Keys in random order, made before the clock runs; a multiplicative step visits all of them.
std::vector<std::string> ShuffledKeys(size_t count) {
  std::vector<std::string> keys;
  keys.reserve(count);
  for (size_t i = 0; i < count; ++i) keys.push_back(Key(i));
  std::shuffle(keys.begin(), keys.end(), std::mt19937_64(1));
  return keys;
}

std::unique_ptr<Store> OpenStore(const Folder& folder, uint64_t dirty_bytes) {
  StoreOptions options;
  options.folder = folder.path();
  options.hot_bytes = 1ull << 30;
  options.dirty_bytes = dirty_bytes;
  auto store = Store::Open(options);
  TM_CHECK(store.ok(), "{}", store.status().ToString());
  return std::move(*store);
}

absl::Status SyncNothing(Lsn) { return absl::OkStatus(); }

// One record a row, kBatch rows under one lock. Returns the last LSN.
uint64_t PutRows(Store& store, const std::vector<std::string>& keys, std::string_view value, uint64_t lsn) {
  for (size_t i = 0; i < keys.size();) {
    auto writer = store.Write();
    for (size_t n = 0; n < kBatch && i < keys.size(); ++n, ++i) {
      writer.Put(keys[i], value);
      writer.SetApplied(Lsn{++lsn});
    }
  }
  return lsn;
}

void PutRewritesDirtyRow(benchmark::State& state) {
  const Folder folder;
  const auto store = OpenStore(folder, 8ull << 30);
  const auto keys = ShuffledKeys(static_cast<size_t>(state.range(0)));
  const std::string value = MakeValue(1);
  uint64_t lsn = PutRows(*store, keys, value, 0);
  size_t next = 0;
  for (auto _ : state) {
    auto writer = store->Write();
    for (size_t n = 0; n < kBatch; ++n) {
      writer.Put(keys[next], value);
      writer.SetApplied(Lsn{++lsn});
      if (++next == keys.size()) next = 0;
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
BENCHMARK(PutRewritesDirtyRow)->Arg(1'000)->Arg(kMillion);

void GetHotRow(benchmark::State& state) {
  const Folder folder;
  const auto store = OpenStore(folder, 8ull << 30);
  const auto keys = ShuffledKeys(static_cast<size_t>(state.range(0)));
  PutRows(*store, keys, MakeValue(1), 0);
  size_t next = 0;
  for (auto _ : state) {
    auto reader = store->Read();
    for (size_t n = 0; n < kBatch; ++n) {
      benchmark::DoNotOptimize(reader.Get(keys[next], Tier::kMemory));
      if (++next == keys.size()) next = 0;
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
BENCHMARK(GetHotRow)->Arg(1'000)->Arg(kMillion);

// A million rows that are clean (1) or unknown (0) become dirty, in random order.
void PutMakesRowDirty(benchmark::State& state) {
  const auto keys = ShuffledKeys(kMillion);
  const std::string value = MakeValue(1);
  for (auto _ : state) {
    state.PauseTiming();
    auto folder = std::make_unique<Folder>();
    auto store = OpenStore(*folder, 8ull << 30);
    uint64_t lsn = 0;
    if (state.range(0) == 1) {
      lsn = PutRows(*store, keys, value, lsn);
      TM_CHECK(store->Persist(SyncNothing).ok());
    }
    state.ResumeTiming();
    PutRows(*store, keys, value, lsn);
    state.PauseTiming();
    store.reset();
    folder.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kMillion));
}
BENCHMARK(PutMakesRowDirty)->Arg(0)->Arg(1)->Iterations(1)->Unit(benchmark::kMillisecond);

// A million dirty rows become an ingested file.
void PersistMillionRows(benchmark::State& state) {
  const auto keys = ShuffledKeys(kMillion);
  for (auto _ : state) {
    state.PauseTiming();
    const Folder folder;
    const auto store = OpenStore(folder, 8ull << 30);
    for (size_t i = 0; i < kMillion; ++i) store->Write().Put(keys[i], MakeValue(i));
    store->Write().SetApplied(Lsn{1});
    const double before = ProcessCpuSeconds();
    state.ResumeTiming();
    TM_CHECK(store->Persist(SyncNothing).ok());
    state.counters["cpu_s"] = ProcessCpuSeconds() - before;
  }
}
BENCHMARK(PersistMillionRows)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

// The way not taken: the same rows through RocksDB's skip list, without its WAL, and flushed. Memtable MiB.
void RocksDbMemtableMillionRows(benchmark::State& state) {
  const auto keys = ShuffledKeys(kMillion);
  std::vector<std::string> values;
  for (size_t i = 0; i < kMillion; ++i) values.push_back(MakeValue(i));
  for (auto _ : state) {
    state.PauseTiming();
    const Folder folder;
    rocksdb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = static_cast<size_t>(state.range(0)) << 20;
    options.compression = rocksdb::kNoCompression;
    rocksdb::DB* raw = nullptr;
    TM_CHECK(rocksdb::DB::Open(options, folder.path(), &raw).ok());
    const std::unique_ptr<rocksdb::DB> db(raw);
    rocksdb::WriteOptions write;
    write.disableWAL = true;
    const double before = ProcessCpuSeconds();
    state.ResumeTiming();
    rocksdb::WriteBatch batch;
    for (size_t i = 0; i < kMillion; ++i) {
      TM_CHECK(batch.Put(keys[i], values[i]).ok());
      if (batch.Count() < static_cast<int>(kBatch)) continue;
      TM_CHECK(db->Write(write, &batch).ok());
      batch.Clear();
    }
    TM_CHECK(db->Flush(rocksdb::FlushOptions()).ok());
    state.counters["cpu_s"] = ProcessCpuSeconds() - before;
  }
}
BENCHMARK(RocksDbMemtableMillionRows)->Arg(32)->Arg(256)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

// Five million Puts to a million random rows with a thread that persists; until nothing is dirty. Dirty MiB.
void SustainedPuts(benchmark::State& state) {
  constexpr size_t kPuts = 5 * kMillion;
  std::vector<std::string> keys;
  for (size_t i = 0; i < kMillion; ++i) keys.push_back(Key(i));
  std::vector<std::string> values;
  for (size_t i = 0; i < 10'000; ++i) values.push_back(MakeValue(i));
  for (auto _ : state) {
    const Folder folder;
    const auto store = OpenStore(folder, static_cast<uint64_t>(state.range(0)) << 20);
    std::atomic<bool> done{false};
    std::mt19937_64 random(7);
    const double before = ProcessCpuSeconds();
    std::thread persister([&] {
      while (!done) {
        if (store->WantsPersist()) TM_CHECK(store->Persist(SyncNothing).ok());
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    for (size_t i = 0; i < kPuts; i += kBatch) {
      while (store->MustWait()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      auto writer = store->Write();
      for (size_t n = 0; n < kBatch; ++n) {
        writer.Put(keys[random() % kMillion], values[(i + n) % values.size()]);
        writer.SetApplied(Lsn{i + n + 1});
      }
    }
    done = true;
    persister.join();
    TM_CHECK(store->Persist(SyncNothing).ok());
    const auto stats = store->stats();
    state.counters["cpu_s_per_million"] = (ProcessCpuSeconds() - before) / (kPuts / kMillion);
    state.counters["cuts"] = static_cast<double>(stats.persists);
    state.counters["cut_MiB"] = static_cast<double>(stats.persisted_bytes >> 20);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kPuts));
}
BENCHMARK(SustainedPuts)->Arg(32)->Arg(96)->Arg(256)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

// Ten rows of a million, from a random one on: dirty (0), persisted in one file (1), or in four files and dirty on top
// (2); downwards where the second argument is 1.
void ShortScan(benchmark::State& state) {
  constexpr size_t kRows = 10;
  const Folder folder;
  const auto store = OpenStore(folder, 8ull << 30);
  const auto keys = ShuffledKeys(kMillion);
  uint64_t lsn = 0;
  for (int file = 0; file < (state.range(0) == 2 ? 4 : 1); ++file) {
    lsn = PutRows(*store, keys, MakeValue(1), lsn);
    if (state.range(0) != 0) TM_CHECK(store->Persist(SyncNothing).ok());
  }
  if (state.range(0) == 2) PutRows(*store, {keys.begin(), keys.begin() + kMillion / 10}, MakeValue(2), lsn);
  const std::string end = Key(kMillion);
  const std::string begin = Key(0);
  size_t next = 0;
  size_t bytes = 0;
  const Txn::Visitor visit = [&](std::string_view row, const Value& value) {
    bytes += row.size() + value.view().size();
    return true;
  };
  for (auto _ : state) {
    auto reader = store->Read();
    TM_CHECK((state.range(1) == 0 ? reader.Scan(keys[next], end, kRows, Tier::kDisk, visit)
                                  : reader.ScanBackward(begin, keys[next], kRows, Tier::kDisk, visit))
                 .ok());
    next = (next + 1) % 10'000;
  }
  benchmark::DoNotOptimize(bytes);
}
BENCHMARK(ShortScan)->ArgsProduct({{0, 1, 2}, {0, 1}});

}  // namespace
}  // namespace tidemark::kv
