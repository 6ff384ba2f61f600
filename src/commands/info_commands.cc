// INFO: which sections were asked for, and their order.
#include "commands/server.h"
#include "commands/server_families.h"

namespace tidemark::commands {
namespace {

bool Wanted(const InfoSection& section, Args names) {
  if (names.empty()) return section.by_default;
  for (const std::string_view name : names) {
    if (EqualsIgnoreCase(name, section.name)) return true;
    if (EqualsIgnoreCase(name, "default") && section.by_default) return true;
    if (EqualsIgnoreCase(name, "everything")) return true;
    if (EqualsIgnoreCase(name, "all") && section.name != "modules") return true;
  }
  return false;
}

absl::Status Info(Context& ctx) {
  std::string text;
  for (const InfoSection& section : InfoSections()) {
    if (!Wanted(section, ctx.args.subspan(1))) continue;
    if (!text.empty()) text += "\r\n";
    text += fmt::format("# {}\r\n", section.heading);
    section.write(ctx.server, &text);
  }
  ctx.out.Verbatim("txt", text);
  return absl::OkStatus();
}

constexpr CommandSpec kCommands[] = {
    {.name = "info",
     .arity = -1,
     .flags = kLoading | kStale,
     .group = "server",
     .since = "1.0.0",
     .summary = "Tells the state of the server in sections of figures.",
     .complexity = "O(1)",
     .syntax = "[section [section ...]]",
     .handler = Info},
};

}  // namespace

std::span<const CommandSpec> InfoFamily() { return kCommands; }

}  // namespace tidemark::commands
