#include "kv/rocks.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/perf_context.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace tidemark::kv {
namespace {

rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }
std::string_view FromSlice(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

absl::StatusCode CodeOf(const rocksdb::Status& status) {
  if (status.IsCorruption()) return absl::StatusCode::kDataLoss;
  if (status.IsNoSpace()) return absl::StatusCode::kResourceExhausted;
  if (status.IsNotFound()) return absl::StatusCode::kNotFound;
  return absl::StatusCode::kInternal;
}

absl::Status FromRocks(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return absl::OkStatus();
  if (status.IsIncomplete()) return ColdRow();
  return Errorf(CodeOf(status), "store: {}: {}", what, status.ToString());
}

// RocksDB blames the MANIFEST for an SST file that it cannot open, so the files are tried one by one. Empty when all
// open.
std::string FindDamagedFile(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().extension() != ".sst") continue;
    rocksdb::SstFileReader reader{rocksdb::Options()};
    if (!reader.Open(entry.path()).ok()) return entry.path();
  }
  return {};
}

// Opening has cases of its own: a file that is gone is damage too, and a lock held means a second server.
absl::Status FromOpen(const rocksdb::Status& status, const std::string& folder) {
  std::string text = status.ToString();
  if (status.IsIOError() && text.find("lock") != std::string::npos) {
    return Errorf(absl::StatusCode::kFailedPrecondition, "store {} is in use by another process: {}", folder, text);
  }
  if (text.find("While creating a new Db") != std::string::npos) {
    return Errorf(absl::StatusCode::kDataLoss, "store {}: its file CURRENT is missing, others are there: {}", folder,
                  text);
  }
  if (text.find("No such file") != std::string::npos) {
    // It looks for the name that LevelDB gave such files last, and reports that.
    if (const size_t at = text.find(".ldb"); at != std::string::npos) text.replace(at, 4, ".sst");
    return Errorf(absl::StatusCode::kDataLoss, "store {}: a file is missing: {}", folder, text);
  }
  if (status.IsCorruption()) {
    if (const std::string file = FindDamagedFile(folder); !file.empty()) {
      return Errorf(absl::StatusCode::kDataLoss, "store: {} is damaged: {}", file, text);
    }
  }
  return FromRocks(status, "cannot open " + folder);
}

// RocksDB's messages, in the file LOG of its folder. Its own logger aborts the process (an assertion of Debian's build)
// when the disk is full; here a message that cannot be written is lost.
class MessageFile final : public rocksdb::Logger {
 public:
  explicit MessageFile(const std::string& folder) : Logger(rocksdb::InfoLogLevel::INFO_LEVEL), path_(folder + "/LOG") {
    Roll();
  }
  MessageFile(const MessageFile&) = delete;
  MessageFile& operator=(const MessageFile&) = delete;
  ~MessageFile() override {
    if (file_ != nullptr) std::fclose(file_);
  }

  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    MutexLock lock(mutex_);
    if (file_ == nullptr) return;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const int stamp = std::fprintf(file_, "%.6f ", std::chrono::duration<double>(now).count());
    const int text = std::vfprintf(file_, format, arguments);
    std::fputc('\n', file_);
    std::fflush(file_);
    bytes_ += static_cast<uint64_t>(std::max(stamp, 0)) + static_cast<uint64_t>(std::max(text, 0));
    if (bytes_ >= kBytesMax) Roll();
  }

 private:
  static constexpr uint64_t kBytesMax = 8 << 20;

  // The file before is kept as LOG.old.
  void Roll() {
    if (file_ != nullptr) std::fclose(file_);
    std::rename(path_.c_str(), (path_ + ".old").c_str());
    file_ = std::fopen(path_.c_str(), "we");
    bytes_ = 0;
  }

  const std::string path_;
  Mutex mutex_;
  std::FILE* file_ = nullptr;
  uint64_t bytes_ = 0;
};

rocksdb::BlockBasedTableOptions TableOptions(std::shared_ptr<rocksdb::Cache> block_cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = std::move(block_cache);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
  // Outside the block cache, in memory as long as the file is open: a row that is not there seldom costs a read.
  table.cache_index_and_filter_blocks = false;
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  // Debian's build computes CRC-32C without the CPU's instruction.
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;
  return table;
}

rocksdb::Options DbOptions(uint64_t ingest_bytes) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.max_open_files = -1;
  options.max_background_jobs = 2;
  options.avoid_unnecessary_blocking_io = true;
  options.avoid_flush_during_shutdown = true;
  options.avoid_flush_during_recovery = true;
  options.bytes_per_sync = 1 << 20;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  // The memtable stays empty.
  options.write_buffer_size = 1 << 20;

  options.level_compaction_dynamic_level_bytes = true;
  options.level0_file_num_compaction_trigger = 4;
  options.max_bytes_for_level_base = 4 * ingest_bytes;
  options.target_file_size_base = 64 << 20;
  // The upper levels are rewritten soon, and read most.
  options.compression_per_level = {rocksdb::kNoCompression, rocksdb::kNoCompression, rocksdb::kLZ4Compression};
  return options;
}

}  // namespace

