// How fast log comes back: makes an archive of SETs of unique, incompressible values in a folder, restores it from
// there, and says the rate, the CPU time and the memory it took. The archive stays for the next run where --keep is
// given.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>

#include "archive/codec.h"
#include "base/check.h"
#include "format/log_format.h"
#include "format/note.h"
#include "format/write_batch.h"
#include "restore/restore.h"
#include "types/rows.h"

namespace tidemark {
namespace {

constexpr uint64_t kObjectBytes = 32ull << 20;

struct Arguments {
  std::string folder = "/tmp/tidemark-restore-bench";
  std::string from;  // an archive that is there already
  uint64_t log_mib = 2048;
  uint64_t value_bytes = 1024;
  uint64_t keys = 0;  // 0: each record another
  uint64_t memory_mib = 512;
  int jobs = 2;
  int zstd_level = 1;
  bool keep = false;
};

class Records {
 public:
  explicit Records(const Arguments& arguments) : arguments_(arguments), value_(arguments.value_bytes, '\0') {}

  // The record that SET makes, as it stands in the log.
  std::string_view Next() {
    const uint64_t number = arguments_.keys == 0 ? count_ : random_() % arguments_.keys;
    ++count_;
    for (size_t i = 0; i + 8 <= value_.size(); i += 8) {
      const uint64_t word = random_();
      std::memcpy(value_.data() + i, &word, 8);
    }
    const std::string key = fmt::format("key:{:012}", number * 2'654'435'761 % 1'000'000'000'000);
    batch_.Clear();
    const types::KeyValue row{
        .type = types::Type::kString, .expire_ms = 0, .string = value_, .collection = {}, .count = 0};
    batch_.LogData(format::EncodeNote(format::CountsNote{DbIndex{0}, 1, 0}));
    batch_.Put(types::KeyRow({}, key).view(), types::EncodeKeyValue(row).view());
    const std::string_view payload = batch_.Finish();
    raw_.resize(format::kRecordHeaderSize);
    format::RecordHeader header;
    header.lsn = end_;
    header.timestamp = Timestamp{++micros_};
    header.previous_crc = crc_;
    header.timeline = format::kFirstTimeline;
    crc_ = format::EncodeRecordHeader(header, payload, raw_.data());
    raw_.append(payload);
    end_ = end_ + raw_.size();
    return raw_;
  }
  Lsn end() const { return end_; }
  uint32_t crc() const { return crc_; }
  Timestamp timestamp() const { return Timestamp{micros_}; }

 private:
  const Arguments& arguments_;
  std::mt19937_64 random_{1};
  std::string value_;
  std::string raw_;
  format::WriteBatchBuilder batch_;
  Lsn end_ = format::kFirstLsn;
  uint32_t crc_ = 0;
  uint64_t micros_ = 1'700'000'000'000'000;
  uint64_t count_ = 0;
};

void CheckOk(const absl::Status& status) { TM_CHECK(status.ok(), "{}", Message(status)); }

void MakeArchive(const Arguments& arguments, objstore::ObjectStore& store) {
  const archive::Origin origin{.cluster_id = {1}, .timeline = format::kFirstTimeline, .timeline_id = {2}};
  CheckOk(store.Put(format::kArchiveIdentityName, archive::EncodeIdentity({.cluster_id = {1}, .created_micros = 1}),
                    objstore::PutCondition::kNone));
  CheckOk(store.Put(format::TimelineKey(format::kFirstTimeline),
                    archive::EncodeTimeline({.timeline = format::kFirstTimeline,
                                             .id = {2},
                                             .parent = {},
                                             .fork = {},
                                             .fork_timestamp = {},
                                             .cluster_id = {1},
                                             .created_micros = 1,
                                             .reason = "created"}),
                    objstore::PutCondition::kNone));
  archive::CodecOptions codec;
  codec.zstd_level = arguments.zstd_level;
  Records records(arguments);
  while (records.end() - format::kFirstLsn < arguments.log_mib << 20) {
    archive::LogObjectWriter writer(codec, origin, records.end(), records.crc());
    while (writer.plain_bytes() < kObjectBytes) CheckOk(writer.Add(records.Next()));
    auto object = writer.Finish(records.timestamp());
    CheckOk(object.status());
    CheckOk(store.Put(format::LogObjectKey(object->name), object->bytes, objstore::PutCondition::kNone));
  }
}

void Run(const Arguments& arguments) {
  const std::string from = arguments.from.empty() ? "local://" + arguments.folder + "/archive" : arguments.from;
  auto store = objstore::Open(from, {});
  CheckOk(store.status());
  const bool present = (*store)->Get(format::kArchiveIdentityName).ok();
  if (!present) MakeArchive(arguments, **store);
  auto catalog = archive::Catalog::Load(**store, false);
  CheckOk(catalog.status());
  const auto plan = restore::MakePlan(**store, *catalog, {});
  CheckOk(plan.status());
  restore::Options options;
  options.folder = arguments.folder + "/data";
  options.memory = arguments.memory_mib << 20;
  options.jobs = arguments.jobs;
  std::filesystem::remove_all(options.folder);
  restore::Progress progress;
  const auto started = std::chrono::steady_clock::now();
  const auto result =
      restore::Run(FileSystem::Posix(), Clock::System(), **store, *catalog, {}, *plan, options, &progress);
  CheckOk(result.status());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  const double mib = static_cast<double>(result->reached_lsn - plan->from) / 1048576.0;
  fmt::print(
      "{:.0f} MiB of log ({:.0f} MiB stored), {} records, in {:.2f} s: {:.1f} MiB/s, {:.0f} GiB/h; process CPU {:.2f} "
      "s "
      "(with making the archive: {}), peak resident {} MiB\n",
      mib, static_cast<double>(plan->log_bytes) / 1048576.0, result->records, seconds, mib / seconds,
      mib / seconds * 3600 / 1024, cpu, present ? "no" : "yes", usage.ru_maxrss / 1024);
  std::filesystem::remove_all(options.folder);
  if (!arguments.keep && arguments.from.empty()) std::filesystem::remove_all(arguments.folder);
}

}  // namespace
}  // namespace tidemark

int main(int argc, char** argv) {
  tidemark::Arguments arguments;
  CLI::App app("How fast an archive's log is restored");
  app.add_option("--folder", arguments.folder, "Where archive and restored data are made");
  app.add_option("--from", arguments.from, "Another archive, which is made if it is empty");
  app.add_option("--log-mib", arguments.log_mib, "Log to make, MiB");
  app.add_option("--value-bytes", arguments.value_bytes, "Bytes of a value");
  app.add_option("--keys", arguments.keys, "Different keys; 0: each record another");
  app.add_option("--memory-mib", arguments.memory_mib, "Memory of the restore, MiB");
  app.add_option("--jobs", arguments.jobs, "Downloads at the same time");
  app.add_option("--zstd-level", arguments.zstd_level, "Compression of the archive; 0: none");
  app.add_flag("--keep", arguments.keep, "Keep the archive, and use it if it is there");
  CLI11_PARSE(app, argc, argv);
  tidemark::Run(arguments);
  return 0;
}
