#include "replication/snapshots.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "env/random.h"
#include "log/peek.h"

namespace tidemark::replication {
namespace {

using Json = nlohmann::json;
using std::chrono::steady_clock;

constexpr std::string_view kPrefix = "fullsync-";
constexpr size_t kPartBytes = 1 << 20;
constexpr int kAttempts = 5;

std::string NameOf(const std::string& id) { return std::string(kPrefix) + id; }
std::string LeaseOf(const std::string& id) { return "snapshot:" + id; }

std::string Encode(const SnapshotOffer& offer, const std::set<std::string>& readers) {
  Json files = Json::array();
  for (const SnapshotFile& file : offer.files) files.push_back({{"name", file.name}, {"size", file.size}});
  return Json{{"id", offer.id},
              {"lsn", offer.lsn.value},
              {"timeline", offer.timeline.value},
              {"previous_crc", offer.previous_crc},
              {"last_timestamp", offer.last_timestamp.micros},
              {"files", files},
              {"readers", readers}}
      .dump();
}

struct Described {
  SnapshotOffer offer;
  std::set<std::string> readers;
};

absl::StatusOr<Described> Decode(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  try {
    Described described;
    SnapshotOffer& offer = described.offer;
    offer.id = json.at("id").get<std::string>();
    offer.lsn.value = json.at("lsn").get<uint64_t>();
    offer.timeline.value = json.at("timeline").get<uint32_t>();
    offer.previous_crc = json.at("previous_crc").get<uint32_t>();
    offer.last_timestamp.micros = json.at("last_timestamp").get<uint64_t>();
    for (const Json& file : json.at("files")) {
      offer.files.push_back({file.at("name").get<std::string>(), file.at("size").get<uint64_t>()});
    }
    described.readers = json.at("readers").get<std::set<std::string>>();
    return described;
  } catch (const Json::exception&) {
    return Errorf(absl::StatusCode::kDataLoss, "the description of a held snapshot is damaged");
  }
}

bool SameFiles(const std::vector<SnapshotFile>& a, const std::vector<SnapshotFile>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.name == y.name && x.size == y.size; });
}

absl::StatusOr<std::vector<SnapshotFile>> FilesOf(const std::string& folder) {
  std::vector<SnapshotFile> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.is_regular_file()) files.push_back({entry.path().filename(), entry.file_size()});
  }
  if (error) return Errorf(absl::StatusCode::kInternal, "cannot list {}: {}", folder, error.message());
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

// That of a record that begins at `lsn`.
Timeline TimelineAt(const History& history, Lsn lsn) {
  Timeline timeline = history.front().timeline;
  for (const TimelineStep& step : history) {
    if (step.fork <= lsn) timeline = step.timeline;
  }
  return timeline;
}

}  // namespace

Snapshots::Snapshots(engine::Engine& engine, FileSystem& fs, Clock& clock, const Options& options)
    : engine_(engine), fs_(fs), clock_(clock), options_(options) {}