struct RocksIterator::Bounds {
  std::string begin;
  std::string end;
  rocksdb::Slice lower;
  rocksdb::Slice upper;
};

// Iterators that nobody uses, each of the moment between two changes of RocksDB's files. They are let go at every
// change: they would miss what was ingested, and keep files that a compaction has replaced.
class Rocks::Resting {
 public:
  // Of the files as they are now, or null.
  std::unique_ptr<RocksIterator> Take(Tier tier, uint64_t* version) {
    MutexLock lock(mutex_);
    *version = version_;
    auto& resting = resting_[tier == Tier::kMemory ? 0 : 1];
    if (resting.empty()) return nullptr;
    std::unique_ptr<RocksIterator> iterator = std::move(resting.back());
    resting.pop_back();
    return iterator;
  }
  // Not after an error, which RocksDB's iterators may hold on to.
  void GiveBack(std::unique_ptr<RocksIterator> iterator, Tier tier, uint64_t version) {
    MutexLock lock(mutex_);
    auto& resting = resting_[tier == Tier::kMemory ? 0 : 1];
    if (version == version_ && resting.size() < kRestingMax) resting.push_back(std::move(iterator));
  }
  void FilesHaveChanged() {
    std::array<std::vector<std::unique_ptr<RocksIterator>>, 2> gone;
    MutexLock lock(mutex_);
    ++version_;
    gone.swap(resting_);
  }

 private:
  static constexpr size_t kRestingMax = 16;

  Mutex mutex_;
  uint64_t version_ = 0;
  std::array<std::vector<std::unique_ptr<RocksIterator>>, 2> resting_;
};

// Remembers the background error, which RocksDB itself only reports to the next writer, and tells of new files.
class Rocks::Listener : public rocksdb::EventListener {
 public:
  explicit Listener(std::shared_ptr<Resting> resting) : resting_(std::move(resting)) {}
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo&) override { resting_->FilesHaveChanged(); }
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* error) override {
    MutexLock lock(mutex_);
    error_ = error->ToString();
  }
  void OnErrorRecoveryEnd(const rocksdb::BackgroundErrorRecoveryInfo& info) override {
    if (!info.new_bg_error.ok()) return;
    MutexLock lock(mutex_);
    error_.clear();
  }
  std::string error() {
    MutexLock lock(mutex_);
    return error_;
  }
  void Clear() {
    MutexLock lock(mutex_);
    error_.clear();
  }

 private:
  const std::shared_ptr<Resting> resting_;
  Mutex mutex_;
  std::string error_;
};

RocksIterator::RocksIterator(std::unique_ptr<rocksdb::Iterator> iterator, std::unique_ptr<Bounds> bounds)
    : bounds_(std::move(bounds)), iterator_(std::move(iterator)) {}
RocksIterator::~RocksIterator() = default;
void RocksIterator::SetBounds(std::string_view begin, std::string_view end) {
  bounds_->begin.assign(begin);
  bounds_->end.assign(end);
  bounds_->lower = bounds_->begin;
  bounds_->upper = bounds_->end;
}
void RocksIterator::Seek(std::string_view row) { iterator_->Seek(ToSlice(row)); }
void RocksIterator::SeekBelow(std::string_view row) {
  iterator_->SeekForPrev(ToSlice(row));
  if (iterator_->Valid() && FromSlice(iterator_->key()) == row) iterator_->Prev();
}
void RocksIterator::Next() { iterator_->Next(); }
void RocksIterator::Prev() { iterator_->Prev(); }
// Downwards RocksDB compares with the lower bound only in a file that reached below it when the file was opened.
bool RocksIterator::Valid() const { return iterator_->Valid() && FromSlice(iterator_->key()) >= bounds_->begin; }
std::string_view RocksIterator::row() const { return FromSlice(iterator_->key()); }
std::string_view RocksIterator::value() const { return FromSlice(iterator_->value()); }
absl::Status RocksIterator::status() const { return FromRocks(iterator_->status(), "scan"); }

RocksMoment::RocksMoment(rocksdb::DB& db) : db_(db), snapshot_(db.GetSnapshot()) {}
RocksMoment::~RocksMoment() { db_.ReleaseSnapshot(snapshot_); }

