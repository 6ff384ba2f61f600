// Where expiry stands still. A store that was restored to yesterday would lose everything with a time to live at its
// first tick; so the restore leaves a system row that says at which moment the decision what has expired stands still,
// until the operator lets it go on (`EXPIRY THAW`). Only that decision stands still: records, and the expiries that new
// commands set, follow time. While it stands nothing expires that the moment did not find expired.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "base/types.h"
#include "types/rows.h"

namespace tidemark::engine {

types::RowKey ExpiryClockRow();
std::string EncodeExpiryClock(Timestamp stands_at);
// DATA_LOSS when malformed.
absl::StatusOr<Timestamp> DecodeExpiryClock(std::string_view json);

}  // namespace tidemark::engine
