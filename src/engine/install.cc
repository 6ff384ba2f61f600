#include "engine/install.h"

#include <filesystem>
#include <vector>

namespace tidemark::engine {
namespace {

namespace files = std::filesystem;

absl::Status Failed(const char* what, const std::string& path, const std::error_code& error) {
  return Errorf(absl::StatusCode::kInternal, "install: cannot {} {}: {}", what, path, error.message());
}

// `staged`/name takes the place of folder/name. Done already when there is no such staged folder.
absl::Status Swap(FileSystem& fs, const std::string& folder, const std::string& staged, const std::string& name) {
  std::error_code error;
  if (!files::exists(staged + "/" + name, error)) return absl::OkStatus();
  const std::string place = folder + "/" + name;
  files::remove_all(place, error);
  if (error) return Failed("remove", place, error);
  TM_RETURN_IF_ERROR(fs.SyncFolder(folder));
  TM_RETURN_IF_ERROR(fs.Rename(staged + "/" + name, place));
  TM_RETURN_IF_ERROR(fs.SyncFolder(folder));
  return fs.SyncFolder(staged);
}

// What was once cut from the log that goes, and saved aside for people, stays beside the new one.
absl::Status KeepSavedAside(FileSystem& fs, const std::string& folder, const std::string& staged) {
  std::error_code error;
  const std::string from = folder + "/log";
  const std::string to = staged + "/log";
  if (!files::exists(from, error) || !files::exists(to, error)) return absl::OkStatus();
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(from));
  for (const std::string& name : names) {
    if (!name.ends_with(".bak")) continue;
    TM_RETURN_IF_ERROR(fs.Rename(fmt::format("{}/{}", from, name), fmt::format("{}/{}", to, name)));
  }
  return fs.SyncFolder(to);
}

}  // namespace

absl::Status DecideInstall(FileSystem& fs, const std::string& folder) {
  const std::string staged = folder + "/" + kStagingFolder;
  return ReplaceWholeFile(fs, staged, kInstallMark,
                          "the store and the log in this folder take the place of the server's\n");
}

absl::Status FinishInstall(FileSystem& fs, const std::string& folder) {
  const std::string staged = folder + "/" + kStagingFolder;
  std::error_code error;
  if (!files::exists(staged + "/" + kInstallMark, error)) return absl::OkStatus();
  TM_RETURN_IF_ERROR(Swap(fs, folder, staged, "store"));
  TM_RETURN_IF_ERROR(KeepSavedAside(fs, folder, staged));
  TM_RETURN_IF_ERROR(Swap(fs, folder, staged, "log"));
  // The decision goes last: without it what is left would look like a full sync to go on with.
  std::vector<files::path> rest;
  for (const auto& entry : files::directory_iterator(staged, error)) {
    if (entry.path().filename() != kInstallMark) rest.push_back(entry.path());
  }
  for (const files::path& path : rest) {
    files::remove_all(path, error);
    if (error) return Failed("remove", path, error);
  }
  TM_RETURN_IF_ERROR(fs.SyncFolder(staged));
  files::remove_all(staged, error);
  if (error) return Failed("remove", staged, error);
  return fs.SyncFolder(folder);
}

}  // namespace tidemark::engine
