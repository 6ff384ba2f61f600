#include "archive/lease.h"

#include <chrono>
#include <utility>

#include "archive/sealed_json.h"
#include "base/bytes.h"
#include "env/random.h"

namespace tidemark::archive {
namespace {

constexpr std::string_view kLeaseKind = "lease";
constexpr uint64_t kLeaseFormat = 1;

uint32_t NewHolder(ArchiveLease::Kind kind) {
  const Id128 random = RandomId();
  const auto holder = LoadLittle<uint32_t>(reinterpret_cast<const char*>(random.data()));
  return kind == ArchiveLease::Kind::kDelete ? holder | kDeleterBit : holder & ~kDeleterBit;
}

}  // namespace

std::string EncodeLeaseNeeds(const LeaseNeeds& needs) {
  return SealJson(kLeaseKind, {{"format", kLeaseFormat},
                               {"timeline", needs.timeline.value},
                               {"from_lsn", needs.from.value},
                               {"base", needs.base}});
}

std::optional<LeaseNeeds> ReadLeaseNeeds(objstore::ObjectStore& store, const format::ArchiveLeaseName& lease) {
  const absl::StatusOr<std::string> text = store.Get(format::ArchiveLeaseKey(lease));
  if (!text.ok()) return std::nullopt;
  const absl::StatusOr<nlohmann::json> body = OpenJson(kLeaseKind, *text);
  if (!body.ok()) return std::nullopt;
  JsonFields fields(*body);
  const uint64_t format = fields.Number("format");
  LeaseNeeds needs;
  needs.timeline.value = static_cast<uint32_t>(fields.Number("timeline", UINT32_MAX));
  needs.from.value = fields.Number("from_lsn");
  needs.base = fields.Text("base");
  if (!fields.Check(kLeaseKind, format, kLeaseFormat).ok()) return std::nullopt;
  return needs;
}

ArchiveLease::ArchiveLease(objstore::ObjectStore& store, Clock& clock, Kind kind, std::string content)
    : store_(store),
      clock_(clock),
      duration_micros_(kind == Kind::kDelete ? kDeleterLeaseMicros : kLeaseMicros),
      holder_(NewHolder(kind)),
      content_(std::move(content)) {}

absl::StatusOr<std::unique_ptr<ArchiveLease>> ArchiveLease::Take(objstore::ObjectStore& store, Clock& clock, Kind kind,
                                                                 const std::optional<LeaseNeeds>& needs) {
  std::unique_ptr<ArchiveLease> lease(
      new ArchiveLease(store, clock, kind, needs ? EncodeLeaseNeeds(*needs) : std::string()));
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
  TM_RETURN_IF_ERROR(store_.Put(key, content_, objstore::PutCondition::kNone));
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
