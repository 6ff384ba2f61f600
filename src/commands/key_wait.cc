#include "commands/key_wait.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <optional>

#include "commands/client.h"
#include "resp/numbers.h"

namespace tidemark::commands {

// As Redis 7.0's getTimeoutFromObjectOrReply, its oddities included: what is too large for milliseconds is "negative".
absl::StatusOr<uint64_t> WaitSeconds(std::string_view word) {
  const std::optional<long double> seconds = resp::ParseLongDouble(word);
  if (!seconds) return InvalidArgument("ERR timeout is not a float or out of range");
  const long double millis = std::ceil(*seconds * 1000);
  constexpr auto kMax = static_cast<long double>(std::numeric_limits<int64_t>::max());
  if (millis < 0 || millis > kMax) return InvalidArgument("ERR timeout is negative");
  return static_cast<uint64_t>(millis);
}

void WaitForKeys(Context& ctx, std::span<const std::string_view> keys, uint64_t timeout_ms) {
  if (!ctx.may_wait) {
    ctx.out.NullArray();
    return;
  }
  resp::Writer timed_out;
  timed_out.SetProtocol(ctx.out.protocol());
  timed_out.NullArray();
  ctx.key_wait =
      KeyWait{.keys = {keys.begin(), keys.end()}, .timeout_ms = timeout_ms, .timed_out = std::move(timed_out.buffer())};
}

}  // namespace tidemark::commands
