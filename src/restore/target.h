// The moment a restore goes to: what people write, and how it is written back. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/types.h"

namespace tidemark::restore {

// Inclusive: records with a timestamp ≤ time, or that begin at or before the LSN.
struct Target {
  enum class Kind { kLatest, kTime, kLsn } kind = Kind::kLatest;
  Timestamp time;
  Lsn lsn;
  // None: the newest that leads to the target. For a time that is the newest that existed then: what clients saw at
  // that moment, even if a later timeline forked off before it.
  std::optional<Timeline> timeline;

  bool Covers(Lsn record, Timestamp timestamp) const {
    return kind == Kind::kLatest || (kind == Kind::kTime ? timestamp <= time : record <= lsn);
  }
};

// "latest", "lsn:HEX", "offset:DECIMAL" (LSNs as INFO and JSON write them), RFC 3339 with a zone
// ("2026-03-01T12:00:00.123456Z"), br's '2018-05-11 01:42:23+0800', a TSO (a plain number ≥ 2^40: milliseconds << 18),
// Unix seconds with a decimal point. Digits below a microsecond are dropped. INVALID_ARGUMENT says which are taken, and
// what is missing where that is plain (the zone).
absl::StatusOr<Target> ParseTarget(std::string_view text);
// ParseTarget of it gives the same target back, but for its timeline.
std::string FormatTarget(const Target& target);
// RFC 3339, microseconds, UTC.
std::string FormatTime(Timestamp time);

}  // namespace tidemark::restore
