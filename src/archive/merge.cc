// Carrying out merges; see merge.h.
#include "archive/merge.h"

#include <algorithm>
#include <memory>

#include "archive/block.h"
#include "archive/codec.h"
#include "archive/parallel.h"

namespace tidemark::archive {
namespace {

constexpr int kJobs = 4;

absl::StatusOr<std::vector<std::string>> ReadAll(objstore::ObjectStore& store, const std::vector<LogEntry>& entries) {
  std::vector<std::string> objects(entries.size());
  TM_RETURN_IF_ERROR(ForEach(kJobs, entries.size(), [&](size_t index) -> absl::Status {
    TM_ASSIGN_OR_RETURN(objects[index], store.Get(entries[index].key));
    return absl::OkStatus();
  }));
  return objects;
}

absl::StatusOr<LogObjectWriter::Object> MergeEntries(objstore::ObjectStore& store, const std::vector<LogEntry>& run,
                                                     const KeyRing& keys) {
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> objects, ReadAll(store, run));
  absl::StatusOr<LogObjectWriter::Object> merged = MergeLogObjects(objects, keys);
  if (merged.ok()) return merged;
  return Errorf(merged.status().code(), "merging {} and the {} after it: {}", run.front().key, run.size() - 1,
                Message(merged.status()));
}

// Whether the object in the archive is, byte for byte, what was put.
absl::Status ReadBack(objstore::ObjectStore& store, const std::string& key, std::string_view bytes) {
  std::string_view rest = bytes;
  bool same = true;
  TM_RETURN_IF_ERROR(store.GetStream(key, [&](std::string_view piece) {
    same = same && rest.starts_with(piece);
    rest.remove_prefix(std::min(piece.size(), rest.size()));
    return absl::OkStatus();
  }));
  if (same && rest.empty()) return absl::OkStatus();
  return Errorf(absl::StatusCode::kDataLoss, "{} does not come back as it was put", key);
}

bool SaysTheSame(const format::ObjectHeader& a, const format::ObjectHeader& b) {
  return a.cluster_id == b.cluster_id && a.timeline_id == b.timeline_id && NameOf(a) == NameOf(b) &&
         a.records == b.records && a.plain_bytes == b.plain_bytes && a.plain_hash == b.plain_hash;
}

// An object of the merged one's name is there: an earlier attempt's, or somebody else's.
absl::Status CompareWithExisting(objstore::ObjectStore& store, const std::string& key,
                                 const format::ObjectHeader& header, const KeyRing& keys) {
  TM_ASSIGN_OR_RETURN(const std::string bytes, store.Get(key));
  const absl::StatusOr<DecodedLog> existing = DecodeLogObject(bytes, keys);
  if (!existing.ok()) return Errorf(existing.status().code(), "{}: {}", key, Message(existing.status()));
  if (SaysTheSame(existing->header, header)) return absl::OkStatus();
  return Errorf(absl::StatusCode::kFailedPrecondition,
                "{} is there with other contents: somebody else writes into this archive", key);
}

// An input, and the hash of what the merged object has of its range.
struct Slice {
  const LogEntry* input = nullptr;
  ContentHash hash;
};

// Reads the merged object whole, a block at a time, and fills in the hashes. DATA_LOSS when it is damaged or another.
absl::StatusOr<format::ObjectHeader> HashSlices(objstore::ObjectStore& store, const LogEntry& merged,
                                                const KeyRing& keys, std::vector<std::unique_ptr<Slice>>* slices) {
  TM_ASSIGN_OR_RETURN(const std::string bytes, store.Get(merged.key));
  TM_ASSIGN_OR_RETURN(const auto reader, ObjectReader::Open(bytes, keys));
  if (NameOf(reader->header()) != merged.name) {
    return Errorf(absl::StatusCode::kDataLoss, "its header is that of {}", LogObjectKey(NameOf(reader->header())));
  }
  uint64_t position = merged.name.first.value;
  std::string plain;
  while (true) {
    plain.clear();
    TM_ASSIGN_OR_RETURN(const bool more, reader->Next(&plain));
    if (!more) return reader->header();
    for (const auto& slice : *slices) {
      const uint64_t from = std::max(position, slice->input->name.first.value);
      const uint64_t to = std::min(position + plain.size(), slice->input->name.end.value);
      if (from < to) slice->hash.Update(std::string_view(plain).substr(from - position, to - from));
    }
    position += plain.size();
  }
}

// Whether `input` may go: true, also when it is damaged itself; false when it is gone. FAILED_PRECONDITION when it says
// something else than the merged object.
absl::StatusOr<bool> MayGo(objstore::ObjectStore& store, const Slice& slice, const format::ObjectHeader& merged) {
  const absl::StatusOr<std::string> head = store.GetRange(slice.input->key, 0, format::kObjectHeaderSize);
  if (absl::IsNotFound(head.status())) return false;
  if (!head.ok()) return head.status();
  const absl::StatusOr<format::ObjectHeader> header = format::DecodeObjectHeader(*head);
  if (absl::IsDataLoss(header.status())) return true;
  if (!header.ok()) return header.status();
  const bool same = header->cluster_id == merged.cluster_id && header->timeline_id == merged.timeline_id &&
                    header->plain_hash == slice.hash.Digest();
  if (same || header->records == 0) return true;
  return Errorf(absl::StatusCode::kFailedPrecondition,
                "{} says something else than {}: somebody else writes into this archive", slice.input->key,
                LogObjectKey(NameOf(merged)));
}

// The merged object cannot be read. If its inputs can, and are all that it was made of, it goes and they stay.
absl::Status Rescue(objstore::ObjectStore& store, const Replacement& replaced, const KeyRing& keys,
                    const absl::Status& damage) {
  std::vector<LogEntry> chain;
  for (const LogEntry& input : replaced.inputs) {
    const Lsn next = chain.empty() ? replaced.merged.name.first : chain.back().name.end;
    if (input.name.first == next && input.name.end > next) chain.push_back(input);
  }
  const bool whole =
      !chain.empty() && chain.back().name.end == replaced.merged.name.end && MergeEntries(store, chain, keys).ok();
  if (whole) TM_RETURN_IF_ERROR(store.Delete(replaced.merged.key));
  return Errorf(absl::StatusCode::kDataLoss, "{}: {}{}", replaced.merged.key, Message(damage),
                whole ? "; it was merged from objects that are still there and whole, and has been deleted" : "");
}

}  // namespace

