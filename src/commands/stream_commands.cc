// Streams: XADD and its family. The rows are kept by types/stream.h; groups have files of their own.
#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "commands/data_families.h"
#include "commands/spec.h"
#include "commands/stream_arguments.h"
#include "types/stream.h"

namespace tidemark::commands {
namespace {

using types::EventClass;
using types::Key;
using types::Stream;
using types::StreamHead;
using types::StreamId;
using types::Type;

// As Redis bounds an entry (STREAM_LISTPACK_MAX_SIZE).
constexpr size_t kEntryBytesMax = 1 << 30;

absl::Status IdTooSmall() {
  return InvalidArgument("ERR The ID specified in XADD is equal or smaller than the target stream top item");
}

// The id of the entry to come, above all before it.
absl::StatusOr<StreamId> NextId(const Stream& stream, const std::optional<NewId>& wanted, uint64_t now_ms) {
  const StreamId last = stream.head().last_id;
  StreamId id;
  if (!wanted) {
    id = now_ms > last.ms ? StreamId{now_ms, 0} : *types::IdAfter(last);
  } else if (wanted->has_seq || wanted->id.ms != last.ms) {
    id = wanted->id;
  } else {
    if (last.seq == UINT64_MAX) return IdTooSmall();
    id = {last.ms, last.seq + 1};
  }
  if (id <= last) return IdTooSmall();
  return id;
}

absl::Status XAdd(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const AddOrTrimArgs parsed, ParseAddOrTrim(ctx, /*add=*/true));
  const Args fields = ctx.args.subspan(std::min(parsed.after, ctx.args.size()));
  if (fields.size() < 2 || fields.size() % 2 != 0) return WrongArity("xadd");
  if (parsed.id && parsed.id->has_seq && parsed.id->id.is_zero()) {
    return InvalidArgument("ERR The ID specified in XADD must be greater than 0-0");
  }
  TM_ASSIGN_OR_RETURN(Stream stream, Stream::Find(ctx.keys(), ctx.args[1]));
  if (!stream.exists() && parsed.no_make_stream) {
    ctx.out.Null();
    return absl::OkStatus();
  }
  if (stream.head().last_id == types::kMaxStreamId) {
    return InvalidArgument("ERR The stream has exhausted the last possible ID, unable to add more items");
  }
  TM_ASSIGN_OR_RETURN(const StreamId id, NextId(stream, parsed.id, ctx.keys().now_ms()));
  const std::string entry = types::EncodeEntry(fields);
  if (entry.size() > kEntryBytesMax) return InvalidArgument("ERR Elements are too large to be stored");
  stream.Append(id, entry);
  ctx.keys().Notify(EventClass::kStream, "xadd", ctx.args[1]);
  TM_ASSIGN_OR_RETURN(const uint64_t trimmed, TrimStream(stream, parsed.trim));
  if (trimmed > 0) ctx.keys().Notify(EventClass::kStream, "xtrim", ctx.args[1]);
  TM_RETURN_IF_ERROR(stream.Commit());
  WriteStreamId(ctx.out, id);
  return absl::OkStatus();
}

absl::Status XTrim(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const AddOrTrimArgs parsed, ParseAddOrTrim(ctx, /*add=*/false));
  TM_ASSIGN_OR_RETURN(Stream stream, Stream::Find(ctx.keys(), ctx.args[1]));
  uint64_t trimmed = 0;
  if (stream.exists()) {
    TM_ASSIGN_OR_RETURN(trimmed, TrimStream(stream, parsed.trim));
  }
  if (trimmed > 0) {
    ctx.keys().Notify(EventClass::kStream, "xtrim", ctx.args[1]);
    TM_RETURN_IF_ERROR(stream.Commit());
  }
  ctx.out.Integer(static_cast<int64_t>(trimmed));
  return absl::OkStatus();
}

absl::Status XLen(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Stream stream, Stream::Lookup(ctx.keys(), ctx.args[1]));
  ctx.out.Integer(static_cast<int64_t>(stream.length()));
  return absl::OkStatus();
}

