// XINFO: what is known of a stream, its groups and their consumers.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "commands/spec.h"
#include "commands/stream_arguments.h"
#include "types/stream_groups.h"

namespace tidemark::commands {
namespace {

using types::GroupState;
using types::Pending;
using types::Stream;
using types::StreamGroup;
using types::StreamHead;
using types::StreamId;

constexpr uint64_t kDefaultCount = 10;
// Redis's nodes, for the fields that count them.
constexpr uint64_t kNodeEntries = 100;

absl::Status WrongSubcommand(const Context& ctx) {
  return InvalidArgument("ERR unknown subcommand or wrong number of arguments for '{}'. Try XINFO HELP.",
                         ctx.args[1].substr(0, 128));
}

absl::StatusOr<Stream> FindStream(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Stream stream, Stream::Lookup(ctx.keys(), ctx.args[2]));
  if (!stream.exists()) return InvalidArgument("ERR no such key");
  return stream;
}

void Field(Context& ctx, std::string_view name, uint64_t value) {
  ctx.out.Bulk(name);
  ctx.out.Integer(static_cast<int64_t>(value));
}

void Field(Context& ctx, std::string_view name, StreamId id) {
  ctx.out.Bulk(name);
  WriteStreamId(ctx.out, id);
}

void WriteHead(Context& ctx, const Stream& stream) {
  const StreamHead& head = stream.head();
  const uint64_t nodes = (stream.length() + kNodeEntries - 1) / kNodeEntries;
  Field(ctx, "length", stream.length());
  Field(ctx, "radix-tree-keys", nodes);
  Field(ctx, "radix-tree-nodes", nodes + 1);
  Field(ctx, "last-generated-id", head.last_id);
  Field(ctx, "max-deleted-entry-id", head.max_deleted_id);
  Field(ctx, "entries-added", head.entries_added);
  Field(ctx, "recorded-first-entry-id", head.first_id);
}

// At most `count` entries (0: all) as an array.
absl::Status WriteEntries(Context& ctx, Stream& stream, uint64_t count) {
  const resp::Writer::DeferredLength length = ctx.out.BeginDeferred(resp::Writer::Kind::kArray);
  size_t written = 0;
  absl::Status damage;
  TM_RETURN_IF_ERROR(stream.Visit({}, types::kMaxStreamId, count == 0 ? SIZE_MAX : count, /*backward=*/false,
                                  [&](StreamId id, std::string_view entry) {
                                    damage = WriteEntry(ctx.out, id, entry);
                                    ++written;
                                    return damage.ok();
                                  }));
  TM_RETURN_IF_ERROR(damage);
  ctx.out.EndDeferred(length, written);
  return absl::OkStatus();
}

absl::Status WriteEdgeEntry(Context& ctx, Stream& stream, bool last) {
  absl::Status status;
  bool any = false;
  TM_RETURN_IF_ERROR(stream.Visit({}, types::kMaxStreamId, 1, last, [&](StreamId id, std::string_view entry) {
    status = WriteEntry(ctx.out, id, entry);
    any = true;
    return false;
  }));
  if (!any) ctx.out.Null();
  return status;
}

void WriteProgress(Context& ctx, const Stream& stream, const GroupState& group) {
  Field(ctx, "last-delivered-id", group.last_id);
  ctx.out.Bulk("entries-read");
  if (group.entries_read == GroupState::kUnknown) {
    ctx.out.Null();
  } else {
    ctx.out.Integer(group.entries_read);
  }
  ctx.out.Bulk("lag");
  if (const std::optional<int64_t> lag = types::GroupLag(stream, group)) {
    ctx.out.Integer(*lag);
  } else {
    ctx.out.Null();
  }
}

absl::Status WriteConsumerInFull(Context& ctx, StreamGroup& group, const StreamGroup::NamedConsumer& consumer,
                                 uint64_t count) {
  ctx.out.Map(4);
  ctx.out.Bulk("name");
  ctx.out.Bulk(consumer.name);
  Field(ctx, "seen-time", consumer.state.seen_ms);
  Field(ctx, "pel-count", consumer.state.pending);
  ctx.out.Bulk("pending");
  TM_ASSIGN_OR_RETURN(const std::vector<StreamId> ids,
                      group.PendingOf(consumer.name, {}, types::kMaxStreamId, count == 0 ? SIZE_MAX : count));
  ctx.out.Array(ids.size());
  for (const StreamId id : ids) {
    TM_ASSIGN_OR_RETURN(const std::optional<Pending> pending, group.FindPending(id));
    ctx.out.Array(3);
    WriteStreamId(ctx.out, id);
    ctx.out.Integer(pending ? static_cast<int64_t>(pending->delivered_ms) : 0);
    ctx.out.Integer(pending ? static_cast<int64_t>(pending->deliveries) : 0);
  }
  return absl::OkStatus();
}

absl::Status WriteGroupInFull(Context& ctx, Stream& stream, StreamGroup& group, uint64_t count) {
  ctx.out.Map(7);
  ctx.out.Bulk("name");
  ctx.out.Bulk(group.name());
  WriteProgress(ctx, stream, group.state());
  Field(ctx, "pel-count", group.state().pending);
  ctx.out.Bulk("pending");
  const resp::Writer::DeferredLength length = ctx.out.BeginDeferred(resp::Writer::Kind::kArray);
  size_t written = 0;
  TM_RETURN_IF_ERROR(group.VisitPending({}, types::kMaxStreamId, count == 0 ? SIZE_MAX : count, /*backward=*/false,
                                        [&](StreamId id, const Pending& pending) {
                                          ctx.out.Array(4);
                                          WriteStreamId(ctx.out, id);
                                          ctx.out.Bulk(pending.consumer);
                                          ctx.out.Integer(static_cast<int64_t>(pending.delivered_ms));
                                          ctx.out.Integer(static_cast<int64_t>(pending.deliveries));
                                          ++written;
                                          return true;
                                        }));
  ctx.out.EndDeferred(length, written);
  ctx.out.Bulk("consumers");
  TM_ASSIGN_OR_RETURN(const std::vector<StreamGroup::NamedConsumer> consumers, group.Consumers());
  ctx.out.Array(consumers.size());
  for (const StreamGroup::NamedConsumer& consumer : consumers) {
    TM_RETURN_IF_ERROR(WriteConsumerInFull(ctx, group, consumer, count));
  }
  return absl::OkStatus();
}

// A group whose name was read a moment before. Outside the commit lock it may be gone since.
absl::StatusOr<StreamGroup> FindNamed(Stream& stream, const std::string& name) {
  TM_ASSIGN_OR_RETURN(std::optional<StreamGroup> group, StreamGroup::Find(stream, name));
  if (!group) return kv::ColdRow();
  return *std::move(group);
}

absl::Status WriteInFull(Context& ctx, Stream& stream, uint64_t count) {
  ctx.out.Map(9);
  WriteHead(ctx, stream);
  ctx.out.Bulk("entries");
  TM_RETURN_IF_ERROR(WriteEntries(ctx, stream, count));
  ctx.out.Bulk("groups");
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> names, StreamGroup::Names(stream));
  ctx.out.Array(names.size());
  for (const std::string& name : names) {
    TM_ASSIGN_OR_RETURN(StreamGroup group, FindNamed(stream, name));
    TM_RETURN_IF_ERROR(WriteGroupInFull(ctx, stream, group, count));
  }
  return absl::OkStatus();
}

