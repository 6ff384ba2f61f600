// What a node does with the archives of the backup tasks beside running them: a replica reads the log that its primary
// no longer has, and one that is promoted takes its predecessor's place in them.
//
//   adopt     what an archive has beyond the own log comes first: it was perhaps answered with a yes
//   announce  the next timeline's history object (from then on the predecessor is fenced), then what the archive lacks
//             of the timeline before, up to the fork, so that the chain does not break there
//
// The tasks are those of the rows in the store, which travel with the log. Everything here blocks for a store.
#pragma once

#include <absl/functional/function_ref.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "backup/manager.h"
#include "base/mutex.h"
#include "base/status.h"
#include "engine/engine.h"
#include "engine/identity.h"
#include "env/file.h"

namespace tidemark::backup {

class Succession {
 public:
  using Apply = absl::FunctionRef<absl::Status(std::string_view records)>;

  Succession(engine::Engine& engine, FileSystem& fs, OpenStore open_store,
             std::function<void(const std::string&)> report)
      : engine_(engine), fs_(fs), open_store_(std::move(open_store)), report_(std::move(report)) {}

  ~Succession() { Unlimit(); }

  // From now on, until Unlimit, no call here takes longer than up to `time` from the first Limit: what waits for a
  // store then ends with CANCELLED or DEADLINE_EXCEEDED.
  void Limit(std::chrono::milliseconds time);
  void Unlimit();

  // Whether there is a task at all whose archive could be read.
  bool HasArchive();
  // Gives `apply` the log from the engine's end on, along the history that leads to `timeline`, at least up to `until`.
  // The archives are tried one after the other; the error of the last.
  absl::Status Read(Timeline timeline, Lsn until, Apply apply);

  struct Adopted {
    bool any = false;   // something was applied
    Timeline newest{};  // that any archive knows
  };
  // Applies what the archives have of the engine's own timeline beyond its end.
  absl::StatusOr<Adopted> Adopt(Apply apply);
  // Announces `next`, which leaves `former` at the engine's end.
  absl::Status Announce(const engine::Identity& former, const engine::Identity& next, uint64_t now_micros);

 private:
  struct Place;
  absl::Status ForEach(absl::FunctionRef<absl::Status(Place&)> visit);
  absl::Status ReadFrom(Place& place, std::vector<archive::Stretch> stretches, Apply apply);
  absl::Status Complete(Place& place, const engine::Identity& former, Lsn fork);

  void Watch(std::chrono::steady_clock::time_point deadline);

  engine::Engine& engine_;
  FileSystem& fs_;
  const OpenStore open_store_;
  const std::function<void(const std::string&)> report_;

  Mutex mutex_;
  CondVar changed_;
  bool limited_ ABSL_GUARDED_BY(mutex_) = false;
  bool late_ ABSL_GUARDED_BY(mutex_) = false;
  objstore::ObjectStore* waiting_for_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread watch_;
};

}  // namespace tidemark::backup
