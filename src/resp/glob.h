// Patterns of requests under this floor's name; the matcher lives in base/, where config/ uses it too.
#pragma once

#include "base/glob.h"

namespace tidemark::resp {

using tidemark::GlobMatch;

}  // namespace tidemark::resp
