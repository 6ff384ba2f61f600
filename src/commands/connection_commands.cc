// AUTH, HELLO and the other commands about the connection itself.
#include "commands/acl.h"
#include "commands/client_registry.h"
#include "commands/command.h"
#include "commands/monitors.h"
#include "commands/pubsub.h"
#include "commands/server.h"
#include "commands/tracking.h"
#include "commands/watch_table.h"

namespace tidemark::commands {
namespace {

constexpr std::string_view kRedisVersion = "7.0.15";

absl::Status Auth(Context& ctx) {
  if (ctx.args.size() > 3) return SyntaxError();
  Acl& acl = *ctx.server.acl;
  if (ctx.args.size() == 2 && !acl.DefaultHasPassword()) {
    return InvalidArgument(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?");
  }
  const std::string_view user = ctx.args.size() == 3 ? ctx.args[1] : "default";
  TM_RETURN_IF_ERROR(acl.LogIn(ctx.client, ctx.args[0], user, ctx.args.back()));
  ctx.out.Ok();
  return absl::OkStatus();
}

// HELLO's options: what was asked for, so that nothing happens unless all of it can.
struct HelloOptions {
  int protocol = 0;  // 0: as it is
  bool auth = false;
  std::string_view user;
  std::string_view password;
  bool set_name = false;
  std::string_view name;
};

absl::StatusOr<HelloOptions> ParseHello(Args args) {
  HelloOptions options;
  if (args.size() < 2) return options;
  const auto protocol = IntegerArg(args[1]);
  if (!protocol.ok()) return InvalidArgument("ERR Protocol version is not an integer or out of range");
  if (*protocol < 2 || *protocol > 3) return InvalidArgument("NOPROTO unsupported protocol version");
  options.protocol = static_cast<int>(*protocol);
  for (size_t i = 2; i < args.size(); ++i) {
    const size_t left = args.size() - i - 1;
    if (EqualsIgnoreCase(args[i], "AUTH") && left >= 2) {
      options.auth = true;
      options.user = args[++i];
      options.password = args[++i];
    } else if (EqualsIgnoreCase(args[i], "SETNAME") && left >= 1) {
      options.set_name = true;
      options.name = args[++i];
    } else {
      return InvalidArgument("ERR Syntax error in HELLO option '{}'", args[i]);
    }
  }
  return options;
}

absl::Status Hello(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const HelloOptions options, ParseHello(ctx.args));
  if (options.auth) {
    TM_RETURN_IF_ERROR(ctx.server.acl->LogIn(ctx.client, ctx.args[0], options.user, options.password));
  }
  if (!ctx.client.authenticated) {
    return InvalidArgument(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> "
        "<pass> option can be used to authenticate the client and select the RESP protocol version at the same time");
  }
  if (options.set_name) TM_RETURN_IF_ERROR(ctx.server.clients.SetName(ctx.client, options.name));
  if (options.protocol != 0) {
    ctx.client.protocol = options.protocol;
    ctx.out.SetProtocol(options.protocol);
  }
  resp::Writer& out = ctx.out;
  out.Map(7);
  out.Bulk("server");
  out.Bulk("redis");
  out.Bulk("version");
  out.Bulk(kRedisVersion);
  out.Bulk("proto");
  out.Integer(ctx.client.protocol);
  out.Bulk("id");
  out.Integer(static_cast<int64_t>(ctx.client.id));
  out.Bulk("mode");
  out.Bulk("standalone");
  out.Bulk("role");
  out.Bulk(ctx.server.replication.role() == replication::Role::kPrimary ? "master" : "replica");
  out.Bulk("modules");
  out.Array(0);
  return absl::OkStatus();
}

absl::Status Ping(Context& ctx) {
  if (ctx.args.size() > 2) return WrongArity("ping");
  if (ctx.client.protocol == 2 && ctx.client.subscriptions() > 0) {
    ctx.out.Array(2);
    ctx.out.Bulk("pong");
    ctx.out.Bulk(ctx.args.size() == 2 ? ctx.args[1] : "");
  } else if (ctx.args.size() == 2) {
    ctx.out.Bulk(ctx.args[1]);
  } else {
    ctx.out.Simple("PONG");
  }
  return absl::OkStatus();
}

absl::Status Echo(Context& ctx) {
  ctx.out.Bulk(ctx.args[1]);
  return absl::OkStatus();
}

absl::Status Select(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const int64_t index, IntegerArg(ctx.args[1]));
  if (index < INT32_MIN || index > INT32_MAX) {
    return InvalidArgument("ERR value is out of range, value must between {} and {}", INT32_MIN, INT32_MAX);
  }
  if (index < 0 || index >= ctx.server.config.Integer("databases")) {
    return InvalidArgument("ERR DB index is out of range");
  }
  ctx.client.db = DbIndex{static_cast<uint16_t>(index)};
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status Quit(Context& ctx) {
  ctx.out.Ok();
  ctx.client.RequestClose(/*after_replies=*/true);
  return absl::OkStatus();
}

absl::Status Reset(Context& ctx) {
  Client& client = ctx.client;
  client.in_multi = false;
  client.abort_exec = false;
  client.queued.clear();
  ctx.server.watches.RemoveAll(client);
  ctx.server.pubsub.Remove(client);
  TM_RETURN_IF_ERROR(ctx.server.clients.SetName(client, ""));
  client.db = DbIndex{0};
  client.protocol = 2;
  client.reply_mode = ReplyMode::kOn;
  client.no_evict = false;
  client.no_touch = false;
  ctx.server.acl->LogOut(client);
  if (ctx.server.monitors != nullptr) ctx.server.monitors->Remove(client);
  if (ctx.server.tracking != nullptr) ctx.server.tracking->Disable(client);
  ctx.out.SetProtocol(2);
  ctx.out.Simple("RESET");
  return absl::OkStatus();
}

constexpr CommandSpec kCommands[] = {
    {.name = "auth",
     .arity = -2,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Proves who the client is.",
     .complexity = "O(N) with N the number of passwords defined for the user",
     .syntax = "[username] password",
     .handler = Auth},
    {.name = "echo",
     .arity = 2,
     .flags = kLoading | kStale | kFast,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Answers with its argument.",
     .complexity = "O(1)",
     .syntax = "message",
     .handler = Echo},
    {.name = "hello",
     .arity = -1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy,
     .group = "connection",
     .since = "6.0.0",
     .summary = "Greets the server, chooses the protocol and authenticates.",
     .complexity = "O(1)",
     .syntax = "[protover [AUTH username password] [SETNAME clientname]]",
     .handler = Hello},
    {.name = "ping",
     .arity = -1,
     .flags = kFast,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Answers PONG, or its argument.",
     .complexity = "O(1)",
     .syntax = "[message]",
     .handler = Ping},
    {.name = "quit",
     .arity = -1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Ends the connection after its reply.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = Quit},
    {.name = "reset",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy,
     .group = "connection",
     .since = "6.2.0",
     .summary = "Brings the connection back to how it began.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = Reset},
    {.name = "select",
     .arity = 2,
     .flags = kLoading | kStale | kFast,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Chooses the database of the connection.",
     .complexity = "O(1)",
     .syntax = "index",
     .handler = Select},
};

}  // namespace

std::span<const CommandSpec> ConnectionCommands() { return kCommands; }

}  // namespace tidemark::commands
