// Files, behind a seam where tests put faults: full disks, lost and torn writes, failing syncs.
// Everything durable that is not RocksDB's goes through here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tidemark {

// An open file. Reads and writes at different offsets may run at the same time from any threads; the
// caller keeps overlapping writes apart. Offsets and sizes are bytes.
class File {
 public:
  virtual ~File() = default;
  // Writes all of `bytes` or fails. RESOURCE_EXHAUSTED when the disk is full; what was written then is undefined.
  virtual absl::Status Write(uint64_t offset, std::string_view bytes) = 0;
  // Reads up to `length` bytes into `buffer`; fewer only at the end of the file. Returns the count.
  virtual absl::StatusOr<size_t> Read(uint64_t offset, size_t length, char* buffer) = 0;
  // fdatasync: after OK, everything written before the call survives a power failure. Never retry a failed one.
  virtual absl::Status Sync() = 0;
  // Reserves room so that writes below `size` cannot meet a full disk; grows the file to `size`.
  virtual absl::Status Allocate(uint64_t size) = 0;
  virtual absl::Status Truncate(uint64_t size) = 0;
  virtual absl::StatusOr<uint64_t> Size() = 0;
};

class FileSystem {
 public:
  enum class Mode { kRead, kReadWrite, kCreateNew };

  virtual ~FileSystem() = default;
  // kCreateNew fails with ALREADY_EXISTS; the others with NOT_FOUND.
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) = 0;
  // Atomic; replaces `to`. Durable after SyncDirectory on the folder of `to`.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // A second name for the same file, or ALREADY_EXISTS where there is something of the name `to`: never replaces.
  // UNIMPLEMENTED where the file system has no such names. Durable after SyncFolder on the folder of `to`.
  virtual absl::Status Link(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // Names (not paths) in a folder, sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& folder) = 0;
  // Also the folders above it. The names of those created are durable when it returns.
  virtual absl::Status CreateFolder(const std::string& path) = 0;
  virtual absl::Status SyncFolder(const std::string& path) = 0;
  // Bytes that an unprivileged writer can still use on the file system of `path`.
  virtual absl::StatusOr<uint64_t> FreeBytes(const std::string& path) = 0;
  // Takes the lock file `path` for this process for as long as the returned object lives.
  // FAILED_PRECONDITION, naming the holder's pid, while another process has it.
  virtual absl::StatusOr<std::shared_ptr<void>> Lock(const std::string& path) = 0;

  static FileSystem& Posix();
};

// Whole-file helpers over the seam. The writer replaces atomically and durably: aside, synced, renamed, folder synced.
absl::StatusOr<std::string> ReadWholeFile(FileSystem& fs, const std::string& path);
absl::Status ReplaceWholeFile(FileSystem& fs, const std::string& folder, const std::string& name,
                              std::string_view bytes);

}  // namespace tidemark