absl::Status Snapshots::Load() {
  std::map<std::string, log::Lease> leases;
  for (const log::Lease& lease : engine_.log().Leases()) {
    if (lease.name.starts_with("snapshot:")) leases[lease.name.substr(9)] = lease;
  }
  const std::string folder = std::filesystem::path(engine_.SnapshotFolder("x")).parent_path();
  TM_RETURN_IF_ERROR(fs_.CreateFolder(folder));
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> names, fs_.List(folder));
  for (const std::string& name : names) {
    if (!name.starts_with(kPrefix) || !name.ends_with(".json")) continue;
    const absl::StatusOr<std::string> text = ReadWholeFile(fs_, fmt::format("{}/{}", folder, name));
    absl::StatusOr<Described> described = text.ok() ? Decode(*text) : text.status();
    if (!described.ok() || name != NameOf(described->offer.id) + ".json" || described->readers.empty()) continue;
    const std::string id = described->offer.id;
    const absl::StatusOr<std::vector<SnapshotFile>> files = FilesOf(engine_.SnapshotFolder(NameOf(id)));
    if (!files.ok() || files->empty() || !SameFiles(*files, described->offer.files)) continue;
    const MutexLock lock(mutex_);
    held_[id] = {.offer = std::move(described->offer),
                 .users = 0,
                 .readers = described->readers,
                 .begun = std::move(described->readers),
                 .leased = leases.contains(id) && leases.at(id).broken.empty(),
                 .made = steady_clock::now() - options_.share_max,
                 .used = steady_clock::now()};
    if (held_[id].leased) leases.erase(id);
  }
  for (const auto& [id, lease] : leases) engine_.log().ReleaseLease(LeaseOf(id)).IgnoreError();
  for (const std::string& name : names) {
    if (!name.starts_with(kPrefix)) continue;
    const std::string id = name.substr(kPrefix.size(), 32);
    std::error_code ignored;  // what is left costs room only, and goes at the next start
    const MutexLock lock(mutex_);
    if (!held_.contains(id)) std::filesystem::remove_all(fmt::format("{}/{}", folder, name), ignored);
  }
  return absl::OkStatus();
}

bool Snapshots::Shareable(const Held& held) const {
  return held.leased && steady_clock::now() - held.made < options_.share_max;
}

absl::Status Snapshots::WriteDown(const Held& held) {
  const std::filesystem::path folder = engine_.SnapshotFolder(NameOf(held.offer.id));
  return ReplaceWholeFile(fs_, folder.parent_path(), NameOf(held.offer.id) + ".json", Encode(held.offer, held.readers));
}

absl::StatusOr<SnapshotOffer> Snapshots::Acquire(const std::string& replica, const History& history) {
  const MutexLock taking(take_mutex_);
  {
    const MutexLock lock(mutex_);
    for (auto& [id, held] : held_) {
      if (!Shareable(held)) continue;
      if (held.readers.insert(replica).second) {
        if (const absl::Status written = WriteDown(held); !written.ok()) {
          held.readers.erase(replica);
          return written;
        }
      }
      held.begun.erase(replica);
      ++held.users;
      held.used = steady_clock::now();
      return held.offer;
    }
  }
  // What it read before it will not go on with.
  Done(replica);
  TM_ASSIGN_OR_RETURN(const SnapshotOffer offer, Take(history));
  Held held{.offer = offer,
            .users = 1,
            .readers = {replica},
            .begun = {},
            .leased = true,
            .made = steady_clock::now(),
            .used = steady_clock::now()};
  if (const absl::Status written = WriteDown(held); !written.ok()) {
    Remove(offer.id);
    return written;
  }
  const MutexLock lock(mutex_);
  held_[offer.id] = std::move(held);
  return offer;
}

absl::StatusOr<SnapshotOffer> Snapshots::Take(const History& history) {
  const std::string id = IdToHex(RandomId());
  absl::StatusOr<SnapshotOffer> offer = TakeHeld(id, history);
  if (!offer.ok()) Remove(id);
  return offer;
}

// The engine's own lease may be raised between our look and our take: then the place may be purged, and we look again.
absl::Status Snapshots::HoldAsEngine(const std::string& id) {
  log::Log& log = engine_.log();
  absl::Status held;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::vector<log::Lease> leases = log.Leases();
    const auto own =
        std::find_if(leases.begin(), leases.end(), [](const auto& lease) { return lease.name == "engine"; });
    if (own == leases.end()) return Errorf(absl::StatusCode::kInternal, "the engine holds no lease on its log");
    held = log.TakeLease({.name = LeaseOf(id), .lease_class = log::LeaseClass::kRequired, .position = own->position});
    if (!absl::IsFailedPrecondition(held)) break;
  }
  return held;
}

