// What Keyspace promises is held against a model through random changes: counts, the expiry index, the sweeper's dead
// rows, watchers, and that a statement taken back never happened.
#include "types/keyspace.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "types/testing.h"

namespace tidemark::types {
namespace {

using testing::MemoryTxn;

constexpr DbIndex kDb = {3};
constexpr uint64_t kStartMs = 1'000'000;

struct ModelKey {
  Type type;
  uint64_t expire_ms;
  std::string string;
  kv::CollectionId collection;
  uint64_t count;
};

struct Model {
  std::map<std::string, ModelKey> keys;
  std::map<kv::CollectionId, std::pair<Type, uint64_t>> dead;

  // What `name` held is gone; its collection, unless kept, is to be swept.
  void Drop(const std::string& name, std::optional<kv::CollectionId> keep = std::nullopt) {
    const auto found = keys.find(name);
    if (found == keys.end()) return;
    const ModelKey& key = found->second;
    if (key.type != Type::kString && key.collection != keep) dead[key.collection] = {key.type, key.count};
    keys.erase(found);
  }
};

class KeyspaceTest : public ::testing::Test {
 protected:
  KeyspaceTest() { txn_.set_now_ms(kStartMs); }

  Keyspace keys() { return Keyspace(txn_, kDb); }
  Key Find(std::string_view name) {
    absl::StatusOr<Key> key = keys().Find(name);
    TM_CHECK(key.ok(), "{}", Message(key.status()));
    return *std::move(key);
  }

  // Every row in the store and every count, against the model.
  void ExpectModel(const Model& model) {
    std::set<std::string> expected;
    int64_t expires = 0;
    const kv::CollectionId contents = txn_.db(kDb).contents;
    for (const auto& [name, key] : model.keys) {
      expected.emplace(KeyRow(contents, name).view());
      if (key.expire_ms != 0) {
        expected.emplace(ExpiryRow(key.expire_ms, contents, name).view());
        ++expires;
      }
    }
    for (const auto& [collection, value] : model.dead) expected.emplace(DeadRow(collection).view());
    std::set<std::string> actual;
    for (const auto& [row, value] : txn_.rows()) actual.insert(row);
    EXPECT_EQ(actual, expected);
    EXPECT_EQ(txn_.db(kDb).keys, static_cast<int64_t>(model.keys.size()));
    EXPECT_EQ(txn_.db(kDb).expires, expires);
    for (const auto& [collection, value] : model.dead) {
      const auto dead = DecodeDeadValue(txn_.rows().find(DeadRow(collection).view())->second.view());
      ASSERT_TRUE(dead.ok());
      EXPECT_EQ(std::pair(dead->type, dead->count), value);
    }
    for (const auto& [name, key] : model.keys) ExpectKey(Find(name), key);
  }

  void ExpectKey(const Key& found, const ModelKey& key) const {
    EXPECT_EQ(found.stored_type, key.type);
    EXPECT_EQ(found.stored_expire_ms, key.expire_ms);
    const bool expired = key.expire_ms != 0 && key.expire_ms <= txn_.now_ms();
    EXPECT_EQ(found.expired(), expired);
    if (expired) {
      EXPECT_FALSE(found);
      EXPECT_EQ(found.expire_ms, 0u);
      EXPECT_EQ(found.string, "");
      EXPECT_EQ(found.count, 0u);
      return;
    }
    EXPECT_EQ(found.type, key.type);
    EXPECT_EQ(found.string, key.string);
    EXPECT_EQ(found.expire_ms, key.expire_ms);
    EXPECT_EQ(found.count, key.count);
    if (key.type != Type::kString) {
      EXPECT_EQ(found.collection, key.collection);
    }
  }

