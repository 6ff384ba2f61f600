#include "engine/applier.h"

#include <array>
#include <span>
#include <utility>

#include "base/hash.h"
#include "format/log_format.h"
#include "format/note.h"
#include "format/write_batch.h"
#include "types/rows.h"

namespace tidemark::engine {
namespace {

struct NoteApplier {
  kv::Store::Writer& store;

  void operator()(const format::CountsNote& note) const {
    kv::DbState state = store.db(note.db);
    state.keys += note.keys;
    state.expires += note.expires;
    store.SetDb(note.db, state);
  }
  void operator()(const format::ContentsNote& note) const {
    store.SetDb(note.db, {.contents = {note.lsn, note.ordinal}, .keys = 0, .expires = 0});
  }
  void operator()(const format::SwapNote& note) const {
    const kv::DbState a = store.db(note.a);
    store.SetDb(note.a, store.db(note.b));
    store.SetDb(note.b, a);
  }
};

}  // namespace

absl::Status ApplyRecord(const log::Record& record, kv::Store::Writer& store, bool* system_rows) {
  using Kind = format::WriteBatchEntry::Kind;
  format::WriteBatchReader reader(record.payload);
  format::WriteBatchEntry entry{};
  while (reader.Next(&entry)) {
    if (system_rows != nullptr && types::ParseSystemRow(entry.key).has_value()) *system_rows = true;
    switch (entry.kind) {
      case Kind::kPut:
        store.Put(entry.key, entry.value);
        break;
      case Kind::kDelete:
        store.Delete(entry.key);
        break;
      case Kind::kDeleteRange:
        store.DeleteRange(entry.key, entry.value);
        break;
      case Kind::kLogData: {
        TM_ASSIGN_OR_RETURN(const format::Note note, format::DecodeNote(entry.key));
        std::visit(NoteApplier{store}, note);
        break;
      }
    }
  }
  TM_RETURN_IF_ERROR(reader.status());
  store.SetApplied(record.end);
  return absl::OkStatus();
}

log::Record FirstRecord(std::string_view records) {
  const format::RecordHeader header = format::DecodeRecordHeader(records.data());
  const std::string_view raw = records.substr(0, header.size());
  return {.lsn = header.lsn,
          .end = header.lsn + header.size(),
          .timeline = header.timeline,
          .timestamp = header.timestamp,
          .payload = raw.substr(format::kRecordHeaderSize),
          .raw = raw};
}

void LookAhead(std::string_view records, size_t bytes, const kv::Store& store) {
  std::array<uint64_t, 64> hashes;
  size_t count = 0;
  for (size_t done = 0; done < bytes && records.size() >= format::kRecordHeaderSize;) {
    const uint64_t size = format::DecodeRecordHeader(records.data()).size();
    if (size > records.size()) break;
    format::WriteBatchReader reader(records.substr(0, size).substr(format::kRecordHeaderSize));
    format::WriteBatchEntry entry{};
    while (reader.Next(&entry)) {
      using Kind = format::WriteBatchEntry::Kind;
      if (entry.kind != Kind::kPut && entry.kind != Kind::kDelete) continue;
      hashes[count++] = Hash64(entry.key);
      if (count < hashes.size()) continue;
      store.Prefetch(hashes);
      count = 0;
    }
    records.remove_prefix(size);
    done += size;
  }
  if (count > 0) store.Prefetch(std::span(hashes.data(), count));
}

}  // namespace tidemark::engine
