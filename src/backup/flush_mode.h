// The three ways to wait for a force flush: what clients name, the tasks pass on and the flush machine obeys.
#pragma once

#include <cstdint>

namespace tidemark::backup {

enum class FlushMode : uint8_t {
  kWait,    // until the target is reached
  kJoin,    // until the running flush ends, whether it covers the target or not; where none runs, one is started
  kNowait,  // refused while a flush runs, whatever its cut; else one is started and waited for
};

}  // namespace tidemark::backup
