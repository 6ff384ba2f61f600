// Nodes in one process, joined in memory: real engines and logs in folders of their own, small enough that a log of a
// few records has many segments, and a network whose connections a test cuts where it likes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "engine/digest.h"
#include "engine/engine.h"
#include "engine/identity.h"
#include "replication/node.h"
#include "types/keyspace.h"

namespace tidemark::replication {

constexpr std::chrono::seconds kPatience{30};

// What goes wrong, over all connections. A counter says at which event from now on; none: never. Any thread.
class Faults {
 public:
  enum class At : uint8_t { kConnect, kJoin, kWelcome, kChunk, kPart, kAck, kCount };

  // The connection is cut at the `nth` event from now on (0: the next).
  void CutAt(At at, int nth) { cut_[Index(at)] = nth; }
  // From now on every `nth` acknowledgement is lost on its way; 0: none.
  void LoseAcks(int nth) { lose_acks_ = nth; }
  void Heal() {
    for (auto& cut : cut_) cut = -1;
    lose_acks_ = 0;
  }
  bool Cuts(At at) {
    if (cut_[Index(at)] < 0) return false;
    return cut_[Index(at)].fetch_sub(1) == 0;
  }
  bool LosesAck() {
    const int nth = lose_acks_;
    return nth > 0 && ++acks_ % nth == 0;
  }

 private:
  static size_t Index(At at) { return static_cast<size_t>(at); }
  std::array<std::atomic<int>, static_cast<size_t>(At::kCount)> cut_{-1, -1, -1, -1, -1, -1};
  std::atomic<int> lose_acks_{0};
  std::atomic<int> acks_{0};
};

// Where a node is reached while it is up. A call enters and leaves; whoever takes the node down waits for all to leave.
class Door {
 public:
  // The feed, or null while the node is down. Leave after a feed.
  Feed* Enter() {
    const MutexLock lock(mutex_);
    if (feed_ == nullptr) return nullptr;
    ++inside_;
    return feed_;
  }
  void Leave() {
    const MutexLock lock(mutex_);
    --inside_;
    changed_.SignalAll();
  }
  void Open(Feed* feed) {
    const MutexLock lock(mutex_);
    feed_ = feed;
  }
  // Nobody enters any more; those inside are asked to leave by `hurry`, and waited for.
  void Close(const std::function<void()>& hurry) {
    {
      const MutexLock lock(mutex_);
      feed_ = nullptr;
    }
    hurry();
    const MutexLock lock(mutex_);
    while (inside_ > 0) changed_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  Feed* feed_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int inside_ ABSL_GUARDED_BY(mutex_) = 0;
};

// One connection. Both ends, the node that goes down and the faults may end it.
class Wire final : public Upstream {
 public:
  Wire(std::shared_ptr<Door> door, Faults& faults) : door_(std::move(door)), faults_(faults) {}
  ~Wire() override {
    Cancel();
    End();
  }

  absl::StatusOr<Welcome> Join(const Hello& hello) override {
    if (faults_.Cuts(Faults::At::kJoin)) return Lost();
    Feed* feed = door_->Enter();
    if (feed == nullptr) return Lost();
    absl::StatusOr<std::unique_ptr<FeedSession>> session = feed->Join(hello, "127.0.0.1");
    if (!session.ok()) {
      door_->Leave();
      return session.status();
    }
    const Welcome welcome = (*session)->welcome();
    {
      const MutexLock lock(mutex_);
      session_ = *std::move(session);
      if (cut_) session_->Cancel();
    }
    door_->Leave();
    if (faults_.Cuts(Faults::At::kWelcome)) return Lost();
    return welcome;
  }
  absl::StatusOr<Chunk> Next() override {
    if (faults_.Cuts(Faults::At::kChunk)) return Lost();
    FeedSession* session = Use();
    if (session == nullptr) return Lost();
    absl::StatusOr<Chunk> chunk = session->Next();
    Unuse();
    if (!chunk.ok()) return Lost();
    return chunk;
  }
  absl::Status Acknowledge(const Ack& ack) override {
    if (faults_.Cuts(Faults::At::kAck)) return Lost();
    if (faults_.LosesAck()) return absl::OkStatus();
    FeedSession* session = Use();
    if (session == nullptr) return Lost();
    session->Acknowledge(ack);
    Unuse();
    return absl::OkStatus();
  }
  absl::Status ReadFile(const std::string& snapshot, const std::string& name, uint64_t offset,
                        absl::FunctionRef<absl::Status(const FilePart&)> take) override {
    Feed* feed = door_->Enter();
    if (feed == nullptr) return Lost();
    const absl::Status read = feed->ReadFile(snapshot, name, offset, [&](const FilePart& part) {
      // In smaller pieces than files of tests have bytes, so that a cut leaves one half written.
      constexpr size_t kPiece = 700;
      for (size_t at = 0; at == 0 || at < part.bytes.size(); at += kPiece) {
        if (faults_.Cuts(Faults::At::kPart)) return Lost();
        {
          const MutexLock lock(mutex_);
          if (cut_) return absl::Status(absl::UnavailableError("the connection was cut"));
        }
        FilePart piece{.bytes = part.bytes.substr(at, kPiece), .last = false, .hash = 0};
        if (at + kPiece >= part.bytes.size()) {
          piece.last = part.last;
          piece.hash = part.hash;
        }
        TM_RETURN_IF_ERROR(take(piece));
      }
      return absl::OkStatus();
    });
    door_->Leave();
    return read;
  }
  void Cancel() override {
    const MutexLock lock(mutex_);
    cut_ = true;
    if (session_ != nullptr) session_->Cancel();
  }
  // Ends the session on the node's side; waits for calls that are in it.
  void End() {
    const MutexLock lock(mutex_);
    cut_ = true;
    if (session_ != nullptr) session_->Cancel();
    while (using_ > 0) changed_.Wait(mutex_);
    session_.reset();
  }

