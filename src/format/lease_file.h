// The bytes of the log folder's `leases` file: every retention lease, and the durable LSN known when the file was
// written (evidence for recovery). docs/formats/log.md, "Leases file". Pure.
//
//    0  8  magic "TMLEASES"
//    8  4  format version
//   12  8  durable LSN
//   20  4  number of leases
//   24     leases: varint-length-prefixed name · class u8 · position u64 · max_bytes u64 · max_age_micros u64 ·
//          touched_micros u64 · varint-length-prefixed cause of its breaking (empty while it holds)
//   end 4  CRC-32C of everything before
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"

namespace tidemark::format {

struct LeaseEntry {
  std::string name;
  uint8_t lease_class = 0;
  Lsn position;
  uint64_t max_bytes = 0;
  uint64_t max_age_micros = 0;
  uint64_t touched_micros = 0;
  std::string broken;
};

struct LeaseFile {
  Lsn durable;
  std::vector<LeaseEntry> leases;
};

std::string EncodeLeaseFile(const LeaseFile& file);
// DATA_LOSS for anything malformed.
absl::StatusOr<LeaseFile> DecodeLeaseFile(std::string_view bytes);

}  // namespace tidemark::format
