// XREAD and XREADGROUP: entries of several streams at once, waiting for them where there are none yet.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "commands/spec.h"
#include "commands/stream_arguments.h"
#include "resp/numbers.h"
#include "types/stream_groups.h"

namespace tidemark::commands {
namespace {

using types::EventClass;
using types::GroupState;
using types::Key;
using types::Pending;
using types::Stream;
using types::StreamGroup;
using types::StreamId;
using types::Type;

// Entries that one who has waited gets of a stream, where the command sets no count.
constexpr uint64_t kCountAfterWaiting = 1000;

struct ReadArgs {
  bool of_group = false;  // XREADGROUP
  std::optional<uint64_t> block_ms;
  uint64_t count = 0;  // 0: all
  bool no_ack = false;
  std::optional<std::string_view> group;
  std::string_view consumer;
  Args keys;
  Args ids;
};

// One stream of the command. `stream` is null where there is none.
struct Source {
  std::string_view name;
  std::optional<Stream> stream;
  StreamId after;       // entries above this one
  bool is_new = false;  // ">": what the group has not been given yet
};

absl::StatusOr<uint64_t> WaitMillis(std::string_view arg) {
  const std::optional<int64_t> millis = resp::ParseInt64(arg);
  if (!millis) return InvalidArgument("ERR timeout is not an integer or out of range");
  if (*millis < 0) return InvalidArgument("ERR timeout is negative");
  return static_cast<uint64_t>(*millis);
}

absl::Status ParseStreams(const Context& ctx, size_t first, ReadArgs* parsed) {
  const Args rest = ctx.args.subspan(first);
  if (rest.size() % 2 != 0) {
    return InvalidArgument("ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.");
  }
  parsed->keys = rest.first(rest.size() / 2);
  parsed->ids = rest.subspan(rest.size() / 2);
  return absl::OkStatus();
}

absl::StatusOr<ReadArgs> Parse(const Context& ctx, bool of_group) {
  ReadArgs parsed;
  parsed.of_group = of_group;
  const Args args = ctx.args;
  for (size_t i = 1; i < args.size() && parsed.keys.empty(); ++i) {
    const size_t more = args.size() - i - 1;
    if (EqualsIgnoreCase(args[i], "block") && more > 0) {
      if (ctx.in_script)
        return InvalidArgument("ERR {} command is not allowed with BLOCK option from scripts", args[0]);
      TM_ASSIGN_OR_RETURN(parsed.block_ms, WaitMillis(args[++i]));
    } else if (EqualsIgnoreCase(args[i], "count") && more > 0) {
      TM_ASSIGN_OR_RETURN(const int64_t count, IntegerArg(args[++i]));
      parsed.count = static_cast<uint64_t>(std::max<int64_t>(count, 0));
    } else if (EqualsIgnoreCase(args[i], "streams") && more > 0) {
      TM_RETURN_IF_ERROR(ParseStreams(ctx, i + 1, &parsed));
    } else if (EqualsIgnoreCase(args[i], "group") && more >= 2) {
      if (!of_group) {
        return InvalidArgument("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
      }
      parsed.group = args[i + 1];
      parsed.consumer = args[i + 2];
      i += 2;
    } else if (EqualsIgnoreCase(args[i], "noack")) {
      if (!of_group) {
        return InvalidArgument("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
      }
      parsed.no_ack = true;
    } else {
      return SyntaxError();
    }
  }
  if (parsed.keys.empty()) return SyntaxError();
  if (of_group && !parsed.group) return InvalidArgument("ERR Missing GROUP option for XREADGROUP");
  return parsed;
}

absl::StatusOr<StreamId> ParseAfter(const ReadArgs& parsed, std::string_view arg, Source* source) {
  if (arg == "$") {
    if (parsed.of_group) {
      return InvalidArgument(
          "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by "
          "specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result "
          "set.");
    }
    return source->stream ? source->stream->head().last_id : StreamId{};
  }
  if (arg == ">") {
    if (!parsed.of_group) {
      return InvalidArgument(
          "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.");
    }
    source->is_new = true;
    return types::kMaxStreamId;
  }
  return ParseStreamId(arg, 0);
}

// Every stream of the command, checked as Redis checks them before it serves any.
absl::StatusOr<std::vector<Source>> FindSources(Context& ctx, const ReadArgs& parsed) {
  std::vector<Source> sources;
  for (size_t i = 0; i < parsed.keys.size(); ++i) {
    Source source{.name = parsed.keys[i], .stream = std::nullopt, .after = {}};
    TM_ASSIGN_OR_RETURN(Stream stream, Stream::Lookup(ctx.keys(), source.name));
    if (stream.exists()) source.stream = std::move(stream);
    if (parsed.group) {
      bool found = source.stream.has_value();
      if (found) {
        TM_ASSIGN_OR_RETURN(const std::optional<StreamGroup> group, StreamGroup::Find(*source.stream, *parsed.group));
        found = group.has_value();
      }
      if (!found) {
        return InvalidArgument("NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option",
                               ShownName(source.name), ShownName(*parsed.group));
      }
    }
    TM_ASSIGN_OR_RETURN(source.after, ParseAfter(parsed, parsed.ids[i], &source));
    sources.push_back(std::move(source));
  }
  return sources;
}

// For one who has waited: the key that changed, alone. Empty when there is nothing to be had of it.
absl::StatusOr<std::vector<Source>> FindReady(Context& ctx, const ReadArgs& parsed) {
  std::vector<Source> sources;
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Find(*ctx.ready_key));
  const bool is_stream = key.type == Type::kStream;
  if (!is_stream && !parsed.of_group) return sources;
  if (!is_stream) return InvalidArgument("UNBLOCKED the stream key no longer exists");
  for (size_t i = 0; i < parsed.keys.size(); ++i) {
    if (parsed.keys[i] != *ctx.ready_key) continue;
    Source source{.name = parsed.keys[i], .stream = std::nullopt, .after = {}};
    TM_ASSIGN_OR_RETURN(source.stream, Stream::Of(ctx.keys(), key));
    if (parsed.group) {
      TM_ASSIGN_OR_RETURN(const std::optional<StreamGroup> group, StreamGroup::Find(*source.stream, *parsed.group));
      if (!group) return InvalidArgument("NOGROUP the consumer group this client was blocked on no longer exists");
    }
    TM_ASSIGN_OR_RETURN(source.after, ParseAfter(parsed, parsed.ids[i], &source));
    sources.push_back(std::move(source));
    break;
  }
  return sources;
}

// Entries above `after`, at most `count` (0: all); their ids.
absl::StatusOr<std::vector<StreamId>> WriteEntriesAfter(Context& ctx, Stream& stream, StreamId after, uint64_t count) {
  std::vector<StreamId> ids;
  const std::optional<StreamId> first = types::IdAfter(after);
  if (!first || after >= stream.head().last_id) return ids;
  absl::Status damage;
  TM_RETURN_IF_ERROR(stream.Visit(*first, types::kMaxStreamId, count == 0 ? SIZE_MAX : count, /*backward=*/false,
                                  [&](StreamId id, std::string_view entry) {
                                    damage = WriteEntry(ctx.out, id, entry);
                                    ids.push_back(id);
                                    return damage.ok();
                                  }));
  if (!damage.ok()) return damage;
  return ids;
}

absl::Status KnowConsumer(Context& ctx, std::string_view key, StreamGroup& group, std::string_view consumer) {
  TM_ASSIGN_OR_RETURN(const types::ConsumerState* const known, group.FindConsumer(consumer));
  if (known != nullptr) {
    group.Seen(consumer, ctx.keys().now_ms());
  } else {
    group.CreateConsumer(consumer, ctx.keys().now_ms());
    ctx.keys().Notify(EventClass::kStream, "xgroup-createconsumer", key);
  }
  return absl::OkStatus();
}

// What the group has not been given yet; how many entries.
absl::StatusOr<size_t> WriteNew(Context& ctx, const ReadArgs& parsed, Source& source) {
  Stream& stream = *source.stream;
  TM_ASSIGN_OR_RETURN(std::optional<StreamGroup> group, StreamGroup::Find(stream, *parsed.group));
  TM_ASSIGN_OR_RETURN(const std::vector<StreamId> ids,
                      WriteEntriesAfter(ctx, stream, group->state().last_id, parsed.count));
  if (ids.empty()) return 0;
  TM_RETURN_IF_ERROR(KnowConsumer(ctx, source.name, *group, parsed.consumer));
  int64_t read = group->state().entries_read;
  for (const StreamId id : ids) {
    const bool counts_on = read != GroupState::kUnknown && !types::MayMissEntriesFrom(stream, id);
    read = counts_on ? read + 1 : types::EntriesReadAt(stream, id);
    if (parsed.no_ack) continue;
    TM_ASSIGN_OR_RETURN(const std::optional<Pending> former, group->FindPending(id));
    TM_RETURN_IF_ERROR(group->PutPending(
        id, {.consumer = std::string(parsed.consumer), .delivered_ms = ctx.keys().now_ms(), .deliveries = 1}, former));
  }
  group->SetLastId(ids.back(), read);
  group->Commit();
  return ids.size();
}

// What the consumer was given and has not acknowledged; how many entries.
absl::StatusOr<size_t> WriteHistory(Context& ctx, const ReadArgs& parsed, Source& source) {
  Stream& stream = *source.stream;
  TM_ASSIGN_OR_RETURN(std::optional<StreamGroup> group, StreamGroup::Find(stream, *parsed.group));
  TM_RETURN_IF_ERROR(KnowConsumer(ctx, source.name, *group, parsed.consumer));
  std::vector<StreamId> ids;
  if (const std::optional<StreamId> first = types::IdAfter(source.after)) {
    const size_t limit = parsed.count == 0 ? SIZE_MAX : parsed.count;
    TM_ASSIGN_OR_RETURN(ids, group->PendingOf(parsed.consumer, *first, types::kMaxStreamId, limit));
  }
  for (const StreamId id : ids) {
    TM_ASSIGN_OR_RETURN(const kv::Value entry, stream.Get(id));
    if (!entry) {
      ctx.out.Array(2);
      WriteStreamId(ctx.out, id);
      ctx.out.NullArray();
      continue;
    }
    TM_RETURN_IF_ERROR(WriteEntry(ctx.out, id, types::Keyspace::MemberBytes(entry)));
    TM_ASSIGN_OR_RETURN(const std::optional<Pending> former, group->FindPending(id));
    if (!former) return Errorf(absl::StatusCode::kDataLoss, "stream: a pending entry is known by its consumer alone");
    Pending again = *former;
    again.delivered_ms = ctx.keys().now_ms();
    ++again.deliveries;
    TM_RETURN_IF_ERROR(group->PutPending(id, again, former));
  }
  group->Commit();
  return ids.size();
}

// True when the source was served; nothing is written otherwise.
absl::StatusOr<bool> Serve(Context& ctx, const ReadArgs& parsed, Source& source) {
  if (!source.stream) return false;
  const size_t mark = ctx.out.size();
  if (ctx.out.protocol() == 2) ctx.out.Array(2);
  ctx.out.Bulk(source.name);
  const resp::Writer::DeferredLength entries = ctx.out.BeginDeferred(resp::Writer::Kind::kArray);
  const bool history = parsed.of_group && !source.is_new;
  size_t count = 0;
  if (history) {
    TM_ASSIGN_OR_RETURN(count, WriteHistory(ctx, parsed, source));
  } else if (parsed.of_group) {
    TM_ASSIGN_OR_RETURN(count, WriteNew(ctx, parsed, source));
  } else {
    TM_ASSIGN_OR_RETURN(const std::vector<StreamId> ids,
                        WriteEntriesAfter(ctx, *source.stream, source.after, parsed.count));
    count = ids.size();
  }
  if (count == 0 && !history) {
    ctx.out.Truncate(mark);
    return false;
  }
  ctx.out.EndDeferred(entries, count);
  return true;
}

// The words to be run once a key has changed: "$" means what it means now, and who waited gets a bounded number.
std::vector<std::string> WordsOnceReady(const ReadArgs& parsed, const std::vector<Source>& sources) {
  std::vector<std::string> words{parsed.of_group ? "xreadgroup" : "xread"};
  const auto add = [&](const auto&... more) { (words.emplace_back(more), ...); };
  if (parsed.group) add("group", *parsed.group, parsed.consumer);
  if (parsed.no_ack) add("noack");
  add("count", fmt::format("{}", parsed.count == 0 ? kCountAfterWaiting : parsed.count), "block", "0", "streams");
  for (const Source& source : sources) add(source.name);
  for (const Source& source : sources) add(source.is_new ? ">" : types::FormatStreamId(source.after));
  return words;
}

void WaitForStreams(Context& ctx, const ReadArgs& parsed, const std::vector<Source>& sources) {
  resp::Writer timed_out;
  timed_out.SetProtocol(ctx.out.protocol());
  timed_out.NullArray();
  ctx.key_wait = KeyWait{.keys = {parsed.keys.begin(), parsed.keys.end()},
                         .timeout_ms = *parsed.block_ms,
                         .timed_out = std::move(timed_out.buffer()),
                         .alike = false,
                         .args = WordsOnceReady(parsed, sources)};
}

absl::Status Read(Context& ctx, bool of_group) {
  TM_ASSIGN_OR_RETURN(const ReadArgs parsed, Parse(ctx, of_group));
  TM_ASSIGN_OR_RETURN(std::vector<Source> sources, ctx.ready_key ? FindReady(ctx, parsed) : FindSources(ctx, parsed));
  const resp::Writer::DeferredLength reply =
      ctx.out.BeginDeferred(ctx.out.protocol() == 3 ? resp::Writer::Kind::kMap : resp::Writer::Kind::kArray);
  size_t served = 0;
  for (Source& source : sources) {
    TM_ASSIGN_OR_RETURN(const bool any, Serve(ctx, parsed, source));
    served += any ? 1 : 0;
  }
  if (served > 0) {
    ctx.out.EndDeferred(reply, served);
  } else if (parsed.block_ms && ctx.may_wait) {
    WaitForStreams(ctx, parsed, sources);
  } else {
    ctx.out.NullArray();
  }
  return absl::OkStatus();
}

absl::Status XRead(Context& ctx) { return Read(ctx, /*of_group=*/false); }
absl::Status XReadGroup(Context& ctx) { return Read(ctx, /*of_group=*/true); }

// The keys stand between STREAMS and as many ids.
std::vector<int> FindStreamKeys(Args args) {
  for (size_t i = 1; i < args.size(); ++i) {
    if (EqualsIgnoreCase(args[i], "block") || EqualsIgnoreCase(args[i], "count")) {
      ++i;
    } else if (EqualsIgnoreCase(args[i], "group")) {
      i += 2;
    } else if (EqualsIgnoreCase(args[i], "streams")) {
      const size_t rest = args.size() - i - 1;
      std::vector<int> positions(rest % 2 == 0 ? rest / 2 : 0);
      for (size_t n = 0; n < positions.size(); ++n) positions[n] = static_cast<int>(i + 1 + n);
      return positions;
    }
  }
  return {};
}

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, Handler handler, std::string_view syntax,
                           std::string_view summary) {
  CommandSpec spec =
      MakeSpec("stream", name, arity, flags | kBlocking | kMovableKeys, kNoKeys, "RO access", "5.0.0", handler, syntax,
               "O(M + N), M being the number of streams and N that of entries returned", summary);
  spec.find_keys = FindStreamKeys;
  return spec;
}

constexpr CommandSpec kStreamReadCommands[] = {
    Spec("xread", -4, kReadonly, XRead, "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
         "Returns entries of several streams above the IDs named; may wait for them."),
    Spec("xreadgroup", -7, kWrite, XReadGroup,
         "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]",
         "Returns entries that a consumer group has not been given yet, or what a consumer has not acknowledged."),
};

}  // namespace

std::span<const CommandSpec> StreamReadCommands() { return kStreamReadCommands; }

}  // namespace tidemark::commands