 private:
  absl::Status Lost() {
    Cancel();
    return absl::UnavailableError("the connection was cut");
  }
  FeedSession* Use() {
    const MutexLock lock(mutex_);
    if (cut_ || session_ == nullptr) return nullptr;
    ++using_;
    return session_.get();
  }
  void Unuse() {
    const MutexLock lock(mutex_);
    --using_;
    changed_.SignalAll();
  }

  const std::shared_ptr<Door> door_;
  Faults& faults_;
  Mutex mutex_;
  CondVar changed_;
  bool cut_ ABSL_GUARDED_BY(mutex_) = false;
  int using_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<FeedSession> session_ ABSL_GUARDED_BY(mutex_);
};

// Who is reached under which port, and every connection there is.
class Network {
 public:
  Faults faults;

  std::shared_ptr<Door> DoorOf(uint16_t port) {
    const MutexLock lock(mutex_);
    std::shared_ptr<Door>& door = doors_[port];
    if (door == nullptr) door = std::make_shared<Door>();
    return door;
  }
  Connect ConnectFrom() {
    return [this](const Endpoint& to, const UpstreamOptions&) -> absl::StatusOr<std::unique_ptr<Upstream>> {
      if (faults.Cuts(Faults::At::kConnect)) return absl::UnavailableError("refused");
      auto wire = std::make_shared<Wire>(DoorOf(to.port), faults);
      const MutexLock lock(mutex_);
      wires_.emplace_back(to.port, wire);
      return std::make_unique<Handle>(std::move(wire));
    };
  }
  // Ends every connection to a node, also on its side.
  void EndAllTo(uint16_t port) {
    std::vector<std::shared_ptr<Wire>> wires;
    {
      const MutexLock lock(mutex_);
      std::erase_if(wires_, [](const auto& wire) { return wire.second.expired(); });
      for (const auto& [to, weak] : wires_) {
        if (auto wire = to == port ? weak.lock() : nullptr) wires.push_back(std::move(wire));
      }
    }
    for (const auto& wire : wires) wire->End();
  }

 private:
  // The replica's end: a Wire may be looked at by the network while it lets go.
  class Handle final : public Upstream {
   public:
    explicit Handle(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
    ~Handle() override { wire_->End(); }
    absl::StatusOr<Welcome> Join(const Hello& hello) override { return wire_->Join(hello); }
    absl::StatusOr<Chunk> Next() override { return wire_->Next(); }
    absl::Status Acknowledge(const Ack& ack) override { return wire_->Acknowledge(ack); }
    absl::Status ReadFile(const std::string& snapshot, const std::string& name, uint64_t offset,
                          absl::FunctionRef<absl::Status(const FilePart&)> take) override {
      return wire_->ReadFile(snapshot, name, offset, take);
    }
    void Cancel() override { wire_->Cancel(); }

   private:
    const std::shared_ptr<Wire> wire_;
  };

