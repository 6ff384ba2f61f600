#include "base/version.h"

namespace tidemark {

std::string_view Version() { return TM_VERSION; }

}  // namespace tidemark
