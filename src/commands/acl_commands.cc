// ACL and its subcommands. Replies as Redis 7.0 gives them.
#include <sys/random.h>

#include <algorithm>

#include "base/check.h"
#include "commands/acl.h"
#include "commands/data_families.h"
#include "commands/server.h"
#include "commands/server_families.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

absl::Status AclWhoami(Context& ctx) {
  ctx.out.Bulk(Acl::NameOf(ctx.client));
  return absl::OkStatus();
}

void WriteBulks(resp::Writer& out, const std::vector<std::string>& texts) {
  out.Array(texts.size());
  for (const std::string& text : texts) out.Bulk(text);
}

absl::Status AclUsers(Context& ctx) {
  WriteBulks(ctx.out, ctx.server.acl->Names());
  return absl::OkStatus();
}

absl::Status AclList(Context& ctx) {
  WriteBulks(ctx.out, ctx.server.acl->Lines());
  return absl::OkStatus();
}

void WriteSelector(resp::Writer& out, const AclSelector& selector) {
  for (const auto& [name, text] : {std::pair<std::string_view, std::string>{"commands", selector.Commands()},
                                   {"keys", selector.Keys()},
                                   {"channels", selector.Channels()}}) {
    out.Bulk(name);
    out.Bulk(text);
  }
}

absl::Status AclGetuser(Context& ctx) {
  const std::shared_ptr<AclUser> user = ctx.server.acl->Find(ctx.args[2]);
  if (user == nullptr) {
    ctx.out.Null();
    return absl::OkStatus();
  }
  const std::shared_ptr<const AclRights> rights = user->rights();
  resp::Writer& out = ctx.out;
  out.Map(6);
  out.Bulk("flags");
  const std::vector<std::string_view> flags = rights->Flags();
  out.Set(flags.size());
  for (const std::string_view flag : flags) out.Bulk(flag);
  out.Bulk("passwords");
  WriteBulks(out, rights->passwords);
  WriteSelector(out, rights->selectors[0]);
  out.Bulk("selectors");
  out.Array(rights->selectors.size() - 1);
  for (const AclSelector& selector : std::span(rights->selectors).subspan(1)) {
    out.Map(3);
    WriteSelector(out, selector);
  }
  return absl::OkStatus();
}

absl::Status AclSetuser(Context& ctx) {
  TM_RETURN_IF_ERROR(ctx.server.acl->SetUser(ctx.args[2], ctx.args.subspan(3), ctx.client));
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status AclDeluser(Context& ctx) {
  int64_t deleted = 0;
  for (const std::string_view name : ctx.args.subspan(2)) {
    if (name == "default") return InvalidArgument("ERR The 'default' user cannot be removed");
    deleted += ctx.server.acl->DeleteUser(name, ctx.client) ? 1 : 0;
  }
  ctx.out.Integer(deleted);
  return absl::OkStatus();
}

absl::Status AclCat(Context& ctx) {
  if (ctx.args.size() > 3) {
    return InvalidArgument("ERR unknown subcommand or wrong number of arguments for '{}'. Try ACL HELP.", ctx.args[1]);
  }
  const auto names = AclCategoryNames();
  if (ctx.args.size() == 2) {
    ctx.out.Array(names.size());
    for (const std::string_view name : names) ctx.out.Bulk(name);
    return absl::OkStatus();
  }
  const auto* const known = std::find_if(names.data(), names.data() + names.size(),
                                         [&](std::string_view name) { return EqualsIgnoreCase(name, ctx.args[2]); });
  if (known == names.data() + names.size()) return InvalidArgument("ERR Unknown category '{}'", ctx.args[2]);
  std::vector<std::string> commands;
  for (const CommandTable::Row& row : CommandTable::Get().rows()) {
    const std::vector<std::string_view> categories = AclCategories(row);
    if (std::find(categories.begin(), categories.end(), *known) != categories.end()) commands.push_back(row.full_name);
  }
  WriteBulks(ctx.out, commands);
  return absl::OkStatus();
}

absl::Status AclGenpass(Context& ctx) {
  constexpr int64_t kMaxBits = 4096;
  int64_t bits = 256;
  if (ctx.args.size() > 3) {
    return InvalidArgument("ERR unknown subcommand or wrong number of arguments for '{}'. Try ACL HELP.", ctx.args[1]);
  }
  if (ctx.args.size() == 3) {
    TM_ASSIGN_OR_RETURN(bits, IntegerArg(ctx.args[2]));
    if (bits <= 0 || bits > kMaxBits) {
      return InvalidArgument(
          "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {}",
          kMaxBits);
    }
  }
  const auto digits = static_cast<size_t>((bits + 3) / 4);
  std::vector<unsigned char> bytes((digits + 1) / 2);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = ::getrandom(bytes.data() + done, bytes.size() - done, 0);
    TM_CHECK(got > 0, "the system has no random bytes");
    done += static_cast<size_t>(got);
  }
  std::string password;
  for (const unsigned char byte : bytes) password += fmt::format("{:02x}", byte);
  ctx.out.Bulk(std::string_view(password).substr(0, digits));
  return absl::OkStatus();
}

