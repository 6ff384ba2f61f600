// A store that another node's records go into: at each record's end it is what that node's was, however it was stopped,
// and what took its place is whole or not there.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "engine/engine.h"
#include "engine/expiry_clock.h"
#include "engine/identity.h"
#include "engine/install.h"
#include "log/inspect.h"
#include "types/keyspace.h"

namespace tidemark::engine {
namespace {

using types::Keyspace;

class FollowingTest : public testing::Test {
 protected:
  FollowingTest() {
    char name[] = "/tmp/tidemark-following-XXXXXX";
    folder_ = mkdtemp(name);
    primary_ = Open("primary", false);
    replica_ = Open("replica", true);
  }
  ~FollowingTest() override {
    primary_.reset();
    replica_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string FolderOf(const std::string& name) const { return folder_ + "/" + name; }
  std::unique_ptr<Engine> Open(const std::string& name, bool follower) {
    EngineOptions options;
    options.folder = FolderOf(name);
    options.log.segment_size = 64 << 10;
    options.log.received = follower;
    options.store.dirty_bytes = 1 << 20;
    options.store.hot_bytes = 8 << 20;
    options.store.block_cache_bytes = 4 << 20;
    options.sweeping = !follower;
    auto engine = Engine::Open(FileSystem::Posix(), Clock::System(), options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return engine.ok() ? *std::move(engine) : nullptr;
  }
  static void Set(Engine& engine, std::string_view name, std::string_view value) {
    const absl::Status status = engine.Write(kv::Tier::kDisk, true, [&](kv::Txn& txn) -> absl::Status {
      Keyspace keyspace(txn, DbIndex{0});
      TM_ASSIGN_OR_RETURN(types::Key key, keyspace.Find(name));
      keyspace.PutString(&key, value, 0);
      return absl::OkStatus();
    });
    ASSERT_TRUE(status.ok()) << status;
    engine.EndTurn();
  }
  static std::map<std::string, std::string> Contents(Engine& engine) {
    std::map<std::string, std::string> contents;
    const absl::Status status = engine.Read(kv::Tier::kDisk, [&](kv::Txn& txn) {
      return Keyspace(txn, DbIndex{0}).VisitKeys(0, SIZE_MAX, [&](const types::Key& key, uint64_t) {
        if (key) contents[std::string(key.name)] = std::string(key.string);
        return true;
      });
    });
    EXPECT_TRUE(status.ok()) << status;
    return contents;
  }
  void Ship() {
    ASSERT_TRUE(primary_->log().SyncTo(primary_->last_end()).ok());
    auto cursor = primary_->log().OpenCursor(replica_->last_end());
    ASSERT_TRUE(cursor.ok()) << cursor.status();
    std::string records;
    for (auto record = (*cursor)->Next(std::chrono::milliseconds(0)); record.ok();
         record = (*cursor)->Next(std::chrono::milliseconds(0))) {
      records += record->raw;
    }
    for (size_t done = 0; done < records.size();) {
      const auto some = replica_->ApplyReceived(std::string_view(records).substr(done));
      ASSERT_TRUE(some.ok()) << some.status();
      done += *some;
    }
  }

  std::string folder_;
  std::unique_ptr<Engine> primary_;
  std::unique_ptr<Engine> replica_;
};

TEST_F(FollowingTest, TheFollowerIsWhatThePrimaryIsAlsoAfterCrashAndCleanStop) {
  for (int i = 0; i < 3000; ++i) Set(*primary_, fmt::format("key{}", i % 500), std::string(1000, 'a' + i % 26));
  Ship();
  EXPECT_EQ(Contents(*replica_), Contents(*primary_));
  replica_.reset();  // no Close: what was not persisted comes back by replay
  replica_ = Open("replica", true);
  EXPECT_EQ(replica_->last_end(), primary_->last_end());
  EXPECT_EQ(Contents(*replica_), Contents(*primary_));
  Set(*primary_, "more", "1");
  Ship();
  ASSERT_TRUE(replica_->Close().ok());
  replica_.reset();
  replica_ = Open("replica", true);
  EXPECT_EQ(Contents(*replica_), Contents(*primary_));
}

TEST_F(FollowingTest, AThawOfExpiryComesWithTheRecords) {
  ASSERT_TRUE(primary_
                  ->Write(kv::Tier::kDisk, true,
                          [](kv::Txn& txn) {
                            txn.Put(ExpiryClockRow().view(), EncodeExpiryClock(Timestamp{1'000'000}));
                            return absl::OkStatus();
                          })
                  .ok());
  primary_->EndTurn();
  Ship();
  EXPECT_EQ(replica_->expiry_stands_at(), Timestamp{1'000'000});
  primary_ = nullptr;
  primary_ = Open("primary", false);
  ASSERT_TRUE(primary_->ThawExpiry().ok());
  Ship();
  EXPECT_EQ(replica_->expiry_stands_at(), std::nullopt);
}

// What a new primary does: everything after is on its timeline, and it can be followed itself.
TEST_F(FollowingTest, AFollowerGoesOnAloneOnATimelineOfItsOwn) {
  Set(*primary_, "before", "1");
  Ship();
  replica_->StartTimeline(Timeline{2});
  replica_->SetSweeping(true);
  Set(*replica_, "after", "2");
  EXPECT_EQ(replica_->log().timeline(), Timeline{2});
  replica_.reset();
  replica_ = Open("replica", false);
  EXPECT_EQ(replica_->log().timeline(), Timeline{2});
  EXPECT_EQ(Contents(*replica_), (std::map<std::string, std::string>{{"before", "1"}, {"after", "2"}}));
}

TEST_F(FollowingTest, ALogThatWentAstrayIsCutAndFollowsAgain) {
  Set(*primary_, "common", "1");
  Ship();
  const Lsn fork = replica_->last_end();
  replica_->StartTimeline(Timeline{2});
  Set(*replica_, "astray", "1");
  const absl::Status cut = replica_->Reopen(true, [&](Lsn) {
    return log::Cut(FileSystem::Posix(), Clock::System(), FolderOf("replica") + "/log", fork, Timeline{1}).status();
  });
  ASSERT_TRUE(cut.ok()) << cut;
  EXPECT_EQ(replica_->last_end(), fork);
  Set(*primary_, "goes on", "1");
  Ship();
  EXPECT_EQ(Contents(*replica_), Contents(*primary_));
}

TEST_F(FollowingTest, AnInstalledPairTakesThePlaceWhereverTheInstallWasInterrupted) {
  Set(*replica_, "old", "1");
  Set(*primary_, "new", "1");
  ASSERT_TRUE(primary_->Close().ok());
  primary_.reset();
  const std::string staged = FolderOf("replica") + "/" + kStagingFolder;
  // After neither, one, and both folders were exchanged by the process that decided.
  for (int done = 0; done <= 2; ++done) {
    SCOPED_TRACE(done);
    std::filesystem::create_directories(staged);
    std::filesystem::copy(FolderOf("primary"), staged, std::filesystem::copy_options::recursive);
    ASSERT_TRUE(DecideInstall(FileSystem::Posix(), FolderOf("replica")).ok());
    replica_.reset();
    for (const char* name : {"store", "log"}) {
      if (done < (name[0] == 's' ? 1 : 2)) continue;
      std::filesystem::remove_all(FolderOf("replica") + "/" + name);
      std::filesystem::rename(staged + "/" + name, FolderOf("replica") + "/" + name);
    }
    replica_ = Open("replica", true);
    ASSERT_NE(replica_, nullptr);
    EXPECT_EQ(Contents(*replica_), (std::map<std::string, std::string>{{"new", "1"}}));
    EXPECT_FALSE(std::filesystem::exists(staged));
  }
}

TEST_F(FollowingTest, WithoutADecisionStagedFilesAreNotTaken) {
  Set(*replica_, "old", "1");
  std::filesystem::create_directories(FolderOf("replica") + "/" + kStagingFolder + "/store");
  replica_.reset();
  replica_ = Open("replica", true);
  EXPECT_EQ(Contents(*replica_), (std::map<std::string, std::string>{{"old", "1"}}));
}

}  // namespace
}  // namespace tidemark::engine
