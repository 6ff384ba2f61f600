// A file system in memory that does to its users what real ones may do: forget or tear whatever was not synced, in any
// order; be full; fail a chosen write or sync; or lie about having synced. Stricter than the real one: a name is
// durable only once its folder is synced, and changes of a folder may be forgotten out of order. For tests; lives here,
// not in a test, because the simulations of several floors share it.
//
// Threads: any; one mutex guards everything.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "env/file.h"

namespace tidemark {

class FaultyFileSystem final : public FileSystem {
 public:
  static constexpr uint64_t kSectorBytes = 512;  // never torn
  static constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

  FaultyFileSystem();
  ~FaultyFileSystem() override;

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& folder) override;
  absl::Status CreateFolder(const std::string& path) override;
  absl::Status SyncFolder(const std::string& path) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override;
  absl::StatusOr<std::shared_ptr<void>> Lock(const std::string& path) override;

  // Everything not synced is kept, forgotten or torn, by `seed`: content in pieces of 512 to 4096 bytes each for
  // itself, sizes, and every change of a name. Locks are free; every call fails until Restart, and on files that were
  // open for ever, so that taking down what used them changes nothing.
  void PowerLoss(uint64_t seed);
  // The same, but the machine goes on: nothing is lost.
  void ProcessDeath();
  void Restart();

  // Room for the content of all files, kUnlimited at the start. What Allocate has reserved stays writable.
  void SetCapacity(uint64_t bytes);
  uint64_t used_bytes() const;
  // The n-th call from now (1 is the next) fails once with INTERNAL; 0 takes the order back. A failed Sync has synced
  // nothing, and the content it failed on counts as clean, as on Linux: a retry would say yes and mean nothing.
  void FailWrite(uint64_t nth);
  void FailSync(uint64_t nth);
  // Sync and SyncFolder say yes and do nothing.
  void SetSyncDoesNothing(bool nothing);

  uint64_t syncs() const;

 private:
  friend class FaultyFile;
  struct Inode;
  struct NameChange;

  static std::string FolderOf(const std::string& path);
  absl::Status Alive() const;
  static bool Due(uint64_t* countdown);
  bool GrowTo(Inode& inode, uint64_t bytes);
  void ForgetDeleted();
  void LoseNames(uint64_t* random);
  static void LoseContent(Inode& inode, uint64_t* random);

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Inode>> names_;
  std::map<std::string, std::shared_ptr<Inode>> durable_names_;
  // Changes of names since the last sync of their folder, in order.
  std::vector<NameChange> changes_;
  // Every file that is named, now or durably, or open.
  std::vector<std::weak_ptr<Inode>> inodes_;
  std::map<std::string, std::weak_ptr<void>> locks_;
  uint64_t capacity_ = kUnlimited;
  uint64_t fail_write_ = 0;
  uint64_t fail_sync_ = 0;
  uint64_t syncs_ = 0;
  bool sync_does_nothing_ = false;
  bool dead_ = false;
  // Counts deaths; a file opened before the last one is dead.
  uint64_t incarnation_ = 0;
};

}  // namespace tidemark
