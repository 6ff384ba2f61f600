// A full sync on the replica's side: the files of a snapshot and the log that goes on from it, gathered beside the data
// that still serve, until both are whole. What was gathered survives a lost connection and a restart.
//
// On disk: folder/fullsync/offer.json (which snapshot), store/NAME.part → store/NAME (size and CRC-32C checked,
// synced), log/ (a log of its own, so that a transfer of hours holds no hours of log at the primary). engine/install.h
// takes it from there.
//
// Threads: Fetch on one thread (and those it starts), everything else on another.
#pragma once

#include <absl/functional/function_ref.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "env/clock.h"
#include "env/file.h"
#include "log/log.h"
#include "replication/upstream.h"
#include "replication/wire.h"

namespace tidemark::replication {

// Holds the staged log from the snapshot on. Whoever installs it releases the lease.
inline constexpr const char* kStagingLease = "staging";

class Staging {
 public:
  // `folder`: of the engine's data.
  Staging(FileSystem& fs, Clock& clock, std::string folder, uint64_t segment_size);
  ~Staging();

  // What an earlier attempt gathered; nullptr: nothing that could be gone on with. An error (of the disk) when it
  // cannot be told now.
  static absl::StatusOr<std::unique_ptr<Staging>> TakeUp(FileSystem& fs, Clock& clock, const std::string& folder,
                                                         uint64_t segment_size);
  // For this snapshot, from nothing.
  absl::Status Begin(const SnapshotOffer& offer);
  // Goes on with the offer as the primary names it now (its files).
  void GoOn(const SnapshotOffer& offer) { offer_ = offer; }

  const std::string& id() const { return offer_.id; }
  log::Log& log() { return *log_; }
  std::string log_folder() const { return folder_ + "/log"; }

  // Gets the files that are missing, several at once. Blocks.
  absl::Status Fetch(Upstream& upstream, int jobs);
  uint64_t total_bytes() const { return total_bytes_; }
  uint64_t done_bytes() const { return done_bytes_; }
  // Wall clock; 0 before the first bytes.
  uint64_t last_io_ms() const { return last_io_ms_; }
  // Set to end Fetch soon.
  void Stop() { stop_ = true; }

  // All files are here: closes the log, synced, and decides for the pair. engine::Engine::Reopen installs it.
  absl::Status Decide();
  // Away with it, also with a decision for it.
  absl::Status Discard();

 private:
  absl::Status OpenLog();
  absl::Status FetchFile(Upstream& upstream, const SnapshotFile& file);

  FileSystem& fs_;
  Clock& clock_;
  const std::string data_folder_;
  const std::string folder_;
  const uint64_t segment_size_;
  SnapshotOffer offer_;
  std::unique_ptr<log::Log> log_;
  std::atomic<uint64_t> total_bytes_{0};
  std::atomic<uint64_t> done_bytes_{0};
  std::atomic<uint64_t> last_io_ms_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace tidemark::replication
