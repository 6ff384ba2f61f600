// The payload of a log record: the row changes of one command or transaction, in the encoding of RocksDB's
// WriteBatch (rocksdb/db/write_batch.cc, 7.8), so that any tool that knows RocksDB can read our log. We write and read
// it ourselves because the log, the archive and `tidemark wal inspect` must not need RocksDB; kv/ tests hold the two
// equal.
//
//   8 bytes  sequence   always 0 here: order comes from the LSN
//   4 bytes  count      number of Put, Delete and DeleteRange entries, little-endian
//   entries  1 byte tag, then varint-length-prefixed strings:
//            0x00 Delete key · 0x01 Put key value · 0x03 LogData blob · 0x0F DeleteRange begin end
//
// A LogData blob is one note (format/note.h): what the rows alone do not say, such as the change of a key count.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tidemark::format {

class WriteBatchBuilder {
 public:
  WriteBatchBuilder() { Clear(); }
  void Put(std::string_view key, std::string_view value);
  void Delete(std::string_view key);
  // Every row in [begin, end).
  void DeleteRange(std::string_view begin, std::string_view end);
  void LogData(std::string_view blob);
  void Clear();
  // Forgets everything added since `mark` was read from size_mark().
  struct Mark {
    size_t size;
    uint32_t count;
  };
  Mark mark() const { return {bytes_.size(), count_}; }
  void RollBackTo(Mark mark);

  bool empty() const { return bytes_.size() == kHeaderSize; }
  size_t size() const { return bytes_.size(); }
  // The encoded batch; valid until the next change.
  std::string_view Finish();

  static constexpr size_t kHeaderSize = 12;

 private:
  std::string bytes_;
  uint32_t count_ = 0;
};

// One entry of a batch; the views point into the batch.
struct WriteBatchEntry {
  enum class Kind : uint8_t { kDelete = 0x00, kPut = 0x01, kLogData = 0x03, kDeleteRange = 0x0f };
  Kind kind;
  std::string_view key;    // LogData: the blob. DeleteRange: begin.
  std::string_view value;  // DeleteRange: end.
};

// Walks the entries of an encoded batch. Never reads outside `batch`, whatever it holds.
class WriteBatchReader {
 public:
  // DATA_LOSS when the header or, on the way, an entry is malformed or the count is wrong.
  explicit WriteBatchReader(std::string_view batch);
  // True and *entry while there is one; false at the end or at an error: see status().
  bool Next(WriteBatchEntry* entry);
  const absl::Status& status() const { return status_; }

 private:
  std::string_view rest_;
  uint32_t count_left_ = 0;
  absl::Status status_;
};

}  // namespace tidemark::format
