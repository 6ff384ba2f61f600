#include "objstore/folder_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <utility>

#include "env/clock.h"
#include "objstore/folder_walk.h"
#include "objstore/keys.h"
#include "objstore/probe.h"

namespace tidemark::objstore {
namespace {

constexpr std::string_view kAside = "~aside";
constexpr uint64_t kLeftoverAgeMicros = 3'600'000'000;
constexpr size_t kPieceBytes = size_t{1} << 20;

absl::Status Cancelled() { return Errorf(absl::StatusCode::kCancelled, "the store was closed"); }

// The file system's errors as the contract in object_store.h names them.
absl::Status Translate(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInternal:
      return Errorf(absl::StatusCode::kUnavailable, "{}", Message(status));
    case absl::StatusCode::kPermissionDenied:
      return Errorf(absl::StatusCode::kFailedPrecondition, "{} (read-only, or not ours to write)", Message(status));
    default:
      return status;
  }
}

// A missing folder in the middle of a write is not a missing object.
absl::Status TranslateWrite(const absl::Status& status) {
  if (absl::IsNotFound(status)) return Errorf(absl::StatusCode::kUnavailable, "{}", Message(status));
  return Translate(status);
}

// A key below an object is no object: stores have no folders.
absl::Status TranslateRead(const absl::Status& status) {
  if (absl::IsFailedPrecondition(status)) return Errorf(absl::StatusCode::kNotFound, "{}", Message(status));
  return Translate(status);
}

// Tells the names of this process's files from those of any other that writes to the same folder.
std::string ProcessTag() {
  static const std::string tag = fmt::format("{:x}-{:08x}", getpid(), std::random_device()());
  return tag;
}

}  // namespace

FolderStore::FolderStore(FileSystem& fs, std::string folder, const OpenOptions& options)
    : fs_(fs),
      folder_(std::move(folder)),
      aside_folder_(fmt::format("{}/{}", folder_, kAside)),
      display_uri_("local://" + folder_),
      must_exist_(options.must_exist),
      writes_(options.rate_limit),
      reads_(options.rate_limit) {}

absl::Status FolderStore::Open() {
  if (must_exist_ && access(folder_.c_str(), F_OK) != 0 && errno == ENOENT) {
    return Errorf(absl::StatusCode::kNotFound, "there is no folder {}", folder_);
  }
  if (absl::Status made = fs_.CreateFolder(folder_); !made.ok()) {
    struct stat info {};
    if (stat(folder_.c_str(), &info) == 0 && !S_ISDIR(info.st_mode)) {
      return Errorf(absl::StatusCode::kFailedPrecondition, "{} is not a folder", folder_);
    }
    return Translate(made);
  }
  struct stat info {};
  if (stat(folder_.c_str(), &info) != 0) return Translate(ErrnoStatus(errno, "open folder " + folder_));
  const MutexLock lock(mutex_);
  identity_ = Identity{info.st_dev, info.st_ino};
  made_.clear();
  return absl::OkStatus();
}

std::string FolderStore::PathOf(std::string_view key) const { return fmt::format("{}/{}", folder_, key); }

absl::Status FolderStore::Begin(std::string_view key) {
  if (stopper_.stopped()) return Cancelled();
  requests_.fetch_add(1, std::memory_order_relaxed);
  return CheckKey(key);
}

absl::Status FolderStore::CheckIdentity() {
  const MutexLock lock(mutex_);
  if (identity_ == Identity{}) return absl::OkStatus();
  struct stat info {};
  if (stat(folder_.c_str(), &info) == 0 && identity_ == Identity{info.st_dev, info.st_ino}) return absl::OkStatus();
  return Errorf(absl::StatusCode::kFailedPrecondition,
                "{} is not the folder it was: unmounted or replaced? Start the task again if that is meant", folder_);
}

absl::Status FolderStore::MakeFolder(const std::string& folder) {
  // Held while the folder is made: a second writer must not go on before the names above its file are durable.
  const MutexLock lock(mutex_);
  if (made_.contains(folder)) return absl::OkStatus();
  // CreateFolder syncs the folder above each that it makes. One that is there already may have been made by a process
  // that died before its sync.
  TM_RETURN_IF_ERROR(fs_.CreateFolder(folder));
  for (std::string_view path = folder; path.size() > folder_.size();) {
    path = path.substr(0, path.rfind('/'));
    TM_RETURN_IF_ERROR(fs_.SyncFolder(std::string(path)));
  }
  made_.insert(folder);
  return absl::OkStatus();
}

