#include "env/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace tidemark {
namespace {

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;
  ~PosixFile() override { close(fd_); }

  absl::Status Write(uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return Failed("write");
      }
      offset += static_cast<uint64_t>(n);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Read(uint64_t offset, size_t length, char* buffer) override {
    size_t total = 0;
    while (total < length) {
      const ssize_t n = pread(fd_, buffer + total, length - total, static_cast<off_t>(offset + total));
      if (n < 0) {
        if (errno == EINTR) continue;
        return Failed("read");
      }
      if (n == 0) break;
      total += static_cast<size_t>(n);
    }
    return total;
  }

  absl::Status Sync() override { return fdatasync(fd_) == 0 ? absl::OkStatus() : Failed("sync"); }

  absl::Status Allocate(uint64_t size) override {
    const int error = posix_fallocate(fd_, 0, static_cast<off_t>(size));
    if (error == 0) return absl::OkStatus();
    return ErrnoStatus(error, fmt::format("reserve {} bytes for {}", size, path_));
  }

  absl::Status Truncate(uint64_t size) override {
    return ftruncate(fd_, static_cast<off_t>(size)) == 0 ? absl::OkStatus() : Failed("truncate");
  }

  absl::StatusOr<uint64_t> Size() override {
    struct stat info {};
    if (fstat(fd_, &info) != 0) return Failed("stat");
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  absl::Status Failed(std::string_view operation) { return ErrnoStatus(errno, fmt::format("{} {}", operation, path_)); }

  const int fd_;
  const std::string path_;
};

struct LockHolder {
  explicit LockHolder(int descriptor) : fd(descriptor) {}
  LockHolder(const LockHolder&) = delete;
  LockHolder& operator=(const LockHolder&) = delete;
  ~LockHolder() { close(fd); }
  const int fd;
};

class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override {
    const int flags = mode == Mode::kRead ? O_RDONLY : mode == Mode::kReadWrite ? O_RDWR : O_RDWR | O_CREAT | O_EXCL;
    const int fd = open(path.c_str(), flags | O_CLOEXEC, 0644);
    if (fd < 0) return ErrnoStatus(errno, "open " + path);
    return std::make_unique<PosixFile>(fd, path);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    return rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus()
                                                 : ErrnoStatus(errno, "rename " + from + " to " + to);
  }

  absl::Status Link(const std::string& from, const std::string& to) override {
    if (link(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    const int error = errno;
    const std::string what = "link " + from + " to " + to;
    // EPERM is what link(2) says where there are no hard links at all (FAT, many network mounts).
    if (error == EPERM || error == EOPNOTSUPP || error == ENOSYS || error == EMLINK) {
      return Errorf(absl::StatusCode::kUnimplemented, "{}: {}", what, std::strerror(error));
    }
    return ErrnoStatus(error, what);
  }

  absl::Status Remove(const std::string& path) override {
    return unlink(path.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "remove " + path);
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& folder) override {
    std::error_code error;
    std::vector<std::string> names;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      names.push_back(it->path().filename().string());
    }
    if (error) return ErrnoStatus(error.value(), "list " + folder);
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::Status CreateFolder(const std::string& path) override {
    // Each name that was missing becomes durable in the folder above it: files inside would be lost with the name.
    std::vector<std::filesystem::path> missing;
    std::error_code error;
    for (std::filesystem::path folder = std::filesystem::absolute(path).lexically_normal();
         !std::filesystem::exists(folder, error) && folder.has_relative_path(); folder = folder.parent_path()) {
      if (folder.has_filename()) missing.push_back(folder);
    }
    std::filesystem::create_directories(path, error);
    if (error) return ErrnoStatus(error.value(), "create folder " + path);
    for (const std::filesystem::path& folder : missing) TM_RETURN_IF_ERROR(SyncFolder(folder.parent_path()));
    return absl::OkStatus();
  }

  absl::Status SyncFolder(const std::string& path) override {
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(errno, "open folder " + path);
    const LockHolder closer(fd);
    return fsync(fd) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "sync folder " + path);
  }

  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override {
    struct statvfs info {};
    if (statvfs(path.c_str(), &info) != 0) return ErrnoStatus(errno, "measure free room of " + path);
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }

  absl::StatusOr<std::shared_ptr<void>> Lock(const std::string& path) override {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return ErrnoStatus(errno, "open lock file " + path);
    auto holder = std::make_shared<LockHolder>(fd);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    // An open-file-description lock: two openings exclude each other within one process too.
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
      char pid[32] = {};
      if (pread(fd, pid, sizeof(pid) - 1, 0) <= 0) pid[0] = '?';
      return Errorf(absl::StatusCode::kFailedPrecondition, "{} is held by process {}: only one server may use a folder",
                    path, std::string_view(pid));
    }
    const std::string pid = std::to_string(getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) return ErrnoStatus(errno, "write " + path);
    return holder;
  }
};

}  // namespace

FileSystem& FileSystem::Posix() {
  static PosixFileSystem fs;
  return fs;
}

absl::StatusOr<std::string> ReadWholeFile(FileSystem& fs, const std::string& path) {
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, fs.Open(path, FileSystem::Mode::kRead));
  TM_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  std::string bytes(size, '\0');
  TM_ASSIGN_OR_RETURN(const size_t count, file->Read(0, size, bytes.data()));
  bytes.resize(count);
  return bytes;
}

absl::Status ReplaceWholeFile(FileSystem& fs, const std::string& folder, const std::string& name,
                              std::string_view bytes) {
  const std::string aside = folder + "/" + name + ".tmp";
  if (absl::Status removed = fs.Remove(aside); !removed.ok() && !absl::IsNotFound(removed)) return removed;
  {
    TM_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, fs.Open(aside, FileSystem::Mode::kCreateNew));
    TM_RETURN_IF_ERROR(file->Write(0, bytes));
    TM_RETURN_IF_ERROR(file->Sync());
  }
  TM_RETURN_IF_ERROR(fs.Rename(aside, folder + "/" + name));
  return fs.SyncFolder(folder);
}

}  // namespace tidemark
