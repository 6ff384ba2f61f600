// What every store promises (object_store.h), run over the folder, the memory, and an S3 store where TM_TEST_S3 has its
// URI. Built into objstore_test, and by itself as the program that tests/process points at a real S3 server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "objstore/memory_store.h"
#include "objstore/object_store.h"
#include "objstore/testing.h"

namespace tidemark::objstore {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class StoreContractTest : public testing::TestWithParam<std::string> {
 protected:
  StoreContractTest() {
    nonce_ = fmt::format("{}-{:08x}", getpid(), std::random_device()());
    if (GetParam() == "memory") {
      bucket_ = std::make_shared<MemoryBucket>();
    } else if (GetParam() == "folder") {
      folder_ = std::filesystem::temp_directory_path() / ("tidemark-store-" + nonce_);
      uri_ = "local://" + folder_;
    } else {
      uri_ = getenv("TM_TEST_S3");
      uri_.insert(std::min(uri_.find('?'), uri_.size()), "/" + nonce_);
    }
    store_ = Another();
  }
  ~StoreContractTest() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  // A second process that uses the same store.
  std::unique_ptr<ObjectStore> Another() {
    if (bucket_) return std::make_unique<MemoryStore>(bucket_);
    absl::StatusOr<std::unique_ptr<ObjectStore>> store = Open(uri_, OpenOptions());
    EXPECT_TRUE(store.ok()) << store.status();
    return std::move(store).value();
  }

  std::vector<std::string> Keys(std::string_view prefix, std::string_view start_after = "", size_t max = 1000) {
    absl::StatusOr<ListPage> page = store_->List(prefix, start_after, max);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> keys;
    if (page.ok()) {
      for (const ObjectInfo& object : page->objects) keys.push_back(object.key);
    }
    return keys;
  }
  absl::Status Put(std::string_view key, std::string_view bytes = "x", PutCondition condition = PutCondition::kNone) {
    return store_->Put(key, bytes, condition);
  }

