#include "objstore/folder_walk.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "objstore/keys.h"

namespace tidemark::objstore {
namespace {

// A name in a folder as it stands in keys: a folder's with its '/', so that the order of names is the order of keys.
using Name = std::string;

bool IsFolderName(const Name& name) { return name.ends_with('/'); }

enum class FileType { kFile, kFolder, kOther };

FileType TypeOf(const std::string& folder, const dirent& entry) {
  if (entry.d_type == DT_REG) return FileType::kFile;
  if (entry.d_type == DT_DIR) return FileType::kFolder;
  if (entry.d_type != DT_UNKNOWN && entry.d_type != DT_LNK) return FileType::kOther;
  struct stat info {};
  const std::string path = folder + "/" + static_cast<const char*>(entry.d_name);
  if (stat(path.c_str(), &info) != 0) return FileType::kOther;
  return S_ISREG(info.st_mode) ? FileType::kFile : S_ISDIR(info.st_mode) ? FileType::kFolder : FileType::kOther;
}

class Walk {
 public:
  Walk(const std::string& root, std::string_view prefix, std::string_view start_after, size_t max)
      : root_(root), prefix_(prefix), start_after_(start_after), max_(max) {}

  absl::StatusOr<ListPage> Run() {
    // The folder that the whole prefix lies in; those beside it are not even named.
    const size_t slash = prefix_.rfind('/');
    TM_RETURN_IF_ERROR(Visit(slash == std::string_view::npos ? "" : std::string(prefix_.substr(0, slash + 1))));
    return std::move(page_);
  }

 private:
  // Whether a key that is `key`, or begins with it where it names a folder, may belong to the page.
  bool MayMatch(const std::string& key) const {
    if (!IsFolderName(key)) return std::string_view(key).starts_with(prefix_) && key > start_after_;
    if (!std::string_view(key).starts_with(prefix_) && !prefix_.starts_with(key)) return false;
    return start_after_.starts_with(key) || key > start_after_;
  }

  // `base` is the folder's part of the keys: empty, or with '/' at its end.
  absl::StatusOr<std::vector<Name>> Names(const std::string& base) const {
    const std::string folder = root_ + "/" + base;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(folder.c_str()), closedir);
    std::vector<Name> names;
    if (dir == nullptr) {
      // A folder that is not there has no objects; the store's own is looked for before.
      if (errno == ENOENT || errno == ENOTDIR) return names;
      return ErrnoStatus(errno, "list " + folder);
    }
    while (true) {
      errno = 0;
      const dirent* entry = readdir(dir.get());
      if (entry == nullptr) break;
      Name name = static_cast<const char*>(entry->d_name);
      if (!CheckKey(name).ok()) continue;
      const FileType type = TypeOf(folder, *entry);
      if (type == FileType::kOther) continue;
      if (type == FileType::kFolder) name.push_back('/');
      if (MayMatch(base + name)) names.push_back(std::move(name));
    }
    if (errno != 0) return ErrnoStatus(errno, "list " + folder);
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::Status Visit(const std::string& base) {
    TM_ASSIGN_OR_RETURN(const std::vector<Name> names, Names(base));
    for (const Name& name : names) {
      if (page_.more) break;
      const std::string key = base + name;
      TM_RETURN_IF_ERROR(IsFolderName(name) ? Visit(key) : Add(key));
    }
    return absl::OkStatus();
  }

  absl::Status Add(const std::string& key) {
    if (page_.objects.size() == max_) {
      page_.more = true;
      return absl::OkStatus();
    }
    absl::StatusOr<ObjectInfo> info = StatFile(root_ + "/" + key, key);
    if (absl::IsNotFound(info.status())) return absl::OkStatus();  // deleted meanwhile
    if (!info.ok()) return info.status();
    page_.objects.push_back(*std::move(info));
    return absl::OkStatus();
  }

  const std::string& root_;
  const std::string_view prefix_;
  const std::string_view start_after_;
  const size_t max_;
  ListPage page_;
};

}  // namespace

absl::StatusOr<ListPage> WalkFolder(const std::string& root, std::string_view prefix, std::string_view start_after,
                                    size_t max) {
  return Walk(root, prefix, start_after, max).Run();
}

absl::StatusOr<ObjectInfo> StatFile(const std::string& path, std::string_view key) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    const int error = errno == ENOTDIR ? ENOENT : errno;
    return ErrnoStatus(error, "look for " + path);
  }
  if (!S_ISREG(info.st_mode)) return Errorf(absl::StatusCode::kNotFound, "{} is not a file", path);
  return ObjectInfo{
      std::string(key), static_cast<uint64_t>(info.st_size),
      static_cast<uint64_t>(info.st_mtim.tv_sec) * 1'000'000 + static_cast<uint64_t>(info.st_mtim.tv_nsec) / 1000};
}

}  // namespace tidemark::objstore
