// XGROUP: consumer groups of a stream and their consumers.
#include <memory>
#include <optional>
#include <string>

#include "commands/spec.h"
#include "commands/stream_arguments.h"
#include "types/stream_groups.h"

namespace tidemark::commands {
namespace {

using types::ConsumerState;
using types::EventClass;
using types::GroupState;
using types::Stream;
using types::StreamGroup;
using types::StreamId;

absl::Status WrongSubcommand(const Context& ctx) {
  return InvalidArgument("ERR unknown subcommand or wrong number of arguments for '{}'. Try XGROUP HELP.",
                         ctx.args[1].substr(0, 128));
}

absl::Status NoKey() {
  return InvalidArgument(
      "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM "
      "option "
      "to create an empty stream automatically.");
}

absl::Status NoGroup(const Context& ctx) {
  return InvalidArgument("NOGROUP No such consumer group '{}' for key name '{}'", ShownName(ctx.args[3]),
                         ShownName(ctx.args[2]));
}

struct Options {
  bool make_stream = false;
  int64_t entries_read = GroupState::kUnknown;
};

absl::StatusOr<Options> ParseOptions(const Context& ctx, bool may_make_stream) {
  Options options;
  for (size_t i = 5; i < ctx.args.size(); ++i) {
    if (may_make_stream && EqualsIgnoreCase(ctx.args[i], "mkstream")) {
      options.make_stream = true;
    } else if (EqualsIgnoreCase(ctx.args[i], "entriesread") && i + 1 < ctx.args.size()) {
      TM_ASSIGN_OR_RETURN(options.entries_read, IntegerArg(ctx.args[++i]));
      if (options.entries_read < 0 && options.entries_read != GroupState::kUnknown) {
        return InvalidArgument("ERR value for ENTRIESREAD must be positive or -1");
      }
    } else {
      return WrongSubcommand(ctx);
    }
  }
  return options;
}

absl::Status Create(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Options options, ParseOptions(ctx, /*may_make_stream=*/true));
  TM_ASSIGN_OR_RETURN(Stream stream, Stream::Find(ctx.keys(), ctx.args[2]));
  if (!stream.exists() && !options.make_stream) return NoKey();
  if (ctx.args.size() > 8) return WrongSubcommand(ctx);
  StreamId id = stream.head().last_id;
  if (ctx.args[4] != "$") {
    TM_ASSIGN_OR_RETURN(id, ParseStreamId(ctx.args[4], 0));
  }
  TM_ASSIGN_OR_RETURN(const std::optional<StreamGroup> found, StreamGroup::Find(stream, ctx.args[3]));
  if (found) return InvalidArgument("BUSYGROUP Consumer Group name already exists");
  StreamGroup group = StreamGroup::Create(stream, ctx.args[3], id, options.entries_read);
  group.Commit();
  TM_RETURN_IF_ERROR(stream.Commit());
  ctx.keys().Notify(EventClass::kStream, "xgroup-create", ctx.args[2]);
  ctx.out.Ok();
  return absl::OkStatus();
}

// The stream and the group that the other subcommands are about. The stream comes first, for the group points to it.
struct Target {
  Stream stream;
  std::optional<StreamGroup> group = std::nullopt;
};

absl::StatusOr<std::unique_ptr<Target>> FindTarget(Context& ctx, bool must_have_group) {
  TM_ASSIGN_OR_RETURN(Stream stream, Stream::Find(ctx.keys(), ctx.args[2]));
  if (!stream.exists()) return NoKey();
  auto target = std::make_unique<Target>(Target{.stream = std::move(stream)});
  TM_ASSIGN_OR_RETURN(target->group, StreamGroup::Find(target->stream, ctx.args[3]));
  if (!target->group && must_have_group) return NoGroup(ctx);
  return target;
}

absl::Status SetId(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Options options, ParseOptions(ctx, /*may_make_stream=*/false));
  TM_ASSIGN_OR_RETURN(const auto target, FindTarget(ctx, /*must_have_group=*/true));
  if (ctx.args.size() != 5 && ctx.args.size() != 7) return WrongSubcommand(ctx);
  const std::string_view arg = ctx.args[4];
  StreamId id = target->stream.head().last_id;
  if (arg == "-") {
    id = {};
  } else if (arg == "+") {
    id = types::kMaxStreamId;
  } else if (arg != "$") {
    TM_ASSIGN_OR_RETURN(id, ParseStreamId(arg, 0));
  }
  target->group->SetLastId(id, options.entries_read);
  target->group->Commit();
  ctx.keys().Notify(EventClass::kStream, "xgroup-setid", ctx.args[2]);
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Destroy(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const auto target, FindTarget(ctx, /*must_have_group=*/false));
  if (target->group) {
    TM_RETURN_IF_ERROR(target->group->Destroy());
    // For those who wait for what the group would be given.
    ctx.keys().txn().Touched(ctx.keys().db(), ctx.args[2]);
    ctx.keys().Notify(EventClass::kStream, "xgroup-destroy", ctx.args[2]);
  }
  ctx.out.Integer(target->group ? 1 : 0);
  return absl::OkStatus();
}

