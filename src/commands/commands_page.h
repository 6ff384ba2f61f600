// docs/commands.md, made from the table: what is served, since which Redis, how it is called, and where it differs.
#pragma once

#include <string>

namespace tidemark::commands {

std::string CommandsPage();

}  // namespace tidemark::commands
