// The server's own log, for its operator: lines as Redis prints them, to standard output or a file.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace tidemark::server {

// "1234:M 21 Nov 2026 13:02:11.123 * Ready …" from here on, for spdlog's default logger. `file` empty: standard output.
// UNAVAILABLE when the file can't be opened.
absl::Status StartLogging(const std::string& level, const std::string& file);
// debug, verbose, notice or warning, as `loglevel` names them. Any thread.
void SetLogLevel(std::string_view level);

}  // namespace tidemark::server
