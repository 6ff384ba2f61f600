// A base that is there can be restored byte for byte; whatever happens on the way leaves either none or a whole one.
#include "archive/base.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "archive/archive_testing.h"
#include "archive/file_codec.h"
#include "archive/lease.h"
#include "env/faulty_file.h"
#include "objstore/memory_store.h"
#include "objstore/testing.h"

namespace tidemark::archive {
namespace {

using objstore::MemoryBucket;
using objstore::MemoryStore;
using objstore::RandomBytes;
using Operation = MemoryStore::Operation;
using Files = std::map<std::string, std::string>;

constexpr uint64_t kNow = 1'700'000'000'000'000;

class FixedClock final : public Clock {
 public:
  uint64_t WallMicros() override { return kNow; }
  uint64_t MonotonicMicros() override { return 1; }
};

Manifest Draft(uint64_t lsn = 5000) {
  Manifest manifest;
  manifest.name = {Timeline{1}, Lsn{lsn}, Timestamp{kNow - 1000 + lsn}};
  manifest.cluster_id = {1};
  manifest.timeline_id = {2};
  manifest.last_crc = 77;
  manifest.last_crc_known = true;
  manifest.database_id = "db";
  return manifest;
}

class Base : public testing::Test {
 protected:
  Base() {
    options_.files = &fs_;
    options_.clock = &clock_;
    options_.jobs = 1;
  }
  static Files SomeFiles() {
    return {{"000012.sst", RandomBytes(3'000'000, 1)}, {"000013.sst", RandomBytes(70'000, 2)},
            {"CURRENT", "MANIFEST-000005\n"},          {"IDENTITY", ""},
            {"MANIFEST-000005", RandomBytes(500, 3)},  {"OPTIONS-000007", RandomBytes(500, 3)}};
  }
  void WriteFolder(const std::string& folder, const Files& files) {
    ASSERT_OK(fs_.CreateFolder(folder));
    for (const auto& [name, bytes] : files) {
      auto file = fs_.Open(folder + "/" + name, FileSystem::Mode::kCreateNew);
      ASSERT_OK(file.status());
      ASSERT_OK((*file)->Write(0, bytes));
      ASSERT_OK((*file)->Sync());
    }
    ASSERT_OK(fs_.SyncFolder(folder));
  }
  Files ReadFolder(const std::string& folder) {
    Files files;
    const auto names = fs_.List(folder);
    EXPECT_TRUE(names.ok()) << names.status();
    for (const std::string& name : *names) files[name] = *ReadWholeFile(fs_, folder + "/" + name);
    return files;
  }
  absl::StatusOr<Manifest> Put(objstore::ObjectStore& store, uint64_t lsn = 5000) {
    return UploadBase(store, "/checkpoint", Draft(lsn), nullptr, options_, nullptr);
  }
  // The base as a stranger with nothing but the bucket gets it.
  Files Fetch(std::shared_ptr<MemoryBucket> bucket, const std::string& folder, uint64_t lsn = 5000) {
    MemoryStore store(std::move(bucket));
    const auto name = Draft(lsn).name;
    const auto manifest = ReadManifest(store, {name, format::BaseKey(name)});
    EXPECT_TRUE(manifest.ok()) << manifest.status();
    EXPECT_OK(DownloadBase(store, *manifest, folder, options_, nullptr));
    return ReadFolder(folder);
  }
  static bool HasBase(const MemoryBucket& bucket) {
    const auto objects = bucket.objects();
    return objects.contains(format::BaseKey(Draft().name));
  }

  FaultyFileSystem fs_;
  FixedClock clock_;
  BaseOptions options_;
  std::shared_ptr<MemoryBucket> bucket_ = std::make_shared<MemoryBucket>();
  MemoryStore store_{bucket_};
};

TEST_F(Base, ComesBackByteForByte) {
  const Files files = SomeFiles();
  WriteFolder("/checkpoint", files);
  for (const int jobs : {1, 4}) {
    for (const auto& keys : {KeyRing::Empty(), TestRing(kTestKey)}) {
      const auto bucket = std::make_shared<MemoryBucket>();
      MemoryStore store(bucket);
      options_.jobs = jobs;
      options_.codec.keys = keys;
      BaseProgress progress;
      const auto manifest = UploadBase(store, "/checkpoint", Draft(), nullptr, options_, &progress);
      ASSERT_TRUE(manifest.ok()) << manifest.status();
      EXPECT_EQ(progress.bytes_done, manifest->bytes());
      EXPECT_EQ(progress.bytes_total, manifest->bytes());
      EXPECT_EQ(progress.bytes_sent, manifest->bytes() - 500);  // two files have the same content
      EXPECT_EQ(progress.files_done, files.size());
      EXPECT_EQ(Fetch(bucket, "/restored" + std::to_string(jobs) + (keys->empty() ? "" : "e")), files);
      for (const auto& [key, object] : bucket->objects()) {
        EXPECT_FALSE(key.starts_with("leases/"));
        const bool readable = object.bytes->find("MANIFEST-000005\n") != std::string::npos;
        EXPECT_TRUE(keys->empty() || !readable) << key;
      }
    }
  }
}

TEST_F(Base, SendsOnlyWhatTheArchiveLacks) {
  WriteFolder("/checkpoint", SomeFiles());
  ASSERT_OK(Put(store_).status());
  WriteFolder("/checkpoint", {{"000014.sst", "new"}});
  BaseProgress progress;
  ASSERT_OK(UploadBase(store_, "/checkpoint", Draft(6000), nullptr, options_, &progress).status());
  EXPECT_EQ(progress.bytes_sent, 3u);
  EXPECT_EQ(Fetch(bucket_, "/one").size(), SomeFiles().size());
  EXPECT_EQ(Fetch(bucket_, "/two", 6000).size(), SomeFiles().size() + 1);
}

// Not even read, if it is the same file of the same database: seen by changing one behind the back of time.
TEST_F(Base, UnchangedFilesAreNotRead) {
  const std::string folder = testing::TempDir() + "/tidemark_base_test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const std::string path = folder + "/000001.sst";
  std::ofstream(path) << "former";
  options_.files = &FileSystem::Posix();
  const auto first = UploadBase(store_, folder, Draft(), nullptr, options_, nullptr);
  ASSERT_OK(first.status());
  struct stat before {};
  ASSERT_EQ(::stat(path.c_str(), &before), 0);
  std::fstream(path, std::ios::in | std::ios::out) << "LATTER";
  const timespec times[2] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);

  const auto second = UploadBase(store_, folder, Draft(6000), &*first, options_, nullptr);
  ASSERT_OK(second.status());
  EXPECT_EQ(second->files[0].content, first->files[0].content);
  Manifest other = Draft(7000);
  other.database_id = "another: inodes mean nothing";
  const auto third = UploadBase(store_, folder, other, &*first, options_, nullptr);
  ASSERT_OK(third.status());
  EXPECT_NE(third->files[0].content, first->files[0].content);
  std::filesystem::remove_all(folder);
}

// The uploader dies before each of its operations in turn.
TEST_F(Base, CutAnywhereLeavesNoneOrAWholeOneAndGoesOn) {
  const Files files = SomeFiles();
  WriteFolder("/checkpoint", files);
  for (int alive = 0;; ++alive) {
    SCOPED_TRACE(alive);
    const auto bucket = std::make_shared<MemoryBucket>();
    MemoryStore dying(bucket);
    int calls = 0;
    dying.SetHook([&](Operation, std::string_view) {
      return calls++ < alive ? absl::OkStatus() : absl::UnavailableError("dead");
    });
    const bool done = Put(dying).ok();
    const bool has_base = HasBase(*bucket);
    EXPECT_TRUE(!done || has_base);
    if (has_base) {
      EXPECT_EQ(Fetch(bucket->Copy(), "/r" + std::to_string(alive)), files);
    }
    uint64_t there = 0;
    for (const auto& [key, object] : bucket->objects()) {
      if (key.starts_with("files/")) there += format::ParseFileKey(key)->size;
    }
    MemoryStore again(bucket);
    BaseProgress progress;
    const auto manifest = UploadBase(again, "/checkpoint", Draft(), nullptr, options_, &progress);
    ASSERT_OK(manifest.status());
    EXPECT_EQ(progress.bytes_sent + there, manifest->bytes() - 500);
    EXPECT_EQ(progress.bytes_done, manifest->bytes());
    EXPECT_EQ(Fetch(bucket, "/s" + std::to_string(alive)), files);
    if (done && calls <= alive) break;
    ASSERT_LT(alive, 100);
  }
}

TEST_F(Base, ComesThroughABadNetwork) {
  const Files files = SomeFiles();
  WriteFolder("/checkpoint", files);
  options_.jobs = 3;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    const auto bucket = std::make_shared<MemoryBucket>();
    MemoryStore store(bucket);
    store.SetFaults({.seed = seed, .unavailable = 60, .throttled = 30, .lost_answer = 60, .damaged = 30});
    int attempts = 0;
    while (true) {
      const auto manifest = Put(store);
      if (manifest.ok()) break;
      ASSERT_TRUE(objstore::IsPassing(manifest.status())) << manifest.status();
      ASSERT_LT(++attempts, 200);
    }
    EXPECT_EQ(Fetch(bucket, "/n" + std::to_string(seed)), files);
  }
}

TEST_F(Base, HoldsALeaseWhileItWorks) {
  WriteFolder("/checkpoint", SomeFiles());
  bool held = false;
  store_.SetHook([&](Operation operation, std::string_view) {
    if (operation != Operation::kPutStream) return absl::OkStatus();
    for (const auto& [key, object] : bucket_->objects()) {
      const auto lease = format::ParseArchiveLeaseKey(key);
      if (lease && lease->expires_micros == kNow + kLeaseMicros && (lease->holder & kDeleterBit) == 0) held = true;
    }
    return absl::OkStatus();
  });
  ASSERT_OK(Put(store_).status());
  EXPECT_TRUE(held);
}

// Retention had looked for leases before ours was there, and deletes a file that we have found.
TEST_F(Base, FilesDeletedMeanwhileAreSentAgain) {
  const Files files = SomeFiles();
  WriteFolder("/checkpoint", files);
  ASSERT_OK(Put(store_, 4000).status());
  const std::string flag = format::ArchiveLeaseKey({kDeleterBit | 1, kNow + 1});
  bucket_->Set(flag, "");
  EXPECT_EQ(Put(store_).status().code(), absl::StatusCode::kAborted);
  EXPECT_FALSE(HasBase(*bucket_));

  const auto big = format::FileKey([&] {
    const auto file = fs_.Open("/checkpoint/000012.sst", FileSystem::Mode::kRead);
    return *HashFile(**file, nullptr);
  }());
  // The deleter is done once the upload has looked at the last file.
  store_.SetHook([&](Operation operation, std::string_view key) {
    if (operation == Operation::kGetRange && key == big && bucket_->Erase(flag)) bucket_->Erase(big);
    return absl::OkStatus();
  });
  ASSERT_OK(Put(store_).status());
  EXPECT_EQ(Fetch(bucket_, "/restored"), files);
}

TEST_F(Base, AnotherClusterIsNotTakenForAnEarlierAttempt) {
  WriteFolder("/checkpoint", SomeFiles());
  ASSERT_OK(Put(store_).status());
  ASSERT_OK(Put(store_).status());
  Manifest foreign = Draft();
  foreign.cluster_id = {9};
  EXPECT_EQ(UploadBase(store_, "/checkpoint", foreign, nullptr, options_, nullptr).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(Base, FilesOnceStoredPlainAreEncryptedWhenThereIsAKey) {
  WriteFolder("/checkpoint", SomeFiles());
  ASSERT_OK(Put(store_).status());
  options_.codec.keys = TestRing(kTestKey);
  ASSERT_OK(Put(store_, 6000).status());
  for (const auto& [key, object] : bucket_->objects()) {
    if (!key.starts_with("files/")) continue;
    EXPECT_NE(format::DecodeObjectHeader(*object.bytes)->flags & format::kAes256Gcm, 0u);
  }
  // A new first key leaves what the old one has encrypted.
  options_.codec.keys = TestRing(std::string(kOtherKey) + kTestKey);
  BaseProgress progress;
  ASSERT_OK(UploadBase(store_, "/checkpoint", Draft(7000), nullptr, options_, &progress).status());
  EXPECT_EQ(progress.bytes_sent, 0u);
  EXPECT_EQ(Fetch(bucket_, "/restored", 7000), SomeFiles());
}

TEST_F(Base, CancelEndsUploadAndDownload) {
  WriteFolder("/checkpoint", SomeFiles());
  BaseProgress progress;
  store_.SetHook([&](Operation operation, std::string_view) {
    if (operation == Operation::kPutStream || operation == Operation::kGetStream) progress.cancel = true;
    return absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsCancelled(UploadBase(store_, "/checkpoint", Draft(), nullptr, options_, &progress).status()));
  EXPECT_FALSE(HasBase(*bucket_));
  MemoryStore store(bucket_);
  const auto manifest = Put(store);
  ASSERT_OK(manifest.status());
  progress.cancel = false;
  EXPECT_TRUE(absl::IsCancelled(DownloadBase(store_, *manifest, "/r", options_, &progress)));
}

TEST_F(Base, DownloadGoesOnWhereItWasCut) {
  const Files files = SomeFiles();
  WriteFolder("/checkpoint", files);
  const auto manifest = Put(store_);
  ASSERT_OK(manifest.status());
  for (size_t fetched = 0; fetched < files.size(); ++fetched) {
    SCOPED_TRACE(fetched);
    const std::string folder = "/cut" + std::to_string(fetched);
    MemoryStore dying(bucket_);
    dying.SetHook([&](Operation, std::string_view) {
      return dying.count(Operation::kGetStream) <= fetched ? absl::OkStatus() : absl::UnavailableError("dead");
    });
    EXPECT_FALSE(DownloadBase(dying, *manifest, folder, options_, nullptr).ok());
    fs_.PowerLoss(fetched);
    fs_.Restart();
    MemoryStore again(bucket_);
    ASSERT_OK(DownloadBase(again, *manifest, folder, options_, nullptr));
    EXPECT_EQ(ReadFolder(folder), files);
    fs_.PowerLoss(fetched + 100);
    fs_.Restart();
    EXPECT_EQ(ReadFolder(folder), files);  // what was said to be there is
    MemoryStore third(bucket_);
    ASSERT_OK(DownloadBase(third, *manifest, folder, options_, nullptr));
    EXPECT_EQ(third.count(Operation::kGetStream), 0u);
  }
}

TEST_F(Base, DamagedOrMissingFileIsNamedAndNotLeftBehind) {
  WriteFolder("/checkpoint", SomeFiles());
  const auto manifest = Put(store_);
  ASSERT_OK(manifest.status());
  const ManifestFile& victim = manifest->files[0];
  ASSERT_EQ(victim.name, "000012.sst");
  const std::string key = FileKey(victim.content);
  EXPECT_OK(VerifyFile(store_, victim.content, *KeyRing::Empty()));
  ASSERT_TRUE(bucket_->FlipBit(key, 2'500'000));
  EXPECT_EQ(VerifyFile(store_, victim.content, *KeyRing::Empty()).code(), absl::StatusCode::kDataLoss);
  absl::Status status = DownloadBase(store_, *manifest, "/r", options_, nullptr);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(Message(status).find(key), std::string::npos) << status;
  EXPECT_FALSE(ReadFolder("/r").contains("000012.sst"));
  bucket_->Erase(key);
  status = DownloadBase(store_, *manifest, "/r", options_, nullptr);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(Message(status).find(key), std::string::npos) << status;
}

TEST_F(Base, WrongFilesInTheTargetAreReplaced) {
  const Files files = SomeFiles();
  WriteFolder("/checkpoint", files);
  const auto manifest = Put(store_);
  ASSERT_OK(manifest.status());
  WriteFolder("/r", {{"000013.sst", RandomBytes(70'000, 99)}, {"CURRENT", "short"}, {"000099.sst.part", "left over"}});
  ASSERT_OK(DownloadBase(store_, *manifest, "/r", options_, nullptr));
  EXPECT_EQ(ReadFolder("/r"), files);
}

TEST_F(Base, NoFileNameLeadsOutOfTheFolder) {
  WriteFolder("/checkpoint", SomeFiles());
  const auto manifest = Put(store_);
  ASSERT_OK(manifest.status());
  for (const std::string& name : {std::string(".."), std::string("."), std::string(""), std::string("../CURRENT"),
                                  std::string("/etc/passwd"), std::string("a/b"), std::string("a\0b", 3),
                                  std::string("a\nb"), std::string("x.part"), std::string(300, 'x')}) {
    Manifest hostile = *manifest;
    hostile.files[1].name = name;
    EXPECT_EQ(DecodeManifest(EncodeManifest(hostile)).status().code(), absl::StatusCode::kDataLoss) << name;
    EXPECT_EQ(DownloadBase(store_, hostile, "/r", options_, nullptr).code(), absl::StatusCode::kInvalidArgument);
  }
  Manifest twice = *manifest;
  twice.files[1].name = twice.files[0].name;
  EXPECT_EQ(DecodeManifest(EncodeManifest(twice)).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(Base, ManifestComesBackAndAnyDamageIsFound) {
  WriteFolder("/checkpoint", {{"CURRENT", "x"}});
  const auto manifest = Put(store_);
  ASSERT_OK(manifest.status());
  const std::string json = EncodeManifest(*manifest);
  const auto back = DecodeManifest(json);
  ASSERT_OK(back.status());
  EXPECT_EQ(EncodeManifest(*back), json);
  EXPECT_EQ(back->created_micros, kNow);
  EXPECT_EQ(back->last_crc, 77u);
  for (size_t bit = 0; bit < json.size() * 8; ++bit) {
    std::string bad = json;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_FALSE(DecodeManifest(bad).ok()) << bit;
  }
  for (size_t size = 0; size < json.size(); ++size) ASSERT_FALSE(DecodeManifest(json.substr(0, size)).ok());

  const format::BaseName other{Timeline{1}, Lsn{1}, Timestamp{1}};
  bucket_->Set(format::BaseKey(other), json);
  EXPECT_EQ(ReadManifest(store_, {other, format::BaseKey(other)}).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace tidemark::archive