  MemoryTxn txn_;
};

TEST_F(KeyspaceTest, ExpiredReadsAsAbsentAtItsVeryMillisecond) {
  Key key = Find("k");
  keys().PutString(&key, "v", kStartMs + 10);
  EXPECT_EQ(key.string, "v");
  txn_.set_now_ms(kStartMs + 9);
  EXPECT_TRUE(Find("k"));
  txn_.set_now_ms(kStartMs + 10);
  EXPECT_FALSE(Find("k"));
  EXPECT_TRUE(Find("k").expired());
  // It still stands, and counts, until a record removes it.
  EXPECT_EQ(txn_.db(kDb).keys, 1);
  EXPECT_EQ(txn_.db(kDb).expires, 1);
}

TEST_F(KeyspaceTest, ValueMayPointIntoTheRowItReplaces) {
  Key key = Find("k");
  keys().PutString(&key, "0123456789", 0);
  keys().PutString(&key, key.string.substr(4), kStartMs + 5);
  EXPECT_EQ(key.string, "456789");
  EXPECT_EQ(Find("k").string, "456789");
}

TEST_F(KeyspaceTest, WrongTypeAndLongNamesAreRefused) {
  Key key = Find("k");
  keys().PutCollection(&key, Type::kHash, txn_.NewCollectionId(), 1, 0);
  EXPECT_EQ(keys().Find("k", Type::kString).status(), WrongType());
  EXPECT_TRUE(keys().Find("absent", Type::kString).ok());
  EXPECT_FALSE(keys().Find(std::string(kMaxKeyBytes + 1, 'k')).ok());
}

TEST_F(KeyspaceTest, DamagedRowIsReportedNotRead) {
  txn_.Overwrite(KeyRow(txn_.db(kDb).contents, "k").view(), "\x12");
  EXPECT_EQ(keys().Find("k").status().code(), absl::StatusCode::kDataLoss);
  const absl::Status visited = keys().VisitKeys(0, 10, [](const Key&, uint64_t) { return true; });
  EXPECT_EQ(visited.code(), absl::StatusCode::kDataLoss);
}

TEST_F(KeyspaceTest, DatabasesAreApart) {
  Key key = Find("k");
  keys().PutString(&key, "v", 0);
  EXPECT_FALSE(*Keyspace(txn_, DbIndex{0}).Find("k"));
  txn_.ReplaceContents(kDb);
  EXPECT_FALSE(Find("k"));
}

TEST_F(KeyspaceTest, RemovingWhatHasExpiredRemovesItsRowsAndSaysNo) {
  Key key = Find("k");
  keys().PutCollection(&key, Type::kHash, txn_.NewCollectionId(), 3, kStartMs + 1);
  txn_.set_now_ms(kStartMs + 1);
  key = Find("k");
  Model model;
  model.dead[key.collection] = {Type::kHash, 3};
  EXPECT_FALSE(keys().Remove(&key));
  ExpectModel(model);
}

TEST_F(KeyspaceTest, WatchersHearOfEachChangedKey) {
  Key a = Find("a");
  Key b = Find("b");
  txn_.Begin(true);
  keys().PutString(&a, "v", 0);
  keys().Rename(&a, &b);
  keys().Remove(&a);
  const std::vector<std::pair<DbIndex, std::string>> expected = {{kDb, "a"}, {kDb, "a"}, {kDb, "b"}};
  EXPECT_EQ(txn_.touched(), expected);
}

// One random change to the store and, in the same words, to the model.
void Change(std::mt19937_64& random, MemoryTxn& txn, Model* model) {
  const auto below = [&](uint64_t n) { return random() % n; };
  Keyspace keys(txn, kDb);
  const std::string name(1, static_cast<char>('a' + below(4)));
  Key key = *keys.Find(name);
  const uint64_t expire_ms = below(2) == 0 ? 0 : txn.now_ms() - 2 + below(40);
  switch (below(7)) {
    case 0:
      model->Drop(name);
      model->keys[name] = {Type::kString, expire_ms, name + std::to_string(expire_ms), {}, 0};
      keys.PutString(&key, model->keys[name].string, expire_ms);
      break;
    case 1: {
      const Type type = below(2) == 0 ? Type::kHash : Type::kSet;
      const kv::CollectionId id = txn.NewCollectionId();
      model->Drop(name);
      model->keys[name] = {type, expire_ms, "", id, 1 + below(300)};
      keys.PutCollection(&key, type, id, model->keys[name].count, expire_ms);
      break;
    }
    case 2: {  // members added to or taken from what is there
      if (!key || key.type == Type::kString) break;
      const uint64_t count = below(4);
      if (count == 0) {
        model->Drop(name);
      } else {
        model->keys[name].count = count;
      }
      keys.PutCollection(&key, key.type, key.collection, count, key.expire_ms);
      break;
    }
    case 3:
      if (!key) break;
      model->keys[name].expire_ms = expire_ms;
      keys.SetExpire(&key, expire_ms);
      break;
    case 4: {
      const bool alive = static_cast<bool>(key);
      model->Drop(name);
      EXPECT_EQ(keys.Remove(&key), alive);
      EXPECT_FALSE(key);
      break;
    }
    case 5: {
      const std::string to(1, static_cast<char>('a' + below(4)));
      if (!key || to == name) break;
      Key target = *keys.Find(to);
      const ModelKey moved = model->keys[name];
      model->Drop(to);
      model->Drop(name, moved.collection);
      model->keys[to] = moved;
      keys.Rename(&key, &target);
      break;
    }
    default:
      txn.set_now_ms(txn.now_ms() + below(15));
  }
}

TEST_F(KeyspaceTest, RandomChangesKeepCountsExpiryIndexAndDeadRows) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    txn_ = MemoryTxn();
    txn_.set_now_ms(kStartMs);
    Model model;
    for (int step = 0; step < 150; ++step) {
      const Model before = model;
      txn_.Begin(true);
      for (uint64_t changes = 1 + random() % 3; changes > 0; --changes) Change(random, txn_, &model);
      if (random() % 4 == 0) {
        txn_.Rollback();
        model = before;
      } else {
        txn_.Commit();
      }
      ExpectModel(model);
      if (HasFailure()) return;
    }
  }
}

