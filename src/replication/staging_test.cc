// Nothing that a primary or the disk has damaged becomes a replica's data, and nothing that is whole is sent twice.
#include "replication/staging.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/hash.h"
#include "engine/install.h"
#include "replication/testing.h"

namespace tidemark::replication {
namespace {

// A primary that serves files as a test says.
class Files final : public Upstream {
 public:
  std::map<std::string, std::string> files;
  uint64_t cut_after = UINT64_MAX;  // bytes of each file
  bool wrong_hash = false;
  std::string more;  // sent behind the end of each file
  uint64_t sent = 0;

  absl::StatusOr<Welcome> Join(const Hello&) override { return absl::UnavailableError("not of this test"); }
  absl::StatusOr<Chunk> Next() override { return absl::UnavailableError("not of this test"); }
  absl::Status Acknowledge(const Ack&) override { return absl::OkStatus(); }
  void Cancel() override {}
  absl::Status ReadFile(const std::string&, const std::string& name, uint64_t offset,
                        absl::FunctionRef<absl::Status(const FilePart&)> take) override {
    const std::string& bytes = files[name];
    const uint32_t hash = Crc32c(bytes) + (wrong_hash ? 1 : 0);
    for (uint64_t at = offset; true; at += 100) {
      if (at >= cut_after) return absl::UnavailableError("cut");
      FilePart part{.bytes = bytes.substr(at, 100), .last = at + 100 >= bytes.size(), .hash = 0};
      sent += part.bytes.size();
      if (part.last) {
        part.hash = hash;
        part.bytes += more;
      }
      TM_RETURN_IF_ERROR(take(part));
      if (part.last) return absl::OkStatus();
    }
  }
};

class StagingTest : public testing::Test {
 protected:
  StagingTest() {
    char name[] = "/tmp/tidemark-staging-XXXXXX";
    folder_ = mkdtemp(name);
    files_.files = {{"CURRENT", "MANIFEST\n"}, {"000012.sst", std::string(1000, 's')}};
    offer_.id = "0123";
    offer_.timeline = Timeline{1};
    for (const auto& [file, bytes] : files_.files) offer_.files.push_back({file, bytes.size()});
  }
  ~StagingTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Staging> Begun() {
    auto staging = std::make_unique<Staging>(FileSystem::Posix(), Clock::System(), folder_, 4096);
    const absl::Status begun = staging->Begin(offer_);
    EXPECT_TRUE(begun.ok()) << begun;
    return staging;
  }
  std::unique_ptr<Staging> TakenUp() {
    auto staging = Staging::TakeUp(FileSystem::Posix(), Clock::System(), folder_, 4096);
    EXPECT_TRUE(staging.ok()) << staging.status();
    if (!staging.ok() || *staging == nullptr) return nullptr;
    (*staging)->GoOn(offer_);
    return *std::move(staging);
  }
  std::string PathOf(const std::string& name) const { return folder_ + "/fullsync/" + name; }
  std::string Staged(const std::string& name) const {
    const auto bytes = ReadWholeFile(FileSystem::Posix(), PathOf("store/" + name));
    return bytes.ok() ? *bytes : "";
  }

  std::string folder_;
  SnapshotOffer offer_;
  Files files_;
};

TEST_F(StagingTest, ATransferThatWasCutGoesOnInMidFileAlsoAfterARestart) {
  files_.cut_after = 500;
  EXPECT_FALSE(Begun()->Fetch(files_, 1).ok());
  const auto staging = TakenUp();
  ASSERT_NE(staging, nullptr);
  EXPECT_EQ(staging->id(), "0123");
  files_.cut_after = UINT64_MAX;
  ASSERT_TRUE(staging->Fetch(files_, 2).ok());
  EXPECT_EQ(Staged("000012.sst"), files_.files["000012.sst"]);
  EXPECT_EQ(files_.sent, 1009);
  EXPECT_EQ(staging->done_bytes(), staging->total_bytes());
}

TEST_F(StagingTest, APartThatTheDiskHasDamagedIsFetchedAnew) {
  files_.cut_after = 500;
  EXPECT_FALSE(Begun()->Fetch(files_, 1).ok());
  std::fstream(PathOf("store/000012.sst.part")).seekp(10).put('X');
  files_.cut_after = UINT64_MAX;
  EXPECT_TRUE(absl::IsDataLoss(TakenUp()->Fetch(files_, 1)));
  ASSERT_TRUE(TakenUp()->Fetch(files_, 1).ok());
  EXPECT_EQ(Staged("000012.sst"), files_.files["000012.sst"]);
}

TEST_F(StagingTest, WhatStandsBehindTheEndOfAPartDoesNotStay) {
  const auto staging = Begun();
  std::ofstream(PathOf("store/CURRENT.part")) << "MANIFEST\nand more";
  ASSERT_TRUE(staging->Fetch(files_, 1).ok());
  EXPECT_EQ(Staged("CURRENT"), "MANIFEST\n");
}

TEST_F(StagingTest, APrimaryThatSendsSomethingElseThanItOfferedIsNotBelieved) {
  files_.wrong_hash = true;
  EXPECT_TRUE(absl::IsDataLoss(Begun()->Fetch(files_, 1)));
  files_.wrong_hash = false;
  files_.more = "more";
  EXPECT_TRUE(absl::IsDataLoss(Begun()->Fetch(files_, 1)));
  files_.more = "";
  files_.files["000012.sst"].resize(900);
  EXPECT_TRUE(absl::IsDataLoss(Begun()->Fetch(files_, 1)));
  for (const char* name : {"", ".", "../up", "a/b", ".hidden"}) {
    offer_.files = {{name, 1}};
    EXPECT_TRUE(absl::IsInvalidArgument(Begun()->Fetch(files_, 1))) << name;
  }
}

TEST_F(StagingTest, WhatIsDamagedIsNotGoneOnWith) {
  ASSERT_TRUE(Begun()->Fetch(files_, 1).ok());
  std::ofstream(PathOf("offer.json")) << "{";
  EXPECT_EQ(TakenUp(), nullptr);
  EXPECT_FALSE(std::filesystem::exists(PathOf("")));
}

TEST_F(StagingTest, AStagedLogThatCannotBeReadNowIsKeptForLater) {
  ASSERT_TRUE(Begun()->Fetch(files_, 1).ok());
  std::filesystem::rename(PathOf("log"), PathOf("aside"));
  std::ofstream(PathOf("log")) << "not a folder";
  EXPECT_FALSE(Staging::TakeUp(FileSystem::Posix(), Clock::System(), folder_, 4096).ok());
  std::filesystem::remove(PathOf("log"));
  std::filesystem::rename(PathOf("aside"), PathOf("log"));
  EXPECT_NE(TakenUp(), nullptr);
}

TEST_F(StagingTest, WhatIsDiscardedIsNotInstalledAfterwards) {
  auto staging = Begun();
  ASSERT_TRUE(staging->Fetch(files_, 1).ok());
  ASSERT_TRUE(staging->Decide().ok());
  ASSERT_TRUE(staging->Discard().ok());
  ASSERT_TRUE(engine::FinishInstall(FileSystem::Posix(), folder_).ok());
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/store"));
}

}  // namespace
}  // namespace tidemark::replication
