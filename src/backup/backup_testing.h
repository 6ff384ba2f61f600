// An engine on a temporary folder and tasks over archives in memory, as the tests of this folder use them. For tests
// only.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "archive/archive_testing.h"
#include "archive/catalog.h"
#include "archive/codec.h"
#include "backup/manager.h"
#include "base/check.h"
#include "engine/engine.h"
#include "format/log_format.h"
#include "objstore/memory_store.h"
#include "types/keyspace.h"

namespace tidemark::backup {

// One of the stores that a task opened. The test keeps the store, so it can do things to it; a task that ends cancels
// its own handle only.
class StoreHandle final : public objstore::ObjectStore {
 public:
  StoreHandle(std::shared_ptr<objstore::MemoryStore> store, std::function<void()> on_cancel)
      : store_(std::move(store)), on_cancel_(std::move(on_cancel)) {}
  absl::Status Put(std::string_view key, std::string_view bytes, objstore::PutCondition condition) override {
    return store_->Put(key, bytes, condition);
  }
  absl::Status PutStream(std::string_view key, objstore::ByteSource& source, uint64_t size_hint) override {
    return store_->PutStream(key, source, size_hint);
  }
  absl::StatusOr<std::string> Get(std::string_view key) override { return store_->Get(key); }
  absl::StatusOr<std::string> GetRange(std::string_view key, uint64_t offset, uint64_t length) override {
    return store_->GetRange(key, offset, length);
  }
  absl::Status GetStream(std::string_view key,
                         const std::function<absl::Status(std::string_view piece)>& sink) override {
    return store_->GetStream(key, sink);
  }
  absl::StatusOr<objstore::ObjectInfo> Head(std::string_view key) override { return store_->Head(key); }
  absl::StatusOr<objstore::ListPage> List(std::string_view prefix, std::string_view start_after, size_t max) override {
    return store_->List(prefix, start_after, max);
  }
  absl::Status Delete(std::string_view key) override { return store_->Delete(key); }
  absl::StatusOr<objstore::Capabilities> Probe(std::string_view nonce) override { return store_->Probe(nonce); }
  void Cancel() override {
    store_->Cancel();
    on_cancel_();
  }
  const std::string& display_uri() const override { return store_->display_uri(); }
  Stats stats() const override { return store_->stats(); }

 private:
  const std::shared_ptr<objstore::MemoryStore> store_;
  const std::function<void()> on_cancel_;
};

// A place for archives: what it holds, and what happens to those who use it, now and later.
class Place {
 public:
  using Hook = std::function<absl::Status(objstore::MemoryStore::Operation operation, std::string_view key)>;

  explicit Place(std::string uri) : uri_(std::move(uri)) {}

  std::unique_ptr<objstore::ObjectStore> Open() {
    const MutexLock lock(mutex_);
    auto store = std::make_shared<objstore::MemoryStore>(bucket, uri_);
    store->SetHook([this](objstore::MemoryStore::Operation operation, std::string_view key) {
      Hook hook;
      {
        const MutexLock hook_lock(mutex_);
        if (!outage_.ok()) return outage_;
        hook = hook_;
      }
      return hook ? hook(operation, key) : absl::OkStatus();
    });
    store->SetFaults(faults_);
    stores_.push_back(store);
    return std::make_unique<StoreHandle>(store, on_cancel);
  }
  void SetOutage(absl::Status outage) {
    const MutexLock lock(mutex_);
    outage_ = std::move(outage);
  }
  void SetHook(Hook hook) {
    const MutexLock lock(mutex_);
    hook_ = std::move(hook);
  }
  // For stores that are open and those to come.
  void SetFaults(const objstore::MemoryStore::Faults& faults) {
    const MutexLock lock(mutex_);
    faults_ = faults;
    for (const auto& store : stores_) store->SetFaults(faults);
  }

