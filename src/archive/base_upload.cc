// Upload of a base snapshot; see base.h. Retention and uploads keep out of each other's way as lease.h describes: once
// a lease is held and no deleter is seen, whatever is listed stays until the manifest names it.
#include <sys/stat.h>

#include <map>
#include <set>

#include "archive/base.h"
#include "archive/file_codec.h"
#include "archive/lease.h"
#include "archive/parallel.h"
#include "base/mutex.h"

namespace tidemark::archive {
namespace {

constexpr int kRoundsMax = 3;

absl::Status In(std::string_view name, const absl::Status& status) {
  return Errorf(status.code(), "{}: {}", name, Message(status));
}

class Upload {
 public:
  Upload(objstore::ObjectStore& store, const std::string& folder, Manifest manifest, const Manifest* previous,
         const BaseOptions& options, BaseProgress& progress)
      : store_(store),
        folder_(folder),
        manifest_(std::move(manifest)),
        previous_(previous),
        options_(options),
        progress_(progress),
        key_(format::BaseKey(manifest_.name)) {}

  absl::StatusOr<Manifest> Run() {
    TM_ASSIGN_OR_RETURN(std::optional<Manifest> existing, FindExisting());
    if (existing) return *std::move(existing);
    TM_RETURN_IF_ERROR(CollectFiles());
    for (int round = 0; round < kRoundsMax; ++round) {
      TM_ASSIGN_OR_RETURN(const auto lease, ArchiveLease::Take(store_, *options_.clock, ArchiveLease::Kind::kWork));
      TM_ASSIGN_OR_RETURN(const bool deleting, SomebodyDeletes(lease->holder()));
      TM_RETURN_IF_ERROR(SendMissing());
      if (!deleting && lease->unbroken()) return PutManifest();
    }
    return Errorf(absl::StatusCode::kAborted, "files are being deleted from the archive while this base is uploaded");
  }

 private:
  absl::StatusOr<std::optional<Manifest>> FindExisting();
  absl::Status CollectFiles();
  absl::StatusOr<bool> SomebodyDeletes(uint32_t own_holder);
  absl::Status SendMissing();
  absl::Status Settle(size_t index, const std::map<std::string, uint64_t>& present);
  absl::Status NameContent(size_t index, File& file);
  absl::StatusOr<bool> IsUsable(const format::FileName& content);
  absl::Status Send(const ManifestFile& entry, File& file);
  absl::StatusOr<Manifest> PutManifest();
  const ManifestFile* Unchanged(const ManifestFile& entry) const;

  absl::Status Cancelled() const {
    if (!progress_.cancel) return absl::OkStatus();
    return Errorf(absl::StatusCode::kCancelled, "the upload of base {} was cancelled", key_);
  }