std::unique_ptr<RocksIterator> RocksMoment::NewIterator(std::string_view end) const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_;
  options.fill_cache = false;
  auto bounds = std::make_unique<RocksIterator::Bounds>();
  bounds->end.assign(end);
  bounds->upper = bounds->end;
  options.iterate_upper_bound = &bounds->upper;
  return std::make_unique<RocksIterator>(std::unique_ptr<rocksdb::Iterator>(db_.NewIterator(options)),
                                         std::move(bounds));
}

RowFile::RowFile(std::string path) : path_(std::move(path)) {}

RowFile::~RowFile() {
  writer_.reset();
  // What was written of it would keep a full disk full.
  if (!finished_) ::unlink(path_.c_str());
}

void RowFile::Put(std::string_view row, std::string_view value) {
  if (status_.ok()) status_ = FromRocks(writer_->Put(ToSlice(row), ToSlice(value)), "write rows");
}

void RowFile::Delete(std::string_view row) {
  if (status_.ok()) status_ = FromRocks(writer_->Delete(ToSlice(row)), "write rows");
}

void RowFile::DeleteRange(std::string_view begin, std::string_view end) {
  if (status_.ok()) status_ = FromRocks(writer_->DeleteRange(ToSlice(begin), ToSlice(end)), "write rows");
}

absl::StatusOr<uint64_t> RowFile::Finish() {
  TM_RETURN_IF_ERROR(status_);
  rocksdb::ExternalSstFileInfo info;
  TM_RETURN_IF_ERROR(FromRocks(writer_->Finish(&info), "finish a file of rows"));
  finished_ = true;
  return info.file_size;
}

Rocks::Rocks(std::string folder)
    : folder_(std::move(folder)),
      resting_(std::make_shared<Resting>()),
      listener_(std::make_shared<Listener>(resting_)) {}

Rocks::~Rocks() { resting_->FilesHaveChanged(); }

std::string Rocks::RowFilePath() const { return folder_ + "/persist.tmp"; }

absl::StatusOr<std::unique_ptr<Rocks>> Rocks::Open(const std::string& folder, uint64_t block_cache_bytes,
                                                   uint64_t ingest_bytes) {
  auto rocks = std::unique_ptr<Rocks>(new Rocks(folder));
  rocks->block_cache_ = rocksdb::NewLRUCache(block_cache_bytes, /*num_shard_bits=*/4);
  rocksdb::Options options = DbOptions(ingest_bytes);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(TableOptions(rocks->block_cache_)));
  // What a RowFile becomes is read from level 0: not compressed.
  rocks->row_file_options_ = std::make_unique<rocksdb::Options>(options);
  rocks->row_file_options_->compression_per_level.clear();
  rocks->row_file_options_->compression = rocksdb::kNoCompression;
  options.listeners.push_back(rocks->listener_);
  options.info_log = std::make_shared<MessageFile>(folder);

  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, folder, &db);
  if (!status.ok()) return FromOpen(status, folder);
  rocks->db_.reset(db);
  if (::unlink(rocks->RowFilePath().c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "remove " + rocks->RowFilePath());
  }
  return rocks;
}

absl::StatusOr<Value> Rocks::Get(std::string_view row, Tier tier) {
  rocksdb::ReadOptions options;
  if (tier == Tier::kMemory) options.read_tier = rocksdb::kBlockCacheTier;
  rocksdb::PinnableSlice value;
  const rocksdb::Status status = db_->Get(options, db_->DefaultColumnFamily(), ToSlice(row), &value);
  if (status.IsNotFound()) return Value();
  if (!status.ok()) return FromRocks(status, "read a row");
  return Value(FromSlice(value));
}

namespace {

// Blocks that this thread has not found in the cache. RocksDB 7.8.3 loses the error of a block that it may not read
// when the block's file has a deleted range: LevelIterator then goes on as if the file had ended ("iterator may return
// incorrect result for DeleteRange() users if there was an error reading from a file", repaired in 8.1). So whether
// something was missing is asked of what counts the misses.
uint64_t BlockMisses() {
  rocksdb::PerfContext* const context = rocksdb::get_perf_context();
  if (!context->per_level_perf_context_enabled) context->EnablePerLevelPerfContext();
  uint64_t misses = 0;
  for (const auto& [level, counts] : *context->level_to_perf_context) misses += counts.block_cache_miss_count;
  return misses;
}

}  // namespace

Rocks::Lent::Lent(Resting& resting, Tier tier)
    : resting_(resting),
      tier_(tier),
      misses_before_(tier == Tier::kMemory ? BlockMisses() : 0),
      iterator_(resting.Take(tier, &version_)) {}

Rocks::Lent::~Lent() {
  if (Finish().ok()) resting_.GiveBack(std::move(iterator_), tier_, version_);
}

