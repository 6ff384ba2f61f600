// What commands that wait for keys share: the argument that says how long, and the reply when that is over.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/status.h"
#include "commands/command.h"

namespace tidemark::commands {

// Seconds, with a fraction, as BLPOP takes them; in milliseconds, rounded up. 0: for ever.
absl::StatusOr<uint64_t> WaitSeconds(std::string_view word);

// For a handler that found nothing: waits for `keys`, with Redis's null array once the time is over. Where it may not
// wait it replies that at once.
void WaitForKeys(Context& ctx, std::span<const std::string_view> keys, uint64_t timeout_ms);

}  // namespace tidemark::commands
