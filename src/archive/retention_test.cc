// What a user would lose: a moment that could be restored. Random archives are compared, record by record, with what
// the test itself knows of them.
#include "archive/retention.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <set>

#include "archive/archive_testing.h"
#include "archive/base.h"
#include "archive/lease.h"
#include "format/log_format.h"
#include "objstore/memory_store.h"
#include "objstore/testing.h"

namespace tidemark::archive {
namespace {

using objstore::MemoryBucket;
using objstore::MemoryStore;

constexpr uint64_t kNow = 1'000'000;
constexpr uint64_t kRecordBytes = 10;

class FixedClock final : public Clock {
 public:
  uint64_t WallMicros() override { return kNow; }
  uint64_t MonotonicMicros() override { return 1; }
};

// What a listing says. (Catalog::Load reads the histories from objects, which these archives do not have.)
Catalog ListOf(const MemoryBucket& bucket, const std::map<Timeline, TimelineHistory>& timelines) {
  Catalog catalog;
  catalog.timelines = timelines;
  for (const auto& [key, object] : bucket.objects()) {
    if (const auto log = format::ParseLogObjectKey(key)) {
      catalog.log[log->timeline].push_back({*log, key, object.bytes->size(), 0});
    } else if (const auto base = format::ParseBaseKey(key)) {
      catalog.bases.push_back({*base, key});
    } else if (format::ParseFileKey(key)) {
      catalog.files[key] = object.bytes->size();
    } else if (const auto lease = format::ParseArchiveLeaseKey(key)) {
      catalog.leases.push_back(*lease);
    }
  }
  return catalog;
}

struct TrueRecord {
  Timeline timeline;
  uint64_t lsn;
  uint64_t micros;
};

// An archive, and all that ever happened, whether the archive has it or not.
class World {
 public:
  World() { Add(Timeline{1}, Timeline{0}, format::kFirstLsn.value, {}); }

  Timeline Fork(Timeline parent, size_t records_kept) {
    std::vector<TrueRecord> lineage(lineages_[parent].begin(),
                                    lineages_[parent].begin() + static_cast<std::ptrdiff_t>(records_kept));
    const Timeline child{static_cast<uint32_t>(lineages_.size() + 1)};
    Add(child, parent, format::kFirstLsn.value + records_kept * kRecordBytes, std::move(lineage));
    return child;
  }
  void Append(Timeline timeline, size_t count, uint64_t step = 10) {
    std::vector<TrueRecord>& lineage = lineages_[timeline];
    for (size_t i = 0; i < count; ++i) {
      lineage.push_back({timeline, format::kFirstLsn.value + lineage.size() * kRecordBytes, micros_ += step});
    }
  }
  void Pass(uint64_t micros) { micros_ += micros; }
  uint64_t micros() const { return micros_; }
  size_t count(Timeline timeline) const { return lineages_.at(timeline).size(); }
  size_t fork(Timeline timeline) const { return forks_.at(timeline); }
  const std::map<Timeline, std::vector<TrueRecord>>& lineages() const { return lineages_; }

  // Records [from, to) of the lineage, own ones; none: a mark. `closed`: up to one less than the record that follows.
  std::string PutLog(Timeline timeline, size_t from, size_t to, std::optional<uint64_t> closed = std::nullopt) {
    const std::vector<TrueRecord>& lineage = lineages_[timeline];
    const uint64_t last = to == 0 ? 0 : lineage[to - 1].micros;
    const uint64_t until = closed.value_or(last);
    const format::LogObjectName name{timeline, At(from), At(to), Timestamp{from < to ? lineage[from].micros : until},
                                     Timestamp{until}};
    bucket_->Set(format::LogObjectKey(name), std::string(to - from + 1, 'x'));
    return format::LogObjectKey(name);
  }
  // After `records` of the lineage, with files of these numbers.
  std::string PutBase(Timeline timeline, size_t records, const std::vector<uint8_t>& files) {
    Manifest manifest;
    manifest.name = {timeline, At(records), Timestamp{records == 0 ? 0 : lineages_[timeline][records - 1].micros}};
    for (const uint8_t number : files) {
      manifest.files.push_back({fmt::format("{}.sst", number), FileOf(number), 0, 0});
      PutFile(number);
    }
    bucket_->Set(format::BaseKey(manifest.name), EncodeManifest(manifest));
    return format::BaseKey(manifest.name);
  }
  std::string PutFile(uint8_t number) {
    bucket_->Set(FileKey(FileOf(number)), "file");
    return FileKey(FileOf(number));
  }
  static format::FileName FileOf(uint8_t number) { return {TestId(number), number}; }
  static Lsn At(size_t records) { return format::kFirstLsn + records * kRecordBytes; }

