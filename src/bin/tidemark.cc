// The command line beside the server: what can be done to a server's files and archives without one, and to running
// servers by their own protocol.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "bin/archive_command.h"
#include "bin/export_command.h"
#include "bin/hide_secrets.h"
#include "bin/import_command.h"
#include "bin/inspect_command.h"
#include "bin/log_command.h"
#include "bin/restore_command.h"
#include "bin/rolling_restart.h"
#include "bin/wal_command.h"

int main(int argc, char** argv) {
  CLI::App app("Tidemark's command line", "tidemark");
  app.require_subcommand(1);
  int exit_code = 0;
  tidemark::bin::AddRestoreCommand(app, &exit_code);
  tidemark::bin::AddInspectCommand(app, &exit_code);
  tidemark::bin::AddWalCommand(app, &exit_code);
  tidemark::bin::AddLogCommand(app, &exit_code);
  tidemark::bin::AddArchiveCommand(app, &exit_code);
  tidemark::bin::AddImportCommand(app, &exit_code);
  tidemark::bin::AddExportCommand(app, &exit_code);
  tidemark::bin::AddRollingRestartCommand(app, &exit_code);
  std::vector<std::string> arguments = tidemark::bin::TakeArguments(argc, argv);
  arguments.erase(arguments.begin());
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  return exit_code;
}
