// Objects as files: key a/b/c is the file a/b/c below the folder.
//
// On disk: a file is written as ~aside/NAME, synced, then given its key's name by link(), which never replaces what is
// there (rename() for what may be replaced), then the folder that has the name is synced. Folders are made on the way,
// their names synced before anything in them counts. '~' is no character of a key, so nothing under ~aside is ever
// listed; what a process that died left there is removed by Probe once it is an hour old.
//
// Where the file system has no hard links, "must not exist" is looked up first and capabilities() says so. A folder
// that is replaced under way (unmounted, say) is not written to: the objects would land on another disk.
//
// Threads: any. `mutex_` guards what is known of folders; no lock is held while a file is written.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <set>
#include <string>

#include "base/mutex.h"
#include "env/file.h"
#include "objstore/object_store.h"
#include "objstore/retry.h"

namespace tidemark::objstore {

class FolderStore final : public ObjectStore {
 public:
  // `fs` writes and reads the files and outlives the store; tests give one that fails. What only looks (List, Head,
  // Probe's cleaning) asks the real file system.
  FolderStore(FileSystem& fs, std::string folder, const OpenOptions& options);

  // Makes the folder where it is missing, and remembers which one it is. FAILED_PRECONDITION where it is none,
  // NOT_FOUND where it is missing and the options say that it must exist.
  absl::Status Open();

  absl::Status Put(std::string_view key, std::string_view bytes, PutCondition condition) override;
  absl::Status PutStream(std::string_view key, ByteSource& source, uint64_t size_hint) override;
  absl::StatusOr<std::string> Get(std::string_view key) override;
  absl::StatusOr<std::string> GetRange(std::string_view key, uint64_t offset, uint64_t length) override;
  absl::Status GetStream(std::string_view key,
                         const std::function<absl::Status(std::string_view piece)>& sink) override;
  absl::StatusOr<ObjectInfo> Head(std::string_view key) override;
  absl::StatusOr<ListPage> List(std::string_view prefix, std::string_view start_after, size_t max) override;
  absl::Status Delete(std::string_view key) override;
  absl::StatusOr<Capabilities> Probe(std::string_view nonce) override;
  void Cancel() override { stopper_.Stop(); }
  const std::string& display_uri() const override { return display_uri_; }
  Stats stats() const override;

 private:
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const Identity&) const = default;
  };

  std::string PathOf(std::string_view key) const;
  absl::Status Begin(std::string_view key);
  absl::Status CheckIdentity();
  absl::Status MakeFolder(const std::string& folder);
  absl::Status WritePiece(File& file, uint64_t offset, std::string_view bytes);
  absl::Status WriteAside(const std::string& aside, const std::function<absl::Status(File&)>& write);
  absl::Status Publish(const std::string& aside, std::string_view key, PutCondition condition);
  absl::Status PublishOnce(const std::string& aside, const std::string& path);
  absl::Status PutWith(std::string_view key, PutCondition condition, const std::function<absl::Status(File&)>& write);
  void RemoveLeftovers();

  FileSystem& fs_;
  const std::string folder_;
  const std::string aside_folder_;
  const std::string display_uri_;
  const bool must_exist_;
  Stopper stopper_;
  RateLimiter writes_;
  RateLimiter reads_;
  std::atomic<uint64_t> names_given_{0};
  std::atomic<bool> has_links_{true};
  std::atomic<uint64_t> requests_{0};
  std::atomic<uint64_t> bytes_written_{0};
  std::atomic<uint64_t> bytes_read_{0};
  Mutex mutex_;
  Identity identity_ ABSL_GUARDED_BY(mutex_);
  // Folders whose names, and those of all above them, are durable.
  std::set<std::string> made_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::objstore