absl::Status XDel(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Stream stream, Stream::Find(ctx.keys(), ctx.args[1]));
  int64_t deleted = 0;
  if (stream.exists()) {
    std::vector<StreamId> ids;
    for (const std::string_view arg : ctx.args.subspan(2)) {
      TM_ASSIGN_OR_RETURN(const StreamId id, ParseStreamId(arg, 0));
      ids.push_back(id);
    }
    for (const StreamId id : ids) {
      TM_ASSIGN_OR_RETURN(const bool existed, stream.Delete(id));
      deleted += existed ? 1 : 0;
    }
  }
  if (deleted > 0) {
    ctx.keys().Notify(EventClass::kStream, "xdel", ctx.args[1]);
    TM_RETURN_IF_ERROR(stream.Commit());
  }
  ctx.out.Integer(deleted);
  return absl::OkStatus();
}

struct SetIdArgs {
  StreamId last_id;
  std::optional<int64_t> entries_added;
  StreamId max_deleted_id;
};

absl::StatusOr<SetIdArgs> ParseSetId(Args args) {
  SetIdArgs parsed;
  TM_ASSIGN_OR_RETURN(parsed.last_id, ParseStreamId(args[2], 0));
  for (size_t i = 3; i < args.size(); i += 2) {
    if (i + 1 == args.size()) return SyntaxError();
    if (EqualsIgnoreCase(args[i], "entriesadded")) {
      TM_ASSIGN_OR_RETURN(parsed.entries_added, IntegerArg(args[i + 1]));
      if (*parsed.entries_added < 0) return InvalidArgument("ERR entries_added must be positive");
    } else if (EqualsIgnoreCase(args[i], "maxdeletedid")) {
      TM_ASSIGN_OR_RETURN(parsed.max_deleted_id, ParseStreamId(args[i + 1], 0));
      if (parsed.last_id < parsed.max_deleted_id) {
        return InvalidArgument("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
      }
    } else {
      return SyntaxError();
    }
  }
  return parsed;
}

absl::Status XSetId(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const SetIdArgs parsed, ParseSetId(ctx.args));
  TM_ASSIGN_OR_RETURN(Stream stream, Stream::Find(ctx.keys(), ctx.args[1]));
  if (!stream.exists()) return InvalidArgument("ERR no such key");
  StreamHead head = stream.head();
  if (parsed.last_id < head.max_deleted_id) {
    return InvalidArgument("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
  }
  if (stream.length() > 0) {
    TM_ASSIGN_OR_RETURN(const StreamId top, stream.LastEntry());
    if (parsed.last_id < top) {
      return InvalidArgument("ERR The ID specified in XSETID is smaller than the target stream top item");
    }
    if (parsed.entries_added && stream.length() > static_cast<uint64_t>(*parsed.entries_added)) {
      return InvalidArgument("ERR The entries_added specified in XSETID is smaller than the target stream length");
    }
  }
  head.last_id = parsed.last_id;
  if (parsed.entries_added) head.entries_added = static_cast<uint64_t>(*parsed.entries_added);
  if (!parsed.max_deleted_id.is_zero()) head.max_deleted_id = parsed.max_deleted_id;
  TM_RETURN_IF_ERROR(stream.SetHead(head));
  TM_RETURN_IF_ERROR(stream.Commit());
  ctx.keys().Notify(EventClass::kStream, "xsetid", ctx.args[1]);
  ctx.out.Ok();
  return absl::OkStatus();
}

// Entries of the range, in one scan. Outside the commit lock the key may lose this stream between two reads, and the
// sweeper may have been at it: then all is read again.
absl::Status WriteRange(Context& ctx, StreamId first, StreamId last, size_t limit, bool backward) {
  const resp::Writer::DeferredLength length = ctx.out.BeginDeferred(resp::Writer::Kind::kArray);
  size_t count = 0;
  absl::Status damage;
  const auto write = [&](StreamId id, std::string_view entry) {
    damage = WriteEntry(ctx.out, id, entry);
    ++count;
    return damage.ok();
  };
  TM_ASSIGN_OR_RETURN(Key key, ctx.keys().Lookup(ctx.args[1], Type::kStream));
  while (key) {
    TM_ASSIGN_OR_RETURN(Stream stream, Stream::Of(ctx.keys(), key));
    TM_RETURN_IF_ERROR(stream.Visit(first, last, limit, backward, write));
    TM_RETURN_IF_ERROR(damage);
    TM_ASSIGN_OR_RETURN(const Key after, ctx.keys().Find(ctx.args[1], Type::kStream));
    if (after.collection == key.collection) break;
    key = after;
    ctx.out.Truncate(length.position);
    count = 0;
  }
  ctx.out.EndDeferred(length, count);
  return absl::OkStatus();
}

absl::Status Range(Context& ctx, bool backward) {
  TM_ASSIGN_OR_RETURN(const StreamId first, ParseRangeStart(ctx.args[backward ? 3 : 2]));
  TM_ASSIGN_OR_RETURN(const StreamId last, ParseRangeEnd(ctx.args[backward ? 2 : 3]));
  std::optional<int64_t> count;
  for (size_t i = 4; i < ctx.args.size(); i += 2) {
    if (!EqualsIgnoreCase(ctx.args[i], "count") || i + 1 == ctx.args.size()) return SyntaxError();
    TM_ASSIGN_OR_RETURN(count, IntegerArg(ctx.args[i + 1]));
  }
  if (count && *count <= 0) {
    TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1], Type::kStream));
    if (key) {
      ctx.out.NullArray();
    } else {
      ctx.out.Array(0);
    }
    return absl::OkStatus();
  }
  return WriteRange(ctx, first, last, count ? static_cast<size_t>(*count) : SIZE_MAX, backward);
}