absl::Status Rocks::Lent::Finish() const {
  TM_RETURN_IF_ERROR(iterator_->status());
  return tier_ == Tier::kMemory && BlockMisses() != misses_before_ ? ColdRow() : absl::OkStatus();
}

std::unique_ptr<Rocks::Lent> Rocks::Iterate(std::string_view begin, std::string_view end, Tier tier) {
  auto lent = std::make_unique<Lent>(*resting_, tier);
  if (lent->iterator_ == nullptr) {
    rocksdb::ReadOptions options;
    if (tier == Tier::kMemory) options.read_tier = rocksdb::kBlockCacheTier;
    auto bounds = std::make_unique<RocksIterator::Bounds>();
    options.iterate_lower_bound = &bounds->lower;
    options.iterate_upper_bound = &bounds->upper;
    lent->iterator_ = std::make_unique<RocksIterator>(std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(options)),
                                                      std::move(bounds));
  }
  (*lent)->SetBounds(begin, end);
  return lent;
}

std::unique_ptr<RocksMoment> Rocks::TakeMoment() { return std::make_unique<RocksMoment>(*db_); }

absl::StatusOr<std::unique_ptr<RowFile>> Rocks::NewRowFile() {
  ::unlink(RowFilePath().c_str());
  auto file = std::unique_ptr<RowFile>(new RowFile(RowFilePath()));
  file->writer_ = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(*row_file_options_), *row_file_options_,
                                                           /*column_family=*/nullptr, /*invalidate_page_cache=*/false);
  TM_RETURN_IF_ERROR(FromRocks(file->writer_->Open(file->path_), "create a file of rows"));
  return file;
}

// With move_files RocksDB links the file into place and syncs the file, then its folder, before the MANIFEST names it
// (db/external_sst_file_ingestion_job.cc, Prepare, 7.8.3).
absl::Status Rocks::Ingest() {
  if (!BackgroundError().empty()) {
    TM_RETURN_IF_ERROR(FromRocks(db_->Resume(), "resume after a background error"));
    listener_->Clear();
  }
  rocksdb::IngestExternalFileOptions options;
  options.move_files = true;
  options.write_global_seqno = false;
  const rocksdb::Status ingested = db_->IngestExternalFile({RowFilePath()}, options);
  resting_->FilesHaveChanged();
  return FromRocks(ingested, "ingest a file of rows");
}

absl::Status Rocks::Checkpoint(const std::string& folder) {
  rocksdb::Checkpoint* raw = nullptr;
  TM_RETURN_IF_ERROR(FromRocks(rocksdb::Checkpoint::Create(db_.get(), &raw), "prepare a checkpoint"));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  return FromRocks(checkpoint->CreateCheckpoint(folder), "checkpoint into " + folder);
}

absl::StatusOr<Value> Rocks::GetFrom(const std::string& folder, std::string_view row) {
  rocksdb::Options options = DbOptions(1 << 20);
  options.max_open_files = 64;
  options.info_log = std::make_shared<MessageFile>(folder);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(TableOptions(rocksdb::NewLRUCache(1 << 20))));
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status opened = rocksdb::DB::OpenForReadOnly(options, folder, &raw);
  if (!opened.ok()) return FromOpen(opened, folder);
  const std::unique_ptr<rocksdb::DB> db(raw);
  std::string value;
  const rocksdb::Status status = db->Get(rocksdb::ReadOptions(), ToSlice(row), &value);
  if (status.IsNotFound()) return Value();
  if (!status.ok()) return FromRocks(status, "read from " + folder);
  return Value(value);
}

uint64_t Rocks::ApproximateBytes(std::string_view begin, std::string_view end) {
  const rocksdb::Range range(ToSlice(begin), ToSlice(end));
  uint64_t bytes = 0;
  rocksdb::SizeApproximationOptions options;
  options.include_files = true;
  options.include_memtables = false;
  db_->GetApproximateSizes(options, db_->DefaultColumnFamily(), &range, 1, &bytes).PermitUncheckedError();
  return bytes;
}

uint64_t Rocks::LevelZeroFiles() {
  std::string files;
  return db_->GetProperty(rocksdb::DB::Properties::kNumFilesAtLevelPrefix + "0", &files) ? std::stoull(files) : 0;
}

uint64_t Rocks::SstBytes() {
  uint64_t bytes = 0;
  return db_->GetIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &bytes) ? bytes : 0;
}

uint64_t Rocks::BlockCacheBytes() { return block_cache_->GetUsage(); }
void Rocks::SetBlockCacheBytes(uint64_t bytes) { block_cache_->SetCapacity(bytes); }
std::string Rocks::BackgroundError() { return listener_->error(); }

}  // namespace tidemark::kv
