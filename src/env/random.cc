#include "env/random.h"

#include <sys/random.h>

#include "base/check.h"

namespace tidemark {

Id128 RandomId() {
  Id128 id{};
  const ssize_t got = getrandom(id.data(), id.size(), 0);
  TM_CHECK(got == static_cast<ssize_t>(id.size()));
  return id;
}

}  // namespace tidemark
