// Download and check of base snapshots; see base.h.
#include "archive/base.h"
#include "archive/file_codec.h"
#include "archive/parallel.h"

namespace tidemark::archive {
namespace {

constexpr std::string_view kAside = ".part";

absl::Status RemoveIfThere(FileSystem& files, const std::string& path) {
  const absl::Status removed = files.Remove(path);
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

class Download {
 public:
  Download(objstore::ObjectStore& store, const Manifest& manifest, const std::string& folder,
           const BaseOptions& options, BaseProgress& progress)
      : store_(store), manifest_(manifest), folder_(folder), options_(options), progress_(progress) {}

  absl::Status Run() {
    for (const ManifestFile& file : manifest_.files) {
      if (!IsBaseFileName(file.name)) return InvalidArgument("a base cannot have a file of that name: {}", file.name);
    }
    progress_.bytes_total = manifest_.bytes();
    progress_.files_total = manifest_.files.size();
    TM_RETURN_IF_ERROR(options_.files->CreateFolder(folder_));
    TM_RETURN_IF_ERROR(ForEach(options_.jobs, manifest_.files.size(), [this](size_t index) {
      const ManifestFile& file = manifest_.files[index];
      const absl::Status status = Settle(file);
      if (!status.ok()) {
        return Errorf(status.code(), "{} ({}): {}", file.name, FileKey(file.content), Message(status));
      }
      ++progress_.files_done;
      return absl::OkStatus();
    }));
    TM_RETURN_IF_ERROR(RemoveLeftovers());
    return options_.files->SyncFolder(folder_);
  }

 private:
  absl::Status Settle(const ManifestFile& file) {
    TM_RETURN_IF_ERROR(Cancelled());
    TM_ASSIGN_OR_RETURN(const bool there, IsThere(file));
    if (there) {
      progress_.bytes_done += file.content.size;
      return absl::OkStatus();
    }
    return Fetch(file);
  }

  absl::StatusOr<bool> IsThere(const ManifestFile& file) {
    const auto opened = options_.files->Open(folder_ + "/" + file.name, FileSystem::Mode::kRead);
    if (absl::IsNotFound(opened.status())) return false;
    if (!opened.ok()) return opened.status();
    TM_ASSIGN_OR_RETURN(const uint64_t size, (*opened)->Size());
    if (size != file.content.size) return false;
    TM_ASSIGN_OR_RETURN(const format::FileName content, HashFile(**opened, [this](uint64_t) { return Cancelled(); }));
    return content == file.content;
  }

  absl::Status Fetch(const ManifestFile& file) {
    const std::string path = folder_ + "/" + file.name;
    const std::string aside = path + std::string(kAside);
    TM_RETURN_IF_ERROR(RemoveIfThere(*options_.files, aside));
    TM_ASSIGN_OR_RETURN(const auto out, options_.files->Open(aside, FileSystem::Mode::kCreateNew));
    uint64_t offset = 0;
    FileDecoder decoder(*options_.codec.keys, file.content, [&](std::string_view plain) {
      TM_RETURN_IF_ERROR(Cancelled());
      TM_RETURN_IF_ERROR(out->Write(offset, plain));
      offset += plain.size();
      progress_.bytes_done += plain.size();
      return absl::OkStatus();
    });
    TM_RETURN_IF_ERROR(
        store_.GetStream(FileKey(file.content), [&](std::string_view piece) { return decoder.Feed(piece); }));
    TM_RETURN_IF_ERROR(decoder.Finish());
    TM_RETURN_IF_ERROR(out->Sync());
    return options_.files->Rename(aside, path);
  }

  // What a download of another base, cut here before, wrote aside.
  absl::Status RemoveLeftovers() {
    TM_ASSIGN_OR_RETURN(const std::vector<std::string> names, options_.files->List(folder_));
    for (const std::string& name : names) {
      if (name.ends_with(kAside)) TM_RETURN_IF_ERROR(options_.files->Remove(folder_ + "/" + name));
    }
    return absl::OkStatus();
  }

  absl::Status Cancelled() const {
    if (!progress_.cancel) return absl::OkStatus();
    return Errorf(absl::StatusCode::kCancelled, "the download of the base was cancelled");
  }

  objstore::ObjectStore& store_;
  const Manifest& manifest_;
  const std::string& folder_;
  const BaseOptions& options_;
  BaseProgress& progress_;
};

}  // namespace

absl::Status DownloadBase(objstore::ObjectStore& store, const Manifest& manifest, const std::string& folder,
                          const BaseOptions& options, BaseProgress* progress) {
  BaseProgress own;
  return Download(store, manifest, folder, options, progress == nullptr ? own : *progress).Run();
}

absl::Status VerifyFile(objstore::ObjectStore& store, const format::FileName& file, const KeyRing& keys) {
  FileDecoder decoder(keys, file, [](std::string_view) { return absl::OkStatus(); });
  const std::string key = FileKey(file);
  absl::Status status = store.GetStream(key, [&](std::string_view piece) { return decoder.Feed(piece); });
  if (status.ok()) status = decoder.Finish();
  return status.ok() ? status : Errorf(status.code(), "{}: {}", key, Message(status));
}

}  // namespace tidemark::archive