TEST_F(KeyspaceTest, VisitsKeysInOrderFromAnyPlace) {
  std::map<uint64_t, std::string> by_order;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "key:" + std::to_string(i);
    Key key = Find(name);
    keys().PutString(&key, "v", i % 2 == 0 ? 0 : kStartMs + 1);
    by_order[KeyOrder(key.name)] = key.name;
  }
  txn_.set_now_ms(kStartMs + 1);
  auto expected = by_order.begin();
  uint64_t next = 0;
  while (expected != by_order.end()) {
    size_t visited = 0;
    ASSERT_TRUE(keys()
                    .VisitKeys(next, 7,
                               [&](const Key& key, uint64_t order) {
                                 EXPECT_EQ(key.name, expected->second);
                                 EXPECT_EQ(order, expected->first);
                                 EXPECT_NE(key.expired(), static_cast<bool>(key));
                                 ++visited;
                                 ++expected;
                                 next = order + 1;
                                 return true;
                               })
                    .ok());
    EXPECT_GT(visited, 0u);
    EXPECT_LE(visited, 7u);
  }
}

TEST_F(KeyspaceTest, MembersStayWithinTheirCollection) {
  const kv::CollectionId first = txn_.NewCollectionId();
  const kv::CollectionId second = txn_.NewCollectionId();
  keys().PutMember(first, std::string("f\0g", 3), "1");
  keys().PutMember(first, "", "2");
  keys().PutMember(second, "f", "3");
  keys().DeleteMember(second, "g");
  std::map<std::string, std::string> found;
  ASSERT_TRUE(keys()
                  .VisitMembers(first, 0, 100,
                                [&](std::string_view member, std::string_view value, uint32_t order) {
                                  EXPECT_EQ(order, MemberOrder(member));
                                  found.emplace(member, value);
                                  return true;
                                })
                  .ok());
  const std::map<std::string, std::string> expected = {{std::string("f\0g", 3), "1"}, {"", "2"}};
  EXPECT_EQ(found, expected);
  EXPECT_EQ(Keyspace::MemberBytes(*keys().GetMemberRow(second, "f")), "3");
  EXPECT_FALSE(*keys().GetMemberRow(second, "g"));
}

}  // namespace
}  // namespace tidemark::types
