// Strong types for the numbers that must not be mixed up: positions in the log, timelines, times.
// Everything above base/ passes these, never bare integers.
#pragma once

#include <compare>
#include <cstdint>

namespace tidemark {

// Byte position of a record in the log. Grows for ever within a timeline; counts record bytes only
// (segment headers are not part of the position), so a record's end is the next record's LSN.
struct Lsn {
  uint64_t value = 0;
  auto operator<=>(const Lsn&) const = default;
  Lsn operator+(uint64_t bytes) const { return Lsn{value + bytes}; }
  uint64_t operator-(Lsn other) const { return value - other.value; }
};

// Number of a timeline; a promotion or a restore starts a new one. The first is 1.
struct Timeline {
  uint32_t value = 0;
  auto operator<=>(const Timeline&) const = default;
};

// Hybrid-logical timestamp: microseconds since 1970 (UTC), strictly increasing from record to record.
struct Timestamp {
  uint64_t micros = 0;
  auto operator<=>(const Timestamp&) const = default;
  uint64_t millis() const { return micros / 1000; }
};

// Number of a database as SELECT names it.
struct DbIndex {
  uint16_t value = 0;
  auto operator<=>(const DbIndex&) const = default;
};

}  // namespace tidemark
