// Inside the string and bit commands: the limit on a value's length and the handlers that stand in other files than
// their family's table.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "commands/command.h"

namespace tidemark::commands {

// Redis's proto-max-bulk-len at its default: the longest value that a command may make.
inline constexpr uint64_t kMaxStringBytes = 512u << 20;
// The error when `length` is above it.
absl::Status CheckStringLength(uint64_t length);

// string_change_commands.cc
absl::Status Incr(Context& ctx);
absl::Status Decr(Context& ctx);
absl::Status IncrBy(Context& ctx);
absl::Status DecrBy(Context& ctx);
absl::Status IncrByFloat(Context& ctx);
absl::Status Append(Context& ctx);
absl::Status SetRange(Context& ctx);

// lcs_command.cc
absl::Status Lcs(Context& ctx);

// bit_commands.cc: the bit number that `arg` names, such that the value stays within kMaxStringBytes. "#n" means n
// times `width` where `width` is not 0.
absl::StatusOr<uint64_t> BitOffsetArg(std::string_view arg, unsigned width = 0);

// bitfield_commands.cc
absl::Status Bitfield(Context& ctx);
absl::Status BitfieldRo(Context& ctx);

}  // namespace tidemark::commands