  Catalog List() const { return ListOf(*bucket_, histories_); }
  const std::shared_ptr<MemoryBucket>& bucket() const { return bucket_; }

  // Every moment (of those where something changes, and just after) that the archive can restore to, by target
  // timeline.
  std::map<Timeline, std::set<uint64_t>> Restorable() const;

 private:
  void Add(Timeline timeline, Timeline parent, uint64_t fork, std::vector<TrueRecord> lineage) {
    histories_[timeline] = {timeline, TestId(1), parent, Lsn{parent == Timeline{0} ? 0 : fork}, {}, {}, 0, ""};
    forks_[timeline] = lineage.size();
    lineages_[timeline] = std::move(lineage);
  }

  std::shared_ptr<MemoryBucket> bucket_ = std::make_shared<MemoryBucket>();
  std::map<Timeline, std::vector<TrueRecord>> lineages_;
  std::map<Timeline, size_t> forks_;  // records taken over from the parent
  std::map<Timeline, TimelineHistory> histories_;
  uint64_t micros_ = 1000;
};

// Restores by hand, one moment at a time: a place to start at or before it, then record after record, each in some
// object, until one is later, or something says that none follows.
class Restorer {
 public:
  Restorer(const Catalog& catalog, const MemoryBucket& bucket, const std::vector<TrueRecord>& lineage, Timeline target,
           const std::map<Timeline, TimelineHistory>& histories)
      : lineage_(lineage) {
    Lsn to{UINT64_MAX};
    for (Timeline t = target; t != Timeline{0}; t = histories.at(t).parent) {
      const Lsn from = std::min(to, histories.at(t).fork);
      ancestors_[t] = {from, to};
      to = from;
    }
    for (const auto& [timeline, objects] : catalog.log) {
      if (!ancestors_.contains(timeline)) continue;
      log_.insert(log_.end(), objects.begin(), objects.end());
    }
    for (size_t i = 0; i < lineage.size(); ++i) have_.push_back(Have(lineage[i]));
    starts_.emplace_back(0, 0);
    const auto objects = bucket.objects();
    for (const BaseEntry& base : catalog.bases) {
      const Manifest manifest = *DecodeManifest(*objects.at(base.key).bytes);
      for (const ManifestFile& file : manifest.files) {
        EXPECT_TRUE(objects.contains(FileKey(file.content))) << base.key << " lacks a file";
      }
      const uint64_t index = (base.name.lsn - format::kFirstLsn) / kRecordBytes;
      if (index > lineage.size() || !OnLineage(base.name.timeline, index)) continue;
      starts_.emplace_back(base.name.timestamp.micros, index);
    }
  }
  bool Reaches(uint64_t moment) const {
    return std::any_of(starts_.begin(), starts_.end(), [&](const auto& start) {
      if (start.first > moment) return false;
      size_t at = start.second;
      while (at < lineage_.size() && have_[at] && lineage_[at].micros <= moment) ++at;
      if (at < lineage_.size() && have_[at]) return at > 0;
      if (at > 0 && lineage_[at - 1].micros == moment) return true;
      return at > 0 && (at == lineage_.size() || lineage_[at].micros > moment) && ClosedAt(at, moment);
    });
  }

 private:
  // The position after `index` records lies on what this target has of `timeline`.
  bool OnLineage(Timeline timeline, size_t index) const {
    const auto own = ancestors_.find(timeline);
    return own != ancestors_.end() && own->second.first <= World::At(index) && World::At(index) <= own->second.second;
  }
  bool Have(const TrueRecord& record) const {
    return std::any_of(log_.begin(), log_.end(), [&](const LogEntry& object) {
      return object.name.timeline == record.timeline && object.name.first.value <= record.lsn &&
             record.lsn + kRecordBytes <= object.name.end.value;
    });
  }
  bool ClosedAt(size_t index, uint64_t moment) const {
    return std::any_of(log_.begin(), log_.end(), [&](const LogEntry& object) {
      return object.name.end == World::At(index) && OnLineage(object.name.timeline, index) &&
             object.name.closed_timestamp.micros >= moment;
    });
  }