absl::Status NoFile() {
  return InvalidArgument(
      "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER "
      "command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store "
      "users in the Redis configuration.");
}

absl::Status AclLoad(Context& ctx) {
  if (ctx.server.config.Text("aclfile").empty()) return NoFile();
  const absl::Status loaded = ctx.server.acl->LoadFile(&ctx.client);
  if (!loaded.ok()) return InvalidArgument("ERR {}", Message(loaded));
  ctx.out.Ok();
  return absl::OkStatus();
}

absl::Status AclSave(Context& ctx) {
  if (ctx.server.config.Text("aclfile").empty()) return NoFile();
  TM_RETURN_IF_ERROR(ctx.server.acl->SaveFile());
  ctx.out.Ok();
  return absl::OkStatus();
}

void WriteEntry(resp::Writer& out, const AclLog::Entry& entry, uint64_t now_ms) {
  const auto text = [&out](std::string_view name, std::string_view value) {
    out.Bulk(name);
    out.Bulk(value);
  };
  out.Map(7);
  out.Bulk("count");
  out.Integer(static_cast<int64_t>(entry.count));
  text("reason", ReasonName(entry.reason));
  text("context", entry.context);
  text("object", entry.object);
  text("username", entry.user);
  out.Bulk("age-seconds");
  out.Double(static_cast<double>(now_ms - std::min(now_ms, entry.when_ms)) / 1000);
  text("client-info", entry.client);
}

absl::Status AclLogCommand(Context& ctx) {
  AclLog& log = ctx.server.acl->log();
  if (ctx.args.size() > 3) {
    return InvalidArgument("ERR unknown subcommand or wrong number of arguments for '{}'. Try ACL HELP.", ctx.args[1]);
  }
  if (ctx.args.size() == 3 && EqualsIgnoreCase(ctx.args[2], "reset")) {
    log.Reset();
    ctx.out.Ok();
    return absl::OkStatus();
  }
  int64_t count = 10;
  if (ctx.args.size() == 3) {
    TM_ASSIGN_OR_RETURN(count, IntegerArg(ctx.args[2]));
  }
  const std::vector<AclLog::Entry> entries = log.Newest(static_cast<size_t>(std::max<int64_t>(count, 0)));
  const uint64_t now_ms = Clock::System().WallMicros() / 1000;
  ctx.out.Array(entries.size());
  for (const AclLog::Entry& entry : entries) WriteEntry(ctx.out, entry, now_ms);
  return absl::OkStatus();
}

absl::Status AclDryrun(Context& ctx) {
  const std::shared_ptr<AclUser> user = ctx.server.acl->Find(ctx.args[2]);
  if (user == nullptr) return InvalidArgument("ERR User '{}' not found", ctx.args[2]);
  const Args request = ctx.args.subspan(3);
  const CommandSpec* spec = CommandTable::Get().Resolve(request);
  if (spec == nullptr) return InvalidArgument("ERR Command '{}' not found", request[0]);
  const auto count = static_cast<int>(request.size());
  const std::string& name = CommandTable::Get().row(*spec).full_name;
  if ((spec->arity > 0 && count != spec->arity) || count < -spec->arity) return WrongArity(name);
  const AclVerdict verdict = user->rights()->Check(*spec, request);
  switch (verdict.denial) {
    case AclDenial::kNone:
      ctx.out.Ok();
      break;
    case AclDenial::kKey:
      ctx.out.Bulk(fmt::format("This user has no permissions to access the '{}' key", request[verdict.place]));
      break;
    case AclDenial::kChannel:
      ctx.out.Bulk(fmt::format("This user has no permissions to access the '{}' channel", request[verdict.place]));
      break;
    default:
      ctx.out.Bulk(fmt::format("This user has no permissions to run the '{}' command", name));
  }
  return absl::OkStatus();
}

