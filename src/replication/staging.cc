#include "replication/staging.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "archive/parallel.h"
#include "base/hash.h"
#include "engine/install.h"

namespace tidemark::replication {
namespace {

using Json = nlohmann::json;

constexpr const char* kOffer = "offer.json";
constexpr size_t kReadBytes = 1 << 20;

}  // namespace

Staging::Staging(FileSystem& fs, Clock& clock, std::string folder, uint64_t segment_size)
    : fs_(fs),
      clock_(clock),
      data_folder_(std::move(folder)),
      folder_(data_folder_ + "/" + engine::kStagingFolder),
      segment_size_(segment_size) {}

Staging::~Staging() = default;

absl::StatusOr<std::unique_ptr<Staging>> Staging::TakeUp(FileSystem& fs, Clock& clock, const std::string& folder,
                                                         uint64_t segment_size) {
  auto staging = std::make_unique<Staging>(fs, clock, folder, segment_size);
  const absl::StatusOr<std::string> text = ReadWholeFile(fs, staging->folder_ + "/" + kOffer);
  if (absl::IsNotFound(text.status())) return nullptr;
  TM_RETURN_IF_ERROR(text.status());
  const Json json = Json::parse(*text, nullptr, false);
  try {
    SnapshotOffer& offer = staging->offer_;
    offer.id = json.at("id").get<std::string>();
    offer.lsn.value = json.at("lsn").get<uint64_t>();
    offer.timeline.value = json.at("timeline").get<uint32_t>();
    offer.previous_crc = json.at("previous_crc").get<uint32_t>();
    offer.last_timestamp.micros = json.at("last_timestamp").get<uint64_t>();
  } catch (const Json::exception&) {
    TM_RETURN_IF_ERROR(staging->Discard());
    return nullptr;
  }
  const absl::Status opened = staging->OpenLog();
  if (opened.ok()) return staging;
  // Anything else passes, and what was gathered is worth waiting for.
  if (!absl::IsDataLoss(opened)) return opened;
  TM_RETURN_IF_ERROR(staging->Discard());
  return nullptr;
}

absl::Status Staging::OpenLog() {
  log::LogOptions options;
  options.folder = folder_ + "/log";
  options.start = log::LogStart{.timeline = offer_.timeline,
                                .base = offer_.lsn,
                                .previous_crc = offer_.previous_crc,
                                .last_timestamp = offer_.last_timestamp};
  options.segment_size = segment_size_;
  options.received = true;
  TM_ASSIGN_OR_RETURN(log_, log::Log::Open(fs_, clock_, options, nullptr));
  absl::Status held =
      log_->TakeLease({.name = kStagingLease, .lease_class = log::LeaseClass::kRequired, .position = offer_.lsn});
  if (!absl::IsFailedPrecondition(held)) return held;
  return Errorf(absl::StatusCode::kDataLoss, "the staged log lacks its beginning: {}", Message(held));
}

absl::Status Staging::Begin(const SnapshotOffer& offer) {
  TM_RETURN_IF_ERROR(Discard());
  offer_ = offer;
  TM_RETURN_IF_ERROR(fs_.CreateFolder(folder_ + "/store"));
  TM_RETURN_IF_ERROR(fs_.SyncFolder(data_folder_));
  const std::string text = Json{{"id", offer.id},
                                {"lsn", offer.lsn.value},
                                {"timeline", offer.timeline.value},
                                {"previous_crc", offer.previous_crc},
                                {"last_timestamp", offer.last_timestamp.micros}}
                               .dump();
  TM_RETURN_IF_ERROR(ReplaceWholeFile(fs_, folder_, kOffer, text));
  return OpenLog();
}

absl::Status Staging::Discard() {
  log_.reset();
  std::error_code error;
  if (!std::filesystem::exists(folder_, error)) return absl::OkStatus();
  // First what makes others believe in the rest.
  for (const char* name : {engine::kInstallMark, kOffer}) {
    if (absl::Status gone = fs_.Remove(folder_ + "/" + name); !gone.ok() && !absl::IsNotFound(gone)) return gone;
  }
  TM_RETURN_IF_ERROR(fs_.SyncFolder(folder_));
  std::filesystem::remove_all(folder_, error);
  if (error) return Errorf(absl::StatusCode::kInternal, "cannot remove {}: {}", folder_, error.message());
  return absl::OkStatus();
}

absl::Status Staging::Fetch(Upstream& upstream, int jobs) {
  uint64_t total = 0;
  for (const SnapshotFile& file : offer_.files) total += file.size;
  total_bytes_ = total;
  done_bytes_ = 0;
  TM_RETURN_IF_ERROR(archive::ForEach(jobs, offer_.files.size(),
                                      [&](size_t index) { return FetchFile(upstream, offer_.files[index]); }));
  return fs_.SyncFolder(folder_ + "/store");
}

absl::Status Staging::FetchFile(Upstream& upstream, const SnapshotFile& file) {
  if (file.name.empty() || file.name.find('/') != std::string::npos || file.name.starts_with('.')) {
    return InvalidArgument("the primary offers a file named '{}'", file.name);
  }
  const std::string path = folder_ + "/store/" + file.name;
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    done_bytes_ += file.size;
    return absl::OkStatus();
  }
  const std::string part_path = path + ".part";
  TM_RETURN_IF_ERROR(fs_.CreateFolder(folder_ + "/store"));
  absl::StatusOr<std::unique_ptr<File>> out = fs_.Open(part_path, FileSystem::Mode::kCreateNew);
  if (absl::IsAlreadyExists(out.status())) out = fs_.Open(part_path, FileSystem::Mode::kReadWrite);
  TM_RETURN_IF_ERROR(out.status());
  TM_ASSIGN_OR_RETURN(uint64_t at, (*out)->Size());
  if (at > file.size) {
    // Not of this file: what would stand behind its end must not stay.
    TM_RETURN_IF_ERROR((*out)->Truncate(0));
    at = 0;
  }
  uint32_t crc = 0;
  std::string bytes(kReadBytes, '\0');
  for (uint64_t read = 0; read < at;) {
    TM_ASSIGN_OR_RETURN(const size_t count,
                        (*out)->Read(read, std::min<uint64_t>(bytes.size(), at - read), bytes.data()));
    if (count == 0) return Errorf(absl::StatusCode::kDataLoss, "{} became shorter", part_path);
    crc = Crc32c(std::string_view(bytes).substr(0, count), crc);
    read += count;
  }
  done_bytes_ += at;
  bool whole = false;
  bool same = false;
  const auto damaged = [&] {
    return Errorf(absl::StatusCode::kDataLoss, "file {} of the snapshot arrived damaged: {} of {} bytes", file.name, at,
                  file.size);
  };
  const absl::Status got = upstream.ReadFile(offer_.id, file.name, at, [&](const FilePart& part) -> absl::Status {
    if (stop_) return Errorf(absl::StatusCode::kCancelled, "the full sync was stopped");
    if (part.bytes.size() > file.size - at) return damaged();
    TM_RETURN_IF_ERROR((*out)->Write(at, part.bytes));
    crc = Crc32c(part.bytes, crc);
    at += part.bytes.size();
    done_bytes_ += part.bytes.size();
    last_io_ms_ = clock_.WallMicros() / 1000;
    whole = part.last;
    same = part.hash == crc;
    return absl::OkStatus();
  });
  const bool good = got.ok() && whole && same && at == file.size;
  // From nothing next time: what is wrong in it cannot be told.
  if (!good && (got.ok() || absl::IsDataLoss(got))) fs_.Remove(part_path).IgnoreError();
  TM_RETURN_IF_ERROR(got);
  if (!good) return damaged();
  TM_RETURN_IF_ERROR((*out)->Sync());
  return fs_.Rename(part_path, path);
}

absl::Status Staging::Decide() {
  TM_RETURN_IF_ERROR(log_->SyncTo(log_->appended()));
  log_.reset();
  return engine::DecideInstall(fs_, data_folder_);
}

}  // namespace tidemark::replication
