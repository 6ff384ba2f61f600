#include "env/faulty_file.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/check.h"

namespace tidemark {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere, which std distributions are not.
uint64_t NextRandom(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

bool Coin(uint64_t* state) { return (NextRandom(state) & 1) != 0; }

absl::Status NotFound(const std::string& path) { return Errorf(absl::StatusCode::kNotFound, "{}: no such file", path); }

}  // namespace

struct FaultyFileSystem::Inode {
  std::string content;
  // Room that is paid for; at least content.size() except in holes made by Truncate.
  uint64_t allocated = 0;
  uint64_t durable_size = 0;
  // What the sectors written since the last sync held before, by sector number. Bytes past the old end are zero.
  std::map<uint64_t, std::string> undo;

  void Remember(uint64_t from, uint64_t to) {
    for (uint64_t sector = from / kSectorBytes; sector * kSectorBytes < to; ++sector) {
      if (undo.contains(sector)) continue;
      std::string old(kSectorBytes, '\0');
      const uint64_t at = sector * kSectorBytes;
      if (at < content.size()) content.copy(old.data(), kSectorBytes, at);
      undo.emplace(sector, std::move(old));
    }
  }
};

struct FaultyFileSystem::NameChange {
  enum class Kind { kCreate, kRename, kRemove };
  Kind kind;
  std::string path;
  std::string to;
  std::shared_ptr<Inode> inode;
};

class FaultyFile final : public File {
 public:
  FaultyFile(FaultyFileSystem& fs, std::shared_ptr<FaultyFileSystem::Inode> inode, std::string path, bool writable)
      : fs_(fs), inode_(std::move(inode)), path_(std::move(path)), writable_(writable), incarnation_(fs.incarnation_) {}

