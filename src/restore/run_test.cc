// Promise 6: a restore is exact. To any moment: nothing missing, nothing extra; what cannot be had is named; what was
// interrupted goes on to the same result.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>

#include "engine/sweeper.h"
#include "restore/testing.h"

namespace tidemark::restore {
namespace {

using objstore::MemoryStore;
using testing::Archiver;
using testing::AtLsn;
using testing::AtTime;
using testing::Contents;
using testing::LookInto;
using testing::PlanOf;
using testing::RestoreTo;
using testing::Source;
using testing::TemporaryFolder;

constexpr uint64_t kHourMicros = 3'600'000'000;

class RestoreTest : public ::testing::Test {
 protected:
  void WriteSome(int records) {
    for (int i = 0; i < records; ++i) source_.WriteAny(random_);
  }
  Options Into(std::string_view name) const {
    Options options;
    options.folder = folder_ / name;
    options.memory = 16 << 20;
    options.jobs = 2;
    options.expiry = ExpiryMode::kApply;
    return options;
  }
  void RemoveFolder(std::string_view name) { std::filesystem::remove_all(folder_ / name); }
  // Restores into a folder of its own and compares.
  void ExpectContents(const Target& target, const Contents& wanted, Timestamp reached) {
    MemoryStore store(archiver_.bucket());
    const auto result = RestoreTo(store, target, Into("exact"));
    ASSERT_TRUE(result.ok()) << FormatTarget(target) << ": " << result.status();
    EXPECT_EQ(result->reached, reached) << FormatTarget(target);
    EXPECT_EQ(LookInto(folder_ / "exact"), wanted) << FormatTarget(target);
    RemoveFolder("exact");
  }

