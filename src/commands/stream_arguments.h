// What the stream commands read from their arguments, and the parts of replies that they share. Errors are Redis 7.0's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/status.h"
#include "commands/command.h"
#include "types/stream.h"

namespace tidemark::commands {

// "5-1", or "5" for the sequence `missing_seq`. ERR Invalid stream ID specified as stream command argument.
absl::StatusOr<types::StreamId> ParseStreamId(std::string_view arg, uint64_t missing_seq);

// The id of XADD: "5-*" leaves the sequence to the server.
struct NewId {
  types::StreamId id;
  bool has_seq = true;
};
absl::StatusOr<NewId> ParseNewId(std::string_view arg);

// A name as Redis shows it in these errors: up to its first zero byte.
inline std::string_view ShownName(std::string_view name) { return name.substr(0, name.find('\0')); }

// Both ends of a range, inclusive: "-", "+", ids, and with "(" before it an id that is left out.
absl::StatusOr<types::StreamId> ParseRangeStart(std::string_view arg);
absl::StatusOr<types::StreamId> ParseRangeEnd(std::string_view arg);

// How XADD and XTRIM shorten a stream.
struct TrimOptions {
  enum class Strategy : uint8_t { kNone, kMaxLength, kMinId };
  Strategy strategy = Strategy::kNone;
  bool approximate = false;  // "~": whole nodes of Redis's size only
  uint64_t max_length = 0;
  types::StreamId min_id;
  uint64_t limit = 0;  // most entries removed; 0: any number
  uint64_t node_entries = 1;
};
struct AddOrTrimArgs {
  TrimOptions trim;
  bool no_make_stream = false;
  std::optional<NewId> id;  // XADD without "*"
  size_t after = 0;         // XADD: where the fields begin
};
// The arguments of XADD (`add`) or XTRIM from args[2] on.
absl::StatusOr<AddOrTrimArgs> ParseAddOrTrim(const Context& ctx, bool add);

// Removes what `trim` says; how many entries that were.
absl::StatusOr<uint64_t> TrimStream(types::Stream& stream, const TrimOptions& trim);

void WriteStreamId(resp::Writer& out, types::StreamId id);
// An entry as an array of its id and its fields and values; `entry` as its row has it.
absl::Status WriteEntry(resp::Writer& out, types::StreamId id, std::string_view entry);

// Inside the stream commands: the tables that StreamCommands() joins.
std::span<const CommandSpec> StreamReadCommands();   // stream_read_commands.cc: XREAD, XREADGROUP
std::span<const CommandSpec> StreamGroupCommands();  // stream_group_commands.cc
std::span<const CommandSpec> StreamClaimCommands();  // stream_claim_commands.cc: XCLAIM, XAUTOCLAIM, XPENDING, XACK
std::span<const CommandSpec> StreamInfoCommands();   // stream_info_command.cc

}  // namespace tidemark::commands
