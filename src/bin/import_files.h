// What a Redis leaves on disk, as one run of files to read: an RDB file, an append-only file (with an RDB at its front,
// or without), or the folder that Redis 7 keeps of them, whose manifest names base and increments in order.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/rdb_input.h"

namespace tidemark::bin {

struct ImportFile {
  std::string path;
  uint64_t bytes = 0;
  bool last = false;  // of several: a command that is cut at its end was never acknowledged
};

// NOT_FOUND when there is nothing to read, INVALID_ARGUMENT for a manifest that makes no sense.
absl::StatusOr<std::vector<ImportFile>> FindImportFiles(const std::string& path);
// The lines of a manifest (source: Redis 7.0 src/aof.c): names of base and increments, in order of reading.
absl::StatusOr<std::vector<std::string>> ParseAofManifest(std::string_view text);

// One of them, read from front to end.
class ImportReader {
 public:
  static absl::StatusOr<ImportReader> Open(const ImportFile& file);
  // 0 at the end.
  absl::StatusOr<size_t> Read(char* to, size_t max);
  uint64_t read() const { return read_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  explicit ImportReader(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  std::unique_ptr<std::FILE, Close> file_;
  std::string path_;
  uint64_t read_ = 0;
};

}  // namespace tidemark::bin
