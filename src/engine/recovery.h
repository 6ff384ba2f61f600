// Recovery: brings the store from the LSN it was persisted at to the end of the log, by replay.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"
#include "env/clock.h"
#include "kv/store.h"
#include "log/log.h"

namespace tidemark::engine {

struct ReplayResult {
  uint64_t records = 0;
  uint64_t micros = 0;
};

// Replays [store.persisted(), end of the log). Persists the store on the way whenever it wants to, so that memory stays
// bounded however long the log is. `report` gets a line a second once replay has taken longer than one.
absl::StatusOr<ReplayResult> Replay(kv::Store& store, log::Log& log, Clock& clock,
                                    const std::function<void(const std::string&)>& report);

}  // namespace tidemark::engine
