#include "objstore/folder_store.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "env/faulty_file.h"
#include "objstore/testing.h"

namespace tidemark::objstore {
namespace {

namespace fs = std::filesystem;

class FolderStoreTest : public testing::Test {
 protected:
  FolderStoreTest() : folder_(fs::temp_directory_path() / fmt::format("tidemark-folder-{}", getpid())) {
    fs::remove_all(folder_);
  }
  ~FolderStoreTest() override { fs::remove_all(folder_); }

  std::unique_ptr<ObjectStore> Store() { return std::move(Open("local://" + folder_, OpenOptions())).value(); }

  size_t FilesAside() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_ + "/~aside")) ++count;
    return count;
  }

  const std::string folder_;
};

TEST_F(FolderStoreTest, LeavesNothingAsideWhetherItSucceedsOrNot) {
  const auto store = Store();
  ASSERT_OK(store->Put("a/b", "1", PutCondition::kMustNotExist));
  ASSERT_OK(store->Put("a/b", "2", PutCondition::kNone));
  EXPECT_TRUE(absl::IsAlreadyExists(store->Put("a/b", "3", PutCondition::kMustNotExist)));
  StringSource source("xyz", absl::InternalError("no"));
  EXPECT_FALSE(store->PutStream("a/c", source, 3).ok());
  EXPECT_EQ(FilesAside(), 0u);
  std::ifstream file(folder_ + "/a/b");
  EXPECT_EQ(file.get(), '2');
}

TEST_F(FolderStoreTest, ProbeRemovesWhatDeadProcessesLeftAndNotWhatTheLivingWrite) {
  const auto store = Store();
  fs::create_directories(folder_ + "/~aside");
  std::ofstream(folder_ + "/~aside/dead") << "x";
  std::ofstream(folder_ + "/~aside/living") << "x";
  fs::last_write_time(folder_ + "/~aside/dead", fs::file_time_type::clock::now() - std::chrono::hours(2));
  ASSERT_OK(store->Probe("n").status());
  EXPECT_FALSE(fs::exists(folder_ + "/~aside/dead"));
  EXPECT_TRUE(fs::exists(folder_ + "/~aside/living"));
  EXPECT_TRUE(ListAll(*store, "")->empty());
}

TEST_F(FolderStoreTest, WhoOnlyReadsMakesNoFolder) {
  const absl::Status missing = Open("local://" + folder_, {.must_exist = true}).status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_NE(Message(missing).find(folder_), std::string_view::npos) << missing;
  EXPECT_FALSE(fs::exists(folder_));
  ASSERT_OK(Store()->Put("a", "1", PutCondition::kNone));
  EXPECT_EQ((*Open("local://" + folder_, {.must_exist = true}))->Get("a").value(), "1");
}

TEST_F(FolderStoreTest, AFileInThePlaceOfTheFolderIsSaid) {
  std::ofstream(folder_).put('x');
  const absl::Status status = Open("local://" + folder_, OpenOptions()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(absl::IsFailedPrecondition(Open("local://" + folder_ + "/below", OpenOptions()).status()));
}

TEST_F(FolderStoreTest, AKeyBelowAnObjectIsRefused) {
  const auto store = Store();
  ASSERT_OK(store->Put("a", "1", PutCondition::kMustNotExist));
  EXPECT_TRUE(absl::IsFailedPrecondition(store->Put("a/b", "1", PutCondition::kMustNotExist)));
  ASSERT_OK(store->Put("c/d", "1", PutCondition::kMustNotExist));
  EXPECT_TRUE(absl::IsFailedPrecondition(store->Put("c", "1", PutCondition::kNone)));
}

TEST_F(FolderStoreTest, AFolderThatWasReplacedIsNotWrittenUntilProbedAgain) {
  const auto store = Store();
  ASSERT_OK(store->Put("a", "1", PutCondition::kMustNotExist));
  // As when a mounted folder goes and the empty mount point appears.
  fs::rename(folder_, folder_ + ".away");
  EXPECT_TRUE(absl::IsFailedPrecondition(store->Put("b", "1", PutCondition::kMustNotExist)));
  fs::create_directories(folder_);
  EXPECT_TRUE(absl::IsFailedPrecondition(store->Put("b", "1", PutCondition::kMustNotExist)));
  EXPECT_TRUE(absl::IsFailedPrecondition(store->List("", "", 10).status()));
  EXPECT_TRUE(fs::is_empty(folder_));
  ASSERT_OK(store->Probe("n").status());
  EXPECT_OK(store->Put("b", "1", PutCondition::kMustNotExist));
  fs::remove_all(folder_ + ".away");
}

TEST_F(FolderStoreTest, FoldersRemovedBehindItsBackAreMadeAgain) {
  const auto store = Store();
  ASSERT_OK(store->Put("a/b/c", "1", PutCondition::kMustNotExist));
  fs::remove_all(folder_ + "/a");
  EXPECT_TRUE(absl::IsUnavailable(store->Put("a/b/c", "1", PutCondition::kMustNotExist)));
  EXPECT_OK(store->Put("a/b/c", "1", PutCondition::kMustNotExist));
}

TEST_F(FolderStoreTest, OtherPeoplesFilesAreNotListed) {
  const auto store = Store();
  ASSERT_OK(store->Put("a/b", "1", PutCondition::kMustNotExist));
  std::ofstream(folder_ + "/a/notes of mine~").put('x');
  fs::create_directories(folder_ + "/lost+found");
  ASSERT_EQ(mkfifo((folder_ + "/a/pipe").c_str(), 0600), 0);
  const auto objects = ListAll(*store, "");
  ASSERT_OK(objects.status());
  ASSERT_EQ(objects->size(), 1u);
  EXPECT_EQ((*objects)[0].key, "a/b");
}

TEST_F(FolderStoreTest, TheRateLimitHoldsForAllCallsTogether) {
  OpenOptions options;
  options.rate_limit = 4 << 20;
  const auto store = std::move(Open("local://" + folder_, options)).value();
  const auto begin = std::chrono::steady_clock::now();
  const std::string bytes = RandomBytes(1 << 20, 1);
  for (int i = 0; i < 3; ++i) ASSERT_OK(store->Put(fmt::format("k{}", i), bytes, PutCondition::kMustNotExist));
  // The last of three waits for the time of the two before it.
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(490));
}

