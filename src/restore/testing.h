// A server's life and its archive, for the tests of this folder: an engine whose every write is remembered as clients
// saw it, and whose log and snapshots are put into an archive in memory.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "archive/base.h"
#include "archive/catalog.h"
#include "archive/codec.h"
#include "base/check.h"
#include "engine/engine.h"
#include "engine/identity.h"
#include "format/log_format.h"
#include "objstore/memory_store.h"
#include "restore/restore.h"
#include "types/keyspace.h"

namespace tidemark::restore::testing {

// What clients can see: a line for each key of each database.
using Contents = std::map<std::string, std::string>;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/tidemark-restore-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return fmt::format("{}/{}", path_, name); }

 private:
  std::string path_;
};

inline engine::EngineOptions SmallEngine(std::string folder) {
  engine::EngineOptions options;
  options.folder = std::move(folder);
  options.log.segment_size = 1 << 20;
  options.log.durability = log::Durability::kNo;
  // Each record is one that a test wrote.
  options.sweeping = false;
  options.store.dirty_bytes = 1 << 20;
  options.store.hot_bytes = 8 << 20;
  options.store.block_cache_bytes = 4 << 20;
  return options;
}

// Expired keys are left out, as a client would see it by `txn`'s time.
inline absl::Status ReadContents(kv::Txn& txn, Contents* contents) {
  for (uint16_t db = 0; db < 16; ++db) {
    types::Keyspace keyspace(txn, DbIndex{db});
    std::vector<std::pair<std::string, kv::CollectionId>> hashes;
    TM_RETURN_IF_ERROR(keyspace.VisitKeys(0, SIZE_MAX, [&](const types::Key& key, uint64_t) {
      if (!key) return true;
      const std::string name = fmt::format("{}/{}", db, key.name);
      (*contents)[name] = fmt::format("{} until {} ", key.string, key.expire_ms);
      if (key.type == types::Type::kHash) hashes.emplace_back(name, key.collection);
      return true;
    }));
    for (const auto& [name, collection] : hashes) {
      TM_RETURN_IF_ERROR(keyspace.VisitMembers(collection, 0, SIZE_MAX,
                                               [&](std::string_view member, std::string_view value, uint32_t) {
                                                 (*contents)[name] += fmt::format("{}={};", member, value);
                                                 return true;
                                               }));
    }
  }
  return absl::OkStatus();
}

// A server.
class Source {
 public:
  // A write, and what stood in the store right after it.
  struct Written {
    Lsn lsn;
    Lsn end;
    Timestamp timestamp;
    Contents after;
  };

  explicit Source(std::string folder) : folder_(std::move(folder)) { Open(); }

  void Open() {
    auto opened = engine::Engine::Open(FileSystem::Posix(), Clock::System(), SmallEngine(folder_));
    TM_CHECK(opened.ok(), "{}", Message(opened.status()));
    engine_ = *std::move(opened);
    auto identity = engine::EnsureIdentity(*engine_, Clock::System());
    TM_CHECK(identity.ok(), "{}", Message(identity.status()));
    identity_ = *identity;
  }
  void Close() {
    TM_CHECK(engine_->Close().ok());
    engine_.reset();
  }

  engine::Engine& engine() { return *engine_; }
  const engine::Identity& identity() const { return identity_; }
  const std::vector<Written>& history() const { return history_; }

  Contents Look() {
    Contents contents;
    const absl::Status status =
        engine_->Read(kv::Tier::kDisk, [&](kv::Txn& txn) { return ReadContents(txn, &contents); });
    TM_CHECK(status.ok(), "{}", Message(status));
    return contents;
  }