  const std::vector<TrueRecord>& lineage_;
  std::map<Timeline, std::pair<Lsn, Lsn>> ancestors_;  // from where to where they count
  std::vector<LogEntry> log_;
  std::vector<bool> have_;
  std::vector<std::pair<uint64_t, size_t>> starts_;
};

std::map<Timeline, std::set<uint64_t>> World::Restorable() const {
  const Catalog catalog = List();
  std::set<uint64_t> moments;
  for (const auto& [timeline, lineage] : lineages_) {
    for (const TrueRecord& record : lineage) moments.insert({record.micros, record.micros + 1, record.micros + 5});
  }
  for (uint64_t late = 0; late < 40; late += 5) moments.insert(micros_ + late);
  std::map<Timeline, std::set<uint64_t>> restorable;
  for (const auto& [timeline, lineage] : lineages_) {
    const Restorer restorer(catalog, *bucket_, lineage, timeline, histories_);
    std::set<uint64_t>& own = restorable[timeline];
    for (const uint64_t moment : moments) {
      if (restorer.Reaches(moment)) own.insert(moment);
    }
  }
  return restorable;
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  size_t Below(size_t bound) { return bound == 0 ? 0 : engine_() % bound; }
  bool Chance(unsigned percent) { return Below(100) < percent; }

 private:
  std::mt19937_64 engine_;
};

// Puts what happened on `timeline` into the archive as tasks, merges, failures and gaps would have.
void ArchiveLog(World* world, Timeline timeline, Random* random) {
  const size_t end = world->count(timeline);
  const auto& lineage = world->lineages().at(timeline);
  const auto closed_of = [&](size_t to) {
    const uint64_t last = to == 0 ? 1000 : lineage[to - 1].micros;
    const uint64_t next = to < end ? lineage[to].micros : last + 30;
    return last + random->Below(next - last);
  };
  for (int pass = 0; pass < 2; ++pass) {
    for (size_t from = world->fork(timeline); from < end;) {
      const size_t to = std::min(end, from + 1 + random->Below(pass == 0 ? 4 : 9));
      // The second pass lays merged objects and those of another uploader over the first.
      if (random->Chance(pass == 0 ? 88 : 25)) world->PutLog(timeline, from, to, closed_of(to));
      if (random->Chance(15)) world->PutLog(timeline, to, to, closed_of(to));
      from = to;
    }
  }
}

World RandomWorld(Random* random) {
  World world;
  world.Append(Timeline{1}, 5 + random->Below(12));
  for (size_t forks = random->Below(4); forks > 0; --forks) {
    const Timeline parent{static_cast<uint32_t>(1 + random->Below(world.lineages().size()))};
    const Timeline child = world.Fork(parent, random->Below(world.count(parent) + 1));
    for (int turns = 0; turns < 3; ++turns) {
      world.Append(random->Chance(25) ? parent : child, random->Below(6));
      world.Pass(random->Below(30));
    }
  }
  std::vector<Timeline> timelines;
  for (const auto& [timeline, lineage] : world.lineages()) timelines.push_back(timeline);
  for (const Timeline timeline : timelines) {
    ArchiveLog(&world, timeline, random);
    for (size_t bases = random->Below(4); bases > 0; --bases) {
      const size_t own = world.count(timeline) - world.fork(timeline);
      const size_t at = world.fork(timeline) + random->Below(own + 1);
      std::vector<uint8_t> files{static_cast<uint8_t>(1 + random->Below(4)),
                                 static_cast<uint8_t>(10 + random->Below(9))};
      if (at > 0) world.PutBase(timeline, at, files);
    }
  }
  if (random->Chance(50)) world.PutFile(99);
  return world;
}

// Every moment of `before` from `keep_from` on, and the newest of the newest timeline, is in `after`.
void ExpectKept(const std::map<Timeline, std::set<uint64_t>>& before,
                const std::map<Timeline, std::set<uint64_t>>& after, uint64_t keep_from) {
  for (const auto& [timeline, moments] : before) {
    for (const uint64_t moment : moments) {
      if (moment < keep_from) continue;
      ASSERT_TRUE(after.at(timeline).contains(moment)) << "moment " << moment << " on timeline " << timeline.value;
    }
  }
  const auto& newest = *before.rbegin();
  if (newest.second.empty()) return;
  const uint64_t last = *newest.second.rbegin();
  ASSERT_TRUE(after.at(newest.first).contains(last)) << "the newest moment " << last;
}

class Retention : public testing::Test {
 protected:
  absl::StatusOr<RetentionPlan> Plan(const World& world, uint64_t keep_from) {
    MemoryStore store(world.bucket());
    return PlanRetention(store, world.List(), Timestamp{keep_from}, kNow);
  }
  absl::Status Carry(const World& world, const RetentionPlan& plan) {
    MemoryStore store(world.bucket());
    return CarryOut(store, plan, clock_, 1);
  }
  std::set<std::string> Keys(const World& world) {
    std::set<std::string> keys;
    for (const auto& [key, object] : world.bucket()->objects()) keys.insert(key);
    return keys;
  }
  FixedClock clock_;
};

TEST_F(Retention, NoMomentToKeepIsLostWhereverItIsCut) {
  const char* const more = std::getenv("TM_SIM_SEEDS");
  const uint64_t seeds = more != nullptr ? std::strtoull(more, nullptr, 10) : 120;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Random random(seed);
    const World world = RandomWorld(&random);
    const uint64_t keep_from = 1000 + random.Below(world.micros() - 1000 + 60);
    const auto before = world.Restorable();
    const size_t dies_after = random.Below(12);
    for (const bool dying : {true, false}) {
      const auto plan = Plan(world, keep_from);
      ASSERT_OK(plan.status());
      MemoryStore store(world.bucket());
      size_t deleted = 0;
      store.SetHook([&](MemoryStore::Operation operation, std::string_view) {
        const bool dead = dying && deleted > dies_after;
        if (operation == MemoryStore::Operation::kDelete) ++deleted;
        return dead ? absl::UnavailableError("dead") : absl::OkStatus();
      });
      EXPECT_TRUE(CarryOut(store, *plan, clock_, 1).ok() || dying);
      const auto after = world.Restorable();
      ExpectKept(before, after, keep_from);
      if (HasFailure()) return;
      for (const auto& [key, object] : world.bucket()->objects()) {
        if (key.starts_with("leases/")) world.bucket()->Erase(key);
      }
    }
    // Nothing more to do, and what is told is what is there.
    const auto again = Plan(world, keep_from);
    ASSERT_OK(again.status());
    EXPECT_TRUE(again->bases.empty() && again->log.empty() && again->files.empty());
    uint64_t oldest = UINT64_MAX;
    for (const auto& [timeline, moments] : world.Restorable()) {
      if (!moments.empty()) oldest = std::min(oldest, *moments.begin());
    }
    if (oldest == UINT64_MAX) continue;
    EXPECT_LE(again->oldest_restorable.micros, oldest);
    EXPECT_GT(again->oldest_restorable.micros, 0u);
  }
}

// A base a day, log in between, a window of two days: only what the window needs is left.
TEST_F(Retention, KeepsTheWindowAndNoMore) {
  World world;
  std::vector<std::string> bases;
  std::vector<std::string> log;
  for (uint8_t day = 0; day < 6; ++day) {
    world.Append(Timeline{1}, 10);
    log.push_back(world.PutLog(Timeline{1}, world.count(Timeline{1}) - 10, world.count(Timeline{1})));
    bases.push_back(world.PutBase(Timeline{1}, world.count(Timeline{1}), {day, static_cast<uint8_t>(day + 1)}));
  }
  const std::string orphan = world.PutFile(200);
  const uint64_t day = 100;
  const auto plan = Plan(world, world.micros() - 2 * day - day / 2);
  ASSERT_OK(plan.status());
  EXPECT_EQ(plan->bases.size(), 2u);
  EXPECT_EQ(plan->oldest_restorable.micros, world.micros() - 3 * day);
  ASSERT_OK(Carry(world, *plan));
  const std::set<std::string> keys = Keys(world);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(keys.contains(bases[i]), i >= 2) << i;
    EXPECT_EQ(keys.contains(log[i]), i >= 3) << i;
    EXPECT_EQ(keys.contains(FileKey(World::FileOf(static_cast<uint8_t>(i)))), i >= 2) << i;
  }
  EXPECT_FALSE(keys.contains(orphan));
  EXPECT_FALSE(std::any_of(keys.begin(), keys.end(), [](const auto& key) { return key.starts_with("leases/"); }));
}

