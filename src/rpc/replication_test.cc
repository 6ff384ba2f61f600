// A replica and its primary over a real connection on this machine: everything arrives as it was said, in order, and
// nobody waits for one who has gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <random>
#include <thread>

#include "rpc/replication_messages.h"
#include "rpc/replication_testing.h"
#include "rpc/upstream.h"

namespace tidemark::rpc {
namespace {

using replication::Ack;
using replication::Chunk;
using replication::FilePart;
using replication::Hello;
using replication::Upstream;
using replication::Verdict;
using replication::Welcome;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

// What "promptly" means, on a machine that is busy.
constexpr milliseconds kPromptly{1500};

std::string Text(std::mt19937_64& random) {
  std::string text(random() % 40, 'x');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

replication::History AnyHistory(std::mt19937_64& random) {
  replication::History history(random() % 5);
  for (replication::TimelineStep& step : history) {
    step.timeline = Timeline{static_cast<uint32_t>(random())};
    for (uint8_t& byte : step.id) byte = static_cast<uint8_t>(random());
    step.fork = Lsn{random()};
  }
  return history;
}

Hello AnyHello(std::mt19937_64& random) {
  return {.replica_id = Text(random),
          .announced = {.host = Text(random), .port = static_cast<uint16_t>(random())},
          .cluster_id = Text(random),
          .history = AnyHistory(random),
          .position = Lsn{random()},
          .last_crc = static_cast<uint32_t>(random()),
          .persisted = Lsn{random()},
          .snapshot = Text(random),
          .staged = Lsn{random()},
          .staged_crc = static_cast<uint32_t>(random()),
          .no_archive = random() % 2 == 0};
}

Welcome AnyWelcome(std::mt19937_64& random) {
  Welcome welcome{.verdict = static_cast<Verdict>(random() % 4),
                  .primary_id = Text(random),
                  .cluster_id = Text(random),
                  .history = AnyHistory(random),
                  .from = Lsn{random()},
                  .snapshot = {},
                  .reason = Text(random)};
  if (random() % 2 == 0) return welcome;
  replication::SnapshotOffer& offer = welcome.snapshot.emplace();
  offer = {.id = Text(random),
           .lsn = Lsn{random()},
           .timeline = Timeline{static_cast<uint32_t>(random())},
           .previous_crc = static_cast<uint32_t>(random()),
           .last_timestamp = Timestamp{random()},
           .files = {}};
  for (uint64_t i = random() % 4; i > 0; --i) offer.files.push_back({.name = Text(random), .size = random()});
  return welcome;
}

void ExpectEqual(const Hello& a, const Hello& b) {
  EXPECT_EQ(a.replica_id, b.replica_id);
  EXPECT_EQ(a.announced, b.announced);
  EXPECT_EQ(a.cluster_id, b.cluster_id);
  EXPECT_EQ(a.history, b.history);
  EXPECT_EQ(a.position, b.position);
  EXPECT_EQ(a.last_crc, b.last_crc);
  EXPECT_EQ(a.persisted, b.persisted);
  EXPECT_EQ(a.snapshot, b.snapshot);
  EXPECT_EQ(a.staged, b.staged);
  EXPECT_EQ(a.staged_crc, b.staged_crc);
  EXPECT_EQ(a.no_archive, b.no_archive);
}

void ExpectEqual(const Welcome& a, const Welcome& b) {
  EXPECT_EQ(a.verdict, b.verdict);
  EXPECT_EQ(a.primary_id, b.primary_id);
  EXPECT_EQ(a.cluster_id, b.cluster_id);
  EXPECT_EQ(a.history, b.history);
  EXPECT_EQ(a.from, b.from);
  EXPECT_EQ(a.reason, b.reason);
  ASSERT_EQ(a.snapshot.has_value(), b.snapshot.has_value());
  if (!a.snapshot) return;
  EXPECT_EQ(a.snapshot->id, b.snapshot->id);
  EXPECT_EQ(a.snapshot->lsn, b.snapshot->lsn);
  EXPECT_EQ(a.snapshot->timeline, b.snapshot->timeline);
  EXPECT_EQ(a.snapshot->previous_crc, b.snapshot->previous_crc);
  EXPECT_EQ(a.snapshot->last_timestamp, b.snapshot->last_timestamp);
  ASSERT_EQ(a.snapshot->files.size(), b.snapshot->files.size());
  for (size_t i = 0; i < a.snapshot->files.size(); ++i) {
    EXPECT_EQ(a.snapshot->files[i].name, b.snapshot->files[i].name);
    EXPECT_EQ(a.snapshot->files[i].size, b.snapshot->files[i].size);
  }
}

Hello FirstHello() {
  Hello hello;
  hello.replica_id = std::string(32, 'a');
  hello.announced.port = 6380;
  return hello;
}

class ReplicationTest : public testing::Test {
 protected:
  ReplicationTest() : server_(StartServer(&feed_, tasks_, "")) {}

  std::unique_ptr<Upstream> Connect(milliseconds timeout = kPatience, std::string password = "") {
    auto upstream = ConnectToRpcPort({.host = "127.0.0.1", .port = server_->port()},
                                     {.user = "", .password = std::move(password), .timeout = timeout}, {});
    EXPECT_TRUE(upstream.ok()) << upstream.status();
    return *std::move(upstream);
  }
  std::unique_ptr<Upstream> Joined(milliseconds timeout = kPatience) {
    std::unique_ptr<Upstream> upstream = Connect(timeout);
    const auto welcome = upstream->Join(FirstHello());
    EXPECT_TRUE(welcome.ok()) << welcome.status();
    return upstream;
  }
  bool SessionEnds() {
    return feed_.WaitFor([this] { return feed_.sessions == 0; });
  }

  FakeFeed feed_;
  backup::FakeTasks tasks_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(ReplicationTest, HelloAndWelcomeKeepEveryField) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const Hello hello = AnyHello(random);
    feed_.welcome = AnyWelcome(random);
    const std::unique_ptr<Upstream> upstream = Connect();
    const auto welcome = upstream->Join(hello);
    ASSERT_TRUE(welcome.ok()) << welcome.status();
    ExpectEqual(*welcome, feed_.welcome);
    feed_.Change([&] {
      ExpectEqual(feed_.hellos.back(), hello);
      EXPECT_EQ(feed_.peers.back(), "127.0.0.1");
    });
    upstream->Cancel();
    ASSERT_TRUE(SessionEnds());
    feed_.Change([this] { feed_.cancelled = false; });
  }
}

TEST_F(ReplicationTest, ChunksAndAcknowledgementsArriveInOrder) {
  constexpr size_t kChunks = 50;
  constexpr size_t kBytes = size_t{2} << 20;
  const std::unique_ptr<Upstream> upstream = Joined();
  std::thread primary([this] {
    for (size_t i = 0; i < kChunks; ++i) {
      feed_.Push({.from = Lsn{i * kBytes},
                  .records = std::string(kBytes, static_cast<char>(i)),
                  .primary_end = Lsn{i},
                  .take_over = i + 1 == kChunks});
    }
  });
  for (size_t i = 0; i < kChunks; ++i) {
    const auto chunk = upstream->Next();
    ASSERT_TRUE(chunk.ok()) << chunk.status();
    EXPECT_EQ(chunk->from, Lsn{i * kBytes});
    EXPECT_TRUE(chunk->records == std::string(kBytes, static_cast<char>(i)));
    EXPECT_EQ(chunk->primary_end, Lsn{i});
    EXPECT_EQ(chunk->take_over, i + 1 == kChunks);
    ASSERT_TRUE(
        upstream->Acknowledge({.written = Lsn{i}, .durable = Lsn{2 * i}, .applied = Lsn{3 * i}, .loading = i == 7})
            .ok());
  }
  primary.join();
  ASSERT_TRUE(feed_.WaitFor([this] { return feed_.acks.size() == kChunks; }));
  for (size_t i = 0; i < kChunks; ++i) {
    EXPECT_EQ(feed_.acks[i].written, Lsn{i});
    EXPECT_EQ(feed_.acks[i].durable, Lsn{2 * i});
    EXPECT_EQ(feed_.acks[i].applied, Lsn{3 * i});
    EXPECT_EQ(feed_.acks[i].loading, i == 7);
  }
}

TEST_F(ReplicationTest, ARecordMayBeAsLongAsAValue) {
  const std::unique_ptr<Upstream> upstream = Joined();
  feed_.Push({.from = Lsn{1}, .records = std::string(size_t{64} << 20, 'v'), .primary_end = Lsn{2}});
  const auto chunk = upstream->Next();
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  EXPECT_EQ(chunk->records.size(), size_t{64} << 20);
}

TEST_F(ReplicationTest, AHeartbeatHasNoRecords) {
  const std::unique_ptr<Upstream> upstream = Joined();
  feed_.Push({.from = Lsn{5}, .records = "", .primary_end = Lsn{9}});
  const auto chunk = upstream->Next();
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  EXPECT_EQ(chunk->records, "");
  EXPECT_EQ(chunk->primary_end, Lsn{9});
}

TEST_F(ReplicationTest, ARefusalReachesTheOperatorOfTheReplica) {
  feed_.refusal = absl::FailedPreconditionError("this node has no data of its own yet");
  const auto welcome = Connect()->Join(FirstHello());
  EXPECT_TRUE(absl::IsFailedPrecondition(welcome.status()));
  EXPECT_EQ(Message(welcome.status()), "this node has no data of its own yet");
}

TEST_F(ReplicationTest, ACancelledReplicaWaitsNoLongerAndItsSessionEnds) {
  const std::unique_ptr<Upstream> upstream = Joined();
  auto next = std::async(std::launch::async, [&] { return upstream->Next().status(); });
  const auto begin = steady_clock::now();
  upstream->Cancel();
  EXPECT_TRUE(absl::IsCancelled(next.get()));
  EXPECT_TRUE(SessionEnds());
  EXPECT_LT(steady_clock::now() - begin, kPromptly);
  EXPECT_TRUE(absl::IsCancelled(upstream->Acknowledge({})));
  EXPECT_TRUE(absl::IsCancelled(upstream->ReadFile("snap", "f", 0, [](const FilePart&) { return absl::OkStatus(); })));
}

TEST_F(ReplicationTest, AReplicaThatIsDestroyedEndsItsSession) {
  std::unique_ptr<Upstream> upstream = Joined();
  feed_.Push({.from = Lsn{1}, .records = "never read", .primary_end = Lsn{2}});
  upstream.reset();
  EXPECT_TRUE(SessionEnds());
}

TEST_F(ReplicationTest, APrimaryThatEndsTheSessionSaysWhyAfterWhatItSent) {
  const std::unique_ptr<Upstream> upstream = Joined();
  feed_.Change([this] {
    feed_.chunks.push_back({.from = Lsn{1}, .records = "last words", .primary_end = Lsn{2}});
    feed_.end = absl::CancelledError("another connection of this replica took its place");
  });
  const auto last = upstream->Next();
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ(last->records, "last words");
  const absl::Status end = upstream->Next().status();
  EXPECT_TRUE(absl::IsUnavailable(end));
  EXPECT_THAT(std::string(Message(end)), HasSubstr("took its place"));
  EXPECT_TRUE(absl::IsUnavailable(upstream->Acknowledge({}))) << "there is nobody to tell";
}

TEST_F(ReplicationTest, AServerThatStopsWaitsForNoBlockedSession) {
  const std::unique_ptr<Upstream> upstream = Joined();
  auto next = std::async(std::launch::async, [&] { return upstream->Next().status(); });
  const auto begin = steady_clock::now();
  server_->Stop();
  EXPECT_LT(steady_clock::now() - begin, kPromptly);
  EXPECT_EQ(feed_.live_sessions(), 0);
  const absl::Status end = next.get();
  EXPECT_TRUE(absl::IsUnavailable(end));
  EXPECT_THAT(std::string(Message(end)), HasSubstr("shutting down"));
}

TEST_F(ReplicationTest, AServerThatStopsWaitsForNoReplicaThatDoesNotRead) {
  const std::unique_ptr<Upstream> upstream = Joined();
  for (int i = 0; i < 32; ++i) feed_.Push({.from = Lsn{1}, .records = std::string(1 << 20, 'x'), .primary_end = {}});
  ASSERT_TRUE(feed_.WaitFor([this] { return feed_.chunks.size() < 32; }));
  const auto begin = steady_clock::now();
  server_->Stop();
  EXPECT_LT(steady_clock::now() - begin, seconds(4));
  EXPECT_EQ(feed_.live_sessions(), 0);
}

TEST_F(ReplicationTest, SilenceIsTheEndOfTheConnection) {
  const std::unique_ptr<Upstream> upstream = Joined(milliseconds(200));
  const auto begin = steady_clock::now();
  const absl::Status end = upstream->Next().status();
  EXPECT_TRUE(absl::IsUnavailable(end)) << end;
  EXPECT_GE(steady_clock::now() - begin, milliseconds(200));
  EXPECT_LT(steady_clock::now() - begin, milliseconds(200) + kPromptly);
  EXPECT_TRUE(SessionEnds());
}

TEST_F(ReplicationTest, APrimaryThatMakesASnapshotIsNotSilent) {
  feed_.Change([this] { feed_.hold_join = true; });
  const std::unique_ptr<Upstream> upstream = Connect(milliseconds(2500));
  auto welcome = std::async(std::launch::async, [&] { return upstream->Join(FirstHello()).status(); });
  EXPECT_EQ(welcome.wait_for(seconds(4)), std::future_status::timeout);
  feed_.Change([this] { feed_.hold_join = false; });
  EXPECT_TRUE(welcome.get().ok());
}

TEST_F(ReplicationTest, AReplicaThatLeavesDuringASnapshotGetsNoSession) {
  feed_.Change([this] { feed_.hold_join = true; });
  const std::unique_ptr<Upstream> upstream = Connect();
  auto welcome = std::async(std::launch::async, [&] { return upstream->Join(FirstHello()).status(); });
  ASSERT_TRUE(feed_.WaitFor([this] { return !feed_.hellos.empty(); }));
  upstream->Cancel();
  EXPECT_TRUE(absl::IsCancelled(welcome.get()));
  feed_.Change([this] { feed_.hold_join = false; });
  server_->Stop();
  EXPECT_EQ(feed_.live_sessions(), 0);
}

TEST_F(ReplicationTest, NobodyIsServedWithoutThePassword) {
  server_ = StartServer(&feed_, tasks_, "secret");
  for (const std::string password : {"", "wrong"}) {
    const std::unique_ptr<Upstream> upstream = Connect(kPatience, password);
    EXPECT_TRUE(absl::IsUnauthenticated(upstream->Join(FirstHello()).status()));
    EXPECT_TRUE(
        absl::IsUnauthenticated(upstream->ReadFile("snap", "f", 0, [](const FilePart&) { return absl::OkStatus(); })));
  }
  EXPECT_TRUE(feed_.hellos.empty());
  EXPECT_TRUE(Connect(kPatience, "secret")->Join(FirstHello()).ok());
}

TEST_F(ReplicationTest, ANodeThatServesNoReplicasSaysSo) {
  server_ = StartServer(nullptr, tasks_, "");
  const absl::Status status = Connect()->Join(FirstHello()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_F(ReplicationTest, APrimaryThatIsNotThereIsUnavailable) {
  const std::unique_ptr<Upstream> upstream = Connect();
  server_->Stop();
  const auto begin = steady_clock::now();
  EXPECT_TRUE(absl::IsUnavailable(upstream->Join(FirstHello()).status()));
  EXPECT_LT(steady_clock::now() - begin, kPromptly);
}

class ReadFileTest : public ReplicationTest {
 protected:
  ReadFileTest() {
    std::mt19937_64 random(1);
    for (const auto& [name, bytes] : {std::pair<std::string, size_t>("big", (5 << 20) + 17), {"empty", 0}}) {
      std::string& file = feed_.files[name];
      for (size_t i = 0; i < bytes; i += 8) {
        const uint64_t word = random();
        file.append(reinterpret_cast<const char*>(&word), std::min<size_t>(8, bytes - i));
      }
    }
  }
  // The bytes from `offset` on; "" and a failure when the file did not come whole.
  std::string Fetch(Upstream& upstream, const std::string& name, uint64_t offset) {
    std::string bytes;
    std::vector<uint64_t> hashes;
    const absl::Status status = upstream.ReadFile("snap", name, offset, [&](const FilePart& part) {
      bytes += part.bytes;
      if (part.last) hashes.push_back(part.hash);
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(hashes, std::vector<uint64_t>{FakeFeed::kHash});
    return bytes;
  }
};

TEST_F(ReadFileTest, AFileComesWholeFromAnyOffset) {
  const std::unique_ptr<Upstream> upstream = Connect();
  const std::string& big = feed_.files["big"];
  for (const uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{3 << 20}, big.size() - 1, big.size()}) {
    EXPECT_TRUE(Fetch(*upstream, "big", offset) == big.substr(offset)) << offset;
  }
  EXPECT_EQ(Fetch(*upstream, "empty", 0), "");
}

TEST_F(ReadFileTest, SeveralComeAtOnceBesideTheLog) {
  const std::unique_ptr<Upstream> upstream = Joined();
  std::vector<std::future<std::string>> files;
  for (int i = 0; i < 6; ++i) {
    files.push_back(std::async(std::launch::async, [&] { return Fetch(*upstream, "big", 0); }));
  }
  for (uint64_t i = 0; i < 20; ++i) {
    feed_.Push({.from = Lsn{i}, .records = "r", .primary_end = {}});
    const auto chunk = upstream->Next();
    ASSERT_TRUE(chunk.ok()) << chunk.status();
    EXPECT_EQ(chunk->from, Lsn{i});
  }
  for (auto& file : files) EXPECT_TRUE(file.get() == feed_.files["big"]);
}

TEST_F(ReadFileTest, AnErrorMidWayComesAfterThePartsBeforeIt) {
  feed_.fail_at = 3 << 20;
  std::string bytes;
  const absl::Status status = Connect()->ReadFile("snap", "big", 0, [&](const FilePart& part) {
    bytes += part.bytes;
    EXPECT_FALSE(part.last);
    return absl::OkStatus();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Message(status), "a bad block");
  EXPECT_TRUE(bytes == feed_.files["big"].substr(0, 3 << 20));
}

TEST_F(ReadFileTest, WhatIsNotHeldIsNamed) {
  const std::unique_ptr<Upstream> upstream = Connect();
  const auto read = [&](const std::string& snapshot, const std::string& name) {
    return upstream->ReadFile(snapshot, name, 0, [](const FilePart&) { return absl::OkStatus(); });
  };
  EXPECT_TRUE(absl::IsNotFound(read("gone", "big")));
  EXPECT_TRUE(absl::IsInvalidArgument(read("snap", "nothing")));
}

TEST_F(ReadFileTest, ATakerEndsItWithItsOwnError) {
  int parts = 0;
  const absl::Status status = Connect()->ReadFile("snap", "big", 0, [&](const FilePart&) {
    ++parts;
    return absl::ResourceExhaustedError("the disk is full");
  });
  EXPECT_EQ(Message(status), "the disk is full");
  EXPECT_EQ(parts, 1);
}

TEST_F(ReadFileTest, ACancelEndsAllReads) {
  const std::unique_ptr<Upstream> upstream = Joined();
  const absl::Status status = upstream->ReadFile("snap", "big", 0, [&](const FilePart&) {
    upstream->Cancel();
    return absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

TEST(ReplicationMessages, AVerdictOfALaterVersionIsRefused) {
  v1::Welcome welcome;
  EXPECT_TRUE(absl::IsInvalidArgument(Read(welcome).status())) << "none at all";
  welcome.set_verdict(static_cast<v1::Verdict>(99));
  EXPECT_TRUE(absl::IsInvalidArgument(Read(welcome).status()));
}

TEST(ReplicationMessages, ATimelinesIdHasSixteenBytes) {
  v1::Hello hello;
  hello.add_history()->set_id("short");
  EXPECT_TRUE(absl::IsInvalidArgument(Read(hello).status()));
}

}  // namespace
}  // namespace tidemark::rpc
