// How often and how long, of everything a task does by itself: apart from its configuration, because only tests change
// it.
#pragma once

#include <chrono>

#include "archive/merge.h"

namespace tidemark::backup {

struct Timings {
  // Between attempts while the store fails; doubles from the first to the last.
  std::chrono::milliseconds backoff_min{100};
  std::chrono::milliseconds backoff_max{3000};
  // A task looks this often, at least, how far the log has grown (a tenth of the flush interval where that is less).
  std::chrono::milliseconds tick{100};
  // During a long flush, how often what is complete so far is checked and counted.
  std::chrono::milliseconds confirm_every{250};
  // How often an idle log's closed timestamp is archived.
  std::chrono::milliseconds closed_every{5000};
  // A checkpoint that stands still for longer while the log grows is a stall; or ten flush intervals, if that is more.
  std::chrono::milliseconds stall_min{10000};
  std::chrono::milliseconds watch_every{500};
  std::chrono::milliseconds merge_every{60000};
  std::chrono::milliseconds retention_every{600000};
  archive::MergeOptions merge;
  // Objects of one task that are put at the same time.
  int parallel = 2;
};

}  // namespace tidemark::backup
