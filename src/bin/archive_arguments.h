// What the commands that read an archive share: where it is, its keys, the plan and the progress of reading it.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "archive/catalog.h"
#include "archive/codec.h"
#include "base/mutex.h"
#include "base/status.h"
#include "objstore/object_store.h"
#include "restore/restore.h"

namespace tidemark::bin {

struct ArchiveArguments {
  std::string from;
  std::string moment;
  std::optional<uint32_t> timeline;
  std::string key_file;
  std::vector<std::string> without;
  int jobs = 4;
  bool json = false;
};
// `moment_flag`: "--to" or "--at".
void AddArchiveOptions(CLI::App& command, const std::string& moment_flag, ArchiveArguments* arguments);

// The archive, opened and listed.
struct OpenedArchive {
  restore::Target target;
  std::shared_ptr<const archive::KeyRing> keys;
  std::unique_ptr<objstore::ObjectStore> store;
  archive::Catalog catalog;
};
absl::StatusOr<OpenedArchive> OpenArchive(const ArchiveArguments& arguments);

// `status`, and where it names damaged or missing objects of the archive: what can be restored around them.
absl::Status WithWhatIsLeft(const OpenedArchive& archive, const absl::Status& status);

// What will be read, for people on several lines.
std::string DescribePlan(const restore::Plan& plan, const restore::Target& target);
nlohmann::ordered_json PlanJson(const restore::Plan& plan);

// Shows on standard error how far the work is, from construction to destruction: a bar that is drawn over on a
// terminal, else a line every few seconds.
class ProgressLine {
 public:
  ProgressLine(const restore::Plan& plan, const restore::Progress& progress);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

 private:
  void Run();
  std::string Line(uint64_t elapsed_micros);

  const restore::Plan& plan_;
  const restore::Progress& progress_;
  const bool terminal_;
  Mutex mutex_;
  CondVar changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tidemark::bin