absl::StatusOr<SnapshotOffer> Snapshots::TakeHeld(const std::string& id, const History& history) {
  log::Log& log = engine_.log();
  if (!options_.sabotage_mark_before_hold) TM_RETURN_IF_ERROR(HoldAsEngine(id));
  SnapshotOffer offer;
  offer.id = id;
  TM_ASSIGN_OR_RETURN(offer.lsn, engine_.SnapshotAs(NameOf(id)));
  if (options_.after_mark) options_.after_mark();
  if (options_.sabotage_mark_before_hold) TM_RETURN_IF_ERROR(HoldAsEngine(id));
  if (offer.lsn < log.oldest()) {
    return Errorf(absl::StatusCode::kInternal, "the log begins at lsn:{:x}, beyond the snapshot's lsn:{:x}",
                  log.oldest().value, offer.lsn.value);
  }
  TM_RETURN_IF_ERROR(log.RaiseLease(LeaseOf(id), offer.lsn));
  offer.timeline = TimelineAt(history, offer.lsn);
  if (const log::Log::Tail tail = engine_.Tail(); tail.end == offer.lsn) {
    offer.previous_crc = tail.crc;
    offer.last_timestamp = tail.timestamp;
  } else {
    engine_.EndTurn();
    TM_ASSIGN_OR_RETURN(const log::RecordPeek next, log::PeekRecord(log, offer.lsn));
    offer.previous_crc = next.previous_crc;
    offer.last_timestamp = Timestamp{next.timestamp.micros - 1};
  }
  TM_ASSIGN_OR_RETURN(offer.files, FilesOf(engine_.SnapshotFolder(NameOf(id))));
  return offer;
}

std::optional<SnapshotOffer> Snapshots::Resume(const std::string& id, const std::string& replica) {
  const MutexLock lock(mutex_);
  const auto found = held_.find(id);
  if (found == held_.end() || !found->second.readers.contains(replica)) return std::nullopt;
  ++found->second.users;
  found->second.used = steady_clock::now();
  return found->second.offer;
}

bool Snapshots::Has(const std::string& id, const std::string& replica) const {
  const MutexLock lock(mutex_);
  const auto found = held_.find(id);
  return found != held_.end() && found->second.readers.contains(replica);
}

bool Snapshots::Begun(const std::string& id, const std::string& replica) {
  const MutexLock lock(mutex_);
  const auto found = held_.find(id);
  return found != held_.end() && found->second.readers.contains(replica) && found->second.begun.insert(replica).second;
}

void Snapshots::Release(const std::string& id) {
  {
    const MutexLock lock(mutex_);
    const auto found = held_.find(id);
    if (found == held_.end()) return;
    --found->second.users;
    found->second.used = steady_clock::now();
    if (found->second.users > 0 || !found->second.readers.empty()) return;
    held_.erase(found);
  }
  Remove(id);
}

void Snapshots::Done(const std::string& replica) {
  std::vector<std::string> over;
  {
    const MutexLock lock(mutex_);
    for (auto it = held_.begin(); it != held_.end();) {
      Held& held = it->second;
      const bool was_reader = held.readers.erase(replica) == 1;
      if (!was_reader || !held.readers.empty()) {
        // Where that fails, the next start keeps the snapshot until it is idle.
        if (was_reader) WriteDown(held).IgnoreError();
        ++it;
        continue;
      }
      over.push_back(it->first);
      it = held_.erase(it);
    }
  }
  for (const std::string& id : over) Remove(id);
}

void Snapshots::RemoveIdle() {
  std::vector<std::string> idle;
  std::vector<std::string> old;
  {
    const MutexLock lock(mutex_);
    for (auto& [id, held] : held_) {
      if (held.users == 0 && steady_clock::now() - held.used > options_.idle_max) {
        idle.push_back(id);
      } else if (held.leased && !Shareable(held)) {
        held.leased = false;
        old.push_back(id);
      }
    }
    for (const std::string& id : idle) held_.erase(id);
  }
  for (const std::string& id : idle) Remove(id);
  for (const std::string& id : old) engine_.log().ReleaseLease(LeaseOf(id)).IgnoreError();
}