// A task that has been off for longer than the window must not lose its last state (pain 6: newest deleted).
TEST_F(Retention, NeverTheNewestBaseNorWhatFollowsIt) {
  World world;
  world.Append(Timeline{1}, 10);
  world.PutLog(Timeline{1}, 0, 10);
  const std::string first = world.PutBase(Timeline{1}, 4, {1});
  const std::string newest = world.PutBase(Timeline{1}, 6, {2});
  const auto plan = Plan(world, world.micros() + 1'000'000);
  ASSERT_OK(plan.status());
  ASSERT_OK(Carry(world, *plan));
  EXPECT_TRUE(Keys(world).contains(newest));
  EXPECT_FALSE(Keys(world).contains(first));
  EXPECT_TRUE(world.Restorable().at(Timeline{1}).contains(world.micros()));
}

TEST_F(Retention, LogOfTheParentStaysForItsChildren) {
  World world;
  world.Append(Timeline{1}, 10);
  const std::string before_fork = world.PutLog(Timeline{1}, 0, 6);
  const std::string base = world.PutBase(Timeline{1}, 2, {1});
  const std::string tail = world.PutLog(Timeline{1}, 6, 10);
  world.Fork(Timeline{1}, 6);
  world.Pass(1000);
  world.Append(Timeline{2}, 5);
  world.PutLog(Timeline{2}, 6, 11);
  const auto plan = Plan(world, world.micros());
  ASSERT_OK(plan.status());
  ASSERT_OK(Carry(world, *plan));
  EXPECT_TRUE(Keys(world).contains(base));
  EXPECT_TRUE(Keys(world).contains(before_fork));
  EXPECT_FALSE(Keys(world).contains(tail));  // what nobody can restore to from keep_from on
}

