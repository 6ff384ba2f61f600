#include "objstore/memory_store.h"

#include <algorithm>
#include <utility>

#include "objstore/keys.h"

namespace tidemark::objstore {
namespace {

constexpr size_t kPieceBytes = size_t{64} << 10;

// SplitMix64 (Steele, Lea, Flood 2014): the same everywhere, which std distributions are not.
uint64_t NextRandom(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

bool IsRead(MemoryStore::Operation operation) {
  using Operation = MemoryStore::Operation;
  return operation == Operation::kGet || operation == Operation::kGetRange || operation == Operation::kGetStream;
}

// A folder cannot hold a file and a folder of the same name, so nobody may count on it.
absl::Status CheckNotFolder(const MemoryBucket::Objects& objects, std::string_view key) {
  for (size_t slash = key.find('/'); slash != std::string_view::npos; slash = key.find('/', slash + 1)) {
    if (objects.contains(key.substr(0, slash))) {
      return Errorf(absl::StatusCode::kFailedPrecondition, "{} is an object, so {} cannot be one", key.substr(0, slash),
                    key);
    }
  }
  const std::string folder = std::string(key) + "/";
  const auto below = objects.lower_bound(folder);
  if (below != objects.end() && below->first.starts_with(folder)) {
    return Errorf(absl::StatusCode::kFailedPrecondition, "there are objects below {}", key);
  }
  return absl::OkStatus();
}

}  // namespace

std::shared_ptr<MemoryBucket> MemoryBucket::Copy() const { return std::make_shared<MemoryBucket>(objects()); }

MemoryBucket::Objects MemoryBucket::objects() const {
  const MutexLock lock(mutex_);
  return objects_;
}

size_t MemoryBucket::size() const {
  const MutexLock lock(mutex_);
  return objects_.size();
}

void MemoryBucket::Set(std::string_view key, std::string bytes) {
  const MutexLock lock(mutex_);
  objects_[std::string(key)] = Object{std::make_shared<const std::string>(std::move(bytes)), now_micros_};
}

bool MemoryBucket::Erase(std::string_view key) {
  const MutexLock lock(mutex_);
  const auto found = objects_.find(key);
  if (found == objects_.end()) return false;
  objects_.erase(found);
  return true;
}

bool MemoryBucket::FlipBit(std::string_view key, uint64_t offset) {
  const MutexLock lock(mutex_);
  const auto found = objects_.find(key);
  if (found == objects_.end() || offset >= found->second.bytes->size()) return false;
  std::string bytes = *found->second.bytes;
  bytes[offset] = static_cast<char>(bytes[offset] ^ 0x10);
  found->second.bytes = std::make_shared<const std::string>(std::move(bytes));
  return true;
}

void MemoryBucket::SetNow(uint64_t micros) {
  const MutexLock lock(mutex_);
  now_micros_ = micros;
}

MemoryStore::MemoryStore(std::shared_ptr<MemoryBucket> bucket, std::string_view name)
    : bucket_(std::move(bucket)), display_uri_(fmt::format("memory://{}", name)) {}

void MemoryStore::SetFaults(const Faults& faults) {
  const MutexLock lock(mutex_);
  faults_ = faults;
  random_ = faults.seed;
}

void MemoryStore::FailNext(Operation operation, absl::Status error, int times) {
  const MutexLock lock(mutex_);
  planned_[operation].error = std::move(error);
  planned_[operation].fail_times = times;
}

void MemoryStore::LoseNextAnswer(Operation operation, int times) {
  const MutexLock lock(mutex_);
  planned_[operation].lose_times = times;
}

void MemoryStore::SetOutage(absl::Status error) {
  const MutexLock lock(mutex_);
  outage_ = std::move(error);
}

void MemoryStore::SetHook(std::function<absl::Status(Operation operation, std::string_view key)> hook) {
  const MutexLock lock(mutex_);
  hook_ = hook ? std::make_shared<const std::function<absl::Status(Operation, std::string_view)>>(std::move(hook))
               : nullptr;
}

void MemoryStore::SetCapabilities(Capabilities capabilities) {
  const MutexLock lock(mutex_);
  capabilities_ = capabilities;
}

void MemoryStore::SetListLag(size_t hidden) {
  const MutexLock lock(mutex_);
  list_lag_ = hidden;
  recent_.clear();
}

uint64_t MemoryStore::count(Operation operation) const {
  const MutexLock lock(mutex_);
  const auto found = counts_.find(operation);
  return found == counts_.end() ? 0 : found->second;
}

absl::Status MemoryStore::Call::Answer(absl::Status outcome) const {
  if (!lose_answer) return outcome;
  return Errorf(absl::StatusCode::kUnavailable, "injected: the answer was lost");
}

MemoryStore::Call MemoryStore::Decide(Operation operation) {
  Call call;
  if (!outage_.ok()) {
    call.error = outage_;
    return call;
  }
  Planned& planned = planned_[operation];
  if (planned.fail_times > 0) {
    --planned.fail_times;
    call.error = planned.error;
    return call;
  }
  if (planned.lose_times > 0) {
    --planned.lose_times;
    call.lose_answer = true;
    return call;
  }
  uint64_t draw = NextRandom(&random_) % 1000;
  const auto happens = [&draw](uint32_t chance) {
    const bool yes = draw < chance;
    draw -= yes ? 0 : chance;
    return yes;
  };
  if (happens(faults_.unavailable)) {
    call.error = Errorf(absl::StatusCode::kUnavailable, "injected: connection reset");
  } else if (happens(faults_.throttled)) {
    call.error = Errorf(absl::StatusCode::kResourceExhausted, "injected: SlowDown");
  } else if (happens(faults_.lost_answer)) {
    call.lose_answer = true;
  } else if (IsRead(operation) && happens(faults_.damaged)) {
    call.error = Errorf(absl::StatusCode::kDataLoss, "injected: the answer is damaged");
  }
  return call;
}

absl::Status MemoryStore::RunHook(Operation operation, std::string_view key) {
  std::shared_ptr<const std::function<absl::Status(Operation, std::string_view)>> hook;
  {
    const MutexLock lock(mutex_);
    hook = hook_;
  }
  return hook ? (*hook)(operation, key) : absl::OkStatus();
}

MemoryStore::Call MemoryStore::Begin(Operation operation, std::string_view key) {
  Call call;
  {
    const MutexLock lock(mutex_);
    ++counts_[operation];
    call = Decide(operation);
  }
  const bool prefix = operation == Operation::kList || operation == Operation::kProbe;
  if (absl::Status bad = prefix ? CheckPrefix(key) : CheckKey(key); !bad.ok()) {
    call.error = std::move(bad);
  } else if (absl::Status hooked = RunHook(operation, key); !hooked.ok()) {
    call.error = std::move(hooked);
  }
  // Looked at last: the hook may be what cancels.
  if (cancelled_.load()) call.error = Errorf(absl::StatusCode::kCancelled, "the store was closed");
  return call;
}

absl::Status MemoryStore::Store(std::string_view key, std::string bytes, PutCondition condition) {
  bool look_first = false;
  {
    const MutexLock lock(mutex_);
    look_first = condition == PutCondition::kMustNotExist && !capabilities_.conditional_put;
  }
  const uint64_t size = bytes.size();
  if (look_first) {
    if (Find(key).ok()) return Errorf(absl::StatusCode::kAlreadyExists, "{} exists", key);
    TM_RETURN_IF_ERROR(RunHook(Operation::kPut, key));
    condition = PutCondition::kNone;
  }
  {
    const MutexLock lock(bucket_->mutex_);
    TM_RETURN_IF_ERROR(CheckNotFolder(bucket_->objects_, key));
    MemoryBucket::Object object{std::make_shared<const std::string>(std::move(bytes)), bucket_->now_micros_};
    const auto [place, is_new] = bucket_->objects_.try_emplace(std::string(key), object);
    if (!is_new && condition == PutCondition::kMustNotExist) {
      return Errorf(absl::StatusCode::kAlreadyExists, "{} exists", key);
    }
    if (!is_new) place->second = std::move(object);
  }
  bytes_sent_.fetch_add(size);
  const MutexLock lock(mutex_);
  if (list_lag_ > 0) recent_.emplace_back(key);
  return absl::OkStatus();
}

absl::Status MemoryStore::Put(std::string_view key, std::string_view bytes, PutCondition condition) {
  const Call call = Begin(Operation::kPut, key);
  TM_RETURN_IF_ERROR(call.error);
  return call.Answer(Store(key, std::string(bytes), condition));
}

absl::Status MemoryStore::PutStream(std::string_view key, ByteSource& source, uint64_t /*size_hint*/) {
  const Call call = Begin(Operation::kPutStream, key);
  TM_RETURN_IF_ERROR(call.error);
  std::string bytes;
  while (true) {
    TM_ASSIGN_OR_RETURN(const std::string piece, source.Read(kPieceBytes));
    if (piece.empty()) break;
    bytes += piece;
    if (cancelled_.load()) return Errorf(absl::StatusCode::kCancelled, "the store was closed");
  }
  return call.Answer(Store(key, std::move(bytes), PutCondition::kNone));
}

absl::StatusOr<std::shared_ptr<const std::string>> MemoryStore::Find(std::string_view key) {
  const MutexLock lock(bucket_->mutex_);
  const auto found = bucket_->objects_.find(key);
  if (found == bucket_->objects_.end())
    return Errorf(absl::StatusCode::kNotFound, "{}: no object {}", display_uri_, key);
  return found->second.bytes;
}

absl::StatusOr<std::string> MemoryStore::Get(std::string_view key) {
  const Call call = Begin(Operation::kGet, key);
  TM_RETURN_IF_ERROR(call.error);
  TM_ASSIGN_OR_RETURN(const std::shared_ptr<const std::string> bytes, Find(key));
  TM_RETURN_IF_ERROR(call.Answer(absl::OkStatus()));
  bytes_received_.fetch_add(bytes->size());
  return *bytes;
}

absl::StatusOr<std::string> MemoryStore::GetRange(std::string_view key, uint64_t offset, uint64_t length) {
  const Call call = Begin(Operation::kGetRange, key);
  TM_RETURN_IF_ERROR(call.error);
  TM_ASSIGN_OR_RETURN(const std::shared_ptr<const std::string> bytes, Find(key));
  TM_RETURN_IF_ERROR(call.Answer(absl::OkStatus()));
  if (offset > bytes->size()) {
    return Errorf(absl::StatusCode::kOutOfRange, "{} has {} bytes; asked for those from {} on", key, bytes->size(),
                  offset);
  }
  std::string part = bytes->substr(offset, length);
  bytes_received_.fetch_add(part.size());
  return part;
}

absl::Status MemoryStore::GetStream(std::string_view key,
                                    const std::function<absl::Status(std::string_view piece)>& sink) {
  const Call call = Begin(Operation::kGetStream, key);
  TM_RETURN_IF_ERROR(call.error);
  TM_ASSIGN_OR_RETURN(const std::shared_ptr<const std::string> bytes, Find(key));
  for (size_t offset = 0; offset < bytes->size(); offset += kPieceBytes) {
    if (cancelled_.load()) return Errorf(absl::StatusCode::kCancelled, "the store was closed");
    const std::string_view piece = std::string_view(*bytes).substr(offset, kPieceBytes);
    bytes_received_.fetch_add(piece.size());
    TM_RETURN_IF_ERROR(sink(piece));
    // A stream whose end is lost has handed over a part.
    TM_RETURN_IF_ERROR(call.Answer(absl::OkStatus()));
  }
  return call.Answer(absl::OkStatus());
}

absl::StatusOr<ObjectInfo> MemoryStore::Head(std::string_view key) {
  const Call call = Begin(Operation::kHead, key);
  TM_RETURN_IF_ERROR(call.error);
  TM_RETURN_IF_ERROR(call.Answer(absl::OkStatus()));
  const MutexLock lock(bucket_->mutex_);
  const auto found = bucket_->objects_.find(key);
  if (found == bucket_->objects_.end())
    return Errorf(absl::StatusCode::kNotFound, "{}: no object {}", display_uri_, key);
  return ObjectInfo{found->first, found->second.bytes->size(), found->second.modified_micros};
}

absl::StatusOr<ListPage> MemoryStore::List(std::string_view prefix, std::string_view start_after, size_t max) {
  const Call call = Begin(Operation::kList, prefix);
  TM_RETURN_IF_ERROR(call.error);
  TM_RETURN_IF_ERROR(CheckPrefix(start_after));
  TM_RETURN_IF_ERROR(call.Answer(absl::OkStatus()));
  std::vector<std::string> hidden;
  {
    const MutexLock lock(mutex_);
    hidden.assign(recent_.end() - static_cast<std::ptrdiff_t>(std::min(list_lag_, recent_.size())), recent_.end());
  }
  max = std::clamp<size_t>(max, 1, 1000);
  const MutexLock lock(bucket_->mutex_);
  ListPage page;
  auto at = start_after < prefix ? bucket_->objects_.lower_bound(prefix) : bucket_->objects_.upper_bound(start_after);
  for (; at != bucket_->objects_.end() && at->first.starts_with(prefix); ++at) {
    if (std::find(hidden.begin(), hidden.end(), at->first) != hidden.end()) continue;
    if (page.objects.size() == max) {
      page.more = true;
      break;
    }
    page.objects.push_back(ObjectInfo{at->first, at->second.bytes->size(), at->second.modified_micros});
  }
  return page;
}

absl::Status MemoryStore::Delete(std::string_view key) {
  const Call call = Begin(Operation::kDelete, key);
  TM_RETURN_IF_ERROR(call.error);
  bucket_->Erase(key);
  return call.Answer(absl::OkStatus());
}

absl::StatusOr<Capabilities> MemoryStore::Probe(std::string_view nonce) {
  const Call call = Begin(Operation::kProbe, nonce);
  TM_RETURN_IF_ERROR(call.error);
  TM_RETURN_IF_ERROR(call.Answer(absl::OkStatus()));
  const MutexLock lock(mutex_);
  return capabilities_;
}

ObjectStore::Stats MemoryStore::stats() const {
  Stats stats;
  const MutexLock lock(mutex_);
  for (const auto& [operation, count] : counts_) stats.requests += count;
  stats.bytes_sent = bytes_sent_.load();
  stats.bytes_received = bytes_received_.load();
  return stats;
}

}  // namespace tidemark::objstore
