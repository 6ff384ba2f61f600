// Any bytes as a segment header, a record, a write batch and a leases file: the readers must neither read outside nor
// take what is not whole.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "format/lease_file.h"
#include "format/log_format.h"
#include "format/write_batch.h"

namespace {

using tidemark::Lsn;
namespace format = tidemark::format;

void ReadBatch(std::string_view bytes) {
  format::WriteBatchReader reader(bytes);
  format::WriteBatchEntry entry;
  size_t total = 0;
  while (reader.Next(&entry)) total += entry.key.size() + entry.value.size();
  TM_CHECK(total <= bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)format::DecodeSegmentHeader(bytes).ok();
  (void)format::DecodeLeaseFile(bytes).ok();
  ReadBatch(bytes);
  if (size < format::kRecordHeaderSize) return 0;
  // At the position that the bytes themselves name, so that the CRC is reached.
  const Lsn lsn = format::DecodeRecordHeader(bytes.data()).lsn;
  format::RecordHeader header;
  if (format::ParseRecord(bytes, lsn, &header) == format::RecordState::kWhole) {
    TM_CHECK(header.size() <= size);
    ReadBatch(bytes.substr(format::kRecordHeaderSize, header.length));
  }
  return 0;
}