  TemporaryFolder folder_;
  std::mt19937_64 random_{42};
  Source source_{folder_ / "source"};
  Archiver archiver_{source_};
};

TEST_F(RestoreTest, AnyMomentIsExactlyAsItWas) {
  WriteSome(25);
  archiver_.PutBase();
  WriteSome(25);
  archiver_.PutLog(7);
  archiver_.PutBase();
  WriteSome(10);
  archiver_.PutLog(3);
  const auto& history = source_.history();
  for (size_t i = 0; i < history.size(); i += 3 + random_() % 4) {
    SCOPED_TRACE(i);
    ExpectContents(AtTime(history[i].timestamp), history[i].after, history[i].timestamp);
    ExpectContents(AtLsn(history[i].lsn), history[i].after, history[i].timestamp);
    // Any moment up to the next record shows the same.
    if (i + 1 < history.size()) {
      const Timestamp before_next{history[i + 1].timestamp.micros - 1};
      ExpectContents(AtTime(before_next), history[i].after, before_next);
      ExpectContents(AtLsn(Lsn{history[i + 1].lsn.value - 1}), history[i].after, history[i].timestamp);
    }
  }
  ExpectContents(Target{}, history.back().after, history.back().timestamp);
}

TEST_F(RestoreTest, TheRestoredServerIsAClusterOfItsOwnAndGoesOn) {
  WriteSome(20);
  archiver_.PutLog();
  MemoryStore store(archiver_.bucket());
  const auto result = RestoreTo(store, Target{}, Into("new"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->timeline, Timeline{2});
  EXPECT_EQ(result->reached_lsn, archiver_.next());
  Source restored(folder_ / "new");
  EXPECT_EQ(IdToHex(restored.identity().cluster_id), result->cluster_id);
  EXPECT_NE(restored.identity().cluster_id, source_.identity().cluster_id);
  EXPECT_EQ(restored.identity().timeline, Timeline{2});
  EXPECT_EQ(restored.engine().log().timeline(), Timeline{2});
  restored.Set("after", "the restore");
  EXPECT_GT(restored.history().back().lsn, result->reached_lsn);
  EXPECT_GT(restored.history().back().timestamp, source_.history().back().timestamp);
  restored.Close();
  EXPECT_EQ(LookInto(folder_ / "new").at("0/after"), "the restore until 0 ");
  // Nothing was put into the archive of the other cluster that stays there.
  const auto objects = archiver_.bucket()->objects();
  EXPECT_FALSE(objects.contains(format::TimelineKey(Timeline{2})));
  for (const auto& [key, object] : objects) EXPECT_FALSE(key.starts_with("leases/")) << key;
}

// The archive fails at its n-th operation, for every n, or the disk does: each attempt ends with an error, and going on
// leads to what an undisturbed restore gives.
TEST_F(RestoreTest, InterruptedAtAnyOperationOfTheArchiveItGoesOnToTheSameResult) {
  WriteSome(20);
  archiver_.PutBase();
  WriteSome(20);
  archiver_.PutLog(4);
  const Source::Written& target = source_.history()[source_.history().size() - 3];
  for (uint64_t failing = 1;; ++failing) {
    SCOPED_TRACE(failing);
    Options options = Into("interrupted");
    MemoryStore store(archiver_.bucket());
    std::atomic<uint64_t> operations{0};
    store.SetHook([&](MemoryStore::Operation, std::string_view) {
      return ++operations >= failing ? absl::InternalError("pulled the plug") : absl::OkStatus();
    });
    const auto broken = RestoreTo(store, AtTime(target.timestamp), options);
    store.SetHook(nullptr);
    options.resume = true;
    const auto result = broken.ok() ? broken : RestoreTo(store, AtTime(target.timestamp), options);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(LookInto(options.folder), target.after);
    RemoveFolder("interrupted");
    if (broken.ok()) break;
    ASSERT_LT(failing, 200u);
  }
}

// The real file system, up to an operation that fails, and all after it: as if the process had ended there.
class MortalFileSystem final : public FileSystem {
 public:
  explicit MortalFileSystem(uint64_t operations) : left_(operations) {}
  bool dead() const { return left_ == 0; }
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override {
    TM_RETURN_IF_ERROR(Live());
    return Posix().Open(path, mode);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    TM_RETURN_IF_ERROR(Live());
    return Posix().Rename(from, to);
  }
  absl::Status Link(const std::string& from, const std::string& to) override {
    TM_RETURN_IF_ERROR(Live());
    return Posix().Link(from, to);
  }
  absl::Status Remove(const std::string& path) override {
    TM_RETURN_IF_ERROR(Live());
    return Posix().Remove(path);
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& folder) override { return Posix().List(folder); }
  absl::Status CreateFolder(const std::string& path) override {
    TM_RETURN_IF_ERROR(Live());
    return Posix().CreateFolder(path);
  }
  absl::Status SyncFolder(const std::string& path) override { return Posix().SyncFolder(path); }
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override { return Posix().FreeBytes(path); }
  absl::StatusOr<std::shared_ptr<void>> Lock(const std::string& path) override { return Posix().Lock(path); }

 private:
  absl::Status Live() {
    if (left_ == 0) return absl::InternalError("the process has ended");
    --left_;
    return absl::OkStatus();
  }
  uint64_t left_;
};

TEST_F(RestoreTest, InterruptedAtAnyOperationOfTheDiskItGoesOnToTheSameResult) {
  const uint64_t later_ms = Clock::System().WallMicros() / 1000 + 3'600'000;
  WriteSome(10);
  archiver_.PutBase();
  WriteSome(10);
  source_.Set("to be moved", "1", later_ms);
  archiver_.PutLog(4);
  for (uint64_t operations = 0;; ++operations) {
    SCOPED_TRACE(operations);
    Options options = Into("mortal");
    options.continue_cluster = operations % 2 == 0;
    MemoryStore store(archiver_.bucket()->Copy());
    MortalFileSystem fs(operations);
    const auto broken = RestoreTo(store, Target{}, options, fs);
    options.resume = true;
    const auto result = broken.ok() ? broken : RestoreTo(store, Target{}, options);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(LookInto(options.folder), source_.history().back().after);
    const auto objects = store.bucket()->objects();
    EXPECT_EQ(objects.contains(format::TimelineKey(Timeline{2})), options.continue_cluster);
    EXPECT_FALSE(objects.contains(format::TimelineKey(Timeline{3}))) << "a fence was put twice";
    RemoveFolder("mortal");
    if (broken.ok() && !fs.dead()) break;
    ASSERT_LT(operations, 200u);
  }
}

TEST_F(RestoreTest, CancelledItStopsWhereItCanGoOn) {
  WriteSome(30);
  archiver_.PutLog(1);
  for (const uint64_t after : {1, 5, 17}) {
    SCOPED_TRACE(after);
    Options options = Into("cancelled");
    MemoryStore store(archiver_.bucket());
    Progress progress;
    std::atomic<uint64_t> reads{0};
    store.SetHook([&](MemoryStore::Operation operation, std::string_view key) {
      if (operation != MemoryStore::Operation::kList && key.starts_with("log/") && ++reads == after) progress.Cancel();
      return absl::OkStatus();
    });
    const auto cancelled = RestoreTo(store, Target{}, options, FileSystem::Posix(), &progress);
    store.SetHook(nullptr);
    if (!cancelled.ok()) {
      EXPECT_TRUE(absl::IsCancelled(cancelled.status())) << cancelled.status();
      const auto engine =
          engine::Engine::Open(FileSystem::Posix(), Clock::System(), testing::SmallEngine(options.folder));
      EXPECT_TRUE(absl::IsFailedPrecondition(engine.status())) << "a server must not serve half of it";
      options.resume = true;
      const auto result = RestoreTo(store, Target{}, options);
      ASSERT_TRUE(result.ok()) << result.status();
    }
    EXPECT_EQ(LookInto(options.folder), source_.history().back().after);
    RemoveFolder("cancelled");
  }
}

TEST_F(RestoreTest, AFolderWithSomethingInItIsLeftAlone) {
  WriteSome(5);
  archiver_.PutLog();
  MemoryStore store(archiver_.bucket());
  Options options = Into("full");
  std::filesystem::create_directories(options.folder);
  ASSERT_TRUE(ReplaceWholeFile(FileSystem::Posix(), options.folder, "precious", "data").ok());
  for (const bool resume : {false, true}) {
    options.resume = resume;
    const auto refused = RestoreTo(store, Target{}, options);
    EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
    EXPECT_NE(Message(refused.status()).find("not empty"), std::string_view::npos) << refused.status();
  }
  EXPECT_EQ(*ReadWholeFile(FileSystem::Posix(), options.folder + "/precious"), "data");
  EXPECT_FALSE(std::filesystem::exists(options.folder + "/store"));
}

TEST_F(RestoreTest, ARestoreThatWasBegunGoesOnOnlyWhenAskedAndOnlyAsItWasBegun) {
  WriteSome(10);
  archiver_.PutBase();
  WriteSome(10);
  const auto keys = archiver_.PutLog(2);
  const Timestamp target = source_.history().back().timestamp;
  MemoryStore store(archiver_.bucket());
  Options options = Into("begun");
  store.SetHook([&](MemoryStore::Operation, std::string_view key) {
    return key == keys.back() ? absl::UnavailableError("later") : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsUnavailable(RestoreTo(store, AtTime(target), options).status()));
  store.SetHook(nullptr);

  const absl::Status again = RestoreTo(store, AtTime(target), options).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(again));
  EXPECT_NE(Message(again).find("--resume"), std::string_view::npos) << again;

  options.resume = true;
  const absl::Status other_target = RestoreTo(store, AtTime(Timestamp{target.micros - 1}), options).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(other_target));
  EXPECT_NE(Message(other_target).find("--to"), std::string_view::npos) << other_target;
  MemoryStore elsewhere(archiver_.bucket(), "elsewhere");
  const absl::Status other_archive = RestoreTo(elsewhere, AtTime(target), options).status();
  EXPECT_NE(Message(other_archive).find("--from"), std::string_view::npos) << other_archive;
  Options shifted = options;
  shifted.expiry = ExpiryMode::kShift;
  const absl::Status other_mode = RestoreTo(store, AtTime(target), shifted).status();
  EXPECT_NE(Message(other_mode).find("--expiry"), std::string_view::npos) << other_mode;

  // A newer base at the target has come since: the one that was begun with is used.
  archiver_.PutBase();
  const auto result = RestoreTo(store, AtTime(target), options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(LookInto(options.folder), source_.history().back().after);
}

TEST_F(RestoreTest, DamageIsNamedAndEndsTheRestore) {
  WriteSome(10);
  archiver_.PutBase();
  WriteSome(10);
  const auto keys = archiver_.PutLog(3);
  for (const bool base : {false, true}) {
    auto bucket = archiver_.bucket()->Copy();
    std::string damaged = keys[1];
    if (base) {
      for (const auto& [key, object] : bucket->objects()) {
        if (key.starts_with("files/") && object.bytes->size() > 1000) damaged = key;
      }
    }
    ASSERT_TRUE(bucket->FlipBit(damaged, 700 % bucket->objects().at(damaged).bytes->size()));
    MemoryStore store(bucket);
    const auto result = RestoreTo(store, Target{}, Into("damaged"));
    EXPECT_TRUE(absl::IsDataLoss(result.status())) << result.status();
    EXPECT_NE(Message(result.status()).find(damaged), std::string_view::npos) << result.status();
    EXPECT_TRUE(std::filesystem::exists((folder_ / "damaged") + "/restore.json"));
    RemoveFolder("damaged");
  }
}

TEST_F(RestoreTest, AnObjectOfAnotherClusterIsNamedNotApplied) {
  WriteSome(9);
  const auto keys = archiver_.PutLog(3);
  Source other(folder_ / "other");
  for (int i = 0; i < 9; ++i) other.WriteAny(random_);
  Archiver foreign(other);
  const auto foreign_keys = foreign.PutLog(3);
  archiver_.bucket()->Set(keys[1], *foreign.bucket()->objects().at(foreign_keys[1]).bytes);
  MemoryStore store(archiver_.bucket());
  const auto result = RestoreTo(store, Target{}, Into("foreign"));
  EXPECT_TRUE(absl::IsDataLoss(result.status())) << result.status();
  EXPECT_NE(Message(result.status()).find(keys[1]), std::string_view::npos) << result.status();
}

TEST_F(RestoreTest, AnObjectThatGoesWhileItIsReadIsNamed) {
  WriteSome(9);
  const auto keys = archiver_.PutLog(3);
  MemoryStore store(archiver_.bucket());
  const auto catalog = archive::Catalog::Load(store, true);
  const auto plan = MakePlan(store, *catalog, Target{});
  ASSERT_TRUE(plan.ok()) << plan.status();
  archiver_.bucket()->Erase(keys[1]);
  Progress progress;
  const auto result =
      restore::Run(FileSystem::Posix(), Clock::System(), store, *catalog, Target{}, *plan, Into("gone"), &progress);
  EXPECT_TRUE(absl::IsNotFound(result.status())) << result.status();
  EXPECT_NE(Message(result.status()).find(keys[1]), std::string_view::npos) << result.status();
}

TEST_F(RestoreTest, AnArchiveThatMayOnlyBeReadIsRestored) {
  WriteSome(9);
  archiver_.PutLog(3);
  MemoryStore store(archiver_.bucket());
  store.SetHook([](MemoryStore::Operation operation, std::string_view) {
    return operation == MemoryStore::Operation::kPut ? absl::PermissionDeniedError("read only") : absl::OkStatus();
  });
  Options options = Into("read-only");
  std::vector<std::string> lines;
  options.report = [&](const std::string& line) { lines.push_back(line); };
  const auto result = RestoreTo(store, Target{}, options);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("lease"), std::string::npos);
  EXPECT_EQ(LookInto(options.folder), source_.history().back().after);
}

TEST_F(RestoreTest, BeyondTheEndItGoesToTheEndAndSaysHowMuchIsMissing) {
  WriteSome(9);
  archiver_.PutLog(3);
  const Timestamp end = source_.history().back().timestamp;
  MemoryStore store(archiver_.bucket());
  const auto result = RestoreTo(store, AtTime(Timestamp{end.micros + 5'000'000}), Into("short"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->reached, end);
  EXPECT_EQ(result->short_micros, 5'000'000u);
  RemoveFolder("short");
  // A closed timestamp answers with certainty, though the last write was before.
  archiver_.PutClosed(Timestamp{end.micros + 6'000'000});
  const auto exact = RestoreTo(store, AtTime(Timestamp{end.micros + 5'000'000}), Into("short"));
  ASSERT_TRUE(exact.ok()) << exact.status();
  EXPECT_EQ(exact->short_micros, 0u);
  EXPECT_EQ(exact->reached, (Timestamp{end.micros + 5'000'000}));
  EXPECT_EQ(LookInto(folder_ / "short"), source_.history().back().after);
}

TEST_F(RestoreTest, AContinuedClusterFencesAndBothHistoriesStayRestorable) {
  WriteSome(10);
  archiver_.PutBase();
  WriteSome(10);
  const Source::Written middle = source_.history().back();
  WriteSome(10);
  archiver_.PutLog(3);
  const Source::Written old_end = source_.history().back();

  Options options = Into("continued");
  options.continue_cluster = true;
  MemoryStore store(archiver_.bucket());
  const auto result = RestoreTo(store, AtTime(middle.timestamp), options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->cluster_id, IdToHex(source_.identity().cluster_id));
  const auto history = archive::DecodeTimeline(*store.Get(format::TimelineKey(Timeline{2})));
  ASSERT_TRUE(history.ok()) << history.status();
  EXPECT_EQ(history->parent, Timeline{1});
  EXPECT_EQ(history->fork, middle.end);
  EXPECT_EQ(history->fork_timestamp, middle.timestamp);

  Source continued(options.folder);
  EXPECT_EQ(continued.identity().timeline_id, history->id);
  for (int i = 0; i < 10; ++i) continued.WriteAny(random_);
  Archiver archiver(continued, archiver_.bucket());
  archiver.PutLog(3);

  const auto newest = RestoreTo(store, Target{}, Into("newest"));
  ASSERT_TRUE(newest.ok()) << newest.status();
  EXPECT_EQ(newest->timeline, Timeline{3});
  EXPECT_EQ(LookInto(folder_ / "newest"), continued.history().back().after);
  const Source::Written& later = continued.history()[4];
  ASSERT_TRUE(RestoreTo(store, AtTime(later.timestamp), Into("later")).ok());
  EXPECT_EQ(LookInto(folder_ / "later"), later.after);
  // What clients saw then was on the old timeline.
  ASSERT_TRUE(RestoreTo(store, AtTime(old_end.timestamp), Into("old")).ok());
  EXPECT_EQ(LookInto(folder_ / "old"), old_end.after);
  // The newest timeline, when asked for, had what was before the fork at that moment.
  Target on_new = AtTime(old_end.timestamp);
  on_new.timeline = Timeline{2};
  ASSERT_TRUE(RestoreTo(store, on_new, Into("on new")).ok());
  EXPECT_EQ(LookInto(folder_ / "on new"), middle.after);
  continued.Close();
}

TEST_F(RestoreTest, WhoContinuesAClusterAdoptsWhatCameWhileHeRestored) {
  WriteSome(9);
  archiver_.PutLog(3);
  MemoryStore store(archiver_.bucket());
  int reads = 0;
  // The plan lists once; what the old primary ships after that is there at the second look.
  store.SetHook([&](MemoryStore::Operation operation, std::string_view) {
    if (operation == MemoryStore::Operation::kGetStream || operation == MemoryStore::Operation::kGet) {
      if (std::exchange(reads, 1) == 0) {
        WriteSome(5);
        archiver_.PutLog(2);
      }
    }
    return absl::OkStatus();
  });
  const auto catalog = archive::Catalog::Load(store, true);
  reads = 0;
  const auto plan = MakePlan(store, *catalog, Target{});
  ASSERT_TRUE(plan.ok()) << plan.status();
  Options options = Into("adopted");
  options.continue_cluster = true;
  Progress progress;
  const auto result =
      restore::Run(FileSystem::Posix(), Clock::System(), store, *catalog, Target{}, *plan, options, &progress);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->reached_lsn, archiver_.next());
  EXPECT_EQ(LookInto(options.folder), source_.history().back().after);
}

// The old primary's yes: uploaded, and no newer timeline was to be seen yet.
TEST_F(RestoreTest, WhatIsWrittenBetweenTheLastLookAndTheFenceIsAdopted) {
  WriteSome(9);
  archiver_.PutLog(3);
  MemoryStore store(archiver_.bucket());
  int late = 0;
  store.SetHook([&](MemoryStore::Operation operation, std::string_view key) {
    if (operation == MemoryStore::Operation::kPut && key.starts_with("timelines/") && ++late <= 2) {
      WriteSome(5);
      archiver_.PutLog(2);
    }
    return absl::OkStatus();
  });
  Options options = Into("late");
  options.continue_cluster = true;
  std::vector<std::string> lines;
  options.report = [&](const std::string& line) { lines.push_back(line); };
  const auto result = RestoreTo(store, Target{}, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(late, 3);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[1].find(fmt::format("lsn:{:x}", archiver_.next().value)), std::string::npos) << lines[1];
  EXPECT_EQ(LookInto(options.folder), source_.history().back().after) << "acknowledged, and lost";
  EXPECT_EQ(result->timeline, Timeline{4});
  EXPECT_EQ(result->reached_lsn, archiver_.next());
  EXPECT_EQ(result->records, source_.history().size() + 1) << "and the record of the identity";

  // The timelines that stayed empty are in nobody's way.
  Source continued(options.folder);
  continued.Set("after", "the restore");
  Archiver archiver(continued, archiver_.bucket());
  archiver.PutLog();
  store.SetHook(nullptr);
  ASSERT_TRUE(RestoreTo(store, Target{}, Into("again")).ok());
  EXPECT_EQ(LookInto(folder_ / "again"), continued.history().back().after);
  const auto catalog = archive::Catalog::Load(store, true);
  ASSERT_TRUE(catalog.ok());
  EXPECT_EQ(archive::RestorableWindows(*catalog).back().timeline, Timeline{4});
}

TEST_F(RestoreTest, InterruptedAnywhereWhatCameLateIsAdopted) {
  WriteSome(9);
  archiver_.PutBase();
  WriteSome(9);
  archiver_.PutLog(3);
  const auto before = archiver_.bucket()->Copy();
  WriteSome(5);
  const auto late_keys = archiver_.PutLog(2);
  for (uint64_t failing = 1;; ++failing) {
    SCOPED_TRACE(failing);
    Options options = Into("late");
    options.continue_cluster = true;
    const auto bucket = before->Copy();
    MemoryStore store(bucket);
    std::atomic<uint64_t> operations{0};
    store.SetHook([&](MemoryStore::Operation operation, std::string_view key) {
      if (operation == MemoryStore::Operation::kPut && key.starts_with("timelines/")) {
        for (const std::string& late : late_keys) bucket->Set(late, *archiver_.bucket()->objects().at(late).bytes);
      }
      return ++operations >= failing ? absl::InternalError("pulled the plug") : absl::OkStatus();
    });
    const auto broken = RestoreTo(store, Target{}, options);
    operations = 0;
    const uint64_t only_once = std::exchange(failing, UINT64_MAX);
    options.resume = true;
    const auto result = broken.ok() ? broken : RestoreTo(store, Target{}, options);
    failing = only_once;
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(LookInto(options.folder), source_.history().back().after);
    RemoveFolder("late");
    if (broken.ok()) break;
    ASSERT_LT(failing, 200u);
  }
}

// Of several objects on their way the first may be the one that never arrives.
TEST_F(RestoreTest, WhatCameLateBeyondAHoleIsInNobodysWay) {
  WriteSome(9);
  archiver_.PutLog(3);
  const Contents wanted = source_.history().back().after;
  MemoryStore store(archiver_.bucket());
  store.SetHook([&](MemoryStore::Operation operation, std::string_view key) {
    if (operation == MemoryStore::Operation::kPut && key.starts_with("timelines/")) {
      WriteSome(6);
      archiver_.bucket()->Erase(archiver_.PutLog(3).front());
    }
    return absl::OkStatus();
  });
  Options options = Into("hole");
  options.continue_cluster = true;
  const auto result = RestoreTo(store, Target{}, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(LookInto(options.folder), wanted);
}

TEST_F(RestoreTest, WhoLosesTheRaceForATimelineTakesTheNextOne) {
  WriteSome(5);
  archiver_.PutLog();
  MemoryStore store(archiver_.bucket());
  MemoryStore rival(archiver_.bucket());
  bool raced = false;
  store.SetHook([&](MemoryStore::Operation operation, std::string_view key) {
    if (operation != MemoryStore::Operation::kPut || !key.starts_with("timelines/") || std::exchange(raced, true)) {
      return absl::OkStatus();
    }
    archive::TimelineHistory theirs{.timeline = Timeline{2},
                                    .id = Id128{7},
                                    .parent = Timeline{1},
                                    .fork = archiver_.next(),
                                    .fork_timestamp = archiver_.last_timestamp(),
                                    .cluster_id = source_.identity().cluster_id,
                                    .created_micros = 1,
                                    .reason = "promotion"};
    return rival.Put(key, archive::EncodeTimeline(theirs), objstore::PutCondition::kMustNotExist);
  });
  Options options = Into("raced");
  options.continue_cluster = true;
  const auto result = RestoreTo(store, Target{}, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->timeline, Timeline{3});
  EXPECT_EQ(LookInto(options.folder), source_.history().back().after);
}

TEST_F(RestoreTest, AnEncryptedArchiveNeedsItsKey) {
  const auto ring = archive::KeyRing::Parse(std::string(64, 'a') + "\n", "test");
  ASSERT_TRUE(ring.ok()) << ring.status();
  archive::CodecOptions codec;
  codec.keys = *ring;
  WriteSome(10);
  Archiver encrypted(source_, std::make_shared<objstore::MemoryBucket>(), codec);
  encrypted.PutBase();
  WriteSome(10);
  encrypted.PutLog(3);
  MemoryStore store(encrypted.bucket());
  const auto refused = RestoreTo(store, Target{}, Into("encrypted"));
  EXPECT_TRUE(absl::IsPermissionDenied(refused.status())) << refused.status();
  Options options = Into("encrypted");
  options.keys = *ring;
  options.resume = true;
  const auto result = RestoreTo(store, Target{}, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(LookInto(options.folder), source_.history().back().after);
}

class ExpiryTest : public RestoreTest {
 protected:
  // Written an hour ago by the source's word: a key that has expired since and one that has not.
  ExpiryTest() {
    now_ms_ = Clock::System().WallMicros() / 1000;
    source_.Set("stays", "1");
    source_.Set("long", "2", now_ms_ + 7'200'000);
    source_.Set("short", "3", now_ms_ + 400);
    archiver_.PutBase();
    source_.Set("short too", "4", now_ms_ + 400);
    target_ = source_.history().back().timestamp;
    archiver_.PutLog();
    while (Clock::System().WallMicros() / 1000 <= now_ms_ + 400) std::this_thread::yield();
  }
  absl::StatusOr<Result> Restore(ExpiryMode mode) {
    MemoryStore store(archiver_.bucket());
    Options options = Into("expiry");
    options.expiry = mode;
    return RestoreTo(store, AtTime(target_), options);
  }
  static bool Sweep(Source& server) {
    engine::Sweeper sweeper(server.engine(), 16);
    return sweeper.SweepExpired(100).ok();
  }

  uint64_t now_ms_ = 0;
  Timestamp target_;
};

TEST_F(ExpiryTest, FrozenNothingGoesUntilItIsThawed) {
  ASSERT_TRUE(Restore(ExpiryMode::kFreeze).ok());
  Source server(folder_ / "expiry");
  ASSERT_TRUE(Sweep(server));
  EXPECT_EQ(server.Look(), source_.history().back().after);
  EXPECT_EQ(server.engine().expiry_stands_at(), target_);
  ASSERT_TRUE(server.engine().ThawExpiry().ok());
  ASSERT_TRUE(Sweep(server));
  const Contents thawed = server.Look();
  EXPECT_EQ(thawed.size(), 2u);
  EXPECT_TRUE(thawed.contains("0/stays") && thawed.contains("0/long"));
}

TEST_F(ExpiryTest, AppliedAbsoluteTimesCount) {
  ASSERT_TRUE(Restore(ExpiryMode::kApply).ok());
  const Contents contents = LookInto(folder_ / "expiry");
  EXPECT_EQ(contents.size(), 2u);
  EXPECT_TRUE(contents.contains("0/stays") && contents.contains("0/long"));
}

TEST_F(ExpiryTest, ShiftedEachKeyHasAsLongToLiveAsItHadThen) {
  const auto result = Restore(ExpiryMode::kShift);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->shifted_keys, 3u);
  const uint64_t restored_ms = Clock::System().WallMicros() / 1000;
  Source server(folder_ / "expiry");
  uint64_t left_ms = 0;
  ASSERT_TRUE(server.engine()
                  .Read(kv::Tier::kDisk,
                        [&](kv::Txn& txn) -> absl::Status {
                          types::Keyspace keyspace(txn, DbIndex{0});
                          TM_ASSIGN_OR_RETURN(const types::Key key, keyspace.Find("long"));
                          left_ms = key.stored_expire_ms - restored_ms;
                          return absl::OkStatus();
                        })
                  .ok());
  const uint64_t had_ms = now_ms_ + 7'200'000 - target_.millis();
  EXPECT_LE(left_ms, had_ms + 1);
  EXPECT_GT(left_ms + 20'000, had_ms);
  EXPECT_FALSE(server.engine().expiry_stands_at().has_value());
  // Its index moved with it: the sweeper finds every key when its time has come.
  while (Clock::System().WallMicros() / 1000 <= restored_ms + 450) std::this_thread::yield();
  ASSERT_TRUE(Sweep(server));
  EXPECT_EQ(server.engine().store().db(DbIndex{0}).expires, 1);
}

TEST_F(ExpiryTest, ARestoreOfAFrozenServerStandsWhereThatStood) {
  ASSERT_TRUE(Restore(ExpiryMode::kFreeze).ok());
  Source server(folder_ / "expiry");
  server.Set("new", "5", Clock::System().WallMicros() / 1000 + kHourMicros / 1000);
  Archiver archiver(server);
  archiver.SkipTo(server.engine().log().appended(), 0, server.history().back().timestamp);
  archiver.PutBase();
  MemoryStore store(archiver.bucket());
  Options options = Into("again");
  options.expiry = ExpiryMode::kFreeze;
  const auto result = RestoreTo(store, Target{}, options);
  ASSERT_TRUE(result.ok()) << result.status();
  Source again(options.folder);
  EXPECT_EQ(again.engine().expiry_stands_at(), target_);
  EXPECT_EQ(again.Look(), server.history().back().after);
}

}  // namespace
}  // namespace tidemark::restore
