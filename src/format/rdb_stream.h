// Streams in RDB: entries in listpacks under a master id each, then what the stream, its groups and consumers keep
// (sources: Redis 7.0 and 7.2 src/rdb.c, src/t_stream.c streamIteratorGetID). rdb_value.h is the way in.
#pragma once

#include "base/status.h"
#include "format/rdb_value.h"

namespace tidemark::format {

// `form` is 1, 2 (counters: Redis 7.0) or 3 (active times of consumers: 7.2). Errors as ReadRdbValue.
absl::Status ReadRdbStream(int form, RdbInput* in, RdbSink* sink);

}  // namespace tidemark::format