// After a gap the log goes on before the new base is there.
TEST_F(Retention, LogAfterAGapWaitsForItsBase) {
  World world;
  world.Append(Timeline{1}, 20);
  world.PutLog(Timeline{1}, 0, 8);
  world.PutBase(Timeline{1}, 4, {1});
  const std::string after_gap = world.PutLog(Timeline{1}, 12, 20);
  const auto plan = Plan(world, world.micros() + 50);
  ASSERT_OK(plan.status());
  ASSERT_OK(Carry(world, *plan));
  EXPECT_TRUE(Keys(world).contains(after_gap));
  world.PutBase(Timeline{1}, 15, {2});
  EXPECT_TRUE(world.Restorable().at(Timeline{1}).contains(world.micros()));
}

TEST_F(Retention, ReadersAndUploadsHoldEverything) {
  World world;
  world.Append(Timeline{1}, 10);
  world.PutLog(Timeline{1}, 0, 10);
  world.PutBase(Timeline{1}, 4, {1});
  world.PutBase(Timeline{1}, 8, {2});
  const std::string lease = format::ArchiveLeaseKey({7, kNow + 1});
  world.bucket()->Set(lease, "");
  auto plan = Plan(world, world.micros());
  ASSERT_OK(plan.status());
  EXPECT_NE(plan->held_by.find(lease), std::string::npos) << plan->held_by;
  EXPECT_TRUE(plan->bases.empty() && plan->log.empty() && plan->files.empty());
  EXPECT_EQ(plan->bytes, 0u);
  // Expired ones, and those of others who delete, do not.
  world.bucket()->Erase(lease);
  world.bucket()->Set(format::ArchiveLeaseKey({7, kNow}), "");
  world.bucket()->Set(format::ArchiveLeaseKey({kDeleterBit | 7, kNow + 1}), "");
  plan = Plan(world, world.micros());
  ASSERT_OK(plan.status());
  EXPECT_TRUE(plan->held_by.empty());
  EXPECT_EQ(plan->bases.size(), 1u);
  // Taken after the plan was made.
  const std::set<std::string> before = Keys(world);
  world.bucket()->Set(lease, "");
  EXPECT_TRUE(absl::IsAborted(Carry(world, *plan)));
  world.bucket()->Erase(lease);
  EXPECT_EQ(Keys(world), before);
}

