// One screen a task: what a person wants to know first, first.
#pragma once

#include "bin/redis_client.h"

namespace tidemark::bin {

// `tasks`: the reply to LOGBACKUP STATUS.
void PrintStatus(const Reply& tasks, bool json);

}  // namespace tidemark::bin