  // One record, remembered.
  void Write(engine::TxnFunction body) {
    const Lsn lsn = engine_->log().next_lsn();
    Timestamp timestamp;
    const absl::Status status = engine_->Write(kv::Tier::kDisk, true, [&](kv::Txn& txn) {
      timestamp = txn.now();
      return body(txn);
    });
    TM_CHECK(status.ok(), "{}", Message(status));
    engine_->EndTurn();
    if (engine_->last_end() > lsn) history_.push_back({lsn, engine_->last_end(), timestamp, Look()});
  }
  void Set(std::string_view name, std::string_view value, uint64_t expire_ms = 0, DbIndex db = DbIndex{0}) {
    Write([&](kv::Txn& txn) -> absl::Status {
      types::Keyspace keyspace(txn, db);
      TM_ASSIGN_OR_RETURN(types::Key key, keyspace.Find(name));
      keyspace.PutString(&key, value, expire_ms);
      return absl::OkStatus();
    });
  }
  void Delete(std::string_view name, DbIndex db = DbIndex{0}) {
    Write([&](kv::Txn& txn) -> absl::Status {
      types::Keyspace keyspace(txn, db);
      TM_ASSIGN_OR_RETURN(types::Key key, keyspace.Find(name));
      keyspace.Remove(&key);
      return absl::OkStatus();
    });
  }
  void SetField(std::string_view name, std::string_view field, std::string_view value, DbIndex db = DbIndex{0}) {
    Write([&](kv::Txn& txn) -> absl::Status {
      types::Keyspace keyspace(txn, db);
      TM_ASSIGN_OR_RETURN(types::Key key, keyspace.Find(name));
      if (key && key.type != types::Type::kHash) keyspace.Remove(&key);
      const kv::CollectionId id = key ? key.collection : txn.NewCollectionId();
      TM_ASSIGN_OR_RETURN(const kv::Value old, keyspace.GetMemberRow(id, field));
      keyspace.PutMember(id, field, value);
      keyspace.PutCollection(&key, types::Type::kHash, id, key.count + (old ? 0 : 1), key.expire_ms);
      return absl::OkStatus();
    });
  }
  // Any of what clients do, many keys few times.
  void WriteAny(std::mt19937_64& random) {
    const DbIndex db{static_cast<uint16_t>(random() % 3 == 0 ? 40 % 16 : 0)};
    const std::string name = fmt::format("key{}", random() % 20);
    const uint64_t later_ms = Clock::System().WallMicros() / 1000 + 3'600'000 + random() % 1000;
    switch (random() % 12) {
      case 0:
        return Delete(name, db);
      case 1:
        return Set(name, fmt::format("{}", random()), later_ms, db);
      case 2:
        if (random() % 3 != 0) return Set(name, std::string(random() % 20'000, 'x'), 0, db);
        return Write([&](kv::Txn& txn) {
          if (random() % 2 == 0) txn.ReplaceContents(db);
          txn.SwapContents(DbIndex{0}, db);
          return absl::OkStatus();
        });
      case 3:
      case 4:
      case 5:
        return SetField("hash" + name, fmt::format("f{}", random() % 30), fmt::format("{}", random()), db);
      default:
        return Set(name, fmt::format("{}", random()), 0, db);
    }
  }

 private:
  const std::string folder_;
  std::unique_ptr<engine::Engine> engine_;
  engine::Identity identity_;
  std::vector<Written> history_;
};

// Puts what a backup task would.
class Archiver {
 public:
  explicit Archiver(Source& source,
                    std::shared_ptr<objstore::MemoryBucket> bucket = std::make_shared<objstore::MemoryBucket>(),
                    archive::CodecOptions codec = {})
      : source_(source), bucket_(std::move(bucket)), store_(bucket_), codec_(std::move(codec)) {
    const engine::Identity& identity = source_.identity();
    next_ = source_.engine().log().oldest();
    Put(std::string(format::kArchiveIdentityName),
        archive::EncodeIdentity({.cluster_id = identity.cluster_id, .created_micros = 1}));
    Put(format::TimelineKey(identity.timeline), archive::EncodeTimeline({.timeline = identity.timeline,
                                                                         .id = identity.timeline_id,
                                                                         .parent = identity.parent,
                                                                         .fork = identity.fork,
                                                                         .fork_timestamp = identity.fork_timestamp,
                                                                         .cluster_id = identity.cluster_id,
                                                                         .created_micros = identity.created_micros,
                                                                         .reason = identity.reason}));
  }

  const std::shared_ptr<objstore::MemoryBucket>& bucket() const { return bucket_; }

  // Objects of `records` each, up to the end of the log; the last may have fewer. Returns their keys.
  std::vector<std::string> PutLog(size_t records = 10) {
    log::Log& log = source_.engine().log();
    TM_CHECK(log.SyncTo(log.appended()).ok());
    auto cursor = log.OpenCursor(next_);
    TM_CHECK(cursor.ok(), "{}", Message(cursor.status()));
    std::vector<std::string> keys;
    while ((*cursor)->position() < log.durable()) {
      archive::LogObjectWriter writer(codec_, Origin(), next_, crc_);
      for (size_t i = 0; i < records && (*cursor)->position() < log.durable(); ++i) {
        const auto record = (*cursor)->Next(std::chrono::milliseconds(0));
        TM_CHECK(record.ok() && writer.Add(record->raw).ok());
        last_timestamp_ = record->timestamp;
        crc_ = format::DecodeRecordHeader(record->raw.data()).crc;
        next_ = record->end;
      }
      auto object = writer.Finish(last_timestamp_);
      TM_CHECK(object.ok(), "{}", Message(object.status()));
      keys.push_back(format::LogObjectKey(object->name));
      Put(keys.back(), object->bytes);
    }
    return keys;
  }
  // Says that the log is closed up to `closed`, without records.
  void PutClosed(Timestamp closed) {
    archive::LogObjectWriter writer(codec_, Origin(), next_, crc_);
    auto object = writer.Finish(closed);
    TM_CHECK(object.ok(), "{}", Message(object.status()));
    Put(format::LogObjectKey(object->name), object->bytes);
  }
  // A base of what has been put as log so far. Returns its key.
  std::string PutBase() {
    PutLog();
    const auto lsn = source_.engine().SnapshotAs("base");
    TM_CHECK(lsn.ok() && *lsn == next_);
    archive::Manifest manifest;
    manifest.name = {source_.identity().timeline, *lsn, last_timestamp_};
    manifest.cluster_id = source_.identity().cluster_id;
    manifest.timeline_id = source_.identity().timeline_id;
    manifest.last_crc = crc_;
    manifest.last_crc_known = true;
    archive::BaseOptions options;
    options.codec = codec_;
    archive::BaseProgress progress;
    const auto put =
        archive::UploadBase(store_, source_.engine().SnapshotFolder("base"), manifest, nullptr, options, &progress);
    TM_CHECK(put.ok(), "{}", Message(put.status()));
    return format::BaseKey(put->name);
  }
  // The log before this is not uploaded.
  void SkipTo(Lsn lsn, uint32_t crc, Timestamp timestamp) {
    next_ = lsn;
    crc_ = crc;
    last_timestamp_ = timestamp;
  }
  Lsn next() const { return next_; }
  Timestamp last_timestamp() const { return last_timestamp_; }

 private:
  archive::Origin Origin() const {
    return {source_.identity().cluster_id, source_.identity().timeline, source_.identity().timeline_id};
  }
  void Put(const std::string& key, const std::string& bytes) {
    const absl::Status put = store_.Put(key, bytes, objstore::PutCondition::kNone);
    TM_CHECK(put.ok(), "{}", Message(put));
  }

  Source& source_;
  const std::shared_ptr<objstore::MemoryBucket> bucket_;
  objstore::MemoryStore store_;
  const archive::CodecOptions codec_;
  Lsn next_;
  uint32_t crc_ = 0;
  Timestamp last_timestamp_;
};

inline Target AtTime(Timestamp time) {
  Target target;
  target.kind = Target::Kind::kTime;
  target.time = time;
  return target;
}
inline Target AtLsn(Lsn lsn) {
  Target target;
  target.kind = Target::Kind::kLsn;
  target.lsn = lsn;
  return target;
}

inline absl::StatusOr<Plan> PlanOf(objstore::ObjectStore& store, const Target& target,
                                   const std::string& pinned_base = {}) {
  TM_ASSIGN_OR_RETURN(const archive::Catalog catalog, archive::Catalog::Load(store, /*with_files=*/true));
  return MakePlan(store, catalog, target, pinned_base);
}

// Plans and runs, as the command does: with the base of a restore that was begun.
inline absl::StatusOr<Result> RestoreTo(objstore::ObjectStore& store, const Target& target, const Options& options,
                                        FileSystem& fs = FileSystem::Posix(), Progress* progress = nullptr) {
  Progress own;
  TM_ASSIGN_OR_RETURN(const archive::Catalog catalog, archive::Catalog::Load(store, /*with_files=*/true));
  TM_ASSIGN_OR_RETURN(const std::optional<Begun> begun, ReadBegun(fs, options.folder));
  Target planned = target;
  if (begun) planned.timeline = begun->timeline;
  TM_ASSIGN_OR_RETURN(const Plan plan, MakePlan(store, catalog, planned, begun ? begun->base : std::string()));
  return Run(fs, Clock::System(), store, catalog, target, plan, options, progress != nullptr ? progress : &own);
}

// What a server started on the folder shows.
inline Contents LookInto(const std::string& folder) {
  Source restored(folder);
  const Contents contents = restored.Look();
  restored.Close();
  return contents;
}

}  // namespace tidemark::restore::testing
