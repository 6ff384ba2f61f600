// Leases in the archive: who works here says so, so that what nobody names yet, or what he has only begun to read, is
// not deleted under him. A lease is an object of leases/ whose name has its holder and its end; to renew it is to put a
// later one and delete the former. A holder that dies lets go by time.
//
// Deleting is guarded as two threads guard a section with a flag each: who deletes raises his flag (a lease whose
// holder's top bit is set), then looks for leases; who works takes his lease, then looks for such flags. Where the
// store lists what was just put, at least one of them sees the other.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "env/clock.h"
#include "format/archive_format.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

inline constexpr uint32_t kDeleterBit = 1u << 31;
inline constexpr uint64_t kLeaseMicros = 600'000'000;
inline constexpr uint64_t kDeleterLeaseMicros = 120'000'000;

// What a reader may still ask for: a base, and the log from there on, along the history that leads to a timeline. All
// else may be deleted beside him. It is the lease's content; a lease without holds everything, and so does every lease
// for a server of before this was written.
struct LeaseNeeds {
  Timeline timeline{};
  Lsn from{};
  std::string base{};  // key; empty: none
};
std::string EncodeLeaseNeeds(const LeaseNeeds& needs);
// What an unexpired lease needs; nullopt: everything, also where it cannot be read or has gone meanwhile.
std::optional<LeaseNeeds> ReadLeaseNeeds(objstore::ObjectStore& store, const format::ArchiveLeaseName& lease);

class ArchiveLease {
 public:
  enum class Kind { kWork, kDelete };

  // Puts the lease, and renews it on a thread of its own until it is destroyed, which deletes it. `store` and `clock`
  // outlive it. `needs`: of a reader who knows.
  static absl::StatusOr<std::unique_ptr<ArchiveLease>> Take(objstore::ObjectStore& store, Clock& clock, Kind kind,
                                                            const std::optional<LeaseNeeds>& needs = std::nullopt);
  ~ArchiveLease();
  ArchiveLease(const ArchiveLease&) = delete;
  ArchiveLease& operator=(const ArchiveLease&) = delete;

  // False once it could have ended in the eyes of another at any time since Take: renewing failed for too long. A
  // quarter of its time is kept as a margin for clocks that differ.
  bool unbroken() const;
  uint32_t holder() const { return holder_; }

 private:
  ArchiveLease(objstore::ObjectStore& store, Clock& clock, Kind kind, std::string content);
  absl::Status Renew();
  void RenewUntilStopped();

  objstore::ObjectStore& store_;
  Clock& clock_;
  const uint64_t duration_micros_;
  const uint32_t holder_;
  const std::string content_;
  std::string key_;                      // written by Take, then by the renewing thread only
  std::atomic<uint64_t> safe_until_{0};  // monotonic microseconds
  std::atomic<bool> broken_{false};
  mutable Mutex mutex_;
  CondVar stopped_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread renewer_;
};

// Unexpired leases in the archive, listed anew, but for those of `except`.
absl::StatusOr<std::vector<format::ArchiveLeaseName>> LiveLeases(objstore::ObjectStore& store, uint64_t now_micros,
                                                                 uint32_t except);

}  // namespace tidemark::archive
