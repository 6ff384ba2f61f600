// Inside the key commands: the tables that KeyCommands() joins, each in a file of its own.
#pragma once

#include <span>

#include "commands/command.h"

namespace tidemark::commands {

std::span<const CommandSpec> DatabaseCommands();  // database_commands.cc: COPY, MOVE, FLUSHALL, what spans databases
std::span<const CommandSpec> ObjectCommands();    // object_commands.cc
std::span<const CommandSpec> ExpireCommands();    // expire_commands.cc
std::span<const CommandSpec> DumpCommands();      // dump_commands.cc

}  // namespace tidemark::commands
