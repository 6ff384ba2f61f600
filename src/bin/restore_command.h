// `tidemark restore`: from an archive back to a data directory.
#pragma once

#include <CLI/CLI.hpp>

namespace tidemark::bin {

// Adds the subcommand `restore` to `app`. Running it sets *exit_code: 0 the moment was reached exactly, 1 wrong use, a
// folder that is not empty, or an archive that cannot be reached, 2 log is missing or an object damaged, 3 restored,
// but the archive ends before the moment, 4 interrupted: --resume goes on.
void AddRestoreCommand(CLI::App& app, int* exit_code);

}  // namespace tidemark::bin
