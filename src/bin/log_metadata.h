// `tidemark log metadata`: what an archive holds, from a listing of it alone.
#pragma once

#include <string>

#include "base/status.h"

namespace tidemark::bin {

absl::Status PrintMetadata(const std::string& storage, bool json);

}  // namespace tidemark::bin