absl::StatusOr<LogEntry> Merge(objstore::ObjectStore& store, const std::vector<LogEntry>& run, const KeyRing& keys) {
  TM_ASSIGN_OR_RETURN(const LogObjectWriter::Object merged, MergeEntries(store, run, keys));
  LogEntry entry{merged.name, LogObjectKey(merged.name), merged.bytes.size(), 0};
  const absl::Status put = store.Put(entry.key, merged.bytes, objstore::PutCondition::kMustNotExist);
  if (absl::IsAlreadyExists(put)) {
    TM_RETURN_IF_ERROR(CompareWithExisting(store, entry.key, merged.header, keys));
    return entry;
  }
  TM_RETURN_IF_ERROR(put);
  const absl::Status back = ReadBack(store, entry.key, merged.bytes);
  if (absl::IsDataLoss(back)) TM_RETURN_IF_ERROR(store.Delete(entry.key));
  if (!back.ok()) return back;
  return entry;
}

absl::StatusOr<size_t> DeleteReplaced(objstore::ObjectStore& store, const Replacement& replaced, const KeyRing& keys) {
  std::vector<std::unique_ptr<Slice>> slices;
  for (const LogEntry& input : replaced.inputs) {
    slices.push_back(std::make_unique<Slice>());
    slices.back()->input = &input;
  }
  const absl::StatusOr<format::ObjectHeader> merged = HashSlices(store, replaced.merged, keys, &slices);
  if (absl::IsDataLoss(merged.status())) return Rescue(store, replaced, keys, merged.status());
  if (!merged.ok()) {
    return Errorf(merged.status().code(), "{}: {}", replaced.merged.key, Message(merged.status()));
  }
  size_t deleted = 0;
  for (const auto& slice : slices) {
    TM_ASSIGN_OR_RETURN(const bool may_go, MayGo(store, *slice, *merged));
    if (!may_go) continue;
    TM_RETURN_IF_ERROR(store.Delete(slice->input->key));
    ++deleted;
  }
  return deleted;
}

}  // namespace tidemark::archive
