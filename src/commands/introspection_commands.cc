// COMMAND and its subcommands: the table, told to clients. Shapes as Redis 7.0 gives them.
#include <algorithm>

#include "base/glob.h"
#include "commands/acl_rules.h"
#include "commands/server_families.h"
#include "commands/syntax_tree.h"

namespace tidemark::commands {
namespace {

// In the order in which Redis lists them (server.c, addReplyFlagsForCommand).
constexpr std::pair<uint32_t, std::string_view> kFlagNames[] = {
    {kWrite, "write"},
    {kReadonly, "readonly"},
    {kDenyOom, "denyoom"},
    {kAdmin, "admin"},
    {kPubsub, "pubsub"},
    {kNoScript, "noscript"},
    {kBlocking, "blocking"},
    {kLoading, "loading"},
    {kStale, "stale"},
    {kSkipMonitor, "skip_monitor"},
    {kSkipSlowlog, "skip_slowlog"},
    {kFast, "fast"},
    {kNoAuth, "no_auth"},
    {kMayReplicate, "may_replicate"},
    {kNoAsyncLoading, "no_async_loading"},
    {kNoMulti, "no_multi"},
    {kMovableKeys, "movablekeys"},
    {kAllowBusy, "allow_busy"},
};

// "config" or "config|get".
const CommandTable::Row* FindByFullName(std::string_view name) {
  const CommandTable& table = CommandTable::Get();
  const size_t bar = name.find('|');
  const std::string_view words[] = {name.substr(0, bar), bar == std::string_view::npos ? "" : name.substr(bar + 1)};
  const CommandSpec* spec = table.Resolve(Args(words, bar == std::string_view::npos ? 1 : 2));
  if (spec == nullptr) return nullptr;
  const CommandTable::Row& row = table.row(*spec);
  return (row.parent != nullptr) == (bar != std::string_view::npos) ? &row : nullptr;
}

// Some commands read rows in a way of their own (WATCH); Redis does not call that reading.
uint32_t ShownFlags(const CommandSpec& spec) {
  return (spec.flags & kStateful) != 0 ? spec.flags & ~kReadonly : spec.flags;
}

void WriteFlags(resp::Writer& out, uint32_t flags) {
  const auto header = out.BeginDeferred(resp::Writer::Kind::kSet);
  size_t count = 0;
  for (const auto& [bit, name] : kFlagNames) {
    if ((flags & bit) == 0) continue;
    out.Simple(name);
    ++count;
  }
  out.EndDeferred(header, count);
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// "RO access" as a set of words.
void WriteWords(resp::Writer& out, std::string_view text) {
  const std::vector<std::string_view> words = Split(text, ' ');
  out.Set(words.size());
  for (const std::string_view word : words) out.Simple(word);
}

// Keys from `first` to `last` (relative; negative: from the end).
void WriteKeySpec(resp::Writer& out, std::string_view flags, int first, int last, int step) {
  out.Map(3);
  out.Bulk("flags");
  WriteWords(out, flags);
  out.Bulk("begin_search");
  out.Map(2);
  out.Bulk("type");
  out.Bulk("index");
  out.Bulk("spec");
  out.Map(1);
  out.Bulk("index");
  out.Integer(first);
  out.Bulk("find_keys");
  out.Map(2);
  out.Bulk("type");
  out.Bulk("range");
  out.Bulk("spec");
  out.Map(3);
  out.Bulk("lastkey");
  out.Integer(last);
  out.Bulk("keystep");
  out.Integer(step);
  out.Bulk("limit");
  out.Integer(0);
}

void WriteKeySpecs(resp::Writer& out, const CommandSpec& spec) {
  const KeyPositions& keys = spec.keys;
  if (keys.first == 0) {
    out.Set(0);
    return;
  }
  const std::vector<std::string_view> flags = KeyFlags(spec);
  out.Set(flags.size());
  for (size_t i = 0; i < flags.size(); ++i) {
    const int first = keys.first + static_cast<int>(i) * keys.step;
    const int last = i + 1 < flags.size() ? 0 : keys.last < 0 ? keys.last : keys.last - first;
    WriteKeySpec(out, flags[i], first, last, keys.step);
  }
}

void WriteInfo(resp::Writer& out, const CommandTable::Row& row) {
  const CommandSpec& spec = *row.spec;
  // Where a command has subcommands, flags are theirs.
  const bool container = !spec.subcommands.empty() && spec.handler == UnknownSubcommand;
  out.Array(10);
  out.Bulk(row.full_name);
  out.Integer(spec.arity);
  WriteFlags(out, container ? 0 : ShownFlags(spec));
  out.Integer(spec.keys.first);
  out.Integer(spec.keys.last);
  out.Integer(spec.keys.step);
  const std::vector<std::string_view> categories = AclCategories(row);
  out.Set(categories.size());
  for (const std::string_view category : categories) out.Simple(fmt::format("@{}", category));
  out.Set(0);
  WriteKeySpecs(out, spec);
  out.Set(spec.subcommands.size());
  for (const CommandSpec& sub : spec.subcommands) WriteInfo(out, CommandTable::Get().row(sub));
}

absl::Status AllCommands(Context& ctx) {
  if (ctx.args.size() > 1) return UnknownSubcommand(ctx);
  const auto all = CommandTable::Get().all();
  ctx.out.Array(all.size());
  for (const CommandSpec* spec : all) WriteInfo(ctx.out, CommandTable::Get().row(*spec));
  return absl::OkStatus();
}

absl::Status CommandInfo(Context& ctx) {
  const Args names = ctx.args.subspan(2);
  if (names.empty()) {
    const auto all = CommandTable::Get().all();
    ctx.out.Array(all.size());
    for (const CommandSpec* spec : all) WriteInfo(ctx.out, CommandTable::Get().row(*spec));
    return absl::OkStatus();
  }
  ctx.out.Array(names.size());
  for (const std::string_view name : names) {
    if (const CommandTable::Row* row = FindByFullName(name); row != nullptr) {
      WriteInfo(ctx.out, *row);
    } else {
      ctx.out.NullArray();
    }
  }
  return absl::OkStatus();
}

absl::Status CommandCount(Context& ctx) {
  ctx.out.Integer(static_cast<int64_t>(CommandTable::Get().all().size()));
  return absl::OkStatus();
}

void WriteArguments(resp::Writer& out, const std::vector<Argument>& arguments);

void WriteArgument(resp::Writer& out, const Argument& argument) {
  const auto header = out.BeginDeferred(resp::Writer::Kind::kMap);
  size_t pairs = 2;
  out.Bulk("name");
  out.Bulk(argument.name);
  out.Bulk("type");
  out.Bulk(TypeName(argument.type));
  if (argument.type == Argument::Type::kKey) {
    out.Bulk("key_spec_index");
    out.Integer(0);
    ++pairs;
  }
  if (!argument.token.empty()) {
    out.Bulk("token");
    out.Bulk(argument.token);
    ++pairs;
  }
  if (argument.optional || argument.multiple) {
    out.Bulk("flags");
    out.Set(static_cast<size_t>(argument.optional) + argument.multiple + argument.multiple_token);
    if (argument.optional) out.Simple("optional");
    if (argument.multiple) out.Simple("multiple");
    if (argument.multiple_token) out.Simple("multiple_token");
    ++pairs;
  }
  if (!argument.parts.empty()) {
    out.Bulk("arguments");
    WriteArguments(out, argument.parts);
    ++pairs;
  }
  out.EndDeferred(header, pairs);
}

void WriteArguments(resp::Writer& out, const std::vector<Argument>& arguments) {
  out.Array(arguments.size());
  for (const Argument& argument : arguments) WriteArgument(out, argument);
}

void WriteDocs(resp::Writer& out, const CommandTable::Row& row) {
  const CommandSpec& spec = *row.spec;
  out.Bulk(row.full_name);
  const auto header = out.BeginDeferred(resp::Writer::Kind::kMap);
  size_t pairs = 0;
  for (const auto& [name, value] : {std::pair<std::string_view, std::string_view>{"summary", spec.summary},
                                    {"since", spec.since},
                                    {"group", spec.group},
                                    {"complexity", spec.complexity}}) {
    if (value.empty()) continue;
    out.Bulk(name);
    out.Bulk(value);
    ++pairs;
  }
  if (const std::vector<Argument> arguments = ParseSyntax(spec.syntax); !arguments.empty()) {
    out.Bulk("arguments");
    WriteArguments(out, arguments);
    ++pairs;
  }
  if (!spec.subcommands.empty()) {
    out.Bulk("subcommands");
    out.Map(spec.subcommands.size());
    for (const CommandSpec& sub : spec.subcommands) WriteDocs(out, CommandTable::Get().row(sub));
    ++pairs;
  }
  out.EndDeferred(header, pairs);
}

absl::Status CommandDocs(Context& ctx) {
  const Args names = ctx.args.subspan(2);
  const auto header = ctx.out.BeginDeferred(resp::Writer::Kind::kMap);
  size_t count = 0;
  if (names.empty()) {
    for (const CommandSpec* spec : CommandTable::Get().all()) WriteDocs(ctx.out, CommandTable::Get().row(*spec));
    count = CommandTable::Get().all().size();
  }
  for (const std::string_view name : names) {
    const CommandTable::Row* row = FindByFullName(name);
    if (row == nullptr) continue;
    WriteDocs(ctx.out, *row);
    ++count;
  }
  ctx.out.EndDeferred(header, count);
  return absl::OkStatus();
}

bool FitsFilter(const CommandTable::Row& row, std::string_view filter, std::string_view value) {
  if (filter.empty()) return true;
  if (EqualsIgnoreCase(filter, "PATTERN")) return GlobMatch(value, row.full_name, true);
  if (EqualsIgnoreCase(filter, "MODULE")) return false;
  const std::vector<std::string_view> categories = AclCategories(row);
  return std::any_of(categories.begin(), categories.end(),
                     [value](std::string_view category) { return EqualsIgnoreCase(category, value); });
}

absl::Status CommandList(Context& ctx) {
  std::string_view filter;
  std::string_view value;
  if (ctx.args.size() == 5 && EqualsIgnoreCase(ctx.args[2], "FILTERBY")) {
    filter = ctx.args[3];
    value = ctx.args[4];
    if (!EqualsIgnoreCase(filter, "MODULE") && !EqualsIgnoreCase(filter, "ACLCAT") &&
        !EqualsIgnoreCase(filter, "PATTERN")) {
      return SyntaxError();
    }
  } else if (ctx.args.size() != 2) {
    return SyntaxError();
  }
  const auto header = ctx.out.BeginDeferred(resp::Writer::Kind::kArray);
  size_t count = 0;
  for (const CommandTable::Row& row : CommandTable::Get().rows()) {
    if (!FitsFilter(row, filter, value)) continue;
    ctx.out.Bulk(row.full_name);
    ++count;
  }
  ctx.out.EndDeferred(header, count);
  return absl::OkStatus();
}

// The spec of the request that stands behind COMMAND GETKEYS, and the places of its keys.
absl::StatusOr<const CommandSpec*> KeysOf(Args request, std::vector<int>* positions) {
  const CommandSpec* spec = CommandTable::Get().Resolve(request);
  if (spec == nullptr) return InvalidArgument("ERR Invalid command specified");
  if (spec->keys.first == 0 && spec->find_keys == nullptr) {
    return InvalidArgument("ERR The command has no key arguments");
  }
  const auto count = static_cast<int>(request.size());
  if ((spec->arity > 0 && count != spec->arity) || count < -spec->arity) {
    return InvalidArgument("ERR Invalid number of arguments specified for command");
  }
  *positions = FindKeys(*spec, request);
  // Scripts may have none.
  if (positions->empty() && (spec->flags & kScript) == 0) {
    return InvalidArgument("ERR Invalid arguments specified for command");
  }
  return spec;
}

absl::Status CommandGetkeys(Context& ctx) {
  const Args request = ctx.args.subspan(2);
  std::vector<int> positions;
  TM_RETURN_IF_ERROR(KeysOf(request, &positions).status());
  ctx.out.Array(positions.size());
  for (const int position : positions) ctx.out.Bulk(request[static_cast<size_t>(position)]);
  return absl::OkStatus();
}

absl::Status CommandGetkeysandflags(Context& ctx) {
  const Args request = ctx.args.subspan(2);
  std::vector<int> positions;
  TM_ASSIGN_OR_RETURN(const CommandSpec* const spec, KeysOf(request, &positions));
  ctx.out.Array(positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    ctx.out.Array(2);
    ctx.out.Bulk(request[static_cast<size_t>(positions[i])]);
    WriteWords(ctx.out, KeyFlagsOf(*spec, request, i));
  }
  return absl::OkStatus();
}

absl::Status CommandHelp(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "(no subcommand)",
      "    Describe all commands.",
      "COUNT",
      "    Count the commands.",
      "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
      "    List the names of commands.",
      "INFO [<command-name> ...]",
      "    Describe commands (default: all).",
      "DOCS [<command-name> ...]",
      "    Document commands (default: all).",
      "GETKEYS <full-command>",
      "    Find the keys in a whole request.",
      "GETKEYSANDFLAGS <full-command>",
      "    Find the keys in a whole request and what is done to them.",
  };
  HelpReply(ctx, "COMMAND", kLines);
  return absl::OkStatus();
}

constexpr CommandSpec kSubcommands[] = {
    {.name = "count",
     .arity = 2,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "2.8.13",
     .summary = "Counts the commands.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = CommandCount},
    {.name = "docs",
     .arity = -2,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "7.0.0",
     .summary = "Documents commands.",
     .complexity = "O(N) with N the number of commands to look up",
     .syntax = "[command-name [command-name ...]]",
     .handler = CommandDocs},
    {.name = "getkeys",
     .arity = -4,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "2.8.13",
     .summary = "Finds the keys in a whole request.",
     .complexity = "O(N) with N the number of arguments to the command",
     .syntax = "",
     .handler = CommandGetkeys},
    {.name = "getkeysandflags",
     .arity = -4,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "7.0.0",
     .summary = "Finds the keys in a whole request and what is done to them.",
     .complexity = "O(N) with N the number of arguments to the command",
     .syntax = "",
     .handler = CommandGetkeysandflags},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "5.0.0",
     .summary = "Lists the subcommands.",
     .complexity = "O(1)",
     .syntax = "",
     .handler = CommandHelp},
    {.name = "info",
     .arity = -2,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "2.8.13",
     .summary = "Describes commands.",
     .complexity = "O(N) with N the number of commands to look up",
     .syntax = "[command-name [command-name ...]]",
     .handler = CommandInfo},
    {.name = "list",
     .arity = -2,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "7.0.0",
     .summary = "Lists the names of commands.",
     .complexity = "O(N) with N the total number of Redis commands",
     .syntax = "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
     .handler = CommandList},
};
constexpr CommandSpec kCommands[] = {
    {.name = "command",
     .arity = -1,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "2.8.13",
     .summary = "Describes all commands.",
     .complexity = "O(N) with N the total number of Redis commands",
     .syntax = "",
     .handler = AllCommands,
     .subcommands = kSubcommands},
};

}  // namespace

std::span<const CommandSpec> IntrospectionCommands() { return kCommands; }

}  // namespace tidemark::commands
