// What the digest is worth: copies that agree have the same one however they came to be, and nothing that a user could
// notice can change without changing it.
#include "engine/digest.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/applier.h"
#include "engine/identity.h"
#include "engine/sweeper.h"
#include "types/keyspace.h"

namespace tidemark::engine {
namespace {

using types::Key;
using types::Keyspace;
using types::Type;

bool Never() { return false; }

// An engine over a folder of its own that removes nothing unless it is told to.
class Node {
 public:
  Node() {
    char name[] = "/tmp/tidemark-digest-XXXXXX";
    folder_ = mkdtemp(name);
    Open();
  }
  ~Node() {
    engine_.reset();
    std::filesystem::remove_all(folder_);
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  void Open() {
    EngineOptions options;
    options.folder = folder_;
    options.log.segment_size = 1 << 20;
    options.log.retain_size = 1ull << 40;
    options.store = StoreOptions("");
    options.sweeping = false;
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(FileSystem::Posix(), Clock::System(), options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  // As when the process is killed after the end of a turn.
  void Crash() {
    engine_->EndTurn();
    engine_.reset();
  }
  static kv::StoreOptions StoreOptions(std::string folder) {
    return {.folder = std::move(folder), .hot_bytes = 8 << 20, .block_cache_bytes = 4 << 20, .dirty_bytes = 1 << 20};
  }
  Engine& engine() { return *engine_; }
  std::string folder() const { return folder_; }

  void Write(const std::function<absl::Status(kv::Txn&)>& body) {
    absl::Status status = Stalled();
    while (IsStalled(status)) status = engine_->Write(kv::Tier::kDisk, false, body);
    ASSERT_TRUE(status.ok()) << status;
  }
  void WithKey(std::string_view name, const std::function<void(Keyspace&, Key*)>& body, DbIndex db = DbIndex{0}) {
    Write([&](kv::Txn& txn) -> absl::Status {
      Keyspace keyspace(txn, db);
      TM_ASSIGN_OR_RETURN(Key key, keyspace.Find(name));
      body(keyspace, &key);
      return absl::OkStatus();
    });
  }
  void Set(std::string_view name, std::string_view value, uint64_t expire_ms = 0, DbIndex db = DbIndex{0}) {
    WithKey(
        name, [&](Keyspace& keyspace, Key* key) { keyspace.PutString(key, value, expire_ms); }, db);
  }
  void Remove(std::string_view name) {
    WithKey(name, [](Keyspace& keyspace, Key* key) { keyspace.Remove(key); });
  }
  using Fields = std::vector<std::pair<std::string, std::string>>;
  void SetHash(std::string_view name, const Fields& fields) {
    WithKey(name, [&](Keyspace& keyspace, Key* key) {
      const kv::CollectionId id = keyspace.txn().NewCollectionId();
      for (const auto& [field, value] : fields) keyspace.PutMember(id, field, value);
      keyspace.PutCollection(key, Type::kHash, id, fields.size(), 0);
    });
  }

  StoreDigest Digest() {
    const Lsn called_at = engine_->store().applied();
    const absl::StatusOr<StoreDigest> digest = DigestNow(*engine_, Never);
    EXPECT_TRUE(digest.ok()) << digest.status();
    if (!digest.ok()) return {};
    EXPECT_GE(digest->lsn, called_at);
    return *digest;
  }

 private:
  std::string folder_;
  std::unique_ptr<Engine> engine_;
};

const uint64_t kLater = 4'000'000'000'000;

void FillPlainly(Node& node) {
  node.Set("a", "1");
  node.Set("b", "2", kLater);
  node.Set("a", "other", 0, DbIndex{3});
  node.SetHash("h", {{"f", "v"}, {"g", "w"}});
  node.SetHash("i", {{"f", "v"}});
}

TEST(Digest, OfAnEmptyStoreIsZeros) {
  Node node;
  EXPECT_EQ(node.Digest().Hex(), std::string(40, '0'));
  EXPECT_EQ(node.Digest().keys, 0u);
}

TEST(Digest, TheSameContentsByAnotherHistoryAgree) {
  Node plain;
  FillPlainly(plain);
  const StoreDigest expected = plain.Digest();
  EXPECT_EQ(expected.keys, 5u);
  EXPECT_EQ(expected.Hex().size(), 40u);
  EXPECT_EQ(expected.lsn, plain.engine().last_end());

  Node winding;
  winding.SetHash("i", {{"x", "y"}});
  winding.Set("gone", "1", kLater);
  winding.Set("a", "flushed", 0, DbIndex{0});
  EXPECT_NE(winding.Digest().Hex(), expected.Hex());
  winding.Write([](kv::Txn& txn) {
    txn.ReplaceContents(DbIndex{0});
    return absl::OkStatus();
  });
  EXPECT_EQ(winding.Digest().Hex(), std::string(40, '0'))
      << "what was flushed waits for the sweeper, and does not count";
  winding.Set("a", "other", 0, DbIndex{5});
  winding.Write([](kv::Txn& txn) {
    txn.SwapContents(DbIndex{5}, DbIndex{3});
    return absl::OkStatus();
  });
  winding.SetHash("i", {{"f", "v"}});
  winding.SetHash("was h", {{"g", "w"}, {"f", "v"}});
  winding.Write([](kv::Txn& txn) -> absl::Status {
    Keyspace keyspace(txn, DbIndex{0});
    TM_ASSIGN_OR_RETURN(Key from, keyspace.Find("was h"));
    TM_ASSIGN_OR_RETURN(Key to, keyspace.Find("h"));
    keyspace.Rename(&from, &to);
    return absl::OkStatus();
  });
  winding.Set("b", "2", kLater);
  winding.Digest();
  winding.Set("gone", "2");
  winding.Remove("gone");
  winding.Set("a", "1");
  EXPECT_EQ(winding.Digest().Hex(), expected.Hex());
  EXPECT_NE(winding.Digest().lsn, expected.lsn);

  Sweeper sweeper(winding.engine(), 16);
  for (size_t swept = 1; swept > 0;) swept = sweeper.SweepDead(100).value_or(0);
  EXPECT_EQ(winding.Digest().Hex(), expected.Hex());
  winding.Crash();
  winding.Open();
  EXPECT_EQ(winding.Digest().Hex(), expected.Hex());
}

TEST(Digest, AnySingleChangeShows) {
  Node node;
  FillPlainly(node);
  const std::string before = node.Digest().Hex();
  const std::vector<std::function<void()>> changes = {
      [&] { node.Set("a", "2"); },
      [&] { node.Set("a", ""); },
      [&] { node.Set("a", "1", kLater); },
      [&] { node.Set("b", "2", kLater + 1); },
      [&] { node.Set("b", "2"); },
      [&] { node.Set("c", ""); },
      [&] { node.Remove("a"); },
      [&] { node.Remove("i"); },
      [&] { node.Set("a", "others", 0, DbIndex{3}); },
      [&] {
        node.SetHash("h", {{"f", "v"}});
      },
      [&] {
        node.SetHash("h", {{"f", "w"}, {"g", "v"}});
      },
      [&] {
        node.SetHash("h", {{"f", "v"}, {"gw", ""}});
      },
      [&] {
        node.SetHash("h", {{"f", "v"}, {"g", "w"}, {"", ""}});
      },
      [&] {
        node.Set("a", "2");
        node.Set("b", "1", kLater);
      },
      [&] {
        node.SetHash("h", {{"f", "v"}});
        node.SetHash("i", {{"f", "v"}, {"g", "w"}});
      },
      [&] {
        node.Write([](kv::Txn& txn) {
          txn.SwapContents(DbIndex{0}, DbIndex{3});
          return absl::OkStatus();
        });
      },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    changes[i]();
    EXPECT_NE(node.Digest().Hex(), before) << "change " << i;
    node.Write([](kv::Txn& txn) {
      txn.ReplaceContents(DbIndex{0});
      txn.ReplaceContents(DbIndex{3});
      return absl::OkStatus();
    });
    FillPlainly(node);
    ASSERT_EQ(node.Digest().Hex(), before) << "after change " << i;
  }
}

TEST(Digest, AnExpiredKeyCountsUntilItsRemovalIsInTheLog) {
  Node node;
  node.Set("stays", "x");
  const std::string without = node.Digest().Hex();
  node.Set("expired", "x", node.engine().clock().Now().millis() - 1000);
  const std::string with = node.Digest().Hex();
  EXPECT_NE(with, without);
  node.Crash();
  node.Open();
  EXPECT_EQ(node.Digest().Hex(), with);
  Sweeper sweeper(node.engine(), 16);
  ASSERT_TRUE(sweeper.SweepExpired(100).ok());
  EXPECT_EQ(node.Digest().Hex(), without);
}

TEST(Digest, TheServersOwnRowsDoNotCount) {
  Node node;
  FillPlainly(node);
  const StoreDigest before = node.Digest();
  ASSERT_TRUE(EnsureIdentity(node.engine(), Clock::System()).ok());
  EXPECT_EQ(node.Digest().Hex(), before.Hex());
  EXPECT_GT(node.Digest().lsn, before.lsn);
}

// The log applied up to `end` to a store of its own, in the node's folder: what a replica or a restore has at that LSN.
StoreDigest DigestOfLog(Node& node, Lsn end) {
  const auto store = kv::Store::Open(Node::StoreOptions(fmt::format("{}/copy at {}", node.folder(), end.value)));
  EXPECT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE(node.engine().log().SyncTo(end).ok());
  const auto cursor = node.engine().log().OpenCursor(node.engine().log().oldest());
  EXPECT_TRUE(cursor.ok()) << cursor.status();
  while ((*cursor)->position() < end) {
    const auto record = (*cursor)->Next(std::chrono::milliseconds(0));
    EXPECT_TRUE(record.ok()) << record.status();
    kv::Store::Writer writer = (*store)->Write();
    EXPECT_TRUE(ApplyRecord(*record, writer).ok());
  }
  const auto view = (*store)->ViewPersisted([](Lsn) { return absl::OkStatus(); });
  EXPECT_TRUE(view.ok()) << view.status();
  const auto digest = DigestOf(**view, Never);
  EXPECT_TRUE(digest.ok()) << digest.status();
  return *digest;
}

TEST(Digest, TakenWhileOthersWriteIsThatOfTheLogUpToItsLsn) {
  Node node;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      node.Set("k" + std::to_string(i * 7919 % 3000), std::string(200, static_cast<char>('a' + i % 26)));
      if (i % 5 == 0) node.SetHash("h" + std::to_string(i % 400), {{"f", std::to_string(i)}, {"g", "w"}});
      if (i % 11 == 0) node.Remove("k" + std::to_string(i % 3000));
      if (i % 64 == 0) node.engine().EndTurn();
      if (i % 5000 == 4999) {
        node.Write([](kv::Txn& txn) {
          txn.ReplaceContents(DbIndex{0});
          return absl::OkStatus();
        });
      }
    }
  });
  std::vector<StoreDigest> digests;
  while (digests.size() < 8) {
    const StoreDigest digest = node.Digest();
    if (digests.empty() || digest.lsn > digests.back().lsn) digests.push_back(digest);
  }
  stop = true;
  writer.join();
  node.engine().EndTurn();
  for (const StoreDigest& digest : digests) {
    const StoreDigest copy = DigestOfLog(node, digest.lsn);
    EXPECT_EQ(copy.lsn, digest.lsn);
    EXPECT_EQ(copy.Hex(), digest.Hex());
  }
}

TEST(Digest, CountsThatAreWrongAreDamage) {
  Node node;
  node.WithKey("h", [](Keyspace& keyspace, Key* key) {
    const kv::CollectionId id = keyspace.txn().NewCollectionId();
    keyspace.PutMember(id, "f", "v");
    keyspace.PutCollection(key, Type::kHash, id, 2, 0);
  });
  EXPECT_TRUE(absl::IsDataLoss(DigestNow(node.engine(), Never).status()));
  node.Remove("h");
  EXPECT_TRUE(DigestNow(node.engine(), Never).ok());
  node.Write([](kv::Txn& txn) {
    txn.AddKeys(DbIndex{2}, 1, 0);
    return absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsDataLoss(DigestNow(node.engine(), Never).status()));
}

TEST(Digest, CanBeCancelled) {
  Node node;
  Node::Fields fields;
  for (int i = 0; i < 3000; ++i) fields.emplace_back("f" + std::to_string(i), "v");
  node.SetHash("large", fields);
  EXPECT_TRUE(absl::IsCancelled(DigestNow(node.engine(), [] { return true; }).status()));
  EXPECT_TRUE(DigestNow(node.engine(), Never).ok());
}

}  // namespace
}  // namespace tidemark::engine
