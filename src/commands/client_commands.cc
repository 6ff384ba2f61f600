// CLIENT and its subcommands.
#include "commands/acl.h"
#include "commands/client_handlers.h"
#include "commands/client_registry.h"
#include "commands/command.h"
#include "commands/server.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

uint64_t NowMillis() { return Clock::System().WallMicros() / 1000; }

absl::Status ClientId(Context& ctx) {
  ctx.out.Integer(static_cast<int64_t>(ctx.client.id));
  return absl::OkStatus();
}

absl::Status ClientInfo(Context& ctx) {
  ctx.out.Verbatim("txt", ctx.server.clients.Describe(ctx.client, NowMillis()) + "\n");
  return absl::OkStatus();
}

absl::StatusOr<ClientType> TypeArg(std::string_view name) {
  const std::optional<ClientType> type = ParseClientType(name);
  if (!type) return InvalidArgument("ERR Unknown client type '{}'", name);
  return *type;
}

absl::Status ClientList(Context& ctx) {
  const Args args = ctx.args;
  ClientFilter filter;
  if (args.size() == 4 && EqualsIgnoreCase(args[2], "TYPE")) {
    TM_ASSIGN_OR_RETURN(filter.type, TypeArg(args[3]));
  } else if (args.size() > 3 && EqualsIgnoreCase(args[2], "ID")) {
    for (const std::string_view word : args.subspan(3)) {
      const auto id = IntegerArg(word);
      if (!id.ok() || *id < 0) return InvalidArgument("ERR Invalid client ID");
      filter.ids.push_back(static_cast<uint64_t>(*id));
    }
  } else if (args.size() != 2) {
    return SyntaxError();
  }
  ctx.out.Verbatim("txt", ctx.server.clients.List(filter, NowMillis()));
  return absl::OkStatus();
}

// One pair of CLIENT KILL's words.
absl::Status AddKillFilter(std::string_view option, std::string_view value, const Client& self, const Acl* acl,
                           ClientFilter* filter) {
  if (EqualsIgnoreCase(option, "ID")) {
    const auto id = IntegerArg(value);
    if (!id.ok() || *id < 1) return InvalidArgument("ERR client-id should be greater than 0");
    filter->ids = {static_cast<uint64_t>(*id)};
  } else if (EqualsIgnoreCase(option, "TYPE")) {
    TM_ASSIGN_OR_RETURN(filter->type, TypeArg(value));
  } else if (EqualsIgnoreCase(option, "ADDR")) {
    filter->address = value;
  } else if (EqualsIgnoreCase(option, "LADDR")) {
    filter->local_address = value;
  } else if (EqualsIgnoreCase(option, "USER")) {
    if (acl == nullptr || acl->Find(value) == nullptr) return InvalidArgument("ERR No such user '{}'", value);
    filter->user = value;
  } else if (EqualsIgnoreCase(option, "SKIPME") && EqualsIgnoreCase(value, "yes")) {
    filter->except = &self;
  } else if (EqualsIgnoreCase(option, "SKIPME") && EqualsIgnoreCase(value, "no")) {
    filter->except = nullptr;
  } else {
    return SyntaxError();
  }
  return absl::OkStatus();
}

absl::Status ClientKill(Context& ctx) {
  ClientFilter filter;
  if (ctx.args.size() == 3) {
    filter.address = ctx.args[2];
    if (filter.address.empty() || ctx.server.clients.Kill(filter, ctx.client) == 0) {
      return InvalidArgument("ERR No such client");
    }
    ctx.out.Ok();
    return absl::OkStatus();
  }
  if (ctx.args.size() % 2 != 0) return SyntaxError();
  filter.except = &ctx.client;
  for (size_t i = 2; i < ctx.args.size(); i += 2) {
    TM_RETURN_IF_ERROR(AddKillFilter(ctx.args[i], ctx.args[i + 1], ctx.client, ctx.server.acl, &filter));
  }
  ctx.out.Integer(static_cast<int64_t>(ctx.server.clients.Kill(filter, ctx.client)));
  return absl::OkStatus();
}

