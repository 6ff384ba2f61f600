#include "sim_flush_archive.h"

#include <algorithm>
#include <map>

#include "base/hash.h"
#include "format/log_format.h"

namespace tidemark::backup {

using format::kFirstLsn;

struct SimObjectWriter::Impl {
  Lsn first;
  Object object;
};
SimObjectWriter::SimObjectWriter(Lsn first) : impl_(new Impl{first, {}}) { impl_->object.end = first; }
SimObjectWriter::~SimObjectWriter() = default;
void SimObjectWriter::Add(const log::Record& record) {
  impl_->object.bytes += record.raw;
  impl_->object.end = record.end;
  impl_->object.last = record.timestamp;
}
uint64_t SimObjectWriter::plain_bytes() const { return impl_->object.bytes.size(); }
SimObjectWriter::Object SimObjectWriter::Finish() {
  impl_->object.key = fmt::format("log/{:016x}-{:016x}", impl_->first.value, impl_->object.end.value);
  return std::move(impl_->object);
}

bool SameObject(std::string_view one, std::string_view other) { return one == other; }

absl::Status StartArchive(objstore::ObjectStore& store) {
  for (const char* key : {"archive.json", "timelines/1"}) {
    const absl::Status put = store.Put(key, "1", objstore::PutCondition::kMustNotExist);
    if (!put.ok() && !absl::IsAlreadyExists(put)) return put;
  }
  return absl::OkStatus();
}

absl::Status PutFence(objstore::ObjectStore& store) {
  return store.Put("timelines/2", std::to_string(UINT64_MAX), objstore::PutCondition::kMustNotExist);
}

absl::Status SettleFork(objstore::ObjectStore& store) {
  TM_ASSIGN_OR_RETURN(const ArchivedUpTo end, ListedUpTo(store, kFirstLsn, Lsn{UINT64_MAX}));
  return store.Put("timelines/2", std::to_string(end.lsn.value), objstore::PutCondition::kNone);
}

absl::StatusOr<Timeline> NewestTimeline(objstore::ObjectStore& store) {
  TM_ASSIGN_OR_RETURN(const objstore::ListPage page, store.List("timelines/", "", 1000));
  return Timeline{static_cast<uint32_t>(page.objects.size())};
}

absl::StatusOr<ArchivedUpTo> ListedUpTo(objstore::ObjectStore& store, Lsn from, Lsn limit) {
  TM_ASSIGN_OR_RETURN(const auto all, objstore::ListAll(store, "log/"));
  ArchivedUpTo at{from, {}};
  for (const auto& object : all) {
    const Lsn first{std::stoull(object.key.substr(4, 16), nullptr, 16)};
    const Lsn end{std::stoull(object.key.substr(21), nullptr, 16)};
    if (first <= at.lsn && end > at.lsn && end <= limit) at.lsn = end;
  }
  return at;
}

absl::StatusOr<std::vector<ArchivedRecord>> ReadArchive(std::shared_ptr<objstore::MemoryBucket> bucket) {
  objstore::MemoryStore store(bucket);
  TM_RETURN_IF_ERROR(store.Get("archive.json").status());
  TM_RETURN_IF_ERROR(store.Get("timelines/1").status());
  Lsn limit{UINT64_MAX};
  if (auto fork = store.Get("timelines/2"); fork.ok()) limit = Lsn{std::stoull(*fork)};
  std::vector<ArchivedRecord> records;
  Lsn at = kFirstLsn;
  TM_ASSIGN_OR_RETURN(const auto all, objstore::ListAll(store, "log/"));
  for (const auto& object : all) {
    const Lsn first{std::stoull(object.key.substr(4, 16), nullptr, 16)};
    const Lsn end{std::stoull(object.key.substr(21), nullptr, 16)};
    if (first > at || end <= at) continue;
    TM_ASSIGN_OR_RETURN(const std::string bytes, store.Get(object.key));
    while (at < end && at < limit) {
      format::RecordHeader header;
      const std::string_view rest = std::string_view(bytes).substr(at - first);
      if (format::ParseRecord(rest, at, &header) != format::RecordState::kWhole) return records;
      records.push_back(
          {at, at + header.size(), header.timestamp, Hash64(rest.substr(format::kRecordHeaderSize, header.length))});
      at = at + header.size();
    }
  }
  return records;
}

}  // namespace tidemark::backup
