// Replies over all members of a hash or a set, which several commands share.
#pragma once

#include <cstdint>

#include "commands/command.h"
#include "types/rows.h"

namespace tidemark::commands {

// The whole collection args[1] in one read, as HGETALL, HKEYS, HVALS and SMEMBERS answer: names, values or both in
// turn.
absl::Status WriteMembers(Context& ctx, types::Type type, resp::Writer::Kind kind, bool names, bool values);

// One page of the collection args[1] by the cursor args[2] and the options behind it, as HSCAN and SSCAN answer.
absl::Status ScanMembers(Context& ctx, types::Type type, bool values);

// The count of SRANDMEMBER and HRANDFIELD: negative for draws that may repeat.
absl::StatusOr<int64_t> RandomCountArg(std::string_view arg);
// Most draws that a negative count makes: the reply is built in memory.
inline constexpr int64_t kMaxDraws = 1 << 24;

}  // namespace tidemark::commands
