// The numbers of requests and replies under this floor's name; the rules live in base/, for the floors below commands.
#pragma once

#include "base/numbers.h"

namespace tidemark::resp {

using tidemark::FormatDouble;
using tidemark::FormatLongDouble;
using tidemark::ParseDouble;
using tidemark::ParseInt64;
using tidemark::ParseLongDouble;
using tidemark::ParseUint64;

}  // namespace tidemark::resp
