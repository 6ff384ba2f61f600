// What keeps an archive small (retention.h, merge.h) and proves it whole (verify.h).
#pragma once

#include "archive/merge.h"
#include "archive/retention.h"
#include "archive/verify.h"
