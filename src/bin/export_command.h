// tidemark export: a running server's data as a file that a Redis loads.
#pragma once

#include <CLI/CLI.hpp>

namespace tidemark::bin {

void AddExportCommand(CLI::App& app, int* exit_code);

}  // namespace tidemark::bin
