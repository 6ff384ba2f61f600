#include "archive/read_ahead.h"

#include <algorithm>
#include <utility>

namespace tidemark::archive {
namespace {

constexpr size_t kChunkBytes = 4ull << 20;
// Of a chunk that grows by whole blocks until it has kChunkBytes.
constexpr size_t kChunkBytesMax = kChunkBytes + format::kBlockPlainBytes;

absl::Status Named(const LogEntry& entry, const absl::Status& status) {
  return Errorf(status.code(), "{}: {}", entry.key, Message(status));
}

}  // namespace

ReadAhead::ReadAhead(objstore::ObjectStore& store, std::vector<LogEntry> objects, const LogReaderOptions& options)
    : store_(store), options_(options) {
  {
    const MutexLock lock(mutex_);
    for (LogEntry& entry : objects) items_.push_back({.entry = std::move(entry)});
  }
  const size_t jobs = std::min(objects.size(), static_cast<size_t>(std::max(options.jobs, 1)));
  for (size_t i = 0; i < jobs; ++i) threads_.emplace_back([this] { Work(); });
}

ReadAhead::~ReadAhead() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
    changed_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

absl::StatusOr<format::ObjectHeader> ReadAhead::Header(size_t index) {
  const MutexLock lock(mutex_);
  used_ -= std::exchange(taken_, 0);
  for (; head_ < index; ++head_) {
    for (const Chunk& chunk : items_[head_].ready) used_ -= chunk.plain.size();
    items_[head_].ready.clear();
  }
  changed_.SignalAll();
  Item& item = items_[index];
  while (!item.has_header && item.status.ok()) changed_.Wait(mutex_);
  if (!item.has_header) return item.status;
  return item.header;
}

absl::StatusOr<Chunk> ReadAhead::Take(Chunk used) {
  const MutexLock lock(mutex_);
  used_ -= std::exchange(taken_, 0);
  if (used.plain.capacity() > 0 && buffers_.size() < threads_.size()) buffers_.push_back(std::move(used.plain));
  changed_.SignalAll();
  Item& item = items_[head_];
  while (item.ready.empty() && item.status.ok()) changed_.Wait(mutex_);
  if (item.ready.empty()) return item.status;
  Chunk chunk = std::move(item.ready.front());
  item.ready.pop_front();
  taken_ = chunk.plain.size();
  return chunk;
}

void ReadAhead::Work() {
  for (;;) {
    size_t index = 0;
    LogEntry entry;
    {
      const MutexLock lock(mutex_);
      // The head is begun whatever it costs; the others when they fit.
      while (!stop_ && next_ < items_.size() && next_ > head_ &&
             used_ + items_[next_].entry.size + kChunkBytesMax > options_.memory) {
        changed_.Wait(mutex_);
      }
      if (stop_ || next_ == items_.size()) return;
      index = next_ = std::max(next_, head_);
      ++next_;
      entry = items_[index].entry;
      used_ += entry.size;
    }
    const absl::Status status = ReadObject(index, entry);
    const MutexLock lock(mutex_);
    used_ -= entry.size;
    if (!status.ok()) items_[index].status = Named(entry, status);
    changed_.SignalAll();
  }
}

absl::Status ReadAhead::ReadObject(size_t index, const LogEntry& entry) {
  TM_ASSIGN_OR_RETURN(const std::string bytes, store_.Get(entry.key));
  if (options_.on_bytes) options_.on_bytes(bytes.size(), 0);
  TM_ASSIGN_OR_RETURN(const auto reader, ObjectReader::Open(bytes, *options_.keys));
  TM_RETURN_IF_ERROR(CheckHeader(entry, reader->header()));
  {
    const MutexLock lock(mutex_);
    items_[index].header = reader->header();
    items_[index].has_header = true;
    changed_.SignalAll();
  }
  for (bool last = false; !last;) {
    if (!ReserveRoom(index)) return absl::OkStatus();
    Chunk chunk{Buffer(), false};
    const absl::Status filled = Fill(*reader, &chunk);
    last = chunk.last;
    if (options_.on_bytes) options_.on_bytes(0, chunk.plain.size());
    const MutexLock lock(mutex_);
    used_ -= kChunkBytesMax;
    changed_.SignalAll();
    TM_RETURN_IF_ERROR(filled);
    if (Unwanted(index)) return absl::OkStatus();
    used_ += chunk.plain.size();
    items_[index].ready.push_back(std::move(chunk));
  }
  return absl::OkStatus();
}

absl::Status ReadAhead::Fill(ObjectReader& reader, Chunk* chunk) {
  chunk->plain.clear();
  while (!chunk->last && chunk->plain.size() < kChunkBytes) {
    TM_ASSIGN_OR_RETURN(const bool more, reader.Next(&chunk->plain));
    chunk->last = !more;
  }
  return absl::OkStatus();
}

absl::Status ReadAhead::CheckHeader(const LogEntry& entry, const format::ObjectHeader& header) const {
  if (header.is_file || NameOf(header) != entry.name) {
    return Errorf(absl::StatusCode::kDataLoss, "holds another object than its name says: {}",
                  header.is_file ? "a file of a base snapshot" : LogObjectKey(NameOf(header)));
  }
  if (options_.cluster_id != Id128{} && header.cluster_id != options_.cluster_id) {
    return Errorf(absl::StatusCode::kDataLoss, "was written by cluster {}, this archive is of cluster {}",
                  IdToHex(header.cluster_id), IdToHex(options_.cluster_id));
  }
  return absl::OkStatus();
}

bool ReadAhead::ReserveRoom(size_t index) {
  const MutexLock lock(mutex_);
  while (!Unwanted(index) && used_ + kChunkBytesMax > options_.memory &&
         !(index == head_ && items_[index].ready.empty())) {
    changed_.Wait(mutex_);
  }
  if (Unwanted(index)) return false;
  used_ += kChunkBytesMax;
  return true;
}

std::string ReadAhead::Buffer() {
  const MutexLock lock(mutex_);
  if (buffers_.empty()) return {};
  std::string buffer = std::move(buffers_.back());
  buffers_.pop_back();
  return buffer;
}

}  // namespace tidemark::archive