  std::string nonce_;
  std::string folder_;
  std::string uri_;
  std::shared_ptr<MemoryBucket> bucket_;
  std::unique_ptr<ObjectStore> store_;
};

TEST_P(StoreContractTest, WhatWasPutIsReadBackByAnother) {
  const std::string bytes = RandomBytes(3'000'001, 1);
  ASSERT_OK(Put("log/1/a.tml", bytes));
  ASSERT_OK(Put("empty", ""));
  const auto other = Another();
  EXPECT_EQ(other->Get("log/1/a.tml").value(), bytes);
  EXPECT_EQ(other->Get("empty").value(), "");
  const absl::StatusOr<ObjectInfo> info = other->Head("log/1/a.tml");
  ASSERT_OK(info.status());
  EXPECT_EQ(info->key, "log/1/a.tml");
  EXPECT_EQ(info->size, bytes.size());
  EXPECT_GT(info->modified_micros, 0u);
  EXPECT_EQ(other->Head("empty")->size, 0u);
}

TEST_P(StoreContractTest, WhatIsMissingIsSaid) {
  EXPECT_TRUE(absl::IsNotFound(store_->Get("a/b").status()));
  EXPECT_TRUE(absl::IsNotFound(store_->GetRange("a/b", 0, 1).status()));
  EXPECT_TRUE(absl::IsNotFound(store_->Head("a/b").status()));
  EXPECT_TRUE(absl::IsNotFound(store_->GetStream("a/b", [](std::string_view) { return absl::OkStatus(); })));
  EXPECT_OK(store_->Delete("a/b"));
  EXPECT_THAT(Keys(""), IsEmpty());
  ASSERT_OK(Put("a/b/c"));
  EXPECT_TRUE(absl::IsNotFound(store_->Get("a/b").status()));
  EXPECT_TRUE(absl::IsNotFound(store_->Head("a/b").status()));
  EXPECT_OK(store_->Delete("a/b"));
  EXPECT_TRUE(absl::IsNotFound(store_->Get("a/b/c/d").status()));
}

TEST_P(StoreContractTest, TheFirstOfTwoWritersWinsAndTheSecondIsTold) {
  ASSERT_OK(Put("fence", "mine", PutCondition::kMustNotExist));
  EXPECT_TRUE(absl::IsAlreadyExists(Another()->Put("fence", "theirs", PutCondition::kMustNotExist)));
  EXPECT_EQ(store_->Get("fence").value(), "mine");
  ASSERT_OK(Put("fence", "replaced"));
  EXPECT_EQ(store_->Get("fence").value(), "replaced");
  ASSERT_OK(store_->Delete("fence"));
  EXPECT_TRUE(absl::IsNotFound(store_->Get("fence").status()));
  EXPECT_OK(Put("fence", "again", PutCondition::kMustNotExist));
}

TEST_P(StoreContractTest, OfManyWritersAtOnceExactlyOneWins) {
  for (int round = 0; round < 5; ++round) {
    const std::string key = fmt::format("race/{}", round);
    std::atomic<int> winners{0};
    std::atomic<int> winner{-1};
    std::vector<std::thread> threads;
    for (int writer = 0; writer < 4; ++writer) {
      threads.emplace_back([&, writer] {
        const absl::Status status = store_->Put(key, fmt::format("writer {}", writer), PutCondition::kMustNotExist);
        if (status.ok()) {
          ++winners;
          winner = writer;
        } else {
          EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(store_->Get(key).value(), fmt::format("writer {}", winner.load()));
  }
}

TEST_P(StoreContractTest, RangesEndWithTheObject) {
  ASSERT_OK(Put("r", "0123456789"));
  EXPECT_EQ(store_->GetRange("r", 0, 4).value(), "0123");
  EXPECT_EQ(store_->GetRange("r", 7, 100).value(), "789");
  EXPECT_EQ(store_->GetRange("r", 3, UINT64_MAX).value(), "3456789");
  EXPECT_EQ(store_->GetRange("r", 10, 5).value(), "");
  EXPECT_EQ(store_->GetRange("r", 5, 0).value(), "");
  EXPECT_TRUE(absl::IsOutOfRange(store_->GetRange("r", 11, 1).status()));
}

TEST_P(StoreContractTest, ListsInByteOrderPageByPage) {
  // '-' and '.' sort before '/', digits and letters after: the order is that of whole keys, not of folders.
  const std::vector<std::string> keys = {"a",     "b-1",  "b.d/x", "b/1",     "b/1.5/x", "b/2/x",
                                         "b/2/y", "b0/x", "bb",    "c/d/e/f", "c/d/e/g", "d"};
  std::vector<std::string> sorted = keys;
  std::sort(sorted.begin(), sorted.end());
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) ASSERT_OK(Put(*key, *key));
  EXPECT_EQ(Keys(""), sorted);
  for (size_t max = 1; max <= keys.size() + 1; ++max) {
    std::vector<std::string> paged;
    while (true) {
      const absl::StatusOr<ListPage> page = store_->List("", paged.empty() ? "" : paged.back(), max);
      ASSERT_OK(page.status());
      ASSERT_LE(page->objects.size(), max);
      for (const ObjectInfo& object : page->objects) {
        paged.push_back(object.key);
        EXPECT_EQ(object.size, object.key.size());
      }
      if (!page->more) break;
      ASSERT_FALSE(page->objects.empty());
    }
    EXPECT_EQ(paged, sorted);
  }
  EXPECT_EQ(ListAll(*store_, "b/")->size(), 4u);
}

TEST_P(StoreContractTest, ListsWhatBeginsWithThePrefixAndComesAfter) {
  for (const char* key : {"log/01/a", "log/01/b", "log/02/a", "log/0", "logs", "base/1/manifest"}) ASSERT_OK(Put(key));
  EXPECT_THAT(Keys("log/"), ElementsAre("log/0", "log/01/a", "log/01/b", "log/02/a"));
  EXPECT_THAT(Keys("log/0"), ElementsAre("log/0", "log/01/a", "log/01/b", "log/02/a"));
  EXPECT_THAT(Keys("log/01/"), ElementsAre("log/01/a", "log/01/b"));
  EXPECT_THAT(Keys("log/01/b"), ElementsAre("log/01/b"));
  EXPECT_THAT(Keys("lo", "log/01/a"), ElementsAre("log/01/b", "log/02/a", "logs"));
  EXPECT_THAT(Keys("log/", "log/01/zzz"), ElementsAre("log/02/a"));
  EXPECT_THAT(Keys("log/", "base"), ElementsAre("log/0", "log/01/a", "log/01/b", "log/02/a"));
  EXPECT_THAT(Keys("log/", "z"), IsEmpty());
  EXPECT_THAT(Keys("nothing/here"), IsEmpty());
}

TEST_P(StoreContractTest, MalformedKeysAreRefusedAndNothingIsWritten) {
  for (const char* key :
       {"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a b", "a\nb", "ä", "a%2fb", "~aside/x"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Put(key))) << key;
    EXPECT_TRUE(absl::IsInvalidArgument(store_->Get(key).status())) << key;
    EXPECT_TRUE(absl::IsInvalidArgument(store_->Delete(key))) << key;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(Put(std::string(900, 'k'))));
  EXPECT_TRUE(absl::IsInvalidArgument(store_->List("../", "", 10).status()));
  EXPECT_THAT(Keys(""), IsEmpty());
  EXPECT_OK(Put("...and_Z-9/.x"));
}

TEST_P(StoreContractTest, StreamsObjectsLargerThanAPart) {
  // More than one part of S3, and an end that is no whole part.
  const std::string bytes = RandomBytes((size_t{20} << 20) + 12345, 2);
  StringSource source(bytes);
  ASSERT_OK(store_->PutStream("base/1/000123.sst", source, bytes.size()));
  std::string read;
  ASSERT_OK(store_->GetStream("base/1/000123.sst", [&](std::string_view piece) {
    read += piece;
    return absl::OkStatus();
  }));
  EXPECT_TRUE(read == bytes);
  EXPECT_EQ(store_->Head("base/1/000123.sst")->size, bytes.size());

  StringSource shorter("small after all");
  ASSERT_OK(store_->PutStream("base/1/000123.sst", shorter, 0));
  EXPECT_EQ(store_->Get("base/1/000123.sst").value(), "small after all");
  StringSource empty("");
  ASSERT_OK(store_->PutStream("base/1/empty", empty, 0));
  EXPECT_EQ(store_->Get("base/1/empty").value(), "");
}

TEST_P(StoreContractTest, AStreamThatFailsLeavesNoObject) {
  for (const size_t good : {size_t{0}, size_t{1} << 20, size_t{18} << 20}) {
    StringSource source(RandomBytes(good, 3), absl::DataLossError("the disk said no"));
    const absl::Status status = store_->PutStream("half", source, size_t{32} << 20);
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_TRUE(absl::IsNotFound(store_->Head("half").status()));
  }
  EXPECT_THAT(Keys(""), IsEmpty());
}

TEST_P(StoreContractTest, AnErrorOfTheSinkEndsTheStream) {
  ASSERT_OK(Put("s", RandomBytes(5'000'000, 4)));
  const absl::Status status = store_->GetStream("s", [](std::string_view) { return absl::AbortedError("enough"); });
  EXPECT_EQ(status, absl::AbortedError("enough"));
  EXPECT_EQ(store_->Get("s")->size(), 5'000'000u);
}

TEST_P(StoreContractTest, ProbeTellsAndLeavesNothing) {
  const absl::StatusOr<Capabilities> capabilities = store_->Probe(nonce_);
  ASSERT_OK(capabilities.status());
  EXPECT_TRUE(capabilities->conditional_put);
  EXPECT_TRUE(capabilities->list_after_write);
  EXPECT_THAT(Keys(""), IsEmpty());
}

TEST_P(StoreContractTest, AfterCancelNothingGoesOn) {
  ASSERT_OK(Put("k"));
  store_->Cancel();
  EXPECT_TRUE(absl::IsCancelled(Put("k2")));
  EXPECT_TRUE(absl::IsCancelled(store_->Get("k").status()));
  EXPECT_TRUE(absl::IsCancelled(store_->List("", "", 1).status()));
  StringSource source("x");
  EXPECT_TRUE(absl::IsCancelled(store_->PutStream("k2", source, 1)));
  EXPECT_TRUE(absl::IsNotFound(Another()->Head("k2").status()));
}

std::vector<std::string> Kinds() {
  if (getenv("TM_TEST_S3_ONLY") != nullptr) return {"s3"};
  std::vector<std::string> kinds = {"memory", "folder"};
  if (getenv("TM_TEST_S3") != nullptr) kinds.emplace_back("s3");
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContractTest, testing::ValuesIn(Kinds()),
                         [](const auto& kind) { return kind.param; });

}  // namespace
}  // namespace tidemark::objstore