absl::Status ClientSetname(Context& ctx) {
  TM_RETURN_IF_ERROR(ctx.server.clients.SetName(ctx.client, ctx.args[2]));
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status ClientGetname(Context& ctx) {
  if (ctx.client.name.empty()) {
    ctx.out.Null();
  } else {
    ctx.out.Bulk(ctx.client.name);
  }
  return absl::OkStatus();
}

absl::Status ClientPause(Context& ctx) {
  if (ctx.args.size() > 4) return SyntaxError();
  PauseState state = PauseState::kAll;
  if (ctx.args.size() == 4) {
    if (EqualsIgnoreCase(ctx.args[3], "WRITE")) {
      state = PauseState::kWrite;
    } else if (!EqualsIgnoreCase(ctx.args[3], "ALL")) {
      return InvalidArgument("ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
  }
  const auto timeout = IntegerArg(ctx.args[2]);
  const uint64_t now = ClientRegistry::MonotonicMillis();
  if (!timeout.ok()) return InvalidArgument("ERR timeout is not an integer or out of range");
  if (*timeout < 0) return InvalidArgument("ERR timeout is negative");
  if (*timeout > INT64_MAX / 4) return InvalidArgument("ERR timeout is out of range");
  ctx.server.clients.Pause(state, now + static_cast<uint64_t>(*timeout));
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status ClientUnpause(Context& ctx) {
  ctx.server.clients.Unpause();
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status ClientNoEvict(Context& ctx) {
  const bool on = EqualsIgnoreCase(ctx.args[2], "ON");
  if (!on && !EqualsIgnoreCase(ctx.args[2], "OFF")) return SyntaxError();
  ctx.client.no_evict = on;
  ctx.out.Ok();
  return absl::OkStatus();
}

// OFF and SKIP have no reply of their own; the dispatcher keeps back those that follow.
absl::Status ClientReply(Context& ctx) {
  if (EqualsIgnoreCase(ctx.args[2], "ON")) {
    ctx.client.reply_mode = ReplyMode::kOn;
    ctx.out.Ok();
  } else if (EqualsIgnoreCase(ctx.args[2], "OFF")) {
    ctx.client.reply_mode = ReplyMode::kOff;
  } else if (EqualsIgnoreCase(ctx.args[2], "SKIP")) {
    if (ctx.client.reply_mode != ReplyMode::kOff) ctx.client.reply_mode = ReplyMode::kSkipNext;
  } else {
    return SyntaxError();
  }
  return absl::OkStatus();
}

absl::Status ClientUnblock(Context& ctx) {
  if (ctx.args.size() > 4) return SyntaxError();
  if (ctx.args.size() == 4 && !EqualsIgnoreCase(ctx.args[3], "TIMEOUT") && !EqualsIgnoreCase(ctx.args[3], "ERROR")) {
    return InvalidArgument("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  }
  TM_ASSIGN_OR_RETURN(const int64_t id, IntegerArg(ctx.args[2]));
  const bool with_error = ctx.args.size() == 4 && EqualsIgnoreCase(ctx.args[3], "ERROR");
  ctx.out.Integer(ctx.server.clients.Unblock(static_cast<uint64_t>(id), with_error) ? 1 : 0);
  return absl::OkStatus();
}

absl::Status ClientHelp(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "CACHING (YES|NO)",
      "    Choose whether the next command is tracked.",
      "GETNAME",
      "    Tell the name of this connection.",
      "GETREDIR",
      "    Tell to which client tracking messages go.",
      "ID",
      "    Tell the id of this connection.",
      "INFO",
      "    Describe this connection.",
      "KILL <ip:port>",
      "    End the connection from that address.",
      "KILL <option> <value> [<option> <value> [...]]",
      "    End connections. Options are ID <id>, ADDR <ip:port>, LADDR <ip:port>, USER <name>,",
      "    TYPE (NORMAL|MASTER|REPLICA|PUBSUB) and SKIPME (YES|NO), which spares this connection (default: yes).",
      "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <id> [...]]",
      "    Describe connections, a line each.",
      "NO-EVICT (ON|OFF)",
      "    Protect this connection from being ended to save memory.",
      "PAUSE <timeout> [WRITE|ALL]",
      "    Hold back commands, or only those that write, for <timeout> milliseconds.",
      "REPLY (ON|OFF|SKIP)",
      "    Choose whether this connection gets replies.",
      "SETNAME <name>",
      "    Name this connection.",
      "TRACKING (ON|OFF) [...]",
      "    Switch server-assisted caching.",
      "TRACKINGINFO",
      "    Tell how tracking is set for this connection.",
      "UNBLOCK <id> [TIMEOUT|ERROR]",
      "    End the wait of a blocked client.",
      "UNPAUSE",
      "    End CLIENT PAUSE.",
  };
  HelpReply(ctx, "CLIENT", kLines);
  return absl::OkStatus();
}

constexpr CommandSpec kSubcommands[] = {
    {.name = "caching",
     .arity = 3,
     .flags = kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "6.0.0",
     .summary = "Chooses whether the next command is tracked, for OPTIN and OPTOUT tracking.",
     .complexity = "O(1)",
     .syntax = "<YES | NO>",
     .handler = ClientCaching},
    {.name = "getname",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "2.6.9",
     .summary = "Tells the name of the connection.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ClientGetname},
    {.name = "getredir",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "6.0.0",
     .summary = "Tells to which client tracking messages of this connection go.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ClientGetredir},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .group = "connection",
     .since = "5.0.0",
     .summary = "Lists the subcommands.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ClientHelp},
    {.name = "id",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "5.0.0",
     .summary = "Tells the id of the connection.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ClientId},
    {.name = "info",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "6.2.0",
     .summary = "Describes the connection in one line.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ClientInfo},
    {.name = "kill",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "2.4.0",
     .summary = "Ends the connections that fit all given filters.",
     .complexity = "O(N) with N the number of client connections",
     .syntax = "<ip:port | [ID client-id] [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] [USER username] "
               "[ADDR ip:port] [LADDR ip:port] [SKIPME yes/no]>",
     .handler = ClientKill},
    {.name = "list",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "2.4.0",
     .summary = "Describes every connection, a line each.",
     .complexity = "O(N) with N the number of client connections",
     .syntax = "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
     .handler = ClientList},
    {.name = "no-evict",
     .arity = 3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "7.0.0",
     .summary = "Protects the connection from being ended to save memory.",
     .complexity = "O(1)",
     .syntax = "<ON | OFF>",
     .handler = ClientNoEvict},
    {.name = "pause",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "2.9.50",
     .summary = "Holds back commands of all clients for a time.",
     .complexity = "O(1)",
     .syntax = "timeout [WRITE | ALL]",
     .handler = ClientPause},
    {.name = "reply",
     .arity = 3,
     .flags = kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "3.2.0",
     .summary = "Chooses whether this connection gets replies.",
     .complexity = "O(1)",
     .syntax = "<ON | OFF | SKIP>",
     .handler = ClientReply},
    {.name = "setname",
     .arity = 3,
     .flags = kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "2.6.9",
     .summary = "Names the connection.",
     .complexity = "O(1)",
     .syntax = "connection-name",
     .handler = ClientSetname},
    {.name = "tracking",
     .arity = -3,
     .flags = kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "6.0.0",
     .summary = "Switches server-assisted caching on or off.",
     .complexity = "O(1)",
     .syntax = "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
     .handler = ClientTrackingSwitch},
    {.name = "trackinginfo",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "6.2.0",
     .summary = "Tells how tracking is set for this connection.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = ClientTrackinginfo},
    {.name = "unblock",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "5.0.0",
     .summary = "Ends the wait of a client that is blocked in a command.",
     .complexity = "O(log N) with N the number of client connections",
     .syntax = "client-id [TIMEOUT | ERROR]",
     .handler = ClientUnblock},
    {.name = "unpause",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "connection",
     .since = "6.2.0",
     .summary = "Ends CLIENT PAUSE.",
     .complexity = "O(N) Where N is the number of paused clients",
     .syntax = "",
     .handler = ClientUnpause},
};
constexpr CommandSpec kCommands[] = {
    {.name = "client",
     .arity = -2,
     .flags = 0,
     .group = "connection",
     .since = "2.4.0",
     .summary = "About connections: their list, names, pauses and ends.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kSubcommands},
};

}  // namespace

std::span<const CommandSpec> ClientCommands() { return kCommands; }

}  // namespace tidemark::commands