absl::Status AclHelp(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "CAT [<category>]",
      "    List the categories, or the commands of one.",
      "DELUSER <username> [<username> ...]",
      "    Remove users and end their connections.",
      "DRYRUN <username> <command> [<arg> ...]",
      "    Say whether a user may run a command, without running it.",
      "GENPASS [<bits>]",
      "    Make a password of 256 random bits, or of so many.",
      "GETUSER <username>",
      "    Show what a user may do.",
      "LIST",
      "    Show all users as lines of an ACL file.",
      "LOAD",
      "    Read the ACL file again.",
      "LOG [<count> | RESET]",
      "    Show what was denied last, or forget it.",
      "SAVE",
      "    Write the users to the ACL file.",
      "SETUSER <username> <rule> [<rule> ...]",
      "    Make a user, or change what he may do.",
      "USERS",
      "    List the names of all users.",
      "WHOAMI",
      "    Say which user this connection is.",
  };
  HelpReply(ctx, "ACL", kLines);
  return absl::OkStatus();
}

constexpr uint32_t kOpen = kNoScript | kLoading | kStale;
constexpr uint32_t kForAdmins = kAdmin | kOpen;

constexpr CommandSpec Sub(std::string_view name, int arity, uint32_t flags, std::string_view since, Handler handler,
                          std::string_view syntax, std::string_view complexity, std::string_view summary) {
  return {.name = name,
          .arity = arity,
          .flags = flags,
          .group = "server",
          .since = since,
          .summary = summary,
          .complexity = complexity,
          .syntax = syntax,
          .handler = handler};
}

constexpr CommandSpec kSubcommands[] = {
    Sub("cat", -2, kOpen, "6.0.0", AclCat, "[categoryname]", "O(1) since the categories and commands are a fixed set.",
        "Lists categories, or the commands of one."),
    Sub("deluser", -3, kForAdmins, "6.0.0", AclDeluser, "username [username ...]",
        "O(N), N being the number of connections", "Removes users and ends their connections."),
    Sub("dryrun", -4, kForAdmins, "7.0.0", AclDryrun, "username command [arg [arg ...]]", "O(1).",
        "Says whether a user may run a command, without running it."),
    Sub("genpass", -2, kOpen, "6.0.0", AclGenpass, "[bits]", "O(1)", "Makes a password that nobody guesses."),
    Sub("getuser", 3, kForAdmins, "6.0.0", AclGetuser, "username",
        "O(N). Where N is the number of password, command and pattern rules that the user has.",
        "Shows what a user may do."),
    Sub("help", 2, kLoading | kStale, "6.0.0", AclHelp, "", "O(1)", "Lists the subcommands."),
    Sub("list", 2, kForAdmins, "6.0.0", AclList, "", "O(N). Where N is the number of configured users.",
        "Shows all users as lines of an ACL file."),
    Sub("load", 2, kForAdmins, "6.0.0", AclLoad, "", "O(N). Where N is the number of configured users.",
        "Reads the ACL file again, all of it or nothing."),
    Sub("log", -2, kForAdmins, "6.0.0", AclLogCommand, "[count | RESET]",
        "O(N) with N being the number of entries shown.", "Shows what was denied last."),
    Sub("save", 2, kForAdmins, "6.0.0", AclSave, "", "O(N). Where N is the number of configured users.",
        "Writes the users to the ACL file."),
    Sub("setuser", -3, kForAdmins, "6.0.0", AclSetuser, "username [rule [rule ...]]",
        "O(N). Where N is the number of rules provided.", "Makes a user, or changes what he may do."),
    Sub("users", 2, kForAdmins, "6.0.0", AclUsers, "", "O(N). Where N is the number of configured users.",
        "Lists the names of all users."),
    Sub("whoami", 2, kOpen, "6.0.0", AclWhoami, "", "O(1)", "Says which user the connection is."),
};
constexpr CommandSpec kCommands[] = {
    {.name = "acl",
     .arity = -2,
     .flags = 0,
     .group = "server",
     .since = "6.0.0",
     .summary = "About users and what each may do.",
     .complexity = "Depends on subcommand",
     .syntax = "",
     .handler = UnknownSubcommand,
     .subcommands = kSubcommands},
};

}  // namespace

std::span<const CommandSpec> AclCommands() { return kCommands; }

}  // namespace tidemark::commands
