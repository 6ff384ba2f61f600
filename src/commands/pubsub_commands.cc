// SUBSCRIBE, PUBLISH and their relatives.
#include "commands/command.h"
#include "commands/pubsub.h"
#include "commands/server.h"

namespace tidemark::commands {
namespace {

using Kind = Pubsub::Kind;

// The count in a confirmation: channels and patterns together, shard channels by themselves.
int64_t CountFor(Kind kind, const Client& client) {
  if (kind == Kind::kShard) return static_cast<int64_t>(client.shard_channels.size());
  return static_cast<int64_t>(client.channels.size() + client.patterns.size());
}

// A confirmation counts as a message, which CLIENT REPLY OFF does not keep back.
void BeginConfirmation(Context& ctx) {
  ctx.client.sends_message = ctx.client.reply_mode != ReplyMode::kOn;
  ctx.out.Push(3);
}

void Confirm(Context& ctx, Kind kind, std::string_view word, std::string_view name) {
  BeginConfirmation(ctx);
  ctx.out.Bulk(word);
  ctx.out.Bulk(name);
  ctx.out.Integer(CountFor(kind, ctx.client));
}

absl::Status SubscribeAll(Context& ctx, Kind kind, std::string_view word) {
  for (const std::string_view name : ctx.args.subspan(1)) {
    ctx.server.pubsub.Subscribe(kind, ctx.client, name);
    Confirm(ctx, kind, word, name);
  }
  return absl::OkStatus();
}

// Without names: everything of that kind.
absl::Status UnsubscribeAll(Context& ctx, Kind kind, std::string_view word, const absl::btree_set<std::string>& held) {
  const auto end = [&](std::string_view name) {
    ctx.server.pubsub.Unsubscribe(kind, ctx.client, name);
    Confirm(ctx, kind, word, name);
  };
  if (ctx.args.size() > 1) {
    for (const std::string_view name : ctx.args.subspan(1)) end(name);
    return absl::OkStatus();
  }
  if (held.empty()) {
    BeginConfirmation(ctx);
    ctx.out.Bulk(word);
    ctx.out.Null();
    ctx.out.Integer(CountFor(kind, ctx.client));
    return absl::OkStatus();
  }
  const std::vector<std::string> names(held.begin(), held.end());
  for (const std::string& name : names) end(name);
  return absl::OkStatus();
}

absl::Status Subscribe(Context& ctx) { return SubscribeAll(ctx, Kind::kChannel, "subscribe"); }
absl::Status Psubscribe(Context& ctx) { return SubscribeAll(ctx, Kind::kPattern, "psubscribe"); }
absl::Status Ssubscribe(Context& ctx) { return SubscribeAll(ctx, Kind::kShard, "ssubscribe"); }

absl::Status Unsubscribe(Context& ctx) {
  return UnsubscribeAll(ctx, Kind::kChannel, "unsubscribe", ctx.client.channels);
}
absl::Status Punsubscribe(Context& ctx) {
  return UnsubscribeAll(ctx, Kind::kPattern, "punsubscribe", ctx.client.patterns);
}
absl::Status Sunsubscribe(Context& ctx) {
  return UnsubscribeAll(ctx, Kind::kShard, "sunsubscribe", ctx.client.shard_channels);
}

absl::Status PublishTo(Context& ctx, Kind kind) {
  size_t receivers = 0;
  if (ctx.publications != nullptr) {
    receivers = ctx.server.pubsub.Receivers(kind, ctx.args[1]);
    ctx.publications->push_back({kind == Kind::kShard, std::string(ctx.args[1]), std::string(ctx.args[2])});
  } else {
    receivers = ctx.server.pubsub.Publish(kind, ctx.args[1], ctx.args[2]);
  }
  ctx.out.Integer(static_cast<int64_t>(receivers));
  return absl::OkStatus();
}

absl::Status Publish(Context& ctx) { return PublishTo(ctx, Kind::kChannel); }
absl::Status Spublish(Context& ctx) { return PublishTo(ctx, Kind::kShard); }

absl::Status ListChannels(Context& ctx, Kind kind) {
  if (ctx.args.size() > 3) {
    return InvalidArgument("ERR unknown subcommand or wrong number of arguments for '{}'. Try PUBSUB HELP.",
                           ctx.args[1].substr(0, 128));
  }
  const std::string_view pattern = ctx.args.size() == 3 ? ctx.args[2] : "*";
  const std::vector<std::string> names = ctx.server.pubsub.Channels(kind, pattern);
  ctx.out.Array(names.size());
  for (const std::string& name : names) ctx.out.Bulk(name);
  return absl::OkStatus();
}

absl::Status CountListeners(Context& ctx, Kind kind) {
  ctx.out.Array((ctx.args.size() - 2) * 2);
  for (const std::string_view name : ctx.args.subspan(2)) {
    ctx.out.Bulk(name);
    ctx.out.Integer(static_cast<int64_t>(ctx.server.pubsub.Listeners(kind, name)));
  }
  return absl::OkStatus();
}

absl::Status PubsubChannels(Context& ctx) { return ListChannels(ctx, Kind::kChannel); }
absl::Status PubsubShardchannels(Context& ctx) { return ListChannels(ctx, Kind::kShard); }
absl::Status PubsubNumsub(Context& ctx) { return CountListeners(ctx, Kind::kChannel); }
absl::Status PubsubShardnumsub(Context& ctx) { return CountListeners(ctx, Kind::kShard); }

absl::Status PubsubNumpat(Context& ctx) {
  ctx.out.Integer(static_cast<int64_t>(ctx.server.pubsub.Count(Kind::kPattern)));
  return absl::OkStatus();
}

absl::Status PubsubHelp(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "CHANNELS [<pattern>]",
      "    List channels with listeners that match <pattern> (default: '*').",
      "NUMPAT",
      "    Count the patterns that somebody listens to.",
      "NUMSUB [<channel> ...]",
      "    Count the listeners of channels, without those of patterns.",
      "SHARDCHANNELS [<pattern>]",
      "    List shard channels with listeners that match <pattern> (default: '*').",
      "SHARDNUMSUB [<shardchannel> ...]",
      "    Count the listeners of shard channels.",
  };
  HelpReply(ctx, "PUBSUB", kLines);
  return absl::OkStatus();
}

constexpr CommandSpec kSubcommands[] = {
    {.name = "channels",
     .arity = -2,
     .flags = kPubsub | kLoading | kStale,
     .group = "pubsub",
     .since = "2.8.0",
     .summary = "Lists channels that somebody listens to.",
     .complexity = "O(N) with N the number of active channels, and assuming constant time pattern matching (relatively "
                   "short channels and patterns)",
     .syntax = "[pattern]",
     .handler = PubsubChannels},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .group = "pubsub",
     .since = "6.2.0",
     .summary = "Lists the subcommands.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = PubsubHelp},
    {.name = "numpat",
     .arity = 2,
     .flags = kPubsub | kLoading | kStale,
     .group = "pubsub",
     .since = "2.8.0",
     .summary = "Counts the patterns that somebody listens to.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = PubsubNumpat},
    {.name = "numsub",
     .arity = -2,
     .flags = kPubsub | kLoading | kStale,
     .group = "pubsub",
     .since = "2.8.0",
     .summary = "Counts the listeners of channels.",
     .complexity = "O(N) for the NUMSUB subcommand, with N the number of requested channels",
     .syntax = "[channel [channel ...]]",
     .handler = PubsubNumsub},
    {.name = "shardchannels",
     .arity = -2,
     .flags = kPubsub | kLoading | kStale,
     .group = "pubsub",
     .since = "7.0.0",
     .summary = "Lists shard channels that somebody listens to.",
     .complexity = "O(N) with N the number of active shard channels, and assuming constant time pattern matching "
                   "(relatively short shard channels)",
     .syntax = "[pattern]",
     .handler = PubsubShardchannels},
    {.name = "shardnumsub",
     .arity = -2,
     .flags = kPubsub | kLoading | kStale,
     .group = "pubsub",
     .since = "7.0.0",
     .summary = "Counts the listeners of shard channels.",
     .complexity = "O(N) for the SHARDNUMSUB subcommand, with N the number of requested shard channels",
     .syntax = "[shardchannel [shardchannel ...]]",
     .handler = PubsubShardnumsub},
};
constexpr CommandSpec kCommands[] = {
    {.name = "psubscribe",
     .arity = -2,
     .flags = kPubsub | kNoScript | kLoading | kStale,
     .group = "pubsub",
     .since = "2.0.0",
     .summary = "Listens to all channels that match patterns.",
     .complexity = "O(N) with N the number of patterns the client is already subscribed to",
     .syntax = "pattern [pattern ...]",
     .handler = Psubscribe},
    {.name = "publish",
     .arity = 3,
     .flags = kPubsub | kLoading | kStale | kFast,
     .group = "pubsub",
     .since = "2.0.0",
     .summary = "Sends a message to a channel.",
     .complexity = "O(N+M) with N the number of clients subscribed to the receiving channel and M is the total number "
                   "of subscribed patterns (by any client)",
     .syntax = "channel message",
     .handler = Publish},
    {.name = "pubsub",
     .arity = -2,
     .flags = 0,
     .group = "pubsub",
     .since = "2.8.0",
     .summary = "About channels and who listens.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kSubcommands},
    {.name = "punsubscribe",
     .arity = -1,
     .flags = kPubsub | kNoScript | kLoading | kStale,
     .group = "pubsub",
     .since = "2.0.0",
     .summary = "Stops listening to patterns.",
     .complexity = "O(N+M) with N the number of patterns the client is already subscribed and M is the number of total "
                   "patterns subscribed in the system (by any client)",
     .syntax = "[pattern [pattern ...]]",
     .handler = Punsubscribe},
    {.name = "spublish",
     .arity = 3,
     .flags = kPubsub | kLoading | kStale | kFast,
     .keys = {1, 1, 1},
     .group = "pubsub",
     .since = "7.0.0",
     .summary = "Sends a message to a shard channel.",
     .complexity = "O(N) with N the number of clients subscribed to the receiving shard channel",
     .syntax = "shardchannel message",
     .handler = Spublish,
     .key_flags = "not_key"},
    {.name = "ssubscribe",
     .arity = -2,
     .flags = kPubsub | kNoScript | kLoading | kStale,
     .keys = {1, -1, 1},
     .group = "pubsub",
     .since = "7.0.0",
     .summary = "Listens to shard channels.",
     .complexity = "O(N) with N the number of shard channels to subscribe to",
     .syntax = "shardchannel [shardchannel ...]",
     .handler = Ssubscribe,
     .key_flags = "not_key"},
    {.name = "subscribe",
     .arity = -2,
     .flags = kPubsub | kNoScript | kLoading | kStale,
     .group = "pubsub",
     .since = "2.0.0",
     .summary = "Listens to channels.",
     .complexity = "O(N) with N the number of channels to subscribe to",
     .syntax = "channel [channel ...]",
     .handler = Subscribe},
    {.name = "sunsubscribe",
     .arity = -1,
     .flags = kPubsub | kNoScript | kLoading | kStale,
     .keys = {1, -1, 1},
     .group = "pubsub",
     .since = "7.0.0",
     .summary = "Stops listening to shard channels.",
     .complexity = "O(N) with N the number of clients already subscribed to a shard channel",
     .syntax = "[shardchannel [shardchannel ...]]",
     .handler = Sunsubscribe,
     .key_flags = "not_key"},
    {.name = "unsubscribe",
     .arity = -1,
     .flags = kPubsub | kNoScript | kLoading | kStale,
     .group = "pubsub",
     .since = "2.0.0",
     .summary = "Stops listening to channels.",
     .complexity = "O(N) with N the number of clients already subscribed to a channel",
     .syntax = "[channel [channel ...]]",
     .handler = Unsubscribe},
};

}  // namespace

std::span<const CommandSpec> PubsubCommands() { return kCommands; }

}  // namespace tidemark::commands
