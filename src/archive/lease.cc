#include "archive/lease.h"

#include <chrono>

#include "base/bytes.h"
#include "env/random.h"

namespace tidemark::archive {
namespace {

uint32_t NewHolder(ArchiveLease::Kind kind) {
  const Id128 random = RandomId();
  const auto holder = LoadLittle<uint32_t>(reinterpret_cast<const char*>(random.data()));
  return kind == ArchiveLease::Kind::kDelete ? holder | kDeleterBit : holder & ~kDeleterBit;
}

}  // namespace

ArchiveLease::ArchiveLease(objstore::ObjectStore& store, Clock& clock, Kind kind)
    : store_(store),
      clock_(clock),
      duration_micros_(kind == Kind::kDelete ? kDeleterLeaseMicros : kLeaseMicros),
      holder_(NewHolder(kind)) {}

absl::StatusOr<std::unique_ptr<ArchiveLease>> ArchiveLease::Take(objstore::ObjectStore& store, Clock& clock,
                                                                 Kind kind) {
  std::unique_ptr<ArchiveLease> lease(new ArchiveLease(store, clock, kind));
  lease->safe_until_ = UINT64_MAX;
  TM_RETURN_IF_ERROR(lease->Renew());
  lease->renewer_ = std::thread([lease = lease.get()] { lease->RenewUntilStopped(); });
  return lease;
}

ArchiveLease::~ArchiveLease() {
  if (renewer_.joinable()) {
    {
      const MutexLock lock(mutex_);
      stop_ = true;
    }
    stopped_.SignalAll();
    renewer_.join();
  }
  // What cannot be deleted ends by itself.
  if (!key_.empty()) store_.Delete(key_).IgnoreError();
}

bool ArchiveLease::unbroken() const { return !broken_ && clock_.MonotonicMicros() < safe_until_; }

absl::Status ArchiveLease::Renew() {
  const uint64_t begun = clock_.MonotonicMicros();
  const std::string key = format::ArchiveLeaseKey({holder_, clock_.WallMicros() + duration_micros_});
  TM_RETURN_IF_ERROR(store_.Put(key, "", objstore::PutCondition::kNone));
  if (clock_.MonotonicMicros() >= safe_until_) broken_ = true;
  safe_until_ = begun + duration_micros_ / 4 * 3;
  const std::string former = std::exchange(key_, key);
  // One that stays behind ends by itself.
  if (!former.empty() && former != key) store_.Delete(former).IgnoreError();
  return absl::OkStatus();
}

void ArchiveLease::RenewUntilStopped() {
  const std::chrono::microseconds regular(duration_micros_ / 4);
  const std::chrono::microseconds after_failure(duration_micros_ / 60);
  auto next = std::chrono::steady_clock::now() + regular;
  while (true) {
    {
      const MutexLock lock(mutex_);
      while (!stop_ && std::chrono::steady_clock::now() < next) stopped_.WaitUntil(mutex_, next);
      if (stop_) return;
    }
    const bool renewed = Renew().ok();
    next = std::chrono::steady_clock::now() + (renewed ? regular : after_failure);
  }
}

absl::StatusOr<std::vector<format::ArchiveLeaseName>> LiveLeases(objstore::ObjectStore& store, uint64_t now_micros,
                                                                 uint32_t except) {
  TM_ASSIGN_OR_RETURN(const std::vector<objstore::ObjectInfo> objects, objstore::ListAll(store, "leases/"));
  std::vector<format::ArchiveLeaseName> live;
  for (const objstore::ObjectInfo& object : objects) {
    const auto lease = format::ParseArchiveLeaseKey(object.key);
    if (lease && lease->holder != except && lease->expires_micros > now_micros) live.push_back(*lease);
  }
  return live;
}

}  // namespace tidemark::archive
