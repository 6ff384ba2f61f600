// `tidemark log …`: backup tasks of running nodes, by names and flags that users of TiDB's `br log` know.
#pragma once

#include <CLI/CLI.hpp>

namespace tidemark::bin {

// Adds the subcommand `log` to `app`. Running it sets *exit_code: 0 ok, 1 wrong use, 3 the time was over first, 4 the
// node or the archive refused or failed.
void AddLogCommand(CLI::App& app, int* exit_code);

}  // namespace tidemark::bin
