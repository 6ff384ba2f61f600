#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace tidemark {

void CheckFailed(const char* file, int line, const char* expression, std::string_view facts) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s%s%.*s\n", file, line, expression, facts.empty() ? "" : ": ",
               static_cast<int>(facts.size()), facts.data());
  std::abort();
}

}  // namespace tidemark
