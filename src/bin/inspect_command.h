// `tidemark inspect`: what stood in a key at a moment, answered from the archive without a restore.
#pragma once

#include <CLI/CLI.hpp>

namespace tidemark::bin {

// Adds the subcommand `inspect` to `app`. Running it sets *exit_code: 0 answered, 1 wrong use or an archive that cannot
// be reached, 2 log is missing or an object damaged, 3 answered, as of the archive's end, which lies before the moment,
// 4 not answered: it would cost more than --max-download.
void AddInspectCommand(CLI::App& app, int* exit_code);

}  // namespace tidemark::bin
