// A whole RDB file, read in one pass: versions 1 to 12 of Redis and 80 of Valkey (sources: Redis 7.0 and 7.4 src/rdb.c
// rdbLoadRioWithLoadingCtx, Valkey 9.0 src/rdb.c). Keys come with their database and expiry, values through the sink
// that the visitor names; what this server has no use for is skipped and told.
//
// Nothing is trusted (rdb_input.h). Errors name the byte where they were met, and the key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "format/rdb_input.h"
#include "format/rdb_value.h"

namespace tidemark::format {

struct RdbKey {
  uint64_t db = 0;
  std::string_view name;
  uint64_t expire_ms = 0;   // Unix time; 0: never
  bool has_expiry = false;  // an expiry of 0 is one that is over
};

class RdbVisitor {
 public:
  virtual ~RdbVisitor() = default;
  virtual absl::Status Version(uint16_t version, bool valkey) = 0;
  virtual absl::Status Aux(std::string_view name, std::string_view value) = 0;
  // Source text of a library of functions.
  virtual absl::Status Function(std::string_view code) = 0;
  // Where the value goes; null: it is read and dropped.
  virtual absl::StatusOr<RdbSink*> Key(const RdbKey& key) = 0;
  // A value of a module's type, which was skipped; `key.name` is empty for what a module keeps beside keys.
  virtual absl::Status Module(const RdbKey& key, std::string_view module) = 0;
};

// The input stands behind the file's last byte afterwards. DATA_LOSS for a file that is cut, not an RDB file, of an
// unknown version, or of another checksum than its bytes have (files without one are taken as they are).
absl::Status ReadRdbFile(RdbInput* in, RdbVisitor* visitor);

}  // namespace tidemark::format