  objstore::ObjectStore& store_;
  const std::string& folder_;
  Manifest manifest_;
  const Manifest* const previous_;
  const BaseOptions& options_;
  BaseProgress& progress_;
  const std::string key_;
  std::vector<char> named_;    // by file: its content's name is known
  std::vector<char> counted_;  // by file: in bytes_done
  Mutex mutex_;
  // Keys that this upload has sent or looked at, or is about to.
  std::set<std::string> settled_ ABSL_GUARDED_BY(mutex_);
};

// The manifest of this name that is there already: an earlier attempt's whose answer was lost.
absl::StatusOr<std::optional<Manifest>> Upload::FindExisting() {
  absl::StatusOr<Manifest> found = ReadManifest(store_, {manifest_.name, key_});
  if (absl::IsNotFound(found.status())) return std::nullopt;
  if (!found.ok()) return found.status();
  if (found->cluster_id != manifest_.cluster_id || found->timeline_id != manifest_.timeline_id) {
    return Errorf(absl::StatusCode::kFailedPrecondition,
                  "{} is the base of cluster {}, timeline {}: somebody else writes into this archive", key_,
                  IdToHex(found->cluster_id), IdToHex(found->timeline_id));
  }
  progress_.bytes_total = progress_.bytes_done = found->bytes();
  progress_.files_total = progress_.files_done = found->files.size();
  return *std::move(found);
}

absl::Status Upload::CollectFiles() {
  manifest_.files.clear();
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> names, options_.files->List(folder_));
  uint64_t total = 0;
  for (const std::string& name : names) {
    ManifestFile entry;
    entry.name = name;
    if (!IsBaseFileName(name)) {
      return Errorf(absl::StatusCode::kFailedPrecondition, "{}/{} is no file of a checkpoint", folder_, name);
    }
    TM_ASSIGN_OR_RETURN(const auto file, options_.files->Open(folder_ + "/" + name, FileSystem::Mode::kRead));
    TM_ASSIGN_OR_RETURN(entry.content.size, file->Size());
    struct stat status {};
    if (::stat((folder_ + "/" + name).c_str(), &status) == 0) {
      entry.inode = status.st_ino;
      entry.modified_nanos =
          static_cast<uint64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(status.st_mtim.tv_nsec);
    }
    total += entry.content.size;
    manifest_.files.push_back(std::move(entry));
  }
  named_.assign(manifest_.files.size(), 0);
  counted_.assign(manifest_.files.size(), 0);
  progress_.bytes_total = total;
  progress_.files_total = manifest_.files.size();
  return absl::OkStatus();
}

absl::StatusOr<bool> Upload::SomebodyDeletes(uint32_t own_holder) {
  TM_ASSIGN_OR_RETURN(const auto leases, LiveLeases(store_, options_.clock->WallMicros(), own_holder));
  for (const format::ArchiveLeaseName& lease : leases) {
    if ((lease.holder & kDeleterBit) != 0) return true;
  }
  return false;
}

absl::Status Upload::SendMissing() {
  TM_ASSIGN_OR_RETURN(const std::vector<objstore::ObjectInfo> listed, objstore::ListAll(store_, "files/"));
  std::map<std::string, uint64_t> present;
  for (const objstore::ObjectInfo& object : listed) present.emplace(object.key, object.size);
  {
    const MutexLock lock(mutex_);
    std::erase_if(settled_, [&](const std::string& key) { return !present.contains(key); });
  }
  return ForEach(options_.jobs, manifest_.files.size(), [&](size_t index) {
    const absl::Status status = Settle(index, present);
    return status.ok() ? status : In(manifest_.files[index].name, status);
  });
}

// Sees to it that the content of one file is in the archive.
absl::Status Upload::Settle(size_t index, const std::map<std::string, uint64_t>& present) {
  TM_RETURN_IF_ERROR(Cancelled());
  ManifestFile& entry = manifest_.files[index];
  TM_ASSIGN_OR_RETURN(const auto file, options_.files->Open(folder_ + "/" + entry.name, FileSystem::Mode::kRead));
  if (!named_[index]) TM_RETURN_IF_ERROR(NameContent(index, *file));
  const std::string key = FileKey(entry.content);
  bool first = false;
  {
    const MutexLock lock(mutex_);
    first = settled_.insert(key).second;
  }
  if (first) {
    const auto found = present.find(key);
    bool usable = found != present.end() && found->second == FileObjectSize(entry.content.size);
    if (usable) {
      TM_ASSIGN_OR_RETURN(usable, IsUsable(entry.content));
    }
    if (!usable) TM_RETURN_IF_ERROR(Send(entry, *file));
  }
  if (!counted_[index]) {
    counted_[index] = 1;
    progress_.bytes_done += entry.content.size;
    ++progress_.files_done;
  }
  return absl::OkStatus();
}

absl::Status Upload::NameContent(size_t index, File& file) {
  ManifestFile& entry = manifest_.files[index];
  if (const ManifestFile* unchanged = Unchanged(entry); unchanged != nullptr) {
    entry.content = unchanged->content;
  } else {
    const uint64_t size = entry.content.size;
    TM_ASSIGN_OR_RETURN(entry.content, HashFile(file, [this](uint64_t) { return Cancelled(); }));
    if (entry.content.size != size) {
      return Errorf(absl::StatusCode::kFailedPrecondition, "the file changed while it was being archived");
    }
  }
  named_[index] = 1;
  return absl::OkStatus();
}

const ManifestFile* Upload::Unchanged(const ManifestFile& entry) const {
  if (previous_ == nullptr || previous_->database_id != manifest_.database_id || entry.inode == 0) return nullptr;
  for (const ManifestFile& former : previous_->files) {
    if (former.name == entry.name && former.inode == entry.inode && former.modified_nanos == entry.modified_nanos &&
        former.content.size == entry.content.size) {
      return &former;
    }
  }
  return nullptr;
}

// Whether the object that is there can stand for the file: its header says so, and it is encrypted if and only if what
// is sent now is, with a key that we have.
absl::StatusOr<bool> Upload::IsUsable(const format::FileName& content) {
  const absl::StatusOr<std::string> head = store_.GetRange(FileKey(content), 0, format::kObjectHeaderSize);
  if (absl::IsNotFound(head.status())) return false;
  if (!head.ok()) return head.status();
  const absl::StatusOr<format::ObjectHeader> header = CheckFileHeader(*head, content);
  if (!header.ok()) return false;
  const bool encrypted = (header->flags & format::kAes256Gcm) != 0;
  const KeyRing& keys = *options_.codec.keys;
  return encrypted ? keys.Find(header->key_id) != nullptr : keys.empty();
}

absl::Status Upload::Send(const ManifestFile& entry, File& file) {
  FileEncoder source(options_.codec.keys, manifest_.cluster_id, entry.content, file, [this](uint64_t bytes) {
    progress_.bytes_sent += bytes;
    return Cancelled();
  });
  return store_.PutStream(FileKey(entry.content), source, FileObjectSize(entry.content.size));
}

absl::StatusOr<Manifest> Upload::PutManifest() {
  TM_RETURN_IF_ERROR(Cancelled());
  if (options_.may_complete) TM_RETURN_IF_ERROR(options_.may_complete());
  if (manifest_.created_micros == 0) manifest_.created_micros = options_.clock->WallMicros();
  const absl::Status put = store_.Put(key_, EncodeManifest(manifest_), objstore::PutCondition::kMustNotExist);
  if (put.ok()) return manifest_;
  if (!absl::IsAlreadyExists(put)) return put;
  TM_ASSIGN_OR_RETURN(std::optional<Manifest> existing, FindExisting());
  if (!existing) return Errorf(absl::StatusCode::kAborted, "{} came and went: another deletes here", key_);
  return *std::move(existing);
}

}  // namespace

absl::StatusOr<Manifest> UploadBase(objstore::ObjectStore& store, const std::string& folder, Manifest manifest,
                                    const Manifest* previous, const BaseOptions& options, BaseProgress* progress) {
  BaseProgress own;
  return Upload(store, folder, std::move(manifest), previous, options, progress == nullptr ? own : *progress).Run();
}

}  // namespace tidemark::archive