// A restore of days ago that takes hours does not keep what was before it, nor lose what it reads.
TEST_F(Retention, AReaderThatSaysWhatItNeedsHoldsThatOnly) {
  World world;
  world.Append(Timeline{1}, 20);
  const std::string first = world.PutLog(Timeline{1}, 0, 5);
  const std::string second = world.PutLog(Timeline{1}, 5, 10);
  const std::string third = world.PutLog(Timeline{1}, 10, 20);
  const std::string oldest = world.PutBase(Timeline{1}, 2, {1});
  const std::string read = world.PutBase(Timeline{1}, 6, {2});
  const std::string newest = world.PutBase(Timeline{1}, 18, {3});
  const std::string lease = format::ArchiveLeaseKey({7, kNow + 1});
  world.bucket()->Set(lease, EncodeLeaseNeeds({.timeline = Timeline{1}, .from = World::At(6), .base = read}));
  const auto plan = Plan(world, world.micros());
  ASSERT_OK(plan.status());
  EXPECT_EQ(plan->held_by, "");
  EXPECT_EQ(plan->oldest_restorable, format::ParseBaseKey(read)->timestamp);
  // It has been renewed since: the holder is the same.
  world.bucket()->Erase(lease);
  world.bucket()->Set(format::ArchiveLeaseKey({7, kNow + 2}),
                      EncodeLeaseNeeds({.timeline = Timeline{1}, .from = World::At(6), .base = read}));
  ASSERT_OK(Carry(world, *plan));
  const std::set<std::string> left = Keys(world);
  for (const std::string& key : {second, third, read, newest, FileKey(World::FileOf(2)), FileKey(World::FileOf(3))}) {
    EXPECT_TRUE(left.contains(key)) << key << " was needed";
  }
  for (const std::string& key : {first, oldest, FileKey(World::FileOf(1))}) EXPECT_FALSE(left.contains(key)) << key;
  // Of one that cannot be understood nothing is known.
  world.bucket()->Set(format::ArchiveLeaseKey({8, kNow + 1}), "a later release's");
  const auto held = Plan(world, world.micros());
  ASSERT_OK(held.status());
  EXPECT_NE(held->held_by, "");
}

TEST_F(Retention, BaseThatCompletedMeanwhileKeepsItsFiles) {
  World world;
  world.Append(Timeline{1}, 10);
  world.PutLog(Timeline{1}, 0, 10);
  world.PutBase(Timeline{1}, 4, {1});
  world.PutBase(Timeline{1}, 8, {2});
  const std::string orphan = world.PutFile(3);
  const auto plan = Plan(world, world.micros());
  ASSERT_OK(plan.status());
  ASSERT_EQ(plan->files.size(), 2u);
  world.PutBase(Timeline{1}, 10, {1, 2});
  ASSERT_OK(Carry(world, *plan));
  EXPECT_TRUE(Keys(world).contains(FileKey(World::FileOf(1))));
  EXPECT_FALSE(Keys(world).contains(orphan));
}

TEST_F(Retention, TimelineThatBeganMeanwhileStopsIt) {
  World world;
  world.Append(Timeline{1}, 10);
  world.PutLog(Timeline{1}, 0, 10);
  world.PutBase(Timeline{1}, 4, {1});
  world.PutBase(Timeline{1}, 8, {2});
  const auto plan = Plan(world, world.micros());
  ASSERT_OK(plan.status());
  const std::set<std::string> before = Keys(world);
  const std::string history = format::TimelineKey(Timeline{2});
  world.bucket()->Set(history, "{}");
  EXPECT_TRUE(absl::IsAborted(Carry(world, *plan)));
  world.bucket()->Erase(history);
  EXPECT_EQ(Keys(world), before);
}

TEST_F(Retention, NothingGoesWhereAHistoryIsMissingOrAManifestUnreadable) {
  World world;
  world.Append(Timeline{1}, 10);
  world.PutLog(Timeline{1}, 0, 10);
  const std::string base = world.PutBase(Timeline{1}, 4, {1});
  MemoryStore store(world.bucket());
  Catalog catalog = world.List();
  catalog.timelines.clear();
  EXPECT_EQ(PlanRetention(store, catalog, Timestamp{1}, kNow).status().code(), absl::StatusCode::kFailedPrecondition);
  catalog = world.List();
  catalog.timelines[Timeline{1}].parent = Timeline{1};
  EXPECT_EQ(PlanRetention(store, catalog, Timestamp{1}, kNow).status().code(), absl::StatusCode::kDataLoss);
  world.bucket()->FlipBit(base, 100);
  const auto plan = PlanRetention(store, world.List(), Timestamp{1}, kNow);
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(Message(plan.status()).find(base), std::string::npos);
}

}  // namespace
}  // namespace tidemark::archive