// The same code over a disk that forgets, fills and fails.
class FaultyFolderTest : public testing::Test {
 protected:
  std::unique_ptr<FolderStore> Store() { return std::make_unique<FolderStore>(disk_, "/archive", OpenOptions()); }

  FaultyFileSystem disk_;
};

TEST_F(FaultyFolderTest, WhatWasAcknowledgedSurvivesPowerFailuresAndTheRestIsWholeOrAbsent) {
  const std::string bytes = RandomBytes(10'000, 5);
  for (uint64_t seed = 0; seed < 300; ++seed) {
    FaultyFileSystem disk;
    FolderStore before(disk, "/archive", OpenOptions());
    ASSERT_OK(before.Put("log/1", bytes, PutCondition::kMustNotExist));
    disk.FailSync(seed % 3 == 0 ? 0 : 1 + seed % 2);
    const bool acknowledged = before.Put("log/2", bytes, PutCondition::kMustNotExist).ok();
    EXPECT_EQ(acknowledged, seed % 3 == 0);
    // Whoever finds it there takes it for durable.
    const bool exists = absl::IsAlreadyExists(before.Put("log/2", bytes, PutCondition::kMustNotExist));
    disk.PowerLoss(seed);
    disk.Restart();
    FolderStore after(disk, "/archive", OpenOptions());
    EXPECT_EQ(after.Get("log/1").value(), bytes) << "seed " << seed;
    const absl::StatusOr<std::string> second = after.Get("log/2");
    ASSERT_TRUE(second.ok() || (!acknowledged && !exists)) << "seed " << seed << " " << second.status();
    EXPECT_EQ(second.value_or(bytes), bytes) << "seed " << seed;
  }
}

TEST_F(FaultyFolderTest, AFullDiskIsSaidAndPasses) {
  const auto store = Store();
  disk_.SetCapacity(100'000);
  const absl::Status status = store->Put("a", RandomBytes(200'000, 1), PutCondition::kMustNotExist);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(IsPassing(status));
  EXPECT_TRUE(absl::IsNotFound(store->Get("a").status()));
  EXPECT_EQ(disk_.used_bytes(), 0u);
  disk_.SetCapacity(FaultyFileSystem::kUnlimited);
  EXPECT_OK(store->Put("a", RandomBytes(200'000, 1), PutCondition::kMustNotExist));
}

TEST_F(FaultyFolderTest, AFailedWriteOrSyncIsNoObject) {
  const auto store = Store();
  disk_.FailWrite(1);
  EXPECT_TRUE(absl::IsUnavailable(store->Put("a", "1", PutCondition::kMustNotExist)));
  disk_.FailSync(1);
  EXPECT_TRUE(absl::IsUnavailable(store->Put("a", "1", PutCondition::kMustNotExist)));
  EXPECT_TRUE(absl::IsNotFound(store->Get("a").status()));
  EXPECT_OK(store->Put("a", "1", PutCondition::kMustNotExist));
}

}  // namespace
}  // namespace tidemark::objstore