  absl::Status Write(uint64_t offset, std::string_view bytes) override {
    const std::lock_guard lock(fs_.mutex_);
    TM_RETURN_IF_ERROR(Alive(true));
    if (fs_.Due(&fs_.fail_write_)) return Errorf(absl::StatusCode::kInternal, "write {}: injected", path_);
    const uint64_t end = offset + bytes.size();
    if (!fs_.GrowTo(*inode_, end)) return Full("write");
    inode_->Remember(offset, end);
    if (inode_->content.size() < end) inode_->content.resize(end, '\0');
    inode_->content.replace(offset, bytes.size(), bytes);
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Read(uint64_t offset, size_t length, char* buffer) override {
    const std::lock_guard lock(fs_.mutex_);
    TM_RETURN_IF_ERROR(Alive(false));
    if (offset >= inode_->content.size()) return size_t{0};
    return inode_->content.copy(buffer, length, offset);
  }

  absl::Status Sync() override {
    const std::lock_guard lock(fs_.mutex_);
    TM_RETURN_IF_ERROR(Alive(false));
    ++fs_.syncs_;
    if (fs_.Due(&fs_.fail_sync_)) {
      // Linux marks the pages clean after a failed write-back: what was there before is what survives.
      for (const auto& [sector, old] : inode_->undo) {
        const uint64_t at = sector * FaultyFileSystem::kSectorBytes;
        if (at < inode_->content.size()) {
          const size_t count = std::min<size_t>(old.size(), inode_->content.size() - at);
          inode_->content.replace(at, count, old, 0, count);
        }
      }
      inode_->undo.clear();
      return Errorf(absl::StatusCode::kInternal, "sync {}: injected", path_);
    }
    if (fs_.sync_does_nothing_) return absl::OkStatus();
    inode_->undo.clear();
    inode_->durable_size = inode_->content.size();
    return absl::OkStatus();
  }

  absl::Status Allocate(uint64_t size) override {
    const std::lock_guard lock(fs_.mutex_);
    TM_RETURN_IF_ERROR(Alive(true));
    if (!fs_.GrowTo(*inode_, size)) return Full("reserve room for");
    if (inode_->content.size() < size) inode_->content.resize(size, '\0');
    return absl::OkStatus();
  }

  absl::Status Truncate(uint64_t size) override {
    const std::lock_guard lock(fs_.mutex_);
    TM_RETURN_IF_ERROR(Alive(true));
    if (size < inode_->content.size()) inode_->Remember(size, inode_->content.size());
    inode_->content.resize(size, '\0');
    inode_->allocated = std::min(inode_->allocated, size);
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() override {
    const std::lock_guard lock(fs_.mutex_);
    TM_RETURN_IF_ERROR(Alive(false));
    return inode_->content.size();
  }

 private:
  absl::Status Alive(bool to_write) const {
    if (incarnation_ != fs_.incarnation_) {
      return Errorf(absl::StatusCode::kUnavailable, "{} was open when the process died", path_);
    }
    if (to_write && !writable_) return Errorf(absl::StatusCode::kPermissionDenied, "{} is open to read", path_);
    return absl::OkStatus();
  }

  absl::Status Full(std::string_view what) const {
    return Errorf(absl::StatusCode::kResourceExhausted, "{} {}: no space left on device", what, path_);
  }

  FaultyFileSystem& fs_;
  const std::shared_ptr<FaultyFileSystem::Inode> inode_;
  const std::string path_;
  const bool writable_;
  const uint64_t incarnation_;
};

FaultyFileSystem::FaultyFileSystem() = default;
FaultyFileSystem::~FaultyFileSystem() = default;

std::string FaultyFileSystem::FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

bool FaultyFileSystem::Due(uint64_t* countdown) { return *countdown != 0 && --*countdown == 0; }

void FaultyFileSystem::ForgetDeleted() {
  std::erase_if(inodes_, [](const std::weak_ptr<Inode>& inode) { return inode.expired(); });
}

bool FaultyFileSystem::GrowTo(Inode& inode, uint64_t bytes) {
  if (bytes <= inode.allocated) return true;
  if (capacity_ != kUnlimited) {
    uint64_t used = 0;
    ForgetDeleted();
    for (const auto& weak : inodes_) {
      if (const auto other = weak.lock()) used += other->allocated;
    }
    if (used + (bytes - inode.allocated) > capacity_) return false;
  }
  inode.allocated = bytes;
  return true;
}

absl::StatusOr<std::unique_ptr<File>> FaultyFileSystem::Open(const std::string& path, Mode mode) {
  const std::lock_guard lock(mutex_);
  TM_RETURN_IF_ERROR(Alive());
  const auto found = names_.find(path);
  if (mode != Mode::kCreateNew) {
    if (found == names_.end()) return NotFound(path);
    return std::make_unique<FaultyFile>(*this, found->second, path, mode == Mode::kReadWrite);
  }
  if (found != names_.end()) return Errorf(absl::StatusCode::kAlreadyExists, "{} exists", path);
  auto inode = std::make_shared<Inode>();
  inodes_.push_back(inode);
  names_[path] = inode;
  changes_.push_back({NameChange::Kind::kCreate, path, {}, inode});
  return std::make_unique<FaultyFile>(*this, inode, path, true);
}

absl::Status FaultyFileSystem::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  TM_RETURN_IF_ERROR(Alive());
  const auto found = names_.find(from);
  if (found == names_.end()) return NotFound(from);
  const std::shared_ptr<Inode> inode = found->second;
  names_.erase(found);
  names_[to] = inode;
  changes_.push_back({NameChange::Kind::kRename, from, to, inode});
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::Link(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  TM_RETURN_IF_ERROR(Alive());
  const auto found = names_.find(from);
  if (found == names_.end()) return NotFound(from);
  const std::shared_ptr<Inode> inode = found->second;
  if (!names_.emplace(to, inode).second) return Errorf(absl::StatusCode::kAlreadyExists, "{} exists", to);
  changes_.push_back({NameChange::Kind::kCreate, to, {}, inode});
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::Remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  TM_RETURN_IF_ERROR(Alive());
  const auto found = names_.find(path);
  if (found == names_.end()) return NotFound(path);
  changes_.push_back({NameChange::Kind::kRemove, path, {}, found->second});
  names_.erase(found);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FaultyFileSystem::List(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  TM_RETURN_IF_ERROR(Alive());
  std::vector<std::string> names;
  for (const auto& [path, inode] : names_) {
    if (FolderOf(path) == folder) names.push_back(path.substr(folder.size() + 1));
  }
  return names;
}

absl::Status FaultyFileSystem::CreateFolder(const std::string&) { return absl::OkStatus(); }

absl::Status FaultyFileSystem::SyncFolder(const std::string& path) {
  const std::lock_guard lock(mutex_);
  TM_RETURN_IF_ERROR(Alive());
  ++syncs_;
  if (Due(&fail_sync_)) return Errorf(absl::StatusCode::kInternal, "sync folder {}: injected", path);
  if (sync_does_nothing_) return absl::OkStatus();
  std::erase_if(durable_names_, [&](const auto& name) { return FolderOf(name.first) == path; });
  for (const auto& [name, inode] : names_) {
    if (FolderOf(name) == path) durable_names_[name] = inode;
  }
  std::erase_if(changes_, [&](const NameChange& change) { return FolderOf(change.path) == path; });
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FaultyFileSystem::FreeBytes(const std::string&) {
  const uint64_t used = used_bytes();
  const std::lock_guard lock(mutex_);
  return capacity_ > used ? capacity_ - used : 0;
}

absl::StatusOr<std::shared_ptr<void>> FaultyFileSystem::Lock(const std::string& path) {
  const std::lock_guard lock(mutex_);
  TM_RETURN_IF_ERROR(Alive());
  if (!locks_[path].expired()) {
    return Errorf(absl::StatusCode::kFailedPrecondition, "{} is held: only one server may use a folder", path);
  }
  auto holder = std::make_shared<int>(0);
  locks_[path] = holder;
  return holder;
}

void FaultyFileSystem::LoseNames(uint64_t* random) {
  for (NameChange& change : changes_) {
    if (Coin(random)) continue;
    const auto old = durable_names_.find(change.path);
    const bool same = old != durable_names_.end() && old->second == change.inode;
    switch (change.kind) {
      case NameChange::Kind::kCreate:
        durable_names_[change.path] = change.inode;
        break;
      case NameChange::Kind::kRename:
        if (same) durable_names_.erase(old);
        durable_names_[change.to] = change.inode;
        break;
      case NameChange::Kind::kRemove:
        if (same) durable_names_.erase(old);
        break;
    }
  }
  changes_.clear();
  names_ = durable_names_;
}

void FaultyFileSystem::LoseContent(Inode& inode, uint64_t* random) {
  const uint64_t sectors_a_piece = uint64_t{1} << (NextRandom(random) % 4);
  std::optional<uint64_t> piece;
  bool keep = false;
  for (const auto& [sector, old] : inode.undo) {
    if (piece != sector / sectors_a_piece) {
      piece = sector / sectors_a_piece;
      keep = Coin(random);
    }
    const uint64_t at = sector * kSectorBytes;
    if (keep) continue;
    if (inode.content.size() < at + kSectorBytes && inode.durable_size > inode.content.size()) {
      inode.content.resize(std::min(inode.durable_size, at + kSectorBytes), '\0');
    }
    if (at >= inode.content.size()) continue;
    const size_t count = std::min<size_t>(kSectorBytes, inode.content.size() - at);
    inode.content.replace(at, count, old, 0, count);
  }
  if (inode.content.size() != inode.durable_size && Coin(random)) inode.content.resize(inode.durable_size, '\0');
  inode.undo.clear();
  inode.durable_size = inode.content.size();
  inode.allocated = std::max<uint64_t>(inode.allocated, inode.content.size());
}

void FaultyFileSystem::PowerLoss(uint64_t seed) {
  const std::lock_guard lock(mutex_);
  uint64_t random = seed;
  ++incarnation_;
  dead_ = true;
  LoseNames(&random);
  // By name, so that the same seed does the same whatever was created in between.
  for (auto& [name, inode] : names_) LoseContent(*inode, &random);
  ForgetDeleted();
  locks_.clear();
}

void FaultyFileSystem::ProcessDeath() {
  const std::lock_guard lock(mutex_);
  ++incarnation_;
  dead_ = true;
  locks_.clear();
}

void FaultyFileSystem::Restart() {
  const std::lock_guard lock(mutex_);
  dead_ = false;
}

absl::Status FaultyFileSystem::Alive() const {
  if (!dead_) return absl::OkStatus();
  return Errorf(absl::StatusCode::kUnavailable, "the process that used these files is dead");
}

void FaultyFileSystem::SetCapacity(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

uint64_t FaultyFileSystem::used_bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t used = 0;
  for (const auto& weak : inodes_) {
    if (const auto inode = weak.lock()) used += inode->allocated;
  }
  return used;
}

void FaultyFileSystem::FailWrite(uint64_t nth) {
  const std::lock_guard lock(mutex_);
  fail_write_ = nth;
}

void FaultyFileSystem::FailSync(uint64_t nth) {
  const std::lock_guard lock(mutex_);
  fail_sync_ = nth;
}

void FaultyFileSystem::SetSyncDoesNothing(bool nothing) {
  const std::lock_guard lock(mutex_);
  sync_does_nothing_ = nothing;
}

uint64_t FaultyFileSystem::syncs() const {
  const std::lock_guard lock(mutex_);
  return syncs_;
}

}  // namespace tidemark
