#include "bin/import_files.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "base/numbers.h"

namespace tidemark::bin {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kManifestEnd = ".manifest";

absl::StatusOr<ImportFile> FileAt(const std::string& path) {
  std::error_code error;
  const uintmax_t bytes = fs::file_size(path, error);
  if (error) return Errorf(absl::StatusCode::kNotFound, "{}: {}", path, error.message());
  return ImportFile{path, bytes, false};
}

// The words of a line; names with odd characters stand in double quotes.
std::vector<std::string> Words(std::string_view line) {
  std::vector<std::string> words;
  bool quoted = false;
  bool open = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      quoted = !quoted;
      if (quoted) words.emplace_back();
      open = quoted;
    } else if (!quoted && (c == ' ' || c == '\r')) {
      open = false;
    } else {
      if (!open) words.emplace_back();
      open = true;
      words.back() += c == '\\' && quoted && i + 1 < line.size() ? line[++i] : c;
    }
  }
  return words;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseAofManifest(std::string_view text) {
  std::string base;
  std::map<uint64_t, std::string> increments;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    const std::vector<std::string> words = Words(line);
    std::map<std::string, std::string> fields;
    for (size_t i = 0; i + 1 < words.size(); i += 2) fields[words[i]] = words[i + 1];
    const std::string name = fields["file"];
    const std::optional<uint64_t> number = ParseUint64(fields["seq"]);
    const std::string type = fields["type"];
    if (name.empty() || name.find('/') != std::string::npos || !number || (type != "b" && type != "i" && type != "h")) {
      return InvalidArgument("the manifest has a line that makes no sense: {}", line.substr(0, 200));
    }
    if (type == "b") base = name;
    if (type == "i") increments[*number] = name;
  }
  std::vector<std::string> names;
  if (!base.empty()) names.push_back(base);
  for (const auto& [number, name] : increments) names.push_back(name);
  if (names.empty()) return absl::InvalidArgumentError("the manifest names no file");
  return names;
}

absl::StatusOr<std::vector<ImportFile>> FindImportFiles(const std::string& path) {
  std::error_code error;
  std::vector<ImportFile> files;
  if (!fs::is_directory(path, error)) {
    TM_ASSIGN_OR_RETURN(ImportFile file, FileAt(path));
    file.last = true;
    files.push_back(std::move(file));
    return files;
  }
  std::string manifest;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    if (!entry.path().string().ends_with(kManifestEnd)) continue;
    if (!manifest.empty()) return InvalidArgument("{} has more than one manifest", path);
    manifest = entry.path();
  }
  if (manifest.empty()) return Errorf(absl::StatusCode::kNotFound, "{} has no file *.manifest", path);
  std::ifstream in(manifest);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> names, ParseAofManifest(text));
  for (const std::string& name : names) {
    TM_ASSIGN_OR_RETURN(ImportFile file, FileAt((fs::path(path) / name).string()));
    files.push_back(std::move(file));
  }
  files.back().last = true;
  return files;
}

absl::StatusOr<ImportReader> ImportReader::Open(const ImportFile& file) {
  std::FILE* opened = std::fopen(file.path.c_str(), "rbe");
  if (opened == nullptr) return ErrnoStatus(errno, "open " + file.path);
  return ImportReader(opened, file.path);
}

absl::StatusOr<size_t> ImportReader::Read(char* to, size_t max) {
  const size_t got = std::fread(to, 1, max, file_.get());
  if (got == 0 && std::ferror(file_.get()) != 0) return ErrnoStatus(errno, "read " + path_);
  read_ += got;
  return got;
}

}  // namespace tidemark::bin
