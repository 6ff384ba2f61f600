// `tidemark wal inspect` and `tidemark wal cut`: looking into the log, and the way on after damage.
#pragma once

#include <CLI/CLI.hpp>

namespace tidemark::bin {

// Adds the subcommand `inspect` alone: `log` has it, too.
void AddInspect(CLI::App& parent, int* exit_code);

// Adds the subcommand `wal` to `app`. Running it sets *exit_code: 0 ok, 1 wrong use or no access, 2 damage found.
void AddWalCommand(CLI::App& app, int* exit_code);

}  // namespace tidemark::bin