absl::Status CreateConsumer(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const auto target, FindTarget(ctx, /*must_have_group=*/true));
  TM_ASSIGN_OR_RETURN(const ConsumerState* const found, target->group->FindConsumer(ctx.args[4]));
  const bool is_new = found == nullptr;
  if (is_new) {
    target->group->CreateConsumer(ctx.args[4], ctx.keys().now_ms());
    target->group->Commit();
    ctx.keys().Notify(EventClass::kStream, "xgroup-createconsumer", ctx.args[2]);
  }
  ctx.out.Integer(is_new ? 1 : 0);
  return absl::OkStatus();
}

absl::Status DeleteConsumer(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const auto target, FindTarget(ctx, /*must_have_group=*/true));
  TM_ASSIGN_OR_RETURN(const ConsumerState* const found, target->group->FindConsumer(ctx.args[4]));
  uint64_t pending = 0;
  if (found != nullptr) {
    TM_ASSIGN_OR_RETURN(pending, target->group->DeleteConsumer(ctx.args[4]));
    target->group->Commit();
    ctx.keys().Notify(EventClass::kStream, "xgroup-delconsumer", ctx.args[2]);
  }
  ctx.out.Integer(static_cast<int64_t>(pending));
  return absl::OkStatus();
}

absl::Status Help(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "CREATE <key> <group> <id | $> [MKSTREAM] [ENTRIESREAD <count>]",
      "    Make a group that begins after an id; MKSTREAM makes the stream, too.",
      "CREATECONSUMER <key> <group> <consumer>",
      "    Make a consumer, which reading does by itself.",
      "DELCONSUMER <key> <group> <consumer>",
      "    Remove a consumer with what is pending for it.",
      "DESTROY <key> <group>",
      "    Remove a group with its consumers.",
      "SETID <key> <group> <id | $> [ENTRIESREAD <count>]",
      "    Let a group go on after another id.",
  };
  HelpReply(ctx, "XGROUP", kLines);
  return absl::OkStatus();
}

constexpr KeyPositions kSecondKey{2, 2, 1};

constexpr CommandSpec Sub(std::string_view name, int arity, uint32_t flags, std::string_view key_flags,
                          std::string_view since, Handler handler, std::string_view syntax, std::string_view complexity,
                          std::string_view summary) {
  return MakeSpec("stream", name, arity, flags, kSecondKey, key_flags, since, handler, syntax, complexity, summary);
}

constexpr CommandSpec kSubcommands[] = {
    Sub("create", -5, kWrite | kDenyOom, "RW insert", "5.0.0", Create,
        "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]", "O(1)", "Creates a consumer group."),
    Sub("createconsumer", 5, kWrite | kDenyOom, "RW insert", "6.2.0", CreateConsumer, "key group consumer", "O(1)",
        "Creates a consumer in a group."),
    Sub("delconsumer", 5, kWrite, "RW delete", "5.0.0", DeleteConsumer, "key group consumer",
        "O(N), N being the number of its pending entries", "Removes a consumer with its pending entries."),
    Sub("destroy", 4, kWrite, "RW delete", "5.0.0", Destroy, "key group",
        "O(N), N being the number of its pending entries and consumers where they are few, else O(1)",
        "Removes a consumer group with all that it keeps."),
    MakeSpec("stream", "help", 2, kLoading | kStale, kNoKeys, {}, "5.0.0", Help, {}, "O(1)",
             "Lists the subcommands of XGROUP."),
    Sub("setid", -5, kWrite, "RW update", "5.0.0", SetId, "key group <id | $> [ENTRIESREAD entries-read]", "O(1)",
        "Sets the ID up to which a group has been given entries."),
};

constexpr CommandSpec Parent() {
  CommandSpec spec = MakeSpec("stream", "xgroup", -2, 0, kNoKeys, {}, "5.0.0", UnknownSubcommand, "<subcommand>",
                              "Depends on the subcommand", "Makes, changes and removes consumer groups.");
  spec.subcommands = kSubcommands;
  return spec;
}

constexpr CommandSpec kStreamGroupCommands[] = {Parent()};

}  // namespace

std::span<const CommandSpec> StreamGroupCommands() { return kStreamGroupCommands; }

}  // namespace tidemark::commands
