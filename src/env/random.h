// Random bytes from the operating system, for names that must never meet their like.
#pragma once

#include "base/id.h"

namespace tidemark {

// 128 random bits. Any thread. Ends the process when the operating system has none to give.
Id128 RandomId();

}  // namespace tidemark
