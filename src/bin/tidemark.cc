// The command line beside the server: what can be done to a server's files and archives without one, and to running
// servers by their own protocol.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "bin/inspect_command.h"
#include "bin/log_command.h"
#include "bin/restore_command.h"
#include "bin/wal_command.h"

namespace {

// Who lists the processes of this machine sees their arguments: from here on, without a password or what stands behind
// the '?' of a URI.
void HideSecrets(int argc, char** argv) {
  const auto blank = [](char* from) { std::memset(from, ' ', std::strlen(from)); };
  for (int i = 1; i < argc; ++i) {
    char* query = std::strchr(argv[i], '?');
    if (query != nullptr && std::strstr(argv[i], "://") != nullptr) blank(query);
    if (std::strncmp(argv[i], "--password=", 11) == 0) blank(argv[i] + 11);
    if (std::strcmp(argv[i], "--password") == 0 && i + 1 < argc) blank(argv[i + 1]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Tidemark's command line", "tidemark");
  app.require_subcommand(1);
  int exit_code = 0;
  tidemark::bin::AddRestoreCommand(app, &exit_code);
  tidemark::bin::AddInspectCommand(app, &exit_code);
  tidemark::bin::AddWalCommand(app, &exit_code);
  tidemark::bin::AddLogCommand(app, &exit_code);
  std::vector<std::string> arguments(argv + 1, argv + argc);
  HideSecrets(argc, argv);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  return exit_code;
}