absl::Status XRange(Context& ctx) { return Range(ctx, /*backward=*/false); }
absl::Status XRevRange(Context& ctx) { return Range(ctx, /*backward=*/true); }

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, std::string_view key_flags,
                           std::string_view since, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("stream", name, arity, flags, kFirstKey, key_flags, since, handler, syntax, complexity, summary);
}

constexpr CommandSpec kStreamCommands[] = {
    Spec("xadd", -5, kWrite | kDenyOom | kFast, "RW update", "5.0.0", XAdd,
         "key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
         "O(1), with trimming O(N), N being the number of entries removed",
         "Appends an entry to a stream and returns its ID."),
    Spec("xdel", -3, kWrite | kFast, "RW delete", "5.0.0", XDel, "key id [id ...]",
         "O(N), N being the number of IDs named", "Removes entries from a stream; the stream stays when it is empty."),
    Spec("xlen", 2, kReadonly | kFast, "RO", "5.0.0", XLen, "key", "O(1)",
         "Returns the number of entries of a stream."),
    Spec("xrange", -4, kReadonly | kRange, "RO access", "5.0.0", XRange, "key start end [COUNT count]",
         "O(N), N being the number of entries returned", "Returns the entries within a range of IDs."),
    Spec("xrevrange", -4, kReadonly | kRange, "RO access", "5.0.0", XRevRange, "key end start [COUNT count]",
         "O(N), N being the number of entries returned", "Returns the entries within a range of IDs, last first."),
    Spec("xsetid", -3, kWrite | kDenyOom | kFast, "RW update", "5.0.0", XSetId,
         "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]", "O(1)",
         "Sets what a stream knows of its last ID and counters; for tools that copy streams."),
    Spec("xtrim", -4, kWrite, "RW delete", "5.0.0", XTrim, "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]",
         "O(N), N being the number of entries removed", "Removes a stream's first entries."),
};

}  // namespace

std::span<const CommandSpec> StreamCommands() {
  static const auto* const all = [] {
    auto* joined = new std::vector<CommandSpec>(std::begin(kStreamCommands), std::end(kStreamCommands));
    for (const auto table :
         {StreamReadCommands(), StreamGroupCommands(), StreamClaimCommands(), StreamInfoCommands()}) {
      joined->insert(joined->end(), table.begin(), table.end());
    }
    return joined;
  }();
  return *all;
}

}  // namespace tidemark::commands