  const std::shared_ptr<objstore::MemoryBucket> bucket = std::make_shared<objstore::MemoryBucket>();
  // Of stores opened from now on.
  std::function<void()> on_cancel = [] {};

 private:
  const std::string uri_;
  Mutex mutex_;
  absl::Status outage_ ABSL_GUARDED_BY(mutex_);
  Hook hook_ ABSL_GUARDED_BY(mutex_);
  objstore::MemoryStore::Faults faults_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<objstore::MemoryStore>> stores_ ABSL_GUARDED_BY(mutex_);
};

// A door that a hook can wait at.
class Gate {
 public:
  void Close() { Set(false); }
  void Open() { Set(true); }
  void Pass() {
    const MutexLock lock(mutex_);
    ++waiting_;
    changed_.SignalAll();
    while (!open_) changed_.Wait(mutex_);
    --waiting_;
  }
  // Until somebody stands before the closed door.
  void AwaitWaiter() {
    const MutexLock lock(mutex_);
    while (waiting_ == 0) changed_.Wait(mutex_);
  }

 private:
  void Set(bool open) {
    const MutexLock lock(mutex_);
    open_ = open;
    changed_.SignalAll();
  }
  Mutex mutex_;
  CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mutex_) = true;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

class BackupTest : public testing::Test {
 protected:
  BackupTest() {
    char name[] = "/tmp/tidemark-backup-XXXXXX";
    folder_ = mkdtemp(name);
    engine_options_.folder = folder_;
    engine_options_.log.segment_size = 256 << 10;
    engine_options_.log.retain_size = 0;
    engine_options_.store.dirty_bytes = 1 << 20;
    engine_options_.store.hot_bytes = 8 << 20;
    engine_options_.store.block_cache_bytes = 4 << 20;
    options_.open_store = [this](const std::string& uri, const objstore::OpenOptions&) { return OpenAt(uri); };
    options_.timings.backoff_min = std::chrono::milliseconds(2);
    options_.timings.backoff_max = std::chrono::milliseconds(20);
    options_.timings.tick = std::chrono::milliseconds(5);
    options_.timings.watch_every = std::chrono::milliseconds(5);
    options_.report = [this](const std::string& line) {
      const MutexLock lock(mutex_);
      lines_.push_back(line);
    };
    OpenEngine();
    OpenManager();
  }
  ~BackupTest() override {
    gate_.Open();
    manager_.reset();
    engine_.reset();
    std::filesystem::remove_all(folder_);
  }

