// How the command line writes times, sizes, tables and failures: people read the first three on standard output,
// failures go to standard error, JSON stands alone on standard output.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"

namespace tidemark::bin {

// "1.5 s", "6m28s", "3d4h".
std::string HumanDuration(uint64_t micros);
// "12.3 MiB".
std::string HumanSize(uint64_t bytes);
// RFC 3339 in UTC to the millisecond; "-" for 0.
std::string HumanTime(uint64_t micros);
// Columns as wide as their widest cell, two spaces between.
std::string Table(const std::vector<std::vector<std::string>>& rows);

// "500ms", "30s", "5m", "2h", "7d"; a bare number counts `unit`.
absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text, std::chrono::milliseconds unit);
// "100", "64KiB", "10MB", "1GiB".
absl::StatusOr<uint64_t> ParseSize(std::string_view text);

// "tidemark: …" on standard error.
void PrintFailure(const absl::Status& status);

}  // namespace tidemark::bin
