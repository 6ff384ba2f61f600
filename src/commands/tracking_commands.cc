// CLIENT TRACKING and what belongs to it. Texts are Redis 7.0's.
#include "commands/client_handlers.h"
#include "commands/server.h"
#include "commands/tracking.h"

namespace tidemark::commands {
namespace {

absl::Status TakeOption(Context& ctx, size_t* i, ClientTracking* wanted) {
  const std::string_view option = ctx.args[*i];
  const bool has_value = *i + 1 < ctx.args.size();
  if (EqualsIgnoreCase(option, "redirect") && has_value) {
    if (wanted->redirect != 0) {
      return InvalidArgument("ERR A client can only redirect to a single other client");
    }
    TM_ASSIGN_OR_RETURN(const int64_t id, IntegerArg(ctx.args[++*i]));
    if (id <= 0 || !ctx.server.clients.With(static_cast<uint64_t>(id), [](Client&) {})) {
      return InvalidArgument("ERR The client ID you want redirect to does not exist");
    }
    wanted->redirect = static_cast<uint64_t>(id);
  } else if (EqualsIgnoreCase(option, "bcast")) {
    wanted->bcast = true;
  } else if (EqualsIgnoreCase(option, "optin")) {
    wanted->optin = true;
  } else if (EqualsIgnoreCase(option, "optout")) {
    wanted->optout = true;
  } else if (EqualsIgnoreCase(option, "noloop")) {
    wanted->noloop = true;
  } else if (EqualsIgnoreCase(option, "prefix") && has_value) {
    wanted->prefixes.emplace_back(ctx.args[++*i]);
  } else {
    return SyntaxError();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ClientTrackingSwitch(Context& ctx) {
  ClientTracking wanted;
  for (size_t i = 3; i < ctx.args.size(); ++i) TM_RETURN_IF_ERROR(TakeOption(ctx, &i, &wanted));
  if (EqualsIgnoreCase(ctx.args[2], "on")) {
    TM_RETURN_IF_ERROR(ctx.server.tracking->Enable(ctx.client, wanted));
  } else if (EqualsIgnoreCase(ctx.args[2], "off")) {
    ctx.server.tracking->Disable(ctx.client);
  } else {
    return SyntaxError();
  }
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status ClientCaching(Context& ctx) {
  const ClientTracking* tracking = ctx.client.tracking.get();
  if (tracking == nullptr) {
    return InvalidArgument(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled");
  }
  const bool yes = EqualsIgnoreCase(ctx.args[2], "yes");
  if (!yes && !EqualsIgnoreCase(ctx.args[2], "no")) return SyntaxError();
  if (yes && !tracking->optin) {
    return InvalidArgument("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
  }
  if (!yes && !tracking->optout) {
    return InvalidArgument("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
  }
  tracking->caching = true;
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status ClientGetredir(Context& ctx) {
  const ClientTracking* tracking = ctx.client.tracking.get();
  ctx.out.Integer(tracking == nullptr ? -1 : static_cast<int64_t>(tracking->redirect));
  return absl::OkStatus();
}

absl::Status ClientTrackinginfo(Context& ctx) {
  const ClientTracking* tracking = ctx.client.tracking.get();
  std::vector<std::string_view> flags = {tracking == nullptr ? "off" : "on"};
  if (tracking != nullptr) {
    if (tracking->bcast) flags.emplace_back("bcast");
    if (tracking->optin) flags.emplace_back("optin");
    if (tracking->optin && tracking->caching) flags.emplace_back("caching-yes");
    if (tracking->optout) flags.emplace_back("optout");
    if (tracking->optout && tracking->caching) flags.emplace_back("caching-no");
    if (tracking->noloop) flags.emplace_back("noloop");
    if (tracking->broken.load(std::memory_order_relaxed)) flags.emplace_back("broken_redirect");
  }
  ctx.out.Map(3);
  ctx.out.Bulk("flags");
  ctx.out.Set(flags.size());
  for (const std::string_view flag : flags) ctx.out.Bulk(flag);
  ctx.out.Bulk("redirect");
  TM_RETURN_IF_ERROR(ClientGetredir(ctx));
  ctx.out.Bulk("prefixes");
  const std::vector<std::string> prefixes = tracking == nullptr ? std::vector<std::string>() : tracking->prefixes;
  ctx.out.Array(prefixes.size());
  for (const std::string& prefix : prefixes) ctx.out.Bulk(prefix);
  return absl::OkStatus();
}

}  // namespace tidemark::commands
