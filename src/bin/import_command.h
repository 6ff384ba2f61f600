// tidemark import: a Redis's files into a running server.
#pragma once

#include <CLI/CLI.hpp>

namespace tidemark::bin {

void AddImportCommand(CLI::App& app, int* exit_code);

}  // namespace tidemark::bin
