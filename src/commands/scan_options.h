// What SCAN, HSCAN and their kind have in common: the cursor and the options behind it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "commands/command.h"
#include "resp/glob.h"

namespace tidemark::commands {

// As Redis reads it (strtoul): digits, perhaps a sign before them; empty is 0. "ERR invalid cursor" otherwise.
absl::StatusOr<uint64_t> ParseCursor(std::string_view arg);

struct ScanOptions {
  size_t count = 10;
  std::optional<std::string_view> pattern;
  std::optional<std::string_view> type;  // its name, in any case

  // `args` begins behind the cursor; the views last as long as it does. TYPE is an option of SCAN alone.
  static absl::StatusOr<ScanOptions> Parse(Args args, bool allow_type);

  bool Matches(std::string_view name) const { return !pattern || resp::GlobMatch(*pattern, name); }
};

}  // namespace tidemark::commands
