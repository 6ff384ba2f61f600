// What FUNCTION DUMP writes and FUNCTION RESTORE reads (Redis 7.0 src/functions.c, functionDumpCommand): for each
// library of functions 1 byte 245 and its code as a string, then version and checksum as a DUMP payload has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tidemark::format {

std::string RdbFunctionsPayload(const std::vector<std::string_view>& codes);
// The codes back. DATA_LOSS when version or checksum are wrong, INVALID_ARGUMENT when something else stands in it.
absl::StatusOr<std::vector<std::string>> DecodeRdbFunctions(std::string_view payload);

}  // namespace tidemark::format