absl::Status InfoStream(Context& ctx) {
  const Args options = ctx.args.subspan(3);
  uint64_t count = kDefaultCount;
  if (!options.empty()) {
    if (options.size() != 1 && options.size() != 3) return WrongSubcommand(ctx);
    if (!EqualsIgnoreCase(options[0], "full")) return WrongSubcommand(ctx);
    if (options.size() == 3) {
      if (!EqualsIgnoreCase(options[1], "count")) return WrongSubcommand(ctx);
      TM_ASSIGN_OR_RETURN(const int64_t given, IntegerArg(options[2]));
      if (given >= 0) count = static_cast<uint64_t>(given);
    }
  }
  TM_ASSIGN_OR_RETURN(Stream stream, FindStream(ctx));
  if (!options.empty()) return WriteInFull(ctx, stream, count);
  ctx.out.Map(10);
  WriteHead(ctx, stream);
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> groups, StreamGroup::Names(stream));
  Field(ctx, "groups", groups.size());
  ctx.out.Bulk("first-entry");
  TM_RETURN_IF_ERROR(WriteEdgeEntry(ctx, stream, /*last=*/false));
  ctx.out.Bulk("last-entry");
  return WriteEdgeEntry(ctx, stream, /*last=*/true);
}

absl::Status InfoGroups(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Stream stream, FindStream(ctx));
  TM_ASSIGN_OR_RETURN(const std::vector<std::string> names, StreamGroup::Names(stream));
  ctx.out.Array(names.size());
  for (const std::string& name : names) {
    TM_ASSIGN_OR_RETURN(StreamGroup group, FindNamed(stream, name));
    TM_ASSIGN_OR_RETURN(const std::vector<StreamGroup::NamedConsumer> consumers, group.Consumers());
    ctx.out.Map(6);
    ctx.out.Bulk("name");
    ctx.out.Bulk(name);
    Field(ctx, "consumers", consumers.size());
    Field(ctx, "pending", group.state().pending);
    WriteProgress(ctx, stream, group.state());
  }
  return absl::OkStatus();
}

