// `tidemark archive ls|verify|inspect`: looking into an archive without a server.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <string>

#include "base/types.h"

namespace tidemark::bin {

// Exit codes: 0 ok · 1 wrong use, or the archive cannot be reached · 2 damage or a gap.
inline constexpr int kArchiveUnreachable = 1;
inline constexpr int kArchiveDamaged = 2;

struct ArchiveCommandArguments {
  std::string uri;
  std::string crypter_key_file;
  bool json = false;
  bool quick = false;  // verify
  int jobs = 4;        // verify
  // inspect
  std::string key;
  uint64_t from = 0;
  uint64_t limit = std::numeric_limits<uint64_t>::max();
};

// Adds the subcommand `archive` to `app`. Running it sets *exit_code.
void AddArchiveCommand(CLI::App& app, int* exit_code);

}  // namespace tidemark::bin
