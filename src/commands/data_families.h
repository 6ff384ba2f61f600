// The tables of the data types beside strings and hashes, and of scripts and users, that CommandTable joins; each in a
// file of its own, named after it.
#pragma once

#include <span>

#include "commands/command.h"

namespace tidemark::commands {

std::span<const CommandSpec> ListCommands();
std::span<const CommandSpec> ListMoveCommands();
std::span<const CommandSpec> SetCommands();
std::span<const CommandSpec> ZsetCommands();
std::span<const CommandSpec> StreamCommands();
std::span<const CommandSpec> GeoCommands();
std::span<const CommandSpec> HyperLogLogCommands();
std::span<const CommandSpec> SortCommands();
std::span<const CommandSpec> ScriptCommands();
std::span<const CommandSpec> FunctionCommands();
std::span<const CommandSpec> AclCommands();

}  // namespace tidemark::commands