absl::Status FolderStore::WritePiece(File& file, uint64_t offset, std::string_view bytes) {
  if (!writes_.Take(bytes.size(), stopper_)) return Cancelled();
  TM_RETURN_IF_ERROR(file.Write(offset, bytes));
  bytes_written_.fetch_add(bytes.size(), std::memory_order_relaxed);
  return absl::OkStatus();
}

absl::Status FolderStore::WriteAside(const std::string& aside, const std::function<absl::Status(File&)>& write) {
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, fs_.Open(aside, FileSystem::Mode::kCreateNew));
  TM_RETURN_IF_ERROR(write(*file));
  return file->Sync();
}

absl::Status FolderStore::PublishOnce(const std::string& aside, const std::string& path) {
  absl::Status linked = fs_.Link(aside, path);
  if (!absl::IsUnimplemented(linked)) return linked;
  has_links_.store(false, std::memory_order_relaxed);
  const absl::StatusOr<std::unique_ptr<File>> there = fs_.Open(path, FileSystem::Mode::kRead);
  if (there.ok()) return Errorf(absl::StatusCode::kAlreadyExists, "{} exists", path);
  if (!absl::IsNotFound(there.status())) return there.status();
  return fs_.Rename(aside, path);
}

absl::Status FolderStore::Publish(const std::string& aside, std::string_view key, PutCondition condition) {
  const std::string path = PathOf(key);
  const std::string folder = path.substr(0, path.rfind('/'));
  TM_RETURN_IF_ERROR(MakeFolder(folder));
  absl::Status named = condition == PutCondition::kMustNotExist ? PublishOnce(aside, path) : fs_.Rename(aside, path);
  // Who finds the object there takes it for durable, whoever put it.
  if (!named.ok() && !absl::IsAlreadyExists(named)) {
    const MutexLock lock(mutex_);
    made_.clear();  // one of them may have been removed behind our back
    return named;
  }
  if (absl::Status synced = fs_.SyncFolder(folder); !synced.ok()) {
    // A sync that failed once says yes the next time and means nothing, so the name goes, and the caller puts again.
    if (named.ok()) fs_.Remove(path).IgnoreError();
    return synced;
  }
  return named;
}

absl::Status FolderStore::PutWith(std::string_view key, PutCondition condition,
                                  const std::function<absl::Status(File&)>& write) {
  TM_RETURN_IF_ERROR(Begin(key));
  TM_RETURN_IF_ERROR(CheckIdentity());
  if (const absl::Status made = fs_.CreateFolder(aside_folder_); !made.ok()) return TranslateWrite(made);
  const std::string aside = fmt::format("{}/{}-{}", aside_folder_, ProcessTag(), names_given_.fetch_add(1));
  absl::Status status = WriteAside(aside, write);
  if (status.ok()) status = Publish(aside, key, condition);
  fs_.Remove(aside).IgnoreError();
  return TranslateWrite(status);
}

absl::Status FolderStore::Put(std::string_view key, std::string_view bytes, PutCondition condition) {
  return PutWith(key, condition, [&](File& file) {
    for (uint64_t offset = 0; offset < bytes.size(); offset += kPieceBytes) {
      TM_RETURN_IF_ERROR(WritePiece(file, offset, bytes.substr(offset, kPieceBytes)));
    }
    return absl::OkStatus();
  });
}

absl::Status FolderStore::PutStream(std::string_view key, ByteSource& source, uint64_t /*size_hint*/) {
  absl::Status source_failed;
  const absl::Status status = PutWith(key, PutCondition::kNone, [&](File& file) -> absl::Status {
    for (uint64_t offset = 0;;) {
      absl::StatusOr<std::string> piece = source.Read(kPieceBytes);
      if (!piece.ok()) return source_failed = piece.status();
      if (piece->empty()) return absl::OkStatus();
      TM_RETURN_IF_ERROR(WritePiece(file, offset, *piece));
      offset += piece->size();
    }
  });
  return source_failed.ok() ? status : source_failed;
}

absl::StatusOr<std::string> FolderStore::GetRange(std::string_view key, uint64_t offset, uint64_t length) {
  TM_RETURN_IF_ERROR(Begin(key));
  absl::StatusOr<std::unique_ptr<File>> file = fs_.Open(PathOf(key), FileSystem::Mode::kRead);
  if (!file.ok()) return TranslateRead(file.status());
  const absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return Translate(size.status());
  if (offset > *size) {
    return Errorf(absl::StatusCode::kOutOfRange, "{} has {} bytes; asked for those from {} on", PathOf(key), *size,
                  offset);
  }
  std::string bytes(std::min(length, *size - offset), '\0');
  if (!reads_.Take(bytes.size(), stopper_)) return Cancelled();
  const absl::StatusOr<size_t> count = (*file)->Read(offset, bytes.size(), bytes.data());
  if (!count.ok()) return TranslateRead(count.status());
  bytes.resize(*count);
  bytes_read_.fetch_add(bytes.size(), std::memory_order_relaxed);
  return bytes;
}

