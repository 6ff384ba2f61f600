// Keyspace events of lists, by Redis's names and in its order.
#pragma once

#include <cstdint>
#include <string_view>

#include "commands/command.h"
#include "types/list.h"

namespace tidemark::commands {

inline void NotifyPushed(Context& ctx, std::string_view key, types::ListEnd end) {
  ctx.keys().Notify(types::EventClass::kList, end == types::ListEnd::kLeft ? "lpush" : "rpush", key);
}

// `left`: elements that the list has still.
inline void NotifyIfGone(Context& ctx, std::string_view key, uint64_t left) {
  if (left == 0) ctx.keys().Notify(types::EventClass::kGeneric, "del", key);
}

inline void NotifyPopped(Context& ctx, std::string_view key, types::ListEnd end, uint64_t left) {
  ctx.keys().Notify(types::EventClass::kList, end == types::ListEnd::kLeft ? "lpop" : "rpop", key);
  NotifyIfGone(ctx, key, left);
}

}  // namespace tidemark::commands
