#include "kv/dirty_order.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace tidemark::kv {
namespace {

using std::string_literals::operator""s;

class DirtyOrderTest : public testing::Test {
 protected:
  ~DirtyOrderTest() override {
    order_.clear();
    for (const auto& [key, entry] : model_) Entry::Free(entry);
  }
  void Insert(const std::string& key) {
    Entry* entry = Entry::New(key, Value(), 0);
    ASSERT_TRUE(model_.emplace(key, entry).second);
    order_.Insert(entry);
  }
  void Erase(const std::string& key) {
    order_.Erase(model_.at(key));
    Entry::Free(model_.at(key));
    model_.erase(key);
  }
  std::vector<std::string> KeysFrom(const std::string& key) const {
    std::vector<std::string> keys;
    for (DirtyOrder::Cursor at(order_, key); at.Valid(); at.Next()) keys.emplace_back(at.entry()->key());
    return keys;
  }
  std::vector<std::string> ModelFrom(const std::string& key) const {
    std::vector<std::string> keys;
    for (auto it = model_.lower_bound(key); it != model_.end(); ++it) keys.push_back(it->first);
    return keys;
  }

  std::vector<std::string> KeysBelow(const std::string& key) const {
    std::vector<std::string> keys;
    for (DirtyOrder::DownCursor at(order_, key); at.Valid(); at.Next()) keys.emplace_back(at.entry()->key());
    return keys;
  }
  std::vector<std::string> ModelBelow(const std::string& key) const {
    std::vector<std::string> keys;
    for (auto it = model_.lower_bound(key); it != model_.begin();) keys.push_back((--it)->first);
    return keys;
  }

  DirtyOrder order_;
  std::map<std::string, Entry*> model_;
};

TEST_F(DirtyOrderTest, KeysThatDifferInTrailingZerosOrWhereTheyEndKeepByteOrder) {
  const std::string eight = "12345678";
  for (const std::string& key :
       {eight, eight + '\0', eight + "\0\0"s, eight + "1", std::string("1234567"), eight + eight, eight + eight + "x",
        std::string("\xff"), std::string(1, '\0'), eight + "\xff"}) {
    Insert(key);
  }
  EXPECT_EQ(KeysFrom(""), ModelFrom(""));
  for (const auto& [key, entry] : model_) {
    EXPECT_TRUE(order_.Contains(key));
    EXPECT_EQ(KeysFrom(key), ModelFrom(key));
    EXPECT_EQ(KeysFrom(key + '\0'), ModelFrom(key + '\0'));
    EXPECT_EQ(KeysBelow(key), ModelBelow(key));
    EXPECT_EQ(KeysBelow(key + '\0'), ModelBelow(key + '\0'));
  }
  EXPECT_FALSE(order_.Contains("123456781234567"));
}

// Few letters, a zero among them, and lengths around the slices' borders: many keys share slices and end within them.
TEST_F(DirtyOrderTest, AgreesWithAMap) {
  std::mt19937 random(5);
  const auto random_key = [&] {
    std::string key(random() % 3 == 0 ? 14 : 0, 'p');
    for (size_t left = 1 + random() % 12; left > 0; --left) key += "\0ab"[random() % 3];
    return key;
  };
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = random_key();
    ASSERT_EQ(order_.Contains(key), model_.contains(key));
    if (model_.contains(key)) {
      if (random() % 2 == 0) Erase(key);
    } else {
      Insert(key);
    }
    ASSERT_EQ(order_.size(), model_.size());
    if (i % 200 == 0) {
      const std::string from = random_key();
      ASSERT_EQ(KeysFrom(from), ModelFrom(from));
      ASSERT_EQ(KeysBelow(from), ModelBelow(from));
    }
  }
  while (!model_.empty()) Erase(model_.begin()->first);
  EXPECT_TRUE(order_.empty());
  EXPECT_FALSE(DirtyOrder::Cursor(order_).Valid());
  EXPECT_FALSE(DirtyOrder::DownCursor(order_, "z").Valid());
}

TEST_F(DirtyOrderTest, ALongCommonPrefixIsNoDepthOfTheStack) {
  const std::string prefix(1'000'000, 'x');
  Insert(prefix + "a");
  Insert(prefix + "b");
  EXPECT_EQ(KeysFrom("").size(), 2u);
  EXPECT_EQ(KeysFrom(prefix + "b").size(), 1u);
  EXPECT_EQ(KeysBelow(prefix + "b").size(), 1u);
}

}  // namespace
}  // namespace tidemark::kv
