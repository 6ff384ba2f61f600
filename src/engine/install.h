// Puts a store and a log that were gathered elsewhere (a full sync) in the place of those that an engine has, so that a
// crash at any moment leaves either the old pair or the new one, never a mixture.
//
//   folder/fullsync/store, folder/fullsync/log   the new pair, complete and synced
//   folder/fullsync/INSTALL                      the decision: once it is there, the new pair counts
//   folder/log/*.bak                             go over to the new log: what was once cut is nowhere else
//
// Whoever opens the engine finishes what was decided (FinishInstall) before it looks at anything.
#pragma once

#include <string>

#include "base/status.h"
#include "env/file.h"

namespace tidemark::engine {

inline constexpr const char* kStagingFolder = "fullsync";
inline constexpr const char* kInstallMark = "INSTALL";

// Decides for the new pair in folder/fullsync, durably. No engine is open on the folder when FinishInstall follows.
absl::Status DecideInstall(FileSystem& fs, const std::string& folder);
// Does what is left of a decided install; nothing without one. Any number of times.
absl::Status FinishInstall(FileSystem& fs, const std::string& folder);

}  // namespace tidemark::engine
