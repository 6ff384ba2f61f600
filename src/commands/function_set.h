// Libraries of functions (FUNCTION LOAD): rows of the store, so that restarts, replicas and restores have them, and
// what is kept of them in memory.
//
//   system row "function/NAME"   format version (1 byte, 1), code, then each function: name, description (all with
//   their
//                                lengths as varints), flags (varint of scripting::ScriptFlag)
//   system row "functions"       16 random bytes, new with every change of any library: who has seen them knows all
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "kv/txn.h"
#include "scripting/interpreter.h"

namespace tidemark::commands {

struct FunctionLibrary {
  std::string name;
  std::string code;      // with the shebang line
  std::string identity;  // SHA-1 of the code
  std::vector<scripting::FunctionInfo> functions;

  // The code behind the shebang line, from its line break on.
  std::string_view body() const;
};

// All libraries at one moment; does not change.
class FunctionSet {
 public:
  using Libraries = absl::btree_map<std::string, std::shared_ptr<const FunctionLibrary>, std::less<>>;
  struct Place {
    const FunctionLibrary* library;
    const scripting::FunctionInfo* function;
  };

  // `generation`: as in the row; empty: there is none.
  FunctionSet(std::string generation, Libraries libraries);
  const std::string& generation() const { return generation_; }
  const Libraries& libraries() const { return libraries_; }
  size_t functions() const { return functions_.size(); }
  // By name, whatever the case; null when there is none.
  const Place* Find(std::string_view name) const;

 private:
  std::string generation_;
  Libraries libraries_;
  absl::flat_hash_map<std::string, Place> functions_;
};

// Thread-safe.
class FunctionCache {
 public:
  // The libraries as the transaction sees them: reads one row when nothing has changed since the last call, else all.
  absl::StatusOr<std::shared_ptr<const FunctionSet>> Get(kv::Txn& txn);
  // Those of the last call, whoever made it.
  std::shared_ptr<const FunctionSet> latest() const;
  // Makes `libraries` those of the transaction: writes the rows that differ from `now`, and remembers them in case it
  // commits.
  void Put(kv::Txn& txn, const FunctionSet& now, FunctionSet::Libraries libraries);

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const FunctionSet> latest_ ABSL_GUARDED_BY(mutex_) =
      std::make_shared<FunctionSet>(std::string(), FunctionSet::Libraries());
  // What Put made last; becomes the latest when somebody reads its generation.
  std::shared_ptr<const FunctionSet> made_ ABSL_GUARDED_BY(mutex_);
};

std::string EncodeLibrary(const FunctionLibrary& library);
// DATA_LOSS when malformed, FAILED_PRECONDITION for a version from the future.
absl::StatusOr<FunctionLibrary> DecodeLibrary(std::string_view name, std::string_view bytes);

}  // namespace tidemark::commands