  Mutex mutex_;
  std::map<uint16_t, std::shared_ptr<Door>> doors_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<uint16_t, std::weak_ptr<Wire>>> wires_ ABSL_GUARDED_BY(mutex_);
};

// Polls: what is waited for happens on threads of nodes, which tell nobody.
inline bool Eventually(const std::function<bool()>& condition, std::chrono::milliseconds patience = kPatience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  Mutex mutex;
  CondVar never;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return condition();
    const MutexLock lock(mutex);
    never.WaitUntil(mutex, std::chrono::steady_clock::now() + std::chrono::milliseconds(2));
  }
  return true;
}

// One server's node, without the server: up, crashed and up again on the same folder.
class Host {
 public:
  Host(Network& network, const std::string& parent, uint16_t port)
      : network_(network), folder_(parent + "/" + std::to_string(port)), port_(port) {
    source.heartbeat = std::chrono::milliseconds(10);
    source.report = [this](const std::string& line) { Report(line); };
  }
  ~Host() { Crash(); }

  // Set before Start.
  SourceOptions source;
  std::chrono::milliseconds retry{5};
  uint64_t segment_size = 4 << 10;
  // From now on the server says that it stops when it is asked for exclusiveness: as a crash before an exchange.
  std::atomic<bool> refuse_exclusive{false};