void Snapshots::Stop() {
  const MutexLock lock(rate_mutex_);
  stopped_ = true;
  rate_changed_.SignalAll();
}

void Snapshots::RemoveAll() {
  std::map<std::string, Held> all;
  {
    const MutexLock lock(mutex_);
    all.swap(held_);
  }
  for (const auto& [id, held] : all) Remove(id);
}

void Snapshots::Remove(const std::string& id) {
  const std::filesystem::path folder = engine_.SnapshotFolder(NameOf(id));
  std::error_code ignored;  // what is left costs room only, and goes at the next start
  // First what says that the rest is whole.
  std::filesystem::remove(folder.string() + ".json", ignored);
  fs_.SyncFolder(folder.parent_path()).IgnoreError();
  std::filesystem::remove_all(folder, ignored);
  engine_.log().ReleaseLease(LeaseOf(id)).IgnoreError();
}

// What waited at the former rate has waited enough.
void Snapshots::SetRate(uint64_t rate) {
  const MutexLock lock(rate_mutex_);
  if (rate == rate_) return;
  rate_ = rate;
  next_send_ = steady_clock::now();
  rate_changed_.SignalAll();
}

absl::Status Snapshots::Throttle(uint64_t bytes) {
  const MutexLock lock(rate_mutex_);
  const uint64_t rate = rate_;
  if (rate == 0) return absl::OkStatus();
  next_send_ = std::max(next_send_, steady_clock::now());
  const SteadyTime at = next_send_;
  next_send_ += std::chrono::microseconds(bytes * 1'000'000 / rate);
  while (!stopped_ && rate_ == rate && rate_changed_.WaitUntil(rate_mutex_, at)) {
  }
  return stopped_ ? Errorf(absl::StatusCode::kCancelled, "the node is stopping") : absl::OkStatus();
}

absl::Status Snapshots::ReadFile(const std::string& id, const std::string& name, uint64_t offset,
                                 absl::FunctionRef<absl::Status(const FilePart&)> give,
                                 absl::FunctionRef<void(uint64_t)> sent) {
  {
    const MutexLock lock(mutex_);
    const auto found = held_.find(id);
    if (found == held_.end()) return Errorf(absl::StatusCode::kNotFound, "snapshot {} is not held any more", id);
    const auto& files = found->second.offer.files;
    if (std::none_of(files.begin(), files.end(), [&](const SnapshotFile& file) { return file.name == name; })) {
      return InvalidArgument("snapshot {} has no file {}", id, name);
    }
    found->second.used = steady_clock::now();
  }
  const std::string path = engine_.SnapshotFolder(NameOf(id)) + "/" + name;
  TM_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, fs_.Open(path, FileSystem::Mode::kRead));
  TM_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (offset > size) return InvalidArgument("{} has {} bytes, offset {} is beyond", name, size, offset);
  uint32_t crc = 0;
  FilePart part;
  for (uint64_t at = 0; !part.last;) {
    part.bytes.resize(std::min<uint64_t>(kPartBytes, size - at));
    TM_ASSIGN_OR_RETURN(const size_t count, file->Read(at, part.bytes.size(), part.bytes.data()));
    if (count != part.bytes.size()) return Errorf(absl::StatusCode::kDataLoss, "{} became shorter", path);
    crc = Crc32c(part.bytes, crc);
    const uint64_t from = at;
    at += count;
    part.last = at == size;
    part.hash = crc;
    if (at < offset || (at == offset && !part.last)) continue;  // the replica has it; it counts for the checksum only
    if (from < offset) part.bytes.erase(0, offset - from);
    TM_RETURN_IF_ERROR(Throttle(part.bytes.size()));
    TM_RETURN_IF_ERROR(give(part));
    sent(part.bytes.size());
  }
  return absl::OkStatus();
}

}  // namespace tidemark::replication
