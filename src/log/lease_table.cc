#include "log/lease_table.h"

#include <algorithm>

#include "base/check.h"

namespace tidemark::log {
namespace {

Lease FromFile(const format::LeaseEntry& entry) {
  return {.name = entry.name,
          .lease_class = static_cast<LeaseClass>(entry.lease_class),
          .position = entry.position,
          .max_bytes = entry.max_bytes,
          .max_age_micros = entry.max_age_micros,
          .touched_micros = entry.touched_micros,
          .broken = entry.broken};
}

format::LeaseEntry ToFile(const Lease& lease) {
  return {.name = lease.name,
          .lease_class = static_cast<uint8_t>(lease.lease_class),
          .position = lease.position,
          .max_bytes = lease.max_bytes,
          .max_age_micros = lease.max_age_micros,
          .touched_micros = lease.touched_micros,
          .broken = lease.broken};
}

// Why the lease is past its cap; empty while it is not.
std::string PastCap(const Lease& lease, Lsn end, uint64_t now_micros) {
  if (lease.lease_class != LeaseClass::kBounded || !lease.broken.empty()) return {};
  const uint64_t held = end > lease.position ? end - lease.position : 0;
  if (lease.max_bytes != 0 && held > lease.max_bytes) {
    return fmt::format("held {} bytes of log, its cap is {}", held, lease.max_bytes);
  }
  const uint64_t age = now_micros > lease.touched_micros ? now_micros - lease.touched_micros : 0;
  if (lease.max_age_micros != 0 && age > lease.max_age_micros) {
    return fmt::format("not raised for {} ms, its cap is {} ms", age / 1000, lease.max_age_micros / 1000);
  }
  return {};
}

}  // namespace

LeaseTable::LeaseTable(const format::LeaseFile& file, std::vector<Lsn> bases, Lsn end, uint64_t now_micros)
    : bases_(std::move(bases)), end_(end), durable_(end) {
  TM_CHECK(!bases_.empty());
  for (const format::LeaseEntry& found : file.leases) {
    Entry entry;
    entry.lease = FromFile(found);
    entry.lease.touched_micros = now_micros;
    // Only a take that was never acknowledged, or a log cut by hand, can be overtaken; either way it holds nothing.
    if (entry.lease.broken.empty() && entry.lease.position < oldest()) {
      entry.lease.broken = fmt::format("the log begins at {} only", oldest().value);
      dirty_ = true;
    }
    if (entry.lease.broken.empty()) entry.on_disk = entry.lease.position;
    entries_.emplace(found.name, std::move(entry));
  }
}

void LeaseTable::SetEnd(Lsn appended, Lsn durable) {
  end_ = std::max(end_, appended);
  durable_ = std::max(durable_, durable);
}

void LeaseTable::Rotated(Lsn base) {
  TM_CHECK(base >= bases_.back(), "segment {} after {}", base.value, bases_.back().value);
  bases_.push_back(base);
  end_ = std::max(end_, base);
}

absl::Status LeaseTable::BeginTake(const Lease& lease, uint64_t now_micros) {
  if (lease.name.empty()) return InvalidArgument("a lease needs a name");
  if (lease.position < oldest()) {
    return Errorf(absl::StatusCode::kFailedPrecondition, "lease {} asks for {}, the log begins at {}", lease.name,
                  lease.position.value, oldest().value);
  }
  if (lease.position > end_) {
    return Errorf(absl::StatusCode::kOutOfRange, "lease {} asks for {}, the log ends at {}", lease.name,
                  lease.position.value, end_.value);
  }
  Entry& entry = entries_[lease.name];
  TM_CHECK(!entry.taking, "two takes of lease {} at once", lease.name);
  entry.taking = true;
  entry.before.reset();
  if (!entry.lease.name.empty() && !entry.releasing) entry.before = entry.lease;
  entry.releasing = false;
  entry.lease = lease;
  entry.lease.touched_micros = now_micros;
  entry.lease.broken.clear();
  dirty_ = true;
  return absl::OkStatus();
}

absl::Status LeaseTable::EndTake(std::string_view name) {
  const auto found = entries_.find(name);
  TM_CHECK(found != entries_.end() && found->second.taking, "end of a take of {} that never began", name);
  Entry& entry = found->second;
  entry.taking = false;
  if (entry.lease.broken.empty() && entry.lease.position >= oldest()) return absl::OkStatus();
  return Errorf(absl::StatusCode::kFailedPrecondition, "lease {} was overtaken while it was taken", name);
}

void LeaseTable::CancelTake(std::string_view name) {
  const auto found = entries_.find(name);
  TM_CHECK(found != entries_.end() && found->second.taking, "cancel of a take of {} that never began", name);
  Entry& entry = found->second;
  entry.taking = false;
  dirty_ = true;
  if (entry.before) {
    entry.lease = *entry.before;
  } else if (entry.on_disk) {
    entry.releasing = true;
  } else {
    entries_.erase(found);
  }
}

absl::StatusOr<LeaseTable::Entry*> LeaseTable::FindHolding(std::string_view name) {
  const auto found = entries_.find(name);
  if (found == entries_.end() || found->second.releasing) {
    return Errorf(absl::StatusCode::kNotFound, "there is no lease {}", name);
  }
  return &found->second;
}

absl::Status LeaseTable::Raise(std::string_view name, Lsn position, uint64_t now_micros) {
  TM_ASSIGN_OR_RETURN(Entry * entry, FindHolding(name));
  Lease& lease = entry->lease;
  if (!lease.broken.empty()) {
    return Errorf(absl::StatusCode::kFailedPrecondition, "lease {} is broken: {}", name, lease.broken);
  }
  if (position > end_) {
    return Errorf(absl::StatusCode::kOutOfRange, "lease {} raised to {}, the log ends at {}", name, position.value,
                  end_.value);
  }
  lease.touched_micros = std::max(lease.touched_micros, now_micros);
  if (position > lease.position) {
    lease.position = position;
    dirty_ = true;
  }
  return absl::OkStatus();
}

absl::Status LeaseTable::Release(std::string_view name) {
  TM_ASSIGN_OR_RETURN(Entry * entry, FindHolding(name));
  entry->releasing = true;
  dirty_ = true;
  return absl::OkStatus();
}

std::vector<Lease> LeaseTable::Tick(uint64_t now_micros) {
  std::vector<Lease> broken;
  for (auto& [name, entry] : entries_) {
    if (entry.releasing || entry.taking) continue;
    std::string cause = PastCap(entry.lease, end_, now_micros);
    if (cause.empty()) continue;
    entry.lease.broken = std::move(cause);
    ++broken_count_;
    dirty_ = true;
    broken.push_back(entry.lease);
  }
  return broken;
}

format::LeaseFile LeaseTable::Snapshot() {
  format::LeaseFile file{.durable = durable_, .leases = {}};
  for (auto& [name, entry] : entries_) {
    entry.in_snapshot.reset();
    if (entry.releasing) continue;
    file.leases.push_back(ToFile(entry.lease));
    if (entry.lease.broken.empty()) entry.in_snapshot = entry.lease.position;
  }
  dirty_ = false;
  return file;
}

void LeaseTable::Persisted() {
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = it->second;
    entry.on_disk = entry.in_snapshot;
    it = entry.releasing && !entry.on_disk ? entries_.erase(it) : std::next(it);
  }
}

