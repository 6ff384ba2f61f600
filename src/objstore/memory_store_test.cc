#include "objstore/memory_store.h"

#include <gtest/gtest.h>

#include "objstore/testing.h"

namespace tidemark::objstore {
namespace {

using Operation = MemoryStore::Operation;

TEST(MemoryStoreTest, ALostAnswerHasHappened) {
  MemoryStore store;
  store.LoseNextAnswer(Operation::kPut);
  EXPECT_TRUE(absl::IsUnavailable(store.Put("a", "1", PutCondition::kMustNotExist)));
  EXPECT_TRUE(absl::IsAlreadyExists(store.Put("a", "1", PutCondition::kMustNotExist)));
  EXPECT_EQ(store.Get("a").value(), "1");
}

TEST(MemoryStoreTest, AFailedCallHasNotHappened) {
  MemoryStore store;
  store.FailNext(Operation::kPut, absl::PermissionDeniedError("expired"), 2);
  EXPECT_TRUE(absl::IsPermissionDenied(store.Put("a", "1", PutCondition::kNone)));
  EXPECT_TRUE(absl::IsPermissionDenied(store.Put("a", "1", PutCondition::kNone)));
  EXPECT_EQ(store.bucket()->size(), 0u);
  EXPECT_OK(store.Put("a", "1", PutCondition::kNone));
  EXPECT_EQ(store.count(Operation::kPut), 3u);
}

TEST(MemoryStoreTest, TheSameSeedDoesTheSame) {
  const auto run = [](uint64_t seed) {
    MemoryStore store;
    store.SetFaults({.seed = seed, .unavailable = 200, .throttled = 100, .lost_answer = 100, .damaged = 50});
    std::string outcomes;
    for (int i = 0; i < 200; ++i) {
      outcomes +=
          fmt::format("{} ", static_cast<int>(store.Put(fmt::format("k{}", i), "v", PutCondition::kNone).code()));
      outcomes += fmt::format("{} ", static_cast<int>(store.Get(fmt::format("k{}", i)).status().code()));
    }
    return outcomes;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(MemoryStoreTest, ACopyIsTheArchiveAtThatMoment) {
  MemoryStore store;
  ASSERT_OK(store.Put("a", "1", PutCondition::kNone));
  MemoryStore then(store.bucket()->Copy());
  ASSERT_OK(store.Put("a", "2", PutCondition::kNone));
  ASSERT_OK(store.Put("b", "2", PutCondition::kNone));
  ASSERT_TRUE(store.bucket()->FlipBit("b", 0));
  EXPECT_EQ(then.Get("a").value(), "1");
  EXPECT_TRUE(absl::IsNotFound(then.Get("b").status()));
  EXPECT_NE(store.Get("b").value(), "2");
}

TEST(MemoryStoreTest, TheHookMayPutAnothersObjectBetweenLookAndWrite) {
  MemoryStore store;
  store.SetCapabilities({.conditional_put = false, .list_after_write = true});
  EXPECT_FALSE(store.Probe("n")->conditional_put);
  int calls = 0;
  store.SetHook([&](Operation, std::string_view key) {
    if (++calls == 2) store.bucket()->Set(key, "theirs");
    return absl::OkStatus();
  });
  EXPECT_OK(store.Put("a", "mine", PutCondition::kMustNotExist));
  EXPECT_EQ(store.Get("a").value(), "mine");
}

TEST(MemoryStoreTest, ListingMayLag) {
  MemoryStore store;
  store.SetListLag(1);
  ASSERT_OK(store.Put("a", "1", PutCondition::kNone));
  EXPECT_TRUE(ListAll(store, "")->empty());
  ASSERT_OK(store.Put("b", "1", PutCondition::kNone));
  EXPECT_EQ(ListAll(store, "")->size(), 1u);
}

TEST(MemoryStoreTest, AKeyBelowAnObjectIsRefused) {
  MemoryStore store;
  ASSERT_OK(store.Put("a/b", "1", PutCondition::kNone));
  EXPECT_TRUE(absl::IsFailedPrecondition(store.Put("a", "1", PutCondition::kNone)));
  EXPECT_TRUE(absl::IsFailedPrecondition(store.Put("a/b/c", "1", PutCondition::kNone)));
  EXPECT_OK(store.Put("a-b", "1", PutCondition::kNone));
}

TEST(MemoryStoreTest, AnOutageIsEveryCallUntilItEnds) {
  MemoryStore store;
  store.SetOutage(absl::UnavailableError("down"));
  EXPECT_TRUE(absl::IsUnavailable(store.Put("a", "1", PutCondition::kNone)));
  EXPECT_TRUE(absl::IsUnavailable(store.List("", "", 1).status()));
  store.SetOutage(absl::OkStatus());
  EXPECT_OK(store.Put("a", "1", PutCondition::kNone));
}

}  // namespace
}  // namespace tidemark::objstore