  void Start() {
    engine::EngineOptions options;
    options.folder = folder_;
    options.log.segment_size = segment_size;
    options.log.retain_size = 0;
    options.log.purge_interval = std::chrono::milliseconds(1);
    options.log.on_notice = [this](std::string_view line) { Report(std::string(line)); };
    options.store.databases = 2;
    options.store.dirty_bytes = 256 << 10;
    options.store.hot_bytes = 4 << 20;
    options.store.block_cache_bytes = 1 << 20;
    options.log_apply_max = 16 << 10;
    options.disk_low_water = 0;
    auto remembered = ReadRemembered(FileSystem::Posix(), folder_);
    ASSERT_TRUE(remembered.ok()) << remembered.status();
    options.log.received = remembered->primary.has_value();
    options.sweeping = !remembered->primary;
    auto opened = engine::Engine::Open(FileSystem::Posix(), Clock::System(), options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
    NodeOptions node;
    node.folder = folder_;
    node.remembered = *remembered;
    node.segment_size = segment_size;
    node.announced = [this] { return endpoint(); };
    node.upstream = [] { return UpstreamOptions{}; };
    node.connect = network_.ConnectFrom();
    node.retry = retry;
    node.source = source;
    node.report = [this](const std::string& line) { Report(line); };
    node.hooks.exclusively = [this](absl::FunctionRef<void()> job) -> absl::Status {
      if (refuse_exclusive) return absl::UnavailableError("the server is shutting down");
      const std::lock_guard lock(commands_);
      job();
      return absl::OkStatus();
    };
    node.hooks.exchanged = [this] { ConnectToLog(); };
    node.hooks.stop_writing = [] {};
    node.hooks.start_writing = [] {};
    node_ = std::make_unique<Node>(*engine_, FileSystem::Posix(), Clock::System(), std::move(node));
    ConnectToLog();
    const absl::Status started = node_->Start();
    ASSERT_TRUE(started.ok()) << started;
    network_.DoorOf(port_)->Open(&node_->feed());
  }
  // Without closing anything: what was not written down is found again by recovery.
  void Crash() {
    if (node_ == nullptr) return;
    network_.DoorOf(port_)->Close([this] { network_.EndAllTo(port_); });
    network_.EndAllTo(port_);
    node_->Stop();
    engine_->log().SetDurableListener(nullptr);
    node_.reset();
    engine_.reset();
    refuse_exclusive = false;
  }
  void Restart() {
    Crash();
    Start();
  }

  // As a client's command, which is refused on a replica. Any thread; not beside Crash.
  absl::Status Set(std::string_view name, std::string_view value) {
    const std::shared_lock lock(commands_);
    if (node_->role() == Role::kReplica) return InvalidArgument("READONLY");
    if (node_->writes_held()) return absl::UnavailableError("held");
    while (true) {
      const absl::Status status = engine_->Write(kv::Tier::kDisk, true, [&](kv::Txn& txn) -> absl::Status {
        types::Keyspace keyspace(txn, DbIndex{0});
        TM_ASSIGN_OR_RETURN(types::Key key, keyspace.Find(name));
        keyspace.PutString(&key, value, 0);
        return absl::OkStatus();
      });
      if (!engine::IsStalled(status)) {
        if (status.ok()) engine_->EndTurn();
        return status;
      }
      std::this_thread::yield();
    }
  }
  std::optional<std::string> Get(std::string_view name) {
    std::optional<std::string> value;
    const auto pin = engine_->Pin();
    const absl::Status read = engine_->Read(kv::Tier::kDisk, [&](kv::Txn& txn) -> absl::Status {
      types::Keyspace keyspace(txn, DbIndex{0});
      TM_ASSIGN_OR_RETURN(const types::Key key, keyspace.Find(name));
      if (key) value = std::string(key.string);
      return absl::OkStatus();
    });
    EXPECT_TRUE(read.ok()) << read;
    return value;
  }
  void MakePrimary() {
    const auto identity = engine::EnsureIdentity(*engine_, Clock::System());
    ASSERT_TRUE(identity.ok()) << identity.status();
  }
  void Persist() {
    const auto pin = engine_->Pin();
    ASSERT_TRUE(engine_->Snapshot().ok());
  }
  Lsn end() {
    const auto pin = engine_->Pin();
    return engine_->last_end();
  }
  bool Follows(Host& other) { return node_->link_up() && end() == other.end(); }
  std::string Digest() {
    const auto pin = engine_->Pin();
    const auto digest = engine::DigestNow(*engine_, [] { return false; });
    EXPECT_TRUE(digest.ok()) << digest.status();
    return digest.ok() ? digest->Hex() : "";
  }
  // The records from `from` on, as they stand in the log.
  std::string LogFrom(Lsn from) {
    const auto pin = engine_->Pin();
    EXPECT_TRUE(engine_->log().SyncTo(engine_->last_end()).ok());
    const auto cursor = engine_->log().OpenCursor(from);
    EXPECT_TRUE(cursor.ok()) << cursor.status();
    std::string bytes;
    if (!cursor.ok()) return bytes;
    while (true) {
      const auto record = (*cursor)->Next(std::chrono::milliseconds(0));
      if (absl::IsDeadlineExceeded(record.status())) return bytes;
      EXPECT_TRUE(record.ok()) << record.status();
      if (!record.ok()) return bytes;
      bytes.append(record->raw);
    }
  }
  // Waits until the role is written down: from then on a crash does not lose it.
  bool Remembers(const std::optional<Endpoint>& primary) {
    return Eventually([&] {
      const auto remembered = ReadRemembered(FileSystem::Posix(), folder_);
      return remembered.ok() && remembered->primary == primary;
    });
  }
  bool HasLease(const std::string& name) {
    const auto pin = engine_->Pin();
    const std::vector<log::Lease> leases = engine_->log().Leases();
    return std::any_of(leases.begin(), leases.end(),
                       [&](const auto& lease) { return lease.name.starts_with(name) && lease.broken.empty(); });
  }
  bool Said(std::string_view words) {
    const MutexLock lock(mutex_);
    return std::any_of(said_.begin(), said_.end(),
                       [&](const std::string& line) { return line.find(words) != std::string::npos; });
  }
  std::string Sayings() {
    const MutexLock lock(mutex_);
    std::string all;
    for (const std::string& line : said_) all += "  " + std::to_string(port_) + ": " + line + "\n";
    return all;
  }

  Node& node() { return *node_; }
  engine::Engine& engine() { return *engine_; }
  bool up() const { return node_ != nullptr; }
  const std::string& folder() const { return folder_; }
  Endpoint endpoint() const { return {.host = "127.0.0.1", .port = port_}; }

 private:
  void ConnectToLog() {
    engine_->log().SetDurableListener([this](Lsn durable) { node_->DurableAdvanced(durable); });
  }
  void Report(const std::string& line) {
    const MutexLock lock(mutex_);
    said_.push_back(line);
  }

  Network& network_;
  const std::string folder_;
  const uint16_t port_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<Node> node_;
  std::shared_mutex commands_;
  Mutex mutex_;
  std::vector<std::string> said_ ABSL_GUARDED_BY(mutex_);
};

// A folder that goes with the test, and nodes in it.
class Hosts {
 public:
  Hosts() {
    // In memory where there is such a file system: thousands of syncs are waited for.
    std::error_code none;
    std::string name = std::filesystem::exists("/dev/shm", none) ? "/dev/shm" : "/tmp";
    name += "/tidemark-replication-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~Hosts() {
    // Each may be in a call of another: none waits for one that is gone.
    for (auto& host : hosts_) host->Crash();
    hosts_.clear();
    std::filesystem::remove_all(folder_);
  }
  Host& Add() {
    hosts_.push_back(std::make_unique<Host>(network, folder_, static_cast<uint16_t>(7001 + hosts_.size())));
    return *hosts_.back();
  }
  std::string Sayings() {
    std::string all;
    for (const auto& host : hosts_) all += host->Sayings();
    return all;
  }

  Network network;

 private:
  std::string folder_;
  std::vector<std::unique_ptr<Host>> hosts_;
};

}  // namespace tidemark::replication
