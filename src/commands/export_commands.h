// The table of EXPORT, the way back to Redis; one of those that ServerCommands() joins.
#pragma once

#include <span>

#include "commands/command.h"

namespace tidemark::commands {

std::span<const CommandSpec> ExportFamily();

}  // namespace tidemark::commands
