// A row of a command table on few lines.
#pragma once

#include <string_view>

#include "commands/command.h"

namespace tidemark::commands {

// `key_flags` empty: as CommandSpec says.
constexpr CommandSpec MakeSpec(std::string_view group, std::string_view name, int arity, uint32_t flags,
                               KeyPositions keys, std::string_view key_flags, std::string_view since, Handler handler,
                               std::string_view syntax, std::string_view complexity, std::string_view summary) {
  return {.name = name,
          .arity = arity,
          .flags = flags,
          .keys = keys,
          .group = group,
          .since = since,
          .summary = summary,
          .complexity = complexity,
          .syntax = syntax,
          .handler = handler,
          .key_flags = key_flags};
}

inline constexpr KeyPositions kNoKeys{0, 0, 0};
inline constexpr KeyPositions kFirstKey{1, 1, 1};
inline constexpr KeyPositions kEveryKey{1, -1, 1};
inline constexpr KeyPositions kTwoKeys{1, 2, 1};

}  // namespace tidemark::commands
