// The command line beside the server: what can be done to a server's files without one.
#include <CLI/CLI.hpp>

#include "bin/inspect_command.h"
#include "bin/restore_command.h"
#include "bin/wal_command.h"

int main(int argc, char** argv) {
  CLI::App app("Tidemark's command line");
  app.require_subcommand(1);
  int exit_code = 0;
  tidemark::bin::AddRestoreCommand(app, &exit_code);
  tidemark::bin::AddInspectCommand(app, &exit_code);
  tidemark::bin::AddWalCommand(app, &exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  return exit_code;
}