  void OpenEngine() {
    auto engine = engine::Engine::Open(FileSystem::Posix(), Clock::System(), engine_options_);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  void OpenManager() {
    auto manager = Manager::Open(*engine_, FileSystem::Posix(), Clock::System(), options_);
    ASSERT_TRUE(manager.ok()) << manager.status();
    manager_ = *std::move(manager);
  }
  // As after kill -9, but that the log's end is what had been written.
  void Restart() {
    manager_.reset();
    engine_->EndTurn();
    engine_.reset();
    OpenEngine();
    OpenManager();
  }

  absl::StatusOr<std::unique_ptr<objstore::ObjectStore>> OpenAt(const std::string& uri) { return At(uri).Open(); }
  Place& At(const std::string& uri) {
    const MutexLock lock(mutex_);
    auto& place = places_[uri];
    if (place == nullptr) place = std::make_unique<Place>(uri);
    return *place;
  }
  Place& place() { return At("memory:a"); }

  // A task that flushes by itself only when asked to: its interval is long.
  static TaskConfig Config(const std::string& name = "t", const std::string& uri = "memory:a") {
    TaskConfig config;
    config.name = name;
    config.storage = uri;
    config.flush_interval = std::chrono::hours(1);
    return config;
  }
  void Start(const TaskConfig& config = Config()) {
    const absl::Status status = manager_->Start(config);
    ASSERT_TRUE(status.ok()) << status;
  }

  absl::Status TrySet(const std::string& key, const std::string& value) {
    absl::Status status;
    do {
      status = engine_->Write(kv::Tier::kDisk, true, [&](kv::Txn& txn) -> absl::Status {
        types::Keyspace keyspace(txn, DbIndex{0});
        TM_ASSIGN_OR_RETURN(types::Key found, keyspace.Find(key));
        keyspace.PutString(&found, value, 0);
        return absl::OkStatus();
      });
    } while (engine::IsStalled(status));
    engine_->EndTurn();
    return status;
  }
  void Set(const std::string& key, const std::string& value) {
    const absl::Status status = TrySet(key, value);
    ASSERT_TRUE(status.ok()) << status;
  }
  void SetMany(int count, size_t bytes, const std::string& prefix = "k") {
    for (int i = 0; i < count; ++i)
      Set(prefix + std::to_string(i), std::string(bytes, static_cast<char>('a' + i % 26)));
  }

  // That no compression makes smaller.
  std::string RandomBytes(size_t size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return bytes;
  }

  FlushOutcome Flush(FlushRequest request = {}) {
    if (request.timeout.count() == 0) request.timeout = std::chrono::seconds(30);
    auto outcomes = manager_->FlushAndWait(request);
    TM_CHECK(outcomes.ok(), "{}", Message(outcomes.status()));
    return outcomes->front();
  }
  TaskStatus Status(const std::string& name = "t") {
    for (TaskStatus& status : manager_->Status()) {
      if (status.config.name == name) return std::move(status);
    }
    ADD_FAILURE() << "no task " << name;
    return {};
  }
  void WaitUntil(const std::function<bool()>& condition, const char* what) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), give_up) << what << "; " << Trouble();
      std::this_thread::yield();
    }
  }
  std::string Trouble() {
    std::string text;
    for (const TaskStatus& task : manager_->Status()) {
      text +=
          fmt::format("{} {} {} {}; ", task.config.name, TaskStateName(task.state), task.cause, task.not_restorable);
    }
    const MutexLock lock(mutex_);
    for (const std::string& line : lines_) text += line + "; ";
    return text;
  }

  // The log's bytes from `from` to `to`.
  std::string LogBytes(Lsn from, Lsn to) {
    std::string bytes;
    auto cursor = engine_->log().OpenCursor(from, log::ReadLimit::kWritten);
    TM_CHECK(cursor.ok(), "{}", Message(cursor.status()));
    while ((*cursor)->position() < to) {
      auto record = (*cursor)->Next(std::chrono::milliseconds(0));
      TM_CHECK(record.ok(), "{}", Message(record.status()));
      bytes += record->raw;
    }
    return bytes;
  }
  static archive::Catalog Load(const std::shared_ptr<objstore::MemoryBucket>& bucket) {
    objstore::MemoryStore store(bucket);
    auto catalog = archive::Catalog::Load(store, false);
    TM_CHECK(catalog.ok(), "{}", Message(catalog.status()));
    return *std::move(catalog);
  }
  // The plain bytes of [from, to) as the archive has them; fails the test where it has not.
  std::string ArchivedBytes(const std::shared_ptr<objstore::MemoryBucket>& bucket, Lsn from, Lsn to) {
    objstore::MemoryStore store(bucket);
    const archive::Stretch stretch = Load(bucket).Follow(format::kFirstTimeline, from, to);
    EXPECT_GE(stretch.to.value, to.value) << "the archive ends too early";
    std::string bytes;
    Lsn at = from;
    for (const archive::LogEntry& entry : stretch.objects) {
      auto object = archive::DecodeLogObject(*store.Get(entry.key), *archive::KeyRing::Empty());
      TM_CHECK(object.ok(), "{}: {}", entry.key, Message(object.status()));
      if (object->header.end <= at) continue;
      bytes += object->plain.substr(at - object->header.first);
      at = object->header.end;
    }
    return bytes.substr(0, to - from);
  }
  size_t CountObjects(std::string_view prefix) { return CountObjects(place(), prefix); }
  static size_t CountObjects(Place& where, std::string_view prefix) {
    size_t count = 0;
    for (const auto& [key, object] : where.bucket->objects()) count += key.starts_with(prefix) ? 1 : 0;
    return count;
  }
  // Makes the log forget everything below what is persisted and not leased.
  void ForgetLog() {
    const Lsn before = engine_->log().oldest();
    for (int i = 0; i < 100 && engine_->log().oldest() == before; ++i) {
      SetMany(10, 64 << 10, "filler");
      auto lsn = engine_->SnapshotAs("forget");
      ASSERT_TRUE(lsn.ok()) << lsn.status();
      ASSERT_TRUE(engine_->log().RaiseLease("engine", *lsn).ok());
      ASSERT_TRUE(engine_->log().Purge().ok());
    }
    ASSERT_GT(engine_->log().oldest(), before);
  }

  // What another server does that takes the archive over.
  void PutSuccessor() {
    place().bucket->Set(
        format::TimelineKey(Timeline{2}),
        archive::EncodeTimeline(
            {.timeline = Timeline{2}, .parent = Timeline{1}, .fork = engine_->last_end(), .reason = "promotion"}));
  }
  archive::Origin Origin() const {
    const engine::Identity& identity = manager_->identity();
    return {.cluster_id = identity.cluster_id, .timeline = identity.timeline, .timeline_id = identity.timeline_id};
  }
  // CRC field of the last record in the archive.
  uint32_t LastArchivedCrc() {
    const archive::LogEntry last = Load(place().bucket).log.at(format::kFirstTimeline).back();
    objstore::MemoryStore store(place().bucket);
    const auto object = archive::DecodeLogObject(*store.Get(last.key), *archive::KeyRing::Empty());
    TM_CHECK(object.ok(), "{}: {}", last.key, Message(object.status()));
    return object->header.last_crc;
  }
  // An object that the server of a copy of our data directory would put which wrote this at the archive's end `at`.
  // Returns its key.
  std::string PutTwinsObject(Lsn at, std::string_view value) {
    const uint32_t crc = LastArchivedCrc();
    archive::TestLog log(format::kFirstTimeline, at, crc, engine_->clock().Now().micros);
    archive::LogObjectWriter writer({}, Origin(), at, crc);
    TM_CHECK(writer.Add(log.NextPut("key", value)).ok(), "a record of its own");
    const auto object = writer.Finish(log.timestamp());
    TM_CHECK(object.ok(), "{}", Message(object.status()));
    std::string key = format::LogObjectKey(object->name);
    place().bucket->Set(key, object->bytes);
    return key;
  }
  // Puts of log objects wait at the gate.
  void HoldLogPuts() {
    gate_.Close();
    place().SetHook([this](objstore::MemoryStore::Operation operation, std::string_view key) {
      if (operation == objstore::MemoryStore::Operation::kPut && key.starts_with("log/")) gate_.Pass();
      return absl::OkStatus();
    });
  }
  // The next puts of keys that begin so fail.
  void FailPuts(int times, const std::string& prefix, const absl::Status& error) {
    failures_left_ = times;
    place().SetHook([this, prefix, error](objstore::MemoryStore::Operation operation, std::string_view key) {
      const bool put = operation == objstore::MemoryStore::Operation::kPut ||
                       operation == objstore::MemoryStore::Operation::kPutStream;
      return put && key.starts_with(prefix) && failures_left_-- > 0 ? error : absl::OkStatus();
    });
  }

  std::mt19937 random_{42};
  std::string folder_;
  // Hooks use these until the manager has gone.
  Gate gate_;
  std::atomic<int> failures_left_{0};
  engine::EngineOptions engine_options_;
  ManagerOptions options_;
  Mutex mutex_;
  std::map<std::string, std::unique_ptr<Place>> places_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<Manager> manager_;
};

}  // namespace tidemark::backup
