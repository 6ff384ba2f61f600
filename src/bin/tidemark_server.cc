// tidemark-server: reads the configuration, starts the server, waits for its end.
#include <fmt/format.h>

#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "base/version.h"
#include "bin/hide_secrets.h"
#include "config/config.h"
#include "server/server.h"

namespace {

int Fail(const absl::Status& status) {
  fmt::print(stderr, "tidemark-server: {}\n", tidemark::Message(status));
  return 1;
}

void PrintHelp() {
  fmt::print(
      "tidemark-server [FILE] [--OPTION VALUE …]\n\n"
      "Serves the data in a folder to Redis clients. FILE has options in redis.conf's syntax, \"-\" is standard "
      "input;\n"
      "flags win over it. --version, --help.\n");
  for (const tidemark::config::Section& section : tidemark::config::Sections()) {
    fmt::print("\n{}\n", section.title);
    for (const tidemark::config::Option& option : section.options) {
      if (option.no_effect) continue;
      const std::string value = option.fallback.empty() ? "\"\"" : std::string(option.fallback);
      fmt::print("  --{} {}\n      {}\n", option.name, value, option.summary);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> arguments = tidemark::bin::TakeArguments(argc, argv);
  arguments.erase(arguments.begin());
  if (arguments.size() == 1 && (arguments[0] == "--version" || arguments[0] == "-v")) {
    fmt::print("tidemark-server {}\n", tidemark::Version());
    return 0;
  }
  if (arguments.size() == 1 && (arguments[0] == "--help" || arguments[0] == "-h")) {
    PrintHelp();
    return 0;
  }
  tidemark::config::Config config(tidemark::server::ConfigFiles());
  if (const absl::Status status = config.LoadArguments(arguments); !status.ok()) return Fail(status);
  tidemark::server::Server server(config);
  if (const absl::Status status = server.Start(); !status.ok()) return Fail(status);
  return server.Run().ok() ? 0 : 1;
}
