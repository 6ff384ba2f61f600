// What commands with subcommands have in common: the answer to an unknown one, and the frame of their HELP.
#include "commands/command.h"

namespace tidemark::commands {

absl::Status UnknownSubcommand(Context& ctx) {
  std::string parent(ctx.args[0]);
  for (char& c : parent) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return InvalidArgument("ERR unknown subcommand '{}'. Try {} HELP.", ctx.args[1].substr(0, 128), parent);
}

void HelpReply(Context& ctx, std::string_view command, std::span<const std::string_view> lines) {
  ctx.out.Array(lines.size() + 3);
  ctx.out.Simple(fmt::format("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", command));
  for (const std::string_view line : lines) ctx.out.Simple(line);
  ctx.out.Simple("HELP");
  ctx.out.Simple("    Prints this help.");
}

}  // namespace tidemark::commands