absl::Status InfoConsumers(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Stream stream, FindStream(ctx));
  TM_ASSIGN_OR_RETURN(std::optional<StreamGroup> group, StreamGroup::Find(stream, ctx.args[3]));
  if (!group) {
    return InvalidArgument("NOGROUP No such consumer group '{}' for key name '{}'", ShownName(ctx.args[3]),
                           ShownName(ctx.args[2]));
  }
  TM_ASSIGN_OR_RETURN(const std::vector<StreamGroup::NamedConsumer> consumers, group->Consumers());
  const uint64_t now_ms = ctx.keys().now_ms();
  ctx.out.Array(consumers.size());
  for (const StreamGroup::NamedConsumer& consumer : consumers) {
    ctx.out.Map(3);
    ctx.out.Bulk("name");
    ctx.out.Bulk(consumer.name);
    Field(ctx, "pending", consumer.state.pending);
    Field(ctx, "idle", now_ms - std::min(now_ms, consumer.state.seen_ms));
  }
  return absl::OkStatus();
}

absl::Status Help(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "CONSUMERS <key> <group>",
      "    Who reads in a group, and how much is pending for each.",
      "GROUPS <key>",
      "    The groups of a stream, and how far each is.",
      "STREAM <key> [FULL [COUNT <count>]]",
      "    The stream as a whole; FULL with entries and groups.",
  };
  HelpReply(ctx, "XINFO", kLines);
  return absl::OkStatus();
}

constexpr CommandSpec Sub(std::string_view name, int arity, std::string_view syntax, Handler handler,
                          std::string_view complexity, std::string_view summary) {
  return MakeSpec("stream", name, arity, kReadonly, KeyPositions{2, 2, 1}, "RO access", "5.0.0", handler, syntax,
                  complexity, summary);
}

constexpr CommandSpec kSubcommands[] = {
    Sub("consumers", 4, "key group", InfoConsumers, "O(N), N being the number of consumers",
        "Returns the consumers of a group."),
    Sub("groups", 3, "key", InfoGroups, "O(N), N being the number of groups and their consumers",
        "Returns the consumer groups of a stream."),
    MakeSpec("stream", "help", 2, kLoading | kStale, kNoKeys, {}, "5.0.0", Help, {}, "O(1)",
             "Lists the subcommands of XINFO."),
    Sub("stream", -3, "key [FULL [COUNT count]]", InfoStream, "O(1), with FULL O(N), N being what is returned",
        "Returns what is known of a stream."),
};

constexpr CommandSpec Parent() {
  CommandSpec spec = MakeSpec("stream", "xinfo", -2, 0, kNoKeys, {}, "5.0.0", UnknownSubcommand, "<subcommand>",
                              "Depends on the subcommand", "Tells about streams, groups and consumers.");
  spec.subcommands = kSubcommands;
  return spec;
}

constexpr CommandSpec kStreamInfoCommands[] = {Parent()};

}  // namespace

std::span<const CommandSpec> StreamInfoCommands() { return kStreamInfoCommands; }

}  // namespace tidemark::commands