absl::StatusOr<std::string> FolderStore::Get(std::string_view key) { return GetRange(key, 0, UINT64_MAX); }

absl::Status FolderStore::GetStream(std::string_view key,
                                    const std::function<absl::Status(std::string_view piece)>& sink) {
  TM_RETURN_IF_ERROR(Begin(key));
  absl::StatusOr<std::unique_ptr<File>> file = fs_.Open(PathOf(key), FileSystem::Mode::kRead);
  if (!file.ok()) return TranslateRead(file.status());
  std::string buffer(kPieceBytes, '\0');
  for (uint64_t offset = 0;;) {
    const absl::StatusOr<size_t> count = (*file)->Read(offset, buffer.size(), buffer.data());
    if (!count.ok()) return TranslateRead(count.status());
    if (*count == 0) return absl::OkStatus();
    if (!reads_.Take(*count, stopper_)) return Cancelled();
    offset += *count;
    bytes_read_.fetch_add(*count, std::memory_order_relaxed);
    TM_RETURN_IF_ERROR(sink(std::string_view(buffer).substr(0, *count)));
  }
}

absl::StatusOr<ObjectInfo> FolderStore::Head(std::string_view key) {
  TM_RETURN_IF_ERROR(Begin(key));
  absl::StatusOr<ObjectInfo> info = StatFile(PathOf(key), key);
  if (!info.ok()) return TranslateRead(info.status());
  return info;
}

absl::StatusOr<ListPage> FolderStore::List(std::string_view prefix, std::string_view start_after, size_t max) {
  if (stopper_.stopped()) return Cancelled();
  requests_.fetch_add(1, std::memory_order_relaxed);
  TM_RETURN_IF_ERROR(CheckPrefix(prefix));
  TM_RETURN_IF_ERROR(CheckPrefix(start_after));
  // An unmounted folder would read as an archive without objects.
  TM_RETURN_IF_ERROR(CheckIdentity());
  absl::StatusOr<ListPage> page = WalkFolder(folder_, prefix, start_after, std::clamp<size_t>(max, 1, 1000));
  if (!page.ok()) return Translate(page.status());
  return page;
}

absl::Status FolderStore::Delete(std::string_view key) {
  TM_RETURN_IF_ERROR(Begin(key));
  TM_RETURN_IF_ERROR(CheckIdentity());
  const std::string path = PathOf(key);
  const absl::Status removed = TranslateRead(fs_.Remove(path));
  if (absl::IsNotFound(removed)) return absl::OkStatus();
  TM_RETURN_IF_ERROR(removed);
  // In the order of the calls for power failures too: a manifest that came back would name files that did not.
  return TranslateWrite(fs_.SyncFolder(path.substr(0, path.rfind('/'))));
}

void FolderStore::RemoveLeftovers() {
  const absl::StatusOr<std::vector<std::string>> names = fs_.List(aside_folder_);
  if (!names.ok()) return;
  const uint64_t now = Clock::System().WallMicros();
  for (const std::string& name : *names) {
    const std::string path = aside_folder_ + "/" + name;
    const absl::StatusOr<ObjectInfo> info = StatFile(path, name);
    if (info.ok() && info->modified_micros + kLeftoverAgeMicros < now) fs_.Remove(path).IgnoreError();
  }
}

absl::StatusOr<Capabilities> FolderStore::Probe(std::string_view nonce) {
  if (stopper_.stopped()) return Cancelled();
  TM_RETURN_IF_ERROR(Open());
  RemoveLeftovers();
  TM_ASSIGN_OR_RETURN(Capabilities capabilities, ProbeByTrying(*this, nonce));
  capabilities.conditional_put &= has_links_.load(std::memory_order_relaxed);
  return capabilities;
}

ObjectStore::Stats FolderStore::stats() const {
  Stats stats;
  stats.requests = requests_.load(std::memory_order_relaxed);
  stats.bytes_sent = bytes_written_.load(std::memory_order_relaxed);
  stats.bytes_received = bytes_read_.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace tidemark::objstore