std::optional<Lsn> LeaseTable::Held(const Entry& entry) {
  std::optional<Lsn> held = entry.on_disk;
  if (!entry.releasing && entry.lease.broken.empty()) {
    held = held ? std::min(*held, entry.lease.position) : entry.lease.position;
  }
  return held;
}

std::vector<Lsn> LeaseTable::Deletable() const {
  Lsn limit{end_.value > retain_size_ ? end_.value - retain_size_ : 0};
  for (const auto& [name, entry] : entries_) {
    if (const std::optional<Lsn> held = Held(entry)) limit = std::min(limit, *held);
  }
  std::vector<Lsn> deletable;
  for (size_t i = 0; i + 1 < bases_.size(); ++i) {
    const Lsn segment_end = bases_[i + 1];
    // Strictly below durable: the segment after it then has a durable record, so its header and name are durable too.
    if (segment_end > limit || segment_end >= durable_) break;
    deletable.push_back(bases_[i]);
  }
  return deletable;
}

void LeaseTable::Deleted(Lsn base) {
  TM_CHECK(bases_.size() > 1 && bases_.front() == base, "segment {} deleted out of order", base.value);
  bases_.erase(bases_.begin());
}

std::vector<Lease> LeaseTable::Leases() const {
  std::vector<Lease> leases;
  for (const auto& [name, entry] : entries_) {
    if (!entry.releasing) leases.push_back(entry.lease);
  }
  return leases;
}

}  // namespace tidemark::log
