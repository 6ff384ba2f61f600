#include "commands/stream_arguments.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

#include "commands/server.h"

namespace tidemark::commands {

using types::Stream;
using types::StreamId;

namespace {

absl::Status InvalidId() { return InvalidArgument("ERR Invalid stream ID specified as stream command argument"); }

// Redis reads ids into a buffer of 128 bytes.
constexpr size_t kIdBytesMax = 127;

// As Redis reads a part of an id: leading zeros, and before them white space and a plus sign; nothing counts from a
// zero byte on.
std::optional<uint64_t> ParseDigits(std::string_view text) {
  const std::string word(text.substr(0, text.find('\0')));
  if (word.empty() || word.find('-') != std::string::npos) return std::nullopt;
  char* end = nullptr;
  errno = 0;
  const uint64_t value = std::strtoull(word.c_str(), &end, 10);
  if (errno != 0 || end == word.c_str() || *end != '\0') return std::nullopt;
  return value;
}

// "-" and "+" for the first and the last id of all.
absl::StatusOr<StreamId> ParseBound(std::string_view arg, uint64_t missing_seq) {
  if (arg == "-") return StreamId{};
  if (arg == "+") return types::kMaxStreamId;
  return ParseStreamId(arg, missing_seq);
}

}  // namespace

absl::StatusOr<StreamId> ParseStreamId(std::string_view arg, uint64_t missing_seq) {
  if (arg.size() > kIdBytesMax) return InvalidId();
  const size_t dash = arg.find('-');
  const std::optional<uint64_t> ms = ParseDigits(arg.substr(0, dash));
  if (!ms) return InvalidId();
  if (dash == std::string_view::npos) return StreamId{*ms, missing_seq};
  const std::optional<uint64_t> seq = ParseDigits(arg.substr(dash + 1));
  if (!seq) return InvalidId();
  return StreamId{*ms, *seq};
}

absl::StatusOr<NewId> ParseNewId(std::string_view arg) {
  if (arg.ends_with("-*") && arg.size() <= kIdBytesMax) {
    const std::optional<uint64_t> ms = ParseDigits(arg.substr(0, arg.size() - 2));
    if (!ms) return InvalidId();
    return NewId{.id = {*ms, 0}, .has_seq = false};
  }
  TM_ASSIGN_OR_RETURN(const StreamId id, ParseStreamId(arg, 0));
  return NewId{.id = id};
}

absl::StatusOr<StreamId> ParseRangeStart(std::string_view arg) {
  if (arg.size() < 2 || arg[0] != '(') return ParseBound(arg, 0);
  TM_ASSIGN_OR_RETURN(const StreamId before, ParseStreamId(arg.substr(1), 0));
  const std::optional<StreamId> start = types::IdAfter(before);
  if (!start) return InvalidArgument("ERR invalid start ID for the interval");
  return *start;
}

absl::StatusOr<StreamId> ParseRangeEnd(std::string_view arg) {
  if (arg.size() < 2 || arg[0] != '(') return ParseBound(arg, UINT64_MAX);
  TM_ASSIGN_OR_RETURN(const StreamId after, ParseStreamId(arg.substr(1), UINT64_MAX));
  const std::optional<StreamId> end = types::IdBefore(after);
  if (!end) return InvalidArgument("ERR invalid end ID for the interval");
  return *end;
}

namespace {

// MAXLEN or MINID at args[*at], whose last word *at then is.
absl::Status ParseStrategy(Args args, size_t* at, TrimOptions* trim) {
  if (trim->strategy != TrimOptions::Strategy::kNone) {
    return InvalidArgument("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
  }
  const bool by_length = EqualsIgnoreCase(args[*at], "maxlen");
  trim->approximate = false;
  if (*at + 2 < args.size() && (args[*at + 1] == "~" || args[*at + 1] == "=")) {
    trim->approximate = args[*at + 1] == "~";
    ++*at;
  }
  const std::string_view value = args[++*at];
  if (by_length) {
    TM_ASSIGN_OR_RETURN(const int64_t length, IntegerArg(value));
    if (length < 0) return InvalidArgument("ERR The MAXLEN argument must be >= 0.");
    trim->max_length = static_cast<uint64_t>(length);
    trim->strategy = TrimOptions::Strategy::kMaxLength;
  } else {
    TM_ASSIGN_OR_RETURN(trim->min_id, ParseStreamId(value, 0));
    trim->strategy = TrimOptions::Strategy::kMinId;
  }
  return absl::OkStatus();
}

// What the options mean together.
absl::Status SettleTrim(const Context& ctx, bool add, std::optional<int64_t> limit, TrimOptions* trim) {
  if (limit.value_or(0) != 0 && trim->strategy == TrimOptions::Strategy::kNone) {
    return InvalidArgument("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
  }
  if (!add && trim->strategy == TrimOptions::Strategy::kNone) {
    return InvalidArgument("ERR syntax error, XTRIM must be called with a trimming strategy");
  }
  if (limit && !trim->approximate) {
    return InvalidArgument("ERR syntax error, LIMIT cannot be used without the special ~ option");
  }
  if (!trim->approximate) return absl::OkStatus();
  constexpr uint64_t kLimitMax = 1'000'000;
  constexpr uint64_t kNodesMax = 100;
  // 0 leaves the size of a node to its bytes.
  const int64_t entries = ctx.server.config.Integer("stream-node-max-entries");
  trim->node_entries = entries > 0 ? static_cast<uint64_t>(entries) : 100;
  trim->limit = limit ? static_cast<uint64_t>(*limit) : std::min(kNodesMax * trim->node_entries, kLimitMax);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AddOrTrimArgs> ParseAddOrTrim(const Context& ctx, bool add) {
  const Args args = ctx.args;
  AddOrTrimArgs parsed;
  std::optional<int64_t> limit;
  size_t i = 2;
  for (; i < args.size(); ++i) {
    const std::string_view word = args[i];
    const bool more = i + 1 < args.size();
    if (add && word == "*") break;
    if (more && (EqualsIgnoreCase(word, "maxlen") || EqualsIgnoreCase(word, "minid"))) {
      TM_RETURN_IF_ERROR(ParseStrategy(args, &i, &parsed.trim));
    } else if (more && EqualsIgnoreCase(word, "limit")) {
      TM_ASSIGN_OR_RETURN(limit, IntegerArg(args[++i]));
      if (*limit < 0) return InvalidArgument("ERR The LIMIT argument must be >= 0.");
    } else if (add && EqualsIgnoreCase(word, "nomkstream")) {
      parsed.no_make_stream = true;
    } else if (add) {
      TM_ASSIGN_OR_RETURN(parsed.id, ParseNewId(word));
      break;
    } else {
      return SyntaxError();
    }
  }
  TM_RETURN_IF_ERROR(SettleTrim(ctx, add, limit, &parsed.trim));
  parsed.after = i + 1;
  return parsed;
}

absl::StatusOr<uint64_t> TrimStream(Stream& stream, const TrimOptions& trim) {
  uint64_t count = 0;
  if (trim.strategy == TrimOptions::Strategy::kMaxLength) {
    count = stream.length() - std::min(stream.length(), trim.max_length);
  } else if (trim.strategy == TrimOptions::Strategy::kMinId && !trim.min_id.is_zero()) {
    const size_t most = trim.limit != 0 ? trim.limit : SIZE_MAX;
    TM_RETURN_IF_ERROR(
        stream.Visit({}, *types::IdBefore(trim.min_id), most, /*backward=*/false, [&](StreamId, std::string_view) {
          ++count;
          return true;
        }));
  }
  if (trim.limit != 0) count = std::min(count, trim.limit);
  // Only whole nodes go, as Redis would have them: they begin at multiples of their size, counted from the first entry
  // ever.
  const uint64_t gone = stream.head().entries_added - std::min(stream.head().entries_added, stream.length());
  const uint64_t behind = gone % trim.node_entries;
  count = std::max((behind + count) / trim.node_entries * trim.node_entries, behind) - behind;
  TM_RETURN_IF_ERROR(stream.RemoveFirst(count));
  return count;
}

void WriteStreamId(resp::Writer& out, StreamId id) { out.Bulk(types::FormatStreamId(id)); }

absl::Status WriteEntry(resp::Writer& out, StreamId id, std::string_view entry) {
  TM_ASSIGN_OR_RETURN(const std::vector<std::string_view> words, types::DecodeEntry(entry));
  out.Array(2);
  WriteStreamId(out, id);
  out.Array(words.size());
  for (const std::string_view word : words) out.Bulk(word);
  return absl::OkStatus();
}

}  // namespace tidemark::commands
