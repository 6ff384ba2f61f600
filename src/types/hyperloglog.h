// HyperLogLogs: an estimate of how many different elements were seen, in at most 12 KiB, as a string in Redis's format,
// so that GET and DUMP of one here or there can be used on the other side.
//
// A value is (source: Redis 7.0, the description at the head of src/hyperloglog.c):
//   4 bytes  "HYLL"
//   1 byte   encoding: 0 dense, 1 sparse
//   3 bytes  0
//   8 bytes  cached cardinality, little-endian; its highest bit says that it is stale
//   dense    16384 registers of 6 bits each, the lowest bits of a byte first: 12288 bytes
//   sparse   runs of registers from register 0 to 16383, as bytes
//            00nnnnnn           n + 1 registers (to 64) that are 0
//            01nnnnnn nnnnnnnn  n + 1 registers (to 16384) that are 0
//            1vvvvvnn           n + 1 registers (to 4) that are v + 1 (to 32)
// A register is the longest run of zero bits, plus one, in the hashes (MurmurHash64A) of the elements that fall to it.
// The estimate is Otmar Ertl's ("New cardinality estimation algorithms for HyperLogLog sketches", 2017), as in Redis.
//
// Pure functions over bytes; knows no rows. Input may be anything: it is checked as far as it is used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tidemark::types {

class HyperLogLog {
 public:
  static constexpr size_t kRegisters = 1 << 14;
  using Registers = std::array<uint8_t, kRegisters>;

  // Of no elements; sparse.
  HyperLogLog();
  // "WRONGTYPE Key is not a valid HyperLogLog string value." when the header, or the length of a dense one, says that
  // `value` is something else. What follows the header of a sparse one is looked at when it is used.
  static absl::StatusOr<HyperLogLog> Parse(std::string_view value);

  const std::string& bytes() const { return bytes_; }
  bool is_dense() const;

  // The following fail with "INVALIDOBJ …" when the registers are malformed.

  // True when a register changed: then the cached cardinality is stale. Becomes dense when its registers would take
  // more than `sparse_bytes_max`, or hold more than a sparse one can.
  absl::StatusOr<bool> Add(std::string_view element, size_t sparse_bytes_max);
  absl::StatusOr<bool> Raise(size_t index, uint8_t value, size_t sparse_bytes_max);
  // The cached one unless it is stale.
  absl::StatusOr<uint64_t> Cardinality() const;
  // Raises each of `registers` to what stands here.
  absl::Status MergeInto(Registers* registers) const;
  // True when it was sparse.
  absl::StatusOr<bool> MakeDense();
  void MarkStale();
  // The runs of a sparse one, as PFDEBUG DECODE shows them: "Z:100 v:2,1 Z:16283"; z for short runs.
  absl::StatusOr<std::string> Runs() const;

  static uint64_t Estimate(const Registers& registers);

 private:
  explicit HyperLogLog(std::string_view bytes) : bytes_(bytes) {}
  absl::StatusOr<bool> RaiseSparse(size_t index, uint8_t value, size_t sparse_bytes_max);
  bool RaiseDense(size_t index, uint8_t value);

  std::string bytes_;
};

}  // namespace tidemark::types
